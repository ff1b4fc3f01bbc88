package sinks

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
)

// Runner keeps all sinks fed. Its methods are safe for concurrent use, but for Give; Has,
// Status and Alarms also work on a nil Runner, which has no sinks.
type Runner struct {
	cfg   Config
	feeds []*feed
}

// New makes a Runner that does nothing until Run, or says all that is wrong with cfg. A sink
// that is made with Means is given to it later, before Run.
func New(cfg Config) (*Runner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sinks: %w", err)
	}
	r := &Runner{cfg: cfg.withDefaults()}
	for _, s := range cfg.Sinks {
		f := &feed{Fed: s, cfg: &r.cfg, log: r.cfg.Logger.With("sink", s.Name)}
		f.told.State = StateElsewhere
		r.feeds = append(r.feeds, f)
	}
	return r, nil
}

// Means gives what the sink of a name is made with, which must be in Config.Sinks.
func (r *Runner) Means(name string) Means {
	f := r.feed(name)
	return Means{Name: name, Bury: f.bury, Logger: f.log}
}

// Give hands the runner the sink of a name, which must be in Config.Sinks, before Run.
func (r *Runner) Give(name string, s Sink) { r.feed(name).Sink = s }

func (r *Runner) feed(name string) *feed {
	for _, f := range r.feeds {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Has reports whether there is a sink of a name.
func (r *Runner) Has(name string) bool { return r != nil && r.feed(name) != nil }

// patience is how long sinks have to end once they are told to.
const patience = 5 * time.Second

// Run feeds the sinks until ctx ends, once in the life of a Runner. Then it waits up to 5 s
// for sinks whose calls have not returned, and leaves those behind that still have not.
func (r *Runner) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, f := range r.feeds {
		all.Go(func() { f.run(ctx) })
	}
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	<-ctx.Done()
	select {
	case <-ended:
	case <-time.After(patience):
		r.cfg.Logger.Warn("a sink does not end; it is left behind")
	}
}

// Status tells how the sinks are, in the order of Config.Sinks. The slice is the caller's.
func (r *Runner) Status() []Status {
	if r == nil {
		return nil
	}
	all := make([]Status, len(r.feeds))
	for i, f := range r.feeds {
		all[i] = f.status()
	}
	return all
}

// Alarms is what somebody must see to about sinks, on the node that leads; none elsewhere.
func (r *Runner) Alarms() (all []engine.Alarm) {
	if r == nil || !r.cfg.Shop.Leads() {
		return nil
	}
	for _, f := range r.feeds {
		all = append(all, f.alarms(r.cfg.Now())...)
	}
	return all
}

// Collectors give what is counted, for metrics.
func (r *Runner) Collectors() []prometheus.Collector { return []prometheus.Collector{newCollectors(r)} }

// end gives the last index that the trail has.
func (r *Runner) end() engine.LogIndex {
	done, end := context.WithCancel(context.Background())
	end()
	return r.cfg.Trail.AwaitEvents(done, engine.TrailPosition{Index: ^engine.LogIndex(0)})
}

// FirstSince gives the position of the first event that the trail has since a time; the one
// behind the last if there is none since. Errors: *engine.TrailGone where the trail does not
// reach back so far, and the trail's. It reads some twenty events: the log is bisected.
func FirstSince(t Trail, since engine.Time) (engine.TrailPosition, error) {
	first, kept, err := t.Horizon(false)
	if err != nil {
		return first, err
	}
	if since < kept {
		_, _, err := t.Events(engine.TrailPosition{}, 1) // it says whether there was more
		return first, err
	}
	done, end := context.WithCancel(context.Background())
	end()
	last := t.AwaitEvents(done, first)
	span := 0
	if last >= first.Index {
		span = int(last-first.Index) + 1
	}
	var failed error
	n := sort.Search(span, func(i int) bool {
		events, _, err := t.Events(engine.TrailPosition{Index: first.Index + engine.LogIndex(i)}, 1)
		if failed == nil {
			failed = err
		}
		return err != nil || len(events) == 0 || events[0].Time >= since
	})
	if failed != nil {
		return first, failed
	}
	return engine.TrailPosition{Index: first.Index + engine.LogIndex(n)}, nil
}

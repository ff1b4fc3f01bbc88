package sinks

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
)

// State is what a sink does on a node.
type State string

// States.
const (
	StateElsewhere State = "elsewhere" // another node leads, and feeds it
	StateOpening   State = "opening"
	StateFlowing   State = "flowing"
	StateFailing   State = "failing" // it is tried again
	StatePaused    State = "paused"  // by operators
	StateGone      State = "gone"    // what it needs next has been dropped
)

// States gives all states.
func States() []State {
	return []State{StateElsewhere, StateOpening, StateFlowing, StateFailing, StatePaused, StateGone}
}

// Status is how a sink is, as its node knows. Most is known on the leader alone.
type Status struct {
	Name, Kind string
	State      State
	Note       *engine.SinkNote     // read only
	At         engine.TrailPosition // it has all before this
	Known      bool                 // it keeps the position itself
	// Waiting is since when the oldest change has been there that it is to have next; zero
	// if there is none, or it is not known.
	Waiting           time.Time
	Changes, Failures uint64 // since this node started
	Error             string // of the last failure, while it fails
	Failing           time.Time
	Next              time.Time            // when it is tried again
	FirstKept         engine.TrailPosition // of one that is gone
	Calling           time.Time            // since when a call of it has lasted; zero without one

	looked time.Time // when Waiting was found
}

// Lag is for how long the oldest change has waited that the sink does not have.
func (s *Status) Lag(now time.Time) time.Duration {
	if s.Waiting.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.Waiting))
}

// maxErrorBytes bounds what is told of a failure.
const maxErrorBytes = 300

// cut gives a text of at most so many bytes.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}

func (f *feed) say(state State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &f.told
	if state == StateOpening && t.State == StateFailing {
		return // until something was handed over
	}
	if t.State = state; state != StateFailing {
		t.Error, t.Failing, t.Next = "", time.Time{}, time.Time{}
	}
	if state == StateElsewhere {
		t.Waiting = time.Time{}
	}
	if state != StateGone {
		t.FirstKept = engine.TrailPosition{}
	}
}

func (f *feed) gone() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told.FirstKept != engine.TrailPosition{}
}

func (f *feed) lost(first engine.TrailPosition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told.State, f.told.FirstKept = StateGone, first
}

// failed notes a failure; first tells that there was none just before.
func (f *feed) failed(err error, next time.Time) (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &f.told
	first = t.Failing.IsZero()
	if first {
		t.Failing = time.Now()
	}
	t.State, t.Next, t.Failures = StateFailing, next, t.Failures+1
	t.Error = cut(engine.PlainNetworkError(err), maxErrorBytes)
	return first
}

// behind says which change the sink is to have next; nil: none.
func (f *feed) behind(next *Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told.looked, f.told.Waiting = time.Now(), time.Time{}
	if next != nil {
		f.told.Waiting = next.Time.Wall()
	}
}

// cameTo says that the sink has so many changes more.
func (f *feed) cameTo(changes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told.At, f.told.Known = f.at, f.known
	f.told.Changes += uint64(changes)
}

func (f *feed) calling(is bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told.Calling = (time.Time{}); is {
		f.told.Calling = time.Now()
	}
}

func (f *feed) status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.told
	s.Name, s.Kind, s.Note = f.Name, f.Kind, f.cfg.Shop.Sink(f.Name)
	switch {
	case !f.cfg.Shop.Leads():
		s.State, s.Waiting = StateElsewhere, time.Time{}
	case s.State == StateElsewhere, s.State == StatePaused && !s.Note.Paused:
		s.State = StateOpening // it leads by now, or is to go on, and the feed has not looked yet
	}
	if s.State == StateElsewhere || s.At == (engine.TrailPosition{}) || s.State == StatePaused {
		s.At = s.Note.At
	}
	return s
}

// alarms is what somebody must see to about a sink.
func (f *feed) alarms(now time.Time) (all []engine.Alarm) {
	s := f.status()
	if s.State == StateElsewhere {
		return nil
	}
	alarm := func(name engine.AlarmName, since time.Time, advice, format string, args ...any) {
		all = append(all, engine.Alarm{Name: name, About: s.Name, Since: since, Detail: fmt.Sprintf(format, args...),
			Advice: advice})
	}
	switch {
	case s.State == StateGone:
		alarm(engine.AlarmSinkGone, time.Time{}, "Say where it goes on with 'doorbuster sinks replay', and see what "+
			"its other side lacks.",
			"The sink %s stands still: it has all before %s, and the events before %s are gone.",
			s.Name, s.At, s.FirstKept)
	case !s.Failing.IsZero() && now.Sub(s.Failing) >= f.cfg.AlarmAfter:
		alarm(engine.AlarmSinkFails, s.Failing, "It goes on by itself once it can. See 'doorbuster sinks status'.",
			"The sink %s fails: %s.", s.Name, strings.TrimSuffix(s.Error, "."))
	case !s.Calling.IsZero() && now.Sub(s.Calling) >= f.cfg.AlarmAfter && s.Lag(now) >= f.cfg.AlarmAfter:
		alarm(engine.AlarmSinkFails, s.Calling, "See whether its other side hangs.",
			"The sink %s does not take what it is handed.", s.Name)
	}
	if n := len(s.Note.Letters); n > 0 {
		l := s.Note.Letters[n-1]
		alarm(engine.AlarmSinkLetters, s.Note.Letters[0].Since.Wall(), "See 'doorbuster sinks letters', and send them "+
			"again or drop them.", "The sink %s has %d dead letters; of one: %s.", s.Name, n, l.Why)
	}
	return all
}

// collectors give what is counted of the sinks, for metrics. Labels are names of sinks as
// configured, and states.
type collectors struct {
	r                                              *Runner
	state, lag, behind, changes, failures, letters *prometheus.Desc
}

func newCollectors(r *Runner) *collectors {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("doorbuster_"+name, help, append([]string{"sink"}, labels...), nil)
	}
	return &collectors{r: r,
		state: desc("sink_state", "1 for the present state of a sink on this node.", "state"),
		lag: desc("sink_lag_seconds", "ALARM (sink_fails) if it keeps growing: for how long the oldest change has "+
			"waited that the sink does not have, on the leader; 0 elsewhere."),
		behind: desc("sink_behind_entries", "Log entries that are committed and that the sink has not come to, on "+
			"the leader."),
		changes:  desc("sink_changes_total", "Changes that the sink has taken from this node."),
		failures: desc("sink_failures_total", "Times that the sink failed on this node, and was to be tried again."),
		letters: desc("sink_dead_letters", "ALARM (sink_letters) if over 0: changes that the sink's other side "+
			"refuses, put aside."),
	}
}

func (c *collectors) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.state, c.lag, c.behind, c.changes, c.failures, c.letters} {
		to <- d
	}
}

func (c *collectors) Collect(to chan<- prometheus.Metric) {
	now, end := time.Now(), c.r.end()
	for _, s := range c.r.Status() {
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{s.Name}, labels...)...)
		}
		for _, state := range States() {
			is := 0.0
			if state == s.State {
				is = 1
			}
			gauge(c.state, is, string(state))
		}
		gauge(c.lag, s.Lag(now).Seconds())
		behind := 0.0
		if s.State != StateElsewhere && end > s.At.Index {
			behind = float64(end - s.At.Index)
		}
		gauge(c.behind, behind)
		gauge(c.letters, float64(len(s.Note.Letters)))
		to <- prometheus.MustNewConstMetric(c.changes, prometheus.CounterValue, float64(s.Changes), s.Name)
		to <- prometheus.MustNewConstMetric(c.failures, prometheus.CounterValue, float64(s.Failures), s.Name)
	}
}

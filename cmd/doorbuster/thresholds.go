package main

import (
	"cmp"
	"fmt"
	"sync/atomic"
	"time"

	"doorbuster/cmd/doorbuster/settings"
	"doorbuster/engine"
)

// ThresholdsConfig says from where on what goes on is an alarm; 0 of any: never.
type ThresholdsConfig struct {
	FaultPercent float64       // of grabs in a minute that end in a fault
	Fsync        time.Duration // that one of a hundred fsyncs of a minute takes
	HotPerSecond float64       // looks and grabs of a product at a node
	Silence      time.Duration // of the cashier while many orders wait to be paid
	ShareWindow  time.Duration // of which a node's share of looks and grabs is taken
}

func (c *Config) addThresholds(t *settings.Table) {
	w := &c.Thresholds
	settings.Add(t, &w.FaultPercent, "warnings.fault_percent", 1.0, "percent of a minute's grabs at a node that end "+
		"in "+
		"a fault of ours (5xx, or \"processing\") from which it is an alarm; 0 = never",
		settings.Between(0.01, 100.0).Or(0))
	settings.Add(t, &w.HotPerSecond, "warnings.hot_per_second", 500.0, "looks and grabs of a product a second at a "+
		"node from which it is an alarm if nobody has planned it, or few are put up; 0 = never",
		settings.Between(50.0, 1e9).Or(0))
	settings.Add(t, &w.Fsync, "warnings.fsync", 100*time.Millisecond, "the 99th percentile of a minute's fsyncs of "+
		"the "+
		"log from which it is an alarm; 0 = never", settings.Between(time.Microsecond, time.Minute).Or(0))
	settings.Add(t, &w.Silence, "warnings.callbacks_silent", 10*time.Minute, "how long no order may be paid for, "+
		"while "+
		"20 or more wait for that, before it is an alarm; 0 = never", settings.Between(time.Second, 24*time.Hour).Or(0))
	settings.Add(t, &w.ShareWindow, "warnings.share_window", time.Minute, "the time in which a node in service has "+
		"to get a third of an even share of looks and grabs, or it is an alarm; 0 = never",
		settings.Between(time.Second, time.Hour).Or(0))
}

// share is how many of so many things were bad, both ever growing.
type share struct{ bad, all uint64 }

// minute holds what share grew by in the last minute, or as long as it says, in steps. One
// goroutine calls it.
type minute struct {
	long time.Duration // 0: a minute
	seen []sample
}

type sample struct {
	at time.Time
	share
}

const minuteSteps = 12

// grew takes in how it is now, and gives what it grew by.
func (m *minute) grew(now time.Time, s share) share {
	long := cmp.Or(m.long, time.Minute)
	if n := len(m.seen); n == 0 || now.Sub(m.seen[n-1].at) >= long/minuteSteps {
		m.seen = append(m.seen, sample{now, s})
	}
	for len(m.seen) > 1 && now.Sub(m.seen[0].at) > long {
		m.seen = m.seen[1:]
	}
	return share{s.bad - m.seen[0].bad, s.all - m.seen[0].all}
}

// fewestFaults is how many bad things of a minute are no accident.
const fewestFaults = 5

// over reports whether more than a percentage is bad.
func (s share) over(percent float64) bool {
	return percent > 0 && s.bad >= fewestFaults && float64(s.bad)*100 > percent*float64(s.all)
}

// fsyncs counts those of the log that are slow. Safe for concurrent use.
type fsyncs struct {
	slow      time.Duration
	bad, all  atomic.Uint64
	lastMilli atomic.Int64 // of the slowest of late
	last      atomic.Int64 // nanoseconds
}

func (f *fsyncs) observe(d time.Duration) {
	f.all.Add(1)
	f.last.Store(int64(d))
	if f.slow > 0 && d >= f.slow {
		f.bad.Add(1)
		f.lastMilli.Store(d.Milliseconds())
	}
}

// thresholds are the alarms that are a matter of how much. One goroutine asks for them.
type thresholds struct {
	cfg          ThresholdsConfig
	faults, disk minute
	felt         func() (faults, grabs uint64)
	fsyncs       *fsyncs
	leads        func() bool
	owed         func() (waiting, paid int64) // orders that wait to be paid, and those that ever were
	paid         int64
	silent       time.Time // since when nothing has been paid for
	lookedAt     time.Time
	waiting      int64
}

// fewestWaiting is how many orders wait to be paid before silence says something.
const fewestWaiting = 20

func (h *thresholds) alarms(now time.Time) (all []engine.Alarm) {
	faults, grabs := h.felt()
	if s := h.faults.grew(now, share{faults, grabs}); s.over(h.cfg.FaultPercent) {
		all = append(all, engine.Alarm{Name: engine.AlarmFaultsFelt,
			Detail: fmt.Sprintf("Of %d grabs in the last minute, %d ended in a fault.", s.all, s.bad),
			Advice: "See what else is on: the quorum, the disk, other nodes."})
	}
	if s := h.disk.grew(now, share{h.fsyncs.bad.Load(), h.fsyncs.all.Load()}); s.over(1) && h.cfg.Fsync > 0 {
		all = append(all, engine.Alarm{Name: engine.AlarmDiskSlow,
			Detail: fmt.Sprintf("Of %d fsyncs of the log in the last minute, %d took %s or longer, the last of them "+
				"%d ms.",
				s.all, s.bad, h.cfg.Fsync, h.fsyncs.lastMilli.Load()),
			Advice: "See what else uses the disk; have another node lead meanwhile ('doorbuster cluster transfer')."})
	}
	if h.cfg.Silence > 0 && h.silence(now) >= h.cfg.Silence {
		all = append(all, engine.Alarm{Name: engine.AlarmCallbacksSilent, Since: h.silent,
			Detail: fmt.Sprintf("No order has been paid for %s, and %d wait to be.", settings.Short(h.cfg.Silence),
				h.waiting),
			Advice: "See whether the cashier works, and whether its callbacks reach the shoppers' address."})
	}
	return all
}

// silence gives for how long nothing was paid for while many orders waited; looking that up
// takes its time, so it is done now and then.
func (h *thresholds) silence(now time.Time) time.Duration {
	if !h.leads() {
		h.silent = time.Time{}
		return 0
	}
	if now.Sub(h.lookedAt) >= time.Second {
		h.lookedAt = now
		waiting, paid := h.owed()
		if h.silent.IsZero() || paid != h.paid || waiting < fewestWaiting {
			h.silent = now
		}
		h.waiting, h.paid = waiting, paid
	}
	return now.Sub(h.silent)
}

// newThresholds makes them for a node whose rooms are there.
func newThresholds(n *node) *thresholds {
	return &thresholds{cfg: n.cfg.Thresholds, felt: n.shoppers.Felt, fsyncs: &n.fsyncs, leads: n.office.Leads,
		owed: func() (waiting, paid int64) {
			n.office.View(func(s *engine.State) {
				for _, l := range s.Listings() {
					waiting += l.Held
					paid += l.Paid
				}
			})
			return waiting, paid
		}}
}

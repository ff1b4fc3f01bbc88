package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi"
)

// alarmsEvery is how often the rooms are asked for their alarms.
const alarmsEvery = 500 * time.Millisecond

// board has the alarms of the rooms beside the cluster's, which shows them to all
// nodes beside its own.
type board struct {
	logger *slog.Logger
	rooms  []func() []engine.Alarm
	shown  atomic.Pointer[[]engine.Alarm]
}

// alarms gives what the rooms said last; read only.
func (b *board) alarms() []engine.Alarm {
	if shown := b.shown.Load(); shown != nil {
		return *shown
	}
	return nil
}

// look asks the rooms. What one does not say since when it is so, is so since the
// first look that found it.
func (b *board) look(now time.Time) {
	before := b.alarms()
	var all []engine.Alarm
	for _, room := range b.rooms {
		all = append(all, room()...)
	}
	for i := range all {
		a := &all[i]
		at := a.In(before)
		if a.Since.IsZero() {
			a.Since = now
			if at >= 0 {
				a.Since = before[at].Since
			}
		}
		if at < 0 {
			b.logger.Error("ALARM: "+a.Detail, "name", a.Name, "about", a.About, "advice", a.Advice)
		}
	}
	for i := range before {
		if before[i].In(all) < 0 {
			b.logger.Info("an alarm is over", "name", before[i].Name, "about", before[i].About)
		}
	}
	b.shown.Store(&all)
}

// roomAlarms gives the alarms of the rooms, once they are connected.
func (n *node) roomAlarms() []engine.Alarm {
	if b := n.board.Load(); b != nil {
		return b.alarms()
	}
	return nil
}

// watchAlarms asks the rooms until the node closes.
func (n *node) watchAlarms(ctx context.Context) {
	tick := time.NewTicker(alarmsEvery)
	defer tick.Stop()
	for {
		n.board.Load().look(n.now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// newBoard makes the list of alarms, once all rooms are there.
func newBoard(n *node) *board {
	own := func(alarms func() []engine.Alarm) func() []engine.Alarm { // of this node alone
		return func() []engine.Alarm {
			all := alarms()
			for i := range all {
				all[i].Node = n.cfg.Node
			}
			return all
		}
	}
	much := newThresholds(n)
	b := &board{logger: n.logger, rooms: []func() []engine.Alarm{
		n.office.Alarms, n.intake.Alarms, n.jobs.Alarms, n.sinks.Alarms,
		own(n.cluster.Ledger().Alarms), own(n.shoppers.Alarms), own(n.keys.Alarms),
		own(n.personalAlarms), own(n.warnings.Alarms),
		own(func() []engine.Alarm { return much.alarms(n.now()) }), own(n.shareAlarms),
		own(func() []engine.Alarm { return diskAlarms(n.cfg.Data, n.cluster.SnapshotAfter()) }),
	}}
	if n.daily != nil {
		b.rooms = append(b.rooms, n.daily.Alarms)
	}
	if n.puller != nil {
		b.rooms = append(b.rooms, n.puller.Alarms)
	}
	if sink := n.cfg.logSink; sink != nil {
		b.rooms = append(b.rooms, own(func() []engine.Alarm { return sink.alarms(n.now()) }))
	}
	n.watchHot(b)
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "doorbuster_alarms",
		Help: "ALARM if over 0: alarms of this node and of all that it hears, by name."}, []string{"name"})
	n.metrics.MustRegister(collectOnce{gauge, func() {
		gauge.Reset()
		status := clusterView{n}.Status()
		for _, a := range httpapi.AllAlarms(&status) {
			gauge.WithLabelValues(string(a.Name)).Inc()
		}
	}})
	return b
}

// diskAlarms is whether the data directory's disk has room for what comes next: a
// snapshot, the log up to the one after it, and as much of a ledger.
func diskAlarms(data string, snapshotAfter int64) []engine.Alarm {
	free, known := diskFree(data)
	if reserve := uint64(4 * snapshotAfter); !known || free >= reserve {
		return nil
	}
	return []engine.Alarm{{Name: engine.AlarmDisk, Detail: fmt.Sprintf("The disk of %s is nearly full: %s are free.",
		data, cli.BinaryBytes(int64(free))),
		Advice: "Give it room: a node that can't write its log stops. Smaller keep_events or snapshot_bytes need " +
			"less."}}
}

package main

import (
	"context"

	"doorbuster/cluster"
	"doorbuster/cluster/ledger"
	"doorbuster/engine"
)

// ledgers are the group's way to what has left the state.
type ledgers struct {
	*ledger.Ledger
	node *cluster.Node
}

func (b ledgers) Recorded() (engine.LogIndex, []string) { return b.node.Recorded() }

// trail shows the ledger's events to the operations API, which is made before it
// but asks only after.
type trail struct{ *node }

func (t trail) Events(from engine.TrailPosition, most int) ([]engine.TrailEvent, engine.TrailPosition, error) {
	return t.cluster.Ledger().Events(from, most)
}

func (t trail) AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex {
	return t.cluster.Ledger().AwaitEvents(ctx, from)
}

func (t trail) Last(events int, session string) (engine.TrailPosition, error) {
	return t.cluster.Ledger().Last(events, session)
}

func (t trail) Audit(f engine.TrailFilter) ([]engine.TrailEvent, engine.TrailPosition, bool, error) {
	return t.cluster.Ledger().Audit(f)
}

func (t trail) Horizon(deeds bool) (engine.TrailPosition, engine.Time, error) {
	return t.cluster.Ledger().Horizon(deeds)
}

// registerLedger exposes what the ledger counts.
func registerLedger(gauge, counter func(name, help string, read func() float64), l *ledger.Ledger) {
	gauge("ledger_index", "Log index up to which this node's ledger is on disk; 0 until it is known whose it is.",
		func() float64 { return float64(l.Stats().Index) })
	gauge("ledger_lag_events", "Events that wait to be written to the ledger.",
		func() float64 { return float64(l.Stats().Waiting) })
	gauge("ledger_lag_seconds", "ALARM (ledger_behind) if it stays over 60: how long the first event that waits "+
		"to be written to the ledger has waited.", func() float64 { return l.Stats().Behind.Seconds() })
	gauge("ledger_bytes", "Bytes of the ledger's files.", func() float64 { return float64(l.Stats().Bytes) })
	gauge("ledger_whole", "1 while nothing is known to be missing of the ledger, else 0.",
		func() float64 { return oneIf(l.Stats().Whole) })
	gauge("ledger_missing_sessions", "ALARM (ledger_missing) if over 0: settled sessions whose orders this node's "+
		"ledger could not get from anybody.", func() float64 { return float64(l.Stats().Missing) })
	gauge("ledger_blocked", "ALARM (ledger_blocked) if 1: the ledger can't be written; no orders leave memory "+
		"and no snapshot is taken meanwhile.", func() float64 { return oneIf(l.Stats().Trouble != "") })
	counter("ledger_rebuilds_total", "ALARM (ledger_rebuilt) if it grows: damaged files of the ledger that were put "+
		"aside, to be had from another node.", func() float64 { return float64(l.Stats().Damaged) })
	gauge("ledger_gaps", "ALARM (ledger_gaps) if over 0: gaps in this node's trail of events.",
		func() float64 { return float64(l.Stats().Gaps) })
}

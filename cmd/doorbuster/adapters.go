package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/actors"
	"doorbuster/actors/backoffice"
	"doorbuster/cluster"
	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/plan"
	"doorbuster/httpapi/reconcile/archive"
	"doorbuster/httpapi/report"
	"doorbuster/httpapi/wire"
)

// decider answers other nodes: of grabs and commands, and of reports.
type decider struct {
	*actors.Group
	archive *archive.Archive
	told    *report.Keeper // of sessions
}

func (d decider) Reports(q engine.ReportsRequest) (engine.ReportsPage, error) {
	return d.archive.GiveReports(q)
}

func (d decider) AboutSession(session string, kept bool) ([]byte, error) {
	return d.told.AboutSession(session, kept)
}

// clusterView shows the cluster's node to the operations API, which is made
// before it but asks only after.
type clusterView struct{ *node }

func (v clusterView) Ready() error {
	if v.leaving.Load() {
		return errors.New("the node is stopping")
	}
	return v.cluster.Inviting()
}

func (v clusterView) Status() wire.Cluster {
	s := v.cluster.ClusterStatus()
	told := wire.Cluster{
		Cluster: s.Cluster, Generation: s.Generation, Leader: s.Leader, Term: uint64(s.Term), Epoch: uint64(s.Epoch),
		RulesVersion: s.Rules, Answered: s.NodeID,
		ZoneAck: wire.ZoneAck{Mode: string(s.ZoneAck), State: string(s.ZoneState), ZoneIndex: uint64(s.ZoneIndex)},
		Time:    v.office.Now().Wall(), FsyncMS: float64(v.fsyncs.last.Load()) / float64(time.Millisecond),
	}
	v.office.View(func(s *engine.State) { told.StateAt = s.Now().Wall() })
	if found := v.cluster.AsOf(); found.LogIndex != 0 {
		told.AsOf = &wire.AsOf{LogIndex: uint64(found.LogIndex), Time: found.Time}
	}
	leading := engine.LogIndex(0)
	for _, x := range s.Nodes {
		leading = max(leading, x.Last)
	}
	for _, x := range s.Nodes {
		told.Nodes = append(told.Nodes, wire.Node{
			ID: x.ID, Zone: x.Zone, Kind: string(x.Kind), Role: x.Role, Reachable: x.Reachable,
			AppliedIndex: uint64(x.Applied), LastIndex: uint64(x.Last), FirstIndex: uint64(x.First),
			OldestIndex:  uint64(x.Oldest),
			DurableIndex: uint64(x.Durable), LedgerIndex: uint64(x.Ledger),
			Lag: uint64(leading - x.Last), Peer: x.Peer, Version: x.Version, RulesVersion: x.Rules,
			Generation: x.Generation,
			Drained:    x.Drained, Joining: x.Joining, Preferred: s.Preferred != "" && x.Zone == s.Preferred,
			ClockOffsetMS: float64(x.ClockOffset) / float64(time.Millisecond), WALBytes: x.WALBytes, Error: x.Error,
		})
	}
	shareOut(told.Nodes, s.Nodes)
	told.Alarms = s.Alarms
	return told
}

func newAdmin(n *node, k keys) (*httpapi.AdminServer, error) {
	var puller httpapi.Puller
	if n.puller != nil {
		puller = n.puller
	}
	return httpapi.NewAdmin(httpapi.AdminConfig{
		Operator: httpapi.Operator{Catalogue: n.office, OrderOffice: n.office, Switcher: n.office, Lists: n.office,
			PlayOffice: n.office, ProductOffice: n.office, Archive: n.office, Shipping: n.office,
			PersonalOffice: n.office, Approver: n.office, Historian: n.office},
		Cluster: clusterView{n}, Trail: trail{n}, Operations: operations{n}, Reconciler: n.intake,
		Sinks:       sinkRoom{n.office, n.sinks},
		AlarmBook:   n.office,
		Hot:         n.hotProducts,
		Puller:      puller,
		Curves:      n.curves,
		Reports:     n.reports,
		Lacks:       n.cfg.checks(),
		RefundTries: n.jobs.RefundTries, ParsePlan: n.parsePlan, Canon: n.canon,
		Personal: n.vault,
		Visitors: n.shoppers.Guard().Visitors(), Risk: n.office.Listed, RiskService: n.lookRisk,
		Dev: n.cfg.Dev, Tokens: k.ops, TokenBytes: n.cfg.Tokens.Bytes, IdleTimeout: n.cfg.Doors.IdleTimeout,
		HeaderBytes: n.cfg.Doors.HeaderBytes, OpenMetrics: n.cfg.Tokens.OpenMetrics,
		EventHeartbeat: n.cfg.eventHeartbeat, EventPatience: n.cfg.eventPatience, Logger: n.logger,
		Registerer: n.metrics, Gatherer: n.metrics, Exemplars: n.cfg.Metrics.Exemplars,
	})
}

func (n *node) parsePlan(text []byte) (*engine.Plan, []wire.PlanProblem) {
	parsed, problems := plan.Parse(text, plan.Options{Now: n.office.Now().Wall(), Play: n.play})
	if len(problems) > 0 {
		told := make([]wire.PlanProblem, len(problems))
		for i, p := range problems {
			told[i] = wire.PlanProblem{Path: p.Path, Line: p.Line, Column: p.Column, Message: p.Message}
		}
		return nil, told
	}
	return parsed.Plan, nil
}

// play gives a template of plays that has been applied.
func (n *node) play(id string) (text string, known bool) {
	n.office.View(func(s *engine.State) {
		if p := s.Play(id); p != nil {
			text, known = p.Text, true
		}
	})
	return text, known
}

// newFsyncHistogram gives what the log reports its fsyncs to.
func newFsyncHistogram(to prometheus.Registerer, count *fsyncs) func(time.Duration) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "doorbuster_wal_fsync_seconds", Help: "Duration of the log's fsyncs.",
		Buckets: prometheus.ExponentialBuckets(50e-6, 2, 15),
	})
	to.MustRegister(h)
	return func(d time.Duration) {
		h.Observe(d.Seconds())
		count.observe(d)
	}
}

// registerGroup exposes what the rooms count by themselves.
func registerGroup(to prometheus.Registerer, o *backoffice.Office, n *cluster.Node) {
	gauge := func(name, help string, read func() float64) {
		to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_" + name, Help: help}, read))
	}
	counter := func(name, help string, read func() float64) {
		to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "doorbuster_" + name, Help: help}, read))
	}
	gauge("leader", "1 while this node leads and its epoch is open.", func() float64 { return oneIf(n.Leads()) })
	zone := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "doorbuster_zone_ack_state",
		Help: "1 for the present state of the zone rule."}, []string{"state"})
	to.MustRegister(collectOnce{zone, func() {
		now := n.ClusterStatus().ZoneState
		for _, state := range cluster.ZoneStates() {
			v := 0.0
			if state == now {
				v = 1
			}
			zone.WithLabelValues(string(state)).Set(v)
		}
	}})
	gauge("zone_ack_degraded", "ALARM (zone_ack) if 1: zone ack is prefer, and no voter of another zone answers; what "+
		"is acknowledged is in one zone only.", func() float64 {
		return oneIf(n.ClusterStatus().ZoneState == cluster.ZoneDegraded)
	})
	gauge("zone_ack_blocked", "ALARM (zone_ack) if 1: zone ack is require, and no voter of another zone answers; "+
		"nothing is granted.", func() float64 {
		return oneIf(n.ClusterStatus().ZoneState == cluster.ZoneBlocked)
	})
	gauge("zone_index", "Log index up to which a voter of another zone has everything, as this node knows.",
		func() float64 { return float64(n.ClusterStatus().ZoneIndex) })
	gauge("generation", "How often a surviving zone was promoted, and 1.",
		func() float64 { return float64(n.ClusterStatus().Generation) })
	gauge("nodes_unreachable", "ALARM (node_unreachable) if it stays over 0: nodes of the cluster that don't answer "+
		"this one.", func() float64 {
		unreachable := 0
		for _, x := range n.ClusterStatus().Nodes {
			if !x.Reachable {
				unreachable++
			}
		}
		return float64(unreachable)
	})
	gauge("fresh", "1 while this node's state may be told as the group's.",
		func() float64 { return oneIf(n.Ready() == nil) })
	gauge("drained", "1 while an operator has this node out of service.", func() float64 { return oneIf(n.Drained()) })
	gauge("clock_off", "ALARM (clock_off) if 1: this node's clock is off those of the others; it does not lead.",
		func() float64 { return oneIf(n.ClockOff()) })
	gauge("term", "Raft term.", func() float64 { return float64(n.Status().Term) })
	gauge("applied_index", "Log index of the last entry applied.",
		func() float64 { return float64(n.Status().AppliedIndex) })
	gauge("last_index", "Log index of the last entry on this node's disk.",
		func() float64 { return float64(n.Status().LastIndex) })
	gauge("wal_bytes", "Bytes of log on disk.", func() float64 { return float64(n.Status().WALBytes) })
	gauge("wal_segments", "Segments of log on disk.", func() float64 { return float64(n.Status().WALSegments) })
	gauge("grabs_waiting", "Grabs undecided: parked or in flight.",
		func() float64 { return float64(o.Stats().Waiting) })
	gauge("actors", "Listings whose actor has been needed since the start.",
		func() float64 { return float64(o.Stats().Actors) })
	gauge("listings_quarantined", "ALARM (listing_quarantined) if over 0: listings whose actor panicked too often.",
		func() float64 { return float64(o.Stats().Quarantined) })
	counter("listings_frozen_total",
		"ALARM (listing_frozen) if it grows: listings frozen because their units no longer "+
			"add up.", func() float64 { return float64(o.Stats().FrozenListings) })
	counter("payments_for_no_order_total", "ALARM (stray_payments) if it grows: payments taken by this node for no "+
		"order of the group, or in another transaction than the order's. They go back.",
		func() float64 { return float64(o.StrayPayments()) })
	gauge("journal_entries", "Reasons why shoppers were refused that this node remembers.",
		func() float64 { return float64(o.Stats().JournalEntries) })
	counter("journal_lost_total", "Reasons that were overwritten by newer ones, and refusals that could not be noted.",
		func() float64 { return float64(o.Stats().JournalLost) })
	gauge("sessions_leaving",
		"Settled sessions whose orders have not left memory yet: the ledgers of all voters must have them first.",
		func() float64 { return float64(o.Stats().Leaving) })
	registerLedger(gauge, counter, n.Ledger())
	counter("batches_total", "Batches of commands that were proposed here.",
		func() float64 { return float64(o.Stats().Batches) })
	counter("batch_commands_total", "Commands in those batches: grabs and others.",
		func() float64 { return float64(o.Stats().Commands) })
	gauge("batch_gathering", "Commands that wait for the next batch.",
		func() float64 { return float64(o.Stats().Gathering) })
	gauge("batches_in_flight", "Batches proposed and not decided.",
		func() float64 { return float64(o.Stats().InFlight) })
	registerRaft(gauge, counter, n)
	to.MustRegister(nodesMetrics(n)...)
	counter("actor_panics_total", "Panics of SKU actors.", func() float64 { return float64(o.Stats().Panics) })
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// collectOnce is a collector that is brought up to date when it is asked.
type collectOnce struct {
	prometheus.Collector
	update func()
}

func (c collectOnce) Collect(to chan<- prometheus.Metric) {
	c.update()
	c.Collector.Collect(to)
}

// Refusals asks every node why it refused a shopper; this one first.
func (v clusterView) Refusals(ctx context.Context, shopper, session string) []httpapi.NodeRefusals {
	told := []httpapi.NodeRefusals{{Node: v.cfg.Node, Report: v.office.Refusals(shopper, session)}}
	for _, other := range v.cluster.AskRefusals(ctx, shopper, session) {
		n := httpapi.NodeRefusals{Node: other.Node, Report: other.Report}
		if other.Err != nil {
			n.Error = other.Err.Error()
		}
		told = append(told, n)
	}
	return told
}

// makeReports makes what counts sessions, and reports on them.
func (n *node) makeReports() {
	n.reports = report.New(report.Config{Dir: filepath.Join(n.cfg.Data, report.Folder), Node: n.cfg.Node,
		Tallies: n.tallies, View: n.office.View, Trail: trail{n}, Leads: func() bool { return n.cluster.Leads() },
		Now: n.office.Now, Others: n.askAboutSession, Log: n.logger,
		Alarms: func() (alarms []engine.Alarm, drained []string) {
			status := clusterView{n}.Status()
			for _, x := range status.Nodes {
				if x.Drained {
					drained = append(drained, x.ID)
				}
			}
			return httpapi.AllAlarms(&status), drained
		}})
}

func (n *node) askAboutSession(ctx context.Context, session string, kept bool) (all []report.Told) {
	for _, told := range n.cluster.AskAboutSession(ctx, session, kept) {
		all = append(all, report.Told(told))
	}
	return all
}

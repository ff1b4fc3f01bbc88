package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/actors"
	"doorbuster/cluster"
	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/plan"
)

// connecting holds the cluster's word of epochs back until the group has a log.
type connecting struct {
	group     *actors.Group
	connected chan struct{}
}

func (c *connecting) EpochOpened(epoch engine.Epoch, at engine.Time) {
	<-c.connected
	c.group.EpochOpened(epoch, at)
}

func (c *connecting) EpochClosed() {
	<-c.connected
	c.group.EpochClosed()
}

// clusterView shows the cluster's node to the operations API, which is made
// before it but asks only after.
type clusterView struct{ *node }

func (v clusterView) Ready() error { return v.cluster.Ready() }

func (v clusterView) Status() httpapi.ClusterStatus {
	s := v.cluster.Status()
	return httpapi.ClusterStatus{Leader: s.Leader, Term: uint64(s.Term), Epoch: uint64(s.Epoch), Nodes: []httpapi.NodeStatus{{
		ID: s.NodeID, Zone: s.Zone, Role: s.Role, Reachable: true, AppliedIndex: uint64(s.AppliedIndex), LastIndex: uint64(s.LastIndex),
	}}}
}

func newAdmin(n *node, k keys) (*httpapi.AdminServer, error) {
	return httpapi.NewAdmin(httpapi.AdminConfig{
		Operator: n.group, Cluster: clusterView{n}, ParsePlan: parsePlan,
		Dev: n.cfg.Dev, Tokens: k.ops, OpenMetrics: n.cfg.OpenMetrics, Logger: n.logger, Registerer: n.metrics, Gatherer: n.metrics,
	})
}

func parsePlan(text []byte) (*engine.Plan, []httpapi.PlanProblem) {
	parsed, problems := plan.Parse(text, plan.Options{Now: time.Now()})
	if len(problems) > 0 {
		told := make([]httpapi.PlanProblem, len(problems))
		for i, p := range problems {
			told[i] = httpapi.PlanProblem{Path: p.Path, Line: p.Line, Column: p.Column, Message: p.Message}
		}
		return nil, told
	}
	return parsed.Plan, nil
}

// newFsyncHistogram gives what the log reports its fsyncs to.
func newFsyncHistogram(to prometheus.Registerer) func(time.Duration) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "doorbuster_wal_fsync_seconds", Help: "Duration of the log's fsyncs.",
		Buckets: prometheus.ExponentialBuckets(50e-6, 2, 15),
	})
	to.MustRegister(h)
	return func(d time.Duration) { h.Observe(d.Seconds()) }
}

// registerGroup exposes what the rooms count by themselves.
func registerGroup(to prometheus.Registerer, g *actors.Group, n *cluster.Node) {
	gauge := func(name, help string, read func() float64) {
		to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_" + name, Help: help}, read))
	}
	counter := func(name, help string, read func() float64) {
		to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "doorbuster_" + name, Help: help}, read))
	}
	gauge("leader", "1 while this node leads and its epoch is open.", func() float64 {
		if n.Ready() == nil {
			return 1
		}
		return 0
	})
	gauge("term", "Raft term.", func() float64 { return float64(n.Status().Term) })
	gauge("applied_index", "Log index of the last entry applied.", func() float64 { return float64(n.Status().AppliedIndex) })
	gauge("last_index", "Log index of the last entry on this node's disk.", func() float64 { return float64(n.Status().LastIndex) })
	gauge("wal_bytes", "Bytes of log on disk.", func() float64 { return float64(n.Status().WALBytes) })
	gauge("wal_segments", "Segments of log on disk.", func() float64 { return float64(n.Status().WALSegments) })
	gauge("grabs_waiting", "Grabs inside, parked or in flight.", func() float64 { return float64(g.Stats().Waiting) })
	gauge("actors", "Listings whose actor has been needed since the start.", func() float64 { return float64(g.Stats().Actors) })
	gauge("listings_quarantined", "ALARM if over 0: listings whose actor panicked too often.", func() float64 { return float64(g.Stats().Quarantined) })
	counter("listings_frozen_total", "ALARM if it grows: listings frozen because their units no longer add up.", func() float64 { return float64(g.Stats().FrozenListings) })
	counter("actor_panics_total", "Panics of SKU actors.", func() float64 { return float64(g.Stats().Panics) })
}

package main

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/settings"
	"doorbuster/engine"
	"doorbuster/httpapi/traces"
)

// MetricsConfig bounds what /metrics has.
type MetricsConfig struct {
	Listings  int // that have metrics of their own
	Exemplars bool
}

// TracesConfig is of traces of grabs, which are sent if there is an endpoint.
type TracesConfig struct {
	Endpoint, TokenFile string
	SampleRatio         float64
}

func (c *Config) addMetrics(t *settings.Table) {
	t.Topic("Metrics and traces")
	settings.Add(t, &c.Metrics.Listings, "metrics.listings", 50, "listings on sale, or lately, that have metrics of "+
		"their own, the busiest first, with up to 30 series each; 0 = none", settings.Between(0, 10_000))
	settings.Add(t, &c.Metrics.Exemplars, "metrics.exemplars", false, "give scrapers that ask for OpenMetrics a "+
		"transaction id as an example of how long grabs take")
	r := &c.Traces
	settings.Add(t, &r.Endpoint, "traces.endpoint", "", "`URL` of an OpenTelemetry collector that traces of grabs are "+
		"sent to (OTLP over HTTP; /v1/traces if it has no path); without it none are",
		ifSet("http or https", traces.ValidateEndpoint))
	settings.Add(t, &r.SampleRatio, "traces.sample_ratio", 0.001, "which part of this node's grabs is traced",
		settings.Between(0.0, 1.0))
	settings.Add(t, &r.TokenFile, "traces.token_file", "", "`file` with a token that the collector wants (as a "+
		"bearer's); read again when it changes")
}

// newTracer makes what sends traces; nil without an endpoint.
func (c Config) newTracer(k keys, logger *slog.Logger) (*traces.Tracer, error) {
	if c.Traces.Endpoint == "" {
		return nil, nil
	}
	return traces.New(traces.Config{Endpoint: c.Traces.Endpoint, Ratio: c.Traces.SampleRatio, Token: k.traces,
		Node: c.Node, Zone: c.Zone, Version: version, Logger: logger})
}

// newStages gives what is told how long stages of grabs take.
func newStages(to prometheus.Registerer) func(engine.Stage, time.Duration) {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "doorbuster_grab_stage_seconds",
		Help: "How long stages of grabs take: door and gate of one grab in 64, the others, where this node leads, of " +
			"one grab of each batch.",
		Buckets: prometheus.ExponentialBuckets(500e-9, 2, 23), // a gate takes 1 µs, a quorum far away 0.1 s
	}, []string{"stage"})
	to.MustRegister(h)
	var stages []prometheus.Observer
	for _, name := range engine.Stages() {
		stages = append(stages, h.WithLabelValues(name))
	}
	return func(s engine.Stage, took time.Duration) { stages[s].Observe(took.Seconds()) }
}

// listingMetrics tells of the busiest listings.
type listingMetrics struct {
	*node
	most    int
	reasons []string

	left, refused *prometheus.Desc
	figures       []listingFigure
}

type listingFigure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*engine.Counts) int64
}

func (n *node) registerListings() {
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc("doorbuster_listing_"+name, help, append([]string{"session", "sku"}, more...), nil)
	}
	m := &listingMetrics{node: n, most: n.cfg.Metrics.Listings, reasons: engine.Reasons(),
		refused: desc("refused_total", "Grabs that this node has refused, by the true reason.", "reason"),
		left: prometheus.NewDesc("doorbuster_listings_without_metrics", "Listings on sale, or lately, that have no "+
			"metrics of their own, since others are busier (metrics.listings).", nil, nil)}
	for _, f := range []struct {
		name, help string
		kind       prometheus.ValueType
		of         func(*engine.Counts) int64
	}{
		{"granted_units_total", "Units granted, the same on all nodes.", prometheus.CounterValue, granted},
		{"stock", "Units put up.", prometheus.GaugeValue, func(c *engine.Counts) int64 { return c.Stock }},
		{"available", "Units free.", prometheus.GaugeValue, func(c *engine.Counts) int64 { return c.Available }},
		{"held", "Units held and not paid for.", prometheus.GaugeValue, func(c *engine.Counts) int64 { return c.Held }},
		{"paid", "Units paid for.", prometheus.GaugeValue, func(c *engine.Counts) int64 { return c.Paid }},
		{"waiting", "Units waited for on the waitlist.", prometheus.GaugeValue,
			func(c *engine.Counts) int64 { return c.Waiting }},
	} {
		m.figures = append(m.figures, listingFigure{desc(f.name, f.help), f.kind, f.of})
	}
	n.metrics.MustRegister(m)
}

// granted are the units of a listing that were ever granted.
func granted(c *engine.Counts) int64 { return c.Held + c.Paid + c.Released }

// Describe implements prometheus.Collector.
func (m *listingMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.left
	ch <- m.refused
	for _, f := range m.figures {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (m *listingMetrics) Collect(ch chan<- prometheus.Metric) {
	type listing struct {
		engine.Counts
		refused []uint64
		grabs   uint64
	}
	var all []listing
	for _, c := range m.office.LiveCounts() {
		l := listing{c, m.office.RefusedBy(c.Session, c.SKU), uint64(granted(&c))}
		for _, n := range l.refused {
			l.grabs += n
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b listing) int {
		return cmp.Or(cmp.Compare(b.grabs, a.grabs), cmp.Compare(a.Session, b.Session), cmp.Compare(a.SKU, b.SKU))
	})
	shown := all[:min(m.most, len(all))]
	ch <- prometheus.MustNewConstMetric(m.left, prometheus.GaugeValue, float64(len(all)-len(shown)))
	for i := range shown {
		l := &shown[i]
		for _, f := range m.figures {
			ch <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(f.of(&l.Counts)), l.Session, l.SKU)
		}
		for why, n := range l.refused {
			if n > 0 {
				ch <- prometheus.MustNewConstMetric(m.refused, prometheus.CounterValue, float64(n), l.Session, l.SKU,
					m.reasons[why])
			}
		}
	}
}

// registerRaft exposes what a node counts of its share in the group.
func registerRaft(gauge, counter func(name, help string, read func() float64), n *cluster.Node) {
	counter("leadership_gained_total", "How often this node began to lead.",
		func() float64 { return float64(n.Stats().LeaderGained) })
	gauge("commit_index", "Log index up to which a quorum has everything, as this node knows.",
		func() float64 { return float64(n.Stats().CommitIndex) })
	gauge("leader_silent_seconds", "For how long this node has heard nothing of a leader; 0 on the leader.",
		func() float64 { return n.Stats().LeaderSilent.Seconds() })
	gauge("zone_held_entries", "Entries that are committed and wait for a voter of another zone.",
		func() float64 { return float64(n.Stats().Held) })
	gauge("zone_held_seconds", "For how long the oldest of these has waited.",
		func() float64 { return n.Stats().HeldFor.Seconds() })
	counter("wal_appended_entries_total", "Entries that were appended to the log.",
		func() float64 { return float64(n.Stats().AppendedEntries) })
	counter("wal_appended_bytes_total", "Bytes of those entries.",
		func() float64 { return float64(n.Stats().AppendedBytes) })
	gauge("snapshot_pending_bytes", "Bytes of entries that the last snapshot lacks.",
		func() float64 { return float64(n.Stats().SinceSnapshot) })
}

// nodesMetrics tell of all nodes of the cluster, as this one knows them.
func nodesMetrics(n *cluster.Node) (all []prometheus.Collector) {
	each := func(name, help string, of func(x *cluster.NodeStatus, last engine.LogIndex) float64) {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "doorbuster_" + name, Help: help},
			[]string{"node", "zone"})
		all = append(all, collectOnce{v, func() {
			v.Reset() // some may have been removed
			nodes, last := n.ClusterStatus().Nodes, engine.LogIndex(0)
			for i := range nodes {
				last = max(last, nodes[i].Last)
			}
			for i := range nodes {
				x := &nodes[i]
				v.WithLabelValues(x.ID, x.Zone).Set(of(x, last))
			}
		}})
	}
	each("node_reachable", "1 for each node that answers this one, else 0.",
		func(x *cluster.NodeStatus, _ engine.LogIndex) float64 { return oneIf(x.Reachable) })
	each("node_lag_entries", "Entries of the log that each node lacks, as this one knows.",
		func(x *cluster.NodeStatus, last engine.LogIndex) float64 { return float64(last - x.Last) })
	each("node_clock_offset_seconds", "How far each node's clock is ahead of this one's.",
		func(x *cluster.NodeStatus, _ engine.LogIndex) float64 { return x.ClockOffset.Seconds() })
	return all
}

package bench

import (
	"context"
	"io"
	"slices"
	"time"
)

// How a node is put out of action.
const (
	HowKill  = "kill"  // SIGKILL
	HowStop  = "stop"  // an orderly stop, with the hand-over that goes with it
	HowStall = "stall" // SIGSTOP, and SIGCONT a while later
)

// FailoverConfig says how the nodes of a cluster are to be killed, how often and
// under which load. Start from [DefaultFailoverConfig]; [FailoverConfig.Settings]
// says what each setting means. All of it but the functions goes into the report.
type FailoverConfig struct {
	// StartNode starts the n-th node (from 0) on its own directory and returns
	// without waiting until it is ready. Its addresses are the same for all runs.
	StartNode func(ctx context.Context, n int) (CrashNode, error) `json:"-"`
	// ApplyPlan applies a plan through an operators' address.
	ApplyPlan func(ctx context.Context, admin string, plan []byte) error `json:"-"`
	// VerifyLog reads the n-th node's log while it is down, without changing it.
	// An error is damage that a crash can't explain. nil: the logs are not read.
	VerifyLog func(n int) (LogReport, error) `json:"-"`

	// Nodes are the ids of the cluster's nodes and Zones those they stand in,
	// all of them voters. Default a1, a2, b1 in a, a, b.
	Nodes []string `json:"nodes"`
	Zones []string `json:"zones"`
	// ZoneAck is the cluster's mode: while it is require and all that is left
	// stands in one zone, nothing can be granted, and no grant is waited for.
	ZoneAck string `json:"zone_ack"`

	// Every 5th of the Kills is of a follower, every 7th of a leader that has only
	// just taken over.
	Kills    int           `json:"kills"`
	How      string        `json:"how"`
	StallFor time.Duration `json:"stall_for_ns"`
	Seed     uint64        `json:"seed"`

	Rate        float64       `json:"rate"` // to all nodes alike (open loop)
	Connections int           `json:"connections"`
	PayWithin   time.Duration `json:"pay_within_ns"` // the other listings' is twelve hours

	CalmLeast time.Duration `json:"calm_least_ns"`
	CalmMost  time.Duration `json:"calm_most_ns"`
	DownMost  time.Duration `json:"down_most_ns"`
	// GrantWithin is a bound that a cluster which is broken exceeds, not an aim.
	GrantWithin time.Duration `json:"grant_within_ns"`
	BackWithin  time.Duration `json:"back_within_ns"`
	Settle      time.Duration `json:"settle_ns"`
	GoOn        bool          `json:"go_on"` // as long as the cluster does

	// Progress is where a line a kill goes; nil for none.
	Progress io.Writer `json:"-"`
}

// DefaultFailoverConfig returns the defaults; the functions are missing.
func DefaultFailoverConfig() FailoverConfig {
	c := defaults[FailoverConfig]()
	c.Nodes, c.Zones = []string{"a1", "a2", "b1"}, []string{"a", "a", "b"}
	return c
}

// Settings are all that can be set from outside, but for the nodes.
func (c *FailoverConfig) Settings() []Setting {
	const ms = time.Millisecond
	return []Setting{
		bounded(&c.Kills, "kills", 100, 1, 100_000, "how often a node is killed"),
		choice(&c.How, "how", HowKill, HowKill, HowStop, HowStall),
		bounded(&c.StallFor, "stall-for", 10*time.Second, 10*ms, 10*time.Minute, "how long a stalled node "+
			"stands still"),
		choice(&c.ZoneAck, "zone-ack", "prefer", "off", "prefer", "require"),
		bounded(&c.Rate, "rate", 2000, 1, 100_000, "new shoppers a second"),
		bounded(&c.Connections, "connections", 384, 1, maxConnections, "requests under way at most"),
		free(&c.Seed, "seed", 0, "what kill instants and choices derive from; 0 makes one"),
		bounded(&c.PayWithin, "pay-within", 2*time.Second, time.Second, time.Minute, "time to pay of the listing "+
			"whose units expire and sell again"),
		span(&c.CalmLeast, "calm-least", 300*ms, 0, "least time that all nodes are well before a kill"),
		span(&c.CalmMost, "calm-most", 1500*ms, c.CalmLeast, "longest such time"),
		span(&c.DownMost, "down-most", 600*ms, 0, "longest that a node stays down once the sale goes on"),
		span(&c.GrantWithin, "grant-within", 15*time.Second, 100*ms, "longest that it may take until a unit is "+
			"granted again"),
		span(&c.BackWithin, "back-within", 30*time.Second, 100*ms, "longest that a node may take to catch up"),
		span(&c.Settle, "settle", 30*time.Second, 0, "longest that the verdict waits for the nodes to stand still, "+
			"and to agree"),
		free(&c.GoOn, "go-on", false, "go on after a kill that found something wrong"),
	}
}

// Validate reports every problem at once, joined.
func (c *FailoverConfig) Validate() error {
	var all problems
	all.unless(c.StartNode != nil && c.ApplyPlan != nil, "no way to start a node or to apply a plan")
	n := len(c.Nodes)
	all.unless(n >= 3 && n <= 7 && n == len(c.Zones),
		"nodes %v in zones %v: want 3 to 7, each with its zone: fewer than 3 can't lose one", c.Nodes, c.Zones)
	all.check(c.Settings())
	return all.join()
}

// offers are what the crowd comes for. Most find nothing left: a no through a
// follower while the leader changes is as delicate as a yes. What is plenty never
// sells out, or no grant could tell that the sale goes on.
func (c *FailoverConfig) offers() []offer {
	day := seeded("failover", c.Seed)
	few := max(1, int64(c.Rate/10))
	return []offer{
		{Listing: Listing{Session: day, SKU: "plenty", Weight: 3}, stock: 100_000_000, payWithin: 12 * time.Hour},
		{Listing: Listing{Session: day, SKU: "some", Weight: 1}, keep: 2 * few, stock: 2 * few,
			payWithin: 12 * time.Hour},
		{Listing: Listing{Session: day, SKU: "scarce", Weight: 5}, keep: few, stock: few, payWithin: 12 * time.Hour},
		{Listing: Listing{Session: day + "-brief", SKU: "fleeting", Weight: 3}, keep: 2 * few, stock: 2 * few,
			payWithin: c.PayWithin},
	}
}

// probesFrom is the number of the first shopper who is no part of the crowd but
// asks a certain node, to see whether it sells.
const probesFrom = maxShoppers / 2

// drill is the crowd's side of the run.
func (c *FailoverConfig) drill(report *DrillReport) drill {
	d := newDrill(report, "failover", c.Seed, c.offers())
	r := &d.rush
	r.Shoppers, r.Rate, r.Connections = maxShoppers, c.Rate, c.Connections
	r.AgainWithin, r.DecideWithin, r.ReturnAfter = 500*time.Millisecond, c.PayWithin/3, 500*time.Millisecond
	r.Settle = c.Settle
	return d
}

// blocked reports whether nothing can be granted while node n is away.
func (c *FailoverConfig) blocked(n int) bool {
	if c.ZoneAck != "require" {
		return false
	}
	left := slices.Delete(slices.Clone(c.Zones), n, n+1)
	slices.Sort(left)
	return len(slices.Compact(left)) == 1
}

// Kinds of kills, by who is killed.
const (
	killLeader   = "leader"
	killFollower = "follower"
	killAgain    = "again" // the leader that took over in the kill before, at once
)

// strike is one kill to come.
type strike struct {
	kind string
	calm time.Duration // before it
	down time.Duration // after the sale goes on
	pick uint64        // which follower
}

// strikeOf derives the i-th strike (from 0) from the seed.
func (c *FailoverConfig) strikeOf(i int) strike {
	d := dice(c.Seed ^ 0x7374726b)
	d = dice(d.next() ^ uint64(i)*0x9e3779b97f4a7c15)
	s := strike{kind: killLeader, calm: c.CalmLeast + d.upTo(c.CalmMost-c.CalmLeast),
		down: d.upTo(c.DownMost), pick: d.next()}
	switch {
	case (i+1)%7 == 0:
		s.kind, s.calm = killAgain, 0
	case (i+1)%5 == 0:
		s.kind = killFollower
	}
	return s
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// How a node is put out of action.
const (
	HowKill  = "kill"  // SIGKILL
	HowStop  = "stop"  // an orderly stop, with the hand-over that goes with it
	HowStall = "stall" // SIGSTOP, and SIGCONT a while later
)

// FailoverConfig says how the nodes of a cluster are to be killed, how often and
// under which load. Start from [DefaultFailoverConfig]. All of it but the
// functions goes into the report.
type FailoverConfig struct {
	// StartNode starts the n-th node (from 0) on its own directory and returns
	// without waiting until it is ready. Its addresses are the same for all runs.
	StartNode func(ctx context.Context, n int) (CrashNode, error) `json:"-"`
	// ApplyPlan applies a plan through an operators' address.
	ApplyPlan func(ctx context.Context, admin string, plan []byte) error `json:"-"`
	// VerifyLog reads the n-th node's log while it is down, without changing it.
	// An error is damage that a crash can't explain. nil: the logs are not read.
	VerifyLog func(n int) (LogReport, error) `json:"-"`

	// Nodes are the ids of the cluster's nodes and Zones the rooms they stand in,
	// all of them voters. Default a1, a2, b1 in a, a, b.
	Nodes []string `json:"nodes"`
	Zones []string `json:"zones"`
	// ZoneAck is the cluster's mode: while it is require and all that is left
	// stands in one zone, nothing can be granted, and no grant is waited for.
	// Default prefer.
	ZoneAck string `json:"zone_ack"`

	// Kills of nodes under load. Every 5th is of a follower, every 7th of a leader
	// that has only just taken over. Default 100.
	Kills int `json:"kills"`
	// How they are done: [HowKill], the default, [HowStop] or [HowStall].
	How string `json:"how"`
	// StallFor is how long a stalled node stands still. Default 10 s.
	StallFor time.Duration `json:"stall_for_ns"`
	// Seed is what kill instants and the shoppers' choices derive from. Default
	// 0: one is made from the clock and reported.
	Seed uint64 `json:"seed"`

	// Rate is how many new shoppers arrive each second, to all nodes alike
	// (open loop). Default 2,000.
	Rate float64 `json:"rate"`
	// Connections is how many requests are under way at most. Default 384.
	Connections int `json:"connections"`
	// PayWithin is the time to pay of the listing whose units expire during the
	// run and sell again, 1 s to 1 m. Default 2 s. The others' is twelve hours.
	PayWithin time.Duration `json:"pay_within_ns"`

	// CalmLeast and CalmMost bound how long all nodes are well, under load, before
	// the next kill. Defaults 300 ms and 1.5 s.
	CalmLeast time.Duration `json:"calm_least_ns"`
	CalmMost  time.Duration `json:"calm_most_ns"`
	// DownMost bounds how long a killed node stays down after the sale goes on.
	// Default 600 ms.
	DownMost time.Duration `json:"down_most_ns"`
	// GrantWithin is how long it may take at most until a unit is granted again.
	// Default 15 s: a bound that a cluster which is broken exceeds, not an aim.
	GrantWithin time.Duration `json:"grant_within_ns"`
	// BackWithin is how long a node may take from its start until it is ready and
	// has caught up. Default 30 s.
	BackWithin time.Duration `json:"back_within_ns"`
	// Settle is how long the verdict waits at most for the shop to stand still,
	// and for the nodes to agree. Default 30 s.
	Settle time.Duration `json:"settle_ns"`

	// GoOn goes on after a kill that found something wrong, as long as the cluster
	// does. Default false.
	GoOn bool `json:"go_on"`

	// Progress is where a line a kill goes; nil for none.
	Progress io.Writer `json:"-"`
}

// DefaultFailoverConfig returns the defaults; the functions are missing.
func DefaultFailoverConfig() FailoverConfig {
	return FailoverConfig{
		Nodes:       []string{"a1", "a2", "b1"},
		Zones:       []string{"a", "a", "b"},
		ZoneAck:     "prefer",
		Kills:       100,
		How:         HowKill,
		StallFor:    10 * time.Second,
		Rate:        2000,
		Connections: 384,
		PayWithin:   2 * time.Second,
		CalmLeast:   300 * time.Millisecond,
		CalmMost:    1500 * time.Millisecond,
		DownMost:    600 * time.Millisecond,
		GrantWithin: 15 * time.Second,
		BackWithin:  30 * time.Second,
		Settle:      30 * time.Second,
	}
}

// Validate reports every problem at once, joined.
func (c *FailoverConfig) Validate() error {
	var all []error
	no := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if c.StartNode == nil || c.ApplyPlan == nil {
		no("no way to start a node or to apply a plan")
	}
	if n := len(c.Nodes); n < 3 || n > 7 || n != len(c.Zones) {
		no("nodes %v in zones %v: want 3 to 7, each with its zone: fewer than 3 can't lose one", c.Nodes, c.Zones)
	}
	if !slices.Contains([]string{"off", "prefer", "require"}, c.ZoneAck) {
		no("zone ack %q: want off, prefer or require", c.ZoneAck)
	}
	if !slices.Contains([]string{HowKill, HowStop, HowStall}, c.How) {
		no("how %q: want %s, %s or %s", c.How, HowKill, HowStop, HowStall)
	}
	whole := func(name string, v, least, most int) {
		if v < least || v > most {
			no("%s %d: want %d to %d", name, v, least, most)
		}
	}
	whole("kills", c.Kills, 1, 100_000)
	whole("connections", c.Connections, 1, maxConnections)
	if !(c.Rate >= 1 && c.Rate <= 100_000) {
		no("rate %g: want 1 to 100000 a second", c.Rate)
	}
	span := func(name string, v, least, most time.Duration) {
		if v < least || v > most {
			no("%s %v: want %v to %v", name, v, least, most)
		}
	}
	span("stall for", c.StallFor, 10*time.Millisecond, 10*time.Minute)
	span("pay within", c.PayWithin, time.Second, time.Minute)
	span("calm least", c.CalmLeast, 0, time.Hour)
	span("calm most", c.CalmMost, c.CalmLeast, time.Hour)
	span("down most", c.DownMost, 0, time.Hour)
	span("grant within", c.GrantWithin, 100*time.Millisecond, time.Hour)
	span("back within", c.BackWithin, 100*time.Millisecond, time.Hour)
	span("settle", c.Settle, 0, time.Hour)
	return errors.Join(all...)
}

// offers are what the crowd comes for. Most find nothing left: a no through a
// follower while the leader changes is as delicate as a yes. What is plenty never
// sells out, or no grant could tell that the sale goes on.
func (c *FailoverConfig) offers() []offer {
	day := "failover-" + strconv.FormatUint(c.Seed, 36)
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

// rush is the crowd's side of the run.
func (c *FailoverConfig) rush() RushConfig {
	r := DefaultRushConfig()
	r.Seed = c.Seed
	r.ShopperPrefix = "failover-" + strconv.FormatUint(c.Seed, 36) + "-"
	r.Shoppers = maxShoppers
	for _, o := range c.offers() {
		r.Listings = append(r.Listings, o.Listing)
	}
	r.Rate, r.Connections = c.Rate, c.Connections
	r.AgainShare, r.AnewShare, r.SecondListingShare = 0.15, 0.1, 0.1
	r.AgainWithin = 500 * time.Millisecond
	r.PayShare, r.CancelShare, r.PayTwiceShare = 0.4, 0.2, 0.2
	r.DecideWithin = c.PayWithin / 3
	r.ReturnShare, r.Returns, r.ReturnAfter = 0.2, 2, 500*time.Millisecond
	r.PollEvery, r.PollFor = 100*time.Millisecond, 15*time.Second
	r.Settle = c.Settle
	return r
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

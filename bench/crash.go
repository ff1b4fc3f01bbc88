package bench

import (
	"context"
	"io"
	"time"
)

// CrashConfig says how a node is to be killed, how often and under which load.
// Start from [DefaultCrashConfig]; [CrashConfig.Settings] says what each setting
// means. All of it but the functions goes into the report.
type CrashConfig struct {
	// StartNode starts a node on the directory under test and returns without
	// waiting until it is ready. snapshotBytes is how many bytes of log it may
	// write between snapshots; 0 is its default.
	StartNode func(ctx context.Context, snapshotBytes int64) (CrashNode, error) `json:"-"`
	// ApplyPlan applies a plan through the operators' address.
	ApplyPlan func(ctx context.Context, admin string, plan []byte) error `json:"-"`
	// VerifyLog reads the stopped node's log without changing it. An error is
	// damage that a crash can't explain.
	VerifyLog func() (LogReport, error) `json:"-"`
	// AwaitSnapshot waits until the running node begins to write a snapshot, or
	// ctx ends. nil: no kill is aimed at snapshots.
	AwaitSnapshot func(ctx context.Context) `json:"-"`

	Rounds int    `json:"rounds"`
	Seed   uint64 `json:"seed"` // what the kill meets in the node can't be repeated
	// ListingStock lasts nearly 50 rounds by default. Two listings besides are filled up
	// before each round so far that they sell out in it.
	ListingStock int64 `json:"listing_stock"`
	Shoppers     int   `json:"shoppers"`
	Returning    int   `json:"returning"` // with the keys they had
	// Connections is also how many answers a kill can swallow.
	Connections        int           `json:"connections"`
	LoadTime           time.Duration `json:"load_time_ns"`
	KillAfter          time.Duration `json:"kill_after_ns"` // counted from the start of the load, as KillBefore
	KillBefore         time.Duration `json:"kill_before_ns"`
	PayWithin          time.Duration `json:"pay_within_ns"` // the other listings' is an hour
	SmallSnapshotBytes int64         `json:"small_snapshot_bytes"`
	KeysAgain          int           `json:"keys_again"`
	ReadyWithin        time.Duration `json:"ready_within_ns"`
	Settle             time.Duration `json:"settle_ns"`

	// Progress is where a line a round goes; nil for none.
	Progress io.Writer `json:"-"`
}

// DefaultCrashConfig returns the defaults; the functions are missing.
func DefaultCrashConfig() CrashConfig { return defaults[CrashConfig]() }

// maxCrashRounds bounds a run: a shopper's number is their round's and their own.
const maxCrashRounds = 10_000

// Settings are all that can be set from outside.
func (c *CrashConfig) Settings() []Setting {
	const ms, perRound = time.Millisecond, maxShoppers / maxCrashRounds
	return []Setting{
		bounded(&c.Rounds, "rounds", 50, 1, maxCrashRounds, "rounds of load, kill, restart and check"),
		free(&c.Seed, "seed", 0, "what kill instants and choices derive from; 0 makes one"),
		bounded(&c.ListingStock, "listing-stock", 30_000, 1, 1_000_000_000, "units of the largest listing; the others "+
			"have a tenth of it and less"),
		bounded(&c.Shoppers, "shoppers", 1500, 1, perRound, "new shoppers a round"),
		bounded(&c.Returning, "returning", 500, 0, perRound, "shoppers of earlier rounds who come back in each"),
		bounded(&c.Connections, "connections", 48, 1, maxConnections, "requests under way at most"),
		bounded(&c.LoadTime, "load-time", 1200*ms, 10*ms, time.Minute, "how long a round's shoppers keep coming"),
		bounded(&c.KillAfter, "kill-after", 50*ms, 0, time.Minute, "earliest instant of a round's first kill"),
		bounded(&c.KillBefore, "kill-before", 800*ms, c.KillAfter, time.Minute, "latest instant of it"),
		bounded(&c.PayWithin, "pay-within", time.Second, time.Second, time.Minute, "time to pay of the listing whose "+
			"units expire and sell again"),
		bounded(&c.SmallSnapshotBytes, "small-snapshot-bytes", 1<<20, 0, 1<<50, "--snapshot-bytes of some starts, "+
			"whose snapshots are then aimed at; 0 leaves all at the default"),
		bounded(&c.KeysAgain, "keys-again", 500, 0, 1_000_000, "orders of those told so far that each check asks for "+
			"again with their keys"),
		span(&c.ReadyWithin, "ready-within", 10*time.Second, 100*ms, "longest that a start may take"),
		span(&c.Settle, "settle", 30*time.Second, 0, "longest that a check waits for the shop to stand still"),
	}
}

// Validate reports every problem at once, joined.
func (c *CrashConfig) Validate() error {
	var all problems
	all.unless(c.StartNode != nil && c.ApplyPlan != nil && c.VerifyLog != nil,
		"no way to start a node, to apply a plan or to verify a log")
	all.check(c.Settings())
	return all.join()
}

// offers are what the crowd comes for: listings of one session, with one unit a
// shopper across them, from one that lasts the run to one that is gone at once,
// and one of another session where holds run out all the time.
func (c *CrashConfig) offers() []offer {
	day := seeded("crash", c.Seed)
	all := []offer{
		{Listing: Listing{Session: day, SKU: "plenty", Weight: 6}, stock: c.ListingStock, payWithin: time.Hour},
		{Listing: Listing{Session: day, SKU: "some", Weight: 2},
			stock: max(1, c.ListingStock/10), payWithin: time.Hour},
		{Listing: Listing{Session: day, SKU: "scarce", Weight: 1}, keep: 1, payWithin: time.Hour},
		{Listing: Listing{Session: day + "-brief", SKU: "fleeting", Weight: 3}, keep: 1, payWithin: c.PayWithin},
	}
	weight := 0.0
	for _, o := range all {
		weight += o.Weight
	}
	for i := range all {
		if o := &all[i]; o.keep > 0 {
			o.keep = max(1, int64(float64(c.Shoppers)*o.Weight/weight/3))
			o.stock = o.keep
		}
	}
	return all
}

// drill is the crowd's side of the run.
func (c *CrashConfig) drill(report *DrillReport) drill {
	d := newDrill(report, "crash", c.Seed, c.offers())
	r := &d.rush
	r.Shoppers, r.Connections = c.Rounds*c.Shoppers, c.Connections
	r.AgainWithin, r.DecideWithin, r.ReturnAfter = c.LoadTime/3, c.LoadTime/3, c.LoadTime/4
	r.PollEvery, r.PollFor, r.Settle = 50*time.Millisecond, 300*time.Millisecond, c.Settle
	return d
}

// kill is one death of the node.
type kill struct {
	after         time.Duration // from the start of the load; after another kill, from the start of the process
	down          time.Duration // before the next start
	snapshotBytes int64         // of the next start
	atSnapshot    bool          // as soon as a snapshot has begun, if that is before after
}

// killsOf derives a round's deaths from the seed: mostly one, under load;
// sometimes another while the node recovers, or writes a snapshot, or soon after.
func (c *CrashConfig) killsOf(round int) []kill {
	d := dice(c.Seed ^ 0x6b696c6c)
	d = dice(d.next() ^ uint64(round)*0x9e3779b97f4a7c15)
	after, atSnapshot := c.KillAfter+d.upTo(c.KillBefore-c.KillAfter), false
	var all []kill
	for {
		k := kill{after: after, atSnapshot: atSnapshot}
		if d.share() < 0.25 {
			// Long enough for holds to run out meanwhile.
			k.down = d.upTo(c.PayWithin * 3 / 2)
		}
		if d.share() < 0.1 { // seldom, or nothing is left to write when a kill waits for it
			k.snapshotBytes = c.SmallSnapshotBytes
		}
		again := d.share()
		switch atSnapshot = false; {
		case again < 0.25: // a process takes some 10 ms to start and 60 more to lead
			after = d.upTo(100 * time.Millisecond)
		case again < 0.4:
			after = d.upTo(c.LoadTime)
		case again < 0.6 && c.AwaitSnapshot != nil && c.SmallSnapshotBytes > 0:
			// A node looks once a second whether a snapshot is due.
			after, atSnapshot, k.snapshotBytes = 1500*time.Millisecond, true, c.SmallSnapshotBytes
		default:
			return append(all, k)
		}
		all = append(all, k)
		if len(all) == 4 {
			return all
		}
	}
}

package bench

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// TwoTabsConfig says how to try the trap of two tabs: everybody asks for both
// listings of a session at the same instant, through two nodes, and the session
// lets nobody have more than one unit. Start from [DefaultTwoTabsConfig].
type TwoTabsConfig struct {
	// Addrs are the nodes' addresses for shoppers, Admin theirs for operators,
	// separated by commas.
	Addrs []string `json:"addrs"`
	Admin string   `json:"admin"`
	// ApplyPlan opens a session with these listings, Stock units each, with a
	// limit of one unit across them and no admission quota.
	ApplyPlan func(ctx context.Context, listings []Listing, stock int64) error `json:"-"`

	Rounds      int    `json:"rounds"`
	Shoppers    int    `json:"shoppers"` // each asks once for each listing
	Stock       int64  `json:"stock"`
	Connections int    `json:"connections"`
	Seed        uint64 `json:"seed"`
	// Progress is where a line a round goes; nil for none.
	Progress io.Writer `json:"-"`
}

// DefaultTwoTabsConfig returns the defaults; nodes and plan are missing.
func DefaultTwoTabsConfig() TwoTabsConfig { return defaults[TwoTabsConfig]() }

// Settings are all that can be set from outside, but for the nodes.
func (c *TwoTabsConfig) Settings() []Setting {
	return []Setting{
		bounded(&c.Rounds, "rounds", 20, 1, 1000, "rounds, each a session of its own"),
		bounded(&c.Shoppers, "shoppers", 10_000, 3, 1_000_000, "shoppers a round"),
		free(&c.Stock, "stock", 4_000, "units of each of the two listings"),
		bounded(&c.Connections, "connections", 2_000, 1, maxConnections/2, "shoppers under way at once, each with two "+
			"connections"),
		free(&c.Seed, "seed", 0, "what all choices derive from; 0 makes one"),
	}
}

// Validate reports every problem at once, joined. It does not look at the nodes.
func (c *TwoTabsConfig) Validate() error {
	var all problems
	all.check(c.Settings())
	all.unless(c.Stock >= 1 && 2*c.Stock < int64(c.Shoppers),
		"stock %d: want 1 to less than half of the %d shoppers, or nobody would go without", c.Stock, c.Shoppers)
	return all.join()
}

// TwoTabsReport is what came of the rounds.
type TwoTabsReport struct {
	Config      TwoTabsConfig  `json:"config"`
	Environment Environment    `json:"environment"`
	Rounds      []TwoTabsRound `json:"rounds"`
}

// TwoTabsRound is what came of one.
type TwoTabsRound struct {
	Session string `json:"session"`
	Granted int64  `json:"granted"` // units, as told
	Unsold  int64  `json:"unsold"`  // units
	// Lost is how many grabs were told that they missed it, or were never answered.
	Lost     int64     `json:"lost"`
	Outcomes []Outcome `json:"outcomes"`
	Seconds  float64   `json:"seconds"`
	Verdict  Verdict   `json:"verdict"`
}

// OK reports whether every unit went to another shopper.
func (r *TwoTabsRound) OK() bool { return r.Verdict.OK && r.Unsold == 0 && r.Lost == 0 }

// OK reports whether all rounds were run and good.
func (r *TwoTabsReport) OK() bool {
	for i := range r.Rounds {
		if !r.Rounds[i].OK() {
			return false
		}
	}
	return len(r.Rounds) == r.Config.Rounds
}

// TwoTabs runs the rounds. Cancelling ctx ends it after the round under way.
func TwoTabs(ctx context.Context, cfg TwoTabsConfig) (*TwoTabsReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	seed(&cfg.Seed)
	report := &TwoTabsReport{Config: cfg, Environment: environment("twotabs")}
	for round := 1; round <= cfg.Rounds && ctx.Err() == nil; round++ {
		session := "tabs-" + strconv.Itoa(round)
		listings := []Listing{{Session: session, SKU: "left"}, {Session: session, SKU: "right"}}
		if err := cfg.ApplyPlan(ctx, listings, cfg.Stock); err != nil {
			return nil, fmt.Errorf("round %d: %w", round, err)
		}
		rush := DefaultRushConfig()
		rush.Addrs, rush.Admin, rush.Listings = cfg.Addrs, cfg.Admin, listings
		rush.Shoppers, rush.Connections, rush.Seed = cfg.Shoppers, cfg.Connections, cfg.Seed+uint64(round)
		rush.ShopperPrefix = session + "-" + strconv.FormatUint(cfg.Seed, 36) + "-"
		rush.SecondListingShare, rush.TwoNodes = 1, true
		rush.AgainShare, rush.AnewShare, rush.ReturnShare, rush.PayShare, rush.CancelShare = 0, 0, 0, 0, 0
		r, err := Rush(ctx, rush)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", round, err)
		}
		done := TwoTabsRound{Session: session, Outcomes: r.Outcomes, Seconds: r.Seconds, Verdict: r.Verdict}
		for _, l := range r.Listings {
			done.Granted += l.Granted
			done.Unsold += l.After.Available
		}
		for _, o := range r.Outcomes {
			if o.Code != codeGranted && o.Code != codeLimit && o.Code != codeSoldOut {
				done.Lost += o.Count
			}
		}
		report.Rounds = append(report.Rounds, done)
		if cfg.Progress != nil {
			fmt.Fprintf(cfg.Progress, "%s round %d: %s\n", mark(done.OK()), round, done.summary())
		}
	}
	return report, nil
}

func (r *TwoTabsRound) summary() string {
	var parts []string
	for _, o := range r.Outcomes {
		parts = append(parts, fmt.Sprintf("%s %d", o.Code, o.Count))
	}
	return fmt.Sprintf("%d units told, %d unsold, %.2f s; grabs: %s", r.Granted, r.Unsold, r.Seconds,
		strings.Join(parts, ", "))
}

func (r *TwoTabsReport) write(s *sheet) {
	s.put("TWO TABS\t%d shoppers, two listings of %d units, limit 1 across both, %d nodes, seed %d\n\n",
		r.Config.Shoppers, r.Config.Stock, len(r.Config.Addrs), r.Config.Seed)
	s.put("ROUND\tUNITS TOLD\tUNSOLD\tLOST\tSECONDS\tVERDICT\n")
	bad := -1
	for i := range r.Rounds {
		x := &r.Rounds[i]
		s.put("%d\t%d\t%d\t%d\t%.2f\t%s\n", i+1, x.Granted, x.Unsold, x.Lost, x.Seconds, exact(x.OK()))
		if bad < 0 && !x.OK() {
			bad = i // the others are in the JSON
		}
	}
	if bad >= 0 {
		s.put("\nround %d: %s\n", bad+1, r.Rounds[bad].summary())
		s.verdict(&r.Rounds[bad].Verdict)
	}
}

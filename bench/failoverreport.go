package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// FailoverReport is what came of a failover test.
type FailoverReport struct {
	Config      FailoverConfig `json:"config"`
	Environment Environment    `json:"environment"`
	Started     time.Time      `json:"started"`
	Interrupted bool           `json:"interrupted"`
	Seconds     float64        `json:"seconds"`

	// NextGrant is from the kill of a leader until any node that was left first
	// granted a unit to a shopper who asked after it; AfterFollower the same of a
	// follower's kill; Everywhere until the last of those nodes had.
	NextGrant     Percentiles `json:"next_grant"`
	AfterFollower Percentiles `json:"next_grant_after_follower"`
	Everywhere    Percentiles `json:"next_grant_everywhere"`
	// Gap is the longest time between two grants around each kill, the way back
	// included; LongestGapMS that of the whole run.
	Gap          Percentiles `json:"gap"`
	LongestGapMS float64     `json:"longest_gap_ms"`
	// Back is from the start of a node until it was ready and had caught up.
	Back Percentiles `json:"back"`

	Starts     int   `json:"starts"`
	TornTails  int   `json:"torn_tails"`   // logs that ended in half a batch
	Shoppers   int64 `json:"shoppers"`     // who came
	Grabs      int64 `json:"grabs"`        // asks, second clicks and returns too
	Processing int64 `json:"processing"`   // grabs first answered "processing"
	Orders     int64 `json:"orders"`       // distinct orders told
	Paid       int64 `json:"paid"`         // payments confirmed
	Cancelled  int64 `json:"cancelled"`    // cancellations confirmed
	Lost       int64 `json:"lost_answers"` // grabs whose outcome was open at the end
	LostYes    int64 `json:"lost_answers_yes"`
	// LookedUpEverywhere is how many orders were read for the verdict, one node
	// after the other; Looks those asked for while nodes were being killed.
	LookedUpEverywhere int64 `json:"looked_up_everywhere"`
	Looks              int64 `json:"looks"`
	LooksAnswered      int64 `json:"looks_answered"`
	// AgreedAt is the log index at which all nodes counted the same, and Hash that
	// of their states, where they tell it.
	AgreedAt uint64 `json:"agreed_at"`
	Hash     string `json:"hash,omitempty"`

	Outcomes map[string]int64 `json:"outcomes"`
	Kills    []FailoverKill   `json:"kills"`
	Listings []ListingReport  `json:"listings"`
	Verdict  Verdict          `json:"verdict"`
}

// FailoverKill is one kill.
type FailoverKill struct {
	Kill int    `json:"kill"` // from 1
	Kind string `json:"kind"` // leader, follower, or again: the leader that had just taken over
	Node string `json:"node"` // who was killed
	// AtSeconds is from the start of the load.
	AtSeconds float64 `json:"at_seconds"`
	// NextGrantMS is until the next grant, which NextBy gave, and AllGrantMS until
	// all nodes that were left had given one. 0 where nothing could be granted.
	NextGrantMS float64 `json:"next_grant_ms"`
	NextBy      string  `json:"next_by,omitempty"`
	AllGrantMS  float64 `json:"all_grant_ms"`
	// Blocked says that zone ack allowed no grant while the node was away.
	Blocked bool    `json:"blocked,omitempty"`
	GapMS   float64 `json:"gap_ms"`
	BackMS  float64 `json:"back_ms"`
	Orders  int64   `json:"orders"` // told so far
	Fault   string  `json:"fault,omitempty"`
}

func newFailoverReport(cfg FailoverConfig) *FailoverReport {
	return &FailoverReport{Config: cfg, Environment: environment(), Started: time.Now()}
}

// OK reports whether every check held.
func (p *FailoverReport) OK() bool { return p.Verdict.OK }

// JSON returns the whole report, indented.
func (p *FailoverReport) JSON() ([]byte, error) { return indentedJSON(p) }

// fillReport takes over what was counted.
func (t *failoverTest) fillReport() {
	p, c := t.report, t.crowd.tally
	p.Seconds = time.Since(p.Started).Seconds()
	p.NextGrant, p.AfterFollower = percentilesOf(t.leaderKills.sum()), percentilesOf(t.followerKills.sum())
	p.Everywhere, p.Gap, p.Back = percentilesOf(t.everywhere.sum()), percentilesOf(t.gaps.sum()),
		percentilesOf(t.back.sum())
	p.LongestGapMS = millis(t.watch.longest)
	p.Shoppers, p.Grabs, p.Processing = c.shoppers.Load(), c.asks.Load(), c.processing.Load()
	p.Orders, p.Paid, p.Cancelled = c.granted.Load(), c.paid.Load(), c.cancelled.Load()
	p.Outcomes = c.outcomes
	p.Listings = t.inq.listings()
}

// tell writes a line of progress.
func (t *failoverTest) tell(format string, args ...any) {
	if t.cfg.Progress != nil {
		fmt.Fprintf(t.cfg.Progress, format+"\n", args...)
	}
}

// showKill writes the line of the last kill.
func (t *failoverTest) showKill() {
	k := t.report.Kills[len(t.report.Kills)-1]
	mark, came := "✓", fmt.Sprintf("next grant after %.0f ms by %s, by all after %.0f ms",
		k.NextGrantMS, k.NextBy, k.AllGrantMS)
	if k.Blocked {
		came = "no grant possible without it"
	}
	if t.crowd.sins.any() {
		mark = "✗"
	}
	who := map[string]string{killLeader: "leader", killFollower: "follower", killAgain: "leader again"}[k.Kind]
	line := fmt.Sprintf("%s %s %d: %s %s; %s; longest gap %.0f ms; back in %.0f ms; %d orders told",
		mark, t.cfg.How, k.Kill, who, k.Node, came, k.GapMS, k.BackMS, k.Orders)
	if k.Fault != "" {
		line = fmt.Sprintf("%s %s %d: %s %s: %s", mark, t.cfg.How, k.Kill, who, k.Node, k.Fault)
	}
	t.tell("%s", line)
}

// WriteTable writes the report for people.
func (p *FailoverReport) WriteTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	put := func(format string, args ...any) { fmt.Fprintf(w, format, args...) }
	kinds := make(map[string]int)
	for _, k := range p.Kills {
		kinds[k.Kind]++
	}
	put("FAILOVER\t%d of %d times %s, seed %d, %d nodes, zone ack %s, %.0f s\n", len(p.Kills), p.Config.Kills,
		p.Config.How, p.Config.Seed,
		len(p.Config.Nodes), p.Config.ZoneAck, p.Seconds)
	if p.Interrupted {
		put("\tinterrupted\n")
	}
	put("KILLS\t%d of leaders, %d of leaders that had just taken over, %d of followers; %d left a torn end\n",
		kinds[killLeader], kinds[killAgain], kinds[killFollower], p.TornTails)
	put("ORDERS\t%d told in %d grabs, %d paid, %d cancelled by the shopper\n", p.Orders, p.Grabs, p.Paid, p.Cancelled)
	put("CROWD\t%d shoppers at %.0f a second; %d grabs were first told processing; %d answers open at the end, %d "+
		"of them a yes\n",
		p.Shoppers, p.Config.Rate, p.Processing, p.Lost, p.LostYes)
	put("CHECKED\t%d orders looked up on the nodes, %d orders asked for during kills\n\n",
		p.LookedUpEverywhere, p.Looks)
	put("TIME\tCOUNT\tP50\tP90\tP99\tMAX\n")
	for _, l := range []struct {
		name string
		p    Percentiles
	}{
		{"leader killed to next grant", p.NextGrant}, {"follower killed to next grant", p.AfterFollower},
		{"until all nodes left grant", p.Everywhere}, {"longest gap between grants", p.Gap},
		{"start to caught up", p.Back},
	} {
		put("%s\t%d\t%s\t%s\t%s\t%s\n", l.name, l.p.Count, ms(l.p.P50), ms(l.p.P90), ms(l.p.P99), ms(l.p.Max))
	}
	put("\nLISTING\tSTOCK\tGRANTED\tRESOLD\tAVAILABLE\tHELD\tPAID\tSTATE\n")
	for _, l := range p.Listings {
		put("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", l.Listing, l.After.Stock, l.Granted, l.Resold, l.After.Available,
			l.After.Held, l.After.Paid, l.After.State)
	}
	put("\n")
	p.Verdict.write(put)
	return w.Flush()
}

package bench

import "fmt"

// FailoverReport is what came of a failover test.
type FailoverReport struct {
	Config FailoverConfig `json:"config"`
	DrillReport

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

	// LookedUpEverywhere is how many orders were read for the verdict, one node
	// after the other.
	LookedUpEverywhere int64 `json:"looked_up_everywhere"`
	// AgreedAt is the log index at which all nodes counted the same, and Hash that
	// of their states, where they tell it.
	AgreedAt uint64 `json:"agreed_at"`
	Hash     string `json:"hash,omitempty"`

	Outcomes map[string]int64 `json:"outcomes"`
	Kills    []FailoverKill   `json:"kills"`
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

// tell writes a line of progress.
func (t *failoverTest) tell(format string, args ...any) {
	if t.cfg.Progress != nil {
		fmt.Fprintf(t.cfg.Progress, format+"\n", args...)
	}
}

// showKill writes the line of the last kill.
func (t *failoverTest) showKill() {
	k := t.report.Kills[len(t.report.Kills)-1]
	who := map[string]string{killLeader: "leader", killFollower: "follower", killAgain: "leader again"}[k.Kind]
	came := fmt.Sprintf("next grant after %.0f ms by %s, by all after %.0f ms", k.NextGrantMS, k.NextBy, k.AllGrantMS)
	if k.Blocked {
		came = "no grant possible without it"
	}
	came = fmt.Sprintf("; %s; longest gap %.0f ms; back in %.0f ms; %d orders told", came, k.GapMS, k.BackMS, k.Orders)
	if k.Fault != "" {
		came = ": " + k.Fault
	}
	t.tell("%s %s %d: %s %s%s", mark(!t.crowd.findings.any()), t.cfg.How, k.Kill, who, k.Node, came)
}

func (p *FailoverReport) write(s *sheet) {
	kinds := make(map[string]int)
	for _, k := range p.Kills {
		kinds[k.Kind]++
	}
	s.put("FAILOVER\t%d of %d times %s, seed %d, %d nodes, zone ack %s, %.0f s\n", len(p.Kills), p.Config.Kills,
		p.Config.How, p.Config.Seed, len(p.Config.Nodes), p.Config.ZoneAck, p.Seconds)
	s.put("KILLS\t%d of leaders, %d of leaders that had just taken over, %d of followers; %d left a torn end\n",
		kinds[killLeader], kinds[killAgain], kinds[killFollower], p.TornTails)
	s.put("CROWD\t%d shoppers at %.0f a second; %d grabs were first told processing\n", p.Shoppers, p.Config.Rate,
		p.Processing)
	s.put("CHECKED\t%d orders looked up on the nodes\n", p.LookedUpEverywhere)
	p.DrillReport.write(s, []timed{
		{"leader killed to next grant", p.NextGrant}, {"follower killed to next grant", p.AfterFollower},
		{"until all nodes left grant", p.Everywhere}, {"longest gap between grants", p.Gap},
		{"start to caught up", p.Back},
	})
}

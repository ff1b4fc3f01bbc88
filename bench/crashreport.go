package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// CrashReport is what came of a crash test.
type CrashReport struct {
	Config      CrashConfig `json:"config"`
	Environment Environment `json:"environment"`
	Started     time.Time   `json:"started"`
	Interrupted bool        `json:"interrupted"`
	Seconds     float64     `json:"seconds"`

	Starts          int   `json:"starts"`
	Kills           int   `json:"kills"`
	KillsRecovering int   `json:"kills_recovering"` // of them, before the node was ready again
	KillsSnapshot   int   `json:"kills_snapshot"`   // of them, in the middle of a snapshot
	TornTails       int   `json:"torn_tails"`       // logs that ended in half a batch
	Grabs           int64 `json:"grabs"`            // asks, those of shoppers who come again too
	Orders          int64 `json:"orders"`           // distinct orders told
	Paid            int64 `json:"paid"`             // payments confirmed
	Cancelled       int64 `json:"cancelled"`        // cancellations confirmed
	Lost            int64 `json:"lost_answers"`     // grabs whose answer a kill has swallowed
	LostYes         int64 `json:"lost_answers_yes"` // of them, those that had got an order
	LookedUp        int64 `json:"looked_up"`        // orders read for the checks
	KeysAsked       int64 `json:"keys_asked"`       // grabs sent again with an old key for the checks
	Looks           int64 `json:"looks"`            // orders asked for while the node was being killed
	LooksAnswered   int64 `json:"looks_answered"`

	// Ready is from the start of a process until it said that it is ready,
	// Outage from the kill until then; both of the starts that were not killed
	// on the way.
	Ready  Percentiles `json:"ready"`
	Outage Percentiles `json:"outage"`

	Rounds   []CrashRound    `json:"rounds"`
	Listings []ListingReport `json:"listings"`
	Verdict  Verdict         `json:"verdict"`
}

// CrashRound is one round of a crash test.
type CrashRound struct {
	Round int `json:"round"` // from 1
	// KilledMS are the kills: the first from the start of the load, others from
	// the start of the process. DownMS is how long nothing ran on purpose.
	KilledMS   []float64 `json:"killed_ms"`
	DownMS     []float64 `json:"down_ms"`
	ReadyMS    []float64 `json:"ready_ms"`
	LogBytes   int64     `json:"log_bytes"`
	LogRecords uint64    `json:"log_records"`
	Torn       []string  `json:"torn,omitempty"`
	Orders     int       `json:"orders"` // told so far, in all rounds
	Lost       int       `json:"lost_answers"`
	LostYes    int       `json:"lost_answers_yes"`
}

func newCrashReport(cfg CrashConfig) *CrashReport {
	return &CrashReport{Config: cfg, Environment: environment(), Started: time.Now()}
}

// OK reports whether every check held.
func (p *CrashReport) OK() bool { return p.Verdict.OK }

// JSON returns the whole report, indented.
func (p *CrashReport) JSON() ([]byte, error) { return indentedJSON(p) }

// fillReport takes over what was counted so far.
func (t *crashTest) fillReport() {
	p, c := t.report, t.crowd.tally
	p.Seconds = time.Since(p.Started).Seconds()
	p.Grabs, p.Orders, p.Paid, p.Cancelled = c.asks.Load(), c.granted.Load(), c.paid.Load(), c.cancelled.Load()
	p.LookedUp = c.lookedUp.Load()
	p.Ready, p.Outage = percentilesOf(t.ready.sum()), percentilesOf(t.outage.sum())
	p.Listings = t.inq.listings()
}

// showRound writes the line of the last round.
func (t *crashTest) showRound() {
	if t.cfg.Progress == nil {
		return
	}
	r := t.report.Rounds[len(t.report.Rounds)-1]
	mark := "✓"
	if !t.report.OK() {
		mark = "✗"
	}
	ends := "clean"
	if len(r.Torn) > 0 {
		ends = "torn: " + strings.Join(r.Torn, "; ")
	}
	fmt.Fprintf(t.cfg.Progress, "%s round %2d: %d orders told; killed at %s ms, down %s ms, ready in %s ms; log "+
		"%.2f MB, %d records, %s; %d answers lost, %d a yes\n",
		mark, r.Round, r.Orders, wholeList(r.KilledMS), wholeList(r.DownMS), wholeList(r.ReadyMS),
		float64(r.LogBytes)/1e6, r.LogRecords, ends, r.Lost, r.LostYes)
}

// wholeList writes figures without fractions: "412 + 35".
func wholeList(all []float64) string {
	if len(all) == 0 {
		return "-"
	}
	parts := make([]string, len(all))
	for i, v := range all {
		parts[i] = fmt.Sprintf("%.0f", v)
	}
	return strings.Join(parts, " + ")
}

// WriteTable writes the report for people.
func (p *CrashReport) WriteTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	put := func(format string, args ...any) { fmt.Fprintf(w, format, args...) }
	put("CRASH\t%d rounds of %d, seed %d, %.0f s\n", len(p.Rounds), p.Config.Rounds, p.Config.Seed, p.Seconds)
	if p.Interrupted {
		put("\tinterrupted\n")
	}
	put("KILLS\t%d, %d of them before the node was ready again, %d in the middle of a snapshot; %d left a torn end\n",
		p.Kills, p.KillsRecovering, p.KillsSnapshot, p.TornTails)
	put("ORDERS\t%d told in %d grabs, %d paid, %d cancelled by the shopper\n", p.Orders, p.Grabs, p.Paid, p.Cancelled)
	put("LOST\t%d answers to grabs, %d of them a yes\n", p.Lost, p.LostYes)
	put("CHECKED\t%d orders looked up, %d keys asked again, %d orders asked for during kills\n\n",
		p.LookedUp, p.KeysAsked, p.Looks)
	put("TIME\tCOUNT\tP50\tP90\tMAX\n")
	for _, l := range []struct {
		name string
		p    Percentiles
	}{{"start to ready", p.Ready}, {"kill to ready", p.Outage}} {
		put("%s\t%d\t%s\t%s\t%s\n", l.name, l.p.Count, ms(l.p.P50), ms(l.p.P90), ms(l.p.Max))
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

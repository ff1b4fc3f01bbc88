package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Submitter decides grabs without HTTP. It returns once the decision may be
// told: a yes is then durable. The code is one of the shop's; an error means
// that the outcome is not known. Called concurrently.
type Submitter interface {
	Grab(ctx context.Context, session, sku, shopper, key string, quantity int) (code string, err error)
}

// DecideConfig says how to measure decisions. Start from
// [DefaultDecideConfig].
type DecideConfig struct {
	// Submit is what decides.
	Submit Submitter `json:"-"`
	// Bare, if not nil, is what Submit stands on, and measured beside it: it takes the
	// same grabs, and only counts them.
	Bare Submitter `json:"-"`
	// Listings is what is grabbed, in turn. For durable yeses they need more
	// stock than all rounds ask for.
	Listings []Listing `json:"listings"`
	// More Submitters let more decisions share a sync.
	Submitters int    `json:"submitters"`
	Want       string `json:"want"` // the code that counts; another one is unexpected
	Nodes      int    `json:"nodes"`
	Measuring
}

// DefaultDecideConfig returns the defaults; Submit and Listings are missing.
func DefaultDecideConfig() DecideConfig { return defaults[DecideConfig]() }

// Settings are all that can be set from outside.
func (c *DecideConfig) Settings() []Setting {
	return append(c.settings(1, 3*time.Second, "decide-"),
		bounded(&c.Submitters, "submitters", 4096, 1, 1_000_000, "callers, each waiting for one decision at a time"),
		free(&c.Want, "want", codeGranted, ""), bounded(&c.Nodes, "nodes", 1, 1, 7, "nodes, each a process; the "+
			"callers are in the leader's"))
}

// Validate reports every problem at once, joined.
func (c *DecideConfig) Validate() error {
	var all problems
	all.unless(c.Submit != nil, "nothing to submit to")
	all.unless(len(c.Listings) > 0, "listing: at least one SESSION/SKU")
	all.unless(knownCode([]byte(c.Want)) != "", "want %q: no code of the shop", c.Want)
	all.check(c.Settings())
	return all.join()
}

// DecideReport is what came of the rounds.
type DecideReport struct {
	Config      DecideConfig  `json:"config"`
	Environment Environment   `json:"environment"`
	Rounds      []DecideRound `json:"rounds"`
	// PerSecond is the median of the rounds.
	PerSecond float64 `json:"decisions_per_second"`
	// OfBare is the median of the rounds' own ratios to the bare, with the least and the
	// most; 0 without one.
	OfBare      float64 `json:"of_bare,omitempty"`
	OfBareLeast float64 `json:"of_bare_least,omitempty"`
	OfBareMost  float64 `json:"of_bare_most,omitempty"`
	// Granted is how many yeses were heard in all, warm-up included: what the
	// shop must have taken from stock, if nothing else sold and Unknown is 0.
	Granted int64 `json:"granted"`
	// Unknown is how many decisions came back as an error.
	Unknown int64 `json:"unknown"`
}

// DecideRound is one round's figures.
type DecideRound struct {
	Decisions  int64            `json:"decisions"`
	PerSecond  float64          `json:"decisions_per_second"`
	Unexpected int64            `json:"unexpected"`
	Outcomes   map[string]int64 `json:"outcomes"`
	Latency    Percentiles      `json:"latency"`
	FsyncP50MS float64          `json:"fsync_p50_ms"`
	FsyncP99MS float64          `json:"fsync_p99_ms"`
	// BarePerSecond is the bare's in the same round.
	BarePerSecond float64 `json:"bare_decisions_per_second,omitempty"`
}

// Decide measures decisions a second: each submitter grabs for one new shopper
// after another and waits for each decision. Cancelling ctx ends it with
// ctx's error.
func Decide(ctx context.Context, cfg DecideConfig) (*DecideReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	report := &DecideReport{Config: cfg, Environment: environment(workloadDecide)}
	shop := &decisions{cfg: &cfg, submit: cfg.Submit}
	all := []*decisions{shop}
	if cfg.Bare != nil {
		all = append(all, &decisions{cfg: &cfg, submit: cfg.Bare})
	}
	if cfg.WarmUp > 0 {
		for _, d := range all {
			d.round(ctx, cfg.WarmUp, 0)
		}
	}
	var rates, ratios []float64
	for i := range cfg.Rounds {
		fsync, err := MeasureFsync(cfg.DataDir, fsyncsARound)
		if err != nil {
			return nil, err
		}
		measured := make([]DecideRound, len(all))
		for k := range all { // by turns, and turned about
			at := (i + k) % len(all)
			measured[at] = all[at].round(ctx, cfg.RoundTime, 0)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, said := measured[0], ""
		r.FsyncP50MS, r.FsyncP99MS = fsync.P50, fsync.P99
		if cfg.Bare != nil {
			r.BarePerSecond = measured[1].PerSecond
			ratios = append(ratios, r.PerSecond/r.BarePerSecond)
			said = fmt.Sprintf("; bare %.0f/s", r.BarePerSecond)
		}
		report.Rounds = append(report.Rounds, r)
		rates = append(rates, r.PerSecond)
		if cfg.Progress != nil {
			fmt.Fprintf(cfg.Progress, "round %d %9.0f decisions/s, p99 %.2f ms%s\n", i+1, r.PerSecond, r.Latency.P99,
				said)
		}
	}
	report.PerSecond = median(rates)
	if len(ratios) > 0 {
		report.OfBare, report.OfBareLeast, report.OfBareMost = median(ratios), slices.Min(ratios), slices.Max(ratios)
	}
	for _, d := range all {
		report.Unknown += d.unknown.Load()
	}
	report.Granted = shop.granted.Load()
	return report, nil
}

// decisions is the state that lasts over the rounds.
type decisions struct {
	cfg     *DecideConfig
	submit  Submitter
	shopper atomic.Int64 // the last block of numbers given out; see blockOfShoppers
	granted atomic.Int64
	unknown atomic.Int64
}

// blockOfShoppers is how many shoppers' numbers a submitter takes at a time:
// one shared counter for each decision would be felt.
const blockOfShoppers = 64

// latencyEvery is how many decisions of a submitter share one measured
// latency: reading the clock twice and a histogram's lock cost a tenth of a
// decision.
const latencyEvery = 8

// round grabs for so long, or for so many shoppers; 0 is no bound of these.
func (d *decisions) round(ctx context.Context, length time.Duration, atMost int64) DecideRound {
	r := DecideRound{Outcomes: make(map[string]int64)}
	lat := newLatency()
	var stop atomic.Bool
	var begun atomic.Int64 // shoppers that blocks were given out for
	var mu sync.Mutex      // guards r
	var all sync.WaitGroup
	began := time.Now()
	for i := range d.cfg.Submitters {
		all.Go(func() {
			outcomes := make(map[string]int64, 2)
			name := []byte(d.cfg.ShopperPrefix)
			next, end := int64(0), int64(0)
			for n := i; !stop.Load(); n++ {
				if next == end {
					room := int64(blockOfShoppers)
					if atMost > 0 {
						if room = min(room, atMost-begun.Add(blockOfShoppers)+blockOfShoppers); room <= 0 {
							break
						}
					}
					next = d.shopper.Add(1)*blockOfShoppers - blockOfShoppers
					end = next + room
				}
				name = strconv.AppendInt(name[:len(d.cfg.ShopperPrefix)], next, 10)
				next++
				shopper := string(name)
				measured := n%latencyEvery == 0
				var sent time.Time
				if measured {
					sent = time.Now()
				}
				l := &d.cfg.Listings[n%len(d.cfg.Listings)]
				code, err := d.submit.Grab(ctx, l.Session, l.SKU, shopper, shopper, 1)
				if err != nil {
					code = outcomeUnknown
				}
				if measured {
					lat.record(i, time.Since(sent))
				}
				outcomes[code]++
			}
			mu.Lock()
			for code, n := range outcomes {
				r.Outcomes[code] += n
			}
			mu.Unlock()
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-done:
	}
	stop.Store(true)
	<-done
	// Until the last decision came back, or a round would count decisions
	// that were made after it.
	took := time.Since(began)
	for code, n := range r.Outcomes {
		switch code {
		case codeGranted:
			d.granted.Add(n)
		case outcomeUnknown:
			d.unknown.Add(n)
		}
		if code != d.cfg.Want {
			r.Unexpected += n
		}
		r.Decisions += n
	}
	r.PerSecond = float64(r.Decisions) / took.Seconds()
	r.Latency = percentilesOf(lat.sum())
	return r
}

// OK reports whether nearly all decisions were the ones wanted and none is
// unknown.
func (r *DecideReport) OK() bool {
	for _, m := range r.Rounds {
		if m.Unexpected*1000 > m.Decisions {
			return false
		}
	}
	return len(r.Rounds) > 0 && r.Unknown == 0
}

func (r *DecideReport) write(s *sheet) {
	s.put("DECIDE\t%d submitters, %d nodes, median %.0f decisions/s\n\n", r.Config.Submitters, r.Config.Nodes,
		r.PerSecond)
	if r.OfBare > 0 {
		s.put("OF BARE\t%.3f (%.3f, %.3f)\n\n", r.OfBare, r.OfBareLeast, r.OfBareMost)
	}
	s.put("ROUND\tDECISIONS/S\tBARE\tP50\tP99\tFSYNC P50\tFSYNC P99\tOUTCOMES\n")
	for i, m := range r.Rounds {
		bare := "-"
		if m.BarePerSecond > 0 {
			bare = fmt.Sprintf("%.0f", m.BarePerSecond)
		}
		s.put("%d\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\n", i+1, m.PerSecond, bare, ms(m.Latency.P50), ms(m.Latency.P99),
			ms(m.FsyncP50MS), ms(m.FsyncP99MS), sortedCounts(m.Outcomes))
	}
}

func (r *DecideReport) series() []Series {
	under := fmt.Sprintf("nodes=%d, submitters=%d", r.Config.Nodes, r.Config.Submitters)
	shop := Series{Kind: r.Config.Want, Unit: "decisions", Under: under}
	bare := Series{Kind: "bare", Unit: shop.Unit, Under: under}
	for _, m := range r.Rounds {
		shop.PerSecond, shop.Latency = append(shop.PerSecond, m.PerSecond), append(shop.Latency, m.Latency)
		if m.BarePerSecond > 0 {
			bare.PerSecond = append(bare.PerSecond, m.BarePerSecond)
		}
	}
	if len(bare.PerSecond) == 0 {
		return []Series{shop}
	}
	shop.Of = bare.Kind
	return []Series{bare, shop}
}

func (r *DecideReport) kept() kept {
	k := kept{dir: r.Config.ResultsDir, from: &r.Environment}
	for _, m := range r.Rounds {
		k.line(fmt.Sprintf("Decide/%s/nodes=%d/submitters=%d", r.Config.Want, r.Config.Nodes, r.Config.Submitters),
			m.Decisions, "%.1f ns/op\t%.0f decisions/s\t%.0f bare/s\t%.3f p50-ms\t%.3f p99-ms",
			1e9/max(1e-9, m.PerSecond), m.PerSecond, m.BarePerSecond, m.Latency.P50, m.Latency.P99)
	}
	return k
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What must hold of the sales.
const (
	mustFanDayP99       = 5.0 // ms, or
	mustFanDayP99Times  = 3.0 // the bare handler's, whichever is more
	mustFanDayP999      = 15.0
	mustFanDayP999Syncs = 4.0 // of the disk's p99.9
	mustFanDayRate      = 0.99
	mustMaskOfHello     = 0.85
)

// SaleConfig says what is sold to whom. Start from [DefaultSaleConfig].
type SaleConfig struct {
	// StartHello starts the bare handler (see [ServeHello]), and StartShop so many nodes
	// with so many units of each listing. Both run to the end, one of them idle.
	StartHello func() (HTTPServer, error)              `json:"-"`
	StartShop  func(ctx context.Context) (Shop, error) `json:"-"`

	Kind          string     `json:"kind"` // a fan day or a mask sale, as its measurements are kept
	Rush          RushConfig `json:"-"`    // the report of the rush has it
	Units         int64      `json:"units"`
	Nodes         int        `json:"nodes"`
	HelloShoppers int        `json:"hello_shoppers"`
	Fsyncs        int        `json:"fsyncs"`
	DataDir       string     `json:"data_dir"`
	ResultsDir    string     `json:"-"`
	// Progress is where a line a question goes; nil for none.
	Progress io.Writer `json:"-"`
}

// Shop is a running shop of one node or several.
type Shop struct {
	Addrs []string     // the shoppers' addresses
	Admin string       // the operators' addresses, separated by commas
	Close func() error // stops it
}

// The kinds of sales.
const (
	KindFanDay = workloadFanDay
	KindMask   = workloadMask
)

// DefaultSaleConfig returns a kind's defaults; what starts the servers is missing.
func DefaultSaleConfig(kind string) SaleConfig {
	c := SaleConfig{Kind: kind, Rush: DefaultRushConfig()}
	skus := []string{"mask-50"}
	if kind == KindFanDay {
		skus = append(skus, "earbuds-2", "lamp-desk", "mug-fans")
	} else { // each asks once
		c.Rush.AgainShare, c.Rush.AnewShare, c.Rush.ReturnShare = 0, 0, 0
	}
	for _, sku := range skus {
		c.Rush.Listings = append(c.Rush.Listings, Listing{Session: kind, SKU: sku})
	}
	for _, s := range c.Settings() {
		s.reset()
	}
	return c
}

// Settings are all that can be set from outside.
func (c *SaleConfig) Settings() []Setting {
	shoppers, hello, rate, units, nodes, decide := 3_000_000, 1_000_000, 0.0, int64(50_000), 1, time.Second
	if c.Kind == KindFanDay { // two of a hundred get a unit, as of examples/fans-day.yaml
		shoppers, hello, rate, units, nodes, decide = 600_000, 200_000, 10_000, 3000, 3, 30*time.Second
	}
	return []Setting{
		bounded(&c.Rush.Shoppers, "shoppers", shoppers, 1, maxShoppers, "how many distinct shoppers come"),
		bounded(&c.Rush.Rate, "rate", rate, 0, 1e7, "arrivals a second (open loop); 0 = as fast as the connections "+
			"carry them"),
		bounded(&c.Rush.Connections, "connections", 256, 1, maxConnections, "requests under way at most"),
		bounded(&c.HelloShoppers, "hello-shoppers", hello, 2, maxShoppers, "how many come to the bare handler, half "+
			"of them before the sale and half after it"),
		bounded(&c.Units, "units", units, 1, 1_000_000_000, "units of each listing"),
		span(&c.Rush.DecideWithin, "decide-within", decide, 0, "longest that a shopper holds before paying or "+
			"cancelling"),
		bounded(&c.Nodes, "nodes", nodes, 1, 7, "how many nodes share the machine"),
		bounded(&c.Fsyncs, "fsyncs", 5000, 1, 1_000_000, "syncs of the disk that are timed before"),
		resultsDir(&c.ResultsDir),
	}
}

// Validate reports every problem at once, joined.
func (c *SaleConfig) Validate() error {
	var all problems
	all.unless(c.StartHello != nil && c.StartShop != nil, "no way to start a server")
	all.check(c.Settings())
	return all.join()
}

// SaleReport is what came of a sale, beside a bare handler under the same crowd.
type SaleReport struct {
	Config      SaleConfig  `json:"config"`
	Environment Environment `json:"environment"`
	Fsync       Percentiles `json:"fsync"`
	Hello       HelloReport `json:"hello"`
	Rush        *RushReport `json:"rush"`
	Questions   []Question  `json:"questions"`
}

// HelloReport is what a bare handler did under the crowd of a rush.
type HelloReport struct {
	Shoppers          int64       `json:"shoppers"`
	ArrivalsPerSecond float64     `json:"arrivals_per_second"`
	Unexpected        int64       `json:"unexpected"` // answers that were not its own
	Latency           Percentiles `json:"latency"`

	seconds float64
	heard   *hdrhistogram.Histogram
}

// meet sends a crowd like the rush's to the bare handler.
func (h *HelloReport) meet(ctx context.Context, cfg RushConfig) error {
	r := newCrowd(&cfg)
	if err := r.come(ctx); err != nil {
		return err
	}
	h.Shoppers += r.tally.Shoppers
	h.Unexpected += r.tally.Grabs - r.tally.outcomes[codeSoldOut]
	h.seconds += time.Duration(r.tally.lastArrival.Load()).Seconds()
	h.heard.Merge(r.tally.all.sum())
	h.ArrivalsPerSecond, h.Latency = float64(h.Shoppers)/max(1e-9, h.seconds), percentilesOf(h.heard)
	return nil
}

// Sale sends a crowd at a shop, and the like of it at a bare handler before and after.
func Sale(ctx context.Context, cfg SaleConfig) (r *SaleReport, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r = &SaleReport{Config: cfg, Environment: environment(cfg.Kind), Hello: HelloReport{heard: newHistogram()}}
	if r.Fsync, err = MeasureFsync(cfg.DataDir, cfg.Fsyncs); err != nil {
		return nil, err
	}
	hello, err := cfg.StartHello()
	if err != nil {
		return nil, fmt.Errorf("start the bare handler: %w", err)
	}
	defer func() { err = errors.Join(err, hello.Close()) }()
	shop, err := cfg.StartShop(ctx)
	if err != nil {
		return nil, fmt.Errorf("start the shop: %w", err)
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	rush := cfg.Rush
	rush.throng = rush.Rate == 0
	seed(&rush.Seed)
	rush.Addrs, rush.Admin = shop.Addrs, shop.Admin
	bare := rush
	bare.Addrs, bare.Shoppers = []string{hello.Addr}, cfg.HelloShoppers/2
	if err := r.Hello.meet(ctx, bare); err != nil {
		return nil, err
	}
	if r.Rush, err = Rush(ctx, rush); err != nil {
		return nil, err
	}
	if err := errors.Join(r.Hello.meet(ctx, bare), ctx.Err()); err != nil {
		return nil, err
	}
	r.ask()
	return r, nil
}

// ask answers the questions.
func (r *SaleReport) ask() {
	answered, offences := int64(0), 0
	for _, o := range r.Rush.Outcomes {
		if slices.Contains(knownCodes, o.Code) {
			answered += o.Count
		}
	}
	for _, c := range r.Rush.Verdict.Checks {
		offences += c.Offences
	}
	came, fsync := int64(r.Rush.Config.Shoppers), r.Fsync.P999
	all, yes, hello := r.Rush.Latency.All, r.Rush.Latency.Granted, r.Hello.Latency
	per, rate := r.Rush.ArrivalsPerSecond, r.Config.Rush.Rate
	if r.Config.Kind == KindFanDay {
		r.Questions = []Question{
			atMost(max(mustFanDayP99, mustFanDayP99Times*hello.P99), "FanDay/p99", "99 of 100 grabs answered within",
				all.P99).in("ms", "of the granted %s; bare handler %s", ms(yes.P99), ms(hello.P99)),
			atMost(max(mustFanDayP999, mustFanDayP999Syncs*fsync), "FanDay/p999", "999 of 1,000 grabs answered within",
				all.P999).in("ms", "of the granted %s; bare handler %s, fsync %s", ms(yes.P999), ms(hello.P999),
				ms(fsync)),
			atLeast(mustFanDayRate, "FanDay/rate", "shoppers a second who came, of those due", per/max(rate, 1)).
				in("", "%.0f/s of %.0f/s; %.0f grabs/s, %d granted", per, rate, r.Rush.GrabsPerSecond, yes.Count),
		}
	} else {
		r.Questions = []Question{
			atLeast(mustMaskOfHello, "Mask/hello", "shoppers served a second, of a bare handler's",
				per/max(1e-9, r.Hello.ArrivalsPerSecond)).in("", "%.0f/s of %.0f/s; %d granted", per,
				r.Hello.ArrivalsPerSecond, yes.Count),
		}
	}
	r.Questions = append(r.Questions,
		atMost(0, "Sale/unanswered", "shoppers who did not come, and grabs without an answer",
			float64(came-r.Rush.Shoppers+r.Rush.Grabs-answered)).in("", "%d shoppers, %d grabs", came, r.Rush.Grabs),
		atMost(0, "Sale/offences", "offences against exactness", float64(offences)).
			in("", "%d orders looked up", r.Rush.Verdict.OrdersAsked))
	if r.Config.Progress != nil {
		for _, q := range r.Questions {
			fmt.Fprintln(r.Config.Progress, q)
		}
	}
}

// OK reports whether the shop sold exactly and the bare handler was one: whether the
// figures mean something, not whether they are what they must be.
func (r *SaleReport) OK() bool {
	return r.Rush != nil && r.Rush.OK() && r.Hello.Shoppers > 0 && r.Hello.Unexpected == 0 && len(r.Questions) > 0
}

func (r *SaleReport) write(s *sheet) {
	r.Rush.write(s)
	s.put("\nSALE\tnodes %d, units of each listing %d; fsync p50 %s p99.9 %s; bare handler %.0f arrivals/s, p99 %s\n\n",
		r.Config.Nodes, r.Config.Units, ms(r.Fsync.P50), ms(r.Fsync.P999), r.Hello.ArrivalsPerSecond,
		ms(r.Hello.Latency.P99))
	s.questions(r.Questions)
}

func (r *SaleReport) kept() kept {
	k := kept{dir: r.Config.ResultsDir, from: &r.Environment}
	k.questions(r.Questions)
	return k
}

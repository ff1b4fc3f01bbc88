package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// What must hold as the work grows.
const (
	mustOfOneListing = 0.85 // granted with many listings, of one
	mustOfFewHolds   = 0.85 // granted with many live holds, of few
	mustHoldBytes    = 160
	mustRestart      = 3.0 // seconds
	mustSecondHalf   = 0.90
	mustHeapGrowth   = 1.10 // of a hold, from the first half's end to the second's
)

// The parts of a run. What a hold takes is measured in the first shop of the process, so
// with the minute: one that was closed is in memory for some seconds yet.
const (
	partMinute   = "minute"
	partRestart  = "restart"
	partListings = "listings"
	partHolds    = "holds"
)

// part gives how a part is measured; nil for none.
func (g *growth) part(name string) func() error {
	switch name {
	case partMinute:
		return g.minute
	case partRestart:
		return g.restart
	case partListings:
		return g.listings
	case partHolds:
		return g.holds
	}
	return nil
}

// inLog is the part of the holds that a restart finds in the log, behind the snapshot.
const inLog = 10

// GrowthShop is a shop in this process.
type GrowthShop struct {
	Submit   Submitter
	Snapshot func() error // takes one
	// Rest waits until nothing of what was granted is still under way anywhere.
	Rest  func(ctx context.Context) error
	Close func() error
}

// GrowthConfig says how much there is. Start from [DefaultGrowthConfig].
type GrowthConfig struct {
	// Open opens a shop on a directory, with listings that nobody buys up.
	Open func(ctx context.Context, dir string, listings []Listing) (GrowthShop, error) `json:"-"`
	// Restart starts a shop that was closed as a process of its own, and gives the time
	// until it was ready.
	Restart func(dir string) (time.Duration, error) `json:"-"`

	Parts        []string      `json:"parts"`
	ManyListings int           `json:"many_listings"`
	FewHolds     int           `json:"few_holds"`
	ManyHolds    int           `json:"many_holds"`
	Minute       time.Duration `json:"minute_ns"`
	Submitters   int           `json:"submitters"`
	Measuring
}

// DefaultGrowthConfig returns the defaults; Open and Restart are missing.
func DefaultGrowthConfig() GrowthConfig { return defaults[GrowthConfig]() }

// Settings are all that can be set from outside.
func (c *GrowthConfig) Settings() []Setting {
	return append([]Setting{
		free(&c.Parts, "parts", []string{partMinute, partRestart, partListings, partHolds}, "what to measure"),
		bounded(&c.ManyListings, "many-listings", 10_000, 2, 10_000, "listings that are held against one"),
		bounded(&c.FewHolds, "few-holds", 10_000, 1, 100_000_000, "live holds that many are held against"),
		bounded(&c.ManyHolds, "many-holds", 1_000_000, inLog, 100_000_000, "live holds, of speed, heap and restart"),
		span(&c.Minute, "minute", time.Minute, 2*time.Millisecond, "how long the longest load lasts, in two halves"),
		bounded(&c.Submitters, "submitters", 4096, 1, 1_000_000, "callers, each waiting for one decision at a time"),
	}, c.settings(1, 500*time.Millisecond, "growth-")...)
}

// Validate reports every problem at once, joined.
func (c *GrowthConfig) Validate() error {
	var all problems
	all.unless(c.Open != nil && c.Restart != nil, "no shop to open")
	all.unless(c.DataDir != "", "no folder for the shop's data")
	for _, part := range c.Parts {
		all.unless((*growth)(nil).part(part) != nil, "parts: %q is none of minute, restart, listings, holds", part)
	}
	all.check(c.Settings())
	return all.join()
}

// GrowthReport answers what becomes of speed and memory as the work grows.
type GrowthReport struct {
	Config      GrowthConfig `json:"config"`
	Environment Environment  `json:"environment"`
	FsyncP50MS  float64      `json:"fsync_p50_ms"`
	FsyncP99MS  float64      `json:"fsync_p99_ms"`
	Questions   []Question   `json:"questions"`
	Granted     int64        `json:"granted"`
	// Unexpected is how many decisions were something else than a yes; Unknown, how many
	// of them came back as an error.
	Unexpected int64 `json:"unexpected"`
	Unknown    int64 `json:"unknown"`
}

// Growth measures decisions without HTTP, on shops in this process, each on a directory
// of its own.
func Growth(ctx context.Context, cfg GrowthConfig) (*GrowthReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &growth{cfg: &cfg, ctx: ctx, report: &GrowthReport{Config: cfg, Environment: environment(workloadGrowth)}}
	fsync, err := MeasureFsync(cfg.DataDir, fsyncsARound)
	if err != nil {
		return nil, err
	}
	g.report.FsyncP50MS, g.report.FsyncP99MS = fsync.P50, fsync.P99
	for _, part := range cfg.Parts {
		if err := g.part(part)(); err != nil {
			return nil, fmt.Errorf("%s: %w", part, err)
		}
	}
	return g.report, nil
}

// growth is a run under way.
type growth struct {
	cfg    *GrowthConfig
	ctx    context.Context
	report *GrowthReport
	opened int
}

// grown is a shop, and its load.
type grown struct {
	GrowthShop
	*decisions
	growth *growth
	dir    string
}

// open opens a new shop with so many listings.
func (g *growth) open(listings int) (*grown, error) {
	all := make([]Listing, listings)
	for i := range all {
		// A plan has room for some two thousand.
		all[i] = Listing{Session: "s" + strconv.Itoa(i/1000), SKU: "u" + strconv.Itoa(i)}
	}
	g.opened++
	s := &grown{growth: g, dir: filepath.Join(g.cfg.DataDir, "growth-"+strconv.Itoa(g.opened))}
	runtime.GC() // of the shop before
	var err error
	if s.GrowthShop, err = g.cfg.Open(g.ctx, s.dir, all); err != nil {
		return nil, err
	}
	s.decisions = &decisions{submit: s.Submit, cfg: &DecideConfig{Listings: all, Submitters: g.cfg.Submitters,
		Want: codeGranted, Measuring: g.cfg.Measuring}}
	return s, nil
}

// close closes the shop and removes what it kept.
func (s *grown) close() error { return errors.Join(s.Close(), os.RemoveAll(s.dir)) }

// load grabs for so long, or for so many shoppers if that is over 0, and gives how many
// decisions a second that were.
func (s *grown) load(length time.Duration, atMost int64) (float64, error) {
	r := s.round(s.growth.ctx, length, atMost)
	report := s.growth.report
	report.Granted += r.Decisions - r.Unexpected
	report.Unexpected += r.Unexpected
	report.Unknown += r.Outcomes[outcomeUnknown]
	return r.PerSecond, s.growth.ctx.Err()
}

// fill grabs until so many holds are live.
func (s *grown) fill(holds int) error {
	_, err := s.load(time.Hour, int64(holds)-s.granted.Load())
	if n := s.granted.Load(); err == nil && n != int64(holds) {
		err = fmt.Errorf("%d holds of %d were granted", n, holds)
	}
	return err
}

// heap is what is live once the shop is at rest.
func (s *grown) heap() (float64, error) {
	err := s.Rest(s.growth.ctx)
	runtime.GC()
	runtime.GC() // what pools kept over the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), err
}

func (g *growth) answer(q Question) {
	g.report.Questions = append(g.report.Questions, q)
	if g.cfg.Progress != nil {
		fmt.Fprintln(g.cfg.Progress, q)
	}
}

// listings measures many listings against one, by turns.
func (g *growth) listings() error {
	one, err := g.open(1)
	if err != nil {
		return err
	}
	many, err := g.open(g.cfg.ManyListings)
	if err != nil {
		return errors.Join(err, one.close())
	}
	var ratios, rates, manyRates []float64
	err = func() error {
		for _, s := range []*grown{one, many} {
			if _, err := s.load(g.cfg.WarmUp, 0); err != nil {
				return err
			}
		}
		for i := range g.cfg.Rounds {
			var rate [2]float64
			for k := range rate {
				at := (i + k) % 2
				if rate[at], err = []*grown{one, many}[at].load(g.cfg.RoundTime, 0); err != nil {
					return err
				}
			}
			rates, manyRates = append(rates, rate[0]), append(manyRates, rate[1])
			ratios = append(ratios, rate[1]/rate[0])
		}
		return nil
	}()
	if err = errors.Join(err, one.close(), many.close()); err != nil {
		return err
	}
	g.answer(atLeast(mustOfOneListing, "Growth/listings",
		fmt.Sprintf("granted with %d listings, of one", g.cfg.ManyListings), ratios...).
		in("", "%.0f/s of %.0f/s", median(manyRates), median(rates)))
	return nil
}

// holds measures many live holds against few, each round on new shops.
func (g *growth) holds() error {
	from := func(holds int) (rate float64, err error) {
		s, err := g.open(1)
		if err != nil {
			return 0, err
		}
		if err = s.fill(holds); err == nil {
			err = s.Rest(g.ctx)
		}
		if err == nil {
			rate, err = s.load(g.cfg.RoundTime, 0)
		}
		return rate, errors.Join(err, s.close())
	}
	var ratios, rates, manyRates []float64
	for range g.cfg.Rounds {
		rate, err := from(g.cfg.FewHolds)
		if err != nil {
			return err
		}
		many, err := from(g.cfg.ManyHolds)
		if err != nil {
			return err
		}
		rates, manyRates, ratios = append(rates, rate), append(manyRates, many), append(ratios, many/rate)
	}
	g.answer(atLeast(mustOfFewHolds, "Growth/holds",
		fmt.Sprintf("granted from %d live holds on, of %d", g.cfg.ManyHolds, g.cfg.FewHolds), ratios...).
		in("", "%.0f/s of %.0f/s", median(manyRates), median(rates)))
	return nil
}

// restart times a process that comes back to a snapshot and the log's end.
func (g *growth) restart() (err error) {
	s, err := g.open(1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if err = s.fill(g.cfg.ManyHolds - g.cfg.ManyHolds/inLog); err == nil {
		err = s.Snapshot()
	}
	if err == nil {
		err = s.fill(g.cfg.ManyHolds)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	var seconds []float64
	for range g.cfg.Rounds {
		took, err := g.cfg.Restart(s.dir)
		if err != nil {
			return err
		}
		seconds = append(seconds, took.Seconds())
	}
	g.answer(atMost(mustRestart, "Growth/restart", fmt.Sprintf("restart with %d holds to ready", g.cfg.ManyHolds),
		seconds...).in("s", "a snapshot, and the last %d in the log", g.cfg.ManyHolds/inLog))
	return nil
}

// minute measures what a live hold takes, and from there on holds the second half of a
// long load against the first.
func (g *growth) minute() error {
	s, err := g.open(1)
	if err != nil {
		return err
	}
	var rate, perHold [2]float64
	err = func() error {
		before, err := s.heap()
		if err != nil {
			return err
		}
		each := func() (float64, error) {
			after, err := s.heap()
			return (after - before) / float64(max(1, s.granted.Load())), err
		}
		if err := s.fill(g.cfg.ManyHolds); err != nil {
			return err
		}
		bytes, err := each()
		if err != nil {
			return err
		}
		g.answer(atMost(mustHoldBytes, "Growth/heap", "heap of a live hold", bytes).
			in("B", "%d holds", g.cfg.ManyHolds))
		for half := range rate {
			if rate[half], err = s.load(g.cfg.Minute/2, 0); err != nil {
				return err
			}
			if perHold[half], err = each(); err != nil {
				return err
			}
		}
		return nil
	}()
	granted := s.granted.Load()
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	g.answer(atLeast(mustSecondHalf, "Growth/minute", fmt.Sprintf("second half of %v, of the first", g.cfg.Minute),
		rate[1]/rate[0]).in("", "%.0f/s of %.0f/s", rate[1], rate[0]))
	g.answer(atMost(mustHeapGrowth, "Growth/minuteHeap", "heap of a live hold after it, of after half of it",
		perHold[1]/perHold[0]).in("", "%.0f B of %.0f B; %d holds", perHold[1], perHold[0], granted))
	return nil
}

// OK reports whether nearly all decisions were a yes and none is unknown: whether the
// figures mean something, not whether they are what they must be.
func (r *GrowthReport) OK() bool {
	return r.Unexpected*1000 <= r.Granted && r.Granted > 0 && r.Unknown == 0
}

func (r *GrowthReport) write(s *sheet) {
	s.put("GROWTH\t%d submitters, medians of %d rounds of %v, fsync p50 %.3f ms p99 %.3f ms\n\n", r.Config.Submitters,
		r.Config.Rounds, r.Config.RoundTime, r.FsyncP50MS, r.FsyncP99MS)
	s.questions(r.Questions)
}

func (r *GrowthReport) kept() kept {
	k := kept{dir: r.Config.ResultsDir, from: &r.Environment}
	k.questions(r.Questions)
	return k
}

package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What must hold when more come than can be served.
const (
	mustGoodput    = 0.90 // of the peak
	mustGoroutines = 1.5  // a connection, beyond those before
	mustFiles      = 1.05 // descriptors a connection, beyond those before
	mustHeap       = 1.0  // of heapBound
	mustRecover    = 2.0  // seconds
)

// heapBound is what the heap may take: garbage as much as what lives, and what lives is
// what did before, the connections' buffers, and the holds granted since.
func heapBound(before float64, connections int, granted int64) float64 {
	return 2 * (before + float64(connections)*65_536 + float64(granted)*200)
}

// OverloadConfig says how many come. Start from [DefaultOverloadConfig].
type OverloadConfig struct {
	// StartServer starts a node with more stock than all ask for, and gives its
	// operators' address, too. It must start it as a process from the calling goroutine:
	// all but the last core are its own, the last is the generator's.
	StartServer func(ctx context.Context) (s HTTPServer, admin string, err error) `json:"-"`

	Times           float64       `json:"times"`
	PeakConnections int           `json:"peak_connections"`
	Connections     int           `json:"connections"`
	Patience        time.Duration `json:"patience_ns"`
	PeakTime        time.Duration `json:"peak_time_ns"`
	StormTime       time.Duration `json:"storm_time_ns"`
	CalmTime        time.Duration `json:"calm_time_ns"`
	DataDir         string        `json:"data_dir"`
	ResultsDir      string        `json:"-"`
	// Progress is where a line a question goes; nil for none.
	Progress io.Writer `json:"-"`
}

// DefaultOverloadConfig returns the defaults; StartServer is missing.
func DefaultOverloadConfig() OverloadConfig { return defaults[OverloadConfig]() }

// Settings are all that can be set from outside.
func (c *OverloadConfig) Settings() []Setting {
	return []Setting{
		bounded(&c.Times, "times", 10, 1, 1000, "how many times its peak comes"),
		bounded(&c.PeakConnections, "peak-connections", 256, 1, maxConnections, "connections that find the peak, "+
			"each with one request under way"),
		bounded(&c.Connections, "connections", 8192, 1, maxConnections, "connections that shoppers come over, each "+
			"with one request under way; who finds none free is turned away unheard"),
		span(&c.Patience, "patience", time.Second, time.Millisecond, "how soon an answer must come to count"),
		span(&c.PeakTime, "peak-time", 4*time.Second, time.Millisecond, "how long the peak is measured"),
		span(&c.StormTime, "storm-time", 15*time.Second, 10*time.Millisecond, "how long too many come"),
		span(&c.CalmTime, "calm-time", 5*time.Second, 10*time.Millisecond, "how long half of the peak comes, before "+
			"and after"),
		resultsDir(&c.ResultsDir),
	}
}

// Validate reports every problem at once, joined.
func (c *OverloadConfig) Validate() error {
	var all problems
	all.unless(c.StartServer != nil, "no way to start a server")
	all.check(c.Settings())
	return all.join()
}

// OverloadReport is what became of a node that too many came to.
type OverloadReport struct {
	Config      OverloadConfig `json:"config"`
	Environment Environment    `json:"environment"`
	FsyncP50MS  float64        `json:"fsync_p50_ms"`
	FsyncP99MS  float64        `json:"fsync_p99_ms"`
	// PeakPerSecond is what was granted over PeakConnections.
	PeakPerSecond float64 `json:"peak_per_second"`
	// Before, Storm and After are of half the peak, of Times the peak, and again of half.
	Before    StormPhase `json:"before"`
	Storm     StormPhase `json:"storm"`
	After     StormPhase `json:"after"`
	Gauges    []Gauges   `json:"gauges"` // of the node's process, in the order of time
	Questions []Question `json:"questions"`
}

// StormPhase is what came of a stretch of open load.
type StormPhase struct {
	Rate        float64 `json:"rate"` // shoppers a second
	Came        int64   `json:"came"`
	TurnedAway  int64   `json:"turned_away"`  // no connection was free
	Good        int64   `json:"good"`         // granted within the patience, from when they came
	Late        int64   `json:"late"`         // granted after that
	OtherAnswer int64   `json:"other_answer"` // told something else
	Broken      int64   `json:"broken"`       // connections that the node closed
	// Latency of all answers, from when the shopper came.
	Latency Percentiles `json:"latency"`
	Seconds float64     `json:"seconds"`
}

func (p *StormPhase) goodput() float64 { return float64(p.Good) / p.Seconds }

// Gauges are what a process had of what must not grow without bound.
type Gauges struct {
	At         time.Time `json:"at"`
	Heap       float64   `json:"heap_bytes"`
	Goroutines float64   `json:"goroutines"`
	Files      float64   `json:"open_files"`
}

// readGauges asks the node for its metrics.
func readGauges(admin string) (g Gauges, err error) {
	answer, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		return g, err
	}
	defer answer.Body.Close()
	g.At = time.Now()
	found := 0
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		at := map[string]*float64{"go_memstats_heap_alloc_bytes": &g.Heap, "go_goroutines": &g.Goroutines,
			"process_open_fds": &g.Files}[name]
		if at == nil {
			continue
		}
		found++
		if *at, err = strconv.ParseFloat(text, 64); err != nil {
			return g, err
		}
	}
	if found != 3 {
		return g, fmt.Errorf("metrics of %s: %d of 3 are there", admin, found)
	}
	return g, nil
}

// gaugesEvery is how often they are read.
const gaugesEvery = 250 * time.Millisecond

// Overload finds a node's peak, sends many times as many, and looks how it comes back.
func Overload(ctx context.Context, cfg OverloadConfig) (r *OverloadReport, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r = &OverloadReport{Config: cfg, Environment: environment(workloadOverload)}
	fsync, err := MeasureFsync(cfg.DataDir, fsyncsARound)
	if err != nil {
		return nil, err
	}
	r.FsyncP50MS, r.FsyncP99MS = fsync.P50, fsync.P99
	var server HTTPServer
	var admin string
	err = onCores(false, func() (err error) {
		server, admin, err = cfg.StartServer(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return r, onCores(true, func() error { return r.run(ctx, server, admin) })
}

func (r *OverloadReport) run(ctx context.Context, server HTTPServer, admin string) error {
	cfg := &r.Config
	v := newVolley(server, cfg.PeakConnections, "overload-", codeGranted)
	if err := v.prime(ctx); err != nil {
		return err
	}
	peak, err := v.fire(ctx, cfg.PeakTime/4, cfg.PeakTime)
	if err != nil {
		return err
	}
	r.PeakPerSecond = float64(peak.requests-peak.unexpected) / peak.took.Seconds()
	before, err := readGauges(admin)
	if err != nil {
		return err
	}
	granted := peak.requests
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(gaugesEvery)
		defer tick.Stop()
		var failed error
		for {
			select {
			case <-stop:
				stopped <- failed
				return
			case <-tick.C:
			}
			g, err := readGauges(admin)
			if err != nil {
				failed = err
				continue
			}
			r.Gauges = append(r.Gauges, g)
		}
	}()
	v.connections = cfg.Connections
	half := r.PeakPerSecond / 2
	windows, err := v.storm(ctx, cfg.Patience, []stretch{{half, cfg.CalmTime}, {r.PeakPerSecond * cfg.Times,
		cfg.StormTime}, {half, cfg.CalmTime}})
	close(stop)
	if err = errors.Join(err, <-stopped); err != nil {
		return err
	}
	for i, p := range []*StormPhase{&r.Before, &r.Storm, &r.After} {
		*p = sumWindows(windows[i])
		granted += p.Good + p.Late
	}
	r.Before = sumWindows(windows[0][len(windows[0])/2:]) // at first its connections are new
	r.ask(before, granted, recovery(windows[2], r.Before.Latency.P99))
	return nil
}

// ask answers the questions.
func (r *OverloadReport) ask(before Gauges, granted int64, recovered time.Duration) {
	most := before
	for _, g := range r.Gauges {
		most.Heap, most.Goroutines, most.Files = max(most.Heap, g.Heap), max(most.Goroutines, g.Goroutines),
			max(most.Files, g.Files)
	}
	c := float64(r.Config.Connections)
	r.Questions = []Question{
		atLeast(mustGoodput, "Overload/goodput", fmt.Sprintf("grants within %v at %.0f times the peak, of the peak",
			r.Config.Patience, r.Config.Times), r.Storm.goodput()/r.PeakPerSecond).
			in("", "%.0f/s of %.0f/s; %.0f/s came, %.0f%% found no connection free", r.Storm.goodput(),
				r.PeakPerSecond, r.Storm.Rate, 100*float64(r.Storm.TurnedAway)/float64(max(1, r.Storm.Came))),
		atMost(mustGoroutines, "Overload/goroutines", "goroutines at most, a connection",
			(most.Goroutines-before.Goroutines)/c).in("", "%.0f, %.0f before", most.Goroutines, before.Goroutines),
		atMost(mustFiles, "Overload/files", "open files and connections at most, a connection",
			(most.Files-before.Files)/c).in("", "%.0f, %.0f before", most.Files, before.Files),
		atMost(mustHeap, "Overload/heap", "heap at most, of twice what connections and holds take",
			most.Heap/heapBound(before.Heap, r.Config.Connections, granted)).
			in("", "%.0f MB, %.0f MB before; %d holds", most.Heap/1e6, before.Heap/1e6, granted),
		atMost(mustRecover, "Overload/recovery", "back to normal after", recovered.Seconds()).
			in("s", "p99 at half the peak %s before, %s after", ms(r.Before.Latency.P99), ms(r.After.Latency.P99)),
	}
	if r.Config.Progress != nil {
		for _, q := range r.Questions {
			fmt.Fprintln(r.Config.Progress, q)
		}
	}
}

// stretch is a rate of shoppers a second, and for how long.
type stretch struct {
	rate   float64
	length time.Duration
}

// windowTime is how long a window of a stretch is.
const windowTime = 100 * time.Millisecond

// window is what was heard in a tenth of a second.
type window struct {
	StormPhase
	heard []time.Duration
}

func sumWindows(all []window) (p StormPhase) {
	h := newHistogram()
	for _, w := range all {
		p.Rate, p.Seconds = w.Rate, p.Seconds+w.Seconds
		p.Came, p.TurnedAway, p.Good, p.Late = p.Came+w.Came, p.TurnedAway+w.TurnedAway, p.Good+w.Good, p.Late+w.Late
		p.OtherAnswer, p.Broken = p.OtherAnswer+w.OtherAnswer, p.Broken+w.Broken
		for _, d := range w.heard {
			record(h, d)
		}
	}
	p.Latency = percentilesOf(h)
	return p
}

// normalWindows is how many windows in a row must be normal.
const normalWindows = 3

// recovery is when a stretch became normal: from then on, for some windows, nine in ten
// of those who came were granted in time, and 99 of a hundred waited no more than thrice
// usual, or 20 ms. Its whole length if it never did.
func recovery(all []window, usualP99 float64) time.Duration {
	inARow := 0
	for i, w := range all {
		slices.Sort(w.heard)
		inARow++
		if len(w.heard) == 0 || float64(w.Good) < 0.9*w.Rate*w.Seconds ||
			millis(w.heard[len(w.heard)*99/100]) > max(3*usualP99, 20) {
			inARow = 0
		}
		if inARow == normalWindows {
			return time.Duration(i+1-normalWindows) * windowTime
		}
	}
	return time.Duration(len(all)) * windowTime
}

// OK reports whether nearly all that was told at half the peak was a yes: whether the
// figures mean something, not whether they are what they must be.
func (r *OverloadReport) OK() bool {
	return r.Before.Good > 0 && r.Before.OtherAnswer*1000 <= r.Before.Good && len(r.Questions) > 0
}

func (r *OverloadReport) write(s *sheet) {
	s.put("OVERLOAD\tpeak %.0f/s over %d connections, then %.0f/s over %d; fsync p50 %.3f ms p99 %.3f ms\n\n",
		r.PeakPerSecond, r.Config.PeakConnections, r.Storm.Rate, r.Config.Connections, r.FsyncP50MS, r.FsyncP99MS)
	s.put("LOAD\tCAME\tTURNED AWAY\tGRANTED IN TIME\tLATE\tOTHERWISE\tBROKEN\tP50\tP99\tMAX\n")
	for _, p := range []struct {
		name string
		*StormPhase
	}{{"half the peak", &r.Before}, {"too much", &r.Storm}, {"half the peak", &r.After}} {
		s.put("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", p.name, p.Came, p.TurnedAway, p.Good, p.Late, p.OtherAnswer,
			p.Broken, ms(p.Latency.P50), ms(p.Latency.P99), ms(p.Latency.Max))
	}
	s.put("\n")
	s.questions(r.Questions)
}

func (r *OverloadReport) kept() kept {
	k := kept{dir: r.Config.ResultsDir, from: &r.Environment}
	k.questions(r.Questions)
	return k
}

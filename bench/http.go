package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What [HTTPRatios] measures.
const (
	// KindHello is the bare handler: see [ServeHello].
	KindHello = "hello"
	// KindRefused is a listing that is sold out, asked by shoppers who hold
	// nothing.
	KindRefused = "refused"
	// KindGranted is a listing with more stock than requests.
	KindGranted = "granted"
	// The same two on three nodes, asked through a follower.
	KindRefusedFollower = "refused-follower"
	KindGrantedFollower = "granted-follower"
	// The first two again with every rule that leaves the answer the same, tokens
	// (JWT) and a ticket with each grab.
	KindRefusedRuled = "refused-ruled"
	KindGrantedRuled = "granted-ruled"
	// The first two again on a node that does not look which products are asked for most.
	KindRefusedUnwatched = "refused-unwatched"
	KindGrantedUnwatched = "granted-unwatched"
	// KindRedis is what a shop would use instead of one node, and KindRedisReplica
	// instead of three: see bench/redislab.
	KindRedis        = "redis"
	KindRedisReplica = "redis-replica"
)

// RuledKinds is what to measure of one node's rules: each path with all of them,
// beside the same path with none.
func RuledKinds() []string {
	return []string{KindHello, KindRefused, KindRefusedRuled, KindGranted, KindGrantedRuled}
}

// Plain gives the kind that a ruled one is held against; "" for others.
func Plain(kind string) string {
	if plain, ruled := strings.CutSuffix(kind, "-ruled"); ruled {
		return plain
	}
	return ""
}

// OneNodeKinds is what to measure of one node.
func OneNodeKinds() []string { return []string{KindHello, KindRefused, KindGranted} }

// ClusterKinds is what to measure of three nodes.
func ClusterKinds() []string {
	return []string{KindHello, KindRefused, KindRefusedFollower, KindGranted, KindGrantedFollower}
}

// Grants reports whether a kind answers yes.
func Grants(kind string) bool { return strings.HasPrefix(kind, KindGranted) || OnRedis(kind) }

// Unwatched reports whether a kind is served by a node that does not look which products are
// asked for most.
func Unwatched(kind string) bool { return strings.HasSuffix(kind, "-unwatched") }

// OnRedis reports whether a kind is served out of a Redis.
func OnRedis(kind string) bool { return strings.HasPrefix(kind, KindRedis) }

// ThroughFollower reports whether a kind asks a follower.
func ThroughFollower(kind string) bool { return strings.HasSuffix(kind, "-follower") }

// HTTPServer is a server under test.
type HTTPServer struct {
	Addr  string       // HOST:PORT
	Grab  Listing      // what to grab; for hello any will do
	Close func() error // stops it
	// TokenFor, if not nil, makes a shopper's bearer token; all are of one length.
	// They then show it, a ticket for Grab, and an address of their own
	// (X-Forwarded-For), instead of their name.
	TokenFor func(shopper string) (string, error)
	// Pool is how many shoppers with tokens come, again and again; 0: each request
	// is another one's.
	Pool int
}

// HTTPConfig says what to measure. Start from [DefaultHTTPConfig].
type HTTPConfig struct {
	// StartServer starts the server of a kind. All kinds should run in the same
	// sort of process (a child of this binary, say), or the comparison is
	// between processes. The granted listing needs more stock than all rounds
	// together ask for; the refused one at most a thousand units, which are
	// taken first. Neither may have an admission quota, or shoppers are told
	// "missed". All servers stay up, idle, through all rounds.
	StartServer func(ctx context.Context, kind string) (HTTPServer, error) `json:"-"`
	Kinds       []string                                                   `json:"kinds"`
	Connections int                                                        `json:"connections"`
	// Nodes is how many nodes share the machine, for the report only.
	Nodes int `json:"nodes"`
	Measuring
}

// DefaultHTTPConfig returns the defaults; StartServer is missing.
func DefaultHTTPConfig() HTTPConfig { return defaults[HTTPConfig]() }

// Settings are all that can be set from outside.
func (c *HTTPConfig) Settings() []Setting {
	all := []Setting{
		free(&c.Kinds, "kinds", OneNodeKinds(), "what to measure; the first is what "+
			"the others are compared with"),
		bounded(&c.Connections, "connections", 256, 1, maxConnections, "connections, each with one request under way"),
		free(&c.Nodes, "nodes", 1, ""),
	}
	return append(all, c.settings(3, 4*time.Second, "bench-")...)
}

// Validate reports every problem at once, joined.
func (c *HTTPConfig) Validate() error {
	var all problems
	all.unless(c.StartServer != nil, "no way to start a server")
	all.unless(len(c.Kinds) > 0, "kinds: at least one")
	all.check(c.Settings())
	return all.join()
}

// HTTPReport is what came of the rounds.
type HTTPReport struct {
	Config      HTTPConfig  `json:"config"`
	Environment Environment `json:"environment"`
	Rounds      []HTTPRound `json:"rounds"`
	Kinds       []HTTPKind  `json:"kinds"`
	FsyncP50MS  float64     `json:"fsync_p50_ms"` // median of the rounds'
	FsyncP99MS  float64     `json:"fsync_p99_ms"`
}

// HTTPRound is one measurement of one kind.
type HTTPRound struct {
	Round             int     `json:"round"`
	Kind              string  `json:"kind"`
	Requests          int64   `json:"requests"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	// Unexpected is how many answers were not what the kind answers.
	Unexpected int64       `json:"unexpected"`
	Latency    Percentiles `json:"latency"`
	OverTime   OverTime    `json:"over_time,omitzero"`
	// ClientCPUMicros is the generator's own CPU time a request, in microseconds: on
	// shared cores it is taken from the server.
	ClientCPUMicros float64 `json:"client_cpu_us"`
	FsyncP50MS      float64 `json:"fsync_p50_ms"`
	FsyncP99MS      float64 `json:"fsync_p99_ms"`
}

// HTTPKind sums up a kind: medians over the rounds.
type HTTPKind struct {
	Kind              string  `json:"kind"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	// Ratio is the median of the rounds' own ratios to the first kind, with the
	// least and the most.
	Ratio      float64 `json:"ratio"`
	RatioLeast float64 `json:"ratio_least"`
	RatioMost  float64 `json:"ratio_most"`
	// OfPlain is the same for a ruled kind's ratio to the plain one of the same
	// round; 0 for others.
	OfPlain      float64 `json:"of_plain,omitempty"`
	OfPlainLeast float64 `json:"of_plain_least,omitempty"`
	OfPlainMost  float64 `json:"of_plain_most,omitempty"`
	// OfRedis is a granted kind's ratio to what was served out of a Redis in the same
	// round; 0 where none was.
	OfRedis      float64 `json:"of_redis,omitempty"`
	OfRedisLeast float64 `json:"of_redis_least,omitempty"`
	OfRedisMost  float64 `json:"of_redis_most,omitempty"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	Unexpected   int64   `json:"unexpected"`
}

// HTTPRatios measures each kind once a round, rounds one after the other with
// the sequence turned by one each time, so that neither the machine's mood nor
// the place in the round favours one of them.
func HTTPRatios(ctx context.Context, cfg HTTPConfig) (report *HTTPReport, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	report = &HTTPReport{Config: cfg, Environment: environment(workloadHTTP)}
	volleys := make(map[string]*volley)
	defer func() {
		for kind, v := range volleys {
			if cerr := v.server.Close(); cerr != nil && err == nil {
				err = fmt.Errorf("stop %s: %w", kind, cerr)
			}
		}
	}()
	for _, kind := range cfg.Kinds {
		s, err := cfg.StartServer(ctx, kind)
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", kind, err)
		}
		v := newVolley(s, cfg.Connections, cfg.ShopperPrefix, expected(kind))
		volleys[kind] = v
		if err = s.Grab.check(); err == nil {
			err = v.equip(ctx, max(primeTries, s.Pool))
		}
		if err == nil {
			err = v.prime(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
	}
	for round := range cfg.Rounds {
		fsync, err := MeasureFsync(cfg.DataDir, fsyncsARound)
		if err != nil {
			return nil, err
		}
		for i := range cfg.Kinds {
			kind := cfg.Kinds[(i+round)%len(cfg.Kinds)]
			v := volleys[kind]
			warmUp := cfg.WarmUp
			if v.server.TokenFor != nil && v.pool == 0 {
				if err := v.equip(ctx, Equipped(cfg.RoundTime)); err != nil {
					return nil, fmt.Errorf("%s: %w", kind, err)
				}
				warmUp = 0 // the requests for tickets were one
			}
			shot, err := v.fire(ctx, warmUp, cfg.RoundTime)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", kind, err)
			}
			r := HTTPRound{
				Round: round + 1, Kind: kind,
				Requests: shot.requests, RequestsPerSecond: float64(shot.requests) / shot.took.Seconds(),
				Unexpected: shot.unexpected, Latency: shot.latency, OverTime: shot.overTime,
				ClientCPUMicros: float64(shot.cpu.Nanoseconds()) / 1e3 / float64(max(1, shot.requests)),
				FsyncP50MS:      fsync.P50, FsyncP99MS: fsync.P99,
			}
			report.Rounds = append(report.Rounds, r)
			if cfg.Progress != nil {
				fmt.Fprintf(cfg.Progress, "round %d %-16s %8.0f/s, p99 %.2f ms\n", r.Round, r.Kind,
					r.RequestsPerSecond, r.Latency.P99)
			}
		}
	}
	report.sumUp()
	return report, nil
}

// expected is the code that a kind answers.
func expected(kind string) string {
	if Grants(kind) {
		return codeGranted
	}
	return codeSoldOut
}

// OK reports whether nearly all answers were what their kind answers. A rush
// of other answers means that something else was measured.
func (r *HTTPReport) OK() bool {
	for _, m := range r.Rounds {
		if m.Unexpected*1000 > m.Requests {
			return false
		}
	}
	return len(r.Rounds) > 0
}

func (r *HTTPReport) sumUp() {
	rate := make(map[string]map[int]float64) // by kind and round
	for _, kind := range r.Config.Kinds {
		rate[kind] = make(map[int]float64)
	}
	var f50, f99 []float64
	for _, m := range r.Rounds {
		rate[m.Kind][m.Round] = m.RequestsPerSecond
		if m.Kind == r.Config.Kinds[0] {
			f50, f99 = append(f50, m.FsyncP50MS), append(f99, m.FsyncP99MS)
		}
	}
	r.FsyncP50MS, r.FsyncP99MS = median(f50), median(f99)
	// of sums up the rounds' ratios of one kind to another; nothing without the other.
	of := func(kind, other string) (middle, least, most float64) {
		var ratios []float64
		for round, per := range rate[other] {
			ratios = append(ratios, rate[kind][round]/per)
		}
		if len(ratios) == 0 {
			return 0, 0, 0
		}
		return median(ratios), slices.Min(ratios), slices.Max(ratios)
	}
	redis := ""
	if i := slices.IndexFunc(r.Config.Kinds, OnRedis); i >= 0 {
		redis = r.Config.Kinds[i]
	}
	for _, kind := range r.Config.Kinds {
		var rates, p50, p99 []float64
		k := HTTPKind{Kind: kind}
		for _, m := range r.Rounds {
			if m.Kind == kind {
				rates = append(rates, m.RequestsPerSecond)
				p50, p99 = append(p50, m.Latency.P50), append(p99, m.Latency.P99)
				k.Unexpected += m.Unexpected
			}
		}
		k.RequestsPerSecond, k.P50, k.P99 = median(rates), median(p50), median(p99)
		k.Ratio, k.RatioLeast, k.RatioMost = of(kind, r.Config.Kinds[0])
		k.OfPlain, k.OfPlainLeast, k.OfPlainMost = of(kind, Plain(kind))
		if Grants(kind) && !OnRedis(kind) {
			k.OfRedis, k.OfRedisLeast, k.OfRedisMost = of(kind, redis)
		}
		r.Kinds = append(r.Kinds, k)
	}
}

// median of at least one value; the lower one of an even number's two.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[(len(s)-1)/2]
}

func (r *HTTPReport) write(s *sheet) {
	s.put("HTTP\t%d connections, medians of %d rounds of %v, fsync p50 %.3f ms p99 %.3f ms\n\n",
		r.Config.Connections, r.Config.Rounds, r.Config.RoundTime, r.FsyncP50MS, r.FsyncP99MS)
	s.put("KIND\tREQUESTS/S\tRATIO\t(LEAST, MOST)\tOF PLAIN\t(LEAST, MOST)\tOF REDIS\t(LEAST, MOST)\tP50\tP99\t" +
		"UNEXPECTED\n")
	spread := func(middle, least, most float64) string {
		if middle == 0 {
			return "\t"
		}
		return fmt.Sprintf("%.3f\t(%.3f, %.3f)", middle, least, most)
	}
	for _, k := range r.Kinds {
		s.put("%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%d\n", k.Kind, k.RequestsPerSecond,
			spread(k.Ratio, k.RatioLeast, k.RatioMost), spread(k.OfPlain, k.OfPlainLeast, k.OfPlainMost),
			spread(k.OfRedis, k.OfRedisLeast, k.OfRedisMost), ms(k.P50), ms(k.P99), k.Unexpected)
	}
}

func (r *HTTPReport) series() []Series {
	var all []Series
	for _, kind := range r.Config.Kinds {
		s := Series{Kind: kind, Unit: "requests", Under: fmt.Sprintf("nodes=%d, connections=%d", r.Config.Nodes,
			r.Config.Connections)}
		if base := r.Config.Kinds[0]; kind != base {
			s.Of = base
		}
		for _, m := range r.Rounds { // a kind's are in their order
			if m.Kind == kind {
				s.PerSecond, s.Latency = append(s.PerSecond, m.RequestsPerSecond), append(s.Latency, m.Latency)
				s.OverTime = append(s.OverTime, m.OverTime)
			}
		}
		all = append(all, s)
	}
	return all
}

func (r *HTTPReport) kept() kept {
	k := kept{dir: r.Config.ResultsDir, from: &r.Environment}
	for _, m := range slices.SortedStableFunc(slices.Values(r.Rounds), func(a, b HTTPRound) int {
		return cmp.Compare(slices.Index(r.Config.Kinds, a.Kind), slices.Index(r.Config.Kinds, b.Kind))
	}) {
		k.line(fmt.Sprintf("HTTP/%s/nodes=%d/connections=%d", m.Kind, r.Config.Nodes, r.Config.Connections), m.Requests,
			"%.1f ns/op\t%.0f req/s\t%.3f p50-ms\t%.3f p99-ms", 1e9/max(1e-9, m.RequestsPerSecond),
			m.RequestsPerSecond, m.Latency.P50, m.Latency.P99)
	}
	return k
}

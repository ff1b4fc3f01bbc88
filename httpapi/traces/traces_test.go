package traces

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"doorbuster/engine"
)

// collector takes what a Tracer sends.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	spans  []*tracepb.Span
	of     map[string]string // the resource
	header http.Header       // of the last request
}

func newCollector(t *testing.T) *collector {
	c := &collector{of: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var sent collectorpb.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &sent); err != nil || r.URL.Path != "/v1/traces" || r.Method != "POST" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.header = r.Header
		for _, of := range sent.ResourceSpans {
			for _, a := range of.Resource.Attributes {
				c.of[a.Key] = a.Value.GetStringValue()
			}
			for _, scope := range of.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// await waits until something holds of what has come.
func (c *collector) await(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		held, has := holds(), len(c.spans)
		c.mu.Unlock()
		if held {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not come; %d spans are there", has)
		}
	}
}

func open(t *testing.T, cfg Config) *Tracer {
	t.Helper()
	cfg.Ratio, cfg.Node, cfg.Zone, cfg.Version, cfg.Every = 1, "n7", "z7", "v7", time.Millisecond
	tracer, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

// run has a Tracer send until the test ends, or stop is called.
func run(t *testing.T, tracer *Tracer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		tracer.Run(ctx)
		close(done)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

var grabbed = engine.Grab{Listing: []byte("day/skus/mask")}

func TestSpansOfAGrab(t *testing.T) {
	c := newCollector(t)
	tracer := open(t, Config{Endpoint: c.URL, Token: "secret-1"})
	run(t, tracer)
	began := time.Now()
	g := Begin([]byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), began)
	for stage := range stages {
		g.Ended(engine.Stage(stage), began.Add(time.Duration(stage+1)*time.Millisecond))
	}
	tracer.End(g, &grabbed, &engine.Answer{Code: engine.CodeGranted, Transaction: engine.Transaction{1, 2}})
	c.await(t, func() bool { return len(c.spans) == stages+1 })

	if got := c.header.Get("Authorization"); got != "Bearer secret-1" {
		t.Errorf("asked with %q", got)
	}
	for key, want := range map[string]string{"service.name": "doorbuster", "service.instance.id": "n7",
		"service.version": "v7", "doorbuster.zone": "z7"} {
		if c.of[key] != want {
			t.Errorf("%s is %q", key, c.of[key])
		}
	}
	whole := c.spans[slices.IndexFunc(c.spans, func(s *tracepb.Span) bool { return s.Name == "grab" })]
	if hex.EncodeToString(whole.ParentSpanId) != "b7ad6b7169203331" || whole.Kind != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("%v", whole)
	}
	said := fmt.Sprint(whole.Attributes)
	for _, want := range []string{"day/skus/mask", "granted", "01020000-0000-0000-0000-000000000000"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %s in %s", want, said)
		}
	}
	at := whole.StartTimeUnixNano
	for _, name := range engine.Stages() {
		i := slices.IndexFunc(c.spans, func(s *tracepb.Span) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("no span of %s", name)
		}
		s := c.spans[i]
		if hex.EncodeToString(s.TraceId) != "0af7651916cd43dd8448eb211c80319c" || s.StartTimeUnixNano != at ||
			s.EndTimeUnixNano != at+uint64(time.Millisecond) || string(s.ParentSpanId) != string(whole.SpanId) {
			t.Errorf("%v", s)
		}
		at = s.EndTimeUnixNano
	}
	if whole.EndTimeUnixNano != at {
		t.Error("the grab ends elsewhere than its last stage")
	}

	if err := tracer.SetToken("secret-2"); err != nil {
		t.Fatal(err)
	}
	tracer.End(refused(), &grabbed, &engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonGone})
	c.await(t, func() bool { return len(c.spans) > stages+1 && c.header.Get("Authorization") == "Bearer secret-2" })
	if err := tracer.SetToken("a\nb"); err == nil || strings.Contains(err.Error(), "a\nb") {
		t.Errorf("a token of two lines: %v", err)
	}
}

// refused is a grab that its gate has answered.
func refused() *Grab {
	g := Begin(nil, time.Now())
	for _, stage := range []engine.Stage{engine.StageDoor, engine.StageGate, engine.StageAnswer} {
		g.Ended(stage, time.Now())
	}
	return g
}

// TestTimesThatGoBack: whatever is taken down, no span ends before it begins.
func TestTimesThatGoBack(t *testing.T) {
	now := time.Now()
	g := Begin(nil, now)
	g.Ended(engine.StageDoor, now.Add(-time.Hour))
	g.Ended(engine.StageGate, now.Add(time.Second))
	g.Ended(engine.StageActor, now)
	g.Ended(engine.StageLog, time.Time{}) // not known
	g.Ended(engine.StageAnswer, now.Add(2*time.Second))
	var names []string
	for _, s := range g.spans() {
		if names = append(names, s.name); s.end.Before(s.start) {
			t.Errorf("%+v", s)
		}
	}
	if got := fmt.Sprint(names); got != "[door gate actor answer]" {
		t.Error(got)
	}
	if spans := refused().spans(); spans[2].name != "decision" {
		t.Errorf("%+v", spans)
	}
}

// TestTraceparents: what is malformed begins a trace of its own, and breaks nothing.
func TestTraceparents(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	c := newCollector(t)
	tracer := open(t, Config{Endpoint: c.URL})
	run(t, tracer)
	for parent, taken := range map[string]bool{
		"00-" + id + "-b7ad6b7169203331-01": true, "00-" + id + "-b7ad6b7169203331-00": true,
		"01-" + id + "-b7ad6b7169203331-01-more": true,
		"":                                       false,
		"00":                                     false,
		"00-" + id + "-b7ad6b7169203331":         false,
		"00-" + id + "-b7ad6b7169203331-01-more": false,
		"ff-" + id + "-b7ad6b7169203331-01":      false,
		"00-" + strings.ToUpper(id) + "-b7ad6b7169203331-01":              false,
		"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01":          false,
		"00-" + id + "-0000000000000000-01":                               false,
		"00-" + id + "-b7ad6b716920333-011":                               false,
		"00-" + id + "-b7ad6b7169203331-zz":                               false,
		"\x00\xff\n-%s%n":                                                 false,
		"01-" + id + "-b7ad6b7169203331-01-" + strings.Repeat("a", 1<<20): false,
	} {
		c.mu.Lock()
		c.spans = nil
		c.mu.Unlock()
		g := Begin([]byte(parent), time.Now())
		g.Ended(engine.StageAnswer, time.Now())
		tracer.End(g, &grabbed, &engine.Answer{})
		c.await(t, func() bool { return len(c.spans) == 2 })
		of := hex.EncodeToString(c.spans[0].TraceId)
		if (of == id) != taken || of == strings.Repeat("0", 32) {
			t.Errorf("%.80q is in the trace %s", parent, of)
		}
	}
}

// TestCollectorsThatFail: who traces never waits for a collector, and what it did not take is
// counted; the log hears of it once, and no more than a line.
func TestCollectorsThatFail(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or it would not notice that who asks is gone
			<-r.Context().Done()
		},
		"fails": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("no\n\x1b[31m", 100_000), http.StatusBadRequest)
		},
		"is busy for ever": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "100000")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"sends away": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		},
		"answers garbage": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			_, _ = w.Write([]byte(strings.Repeat("\xff", 1000)))
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"is gone":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(answer)
			t.Cleanup(server.Close)
			if answer == nil {
				server.Close()
			}
			var log lines
			tracer := open(t, Config{Endpoint: server.URL, Timeout: 100 * time.Millisecond,
				Logger: slog.New(slog.NewTextHandler(&log, nil))})
			stop := run(t, tracer)
			for deadline := time.Now().Add(30 * time.Second); tracer.failed.Load() < 2*grabsSent; {
				tracer.End(refused(), &grabbed, &engine.Answer{})
				if time.Sleep(10 * time.Microsecond); time.Now().After(deadline) {
					t.Fatalf("%d failed", tracer.failed.Load())
				}
			}
			stop()
			if said := log.text(); strings.Count(said, "\n") != 1 || len(said) > 1000 ||
				!strings.Contains(said, "traces could not be sent") {
				t.Errorf("%d lines: %.2000s", strings.Count(said, "\n"), said)
			}
			if sent := tracer.sent.Load(); sent != 0 {
				t.Errorf("%d were sent", sent)
			}
		})
	}
}

// TestFullQueue: what finds no room is dropped and counted, and the rest is sent once the
// collector answers.
func TestFullQueue(t *testing.T) {
	c := newCollector(t)
	tracer := open(t, Config{Endpoint: c.URL})
	const more = 500
	for range queued + more {
		tracer.End(refused(), &grabbed, &engine.Answer{})
	}
	if n := tracer.dropped.Load(); n != more {
		t.Errorf("%d dropped", n)
	}
	run(t, tracer)
	c.await(t, func() bool { return len(c.spans) == 4*queued })
	want := fmt.Sprintf(`
# HELP doorbuster_traces_total Traces of grabs: sent, failed (the collector did not take them), or dropped (they would have had to wait).
# TYPE doorbuster_traces_total counter
doorbuster_traces_total{outcome="dropped"} %d
doorbuster_traces_total{outcome="failed"} 0
doorbuster_traces_total{outcome="sent"} %d
`, more, queued)
	for deadline := time.Now().Add(10 * time.Second); tracer.sent.Load() < queued; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			break
		}
	}
	if err := testutil.CollectAndCompare(tracer, strings.NewReader(want), "doorbuster_traces_total"); err != nil {
		t.Error(err)
	}
}

// TestWhatIsLeftIsSent when the node stops.
func TestWhatIsLeftIsSent(t *testing.T) {
	c := newCollector(t)
	tracer := open(t, Config{Endpoint: c.URL})
	tracer.patience = time.Minute
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for range 300 {
		tracer.End(refused(), &grabbed, &engine.Answer{})
	}
	tracer.Run(ended)
	if n := tracer.sent.Load(); n != 300 || len(c.spans) != 4*300 {
		t.Errorf("%d sent, %d spans", n, len(c.spans))
	}
}

func TestBadConfig(t *testing.T) {
	for _, endpoint := range []string{"", "collector:4318", "ftp://collector", "http://", "http:///v1/traces", "://",
		"https://user:hunter2@collector", "http://collector/?token=hunter2", "http://collector/#x", "http://a b/",
		"http://collector:port/hunter2"} {
		if _, err := New(Config{Endpoint: endpoint}); err == nil || strings.Contains(err.Error(), "hunter2") ||
			!strings.Contains(err.Error(), "it must be like https://") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	for _, ratio := range []float64{-0.1, 1.1} {
		if _, err := New(Config{Endpoint: "http://collector", Ratio: ratio}); err == nil {
			t.Errorf("a ratio of %v", ratio)
		}
	}
	for endpoint, want := range map[string]string{
		"http://c:4318": "http://c:4318/v1/traces", "https://c/": "https://c/v1/traces",
		"http://c/otlp": "http://c/otlp",
	} {
		if tracer, err := New(Config{Endpoint: endpoint}); err != nil || tracer.cfg.Endpoint != want {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

// TestEnvironment: the SDK's own variables say more of the node, and one that is malformed is
// told of at the start.
func TestEnvironment(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "shop")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	c := newCollector(t)
	tracer := open(t, Config{Endpoint: c.URL})
	run(t, tracer)
	tracer.End(refused(), &grabbed, &engine.Answer{})
	c.await(t, func() bool { return c.of["service.name"] == "shop" && c.of["deployment.environment"] == "test" })
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "nonsense")
	_, err := New(Config{Endpoint: c.URL})
	if err == nil || !strings.Contains(err.Error(), "OTEL_RESOURCE_ATTRIBUTES") {
		t.Errorf("%v", err)
	}
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

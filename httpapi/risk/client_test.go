package risk

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience is for a service on this machine: it never runs out while it answers.
const patience = 5 * time.Second

var ada = Question{Shopper: "ada", Address: netip.MustParseAddr("203.0.113.5"), Session: "fans-day-10", SKU: "mask-50"}

func about(shopper string) Question {
	q := ada
	q.Shopper = shopper
	return q
}

// serve runs a service until the test is over. Handlers that wait do so on the
// request's context or on the channel, which closes first.
func serve(t *testing.T, handler func(w http.ResponseWriter, r *http.Request, over <-chan struct{})) string {
	t.Helper()
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(w, r, over) }))
	t.Cleanup(func() {
		close(over)
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (c *Counters) String() string {
	return fmt.Sprintf("asked %d, answered %d, cached %d, down %d, open %d", c.Asked.Load(), c.Answered.Load(),
		c.Cached.Load(), c.Down.Load(), c.Open.Load())
}

// eventually waits until done says yes, or fails the test.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestJudge(t *testing.T) {
	for _, level := range []Level{Allow, Watch, Challenge, Block} {
		t.Run(level.String(), func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
				body, _ := io.ReadAll(r.Body)
				const want = `{"shopper":"ada","address":"203.0.113.5","session":"fans-day-10","sku":"mask-50"}`
				if r.Method != "POST" || string(body) != want || r.Header.Get("Authorization") != "Bearer abc" ||
					r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%s %s with %v", r.Method, body, r.Header)
				}
				_, _ = fmt.Fprintf(w, `{"level":%q,"score":0.5}`, level)
			})
			c := newClient(t, Config{URL: url, Token: "abc", Timeout: patience})
			if got := c.Judge(t.Context(), ada); got != (Verdict{level, FromService}) {
				t.Errorf("the verdict is %v", got)
			}
			if got := c.Judge(t.Context(), ada); got != (Verdict{level, FromMemory}) {
				t.Errorf("the second verdict is %v", got)
			}
			if got := c.counters.String(); got != "asked 1, answered 1, cached 1, down 0, open 0" {
				t.Error(got)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		_, _ = io.WriteString(w, `{"level":"watch"}`)
	})
	c := newClient(t, Config{URL: url, Timeout: patience, CacheSize: 2, CacheTTL: time.Minute})
	now := time.Now()
	c.now = func() time.Time { return now }
	elsewhere := ada
	elsewhere.Address = netip.MustParseAddr("203.0.113.6")
	for _, step := range []struct {
		name  string
		q     Question
		after time.Duration
		want  Source
	}{
		{"first", ada, 0, FromService},
		{"just before it is too old", ada, time.Minute - 1, FromMemory},
		{"too old", ada, time.Minute, FromService},
		{"remembered anew", ada, 2*time.Minute - 1, FromMemory},
		{"another shopper", about("bob"), 2*time.Minute - 1, FromService},
		{"the same from elsewhere", elsewhere, 2*time.Minute - 1, FromService},
		{"the first was pushed out", ada, 2*time.Minute - 1, FromService},
	} {
		start := now
		now = now.Add(step.after)
		if got := c.Judge(t.Context(), step.q); got != (Verdict{Watch, step.want}) {
			t.Errorf("%s: the verdict is %v; want it from %s", step.name, got, step.want)
		}
		now = start
	}
	if n := c.remembered.Len(); n != 2 {
		t.Errorf("%d answers are remembered; want 2", n)
	}
}

// TestBadServices: whatever the service does, it is down, and nothing of it is
// remembered.
func TestBadServices(t *testing.T) {
	long := `{"level":"allow","why":"` + strings.Repeat("x", maxAnswerBytes) + `"}`
	for _, c := range []struct {
		name   string
		handle func(w http.ResponseWriter, r *http.Request, over <-chan struct{})
		hangs  bool // so the test waits for the timeout
	}{
		{"hangs", func(_ http.ResponseWriter, r *http.Request, over <-chan struct{}) {
			select {
			case <-r.Context().Done():
			case <-over:
			}
		}, true},
		{"hangs in its answer", func(w http.ResponseWriter, r *http.Request, over <-chan struct{}) {
			_, _ = io.WriteString(w, `{"level":`)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-over:
			}
		}, true},
		{"answers without end", func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
			for {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<10)); err != nil {
					return
				}
			}
		}, false},
		{"answers too long", func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
			_,
				_ = io.WriteString(w, long)
		}, false},
		{"says Level beside level", func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
			_, _ = io.WriteString(w, `{"level":"block","Level":"allow"}`)
		}, false},
		{"breaks off", func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"level":"allow"}`)
			panic(http.ErrAbortHandler)
		}, false},
		{"huge headers", func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
			w.Header().Set("X-Why", strings.Repeat("x", 1<<20))
			_, _ = io.WriteString(w, `{"level":"allow"}`)
		}, false},
		{"garbage", says(200, "\x00\xffallow"), false},
		{"nothing", says(200, ""), false},
		{"half a JSON", says(200, `{"level":"allow"`), false},
		{"two answers", says(200, `{"level":"allow"}{"level":"block"}`), false},
		{"a list", says(200, `["allow"]`), false},
		{"a bare word", says(200, `"allow"`), false},
		{"null", says(200, `null`), false},
		{"no level", says(200, `{"verdict":"allow"}`), false},
		{"a null level", says(200, `{"level":null}`), false},
		{"a number", says(200, `{"level":0}`), false},
		{"an unknown level", says(200, `{"level":"ALLOW"}`), false},
		{"an empty level", says(200, `{"level":""}`), false},
		{"a fault", says(500, `{"level":"allow"}`), false},
		{"a refusal", says(401, `{"level":"allow"}`), false},
		{"another success", says(202, `{"level":"allow"}`), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{URL: serve(t, c.handle), WhenDown: Block, Timeout: patience, Breaker: Breaker{Failures: 100}}
			if c.hangs {
				cfg.Timeout = 20 * time.Millisecond
			}
			client := newClient(t, cfg)
			for range 2 {
				if got := client.Judge(t.Context(), ada); got != (Verdict{Block, FromConfig}) {
					t.Errorf("the verdict is %v", got)
				}
			}
			if got := client.counters.String(); got != "asked 2, answered 0, cached 0, down 2, open 0" {
				t.Error(got)
			}
		})
	}
}

func says(status int, body string) func(http.ResponseWriter, *http.Request, <-chan struct{}) {
	return func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Int64
	target := serve(t, func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		followed.Add(1)
		_, _ = io.WriteString(w, `{"level":"allow"}`)
	})
	for _, status := range []int{301, 302, 303, 307, 308} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
			http.Redirect(w, r, target,
				status)
		})
		c := newClient(t, Config{URL: url, Token: "secret", Timeout: patience, WhenDown: Challenge})
		if got := c.Judge(t.Context(), ada); got != (Verdict{Challenge, FromConfig}) {
			t.Errorf("status %d: the verdict is %v", status, got)
		}
	}
	if followed.Load() != 0 {
		t.Errorf("%d redirects were followed", followed.Load())
	}
}

func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c := newClient(t, Config{URL: server.URL, Timeout: patience})
	if got := c.Judge(t.Context(), ada); got != (Verdict{Allow, FromConfig}) {
		t.Errorf("the verdict is %v", got)
	}
}

// TestProxyIsNotTaken: a proxy in the environment is ignored unless it is asked
// for. (net/http reads the environment once, and never takes a proxy for
// loopback, so what is looked at is what the transport was given.)
func TestProxyIsNotTaken(t *testing.T) {
	for _, asked := range []bool{false, true} {
		c := newClient(t, Config{URL: "https://risk.example", ProxyFromEnvironment: asked})
		if got := c.http.Transport.(*http.Transport).Proxy != nil; got != asked {
			t.Errorf("asked for a proxy: %t; has one: %t", asked, got)
		}
	}
}

// TestTLS: a certificate that nobody vouches for is no service.
func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = io.WriteString(w, `{"level":"watch"}`)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(server.Close)
	if got := newClient(t, Config{URL: server.URL, Timeout: patience}).Judge(t.Context(), ada); got != (Verdict{Allow,
		FromConfig}) {
		t.Errorf("from whom nobody vouches for: %v", got)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	if got := newClient(t, Config{URL: server.URL, Timeout: patience,
		TLS: &tls.Config{RootCAs: roots}}).Judge(t.Context(), ada); got != (Verdict{Watch, FromService}) {
		t.Errorf("from whom we trust: %v", got)
	}
}

// TestShared: who asks the same at the same time shares one call.
func TestShared(t *testing.T) {
	var calls atomic.Int64
	release := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, _ *http.Request, over <-chan struct{}) {
		calls.Add(1)
		select {
		case <-release:
		case <-over:
		}
		_, _ = io.WriteString(w, `{"level":"challenge"}`)
	})
	c := newClient(t, Config{URL: url, Timeout: patience})
	var askers sync.WaitGroup
	for range 50 {
		askers.Go(func() {
			if got := c.Judge(context.Background(), ada); got.Level != Challenge || got.Source == FromConfig {
				t.Errorf("the verdict is %v", got)
			}
		})
	}
	eventually(t, "a call", func() bool { return calls.Load() > 0 })
	close(release)
	askers.Wait()
	if calls.Load() != 1 {
		t.Errorf("%d calls; want 1", calls.Load())
	}
}

// TestLeaving: who gives up is answered at once; the call goes on for memory.
func TestLeaving(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, _ *http.Request, over <-chan struct{}) {
		close(asked)
		select {
		case <-release:
		case <-over:
		}
		_, _ = io.WriteString(w, `{"level":"watch"}`)
	})
	c := newClient(t, Config{URL: url, Timeout: patience})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-asked
		leave()
	}()
	if got := c.Judge(ctx, ada); got != (Verdict{Allow, FromConfig}) {
		t.Errorf("who gives up hears %v", got)
	}
	close(release)
	eventually(t, "the answer in memory", func() bool { return c.counters.Answered.Load() == 1 })
	if got := c.Judge(t.Context(), ada); got != (Verdict{Watch, FromMemory}) && got != (Verdict{Watch, FromService}) {
		t.Errorf("the next hears %v", got)
	}
}

func TestMaxInFlight(t *testing.T) {
	var inside atomic.Int64
	release := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, _ *http.Request, over <-chan struct{}) {
		inside.Add(1)
		select {
		case <-release:
		case <-over:
		}
		_, _ = io.WriteString(w, `{"level":"watch"}`)
	})
	c := newClient(t, Config{URL: url, Timeout: patience, MaxInFlight: 2, WhenDown: Challenge,
		Breaker: Breaker{Failures: 1}})
	var waiting sync.WaitGroup
	for _, shopper := range []string{"ada", "bob"} {
		waiting.Go(func() {
			if got := c.Judge(context.Background(), about(shopper)); got != (Verdict{Watch, FromService}) {
				t.Errorf("%s hears %v", shopper, got)
			}
		})
	}
	eventually(t, "two in flight", func() bool { return inside.Load() == 2 })
	for i := range 20 {
		if got := c.Judge(t.Context(), about(fmt.Sprint("late", i))); got != (Verdict{Challenge, FromConfig}) {
			t.Errorf("one too many hears %v", got)
		}
	}
	if c.LeftAlone() {
		t.Error("our own bound is held against the service")
	}
	close(release)
	waiting.Wait()
	if got := c.Judge(t.Context(), about("late0")); got != (Verdict{Watch, FromService}) {
		t.Errorf("with room again: %v", got)
	}
	if got := c.counters.String(); got != "asked 3, answered 3, cached 0, down 20, open 0" {
		t.Error(got)
	}
}

func TestBreakerOpens(t *testing.T) {
	var calls atomic.Int64
	url := serve(t, func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		calls.Add(1)
		w.WriteHeader(500)
	})
	var logged lockedBuffer
	c := newClient(t, Config{URL: url + "/?key=hidden", Timeout: patience, WhenDown: Block,
		Breaker: Breaker{Failures: 3, OpenFor: 5 * time.Minute},
		Logger:  slog.New(slog.NewTextHandler(&logged, nil))})
	for i := range 10 {
		if got := c.Judge(t.Context(), about(fmt.Sprint("shopper", i))); got != (Verdict{Block, FromConfig}) {
			t.Errorf("the verdict is %v", got)
		}
	}
	if calls.Load() != 3 || !c.LeftAlone() {
		t.Errorf("%d calls, left alone %t; want 3, true", calls.Load(), c.LeftAlone())
	}
	if got := c.counters.String(); got != "asked 3, answered 0, cached 0, down 3, open 7" {
		t.Error(got)
	}
	if text := logged.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "status is 500") ||
		strings.Contains(text, "hidden") {
		t.Errorf("logged: %s", text)
	}
}

func TestBreakerCloses(t *testing.T) {
	var healthy atomic.Bool
	url := serve(t, func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		if !healthy.Load() {
			w.WriteHeader(503)
			return
		}
		_, _ = io.WriteString(w, `{"level":"watch"}`)
	})
	var logged lockedBuffer
	c := newClient(t, Config{URL: url, Timeout: patience, Breaker: Breaker{Failures: 1, OpenFor: 10 * time.Millisecond,
		Probes: 2},
		Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	c.Judge(t.Context(), about("first"))
	// It is tried again, and fails again, for as long as it is down.
	asked := c.counters.Asked.Load()
	eventually(t, "another try", func() bool {
		c.Judge(t.Context(), about("again"))
		return c.counters.Asked.Load() > asked
	})
	healthy.Store(true)
	n := 0
	eventually(t, "answers again", func() bool {
		n++
		c.Judge(t.Context(), about(fmt.Sprint("shopper", n)))
		return strings.Contains(logged.String(), "answers again")
	})
	if got := c.Judge(t.Context(), about("last")); got != (Verdict{Watch, FromService}) {
		t.Errorf("the verdict is %v", got)
	}
}

// lockedBuffer may be written and read at once.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestMemoryAllocates(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		_, _ = io.WriteString(w, `{"level":"watch"}`)
	})
	c := newClient(t, Config{URL: url, Timeout: patience})
	c.Judge(t.Context(), ada)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { c.Judge(ctx, ada) }); n != 0 {
		t.Errorf("%v allocations for what is remembered; want none", n)
	}
}

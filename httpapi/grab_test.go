package httpapi

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/hot"
	"doorbuster/httpapi/report"
	"doorbuster/httpapi/traces"
)

const grabPath = "/v1/sessions/fans-day-10/skus/mask-50/grab"

// newGrab makes a request context as fasthttp hands it to the handler.
func newGrab(method, path string, headers map[string]string, body string) *fasthttp.RequestCtx {
	ctx := &fasthttp.RequestCtx{}
	var req fasthttp.Request
	req.Header.SetMethod(method)
	req.SetRequestURI(path)
	req.Header.SetHost("shop.test")
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	req.SetBodyString(body)
	ctx.Init(&req, nil, nil)
	ctx.Response.Header.SetNoDefaultContentType(true)
	return ctx
}

// TestRefusedGrabAllocatesNothing: nor does a granted one, but that matters less.
func TestRefusedGrabAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("with the race detector pools forget")
	}
	answers := map[string]engine.Answer{
		"sold out": {Code: engine.CodeSoldOut, Reason: engine.ReasonSoldOut},
		"gone":     {Code: engine.CodeSoldOut, Reason: engine.ReasonGone},
		"missed":   {Code: engine.CodeMissed, Reason: engine.ReasonQuota},
		"ended":    {Code: engine.CodeEnded, Reason: engine.ReasonEnded},
		"not open": {Code: engine.CodeNotOpen, Reason: engine.ReasonNotOpen, Start: fakeNow},
		"limit reached": {Code: engine.CodeLimitReached, Reason: engine.ReasonLimitSession, Count: 1, Order: fakeRef,
			No: fakeNo, Listing: 1},
		"granted": granted(),
	}
	requests := map[string]func() *fasthttp.RequestCtx{
		"with a key": func() *fasthttp.RequestCtx {
			return newGrab("POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1",
				"Accept-Language": "zh-CN"}, "")
		},
		"without a key": func() *fasthttp.RequestCtx {
			return newGrab("POST", grabPath, map[string]string{"X-Shopper-Id": "ada"}, "")
		},
		"with a quantity": func() *fasthttp.RequestCtx {
			return newGrab("POST", grabPath, map[string]string{"X-Shopper-Id": "ada"}, `{"quantity": 2}`)
		},
	}
	for what, answer := range answers {
		for how, request := range requests {
			t.Run(what+" "+how, func(t *testing.T) {
				s := newTestShopper(t, &fakeSeller{answer: answer})
				ctx := request()
				allocations := testing.AllocsPerRun(200, func() {
					ctx.Response.Reset()
					s.handle(ctx)
				})
				if status := ctx.Response.StatusCode(); status != 200 {
					t.Fatalf("status %d: %s", status, ctx.Response.Body())
				}
				if allocations != 0 {
					t.Errorf("%v allocations", allocations)
				}
			})
		}
	}
}

// BenchmarkRefusedGrab is what a no costs in this package.
func BenchmarkRefusedGrab(b *testing.B) {
	s := newTestShopper(b, &fakeSeller{answer: engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonSoldOut}})
	ctx := newGrab("POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1"}, "")
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		s.handle(ctx)
	}
}

// watchedShopper is a door that sees what is asked for, and counts it for the session.
func watchedShopper(t testing.TB) *ShopperServer {
	w := hot.New()
	go w.Run(t.Context())
	s := newTestShopper(t, &fakeSeller{answer: engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonSoldOut,
		Session: 1}})
	s.hot, s.tallies = w, report.NewTallies()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "took"})
	s.took = func(_ engine.Stage, took time.Duration) { h.Observe(took.Seconds()) }
	return s
}

// TestWatchedRefusalAllocatesNothing: seeing what is asked for costs a no nothing to collect.
func TestWatchedRefusalAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	s := watchedShopper(t)
	ctx := newGrab("POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1"}, "")
	if n := testing.AllocsPerRun(2000, func() {
		ctx.Response.Reset()
		s.handle(ctx)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for deadline := time.Now().Add(10 * time.Second); len(s.hot.Top(1, 1)) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody has seen them")
		}
	}
	if top := s.hot.Top(1, 1); top[0].ID != "mask-50" {
		t.Errorf("%+v", top)
	}
	if c := s.tallies.Counted(1); c.Answers["sold_out"]["sold_out"] < 2000 {
		t.Errorf("%+v", c.Answers)
	}
}

// TestUntracedRefusalAllocatesNothing: where some grabs are traced, the others cost nothing to
// collect.
func TestUntracedRefusalAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	s := tracingShopper(t, 0)
	ctx := newGrab("POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "")
	if n := testing.AllocsPerRun(2000, func() {
		ctx.Response.Reset()
		s.handle(ctx)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// tracingShopper is watchedShopper, of whose grabs a part is traced, for nobody.
func tracingShopper(t testing.TB, ratio float64) *ShopperServer {
	s := watchedShopper(t)
	var err error
	if s.tracer, err = traces.New(traces.Config{Endpoint: "http://127.0.0.1:1", Ratio: ratio}); err != nil {
		t.Fatal(err)
	}
	return s
}

// BenchmarkTracingRefusedGrab is BenchmarkWatchedRefusedGrab where one in 1000 is traced.
func BenchmarkTracingRefusedGrab(b *testing.B) {
	s := tracingShopper(b, 0.001)
	ctx := newGrab("POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1"}, "")
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		s.handle(ctx)
	}
}

// BenchmarkWatchedRefusedGrab is BenchmarkRefusedGrab where what is asked for is seen.
func BenchmarkWatchedRefusedGrab(b *testing.B) {
	s := watchedShopper(b)
	ctx := newGrab("POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "k1"}, "")
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		s.handle(ctx)
	}
}

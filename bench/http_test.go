package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func startHello(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = ServeHello(ln) }()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

func smallHTTP(t *testing.T, refused, granted *fakeShop) HTTPConfig {
	c := DefaultHTTPConfig()
	c.Connections, c.RoundTime, c.WarmUp = 8, 300*time.Millisecond, 10*time.Millisecond
	c.DataDir, c.ResultsDir = t.TempDir(), t.TempDir()
	hello := startHello(t)
	c.StartServer = func(_ context.Context, kind string) (HTTPServer, error) {
		s := HTTPServer{Addr: hello, Grab: Listing{Session: "s", SKU: "a"}, Close: func() error { return nil }}
		switch kind {
		case KindRefused:
			s.Addr = refused.shopAddr
		case KindGranted:
			s.Addr = granted.shopAddr
		}
		return s, nil
	}
	return c
}

func TestHTTPRatios(t *testing.T) {
	refused := newFakeShop(t, sinNone, map[string]int{"s/a": 0})
	granted := newFakeShop(t, sinNone, map[string]int{"s/a": 10_000_000})
	granted.quick = true
	c := smallHTTP(t, refused, granted)
	r, err := HTTPRatios(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || len(r.Rounds) != 9 || len(r.Kinds) != 3 {
		t.Fatalf("%+v", r)
	}
	if k := r.Kinds[0]; k.Kind != KindHello || k.Ratio != 1 || k.RequestsPerSecond <= 0 || k.P99 <= 0 {
		t.Errorf("hello: %+v", k)
	}
	for _, m := range r.Rounds {
		if m.Unexpected != 0 || m.FsyncP50MS <= 0 || len(m.OverTime.P99) != 6 || m.OverTime.EverySeconds != 0.05 {
			t.Errorf("%+v", m)
		}
	}
	var text bytes.Buffer
	if err := WriteTable(&text, r); err != nil || !strings.Contains(text.String(), "granted") {
		t.Errorf("%v: %s", err, text.String())
	}
	paths, err := Save(r)
	if err != nil || len(paths) != 2 {
		t.Fatalf("%v, %v", paths, err)
	}
	var back HTTPReport
	b, err := os.ReadFile(paths[0])
	if err != nil || json.Unmarshal(b, &back) != nil || len(back.Rounds) != 9 {
		t.Errorf("%v: %s", err, b)
	}
	b, err = os.ReadFile(paths[1])
	if err != nil || strings.Count(string(b), "\nBenchmarkHTTP/") != 9 || !strings.Contains(string(b), "goos: ") {
		t.Errorf("%v: %s", err, b)
	}
}

func TestHTTPRatiosRefuseAServerSetUpOtherwise(t *testing.T) {
	soldOut := newFakeShop(t, sinNone, map[string]int{"s/a": 0})
	_, err := HTTPRatios(t.Context(), smallHTTP(t, soldOut, soldOut))
	if err == nil || !strings.Contains(err.Error(), "sold_out") {
		t.Errorf("a granted path that refuses: %v", err)
	}
}

func TestHTTPRatiosSayWhenStockRanOut(t *testing.T) {
	refused := newFakeShop(t, sinNone, map[string]int{"s/a": 5})
	granted := newFakeShop(t, sinNone, map[string]int{"s/a": 10})
	r, err := HTTPRatios(t.Context(), smallHTTP(t, refused, granted))
	if err != nil {
		t.Fatal(err)
	}
	if r.OK() {
		t.Error("a granted path that sold out in the first round passed for one")
	}
}

func TestVolleyShoppersAreDistinct(t *testing.T) {
	f := newFakeShop(t, sinNone, map[string]int{"s/a": 10_000_000})
	const round = 2 * time.Second // on a busy machine nobody may come through in less
	for name, fire := range map[string]func(*volley) (shot, error){
		"loop":  func(v *volley) (shot, error) { return v.fire(t.Context(), 0, round) },
		"conns": func(v *volley) (shot, error) { return v.fireByConns(t.Context(), 0, round) },
	} {
		f.mu.Lock()
		clear(f.orders)
		f.mu.Unlock()
		v := newVolley(HTTPServer{Addr: f.shopAddr, Grab: Listing{Session: "s", SKU: "a"}},
			4, name+"-", codeGranted)
		got, err := fire(v)
		if err != nil || got.requests == 0 || got.unexpected != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		f.mu.Lock()
		if n := uint64(len(f.orders)); n != v.shopper.Load() {
			t.Errorf("%s: %d requests made %d orders", name, v.shopper.Load(), n)
		}
		f.mu.Unlock()
	}
}

func TestVolleyWithoutAServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	v := newVolley(HTTPServer{Addr: ln.Addr().String(),
		Grab: Listing{Session: "s", SKU: "a"}}, 2, "x-", codeGranted)
	if _, err := v.fire(t.Context(), 0, time.Second); err == nil {
		t.Error("no error")
	}
	if _, err := v.fireByConns(t.Context(), 0, time.Second); err == nil {
		t.Error("no error by conns")
	}
}

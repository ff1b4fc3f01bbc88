package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// fakeTrail has one event an index, from first to reached.
type fakeTrail struct {
	mu      sync.Mutex
	first   engine.LogIndex
	reached engine.LogIndex
	grown   chan struct{}
	filter  engine.TrailFilter
}

func (f *fakeTrail) Events(from engine.TrailPosition, most int) (events []engine.TrailEvent, next engine.TrailPosition,
	err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if from.Index < f.first {
		return nil, from, &engine.TrailGone{First: engine.TrailPosition{Index: f.first}}
	}
	next = from
	for ; next.Index <= f.reached && len(events) < most; next.Index++ {
		events = append(events, engine.TrailEvent{TrailPosition: engine.TrailPosition{Index: next.Index}, Time: fakeNow,
			Kind: engine.HoldPlaced, State: engine.Held,
			Session: []string{"day", "night"}[next.Index%2], SKU: "mask-50", OrderNo: fakeOrderNo, Shopper: "ann",
			Amount: 100, Currency: "CNY", Quantity: 1})
	}
	return events, next, nil
}

func (f *fakeTrail) AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex {
	for {
		f.mu.Lock()
		reached := f.reached
		if f.grown == nil {
			f.grown = make(chan struct{})
		}
		grown := f.grown
		f.mu.Unlock()
		if reached >= from.Index {
			return reached
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return reached
		}
	}
}

// grow lets so many more happen.
func (f *fakeTrail) grow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reached += engine.LogIndex(n)
	if f.grown != nil {
		close(f.grown)
	}
	f.grown = nil
}

func (f *fakeTrail) Last(events int, _ string) (engine.TrailPosition, error) {
	return engine.TrailPosition{Index: max(f.first, f.reached+1-engine.LogIndex(events))}, nil
}

func (f *fakeTrail) Audit(filter engine.TrailFilter) ([]engine.TrailEvent, engine.TrailPosition, bool, error) {
	f.filter = filter
	events, next, err := f.Events(filter.From, filter.Limit)
	return events, next, next.Index <= f.reached, err
}

func (f *fakeTrail) Horizon(deeds bool) (engine.TrailPosition, engine.Time, error) {
	if deeds {
		return engine.TrailPosition{Index: 1}, fakeNow, nil
	}
	return engine.TrailPosition{Index: 3}, fakeNow, nil
}

func lines(t *testing.T, body string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(body) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, v)
	}
	return all
}

func TestEventsOfThePast(t *testing.T) {
	trail := &fakeTrail{first: 3, reached: 1200}
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Trail = trail })
	w := askAdmin(s, "GET", "/admin/v1/events?follow=false&from=0", "")
	all := lines(t, w.Body.String())
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" || len(all) != 1198 ||
		all[0]["index"] != 3.0 || all[1197]["index"] != 1200.0 {
		t.Fatalf("status %d, %d lines", w.Code, len(all))
	}
	if e := all[0]; e["kind"] != "hold_placed" || e["state"] != "held" || e["amount"] != 100.0 ||
		e["time"] != "2026-09-20T02:00:00.000Z" || e["reason"] != nil {
		t.Errorf("%v", e)
	}
	if all := lines(t, askAdmin(s, "GET", "/admin/v1/events?follow=false&last=4&session=day",
		"").Body.String()); len(all) != 2 {
		t.Errorf("of the last four, half are the day's, not %d", len(all))
	}
	w = askAdmin(s, "GET", "/admin/v1/events?from=2", "")
	wantAdminProblem(t, w, 410, "gone")
	if first := w.Header().Get("Doorbuster-First-Event"); first != "3.0" {
		t.Errorf("first %q", first)
	}
	for _, bad := range []string{"from=x", "from=1.", "from=-1", "from=1&last=2", "last=0", "last=100000",
		"follow=maybe", "session=a/b", "from=99999999999999999999"} {
		wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/events?"+bad, ""), 400, "malformed")
	}
}

func TestAuditByPages(t *testing.T) {
	trail := &fakeTrail{reached: 10}
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Trail = trail })
	w := askAdmin(s, "GET", "/admin/v1/audit?order=0123456789abcdefghjkmnpq&from=4.1&limit=3", "")
	var page struct {
		Events []wire.TrailEvent
		Next   string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Events) != 3 || page.Next != "7.1" ||
		trail.filter.OrderNo != fakeOrderNo {
		t.Errorf("%v %+v, asked %+v", err, page, trail.filter)
	}
	for _, bad := range []string{"order=1&session=day", "order=a/b", "from=x", "limit=0", "session=a/b", "operator=" +
		strings.Repeat("o", 200)} {
		wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/audit?"+bad, ""), 400, "malformed")
	}
}

// TestEventsFromNow: who asks a node whose ledger does not know its end yet waits,
// and is not told the past.
func TestEventsFromNow(t *testing.T) {
	trail := &fakeTrail{}
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) {
		c.Trail, c.RequestTimeout = trail,
			50*time.Millisecond
	})
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/events", ""), 503, "unavailable")
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/events?last=3&follow=false", ""), 503, "unavailable")
	trail.grow(40)
	if w := askAdmin(s, "GET", "/admin/v1/events?follow=false", ""); w.Code != 200 || w.Body.Len() > 0 ||
		w.Header().Get(wire.HeaderFromEvent) != "41.0" {
		t.Errorf("%d from %q: %s", w.Code, w.Header().Get(wire.HeaderFromEvent), w.Body)
	}
	if w := askAdmin(s, "GET", "/admin/v1/events?last=2&follow=false&session=nobody",
		""); w.Header().Get(wire.HeaderFromEvent) != "39.0" {
		t.Errorf("the last two are from %q", w.Header().Get(wire.HeaderFromEvent))
	}
}

// TestHeartbeats: where nothing happens, a line comes every 10 s, as is written, and
// carries the index behind which to go on.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := &fakeTrail{reached: 7}
		s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Trail = trail })
		ctx, leave := context.WithCancel(t.Context())
		out := &timedWriter{header: http.Header{}, began: time.Now()}
		left := make(chan struct{})
		go func() {
			defer close(left)
			r := httptest.NewRequestWithContext(ctx, "GET", "/admin/v1/events?from=7&session=night", nil)
			r.Host = "127.0.0.1:8081"
			s.ServeHTTP(out, r)
		}()
		time.Sleep(25 * time.Second)
		trail.grow(2) // 8 is of the other session
		time.Sleep(25 * time.Second)
		synctest.Wait()
		leave()
		<-left
		want := []string{
			`0s {"index":7,`, `10s {"heartbeat":true,"index":7}`, `20s {"heartbeat":true,"index":7}`,
			`25s {"index":9,`, `35s {"heartbeat":true,"index":9}`, `45s {"heartbeat":true,"index":9}`,
		}
		if len(out.lines) != len(want) {
			t.Fatalf("%q", out.lines)
		}
		for i, w := range want {
			if !strings.HasPrefix(out.lines[i], w) {
				t.Errorf("%q; want %q", out.lines[i], w)
			}
		}
	})
	if text := string(openAPIDocument); !strings.Contains(text, "with a heartbeat every 10 s without one") ||
		!strings.Contains(text, "from the heartbeat's index + 1") {
		t.Error("the description of the API says something else")
	}
}

// timedWriter notes what is written to a reader, and when.
type timedWriter struct {
	header http.Header
	began  time.Time
	lines  []string
}

func (w *timedWriter) Header() http.Header { return w.header }
func (w *timedWriter) WriteHeader(int)     {}
func (w *timedWriter) Flush()              {}

func (w *timedWriter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		w.lines = append(w.lines, fmt.Sprint(time.Since(w.began), " ", strings.TrimSuffix(line, "\n")))
	}
	return len(p), nil
}

// TestReaderThatStops: it is cut off, which is said once; the node has kept no more
// for it than a page and a buffer, another reader is told everything meanwhile, and
// it goes on where it was.
func TestReaderThatStops(t *testing.T) {
	trail := &farTrail{fakeTrail: fakeTrail{reached: 1 << 40}}
	log := &safeText{}
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) {
		c.Trail, c.EventPatience, c.Logger = trail, 2*time.Second, slog.New(slog.NewTextHandler(log, nil))
	})
	at := serveAdmin(t, s)
	stopped := readEvents(t, at, "1")
	first, err := stopped.ReadString('\n')
	if err != nil || !strings.HasPrefix(first, `{"index":1,`) {
		t.Fatalf("%q, %v", first, err)
	}
	// Another one reads for as long as it takes.
	other := readEvents(t, at, "5000000000")
	for next := uint64(5_000_000_000); s.metrics.readersCutOff.Load() == 0; next++ {
		if line, err := other.ReadString('\n'); err != nil ||
			!strings.HasPrefix(line, fmt.Sprintf(`{"index":%d,`, next)) {
			t.Fatalf("the other reader is told %q instead of %d, %v", line, next, err)
		}
	}
	told := uint64(1)
	for {
		line, err := stopped.ReadString('\n')
		if err != nil {
			if err == io.EOF {
				t.Error("it ended as if that were all")
			}
			break
		}
		if told++; !strings.HasPrefix(line, fmt.Sprintf(`{"index":%d,`, told)) {
			t.Fatalf("after %d comes %q", told-1, line)
		}
	}
	if kept, most := trail.read.Load()-told, uint64(eventPage+eventBufferSize/len(first)+1); kept > most {
		t.Errorf("%d events were read for it beyond those that it was sent; %d have room", kept, most)
	}
	again := readEvents(t, at, fmt.Sprint(told+1))
	if line, err := again.ReadString('\n'); err != nil ||
		!strings.HasPrefix(line, fmt.Sprintf(`{"index":%d,`, told+1)) {
		t.Errorf("after %d it goes on with %q, %v", told, line, err)
	}
	if said := log.String(); strings.Count(said, "was cut off") != 1 || s.metrics.readersCutOff.Load() != 1 {
		t.Errorf("%d cut off, and said:\n%s", s.metrics.readersCutOff.Load(), said)
	}
}

// farTrail notes up to where the first of its readers has had it.
type farTrail struct {
	fakeTrail
	read atomic.Uint64
}

func (f *farTrail) Events(from engine.TrailPosition, most int) ([]engine.TrailEvent, engine.TrailPosition, error) {
	events, next, err := f.fakeTrail.Events(from, most)
	if from.N == 0 && next.Index < 5_000_000_000 {
		f.read.Store(uint64(next.Index) - 1)
	}
	return events, next, err
}

// safeText is written by several goroutines.
type safeText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *safeText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *safeText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// readEvents follows the events from a position on until the test ends.
func readEvents(t *testing.T, at, from string) *bufio.Reader {
	t.Helper()
	answer, err := http.Get("http://" + at + "/admin/v1/events?from=" + from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return bufio.NewReader(answer.Body)
}

// serveAdmin serves on loopback until the test ends, and gives the address.
func serveAdmin(t *testing.T, s *AdminServer) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-served
	})
	return ln.Addr().String()
}

// streamed opens a stream of events over a connection.
func streamed(t *testing.T, trail *fakeTrail, query string) (*AdminServer, *bufio.Reader, *http.Response) {
	t.Helper()
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Trail = trail })
	answer, err := http.Get("http://" + serveAdmin(t, s) + "/admin/v1/events" + query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return s, bufio.NewReader(answer.Body), answer
}

// TestEventsAsTheyCome: without a position a reader hears what comes next, and a
// shutdown does not wait for it.
func TestEventsAsTheyCome(t *testing.T) {
	trail := &fakeTrail{reached: 7}
	s, body, _ := streamed(t, trail, "")
	for i := range 3 {
		trail.grow(1)
		line, err := body.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, fmt.Sprintf(`{"index":%d,`, 8+i)) {
			t.Fatalf("%q, %v", line, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if line, err := body.ReadString('\n'); err == nil {
		t.Errorf("after the end: %q", line)
	}
}

// TestTheTrailNamesItsHorizon: an answer with nothing in it says since when it would
// know of it, of operators' deeds apart.
func TestTheTrailNamesItsHorizon(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Trail = &fakeTrail{reached: 10} })
	for path, first := range map[string]string{"/admin/v1/audit?operator=olga": `"first_event":"1.0"`,
		"/admin/v1/audit": `"first_event":"3.0"`} {
		w := askAdmin(s, "GET", path, "")
		if !strings.Contains(w.Body.String(), first) || !strings.Contains(w.Body.String(),
			`"kept_since":"2026-09-20T02:00:00.000Z"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := askAdmin(s, "GET", "/admin/v1/events?follow=false", "")
	if w.Header().Get(wire.HeaderFirstEvent) != "3.0" ||
		w.Header().Get(wire.HeaderKeptSince) != "2026-09-20T02:00:00.000Z" {
		t.Errorf("the stream: %v", w.Header())
	}
}

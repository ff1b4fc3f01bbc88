package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/engine"
)

// fakeTrail has one event an index, from first to reached.
type fakeTrail struct {
	mu      sync.Mutex
	first   engine.LogIndex
	reached engine.LogIndex
	grown   chan struct{}
	filter  engine.TrailFilter
}

func (f *fakeTrail) Events(from engine.TrailPosition, most int) (events []engine.TrailEvent, next engine.TrailPosition, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if from.Index < f.first {
		return nil, from, &engine.TrailGone{First: engine.TrailPosition{Index: f.first}}
	}
	next = from
	for ; next.Index <= f.reached && len(events) < most; next.Index++ {
		events = append(events, engine.TrailEvent{TrailPosition: engine.TrailPosition{Index: next.Index}, Time: fakeNow, Kind: engine.HoldPlaced, State: engine.Held,
			Session: []string{"day", "night"}[next.Index%2], SKU: "mask-50", OrderNo: fakeOrderNo, Shopper: "ann", Amount: 100, Currency: "CNY", Quantity: 1})
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

func (f *fakeTrail) Last(events int) (engine.TrailPosition, error) {
	return engine.TrailPosition{Index: max(f.first, f.reached+1-engine.LogIndex(events))}, nil
}

func (f *fakeTrail) Audit(filter engine.TrailFilter) ([]engine.TrailEvent, engine.TrailPosition, bool, error) {
	f.filter = filter
	events, next, err := f.Events(filter.From, filter.Limit)
	return events, next, next.Index <= f.reached, err
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
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" || len(all) != 1198 || all[0]["index"] != 3.0 || all[1197]["index"] != 1200.0 {
		t.Fatalf("status %d, %d lines", w.Code, len(all))
	}
	if e := all[0]; e["kind"] != "hold_placed" || e["state"] != "held" || e["amount"] != 100.0 || e["time"] != "2026-09-20T02:00:00.000Z" || e["reason"] != nil {
		t.Errorf("%v", e)
	}
	if all := lines(t, askAdmin(s, "GET", "/admin/v1/events?follow=false&last=4&session=day", "").Body.String()); len(all) != 2 {
		t.Errorf("of the last four, half are the day's, not %d", len(all))
	}
	w = askAdmin(s, "GET", "/admin/v1/events?from=2", "")
	wantAdminProblem(t, w, 410, "gone")
	if first := w.Header().Get("Doorbuster-First-Event"); first != "3.0" {
		t.Errorf("first %q", first)
	}
	for _, bad := range []string{"from=x", "from=1.", "from=-1", "from=1&last=2", "last=0", "last=100000", "follow=maybe", "session=a/b", "from=99999999999999999999"} {
		wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/events?"+bad, ""), 400, "malformed")
	}
}

func TestAuditByPages(t *testing.T) {
	trail := &fakeTrail{reached: 10}
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Trail = trail })
	w := askAdmin(s, "GET", "/admin/v1/audit?order=0123456789abc&from=4.1&limit=3", "")
	var page struct {
		Events []TrailJSON
		Next   string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Events) != 3 || page.Next != "7.1" || trail.filter.OrderNo != fakeOrderNo {
		t.Errorf("%v %+v, asked %+v", err, page, trail.filter)
	}
	for _, bad := range []string{"order=1&session=day", "order=a/b", "from=x", "limit=0", "session=a/b", "operator=" + strings.Repeat("o", 200)} {
		wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/audit?"+bad, ""), 400, "malformed")
	}
}

// streamed opens a stream of events over a connection.
func streamed(t *testing.T, trail *fakeTrail, query string) (*AdminServer, *bufio.Reader, *http.Response) {
	t.Helper()
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Trail = trail })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	answer, err := http.Get("http://" + ln.Addr().String() + "/admin/v1/events" + query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		answer.Body.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-served
	})
	return s, bufio.NewReader(answer.Body), answer
}

// TestEventsAsTheyCome: without a position a reader hears what comes next, and a
// shutdown does not wait for him.
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

// TestManyReaders: more than a node has room for are sent elsewhere.
func TestManyReaders(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Trail = &fakeTrail{} })
	s.reading.Store(eventReaders)
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/events", ""), 503, "unavailable")
	if s.reading.Load() != eventReaders {
		t.Error("one that was sent away is counted")
	}
}

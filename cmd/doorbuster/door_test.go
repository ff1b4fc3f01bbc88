package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// A ticket is good once, for whom and for what it was given out, for its time.
func TestTicketsAtTheDoor(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir(), "--ticket-ttl", "2s")
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 5, ticket: true}",
		"{sku: mug, price: 100, stock: 5, ticket: true}"}, "limit_per_shopper: 0"))
	a := s.ExpectWith("ticket_required", "ann", "", nodetest.Mask, "")
	if !strings.Contains(a.Body, `"challenge":"none","ticket_url":"/v1/sessions/day/skus/mask/ticket"`) {
		t.Errorf("where to get a ticket: %s", a.Body)
	}
	good := s.Ticket("ann", nodetest.Mask, "")
	forged := []byte(good)
	if forged[20]++; strings.IndexByte("Zz9_-", forged[20]-1) >= 0 { // still one that a ticket may have
		forged[20] = 'A'
	}
	for what, try := range map[string]struct{ shopper, listing, ticket string }{
		"forged": {"ann", nodetest.Mask, string(forged)}, "borrowed": {"bob", nodetest.Mask, good},
		"for another listing": {"ann", "day/mug", good}, "no ticket": {"ann", nodetest.Mask, "x"},
	} {
		a := s.ExpectWith("missed", try.shopper, "", try.listing, nodetest.With(try.ticket))
		if a.Status != 200 {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	held := s.ExpectWith("granted", "ann", "k1", nodetest.Mask, nodetest.With(good)).Order
	if again := s.ExpectWith("granted", "ann", "k1", nodetest.Mask, "").Order; again != held {
		t.Errorf("their hold, asked for by key without a ticket: %+v", again)
	}
	if again := s.ExpectWith("granted", "ann", "k1", nodetest.Mask,
		nodetest.With(string(forged))).Order; again != held {
		t.Errorf("their hold, asked for by key with a bad ticket: %+v", again)
	}
	// Replayed: the ticket has brought something, though it was let go since.
	s.CancelOrder("ann", held.OrderNo)
	s.ExpectWith("ticket_required", "ann", "k2", nodetest.Mask, nodetest.With(good))
	// One who let it go hears with a forged one what everybody does; one who holds hears
	// of what they have.
	s.ExpectWith("missed", "ann", "k3", nodetest.Mask, nodetest.With(string(forged)))
	s.ExpectWith("granted", "bea", "", nodetest.Mask, nodetest.With(s.Ticket("bea", nodetest.Mask, "")))
	s.ExpectWith("limit_reached", "bea", "k4", nodetest.Mask, nodetest.With(string(forged)))
	// Expired: it is taken until it is not, and then for good.
	a = s.Ask("POST", "cai", nodetest.Mask, "ticket", "")
	var given struct {
		Ticket  string
		Expires time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(a.Body), &given); err != nil {
		t.Fatal(err)
	}
	late := given.Ticket
	s.Eventually(func() bool { return time.Now().After(given.Expires) }, func() string { return "time stands still" })
	s.ExpectWith("missed", "cai", "", nodetest.Mask, nodetest.With(late))
	s.ExpectWith("granted", "cai", "", nodetest.Mask, nodetest.With(s.Ticket("cai", nodetest.Mask, "")))
	for name, want := range map[string]string{"forged": "5",
		"expired": "1"} { // their own of mask for mug, bob's, three with a wrong end
		if got := s.Metric(fmt.Sprintf("doorbuster_tickets_refused_total{why=%q}", name)); got != want {
			t.Errorf("%s %s tickets counted, want %s", got, name, want)
		}
	}
}

// Rates are counted by the address that a trusted proxy names, and by no other.
func TestRatesAtTheDoor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags  []string
		passed int // of five from five addresses, as the header says
	}{
		"a spoofed header":  {nil, 2},
		"a trusted proxy":   {[]string{"--trusted-proxies", "127.0.0.0/8"}, 5},
		"another's proxies": {[]string{"--trusted-proxies", "10.0.0.0/8"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, t.TempDir(),
				append(c.flags, "--rate-limit-address-per-second", "0.001", "--rate-limit-address-burst", "2")...)
			s.Apply(nodetest.Masks(50))
			granted := 0
			for i := range 5 {
				a, err := s.TryWith(fmt.Sprint("s", i), "", nodetest.Mask, "", "X-Forwarded-For",
					fmt.Sprintf("1.1.1.1, 198.51.100.%d", i))
				if err != nil {
					t.Fatal(err)
				}
				if a.Code == "granted" {
					granted++
				} else if a.Code != "missed" {
					t.Errorf("%s", a.Body)
				}
			}
			if granted != c.passed {
				t.Errorf("%d of 5 were granted, want %d", granted, c.passed)
			}
			if limited := s.Metric(`doorbuster_rate_limited_total{by="address"}`); limited != fmt.Sprint(5-c.passed) {
				t.Errorf("%s counted as limited", limited)
			}
			// The switch turns the limit off at once.
			if a := s.Ops("PATCH", "/admin/v1/switches", `{"switches":{"rate_limits":0}}`); a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			for i := range 5 {
				s.ExpectWith("granted", fmt.Sprint("t", i), "", nodetest.Mask, "")
			}
		})
	}
}

// Whatever the risk service does, a grab is answered in bounded time, and the
// verdict is the one that was configured.
func TestRiskServiceAtTheDoor(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for name, c := range map[string]struct {
		service http.HandlerFunc
		down    string
		code    string
	}{
		"blocks": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"level":"block"}`) },
			"allow", "missed"},
		"watches": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"level":"watch"}`) },
			"block", "granted"},
		"asks for work": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"level":"challenge"}`) },
			"allow", "ticket_required"},
		"garbage": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"level":7}`) }, "allow",
			"granted"},
		"garbage, block": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `<html>`) }, "block",
			"missed"},
		"lies": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			io.WriteString(w, `{"level":"block"}`)
		}, "allow", "granted"},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, "allow", "granted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := httptest.NewServer(c.service)
			t.Cleanup(service.CloseClientConnections)
			s := openShop(t, t.TempDir(), nodetest.Easy, "--risk-url", service.URL, "--risk-timeout", "200ms",
				"--risk-when-down", c.down)
			s.Apply(nodetest.Masks(5))
			a := s.ExpectWith(c.code, "ann", "k", nodetest.Mask, "")
			if c.code != "ticket_required" {
				return
			}
			if !strings.Contains(a.Body, `"challenge":"work"`) {
				t.Errorf("what to solve: %s", a.Body)
			}
			s.ExpectWith("ticket_required", "ann", "k", nodetest.Mask,
				nodetest.With(s.Ticket("ann", nodetest.Mask, "")))
			s.ExpectWith("granted", "ann", "k", nodetest.Mask,
				nodetest.With(s.Ticket("ann", nodetest.Mask, s.Solve("ann", nodetest.Mask))))
		})
	}
}

// Reserving ends with the start, and then only those who did may buy.
func TestReservationAtTheDoor(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	plan := func(start string) string {
		return strings.Replace(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 5, reservation: true}",
			"{sku: mug, price: 100, stock: 5}"}), "start: now", "start: "+start, 1)
	}
	s.Apply(plan(`"+3s"`))
	for i, want := range []int{201, 200} {
		if a := s.Ask("POST", "ann", nodetest.Mask, "reservation", ""); a.Status != want ||
			!strings.Contains(a.Body, `"reserved":true`) {
			t.Errorf("the %d. time: %d %s", i+1, a.Status, a.Body)
		}
	}
	s.Ask("POST", "bob", nodetest.Mask, "reservation", "")
	for range 2 {
		if a := s.Ask("DELETE", "bob", nodetest.Mask, "reservation", ""); a.Status != 204 || a.Body != "" {
			t.Errorf("taken back: %d %s", a.Status, a.Body)
		}
	}
	if a := s.Grab("ann", "", nodetest.Mask); a.Code != "not_open" ||
		!strings.Contains(a.Body, `"reservation":{"open":true,`) {
		t.Errorf("before the start: %s", a.Body)
	}
	for listing, want := range map[string]int{"day/mug": 409, "day/none": 404} {
		if a := s.Ask("POST", "ann", listing, "reservation", ""); a.Status != want {
			t.Errorf("%s: %d %s", listing, a.Status, a.Body)
		}
	}
	s.Eventually(func() bool { return s.Grab("eve", "", nodetest.Mask).Code != "not_open" },
		func() string { return "it does not open" })
	for _, method := range []string{"POST", "DELETE"} {
		if a := s.Ask(method, "cai", nodetest.Mask, "reservation", ""); method == "POST" &&
			(a.Status != 409 || !strings.Contains(a.Detail, "has started")) {
			t.Errorf("%s after the start: %d %s", method, a.Status, a.Body)
		}
	}
	if a := s.MustRefuse("not_reserved", "bob", "", nodetest.Mask); !strings.Contains(a.Body,
		`"reservation":{"open":false,"until":`) {
		t.Errorf("who did not reserve: %s", a.Body)
	}
	s.MustGrant("ann", "", nodetest.Mask)
}

// A stream tells first what there is, then what changes: the place in line, how
// it moves, and the hold that comes of it; and it ends with the node.
func TestEventsTellOfTheLine(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 2, waitlist: true}"}))
	first, second := s.MustGrant("ann", "a", nodetest.Mask), s.MustGrant("bob", "b", nodetest.Mask)
	next := s.Events("dan")
	if event, data := next(); event != "snapshot" || data != `{"orders":[]}` {
		t.Fatalf("%s %s", event, data)
	}
	s.ExpectWith("waitlisted", "cai", "c", nodetest.Mask, `{"waitlist":true}`)
	a := s.ExpectWith("waitlisted", "dan", "d", nodetest.Mask, `{"waitlist":true}`)
	var place struct {
		Position  int
		Entry     string
		ResultURL string `json:"result_url"`
	}
	if err := json.Unmarshal([]byte(a.Body), &place); err != nil || place.Position != 2 || place.Entry == "" {
		t.Fatalf("%v: %s", err, a.Body)
	}
	want := func(state string, position int) {
		t.Helper()
		event, data := next()
		var o struct {
			OrderNo, State string
			Position       int
		}
		o.OrderNo = place.Entry
		if err := json.Unmarshal([]byte(data), &o); err != nil || event != "order" || o.State != state ||
			o.Position != position {
			t.Fatalf("%s %s: %v; want %s at %d", event, data, err, state, position)
		}
	}
	want("waiting", 2)
	s.CancelOrder("ann", first.OrderNo)
	want("waiting", 1)
	s.CancelOrder("bob", second.OrderNo)
	want("held", 0)
	if a := s.Do("GET", s.HTTP+place.ResultURL, "", "X-Shopper-Id", "dan"); a.Code != "granted" ||
		a.Order.OrderNo != place.Entry {
		t.Errorf("asked by key: %s", a.Body)
	}
	if a := s.Do("DELETE", s.HTTP+"/v1/grabs/d", "", "X-Shopper-Id", "dan"); a.Status != 409 ||
		!strings.Contains(a.Detail, "Cancel the order") {
		t.Errorf("giving up what is held: %d %s", a.Status, a.Body)
	}
	if a := s.Do("DELETE", s.HTTP+"/v1/grabs/none", "", "X-Shopper-Id", "dan"); a.Status != 404 {
		t.Errorf("giving up nothing: %d %s", a.Status, a.Body)
	}
	for range 3 {
		s.Events("dan")
	}
	if a := s.Do("GET", s.HTTP+"/v1/events", "", "X-Shopper-Id", "dan"); a.Status != 429 {
		t.Errorf("a fifth stream: %d %s", a.Status, a.Body)
	}
	s.Stop()
	if event, data := next(); event != "retry" {
		t.Errorf("the end: %s %s", event, data)
	}
}

// Leaving the line gives the place to who is behind.
func TestLeavingTheLine(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 2, waitlist: true}"}))
	s.MustGrant("ann", "", nodetest.Mask)
	s.MustGrant("bob", "", nodetest.Mask)
	s.ExpectWith("waitlisted", "cai", "c", nodetest.Mask, `{"waitlist":true}`)
	s.ExpectWith("waitlisted", "dan", "d", nodetest.Mask, `{"waitlist":true}`)
	a := s.Do("DELETE", s.HTTP+"/v1/grabs/c", "", "X-Shopper-Id", "cai")
	if a.Status != 200 || !strings.Contains(a.Body, `"state":"left"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do("GET", s.HTTP+"/v1/grabs/d", "", "X-Shopper-Id", "dan"); !strings.Contains(a.Body, `"position":1`) {
		t.Errorf("who is behind: %s", a.Body)
	}
	if a := s.Do("GET", s.HTTP+"/v1/grabs/c", "", "X-Shopper-Id", "cai"); a.Code != "sold_out" {
		t.Errorf("who left: %s", a.Body)
	}
}

// A draw is committed to before, and told after.
func TestDrawIsTold(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 1, draw: 1s}"}))
	url := s.ListingURL(nodetest.Mask) + "/draw"
	before := s.Do("GET", url, "")
	if !strings.Contains(before.Body, `"state":"open"`) || strings.Contains(before.Body, `"seed"`) {
		t.Errorf("before: %s", before.Body)
	}
	for i := range 3 {
		if a := s.ExpectWith("entered", fmt.Sprint("s", i), "k", nodetest.Mask, ""); !strings.Contains(a.Body,
			`"draw_at":"`) || !strings.Contains(a.Body, `"entry":"`) {
			t.Errorf("%s", a.Body)
		}
	}
	var after struct {
		State, Commitment, Seed string
		Entries                 []struct{ State, Why string }
	}
	s.Eventually(func() bool {
		a := s.Do("GET", url, "")
		if err := json.Unmarshal([]byte(a.Body), &after); err != nil {
			t.Fatal(err)
		}
		return after.State == "done"
	}, func() string { return fmt.Sprintf("the draw is not done: %+v", after) })
	if !strings.Contains(before.Body, after.Commitment) || len(after.Seed) != 64 || len(after.Entries) != 3 {
		t.Errorf("%+v after %s", after, before.Body)
	}
	held, passed := 0, 0
	for _, e := range after.Entries {
		switch {
		case e.State == "held":
			held++
		case e.State == "passed" && e.Why == "sold_out":
			passed++
		}
	}
	if held != 1 || passed != 2 {
		t.Errorf("%+v", after.Entries)
	}
	if a := s.Do("GET", s.ListingURL(nodetest.Mask), ""); !strings.Contains(a.Body,
		`"draw":{"state":"done","commitment":"`+after.Commitment) {
		t.Errorf("on display: %s", a.Body)
	}
}

package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	altcha "github.com/altcha-org/altcha-lib-go"
)

// tryWith grabs with a body, and further headers.
func (s *shop) tryWith(shopper, key, listing, body string, header ...string) (reply, error) {
	header = append(header, "X-Shopper-Id", shopper)
	if key != "" {
		header = append(header, "Idempotency-Key", key)
	}
	return s.request("POST", s.listingURL(listing)+"/grab", body, header...)
}

// expectWith grabs with a body and expects a code.
func (s *shop) expectWith(code, shopper, key, listing, body string, header ...string) reply {
	s.t.Helper()
	a, err := s.tryWith(shopper, key, listing, body, header...)
	if err != nil {
		s.t.Fatal(err)
	}
	if a.Code != code {
		s.t.Fatalf("%s wanted %s with %s: %d %s; want %s", shopper, listing, body, a.Status, a.Body, code)
	}
	return a
}

// ask asks something of a listing that is no grab.
func (s *shop) ask(method, shopper, listing, what, body string) reply {
	s.t.Helper()
	return s.do(method, s.listingURL(listing)+"/"+what, body, "X-Shopper-Id", shopper)
}

// ticket gets a ticket with a body that says what was solved.
func (s *shop) ticket(shopper, listing, body string) string {
	s.t.Helper()
	a := s.ask("POST", shopper, listing, "ticket", body)
	var given struct{ Ticket string }
	if err := json.Unmarshal([]byte(a.Body), &given); err != nil || given.Ticket == "" {
		s.t.Fatalf("%s asked for a ticket: %d %s", shopper, a.Status, a.Body)
	}
	return given.Ticket
}

func with(ticket string) string { return fmt.Sprintf(`{"ticket":%q}`, ticket) }

// solve gets a challenge and solves it as the widget does, into the body of a
// request for a ticket.
func (s *shop) solve(shopper, listing string) string {
	s.t.Helper()
	a := s.ask("POST", shopper, listing, "challenge", "")
	var work struct {
		Type, Algorithm, Challenge, Salt, Signature string
		MaxNumber                                   int `json:"maxnumber"`
	}
	if err := json.Unmarshal([]byte(a.Body), &work); err != nil || work.Type != "work" {
		s.t.Fatalf("%s asked for a challenge: %d %s", shopper, a.Status, a.Body)
	}
	found, err := altcha.SolveChallenge(work.Challenge, work.Salt, altcha.SHA256, work.MaxNumber, 0, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := json.Marshal(altcha.Payload{Algorithm: work.Algorithm, Challenge: work.Challenge, Number: int64(found.Number), Salt: work.Salt, Signature: work.Signature})
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf(`{"solution":%q}`, base64.StdEncoding.EncodeToString(text))
}

// easy makes challenges that cost tests no time.
const easy = "--challenge-max-number=1000"

// A ticket is good once, for whom and for what it was given out, for its time.
func TestTicketsAtTheDoor(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir(), "--ticket-ttl", "2s")
	s.apply(planOf([]string{"{sku: mask, price: 100, stock: 5, ticket: true}", "{sku: mug, price: 100, stock: 5, ticket: true}"}, "limit_per_shopper: 0"))
	a := s.expectWith("ticket_required", "ann", "", mask, "")
	if !strings.Contains(a.Body, `"challenge":"none","ticket_url":"/v1/sessions/day/skus/mask/ticket"`) {
		t.Errorf("where to get a ticket: %s", a.Body)
	}
	good := s.ticket("ann", mask, "")
	forged := []byte(good)
	if forged[20]++; strings.IndexByte("Zz9_-", forged[20]-1) >= 0 { // still one that a ticket may have
		forged[20] = 'A'
	}
	for what, try := range map[string]struct{ shopper, listing, ticket string }{
		"forged": {"ann", mask, string(forged)}, "borrowed": {"bob", mask, good}, "for another listing": {"ann", "day/mug", good}, "no ticket": {"ann", mask, "x"},
	} {
		a := s.expectWith("missed", try.shopper, "", try.listing, with(try.ticket))
		if a.Status != 200 {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	held := s.expectWith("granted", "ann", "k1", mask, with(good)).Order
	if again := s.expectWith("granted", "ann", "k1", mask, "").Order; again != held {
		t.Errorf("their hold, asked for by key without a ticket: %+v", again)
	}
	if again := s.expectWith("granted", "ann", "k1", mask, with(string(forged))).Order; again != held {
		t.Errorf("their hold, asked for by key with a bad ticket: %+v", again)
	}
	// Replayed: the ticket has brought something, though it was let go since.
	s.cancelOrder("ann", held.OrderNo)
	s.expectWith("ticket_required", "ann", "k2", mask, with(good))
	// One who let it go hears with a forged one what everybody does; one who holds hears
	// of what they have.
	s.expectWith("missed", "ann", "k3", mask, with(string(forged)))
	s.expectWith("granted", "bea", "", mask, with(s.ticket("bea", mask, "")))
	s.expectWith("limit_reached", "bea", "k4", mask, with(string(forged)))
	// Expired: it is taken until it is not, and then for good.
	a = s.ask("POST", "cai", mask, "ticket", "")
	var given struct {
		Ticket  string
		Expires time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(a.Body), &given); err != nil {
		t.Fatal(err)
	}
	late := given.Ticket
	s.eventually(func() bool { return time.Now().After(given.Expires) }, func() string { return "time stands still" })
	s.expectWith("missed", "cai", "", mask, with(late))
	s.expectWith("granted", "cai", "", mask, with(s.ticket("cai", mask, "")))
	for name, want := range map[string]string{"forged": "5", "expired": "1"} { // their own of mask for mug, bob's, three with a wrong end
		if got := s.metric(fmt.Sprintf("doorbuster_tickets_refused_total{why=%q}", name)); got != want {
			t.Errorf("%s %s tickets counted, want %s", got, name, want)
		}
	}
}

// A challenge stands before the ticket where the listing asks for one; the same
// solution is the same use, on whichever node.
func TestChallengesAtTheDoor(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "off", rooms3...)
	f.extra = "challenge_max_number: 1000\n"
	for _, m := range f.nodes {
		m.launch()
	}
	for _, m := range f.nodes {
		m.awaitUp()
	}
	leader, other := f.leader(), f.follower()
	leader.apply(planOf([]string{"{sku: mask, price: 100, stock: 9, limit_per_shopper: 2, challenge: work}"}, "limit_per_shopper: 2"))
	other.eventually(func() bool { return other.grab("x", "", mask).Code == "ticket_required" }, func() string { return "the listing does not open" })

	a := other.expectWith("ticket_required", "ann", "", mask, "")
	if !strings.Contains(a.Body, `"challenge":"work","challenge_url":"/v1/sessions/day/skus/mask/challenge"`) {
		t.Errorf("where to get a challenge: %s", a.Body)
	}
	if a := other.ask("POST", "ann", mask, "ticket", ""); a.Code != "ticket_required" {
		t.Errorf("a ticket for nothing: %s", a.Body)
	}
	solved := other.solve("ann", mask)
	if a := leader.ask("POST", "bob", mask, "ticket", solved); a.Status != 422 || a.Type != "urn:doorbuster:problem:solution" {
		t.Errorf("another's solution: %d %s", a.Status, a.Body)
	}
	for _, bad := range []string{`{"solution":"x"}`, `{"token":"x","answer":"1"}`} {
		if a := leader.ask("POST", "ann", mask, "ticket", bad); a.Status != 422 {
			t.Errorf("%s: %d %s", bad, a.Status, a.Body)
		}
	}
	first, second := leader.ticket("ann", mask, solved), other.ticket("ann", mask, solved)
	leader.expectWith("granted", "ann", "k1", mask, with(first))
	other.expectWith("ticket_required", "ann", "k2", mask, with(second))
	other.expectWith("granted", "ann", "k3", mask, with(leader.ticket("ann", mask, other.solve("ann", mask))))
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
			s := openShop(t, t.TempDir(), append(c.flags, "--rate-limit-address-per-second", "0.001", "--rate-limit-address-burst", "2")...)
			s.apply(masks(50))
			granted := 0
			for i := range 5 {
				a, err := s.tryWith(fmt.Sprint("s", i), "", mask, "", "X-Forwarded-For", fmt.Sprintf("1.1.1.1, 198.51.100.%d", i))
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
			if limited := s.metric(`doorbuster_rate_limited_total{by="address"}`); limited != fmt.Sprint(5-c.passed) {
				t.Errorf("%s counted as limited", limited)
			}
			// The switch turns the limit off at once.
			if a := s.ops("PATCH", "/admin/v1/switches", `{"switches":{"rate_limits":0}}`); a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			for i := range 5 {
				s.expectWith("granted", fmt.Sprint("t", i), "", mask, "")
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
		"blocks":         {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"level":"block"}`) }, "allow", "missed"},
		"watches":        {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"level":"watch"}`) }, "block", "granted"},
		"asks for work":  {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"level":"challenge"}`) }, "allow", "ticket_required"},
		"garbage":        {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"level":7}`) }, "allow", "granted"},
		"garbage, block": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `<html>`) }, "block", "missed"},
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
			s := openShop(t, t.TempDir(), easy, "--risk-url", service.URL, "--risk-timeout", "200ms", "--risk-when-down", c.down)
			s.apply(masks(5))
			a := s.expectWith(c.code, "ann", "k", mask, "")
			if c.code != "ticket_required" {
				return
			}
			if !strings.Contains(a.Body, `"challenge":"work"`) {
				t.Errorf("what to solve: %s", a.Body)
			}
			s.expectWith("ticket_required", "ann", "k", mask, with(s.ticket("ann", mask, "")))
			s.expectWith("granted", "ann", "k", mask, with(s.ticket("ann", mask, s.solve("ann", mask))))
		})
	}
}

// Reserving ends with the start, and then only those who did may buy.
func TestReservationAtTheDoor(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	plan := func(start string) string {
		return strings.Replace(planOf([]string{"{sku: mask, price: 100, stock: 5, reservation: true}", "{sku: mug, price: 100, stock: 5}"}), "start: now", "start: "+start, 1)
	}
	s.apply(plan(`"+3s"`))
	for i, want := range []int{201, 200} {
		if a := s.ask("POST", "ann", mask, "reservation", ""); a.Status != want || !strings.Contains(a.Body, `"reserved":true`) {
			t.Errorf("the %d. time: %d %s", i+1, a.Status, a.Body)
		}
	}
	s.ask("POST", "bob", mask, "reservation", "")
	for range 2 {
		if a := s.ask("DELETE", "bob", mask, "reservation", ""); a.Status != 204 || a.Body != "" {
			t.Errorf("taken back: %d %s", a.Status, a.Body)
		}
	}
	if a := s.grab("ann", "", mask); a.Code != "not_open" || !strings.Contains(a.Body, `"reservation":{"open":true,`) {
		t.Errorf("before the start: %s", a.Body)
	}
	for listing, want := range map[string]int{"day/mug": 409, "day/none": 404} {
		if a := s.ask("POST", "ann", listing, "reservation", ""); a.Status != want {
			t.Errorf("%s: %d %s", listing, a.Status, a.Body)
		}
	}
	s.eventually(func() bool { return s.grab("eve", "", mask).Code != "not_open" }, func() string { return "it does not open" })
	for _, method := range []string{"POST", "DELETE"} {
		if a := s.ask(method, "cai", mask, "reservation", ""); method == "POST" && (a.Status != 409 || !strings.Contains(a.Detail, "has started")) {
			t.Errorf("%s after the start: %d %s", method, a.Status, a.Body)
		}
	}
	if a := s.mustRefuse("not_reserved", "bob", "", mask); !strings.Contains(a.Body, `"reservation":{"open":false,"until":`) {
		t.Errorf("who did not reserve: %s", a.Body)
	}
	s.mustGrant("ann", "", mask)
}

// events opens a stream and gives a function that reads its next event.
func (s *shop) events(shopper string) (next func() (event, data string)) {
	s.t.Helper()
	r, err := http.NewRequest("GET", s.http+"/v1/events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header["X-Shopper-Id"] = []string{shopper}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { response.Body.Close() })
	if got := response.Header.Get("Content-Type"); response.StatusCode != 200 || got != "text/event-stream" {
		s.t.Fatalf("status %d, %s", response.StatusCode, got)
	}
	lines := bufio.NewScanner(response.Body)
	return func() (event, data string) {
		s.t.Helper()
		late := time.AfterFunc(patience, func() { response.Body.Close() })
		defer late.Stop()
		for lines.Scan() {
			line := lines.Text()
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				event = name
			}
			if text, ok := strings.CutPrefix(line, "data: "); ok {
				data = text
			}
			if ms, ok := strings.CutPrefix(line, "retry: "); ok {
				return "retry", ms
			}
			if line == "" && data != "" {
				return event, data
			}
		}
		return "end", ""
	}
}

// A stream tells first what there is, then what changes: the place in line, how
// it moves, and the hold that comes of it; and it ends with the node.
func TestEventsTellOfTheLine(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(planOf([]string{"{sku: mask, price: 100, stock: 2, waitlist: true}"}))
	first, second := s.mustGrant("ann", "a", mask), s.mustGrant("bob", "b", mask)
	next := s.events("dan")
	if event, data := next(); event != "snapshot" || data != `{"orders":[]}` {
		t.Fatalf("%s %s", event, data)
	}
	s.expectWith("waitlisted", "cai", "c", mask, `{"waitlist":true}`)
	a := s.expectWith("waitlisted", "dan", "d", mask, `{"waitlist":true}`)
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
		if err := json.Unmarshal([]byte(data), &o); err != nil || event != "order" || o.State != state || o.Position != position {
			t.Fatalf("%s %s: %v; want %s at %d", event, data, err, state, position)
		}
	}
	want("waiting", 2)
	s.cancelOrder("ann", first.OrderNo)
	want("waiting", 1)
	s.cancelOrder("bob", second.OrderNo)
	want("held", 0)
	if a := s.do("GET", s.http+place.ResultURL, "", "X-Shopper-Id", "dan"); a.Code != "granted" || a.Order.OrderNo != place.Entry {
		t.Errorf("asked by key: %s", a.Body)
	}
	if a := s.do("DELETE", s.http+"/v1/grabs/d", "", "X-Shopper-Id", "dan"); a.Status != 409 || !strings.Contains(a.Detail, "Cancel the order") {
		t.Errorf("giving up what is held: %d %s", a.Status, a.Body)
	}
	if a := s.do("DELETE", s.http+"/v1/grabs/none", "", "X-Shopper-Id", "dan"); a.Status != 404 {
		t.Errorf("giving up nothing: %d %s", a.Status, a.Body)
	}
	for range 3 {
		s.events("dan")
	}
	if a := s.do("GET", s.http+"/v1/events", "", "X-Shopper-Id", "dan"); a.Status != 429 {
		t.Errorf("a fifth stream: %d %s", a.Status, a.Body)
	}
	s.stop()
	if event, data := next(); event != "retry" {
		t.Errorf("the end: %s %s", event, data)
	}
}

// Leaving the line gives the place to who is behind.
func TestLeavingTheLine(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(planOf([]string{"{sku: mask, price: 100, stock: 2, waitlist: true}"}))
	s.mustGrant("ann", "", mask)
	s.mustGrant("bob", "", mask)
	s.expectWith("waitlisted", "cai", "c", mask, `{"waitlist":true}`)
	s.expectWith("waitlisted", "dan", "d", mask, `{"waitlist":true}`)
	a := s.do("DELETE", s.http+"/v1/grabs/c", "", "X-Shopper-Id", "cai")
	if a.Status != 200 || !strings.Contains(a.Body, `"state":"left"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.do("GET", s.http+"/v1/grabs/d", "", "X-Shopper-Id", "dan"); !strings.Contains(a.Body, `"position":1`) {
		t.Errorf("who is behind: %s", a.Body)
	}
	if a := s.do("GET", s.http+"/v1/grabs/c", "", "X-Shopper-Id", "cai"); a.Code != "sold_out" {
		t.Errorf("who left: %s", a.Body)
	}
}

// A draw is committed to before, and told after.
func TestDrawIsTold(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(planOf([]string{"{sku: mask, price: 100, stock: 1, draw: 1s}"}))
	url := s.listingURL(mask) + "/draw"
	before := s.do("GET", url, "")
	if !strings.Contains(before.Body, `"state":"open"`) || strings.Contains(before.Body, `"seed"`) {
		t.Errorf("before: %s", before.Body)
	}
	for i := range 3 {
		if a := s.expectWith("entered", fmt.Sprint("s", i), "k", mask, ""); !strings.Contains(a.Body, `"draw_at":"`) || !strings.Contains(a.Body, `"entry":"`) {
			t.Errorf("%s", a.Body)
		}
	}
	var after struct {
		State, Commitment, Seed string
		Entries                 []struct{ State, Why string }
	}
	s.eventually(func() bool {
		a := s.do("GET", url, "")
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
	if a := s.do("GET", s.listingURL(mask), ""); !strings.Contains(a.Body, `"draw":{"state":"done","commitment":"`+after.Commitment) {
		t.Errorf("on display: %s", a.Body)
	}
}

// A stream on a node that does not lead tells the same, and so does the next one
// on another node.
func TestEventsOnAnyNode(t *testing.T) {
	t.Parallel()
	f := openFleet(t, "off", rooms3...)
	leader, other := f.leader(), f.follower()
	leader.apply(planOf([]string{"{sku: mask, price: 100, stock: 1, waitlist: true}"}))
	other.eventually(func() bool { return other.grab("ann", "a", mask).Code == "granted" }, func() string { return "the listing does not open" })
	next := other.events("bob")
	if event, data := next(); event != "snapshot" || data != `{"orders":[]}` {
		t.Fatalf("%s %s", event, data)
	}
	leader.expectWith("waitlisted", "bob", "b", mask, `{"waitlist":true}`)
	for _, want := range []string{`"position":1`, `"state":"held"`} {
		if event, data := next(); event != "order" || !strings.Contains(data, want) {
			t.Errorf("%s %s; want %s", event, data, want)
		}
		leader.cancelOrder("ann", leader.grab("ann", "a", mask).Order.OrderNo)
	}
	for _, m := range f.nodes {
		if event, data := m.events("bob")(); event != "snapshot" || !strings.Contains(data, `"state":"held"`) {
			t.Errorf("%s: %s %s", m.id, event, data)
		}
	}
	other.ops("POST", "/admin/v1/cluster/drain", fmt.Sprintf(`{"node":%q}`, other.id))
	if event, _ := next(); event != "retry" {
		t.Errorf("a drained node goes on: %s", event)
	}
}

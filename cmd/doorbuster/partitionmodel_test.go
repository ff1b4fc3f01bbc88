package main

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// asked is what a shopper asks of one door.
type asked string

const (
	askGrab    asked = "grab"
	askByKey   asked = "by key"
	askCancel  asked = "cancel"
	askOrder   asked = "order"
	askOrders  asked = "orders"
	outUnknown       = "unknown" // it may have had its effect, or have it later
)

// event is one request and what came of it.
type event struct {
	what             asked
	listing, shopper string
	key              string // of a grab; of the order otherwise
	node             string // whose door
	call, end        time.Duration
	// outcome is a code of a grab, the state of an order, unknown_key,
	// unknown_order, conflict, or outUnknown.
	outcome string
	orderNo string
}

func (e event) String() string {
	return fmt.Sprintf("%9.3f to %9.3f ms  %-6s %s %s (%s) of %s: %s %s", ms(e.call), ms(e.end), e.what, e.shopper, e.key, e.node, e.listing, e.outcome, e.orderNo)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// history is what shoppers were told. Safe for concurrent use.
type history struct {
	began time.Time

	mu     sync.Mutex
	events []event
}

func newHistory() *history { return &history{began: time.Now()} }

func (h *history) add(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *history) now() time.Duration { return time.Since(h.began) }

func (h *history) all() []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

// between tells in a line how those fared who asked in some span.
func (h *history) between(from, to time.Duration) string {
	first, outcomes := "nobody was granted anything", map[string]int{}
	for _, e := range h.all() {
		if e.what != askGrab || e.call < from || e.call > to {
			continue
		}
		if e.outcome == "granted" && outcomes["granted"] == 0 {
			first = fmt.Sprintf("the next grant after %s, by %s", (e.end - from).Round(time.Millisecond), e.node)
		}
		outcomes[e.outcome]++
	}
	return fmt.Sprint(first, "; grabs ", outcomes)
}

// heardOrder is an order that a shopper heard of, by its grab's key.
type heardOrder struct {
	listing, shopper, orderNo string
	key                       string // "" if only the order was seen
	cancelled                 bool   // he heard that, too
	first                     event  // that told of it
}

// told gives all orders that anybody was told of, by number, and what
// contradicts itself in it.
func (h *history) told() (orders map[string]*heardOrder, wrong []string) {
	orders = map[string]*heardOrder{}
	byKey := map[string]event{}
	for _, e := range h.all() {
		if e.orderNo == "" {
			continue
		}
		o := orders[e.orderNo]
		if o == nil {
			o = &heardOrder{listing: e.listing, shopper: e.shopper, orderNo: e.orderNo, first: e}
			orders[e.orderNo] = o
		}
		if o.shopper != e.shopper || o.listing != e.listing {
			wrong = append(wrong, fmt.Sprintf("order %s is another's:\n  %s\n  %s", e.orderNo, o.first, e))
		}
		if e.outcome == "cancelled" {
			o.cancelled = true
		}
		if e.outcome == "granted" {
			name := e.shopper + " " + e.key
			if was, again := byKey[name]; again && was.orderNo != e.orderNo {
				wrong = append(wrong, fmt.Sprintf("one key, two orders:\n  %s\n  %s", was, e))
			}
			byKey[name], o.key = e, e.key
		}
	}
	return orders, wrong
}

// stale is how long a node that is not the leader may go on saying what was: see
// freshFor of the cluster.
const stale = 500 * time.Millisecond

// holdings is what a sequential listing knows: which keys led to an order, and
// which of these orders are live. Keys are numbered by listing.
type holdings struct{ granted, live uint64 }

// step is an event as the model sees it.
type step struct {
	event
	stock int
	order uint64 // the bit of the event's order, 0 if there is none
	all   uint64 // the bits of all orders of its shopper
}

// listingModel is a listing that one shopper after the other comes to, of which
// each may hold one unit.
var listingModel = porcupine.Model{
	Init: func() any { return holdings{} },
	Step: func(state, input, _ any) (bool, any) {
		s, next := input.(step), state.(holdings)
		ok := s.take(&next)
		return ok, next
	},
	DescribeOperation: func(input, _ any) string { return input.(step).String() },
}

// take changes h as s does; false if s can't be told of h.
func (s step) take(h *holdings) bool {
	granted, live := h.granted&s.order != 0, h.live&s.order != 0
	free := bits.OnesCount64(h.live) < s.stock
	switch s.what {
	case askGrab:
		switch s.outcome {
		case "granted", outUnknown:
			if granted {
				return true
			}
			if h.live&s.all != 0 || !free {
				return s.outcome == outUnknown
			}
			h.granted |= s.order
			h.live |= s.order
			return true
		case "limit_reached": // its order is the live one
			return live
		case "sold_out":
			return !granted && h.live&s.all == 0 && !free
		case "missed":
			return !granted
		}
	case askByKey:
		switch s.outcome {
		case "granted":
			return granted
		case "missed", "unknown_key":
			return !granted
		}
	case askCancel:
		switch s.outcome {
		case "cancelled", outUnknown:
			h.live &^= s.order
			return true
		case "conflict":
			return granted && !live
		}
	case askOrder:
		switch s.outcome {
		case "held":
			return live
		case "cancelled":
			return granted && !live
		}
	}
	return false
}

// checkListings holds what shoppers were told against the model, a listing at a
// time. Whatever was unknown must be told by a later event, if it had an effect.
func checkListings(t *testing.T, h *history, stock int) {
	t.Helper()
	byListing := map[string][]event{}
	last := time.Duration(0)
	for _, e := range h.all() {
		byListing[e.listing] = append(byListing[e.listing], e)
		last = max(last, e.end)
	}
	checked, longest := 0, 0
	for name, events := range byListing {
		operations, wrong := operationsOf(events, stock, last+time.Second)
		for _, w := range wrong {
			t.Error(w)
		}
		checked += len(operations)
		longest = max(longest, len(operations))
		switch result := porcupine.CheckOperationsTimeout(listingModel, operations, 20*time.Second); result {
		case porcupine.Ok:
		case porcupine.Unknown:
			t.Errorf("%s: %d operations are too many to check", name, len(operations))
		default:
			slices.SortFunc(events, func(a, b event) int { return int(a.call - b.call) })
			var lines strings.Builder
			for _, e := range events {
				fmt.Fprintln(&lines, e)
			}
			t.Errorf("%s: no order of these explains what shoppers were told (stock %d):\n%s", name, stock, lines.String())
		}
	}
	t.Logf("%d listings, %d operations, at most %d of one listing", len(byListing), checked, longest)
}

// operationsOf numbers the orders of a listing, and leaves out what says nothing.
func operationsOf(events []event, stock int, end time.Duration) (operations []porcupine.Operation, wrong []string) {
	number, shopperOf, cancelled := map[string]uint64{}, map[string]uint64{}, map[string]bool{}
	keyOf := map[string]string{} // of an order: who and by which key
	for _, e := range events {
		if e.outcome == "granted" {
			keyOf[e.orderNo] = e.shopper + " " + e.key
		}
		if e.outcome == "cancelled" {
			cancelled[e.orderNo] = true
		}
	}
	for _, e := range events {
		who, known := keyOf[e.orderNo]
		if e.orderNo == "" || number[who] != 0 {
			continue
		}
		if !known {
			wrong = append(wrong, "an order that no key led to: "+e.String())
			continue
		}
		if len(number) == 64 {
			return nil, append(wrong, "more than 64 orders of one listing: too many to check")
		}
		number[who] = 1 << len(number)
		shopperOf[e.shopper] |= number[who]
	}
	for i, e := range events {
		s := step{event: e, stock: stock, all: shopperOf[e.shopper]}
		if e.orderNo != "" {
			s.order = number[keyOf[e.orderNo]]
		} else {
			s.order = number[e.shopper+" "+e.key]
		}
		call, ret := e.call, e.end
		switch {
		case e.outcome == outUnknown && e.what == askGrab && s.order == 0:
			continue // it never had an effect
		case e.outcome == outUnknown && e.what == askCancel && !cancelled[e.orderNo]:
			continue
		case e.outcome == outUnknown && e.what != askGrab && e.what != askCancel, e.what == askOrders:
			continue
		case e.outcome == outUnknown:
			ret = end
		case e.outcome == "sold_out", e.what == askOrder && (e.outcome == "held" || e.outcome == "cancelled"):
			call -= stale
		}
		operations = append(operations, porcupine.Operation{ClientId: i, Input: s, Call: int64(call), Return: int64(ret)})
	}
	return operations, wrong
}

// TestListingModel: the model lets pass what may be, and nothing else.
func TestListingModel(t *testing.T) {
	at := func(from, to int, e event) event {
		e.listing = "l"
		e.call, e.end = time.Duration(from)*time.Second, time.Duration(to)*time.Second
		return e
	}
	grab := func(who, key, outcome, orderNo string) event {
		return event{what: askGrab, shopper: who, key: key, outcome: outcome, orderNo: orderNo}
	}
	cancel := func(who, key, outcome, orderNo string) event {
		return event{what: askCancel, shopper: who, key: key, outcome: outcome, orderNo: orderNo}
	}
	for _, c := range []struct {
		name   string
		events []event
		want   bool
	}{
		{"one unit, one yes", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, grab("bob", "k", "sold_out", ""))}, true},
		{"oversold", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(1, 2, grab("bob", "k", "granted", "B"))}, false},
		{"sold again after a cancel", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, cancel("ann", "k", "cancelled", "A")), at(5, 6, grab("bob", "k", "granted", "B"))}, true},
		{"sold again before the cancel", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, grab("bob", "k", "granted", "B")), at(5, 6, cancel("ann", "k", "cancelled", "A"))}, false},
		{"sold again, the cancel's answer lost", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, cancel("ann", "k", outUnknown, "A")), at(5, 6, grab("bob", "k", "granted", "B")),
			at(8, 9, event{what: askOrder, shopper: "ann", key: "k", outcome: "cancelled", orderNo: "A"})}, true},
		{"an answer lost, then the yes", []event{at(1, 2, grab("ann", "k", outUnknown, "")), at(3, 4, grab("bob", "k", "sold_out", "")), at(5, 6, grab("ann", "k", "granted", "A"))}, true},
		{"a no from the past", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, cancel("ann", "k", "cancelled", "A")), at(5, 6, grab("bob", "k", "sold_out", ""))}, false},
		{"a no after a yes", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, grab("ann", "k", "missed", ""))}, false},
		{"a yes forgotten", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, event{what: askByKey, shopper: "ann", key: "k", outcome: "unknown_key"})}, false},
		{"an order forgotten", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, event{what: askOrder, shopper: "ann", key: "k", outcome: "unknown_order", orderNo: "A"})}, false},
		{"a second one", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, grab("ann", "k2", "limit_reached", "A"))}, true},
		{"a limit without an order", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, cancel("ann", "k", "cancelled", "A")), at(5, 6, grab("ann", "k2", "limit_reached", "A"))}, false},
	} {
		operations, wrong := operationsOf(c.events, 1, time.Minute)
		if len(wrong) > 0 {
			t.Errorf("%s: %q", c.name, wrong)
		}
		if got := porcupine.CheckOperations(listingModel, operations); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}

package partitions

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
	return fmt.Sprintf("%9.3f to %9.3f ms  %-6s %s %s (%s) of %s: %s %s", ms(e.call), ms(e.end), e.what, e.shopper,
		e.key, e.node, e.listing, e.outcome, e.orderNo)
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
	cancelled                 bool   // they heard that, too
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

// holdings is what a sequential listing knows: which of its orders are live.
type holdings uint64

// step is what happened to a listing: an order was granted or cancelled, or
// somebody was told that it is sold out.
type step struct {
	event
	stock int
	order uint64 // the bit of the event's order
	all   uint64 // the bits of all orders of its shopper
}

// listingModel is a listing that one shopper after the other comes to, of which
// each may hold one unit.
var listingModel = porcupine.Model{
	Init: func() any { return holdings(0) },
	Step: func(state, input, _ any) (bool, any) {
		s, live := input.(step), state.(holdings)
		free, has := bits.OnesCount64(uint64(live)) < s.stock, uint64(live)&s.all != 0
		switch s.outcome {
		case "granted":
			return free && !has, live | holdings(s.order)
		case "cancelled":
			return uint64(live)&s.order != 0, live &^ holdings(s.order)
		}
		return !free && !has, live // sold_out
	},
	DescribeOperation: func(input, _ any) string { return input.(step).String() },
}

// checkListings holds what shoppers were told against the model, a listing at a
// time. Whatever was unknown must be told by a later event, if it had an effect.
// trail gives what the cluster says has happened to a listing.
func checkListings(t *testing.T, h *history, stock int, trail func(listing string) string) {
	t.Helper()
	byListing := map[string][]event{}
	for _, e := range h.all() {
		byListing[e.listing] = append(byListing[e.listing], e)
	}
	checked, longest := 0, 0
	for name, events := range byListing {
		operations, wrong := operationsOf(events, stock)
		for _, w := range wrong {
			t.Error(w)
		}
		checked += len(operations)
		longest = max(longest, len(operations))
		result := porcupine.CheckOperationsTimeout(listingModel, operations, 20*time.Second)
		if result == porcupine.Ok && len(wrong) == 0 {
			continue
		}
		slices.SortFunc(events, func(a, b event) int { return int(a.call - b.call) })
		var lines strings.Builder
		for _, e := range events {
			fmt.Fprintln(&lines, e)
		}
		t.Errorf("%s: no order was found that explains what shoppers were told "+
			"(stock %d; %s, an Unknown ran out of time; it began at %s):\n%s%s",
			name, stock, result, h.began.UTC().Format(time.RFC3339Nano), lines.String(), trail(name))
	}
	t.Logf("%d listings, %d operations, at most %d of one listing", len(byListing), checked, longest)
}

// life is when an order was granted and when it was cancelled, as far as its
// shopper can tell.
type life struct {
	bit                uint64
	shopper            string
	granted, cancelled span
}

// span is between two moments; to is never if nobody was told.
type span struct {
	from, to time.Duration
	event    event // the first that asked for it
}

const never = time.Duration(1<<63 - 1)

func (s *span) asked(e event) {
	if s.event.what == "" || e.call < s.from {
		s.from, s.event = e.call, e
	}
}

func (s *span) after(at time.Duration) { s.from = max(s.from, at) }

func (s *span) before(at time.Duration) { s.to = min(s.to, at) }

// thinned is how far apart answers of "sold_out" are to be looked at: many of them
// at once say the same, and make the search long.
const thinned = 50 * time.Millisecond

// operationsOf gives what the model is to explain, and what nothing can explain.
//
// Most of what shoppers are told is of one order, and bounds when that was granted
// or cancelled: after the first request for it, whether that was answered or not;
// before the first answer that tells of it; not before an answer that denies it.
// So an order is one grant and perhaps one cancel, and none stays open for ever
// because an answer was lost. What only the whole listing can explain is left to
// the search: which grants there was a unit for, and who was told "sold_out".
func operationsOf(events []event, stock int) (operations []porcupine.Operation, wrong []string) {
	byKey, byNo := map[string]*life{}, map[string]*life{}
	of := map[string]uint64{}
	for _, e := range events {
		if e.outcome != "granted" || byNo[e.orderNo] != nil {
			continue
		}
		if len(byNo) == 64 {
			return nil, []string{"more than 64 orders of one listing: too many to check"}
		}
		l := &life{bit: 1 << len(byNo), shopper: e.shopper, granted: span{to: never}, cancelled: span{to: never}}
		byKey[e.shopper+" "+e.key], byNo[e.orderNo] = l, l
		of[e.shopper] |= l.bit
	}
	for _, e := range events {
		if l := byKey[e.shopper+" "+e.key]; l != nil && e.what == askGrab {
			l.granted.asked(e)
		}
		if l := byNo[e.orderNo]; l != nil && e.what == askCancel {
			l.cancelled.asked(e)
		}
	}
	var soldOut []event
	for _, e := range events {
		l := byNo[e.orderNo]
		if e.orderNo == "" {
			l = byKey[e.shopper+" "+e.key]
		} else if l == nil {
			wrong = append(wrong, "an order that no key led to: "+e.String())
			continue
		} else if e.outcome != outUnknown {
			l.granted.before(e.end)
		}
		switch e.outcome {
		case outUnknown, "granted":
		case "held":
			l.cancelled.after(e.call - stale)
		case "limit_reached":
			if l == nil {
				wrong = append(wrong, "a limit without an order: "+e.String())
				continue
			}
			l.cancelled.after(e.call)
		case "cancelled", "conflict":
			l.cancelled.before(e.end)
		case "missed", "unknown_key":
			if l != nil {
				l.granted.after(e.call)
			}
		case "sold_out":
			soldOut = append(soldOut, e)
			if l != nil {
				l.granted.after(e.call - stale)
			}
		default:
			wrong = append(wrong, "an answer that can't be: "+e.String())
		}
	}
	add := func(s span, outcome string, order, all uint64) {
		s.event.outcome = outcome
		if s.from > s.to {
			wrong = append(wrong, fmt.Sprintf("%s after %.3f ms and before %.3f ms: %s", outcome, ms(s.from), ms(s.to),
				s.event))
		}
		operations = append(operations, porcupine.Operation{ClientId: len(operations), Input: step{s.event, stock,
			order, all}, Call: int64(s.from), Return: int64(s.to)})
	}
	for _, l := range byNo {
		add(l.granted, "granted", l.bit, of[l.shopper])
		if l.cancelled.to < never {
			add(l.cancelled, "cancelled", l.bit, of[l.shopper])
		}
	}
	slices.SortFunc(soldOut, func(a, b event) int { return int(a.end - b.end) })
	last := time.Duration(-1)
	for _, e := range soldOut {
		if e.call > last && (last < 0 || e.end-last >= thinned) {
			add(span{e.call - stale, e.end, e}, e.outcome, 0, of[e.shopper])
			last = e.end
		}
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
		{"one unit, one yes", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, grab("bob", "k", "sold_out",
			""))}, true},
		{"oversold", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(1, 2, grab("bob", "k", "granted", "B"))},
			false},
		{"sold again after a cancel", []event{at(1, 2, grab("ann", "k", "granted", "A")),
			at(3, 4, cancel("ann", "k", "cancelled", "A")), at(5, 6, grab("bob", "k", "granted", "B"))}, true},
		{"sold again before the cancel", []event{at(1, 2, grab("ann", "k", "granted", "A")),
			at(3, 4, grab("bob", "k", "granted", "B")), at(5, 6, cancel("ann", "k", "cancelled", "A"))}, false},
		{"sold again, the cancel's answer lost", []event{at(1, 2, grab("ann", "k", "granted", "A")),
			at(3, 4, cancel("ann", "k", outUnknown, "A")), at(5, 6, grab("bob", "k", "granted", "B")),
			at(8, 9, event{what: askOrder, shopper: "ann", key: "k", outcome: "cancelled", orderNo: "A"})}, true},
		{"an answer lost, then the yes", []event{at(1, 2, grab("ann", "k", outUnknown, "")),
			at(3, 4, grab("bob", "k", "sold_out", "")), at(5, 6, grab("ann", "k", "granted", "A"))}, true},
		{"a no from the past", []event{at(1, 2, grab("ann", "k", "granted", "A")),
			at(3, 4, cancel("ann", "k", "cancelled", "A")), at(5, 6, grab("bob", "k", "sold_out", ""))}, false},
		{"a no after a yes", []event{at(1, 2, grab("ann", "k", "granted", "A")),
			at(3, 4, grab("ann", "k", "missed", ""))}, false},
		{"a yes forgotten", []event{at(1, 2, grab("ann", "k", "granted", "A")),
			at(3, 4, event{what: askByKey, shopper: "ann", key: "k", outcome: "unknown_key"})}, false},
		{"an order forgotten", []event{at(1, 2, grab("ann", "k", "granted", "A")),
			at(3, 4, event{what: askOrder, shopper: "ann", key: "k", outcome: "unknown_order", orderNo: "A"})}, false},
		{"a second one", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, grab("ann", "k2", "limit_reached",
			"A"))}, true},
		{"one key, two orders", []event{at(1, 2, grab("ann", "k", "granted", "A")), at(3, 4, grab("ann", "k", "granted",
			"B"))}, false},
		{"held after the cancel", []event{at(1, 2, grab("ann", "k", "granted", "A")),
			at(3, 4, cancel("ann", "k", "cancelled", "A")), at(5, 6, event{what: askOrder, shopper: "ann", key: "k",
				outcome: "held", orderNo: "A"})}, false},
		{"a limit without an order", []event{at(1, 2, grab("ann", "k", "granted", "A")),
			at(3, 4, cancel("ann", "k", "cancelled", "A")), at(5, 6, grab("ann", "k2", "limit_reached", "A"))}, false},
	} {
		operations, wrong := operationsOf(c.events, 1)
		if got := len(wrong) == 0 && porcupine.CheckOperations(listingModel, operations); got != c.want {
			t.Errorf("%s: %t, want %t: %q", c.name, got, c.want, wrong)
		}
	}
}

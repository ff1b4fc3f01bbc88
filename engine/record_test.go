package engine

import (
	"slices"
	"testing"
	"time"
)

// TestEventsInOrder: what time did and what followed stands where it happened, and
// audit notes stand with their commands.
func TestEventsInOrder(t *testing.T) {
	e := Effects{
		Primary:    []Event{{Kind: HoldPlaced}, {Kind: OrderPaid}, {Kind: StockAdded}},
		Derived:    []Event{{Kind: SessionOpened}, {Kind: HoldReleased, After: 1}, {Kind: StockTaken, After: 3}},
		AuditNotes: []AuditNote{{Command: 1, Detail: "pay"}, {Command: 2, Operator: "olga"}},
	}
	var kinds []EventKind
	said := map[EventKind]string{}
	e.InOrder(func(e *Event, r *AuditNote) bool {
		kinds = append(kinds, e.Kind)
		if r != nil {
			said[e.Kind] = r.Detail + r.Operator
		}
		return true
	})
	if want := []EventKind{SessionOpened, HoldPlaced, HoldReleased, OrderPaid, StockAdded,
		StockTaken}; !slices.Equal(kinds, want) {
		t.Errorf("%v, want %v", kinds, want)
	}
	if len(said) != 2 || said[OrderPaid] != "pay" || said[StockAdded] != "olga" {
		t.Errorf("audit notes %v", said)
	}
}

// TestOrdersLeave: what a session's orders were when it was settled can be read
// afterwards, and says the same as the state did before.
func TestOrdersLeave(t *testing.T) {
	g := newGroup(t)
	g.one(Command{Kind: CmdRaiseRules, RulesVersion: RulesVersion})
	day := g.session("day", nil, ListingSpec{Stock: 2})
	ref := g.grab(day.Listings[0], "ann", "k", 1).Order
	g.pay(ref, "p")
	g.one(Command{Kind: CmdSetReceiver, Order: ref, Shopper: []byte("ann"), Receiver: sealed("Ann"),
		PersonalKey: testKey})
	g.after(48 * time.Hour)
	before, ok := g.state.Record(ref)
	if !ok || before.Shopper != "ann" || before.PaymentID != "p" || before.Receiver == nil || before.State != Paid {
		t.Fatalf("%+v", before)
	}
	x := g.state.SessionOf(ref.Session)
	if why := g.state.MaySettle(x); why != ReasonNone {
		t.Fatal(why)
	}
	eff := g.do(Command{Kind: CmdSettleSession, Session: ref.Session, Operator: "olga", Note: "old"})
	if len(eff.Leaving) != 1 || eff.Leaving[0].Orders() != 1 || len(eff.AuditNotes) != 1 ||
		eff.AuditNotes[0].Operator != "olga" {
		t.Fatalf("%+v", eff)
	}
	after, ok := eff.Leaving[0].Record(ref.Ordinal)
	if !ok || after.Shopper != "ann" || after.Key != before.Key ||
		*after.Receiver != (Receiver{Sealed: before.Receiver.Sealed}) ||
		after.State != Paid || after.PaymentID != "p" {
		t.Errorf("%+v, before %+v", after, before)
	}
	if now, ok := g.state.Record(ref); !ok || now.State != Paid || now.Refunds != nil ||
		g.state.MaySettle(x) != ReasonSettled {
		t.Error("it has left before the session is cleared")
	}
	g.clear(x)
	if _, ok := g.state.Record(ref); ok {
		t.Error("it is still there")
	}
}

//go:build faults && !invariants

package engine

import (
	"testing"
	"time"
)

// A unit vanishes from one listing: it is frozen on every node alike, whoever
// asks it for something is refused, and the others go on.
func TestBrokenListingFreezes(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 5, LimitPerShopper: 2}, ListingSpec{Stock: 5})
	bad, good := x.Listings[0], x.Listings[1]
	held := g.grab(bad, "ann", "k1", 1).Order
	gone := g.grab(bad, "bob", "k1", 1).Order
	g.cancel(gone)
	paid := g.grab(bad, "cai", "k1", 1).Order
	g.pay(paid, "p1")
	other := g.grab(good, "ann", "k2", 1).Order
	eff := keep(g.do(BreakListing(bad), BreakListing(99)))
	if len(eff.Derived) != 1 || eff.Derived[0] != (Event{Kind: ListingFroze, Command: -1, After: 2, Session: x.Handle,
		Listing: bad}) {
		t.Fatalf("derived %v", eff.Derived)
	}
	if e := eff.Primary[1]; e.Kind != CommandRefused || e.Reason != ReasonUnknown {
		t.Errorf("breaking what is not there: %v", e)
	}
	twin := copied(t, g.state)
	check := func(what string, e Event, kind EventKind, why Reason) {
		t.Helper()
		if e.Kind != kind || e.Reason != why {
			t.Errorf("%s: %v, want %v %v", what, e, kind, why)
		}
	}
	before := g.state.CountsOf(g.state.Listing(bad))
	check("grab", g.grab(bad, "dov", "k1", 1), HoldRefused, ReasonFrozen)
	check("grab of a holder", g.grab(bad, "ann", "another", 2), HoldRefused, ReasonLimitListing)
	check("cancel", g.cancel(held), CommandRefused, ReasonFrozen)
	check("pay", g.pay(held, "p2"), CommandRefused, ReasonFrozen)
	check("pay late", g.pay(gone, "p2"), CommandRefused, ReasonFrozen)
	check("void a hold", g.one(Command{Kind: CmdVoidOrder, Order: held}), CommandRefused, ReasonFrozen)
	check("void a paid one", g.one(Command{Kind: CmdVoidOrder, Order: paid}), CommandRefused, ReasonFrozen)
	check("extend", g.one(Command{Kind: CmdExtendHold, Order: held, Deadline: g.clock.Add(time.Hour)}), CommandRefused,
		ReasonFrozen)
	check("receiver", g.one(Command{Kind: CmdSetReceiver, Order: held, Shopper: []byte("ann"),
		Receiver: sealed("A"), PersonalKey: testKey}), CommandRefused, ReasonFrozen)
	check("stock", g.one(Command{Kind: CmdAddStock, Listing: bad, Amount: 1}), CommandRefused, ReasonFrozen)
	spec := g.state.Listing(bad).ListingSpec
	spec.Stock++
	check("plan", g.one(Command{Kind: CmdApplyPlan, Plan: &Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale",
		Timezone: "Asia/Shanghai"}, Sessions: []SessionPlan{{SessionSpec: x.SessionSpec,
		Listings: []ListingSpec{spec}}}}}}}), PlanRefused, ReasonConflict)

	// What changes nothing is answered: whoever has an order hears of it.
	check("the same key", g.grab(bad, "ann", "k1", 1), HoldConfirmed, ReasonNone)
	check("the same payment", g.pay(paid, "p1"), OrderUnchanged, ReasonNone)

	check("grab of the other", g.grab(good, "dov", "k1", 1), HoldPlaced, ReasonNone)
	check("payment of the other", g.pay(other, "p3"), OrderPaid, ReasonNone)
	eff = keep(g.after(20 * time.Minute))
	if len(eff.Derived) != 1 || eff.Derived[0].Listing != good {
		t.Errorf("time released %v", eff.Derived)
	}
	if next, want := g.state.NextDue(), x.End; next != want {
		t.Errorf("next due %d, want the end %d: nothing frozen is due", next, want)
	}
	g.after(time.Hour)
	after := g.state.CountsOf(g.state.Listing(bad))
	after.LogIndex = before.LogIndex
	if after != before || after.State != ListingFrozen {
		t.Errorf("it has gone from %+v to %+v", before, after)
	}
	if e := g.steer(x.Handle, SessionEnd); e.Kind != SessionUnchanged {
		t.Errorf("the session had not ended: %v", e)
	}

	// The twin that came from a snapshot goes the same way, and so does the log.
	var mine Effects
	for i := int(twin.LogIndex()); i < len(g.entries); i++ {
		if err := twin.Apply(LogIndex(i+1), g.entries[i], &mine); err != nil {
			t.Fatal(err)
		}
	}
	if twin.Hash() != g.state.Hash() || !twin.Listing(bad).Frozen {
		t.Error("the twin went another way")
	}
	replayed(t, g)
	checkInside(t, g.state)
}

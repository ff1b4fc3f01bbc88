package engine

import (
	"fmt"
	"testing"
	"time"
)

// A node that came from a snapshot must spend its share of timers on the same
// things as one that has lived through it all: what was due for a hold that is
// over costs nothing.
func TestRestoredNodeSpendsItsDuesAlike(t *testing.T) {
	ends := map[string]func(g *group, ref OrderRef){
		"cancelled": func(g *group, ref OrderRef) { g.cancel(ref) },
		"paid":      func(g *group, ref OrderRef) { g.pay(ref, "p") },
		"voided":    func(g *group, ref OrderRef) { g.one(Command{Kind: CmdVoidOrder, Order: ref}) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			long := func(x *SessionPlan) { x.End = x.End.Add(24 * time.Hour) }
			quiet := g.session("quiet", long, ListingSpec{Stock: 10})
			busy := g.session("busy", long, ListingSpec{Stock: 10_000})
			ref := g.grab(quiet.Listings[0], "ann", "k", 1).Order
			g.clock = g.clock.Add(time.Second)
			var grabs []Command
			for i := range MaxTimersPerBatch + 2 {
				grabs = append(grabs, g.placeHold(busy.Listings[0], fmt.Sprint("s", i), "k", 1))
			}
			g.do(grabs...)
			end(g, ref)
			if next, want := g.state.NextDue(), g.clock.Add(17*time.Minute); next != want {
				t.Errorf("next due %d, want %d, when the busy session's holds expire", next, want)
			}
			twin := copied(t, g.state)
			g.clock = g.clock.Add(time.Hour)
			eff := keep(g.do())
			var other Effects
			if err := twin.Apply(LogIndex(len(g.entries)), g.entries[len(g.entries)-1], &other); err != nil {
				t.Fatal(err)
			}
			if len(eff.Derived) != len(other.Derived) || eff.NextDue != other.NextDue {
				t.Errorf("the node did %d things, its twin %d; next due %d and %d", len(eff.Derived),
					len(other.Derived), eff.NextDue, other.NextDue)
			}
			if g.state.Hash() != twin.Hash() {
				t.Error("the twin has another hash")
			}
		})
	}
}

// What a batch's share of timers has not reached yet is over all the same for
// whoever asks: here a late payment, which an overdue hold elsewhere must not
// bar by a limit.
func TestOverdueHoldBarsNoLatePayment(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) {
		x.LimitPerShopper, x.End = 1, x.End.Add(24*time.Hour)
	}, ListingSpec{Stock: 10_000}, ListingSpec{Stock: 10})
	first := g.grab(x.Listings[1], "ann", "k1", 1).Order
	g.after(17 * time.Minute)
	var grabs []Command
	for i := range MaxTimersPerBatch {
		grabs = append(grabs, g.placeHold(x.Listings[0], fmt.Sprint("s", i), "k", 1))
	}
	g.do(grabs...)
	second := g.grab(x.Listings[1], "ann", "k2", 1).Order
	g.clock = g.clock.Add(time.Hour)
	if e := g.pay(first, "p"); e.Kind != OrderPaid || e.Reason != ReasonPaidLate {
		t.Errorf("late payment: %v", e)
	}
	if o := g.state.Order(second); o.State != Expired {
		t.Errorf("the overdue hold is %v", o.State)
	}
}

func TestOverdueHoldTakesNoReceiver(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) { x.End = x.End.Add(24 * time.Hour) }, ListingSpec{Stock: 10_000})
	var grabs []Command
	for i := range MaxTimersPerBatch + 1 {
		grabs = append(grabs, g.placeHold(x.Listings[0], fmt.Sprint("s", i), "k", 1))
	}
	last := g.do(grabs...).Primary[MaxTimersPerBatch].Order
	g.clock = g.clock.Add(time.Hour)
	e := g.one(Command{Kind: CmdSetReceiver, Order: last, Shopper: fmt.Append(nil, "s", MaxTimersPerBatch),
		Receiver: sealed("Ann"), PersonalKey: testKey})
	if e.Kind != CommandRefused || e.Reason != ReasonNotHeld || e.State != Expired {
		t.Errorf("got %v", e)
	}
}

// Shoppers who grab and let go leave nothing behind in the timers but for a
// constant.
func TestTimersDoNotGrowWithStaleEntries(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) { x.End = x.End.Add(24 * time.Hour) }, ListingSpec{Stock: 10})
	for i := range 2000 {
		g.clock++
		g.cancel(g.grab(x.Listings[0], fmt.Sprint("s", i), "k", 1).Order)
	}
	if n := len(g.state.timers.heap); n > 200 {
		t.Errorf("one session has %d timers", n)
	}
}

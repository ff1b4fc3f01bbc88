package engine

import (
	"fmt"
	"testing"
	"time"
)

// newest gives a group that runs by the newest rules.
func newest(t testing.TB) *group {
	g := newGroup(t)
	g.one(Command{Kind: CmdRaiseRules, RulesVersion: RulesVersion})
	return g
}

// queue grabs a unit, or a place in line where there is none.
func (g *group) queue(l ListingHandle, shopper string) Event {
	g.tb.Helper()
	c := g.placeHold(l, shopper, "k-"+shopper, 1)
	c.Waitlist = true
	return g.one(c)
}

func TestReleasedUnitsGoDownTheLine(t *testing.T) {
	g := newest(t)
	x := g.session("s", nil, ListingSpec{Stock: 3, LimitPerShopper: 1, Waitlist: true})
	l := x.Listings[0]
	var holds []OrderRef
	for i := range 3 {
		holds = append(holds, g.grab(l, fmt.Sprint("h", i), "k", 1).Order)
	}
	for i := range 3 {
		e := g.queue(l, fmt.Sprint("w", i))
		if e.Kind != PlaceTaken || e.State != Waiting || g.state.Position(e.Order) != uint32(i+1) {
			t.Fatalf("waiter %d: %v at %d", i, e, g.state.Position(e.Order))
		}
	}
	if e := g.queue(l, "w3"); e.Kind != HoldRefused || e.Reason != ReasonSoldOut {
		t.Errorf("more wait than may come back: %v", e)
	}
	g.clock += 5000
	eff := g.do(Command{Kind: CmdCancelHold, Order: holds[1], Shopper: []byte("h1")}, g.placeHold(l, "bot", "k", 1))
	if e := eff.Primary[1]; e.Kind != HoldRefused || e.Reason != ReasonSoldOut {
		t.Errorf("one who did not wait: %v", e)
	}
	first := eff.Derived[0]
	if len(eff.Derived) != 1 || first.Kind != HoldPlaced || g.state.ShopperID(first.Shopper) != "w0" || first.PayBy != g.clock.Add(15*time.Minute) {
		t.Errorf("derived %v", eff.Derived)
	}
	if got := g.state.OrderByKey(g.state.ShopperNo("w1"), g.state.KeyOf([]byte("k-w1"))); g.state.Position(got) != 1 {
		t.Errorf("the next one is at %d", g.state.Position(got))
	}
	// Nobody pays: the line moves on, and who never shows up does not stall it.
	g.after(time.Hour)
	if c := g.state.CountsOf(g.state.Listing(l)); c.Waiting != 0 || c.Held != 0 {
		t.Errorf("after the end: %+v", c)
	}
	if restored := copied(t, g.state); restored.Hash() != g.state.Hash() {
		t.Error("a snapshot's reading differs")
	}
}

func TestDrawIgnoresWhoCameFirst(t *testing.T) {
	g := newest(t)
	x := g.session("s", nil, ListingSpec{Stock: 2, LimitPerShopper: 1, Waitlist: true, Draw: 3 * time.Second})
	l := g.state.Listing(x.Listings[0])
	commitment, _, revealed := g.state.SeedOf(l)
	if revealed || commitment != Commitment(l.Seed) {
		t.Error("the seed is told beforehand")
	}
	for i := range 6 {
		if e := g.queue(l.Handle, fmt.Sprint("s", i)); e.Kind != DrawEntered || e.State != Entered {
			t.Fatalf("%d: %v", i, e)
		}
	}
	if copied(t, g.state).Hash() != g.state.Hash() {
		t.Error("a snapshot's reading differs while the draw is open")
	}
	eff := keep(g.after(3 * time.Second))
	if _, seed, revealed := g.state.SeedOf(l); !revealed || Commitment(seed) != commitment {
		t.Error("the seed is not told afterwards")
	}
	if l.DrawState != DrawDone || l.Held != 2 || l.Waiting != 2 {
		t.Fatalf("%v, %+v\n%v", l.DrawState, g.state.CountsOf(l), eff.Derived)
	}
	last := uint64(0)
	for _, e := range eff.Derived {
		if e.Order.IsZero() {
			continue
		}
		rank := Rank(l.Seed, g.state.Numberer().String(e.Order))
		if rank < last {
			t.Errorf("%v out of rank", e)
		}
		last = rank
	}
	if e := g.queue(l.Handle, "late"); e.Kind != HoldRefused || e.Reason != ReasonSoldOut {
		t.Errorf("after the draw: %v", e)
	}
}

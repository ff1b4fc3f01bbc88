package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Draws that a shorter session makes close at the same time close in one order,
// whether a node has seen them differ or not.
func TestDrawsOfAShortenedSessionCloseAlike(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 1, Draw: 30 * time.Minute, Waitlist: true},
		ListingSpec{Stock: 1, Draw: 20 * time.Minute, Waitlist: true})
	for i := range 3 {
		g.queue(x.Listings[0], fmt.Sprint("a", i))
		g.queue(x.Listings[1], fmt.Sprint("b", i))
	}
	g.after(time.Minute)
	spec := x.SessionSpec
	spec.End = spec.Start.Add(10 * time.Minute)
	g.plan(&Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai"},
		Sessions: []SessionPlan{{SessionSpec: spec}}}}})
	twin := copied(t, g.state)
	eff := keep(g.after(10 * time.Minute))
	var other Effects
	if err := twin.Apply(LogIndex(len(g.entries)), g.entries[len(g.entries)-1], &other); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(eff.Derived, other.Derived) {
		t.Errorf("events %v, those of a twin %v", eff.Derived, other.Derived)
	}
	if l := g.state.Listing(x.Listings[0]); l.Entrants != 0 || l.Waiting != 0 {
		t.Errorf("still undecided after the end: %+v", g.state.CountsOf(l))
	}
}

// A hundred thousand are drawn at so many a batch, and each batch leaves a state
// from which a twin goes on alike.
func TestCrowdIsDrawnInBoundedBatches(t *testing.T) {
	if invariantsPanic {
		t.Skip("this build counts every order of each batch")
	}
	const crowd, stock = 100_000, 500
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) {
		x.PayGrace = time.Hour
	}, ListingSpec{Stock: stock, LimitPerShopper: 1, Waitlist: true, Draw: time.Minute})
	l := g.state.Listing(x.Listings[0])
	for first := 0; first < crowd; first += 5000 {
		var commands []Command
		for i := range 5000 {
			c := g.placeHold(l.Handle, fmt.Sprint("s", first+i), "k", 1)
			c.Waitlist = i%2 == 0
			commands = append(commands, c)
		}
		g.do(commands...)
	}
	g.clock = g.clock.Add(time.Minute)
	batches, late := 0, 0
	var last uint64
	var twin *State
	for ; l.DrawState != DrawDone; batches++ {
		c := g.placeHold(l.Handle, fmt.Sprint("late", batches), "k", 1)
		c.Waitlist = true
		eff := g.do(c)
		if e := eff.Primary[0]; e.Kind == DrawEntered {
			late++
		}
		decided := 0
		for _, e := range eff.Derived {
			if e.Order.IsZero() {
				continue
			}
			decided++
			o := g.state.Order(e.Order)
			rank := Rank(l.Seed, g.state.OrderNo(e.Order))
			if _, came := o.Entrant(); came {
				last = ^uint64(0) // all others have been decided about
			} else if rank < last {
				t.Fatalf("%v out of rank", e)
			} else {
				last = rank
			}
		}
		if decided > MaxTimersPerBatch {
			t.Fatalf("%d decided in one batch", decided)
		}
		if batches == 3 {
			twin = copied(t, g.state)
		}
	}
	if want := crowd/MaxTimersPerBatch + 1; batches < want || batches > want+2 || late == 0 {
		t.Errorf("%d batches, want about %d; %d came late", batches, want, late)
	}
	if c := g.state.CountsOf(l); c.Held != stock || c.Waiting != stock || c.Entrants != 0 || c.Available != 0 {
		t.Errorf("%+v", c)
	}
	g.follow(twin)
}

// Equal ranks go by order number.
func TestEqualRanksGoByOrderNumber(t *testing.T) {
	g := newGroup(t)
	l := g.session("ten", nil, ListingSpec{Stock: 5}).Listings[0]
	for i := range 5 {
		g.grab(l, fmt.Sprint("s", i), "k", 1)
	}
	h := drawnHeap{session: 1, state: g.state, rows: []drawn{{rank: 5, ordinal: 1}, {rank: 5, ordinal: 2},
		{rank: 4, ordinal: 3}, {ordinal: 4, late: true}, {ordinal: 5, late: true}}}
	byNo := g.state.OrderNo(OrderRef{1, 1}) < g.state.OrderNo(OrderRef{1, 2})
	if h.Less(0, 1) != byNo || h.Less(1, 0) == byNo || !h.Less(2, 0) || !h.Less(0, 3) || h.Less(3, 0) ||
		!h.Less(3, 4) || h.Less(4, 3) {
		t.Error("out of order")
	}
}

// The seed is told when nobody can enter any more, not before; a session that
// ends before its draw closes tells it too, and gives nobody anything.
func TestSeedIsToldOnceNobodyCanEnter(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) {
		x.Start = x.Start.Add(time.Minute)
		x.End = x.End.Add(time.Minute)
	}, ListingSpec{Stock: 1, Draw: time.Minute})
	l := g.state.Listing(x.Listings[0])
	told := func(when string, want bool) {
		t.Helper()
		commitment, seed, revealed := g.state.SeedOf(l)
		if commitment != Commitment(l.Seed) || revealed != want || (seed == l.Seed) != want || l.Seed == [32]byte{} {
			t.Errorf("%s: revealed %v", when, revealed)
		}
	}
	told("before the session", false)
	g.after(time.Minute)
	told("while it takes entrants", false)
	e := g.queue(l.Handle, "ann")
	g.after(30 * time.Second)
	g.steer(x.Handle, SessionPause)
	g.after(30 * time.Second)
	told("closed while paused", true)
	if o := g.state.Order(e.Order); o.State != Entered {
		t.Errorf("decided about while paused: %v", o.State)
	}
	g.steer(x.Handle, SessionResume)
	if o := g.state.Order(e.Order); o.State != Held {
		t.Errorf("drawn alone, and %v", o.State)
	}

	y := g.session("t", nil, ListingSpec{Stock: 1, Draw: time.Minute})
	l = g.state.Listing(y.Listings[0])
	e = g.queue(l.Handle, "bob")
	g.steer(y.Handle, SessionEnd)
	told("ended before it closed", true)
	if o := g.state.Order(e.Order); o.State != Passed || o.Why != ReasonEnded {
		t.Errorf("the entrant of an ended session is %v (%v)", o.State, o.Why)
	}
}

// Entering and leaving a draw leaves at most so many traces.
func TestLeavingADraw(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 1, Draw: time.Minute, Waitlist: true})
	l := g.state.Listing(x.Listings[0])
	for i := range MaxLeaves + 2 {
		c := g.placeHold(l.Handle, "ann", fmt.Sprint("k", i), 1)
		e := g.one(c)
		if i >= MaxLeaves {
			if e.Kind != HoldRefused || e.Reason != ReasonLeft {
				t.Errorf("entering for the %dth time: %v", i+1, e)
			}
			continue
		}
		if again := g.one(g.placeHold(l.Handle, "ann", "another", 1)); again.Kind != HoldConfirmed ||
			again.Order != e.Order || again.State != Entered {
			t.Errorf("entering twice: %v", again)
		}
		g.one(Command{Kind: CmdLeaveLine, Order: e.Order, Shopper: []byte("ann")})
	}
	if x.Orders() != MaxLeaves || l.Entrants != 0 {
		t.Errorf("%d orders, %d entrants", x.Orders(), l.Entrants)
	}
	twin := copied(t, g.state)
	g.after(time.Minute)
	g.follow(twin)
	if l.DrawState != DrawDone || len(g.state.listings[0].pool.rows) != 0 {
		t.Errorf("an empty draw is %v", l.DrawState)
	}
}

package engine

import (
	"fmt"
	"testing"
	"time"
)

// queue grabs a unit, or a place on the waitlist where there is none.
func (g *group) queue(l ListingHandle, shopper string) Event {
	g.tb.Helper()
	c := g.placeHold(l, shopper, "k-"+shopper, 1)
	c.Waitlist = true
	return g.one(c)
}

func TestReleasedUnitsGoDownTheWaitlist(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) {
		x.PayGrace = time.Hour
	}, ListingSpec{Stock: 3, LimitPerShopper: 1, Waitlist: true})
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
	if len(eff.Derived) != 1 || first.Kind != HoldPlaced || g.state.ShopperID(first.Shopper) != "w0" ||
		first.PayBy != g.clock.Add(15*time.Minute) {
		t.Errorf("derived %v", eff.Derived)
	}
	if got := g.state.OrderByKey(g.state.ShopperNo("w1"), g.state.KeyOf([]byte("k-w1"))); g.state.Position(got) != 1 {
		t.Errorf("the next one is at %d", g.state.Position(got))
	}
	// Nobody pays: the waitlist moves on, and who never shows up does not stall it.
	g.after(3 * time.Hour)
	if c := g.state.CountsOf(g.state.Listing(l)); c.Waiting != 0 || c.Held != 0 {
		t.Errorf("after the end: %+v", c)
	}
	if restored := copied(t, g.state); restored.Hash() != g.state.Hash() {
		t.Error("a snapshot's reading differs")
	}
}

func TestDrawIgnoresWhoCameFirst(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) {
		x.PayGrace = time.Hour
	}, ListingSpec{Stock: 2, LimitPerShopper: 1, Waitlist: true, Draw: 3 * time.Second})
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
		rank := Rank(l.Seed, g.state.OrderNo(e.Order))
		if rank < last {
			t.Errorf("%v out of rank", e)
		}
		last = rank
	}
	if e := g.queue(l.Handle, "late"); e.Kind != HoldRefused || e.Reason != ReasonSoldOut {
		t.Errorf("after the draw: %v", e)
	}
}

// follow has a twin, restored from a snapshot, do what the group has done since.
func (g *group) follow(twin *State) {
	g.tb.Helper()
	var eff Effects
	for i := int(twin.LogIndex()); i < len(g.entries); i++ {
		if err := twin.Apply(LogIndex(i+1), g.entries[i], &eff); err != nil {
			g.tb.Fatal(err)
		}
	}
	if twin.Hash() != g.state.Hash() {
		g.tb.Errorf("a twin restored from a snapshot went another way; next due %d and %d", twin.NextDue(),
			g.state.NextDue())
	}
}

// One on the waitlist who has the session's newest order is not in the order of the
// grants either: time has looked past their place.
func TestHoldOfTheLastOnTheWaitlistExpires(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 1, LimitPerShopper: 1, Waitlist: true})
	first := g.grab(x.Listings[0], "ann", "k", 1).Order
	waiting := g.queue(x.Listings[0], "bob").Order
	g.cancel(first)
	if o := g.state.Order(waiting); o.State != Held {
		t.Fatalf("they got none: %v", o.State)
	}
	if next, want := g.state.NextDue(), g.clock.Add(17*time.Minute); next != want {
		t.Errorf("next due %d, want %d, when the hold expires", next, want)
	}
	twin := copied(t, g.state)
	g.after(18 * time.Minute)
	if o := g.state.Order(waiting); o.State != Expired {
		t.Errorf("not paid in time, and %v", o.State)
	}
	g.follow(twin)
}

// Who waits for more than can come back must not keep the rest from everybody.
func TestHeadThatAsksForTooMuchStallsNothing(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 3, LimitPerShopper: 3, Waitlist: true})
	l := g.state.Listing(x.Listings[0])
	ann := g.grab(l.Handle, "ann", "k", 2).Order
	bob := g.grab(l.Handle, "bob", "k", 1).Order
	c := g.placeHold(l.Handle, "cai", "k", 3)
	c.Waitlist = true
	cai := g.one(c)
	if cai.Kind != PlaceTaken {
		t.Fatal(cai)
	}
	g.pay(ann, "p")
	if o := g.state.Order(cai.Order); o.State != Passed || o.Why != ReasonGone {
		t.Errorf("three can't come back any more, and they are %v (%v)", o.State, o.Why)
	}
	g.cancel(bob)
	if e := g.grab(l.Handle, "dov", "k", 1); e.Kind != HoldPlaced {
		t.Errorf("the last unit is free, and nobody gets it: %v", e)
	}
}

// Who has left a waitlist too often gets no place in it any more, and leaves no trace.
func TestLeftTooOftenIsSaidSo(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 1, LimitPerShopper: 1, Waitlist: true})
	l := x.Listings[0]
	g.grab(l, "ann", "k", 1)
	join := func(i int) Event {
		c := g.placeHold(l, "bob", fmt.Sprint("k", i), 1)
		c.Waitlist = true
		return g.one(c)
	}
	for i := range MaxLeaves {
		e := join(i)
		if left := g.one(Command{Kind: CmdLeaveLine, Order: e.Order,
			Shopper: []byte("bob")}); left.Kind != PlacePassed || left.Reason != ReasonLeft {
			t.Fatalf("%v, %v", e, left)
		}
	}
	orders := x.Orders()
	if e := join(MaxLeaves); e.Kind != HoldRefused || e.Reason != ReasonLeft || x.Orders() != orders {
		t.Errorf("again: %v", e)
	}
	if e := g.one(Command{Kind: CmdLeaveLine, Order: OrderRef{1, 2},
		Shopper: []byte("bob")}); e.Kind != OrderUnchanged {
		t.Errorf("leaving twice: %v", e)
	}
	if e := g.one(Command{Kind: CmdLeaveLine, Order: OrderRef{1, 2},
		Shopper: []byte("ann")}); e.Kind != CommandRefused || e.Reason != ReasonUnknown {
		t.Errorf("somebody else's place: %v", e)
	}
}

// Who is next is looked at as if nothing were overdue: a hold that this batch's
// share has not reached yet must not cost them their place.
func TestOverdueHoldCostsNoPlaceOnTheWaitlist(t *testing.T) {
	g := newGroup(t)
	g.state.timerShare = 2
	x := g.session("s", func(x *SessionPlan) { x.LimitPerShopper, x.End = 1, x.End.Add(24*time.Hour) },
		ListingSpec{Stock: 3, Waitlist: true}, ListingSpec{Stock: 9, Waitlist: true})
	a, b := x.Listings[0], x.Listings[1]
	held := []OrderRef{g.grab(a, "h1", "k", 1).Order, g.grab(a, "h2", "k", 1).Order, g.grab(a, "h3", "k", 1).Order}
	for _, shopper := range []string{"w1", "w2", "ann"} {
		g.queue(a, shopper)
	}
	for i := range 4 {
		g.grab(b, fmt.Sprint("o", i), "k", 1)
	}
	overdue := g.grab(b, "ann", "k", 1).Order
	for _, ref := range held {
		g.one(Command{Kind: CmdExtendHold, Order: ref, Deadline: g.clock.Add(time.Hour)})
	}
	g.clock = g.clock.Add(20 * time.Minute)
	var commands []Command
	for i, ref := range held {
		commands = append(commands, Command{Kind: CmdCancelHold, Order: ref, Shopper: fmt.Append(nil, "h", i+1)})
	}
	g.do(commands...)
	twin := copied(t, g.state)
	twin.timerShare = 2
	for g.state.NextDue() <= g.clock {
		g.do()
	}
	place := g.state.OrderByKey(g.state.ShopperNo("ann"), g.state.KeyOf([]byte("k-ann")))
	if o := g.state.Order(place); o.State != Held {
		t.Errorf("next in line with nothing but an overdue hold, and %v (%v)", o.State, o.Why)
	}
	if o := g.state.Order(overdue); o.State != Expired {
		t.Errorf("the overdue hold is %v", o.State)
	}
	g.follow(twin)
}

// A long waitlist is joined, left and looked at without walking it each time.
func TestLongWaitlist(t *testing.T) {
	if invariantsPanic {
		t.Skip("this build counts every order of each batch")
	}
	const long = 50_000
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: long, LimitPerShopper: 1, Waitlist: true})
	l := x.Listings[0]
	crowd := func(who string) (orders []OrderRef) {
		for first := 0; first < long; first += 5000 {
			var commands []Command
			for i := range 5000 {
				c := g.placeHold(l, fmt.Sprint(who, first+i), "k", 1)
				c.Waitlist = true
				commands = append(commands, c)
			}
			for _, e := range g.do(commands...).Primary {
				orders = append(orders, e.Order)
			}
		}
		return orders
	}
	held, line := crowd("h"), crowd("w")
	// Every second one leaves, from the back; those who stay are where they should be.
	for last := long - 1; last > 0; {
		var commands []Command
		for ; last > 0 && len(commands) < 5000; last -= 2 {
			commands = append(commands, Command{Kind: CmdLeaveLine, Order: line[last],
				Shopper: fmt.Append(nil, "w", last)})
		}
		g.do(commands...)
	}
	for i, ref := range line {
		want := uint32(0)
		if i%2 == 0 {
			want = uint32(i/2) + 1
		}
		if got := g.state.Position(ref); got != want {
			t.Fatalf("number %d is at %d, want %d", i, got, want)
		}
	}
	twin := copied(t, g.state)
	for i := range 100 {
		g.do(Command{Kind: CmdCancelHold, Order: held[i], Shopper: fmt.Append(nil, "h", i)})
		if o := g.state.Order(line[2*i]); o.State != Held || g.state.Position(line[2*i+2]) != 1 {
			t.Fatalf("number %d is %v, the next one at %d", 2*i, o.State, g.state.Position(line[2*i+2]))
		}
	}
	g.follow(twin)
	g.after(time.Hour) // the end, for all of them
	for g.state.NextDue() <= g.clock {
		g.do()
	}
	if c := g.state.CountsOf(g.state.Listing(l)); c.Waiting != 0 || c.Held != 0 {
		t.Errorf("after the end: %+v", c)
	}
}

// One who asks for more than can ever be had at once gets no place: they would pass
// in the same step, and leave a trace each time they ask.
func TestNoPlaceForMoreThanCanBeHad(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 2, LimitPerShopper: 3, Waitlist: true})
	g.grab(x.Listings[0], "ann", "k", 2)
	for i := range 3 {
		c := g.placeHold(x.Listings[0], "bob", fmt.Sprint("k", i), 3)
		c.Waitlist = true
		if e := g.one(c); e.Kind != HoldRefused || e.Reason != ReasonSoldOut || x.Orders() != 1 {
			t.Fatalf("%v, and %d orders", e, x.Orders())
		}
	}
}

// A head of the waitlist for two gets what comes back before who waits for one; but not
// for ever, and nobody else gets it meanwhile.
func TestUnitsAreSetAsideForTheHead(t *testing.T) {
	for name, enough := range map[string]bool{"enough": true, "too few": false} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			x := g.session("s", nil, ListingSpec{Stock: 2, LimitPerShopper: 2, Waitlist: true,
				SetAside: 2 * time.Minute})
			l := g.state.Listing(x.Listings[0])
			ann, bob := g.grab(l.Handle, "ann", "k", 1).Order, g.grab(l.Handle, "bob", "k", 1).Order
			c := g.placeHold(l.Handle, "cai", "k", 2)
			c.Waitlist = true
			cai, dov := g.one(c).Order, g.queue(l.Handle, "dov").Order
			g.cancel(ann)
			if due := g.state.NextDue(); g.state.Order(dov).State != Waiting || l.Available != 1 ||
				due != g.clock.Add(2*time.Minute) {
				t.Fatalf("%v is the next one's, %d free, next due at %v", g.state.Order(dov).State, l.Available, due)
			}
			if e := g.grab(l.Handle, "eve", "k", 1); e.Reason != ReasonSoldOut || x.StateOf(l) != ListingSoldOut {
				t.Errorf("one who does not wait: %v, and it looks %v", e, x.StateOf(l))
			}
			twin := copied(t, g.state)
			g.steer(x.Handle, SessionPause)
			if due := g.state.NextDue(); due <= g.clock.Add(2*time.Minute) {
				t.Errorf("due at %v, and nothing moves", due)
			}
			g.steer(x.Handle, SessionResume)
			if enough {
				g.after(time.Minute)
				g.cancel(bob)
				if o := g.state.Order(cai); o.State != Held || g.state.Position(dov) != 1 || l.Aside != 0 {
					t.Errorf("two are free, and they are %v; the next one is at %d", o.State, g.state.Position(dov))
				}
			} else {
				g.after(2 * time.Minute)
				if o := g.state.Order(cai); o.State != Passed || o.Why != ReasonTooFew ||
					g.state.Order(dov).State != Held {
					t.Errorf("their time is over, and they are %v (%v); the next one %v", o.State, o.Why,
						g.state.Order(dov).State)
				}
			}
			g.follow(twin)
		})
	}
}

// Near the end, what is set aside for one is still in time for another.
func TestNothingIsSetAsideBeyondItsUse(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 2, LimitPerShopper: 2, Waitlist: true, SetAside: time.Hour})
	l := g.state.Listing(x.Listings[0])
	ann := g.grab(l.Handle, "ann", "k", 1).Order
	g.grab(l.Handle, "bob", "k", 1)
	c := g.placeHold(l.Handle, "cai", "k", 2)
	c.Waitlist = true
	g.one(c)
	dov := g.queue(l.Handle, "dov").Order
	g.after(10 * time.Minute)
	g.cancel(ann)
	if l.Aside != g.clock.Add(25*time.Minute) {
		t.Errorf("set aside for %v of the 50 minutes left", l.Aside.Sub(g.clock))
	}
	g.pay(g.state.OrderByKey(g.state.ShopperNo("bob"), g.state.KeyOf([]byte("k"))), "p") // no two can come back
	if o := g.state.Order(dov); o.State != Held {
		t.Errorf("the unit is free, and the next one is %v", o.State)
	}
}

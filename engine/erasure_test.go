package engine

import (
	"fmt"
	"testing"
	"time"
)

// manyOrders is more of one shopper's orders than are looked at in one go, by far.
const manyOrders = 2*eraseAtOnce + 100

// buysMany has a shopper hold so many orders of a listing, and gives them in order.
func (g *group) buysMany(l ListingHandle, shopper string, n int) (refs []OrderRef) {
	g.tb.Helper()
	for len(refs) < n {
		var grabs []Command
		for i := range min(1000, n-len(refs)) {
			grabs = append(grabs, g.placeHold(l, shopper, fmt.Sprint(len(g.entries), " ", i), 1))
		}
		for _, e := range g.do(grabs...).Primary {
			if e.Kind != HoldPlaced {
				g.tb.Fatalf("order %d: %v", len(refs), e)
			}
			refs = append(refs, e.Order)
		}
	}
	return refs
}

// each does a command for each order, many in a batch.
func (g *group) each(refs []OrderRef, want EventKind, command func(i int, ref OrderRef) Command) {
	g.tb.Helper()
	for from := 0; from < len(refs); from += 1000 {
		var all []Command
		for i := from; i < min(from+1000, len(refs)); i++ {
			all = append(all, command(i, refs[i]))
		}
		for i, e := range g.do(all...).Primary {
			if e.Kind != want {
				g.tb.Fatalf("order %d: %v, want %v", from+i, e, want)
			}
		}
	}
}

// TestErasedOfManyOrders: the receivers of one shopper's orders go in shares that no batch
// waits long for, all of them, on nodes restored meanwhile and although a session is cleared
// meanwhile; until then no receiver is taken for them.
func TestErasedOfManyOrders(t *testing.T) {
	g := newGroup(t)
	old := g.session("old", nil, ListingSpec{Stock: 100_000})
	x := g.session("day", nil, ListingSpec{Stock: 100_000})
	names := func(_ int, ref OrderRef) Command {
		return Command{Kind: CmdSetReceiver, Order: ref, Shopper: []byte("ann"), Receiver: sealed("Ann"),
			PersonalKey: testKey}
	}
	gone := g.buysMany(old.Listings[0], "ann", 50)
	refs := g.buysMany(x.Listings[0], "ann", manyOrders)
	more := g.buysMany(old.Listings[0], "ann", 50)
	g.each(append(append(gone, refs...), more...), ReceiverSet, names)
	bob := g.grab(x.Listings[0], "bob", "k", 1).Order
	g.one(Command{Kind: CmdSetReceiver, Order: bob, Shopper: []byte("bob"), Receiver: sealed("Bob"),
		PersonalKey: testKey})
	g.each(append(gone, more...), HoldReleased, func(_ int, ref OrderRef) Command {
		return Command{Kind: CmdVoidOrder, Order: ref}
	})
	g.steer(old.Handle, SessionEnd)
	if e := g.one(Command{Kind: CmdSettleSession, Session: old.Handle}); e.Kind != SessionSettled {
		t.Fatal(e)
	}

	if e := g.one(Command{Kind: CmdErase, Shoppers: []string{"ann"}, Operator: "op"}); e.Quantity != 1 {
		t.Fatal(e)
	}
	left := func() (n int) {
		for _, ref := range refs {
			if _, there := g.state.Receiver(ref); there {
				n++
			}
		}
		return n
	}
	before := left()
	if p := g.state.Personal().Status("ann"); p.Held || !p.Sweeping || before < manyOrders-eraseAtOnce {
		t.Fatalf("%+v, %d left", p, before)
	}
	if e := g.one(names(0, refs[0])); e.Kind != CommandRefused || e.Reason != ReasonConflict {
		t.Errorf("while receivers are dropped: %v", e)
	}
	twin := copied(t, g.state)
	if e := g.one(Command{Kind: CmdClearSession, Session: old.Handle}); e.Kind != SessionCleared {
		t.Fatal(e)
	}
	shares := 0
	for g.state.mustLetGo() {
		now := left()
		if before-now > eraseAtOnce {
			t.Errorf("%d receivers went in one batch", before-now)
		}
		if before = now; g.state.NextDue() > g.state.Now()+clearEvery {
			t.Fatalf("there is more to do, and the next batch may wait until %d", g.state.NextDue())
		}
		if shares++; shares > 1000 {
			t.Fatalf("it does not end: %+v", g.state.Personal().Status("ann"))
		}
		g.clock = max(g.clock, g.state.NextDue())
		g.do()
	}
	if n := left(); n > 0 || g.state.Personal().Status("ann").Sweeping {
		t.Errorf("%d receivers stay", n)
	}
	if to, there := g.state.Receiver(bob); !there || to != sealed("Bob") {
		t.Errorf("another's is gone, too: %v", to)
	}
	g.follow(twin)
	if e := g.one(names(0, refs[7])); e.Kind != ReceiverSet {
		t.Errorf("afterwards: %v", e)
	}
}

// TestAwaitedAmongManyOrders: an order whose goods are on their way is not overlooked because
// its shopper has had very many since: their data does not go by itself.
func TestAwaitedAmongManyOrders(t *testing.T) {
	g := newGroup(t)
	x := g.session("day", nil, ListingSpec{Stock: 100_000})
	refs := g.buysMany(x.Listings[0], "ann", eraseAtOnce+2)
	g.pay(refs[0], "p")
	g.one(Command{Kind: CmdSetReceiver, Order: refs[0], Shopper: []byte("ann"), Receiver: sealed("Ann"),
		PersonalKey: testKey})
	g.each(refs[1:], HoldReleased, func(_ int, ref OrderRef) Command { return Command{Kind: CmdVoidOrder, Order: ref} })
	g.clock = g.clock.Add(time.Hour)
	erase := Command{Kind: CmdErase, Shoppers: []string{"ann"}, Deadline: g.clock}
	if e := g.one(erase); e.Quantity != 0 {
		t.Errorf("it is erased, and goods are on their way: %v", e)
	}
	if to, there := g.state.Receiver(refs[0]); !there || to != sealed("Ann") {
		t.Error("nobody knows where the goods go")
	}
	if n := g.state.Personal().Undelivered("ann"); n == 0 {
		t.Error("nobody who erases is asked whether they are sure")
	}
}

// TestParcelsOfMany: what time does with more parcels than a batch has room for, all due at
// once, comes in shares of batches that follow each other, each parcel once, on a node that
// was restored half-way as well.
func TestParcelsOfMany(t *testing.T) {
	g := newGroup(t)
	x := g.session("day", func(x *SessionPlan) { x.ReceiveWithin, x.CompleteWithin = time.Hour, 2*time.Hour },
		ListingSpec{Stock: 100_000, Delivery: DeliveryShip})
	const share = MaxTimersPerBatch / parcelWork
	refs := g.buysMany(x.Listings[0], "ann", MaxTimersPerBatch+share/2)
	g.each(refs, OrderPaid, func(i int, ref OrderRef) Command {
		return Command{Kind: CmdPayOrder, Order: ref, Amount: 100, Currency: "CNY", PaymentID: fmt.Sprint("p", i)}
	})
	g.each(refs, ReceiverSet, func(_ int, ref OrderRef) Command {
		return Command{Kind: CmdSetReceiver, Order: ref, Shopper: []byte("ann"), Receiver: sealed("Ann"),
			PersonalKey: testKey}
	})
	g.steer(x.Handle, SessionEnd)
	for from := 0; from < len(refs); from += MaxParcels {
		some := refs[from:min(from+MaxParcels, len(refs))]
		review := Command{Kind: CmdReviewOrders, Session: x.Handle}
		ship := Command{Kind: CmdShipOrders, Session: x.Handle}
		for _, ref := range some {
			review.Reviews = append(review.Reviews, Review{Order: ref, Verdict: ReviewPassed})
			ship.Parcels = append(ship.Parcels, Parcel{ref, "SF", "SF1"})
		}
		for _, c := range []Command{review, {Kind: CmdExportOrders, Session: x.Handle, Export: uint32(min(from, 1)),
			Orders: some}, ship} {
			if e := g.one(c); e.Kind != OrdersHandled || int(e.Quantity) != len(some) {
				t.Fatalf("%v: %v", c.Kind, e)
			}
		}
	}
	var twin *State
	for _, step := range []struct {
		wait time.Duration
		to   EventKind
	}{{time.Hour, OrderReceived}, {2 * time.Hour, OrderCompleted}} {
		g.clock = g.clock.Add(step.wait)
		moved, batches := map[OrderRef]int{}, 0
		for ; g.state.NextDue() <= g.clock; batches++ {
			eff := g.do()
			for _, e := range eff.Derived {
				if e.Kind != step.to {
					t.Fatalf("%v", e)
				}
				moved[e.Order]++
			}
			if n := len(eff.Derived); n > share {
				t.Errorf("%d parcels in one batch, which has room for %d", n, share)
			}
			if batches == 1 {
				twin = copied(t, g.state)
			}
		}
		for _, ref := range refs {
			if moved[ref] != 1 {
				t.Fatalf("%v was moved %d times", ref, moved[ref])
			}
		}
		if want := (len(refs) + share - 1) / share; batches < want || batches > want+1 {
			t.Errorf("%d batches, want %d", batches, want)
		}
		g.follow(twin)
	}
	if e := g.one(Command{Kind: CmdSettleSession, Session: x.Handle}); e.Kind != SessionSettled {
		t.Error(e)
	}
	// With nothing on its way any more their data goes by itself, once it is old enough.
	g.clear(x)
	if e := g.one(Command{Kind: CmdErase, Shoppers: []string{"ann"}, Deadline: g.clock}); e.Quantity != 1 {
		t.Error(e)
	}
}

// TestErasureNamesAllKeys: what a shopper's key was wrapped by, over rotations and erasures,
// is one range, and a state that has it is read again, whatever is asked for.
func TestErasureNamesAllKeys(t *testing.T) {
	g := newGroup(t)
	x := g.session("day", nil, ListingSpec{Stock: 10})
	wrapped := func(kek uint32) PersonalKey { return PersonalKey{kek, fmt.Sprint("by ", kek)} }
	name := func(kek uint32) {
		t.Helper()
		ref := g.grab(x.Listings[0], "ann", fmt.Sprint(len(g.entries)), 1).Order
		if e := g.one(Command{Kind: CmdSetReceiver, Order: ref, Shopper: []byte("ann"), Receiver: sealed("Ann"),
			PersonalKey: wrapped(kek)}); e.Kind != ReceiverSet {
			t.Fatal(e)
		}
	}
	rewrap := func(was, to uint32, want uint32) {
		t.Helper()
		c := Command{Kind: CmdRewrap, Rewraps: []Rewrap{{"ann", wrapped(was), wrapped(to)}}}
		if e := g.one(c); e.Quantity != want {
			t.Errorf("from %d to %d: %v", was, to, e)
		}
	}
	erase := func(first, last uint32) {
		t.Helper()
		g.one(Command{Kind: CmdErase, Shoppers: []string{"ann"}})
		if e, there := g.state.Personal().Erasure("ann"); !there || e.First != first || e.Last != last {
			t.Errorf("%+v, want %d to %d", e, first, last)
		}
		g.follow(copied(t, g.state))
	}
	name(3)
	rewrap(3, 1, 0) // an older one
	rewrap(3, 5, 1)
	erase(3, 5)
	name(2) // by a node whose key file is an old one
	erase(2, 5)
}

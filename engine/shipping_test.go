package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// delivered has a session whose three listings ship, are collected, and do not deliver
// here, with a paid order of each of two shoppers; ann's are looked at, and she has said
// where hers goes.
type delivered struct {
	*group
	x                   *Session
	ann, annHas         OrderRef // that ships, that is collected
	bob, bobHas, bobOwn OrderRef
}

func newDelivered(tb testing.TB) *delivered {
	tb.Helper()
	g := newGroup(tb)
	x := g.session("s", func(x *SessionPlan) { x.ReceiveWithin, x.CompleteWithin = 48*time.Hour, 24*time.Hour },
		ListingSpec{Stock: 5, Delivery: DeliveryShip}, ListingSpec{Stock: 5, Delivery: DeliveryCollect},
		ListingSpec{Stock: 5})
	d := &delivered{group: g, x: x}
	n := 0
	buy := func(who string, listing int) OrderRef {
		n++
		ref := g.grab(x.Listings[listing], who, "k"+string(rune('0'+n)), 1).Order
		g.one(Command{Kind: CmdPayOrder, Order: ref, Amount: 100, Currency: "CNY", PaymentID: "p" + string(rune('0'+n)),
			PayType: "wechat"})
		return ref
	}
	d.ann, d.annHas = buy("ann", 0), buy("ann", 1)
	d.bob, d.bobHas, d.bobOwn = buy("bob", 0), buy("bob", 1), buy("bob", 2)
	g.one(Command{Kind: CmdSetReceiver, Order: d.ann, Shopper: []byte("ann"), Receiver: sealed("A"),
		PersonalKey: testKey})
	return d
}

// over ends the session.
func (d *delivered) over() *delivered {
	d.steer(d.x.Handle, SessionEnd)
	d.review(ReviewPassed, d.ann, d.annHas)
	return d
}

func (d *delivered) review(v ReviewState, refs ...OrderRef) Event {
	c := Command{Kind: CmdReviewOrders, Session: d.x.Handle}
	for _, ref := range refs {
		c.Reviews = append(c.Reviews, Review{Order: ref, Verdict: v})
	}
	return d.one(c)
}

func (d *delivered) export(number uint32, refs ...OrderRef) Event {
	return d.one(Command{Kind: CmdExportOrders, Session: d.x.Handle, Export: number, Orders: refs})
}

func (d *delivered) ship(tracking string, refs ...OrderRef) Event {
	c := Command{Kind: CmdShipOrders, Session: d.x.Handle}
	for _, ref := range refs {
		c.Parcels = append(c.Parcels, Parcel{ref, "SF", tracking})
	}
	return d.one(c)
}

func (d *delivered) state(ref OrderRef) OrderState { return d.group.state.Order(ref).State }

// A parcel's way: each step is told of once, time takes the last ones, and the session
// settles behind the last.
func TestDelivery(t *testing.T) {
	d := newDelivered(t).over()
	if e := d.export(0, d.ann, d.annHas); e.Kind != OrdersHandled || e.Quantity != 2 || e.Amount != 1 {
		t.Fatalf("export: %+v", e)
	}
	if e := d.export(1, d.ann); e.Kind != OrdersHandled || e.Quantity != 0 {
		t.Errorf("again: %+v", e)
	}
	eff := d.do(Command{Kind: CmdShipOrders, Session: d.x.Handle, Parcels: []Parcel{{d.ann, "SF", "SF1"}}})
	if len(eff.Derived) != 1 || eff.Derived[0].Kind != OrderShipped || eff.Derived[0].State != Shipped ||
		eff.Derived[0].Order != d.ann || d.group.state.ShopperID(eff.Derived[0].Shopper) != "ann" {
		t.Fatalf("shipped: %v", eff.Derived)
	}
	if e := d.ship("SF1", d.ann); e.Quantity != 0 || e.Kind != OrdersHandled {
		t.Errorf("the same parcel again: %+v", e)
	}
	shipped := d.clock
	if e := d.one(Command{Kind: CmdReceiveOrders, Session: d.x.Handle, Orders: []OrderRef{d.annHas}}); e.Quantity != 1 {
		t.Errorf("collected: %+v", e)
	}
	d.review(ReviewRejected, d.bob, d.bobHas)
	for no := range RefundNo(2) {
		d.one(Command{Kind: CmdConfirmRefund, Refund: no + 1})
	}
	if why := d.group.state.MaySettle(d.x); why != ReasonUndelivered {
		t.Errorf("it settles: %v", why)
	}
	d.after(24 * time.Hour)
	if d.state(d.annHas) != Completed || d.state(d.ann) != Shipped {
		t.Errorf("after a day: %v, %v", d.state(d.annHas), d.state(d.ann))
	}
	if next := d.group.state.NextDue(); next != shipped.Add(48*time.Hour) {
		t.Errorf("due at %d, shipped at %d", next, shipped)
	}
	d.after(24 * time.Hour)
	v, _ := d.group.state.View(d.ann)
	if v.State != Received || v.ReceivedAt != d.clock || v.ShippedAt != shipped || v.Carrier != "SF" ||
		v.Tracking != "SF1" || v.Export != 1 || v.PayType != "wechat" || v.Delivery != DeliveryShip {
		t.Errorf("%+v", v)
	}
	d.after(24 * time.Hour)
	if why := d.group.state.MaySettle(d.x); why != ReasonNone || d.state(d.ann) != Completed {
		t.Errorf("may it settle: %v; the order is %v", why, d.state(d.ann))
	}
	eff = d.do(Command{Kind: CmdSettleSession, Session: d.x.Handle})
	r, _ := eff.Leaving[0].Record(d.ann.Ordinal)
	if r.State != Completed || r.Shipment.CompletedAt != d.clock || r.PayType != "wechat" {
		t.Errorf("it leaves as %+v", r)
	}
}

// Whatever is wrong with one row, the command changes nothing, and names the order.
func TestRowsAreTakenWholeOrNotAtAll(t *testing.T) {
	d := newDelivered(t).over()
	other := d.session("t", nil, ListingSpec{Stock: 5, Delivery: DeliveryShip})
	held := d.grab(other.Listings[0], "ann", "other", 1).Order
	d.export(0, d.annHas)
	d.one(Command{Kind: CmdSetReceiver, Order: d.bob, Shopper: []byte("bob"), Receiver: sealed("A"),
		PersonalKey: testKey})
	d.review(ReviewPassed, d.bob)
	d.ship("1", d.bob)
	x := d.x.Handle
	for name, c := range map[string]struct {
		Command
		order OrderRef
		why   Reason
	}{
		"no session": {Command{Kind: CmdExportOrders, Orders: []OrderRef{d.ann}}, OrderRef{}, ReasonUnknown},
		"an open session": {Command{Kind: CmdExportOrders, Session: other.Handle, Orders: []OrderRef{held}},
			OrderRef{}, ReasonNotOpen},
		"another's order": {Command{Kind: CmdShipOrders, Session: x, Parcels: []Parcel{{held, "SF", "1"}}},
			held, ReasonUnknown},
		"no order": {Command{Kind: CmdShipOrders, Session: x, Parcels: []Parcel{{OrderRef{x, 99}, "SF", "1"}}},
			OrderRef{x, 99}, ReasonUnknown},
		"no delivery": {Command{Kind: CmdReviewOrders, Session: x, Reviews: []Review{{d.bobOwn, ReviewPassed, ""}}},
			d.bobOwn, ReasonNoDelivery},
		"no verdict": {Command{Kind: CmdReviewOrders, Session: x, Reviews: []Review{{d.ann, NotReviewed, ""}}},
			d.ann, ReasonRefused},
		"words of two": {Command{Kind: CmdReviewOrders, Session: x, Reviews: []Review{{d.ann, ReviewHeld, "a\nb"}}},
			d.ann, ReasonRefused},
		"twice": {Command{Kind: CmdReviewOrders, Session: x, Reviews: []Review{{d.ann, ReviewHeld, ""},
			{d.ann, ReviewPassed, ""}}},
			d.ann, ReasonConflict},
		"after the export": {Command{Kind: CmdReviewOrders, Session: x,
			Reviews: []Review{{d.annHas, ReviewRejected, ""}}},
			d.annHas, ReasonTooLate},
		"after shipping": {Command{Kind: CmdReviewOrders, Session: x, Reviews: []Review{{d.bob, ReviewRejected, ""}}},
			d.bob, ReasonNotHeld},
		"no such export": {Command{Kind: CmdExportOrders, Session: x, Export: 2, Orders: []OrderRef{d.ann}},
			OrderRef{}, ReasonUnknown},
		"not looked at": {Command{Kind: CmdExportOrders, Session: x, Orders: []OrderRef{d.ann, d.bobHas}},
			d.bobHas, ReasonNotReviewed},
		"out already": {Command{Kind: CmdExportOrders, Session: x, Orders: []OrderRef{d.ann, d.annHas}},
			d.annHas, ReasonConflict},
		"no number": {Command{Kind: CmdShipOrders, Session: x, Parcels: []Parcel{{d.ann, "SF", ""}}},
			d.ann, ReasonNoTracking},
		"another parcel": {Command{Kind: CmdShipOrders, Session: x, Parcels: []Parcel{{d.ann, "SF", "2"},
			{d.bob, "SF", "2"}}},
			d.bob, ReasonConflict},
		"not yet shipped": {Command{Kind: CmdReceiveOrders, Session: x, Orders: []OrderRef{d.ann}},
			d.ann, ReasonNotHeld},
	} {
		t.Run(name, func(t *testing.T) {
			before := hashBesideIndexAndEpoch(d.group)
			e := d.one(c.Command)
			if e.Kind != CommandRefused || e.Reason != c.why || e.Order != c.order {
				t.Errorf("%+v, want %v of %v", e, c.why, c.order)
			}
			if hashBesideIndexAndEpoch(d.group) != before {
				t.Error("the state has changed")
			}
			twin := copied(t, d.group.state)
			changed, err := twin.Foresee(&c.Command, func(_ int, ref OrderRef, why Reason) bool {
				if ref != c.order || why != c.why {
					t.Errorf("foreseen: %v of %v", why, ref)
				}
				return false
			})
			var whole *Refusal
			if c.order.IsZero() && (!errors.As(err, &whole) || whole.Reason != c.why) || changed > 1 {
				t.Errorf("foreseen: %d, %v", changed, err)
			}
		})
	}
}

// hashBesideIndexAndEpoch is the hash of what a refused command must leave as it is.
func hashBesideIndexAndEpoch(g *group) [32]byte {
	snap := g.state.Snapshot()
	snap.head = head{}
	return snap.Hash()
}

// What the second look has passed is not passed any more when it is to go elsewhere, and
// what the warehouse knows can't go elsewhere.
func TestAnotherReceiverIsLookedAtAgain(t *testing.T) {
	d := newDelivered(t).over()
	to := func(name string) Event {
		return d.one(Command{Kind: CmdSetReceiver, Order: d.ann, Shopper: []byte("ann"),
			Receiver: sealed(name), PersonalKey: testKey})
	}
	if e := to("B"); e.Kind != ReceiverSet {
		t.Fatal(e)
	}
	if e := d.export(0, d.ann); e.Reason != ReasonNotReviewed {
		t.Errorf("export: %+v", e)
	}
	d.review(ReviewPassed, d.ann)
	d.export(0, d.ann)
	if e := to("C"); e.Kind != CommandRefused || e.Reason != ReasonTooLate {
		t.Errorf("after the export: %+v", e)
	}
	if e := to("B"); e.Kind != OrderUnchanged {
		t.Errorf("the same: %+v", e)
	}
}

// A rejected order is paid back, and its unit is free; one that cost nothing is voided.
func TestRejectedOrders(t *testing.T) {
	d := newDelivered(t).over()
	l := d.group.state.Listing(d.x.Listings[0])
	free := l.Available
	eff := d.do(Command{Kind: CmdReviewOrders, Session: d.x.Handle, Operator: "op",
		Reviews: []Review{{d.bob, ReviewRejected, "shared address"}, {d.bobHas, ReviewHeld, ""}}})
	if l.Available != free+1 || d.state(d.bob) != RefundDue || d.state(d.bobHas) != Paid {
		t.Errorf("%d free, was %d; %v, %v", l.Available, free, d.state(d.bob), d.state(d.bobHas))
	}
	kinds := []EventKind{}
	for _, e := range eff.Derived {
		kinds = append(kinds, e.Kind)
	}
	if !slices.Equal(kinds, []EventKind{OrderReviewed, RefundBecameDue, OrderReviewed}) {
		t.Errorf("events %v", kinds)
	}
	if n := eff.AuditNotes; len(n) != 1 || !strings.Contains(n[0].Detail, "1 held, 1 rejected") ||
		!strings.Contains(n[0].Detail, "(shared address)") || n[0].Operator != "op" {
		t.Errorf("noted: %+v", n)
	}
	if due := d.group.state.Money().ViewRefunds(0, 9); len(due) != 1 || due[0].Why != ReasonReviewRejected ||
		due[0].Amount != 100 {
		t.Errorf("due: %+v", due)
	}
	if e := d.review(ReviewPassed, d.bob); e.Reason != ReasonNotHeld {
		t.Errorf("passed after all: %+v", e)
	}
	if e := d.review(ReviewPassed, d.bobHas); e.Quantity != 1 {
		t.Errorf("allowed by hand: %+v", e)
	}
}

// Shoppers say for themselves that their parcel has come, and of nothing else.
func TestShopperSaysReceived(t *testing.T) {
	d := newDelivered(t).over()
	says := func(who string, ref OrderRef) Event {
		return d.one(Command{Kind: CmdReceiveOrder, Order: ref, Shopper: []byte(who)})
	}
	if e := says("ann", d.ann); e.Reason != ReasonNotHeld {
		t.Errorf("before it was shipped: %+v", e)
	}
	d.ship("1", d.ann)
	if e := says("bob", d.ann); e.Reason != ReasonUnknown {
		t.Errorf("another's: %+v", e)
	}
	if e := says("ann", d.ann); e.Kind != OrderReceived || e.State != Received {
		t.Errorf("%+v", e)
	}
	if e := says("ann", d.ann); e.Kind != OrderUnchanged {
		t.Errorf("again: %+v", e)
	}
}

// A snapshot whose orders and deliveries contradict each other is no state.
func TestSnapshotOfAnImpossibleDelivery(t *testing.T) {
	for name, change := range map[string]func(*State, *delivered){
		"shipped and nobody knows when": func(s *State, d *delivered) { s.mutOrder(d.ann).State = Shipped },
		"an export that was not":        func(s *State, d *delivered) { s.setShipment(d.ann, Shipment{Export: 7}) },
		"no delivery": func(s *State, d *delivered) {
			s.setShipment(d.bobOwn, Shipment{Review: ReviewPassed})
		},
		"received before it was":      func(s *State, d *delivered) { s.setShipment(d.ann, Shipment{ReceivedAt: 5}) },
		"more counted than there are": func(s *State, d *delivered) { s.listings[0].Completed = 1 },
		"before the end":              func(s *State, d *delivered) { s.sessions[0].State = Open },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDelivered(t).over()
			s := copied(t, d.group.state)
			change(s, d)
			_, err := ReadState(strings.NewReader(string(encoded(t, s.Snapshot()))))
			mustFail(t, err, ErrMalformed)
		})
	}
}

// More rows than one command may have, or longer texts, are no command.
func TestTooManyRowsAreMalformed(t *testing.T) {
	for name, c := range map[string]Command{
		"rows": {Kind: CmdReceiveOrders, Session: 1, Orders: make([]OrderRef, MaxParcels+1)},
		"carrier": {Kind: CmdShipOrders, Session: 1,
			Parcels: []Parcel{{Carrier: strings.Repeat("x", MaxParcelBytes+1)}}},
		"why":     {Kind: CmdReviewOrders, Session: 1, Reviews: []Review{{Why: strings.Repeat("x", MaxParcelBytes+1)}}},
		"verdict": {Kind: CmdReviewOrders, Session: 1, Reviews: []Review{{Verdict: reviewEnd}}},
		"paytype": {Kind: CmdPayOrder, PayType: "by card"},
	} {
		_, _, err := DecodeBatch(EncodeBatch(BatchHeader{Epoch: 1, Sequence: 1}, c))
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

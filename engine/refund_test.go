package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func (g *group) payAt(ref OrderRef, payment string, amount int64, at Time) Event {
	g.tb.Helper()
	return g.one(Command{Kind: CmdPayOrder, Order: ref, Amount: amount, Currency: "CNY", PaymentID: payment,
		PaidAt: at})
}

// Money that comes late is given a unit if one is free, else it goes back: one
// verdict for each payment, however often it is told.
func TestLateMoneyHasOneVerdict(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) {
		x.PayWithin, x.PayGrace = time.Minute, time.Second
	}, ListingSpec{Stock: 2, LimitPerShopper: 1})
	ann := g.grab(x.Listings[0], "ann", "k", 1).Order
	bob := g.grab(x.Listings[0], "bob", "k", 1).Order
	paidAt := g.clock.Add(59 * time.Second)
	g.after(2 * time.Minute)
	g.grab(x.Listings[0], "cai", "k", 1)
	if e := g.payAt(ann, "p1", 100, paidAt); e.Kind != OrderPaid || e.Reason != ReasonPaidLate || e.State != Paid {
		t.Errorf("a unit is free: %v", e)
	}
	if e := g.payAt(bob, "p2", 100, paidAt); e.Kind != RefundBecameDue || e.State != RefundDue {
		t.Errorf("none is free: %v", e)
	}
	before := g.state.Money().Refunds()
	for _, again := range []struct {
		ref OrderRef
		id  string
	}{{ann, "p1"}, {bob, "p2"}} {
		if e := g.payAt(again.ref, again.id, 100, paidAt); e.Kind != OrderUnchanged {
			t.Errorf("%s again: %v", again.id, e)
		}
	}
	if e := g.payAt(bob, "p1", 100, paidAt); e.Kind != CommandRefused || e.Reason != ReasonConflict {
		t.Errorf("a payment for another order: %v", e)
	}
	if g.state.Money().Refunds() != before || before != 1 {
		t.Errorf("%d refunds, then %d", before, g.state.Money().Refunds())
	}
	if e := g.payAt(ann, "p3", 100, paidAt); e.Kind != RefundBecameDue || e.State != Paid ||
		e.Reason != ReasonPaidTwice {
		t.Errorf("paid twice: %v", e)
	}
	if v, _ := g.state.View(ann); v.PaidAt != paidAt {
		t.Errorf("paid at %d, the cashier said %d", v.PaidAt, paidAt)
	}
	due := g.state.Money().ViewRefunds(0, 10)
	if len(due) == 2 && (due[0].PaidAt != paidAt || due[1].PaidAt != paidAt) {
		t.Errorf("money to go back came at %d and %d, not %d", due[0].PaidAt, due[1].PaidAt, paidAt)
	}
	if len(due) != 2 || due[0].PaymentID != "p2" || due[1].PaymentID != "p3" {
		t.Fatalf("due: %+v", due)
	}
	for range 2 {
		for _, r := range due {
			g.one(Command{Kind: CmdConfirmRefund, Refund: r.No, Note: "ref"})
		}
	}
	if len(g.state.Money().ViewRefunds(0, 10)) != 0 || g.state.Order(bob).State != Refunded ||
		g.state.Order(ann).State != Paid {
		t.Errorf("after the refunds: %v, %v", g.state.Order(ann).State, g.state.Order(bob).State)
	}
	if copied(t, g.state).Hash() != g.state.Hash() {
		t.Error("a snapshot's reading differs")
	}
}

// However many refunds were made behind one that is stuck, a look reads a bounded
// number of them, and the next goes on where it ended.
func TestLooksAreBounded(t *testing.T) {
	g := newGroup(t)
	const orders = 3*lookedAt + 2
	x := g.session("s", func(x *SessionPlan) {
		x.PayWithin, x.PayGrace = time.Minute, time.Hour
	}, ListingSpec{Stock: orders, LimitPerShopper: 1})
	var refs []OrderRef
	for i := range orders {
		refs = append(refs, g.grab(x.Listings[0], fmt.Sprint("s", i), "k", 1).Order)
	}
	for i, ref := range refs {
		if i > 0 && i < orders-1 {
			g.pay(ref, fmt.Sprint("p", i))
			g.pay(ref, fmt.Sprint("twice", i))
			if i > 1 {
				g.one(Command{Kind: CmdConfirmRefund, Refund: RefundNo(i), Note: "ref"})
			}
		}
	}
	g.pay(refs[1], "thrice")
	last := RefundNo(g.state.Money().Refunds())
	var due []RefundNo
	looks := 0
	for after, done := RefundNo(0), false; !done; looks++ {
		var found []RefundNo
		found, after = g.state.Money().LookForRefunds(after, 1)
		due, done = append(due, found...), after == 0
	}
	if len(due) != 2 || due[0] != 1 || due[1] != last || looks < 4 {
		t.Errorf("%v found in %d looks; want 1 and %d in at least 4", due, looks, last)
	}
	if n, since := g.state.Money().Owed(); n != 2 || since != g.state.Money().Refund(1).Due {
		t.Errorf("%d owed since %d", n, since)
	}
	g.after(2 * time.Minute)
	var holds []OrderRef
	looks = 0
	for after, done := (OrderRef{}), false; !done; looks++ {
		var found []OrderRef
		found, after = g.state.InGrace(after, g.state.Now(), 1)
		holds, done = append(holds, found...), after.IsZero()
	}
	if len(holds) != 2 || holds[0] != refs[0] || holds[1] != refs[orders-1] || looks < 4 {
		t.Errorf("%v found in %d looks; want %v and %v in at least 4", holds, looks, refs[0], refs[orders-1])
	}
}

func TestClosedAtTheCashierNeedsNoGrace(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) {
		x.PayWithin, x.PayGrace = time.Minute, time.Hour
	}, ListingSpec{Stock: 1})
	ann := g.grab(x.Listings[0], "ann", "k", 1).Order
	if e := g.one(Command{Kind: CmdCloseHold, Order: ann}); e.Kind != CommandRefused {
		t.Errorf("before pay_by: %v", e)
	}
	g.after(time.Minute)
	if e := g.one(Command{Kind: CmdCloseHold, Order: ann}); e.Kind != HoldReleased || e.Reason != ReasonExpired {
		t.Errorf("after pay_by: %v", e)
	}
	if e := g.grab(x.Listings[0], "bob", "k", 1); e.Kind != HoldPlaced {
		t.Errorf("the next: %v", e)
	}
}

// What is settled leaves the state, and is given back to whoever comes next in
// the same way on every node.
func TestSettledSessionsLeave(t *testing.T) {
	g := newGroup(t)
	month := clockStart - 1000
	session := func(id string, change func(*ListingSpec)) *Session {
		spec := ListingSpec{Stock: 300, LimitPerShopper: 1}
		if change != nil {
			change(&spec)
		}
		x := g.session(id, nil, spec)
		g.plan(&Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai",
			Months: []Time{month, month + 31*86_400_000}}, Sessions: []SessionPlan{{SessionSpec: x.SessionSpec,
			Listings: []ListingSpec{g.state.Listing(x.Listings[0]).ListingSpec}}}}}})
		return x
	}
	stays := session("stays", nil)
	limited := session("limited", func(l *ListingSpec) { l.LimitPerMonth = 2 })
	goes := session("goes", func(l *ListingSpec) { l.SKU = "other" })
	var paid OrderRef
	for i := range 200 {
		name := fmt.Sprint("s", i)
		for _, x := range []*Session{goes, stays, limited} {
			if x == stays && i%3 != 0 || x == limited && i%4 != 0 {
				continue
			}
			ref := g.grab(x.Listings[0], name, "k-"+x.ID, 1).Order
			if i%2 == 0 {
				g.pay(ref, fmt.Sprint(x.ID, i))
				paid = ref
			}
		}
	}
	if e := g.one(Command{Kind: CmdSettleSession, Session: goes.Handle}); e.Kind != CommandRefused {
		t.Errorf("while it is open: %v", e)
	}
	g.after(90 * time.Minute)
	for _, x := range []*Session{goes, limited} {
		if e := g.one(Command{Kind: CmdSettleSession, Session: x.Handle}); e.Kind != SessionSettled {
			t.Fatalf("%s: %v", x.ID, e)
		}
		g.clear(x)
	}
	if goes.Orders() != 200 || g.state.Order(OrderRef{goes.Handle, 1}) != nil {
		t.Error("its orders are still there")
	}
	if g.state.ShopperNo("s1") != 0 || g.state.ShopperNo("s3") == 0 || g.state.ShopperNo("s4") == 0 {
		t.Errorf("kept s1 %d, s3 %d, s4 %d: those with orders, or with units of the month, and no others",
			g.state.ShopperNo("s1"), g.state.ShopperNo("s3"), g.state.ShopperNo("s4"))
	}
	for i := range 200 {
		name := fmt.Sprint("s", i)
		g.state.OrdersOf(g.state.ShopperNo(name), func(ref OrderRef, _ *Order) bool {
			if ref.Session != stays.Handle {
				t.Errorf("%s has an order of session %d", name, ref.Session)
			}
			return true
		})
	}
	twin := copied(t, g.state)
	if twin.Hash() != g.state.Hash() {
		t.Fatal("a snapshot's reading differs")
	}
	// Late money for what is settled goes back, once.
	for range 2 {
		if e := g.payAt(OrderRef{goes.Handle, 2}, "late", 100, g.clock); e.Kind != RefundBecameDue &&
			e.Kind != OrderUnchanged {
			t.Errorf("late money: %v", e)
		}
	}
	if due := g.state.Money().ViewRefunds(0, 10); len(due) != 1 || due[0].Why != ReasonSettled {
		t.Errorf("due: %+v", due)
	}
	if g.state.Money().PaymentOf("limited0").IsZero() == false || paid.IsZero() {
		t.Error("a payment of a settled order is still looked for")
	}
	// The month's limit still counts what was bought there.
	y := g.session("later", nil, ListingSpec{Stock: 300, LimitPerMonth: 2, LimitPerShopper: 2})
	if e := g.grab(y.Listings[0], "s0", "k1", 2); e.Kind != HoldRefused || e.Reason != ReasonLimitMonth {
		t.Errorf("one more than the month allows: %v", e)
	}
	// New shoppers take the numbers that became free, on a restored node too.
	for i := range 300 {
		c := g.placeHold(y.Listings[0], fmt.Sprint("new", i), "k", 1)
		g.one(c)
	}
	replay := NewState()
	var eff Effects
	for i, entry := range g.entries {
		if err := replay.Apply(LogIndex(i+1), entry, &eff); err != nil {
			t.Fatal(err)
		}
		if int(twin.LogIndex()) < i+1 {
			if err := twin.Apply(LogIndex(i+1), entry, &eff); err != nil {
				t.Fatal(err)
			}
		}
	}
	if g.state.Hash() != replay.Hash() || g.state.Hash() != twin.Hash() {
		t.Error("nodes differ")
	}
}

// Orders leave in shares, and nobody can tell: a state that lets go of a row with each
// batch answers as one that lets go of all at once, and one that comes from a snapshot
// in between goes on alike.
func TestClearingInShares(t *testing.T) {
	at := func(share int) (*group, func() string) {
		g := newGroup(t)
		g.state.clearShare = share
		month := clockStart - 1000
		var all []*Session
		for n := range 3 {
			x := g.session(fmt.Sprint("x", n), func(x *SessionPlan) {
				x.PayWithin = time.Minute
			}, ListingSpec{Stock: 300, LimitPerShopper: 3, LimitPerMonth: 4})
			all = append(all, x)
			g.plan(&Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai",
				Months: []Time{month, month + 31*86_400_000}},
				Sessions: []SessionPlan{{SessionSpec: x.SessionSpec,
					Listings: []ListingSpec{g.state.Listing(x.Listings[0]).ListingSpec}}}}}})
		}
		for i := range 60 {
			for n, x := range all {
				for k := range 1 + (i+n)%2 {
					ref := g.grab(x.Listings[0], fmt.Sprint("s", i), fmt.Sprint(x.ID, "-", k), 1).Order
					if i%3 != 0 {
						g.pay(ref, fmt.Sprint(ref))
					}
				}
			}
		}
		for _, x := range all[:2] {
			g.steer(x.Handle, SessionEnd)
		}
		g.after(10 * time.Minute)
		for _, x := range []*Session{all[1], all[0]} {
			if e := g.one(Command{Kind: CmdSettleSession, Session: x.Handle}); e.Kind != SessionSettled {
				t.Fatal(e)
			}
			g.one(Command{Kind: CmdClearSession, Session: x.Handle})
		}
		g.after(clearEvery * time.Millisecond)
		i := 0
		return g, func() string { // what somebody hears, whose orders may have left or not
			i++
			e := g.grab(all[2].Listings[0], fmt.Sprint("s", i%60), fmt.Sprint("again-", i), 1)
			late := g.one(Command{Kind: CmdPayOrder, Order: OrderRef{all[i%2].Handle, uint32(i%60) + 1}, Amount: 100,
				Currency: "CNY", PaymentID: fmt.Sprint("late", i)})
			v, _ := g.state.View(OrderRef{all[0].Handle, 1})
			return fmt.Sprintln(e.Kind, e.Reason, e.Quantity, e.Limit, late.Kind, late.Reason, v.Shopper,
				len(g.state.Money().ViewRefunds(0, 1000)))
		}
	}
	slow, asksSlow := at(1)
	fast, asksFast := at(1 << 30)
	if !slow.state.mustLetGo() || fast.state.mustLetGo() {
		t.Fatal("nothing is left to let go of, or still is")
	}
	for range 400 {
		if a, b := asksSlow(), asksFast(); a != b {
			t.Fatalf("in shares: %sat once:   %s", a, b)
		}
		share := slow.state.clearShare
		twin := copied(t, slow.state)
		twin.clearShare = share
		slow.after(clearEvery * time.Millisecond)
		slow.follow(twin)
		fast.after(clearEvery * time.Millisecond)
		if twin.Hash() != slow.state.Hash() {
			t.Fatal("a node that comes from a snapshot lets go otherwise")
		}
	}
	if slow.state.mustLetGo() {
		t.Fatal("not everything was let go of")
	}
	slow.after(100 * 24 * time.Hour)
	for slow.state.mustLetGo() {
		slow.after(clearEvery * time.Millisecond)
	}
	if n := len(slow.state.bought); n > 0 {
		t.Errorf("%d months are still counted", n)
	}
}

// However many batches a rush makes, clearing takes one share of each slice of time.
func TestSharesGoByTime(t *testing.T) {
	g := newGroup(t)
	g.state.clearShare = 1
	x := g.session("s", nil, ListingSpec{Stock: 50})
	for i := range 50 {
		g.pay(g.grab(x.Listings[0], fmt.Sprint("s", i), "k", 1).Order, fmt.Sprint("p", i))
	}
	g.steer(x.Handle, SessionEnd)
	g.one(Command{Kind: CmdSettleSession, Session: x.Handle})
	g.one(Command{Kind: CmdClearSession, Session: x.Handle})
	for slice := range 5 {
		g.after(clearEvery * time.Millisecond)
		if due, want := g.state.NextDue(), g.clock-g.clock%clearEvery+clearEvery; due != want {
			t.Errorf("the next share is due at %d and not at %d", due, want)
		}
		before := x.dropped
		for range 5 {
			g.do()
		}
		if x.dropped != before || before == 0 {
			t.Errorf("slice %d: %d orders had left, and %d after more batches", slice, before, x.dropped)
		}
	}
}

// Of a settled order's payments a node knows as much as one that comes from a
// snapshot: those that refunds tell of.
func TestSettledPaymentsAreForgottenAlike(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 5})
	ref := g.grab(x.Listings[0], "ann", "k", 1).Order
	g.pay(ref, "p1")
	if e := g.pay(ref, "p2"); e.Kind != RefundBecameDue {
		t.Fatal(e)
	}
	g.steer(x.Handle, SessionEnd)
	if e := g.one(Command{Kind: CmdSettleSession, Session: x.Handle}); e.Kind != SessionSettled {
		t.Fatal(e)
	}
	twin := copied(t, g.state)
	for _, s := range []*State{g.state, twin} {
		if got := s.Money().SealedPaymentOf("p1"); got != ref || s.Money().PaymentOf("p1") != (OrderRef{}) {
			t.Errorf("what paid for a sealed order: %v, and to the rules %v", got, s.Money().PaymentOf("p1"))
		}
	}
	g.clear(x)
	for _, payment := range []string{"p1", "p2", "p3"} {
		g.one(Command{Kind: CmdPayOrder, Order: ref, Amount: 100, Currency: "CNY", PaymentID: payment})
	}
	g.follow(twin)
}

// A time that can't be must not get into a snapshot, which would refuse it.
func TestPaymentAtNoTime(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 3})
	for i, at := range []Time{0, -1, maxTime + 1} {
		ref := g.grab(x.Listings[0], fmt.Sprint("ann", i), "k", 1).Order
		if e := g.payAt(ref, fmt.Sprint("p", i), 100, at); e.Kind != OrderPaid || e.Reason != ReasonNone {
			t.Errorf("paid in time, at %d by the cashier's clock: %v", at, e)
		}
		if v, _ := g.state.View(ref); v.PaidAt != g.state.Now() {
			t.Errorf("paid at %d: kept as %d, not as now, %d", at, v.PaidAt, g.state.Now())
		}
	}
	if copied(t, g.state).Hash() != g.state.Hash() {
		t.Error("a snapshot's reading differs")
	}
}

// TestMoneyForNoOrderGoesBack: for a number of another life, for one that was never
// given out, for a place on the waitlist, and of another transaction than the order's. Each
// payment goes back once, whatever it is told to be for later, and no order sees it.
func TestMoneyForNoOrderGoesBack(t *testing.T) {
	g := newGroup(t)
	l := g.session("ten", nil, ListingSpec{Stock: 1, Waitlist: true}).Listings[0]
	hold := g.placeHold(l, "ann", "k", 1)
	hold.Transaction = Transaction{1}
	ann := g.one(hold).Order
	wait := g.placeHold(l, "bob", "k", 1)
	wait.Waitlist = true
	bob := g.one(wait).Order
	lost := g.state.Numberer().Number(OrderRef{1, 1}, g.state.life+1).String()
	pay := func(id, no string, ref OrderRef, in Transaction) Event {
		return g.one(Command{Kind: CmdPayOrder, Order: ref, OrderNo: no, PaymentID: id, Amount: 100, Currency: "CNY",
			Transaction: in})
	}
	anns := g.state.OrderNo(ann)
	for i, c := range []struct {
		name, id, no string
		ref          OrderRef
		in           Transaction
		want         EventKind
		why          Reason
	}{
		{"of another life", "p1", lost, OrderRef{}, Transaction{2}, RefundBecameDue, ReasonNoOrder},
		{"again", "p1", lost, OrderRef{}, Transaction{2}, OrderUnchanged, ReasonNoOrder},
		{"again, for ann's order", "p1", anns, ann, Transaction{1}, CommandRefused, ReasonConflict},
		{"of no life", "p2", strings.Repeat("0", OrderNoBytes), OrderRef{}, Transaction{}, RefundBecameDue,
			ReasonNoOrder},
		{"for a place in line", "p3", g.state.OrderNo(bob), OrderRef{}, Transaction{}, RefundBecameDue, ReasonNoOrder},
		{"in another transaction", "p4", "", ann, Transaction{3}, RefundBecameDue, ReasonNoOrder},
		{"in another transaction, told again without", "p4", "", ann, Transaction{}, OrderUnchanged, ReasonNoOrder},
		{"in another transaction, as no order's", "p5", anns, OrderRef{}, Transaction{3}, RefundBecameDue,
			ReasonNoOrder},
		{"ann's own, as no order's", "p6", anns, OrderRef{}, Transaction{1}, CommandRefused, ReasonConflict},
		{"for no number", "p6", "no number", OrderRef{}, Transaction{}, CommandRefused, ReasonUnknown},
		{"ann's own", "p6", anns, ann, Transaction{1}, OrderPaid, ReasonNone},
		{"ann's own again, for the lost order", "p6", lost, OrderRef{}, Transaction{2}, CommandRefused, ReasonConflict},
	} {
		if e := pay(c.id, c.no, c.ref, c.in); e.Kind != c.want || e.Reason != c.why ||
			c.why == ReasonNoOrder && !e.Order.IsZero() {
			t.Errorf("%d, %s: %v", i, c.name, e)
		}
	}
	want := []RefundView{{Refund{PaymentID: "p1", PaidFor: lost, PaidIn: Transaction{2}}, lost, Transaction{2}},
		{Refund{PaymentID: "p2", PaidFor: strings.Repeat("0", OrderNoBytes)}, strings.Repeat("0", OrderNoBytes),
			Transaction{}},
		{Refund{PaymentID: "p3", PaidFor: g.state.OrderNo(bob)}, g.state.OrderNo(bob), Transaction{}},
		{Refund{PaymentID: "p4", PaidFor: anns, PaidIn: Transaction{3}}, anns, Transaction{3}},
		{Refund{PaymentID: "p5", PaidFor: anns, PaidIn: Transaction{3}}, anns, Transaction{3}}}
	for i := range want {
		r := &want[i].Refund
		r.No, r.Order, r.Amount, r.Currency, r.Why, r.PaidAt, r.Due = RefundNo(i+1), OrderRef{0,
			uint32(i + 1)}, 100, "CNY", ReasonNoOrder, g.clock, g.clock
	}
	for _, s := range []*State{g.state, copied(t, g.state)} {
		if got := s.Money().ViewRefunds(0, 10); !slices.Equal(got, want) {
			t.Errorf("due %+v\nwant %+v", got, want)
		}
		if of := s.Money().refundsOf(ann); of != nil || s.Money().strayOf("p4").No != 4 ||
			s.Money().strayOf("p6") != nil ||
			s.Money().PaymentOf("p6") != ann {
			t.Errorf("of ann's order: %+v", of)
		}
	}
	if e := g.one(Command{Kind: CmdConfirmRefund, Refund: 1, Note: "back"}); e.Kind != RefundMade ||
		!e.Order.IsZero() || e.Amount != 100 {
		t.Error(e)
	}
}

// TestRefundsSayWhyTheyAre: money for an order that was cancelled or voided goes back
// for that, though it came in time, and so does money that was told of too late.
func TestRefundsSayWhyTheyAre(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) {
		x.PayWithin, x.PayGrace = time.Minute, time.Second
	}, ListingSpec{Stock: 4, LimitPerShopper: 1})
	var orders [4]OrderRef
	for i, shopper := range []string{"ann", "bob", "cai", "dan"} {
		orders[i] = g.grab(x.Listings[0], shopper, "k", 1).Order
	}
	paidAt := g.clock.Add(59 * time.Second)
	g.one(Command{Kind: CmdCancelHold, Order: orders[0], Shopper: []byte("ann")})
	g.one(Command{Kind: CmdVoidOrder, Order: orders[1]})
	g.after(2 * time.Minute)
	for _, shopper := range []string{"eva", "fay", "gus", "hal"} {
		g.grab(x.Listings[0], shopper, "k", 1)
	}
	for i, c := range []struct {
		at   Time
		want Reason
	}{{paidAt, ReasonCancelled}, {paidAt, ReasonVoided}, {paidAt, ReasonExpired},
		{paidAt.Add(2 * time.Second), ReasonPaidLate}} {
		e := g.payAt(orders[i], fmt.Sprint("p", i), 100, c.at)
		due := g.state.Money().ViewRefunds(0, 10)
		if e.Kind != RefundBecameDue || e.Reason != c.want || len(due) != i+1 || due[i].Why != c.want {
			t.Errorf("order %d: %v, refunds %+v; want %s", i, e, due, c.want)
		}
	}
}

// TestCouponsAtTheCashier: what a coupon paid is within the session's rule, stays with the
// order, and does not go back to whom it was not taken from.
func TestCouponsAtTheCashier(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) { x.CouponsUpTo = 30 }, ListingSpec{Stock: 9, LimitPerShopper: 9})
	strict := g.session("strict", nil, ListingSpec{Stock: 9, LimitPerShopper: 9})
	pay := func(ref OrderRef, id string, amount, coupon int64) Event {
		t.Helper()
		return g.one(Command{Kind: CmdPayOrder, Order: ref, Amount: amount, Coupon: coupon, Currency: "CNY",
			PaymentID: id})
	}
	ann := g.grab(x.Listings[0], "ann", "k", 1).Order
	bob := g.grab(strict.Listings[0], "bob", "k", 1).Order
	for _, c := range []struct {
		ref            OrderRef
		amount, coupon int64
	}{{ann, 100, 31}, {ann, 99, 29}, {ann, 70, 0}, {bob, 100, 1}} {
		if e := pay(c.ref, "p", c.amount, c.coupon); e.Kind != CommandRefused || e.Reason != ReasonAmount ||
			e.State != Held {
			t.Errorf("%+v: %v", c, e)
		}
	}
	if e := pay(ann, "p", 100, 30); e.Kind != OrderPaid || e.Amount != 100 {
		t.Fatal(e)
	}
	if e := pay(ann, "p", 100, 30); e.Kind != OrderUnchanged {
		t.Errorf("again: %v", e)
	}
	if e := pay(ann, "p", 100, 29); e.Kind != CommandRefused || e.Reason != ReasonAmount {
		t.Errorf("the same payment with another coupon: %v", e)
	}
	if v, _ := g.state.View(ann); v.Amount != 100 || v.Coupon != 30 {
		t.Errorf("%+v", v)
	}
	if e := pay(ann, "twice", 100, 10); e.Kind != RefundBecameDue || e.Amount != 90 {
		t.Errorf("paid twice: %v", e)
	}
	if e := g.one(Command{Kind: CmdVoidOrder, Order: ann, Operator: "op"}); e.Kind != RefundBecameDue ||
		e.Amount != 70 {
		t.Errorf("voided: %v", e)
	}
	lost := g.state.Numberer().Number(OrderRef{1, 1}, g.state.life+1).String()
	if e := g.one(Command{Kind: CmdPayOrder, OrderNo: lost, PaymentID: "stray", Amount: 50, Coupon: 5,
		Currency: "CNY"}); e.Kind != RefundBecameDue || e.Amount != 45 {
		t.Errorf("for no order: %v", e)
	}
	var back []int64
	for _, r := range g.state.Money().ViewRefunds(0, 10) {
		back = append(back, r.Amount)
	}
	if !slices.Equal(back, []int64{90, 70, 45}) {
		t.Errorf("%v go back", back)
	}
}

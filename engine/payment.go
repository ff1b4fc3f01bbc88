package engine

import (
	"cmp"
	"maps"

	"github.com/dchest/siphash"
)

// Payment is money that the cashier says it took.
type Payment struct {
	OrderNo string
	ID      string // the cashier's, ValidKey: the same one pays once
	Amount  int64  // minor units: what was due for the order
	// Coupon is what of Amount the shopper did not pay: a coupon at the cashier saw to it. 0
	// to under Amount; the rest is what the cashier took.
	Coupon   int64
	Currency string
	PaidAt   Time   // by the cashier's clock; 0 if it does not say
	PayType  string // how it was paid, ValidPayType; "" if the cashier does not say
	// Transaction that the money came in; zero if the cashier does not say. Money of
	// another one than the order's is not the order's.
	Transaction Transaction
}

// PaymentOutcome is what became of a payment.
type PaymentOutcome uint8

// Outcomes of a payment.
const (
	PaymentUnchanged PaymentOutcome = iota // it was known before, and nothing has changed
	PaymentTaken                           // the order is paid
	PaymentToRefund                        // the money goes back
)

var paymentOutcomes = [...]string{"unchanged", "paid", "refund_due"}

func (o PaymentOutcome) String() string { return nameOf(paymentOutcomes[:], int(o)) }

// PaymentOutcomes lists every outcome's name, for metrics with a fixed set of labels.
func PaymentOutcomes() []string { return append([]string(nil), paymentOutcomes[:]...) }

// Receipt is what became of a payment, and the order as it is then.
type Receipt struct {
	Outcome PaymentOutcome
	Reason  Reason    // the true one: paid_late, paid_twice, settled, no_order
	Order   OrderView // zero with no_order: the money is for none
}

// payOrder takes money for an order, once for each payment. Money in time makes
// it Paid. Money for a hold that has gone gets a unit if one is free and the
// limits allow it, else it is to go back: never both, never neither. The cashier's
// own time of payment says what was late.
func (s *State) payOrder(c *Command) Event {
	x, forNone := s.SessionOf(c.Order.Session), c.Order.IsZero() && ValidOrderNo(c.OrderNo)
	if !forNone && (x == nil || c.Order.Ordinal == 0 || int(c.Order.Ordinal) > x.Orders()) {
		return refused(ReasonUnknown)
	}
	if known := s.Money().PaymentOf(c.PaymentID); known != (OrderRef{}) {
		return s.paidBefore(c, known)
	}
	if forNone {
		return s.payForNoOrder(c)
	}
	if x.State == Settled { // the order is in the ledgers alone; whoever asked has looked it up there
		s.notePayment(c.PaymentID, c.Order)
		s.oweRefund(Refund{Order: c.Order, PaymentID: c.PaymentID, Amount: c.taken(), Currency: c.Currency,
			Why: ReasonSettled, PaidAt: s.paidAt(c)})
		return Event{Kind: RefundBecameDue, Session: x.Handle, Order: c.Order, Amount: c.taken(), Reason: ReasonSettled}
	}
	o := s.Order(c.Order)
	l := s.listings[o.Listing-1]
	switch {
	case !o.State.Granted():
		return refused(ReasonUnknown)
	case !c.Transaction.May(o.Transaction):
		return s.oweForNoOrder(c)
	case c.Amount != o.Amount || c.Currency != l.Currency || c.Coupon > x.CouponsUpTo:
		return s.refusedOrder(c.Order, ReasonAmount)
	case o.Amount == 0: // it was paid when it was granted
		return s.refusedOrder(c.Order, ReasonNotHeld)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	}
	s.releaseOverdue(o.Shopper, l) // they count against no limit
	s.notePayment(c.PaymentID, c.Order)
	o = s.Order(c.Order)
	why := ReasonNone
	if o.State != Held || c.PaidAt > o.PayBy && c.PaidAt <= maxTime { // a time that can't be says nothing
		why = ReasonPaidLate
	}
	switch {
	case o.State == Held:
		l.Held -= int64(o.Quantity)
	case o.State == Expired && s.mayPayLate(l, o):
		if !s.holdsAny(o.Shopper, l) {
			l.Shoppers++
		}
		l.Available -= int64(o.Quantity)
		l.Lowest = min(l.Lowest, l.Available)
		l.sell(o.Quantity)
		if ref := s.bargainOf(l, o); !ref.IsZero() {
			s.buyBy(ref, c.Order)
		}
	case o.State == Cancelled:
		return s.moneyBack(c, o, ReasonCancelled)
	case o.State == Voided:
		return s.moneyBack(c, o, ReasonVoided)
	case o.State == Expired && c.PaidAt > 0 && c.PaidAt <= o.PayBy: // in time, and told too late
		return s.moneyBack(c, o, ReasonExpired)
	case o.State == Expired:
		return s.moneyBack(c, o, why)
	default: // paid already, or its money is on its way back
		return s.moneyBack(c, o, ReasonPaidTwice)
	}
	d := s.mutDetails(c.Order)
	d.payment, d.payType, d.coupon, d.paid, d.paidAt = c.PaymentID, c.PayType, c.Coupon, true, s.paidAt(c)
	o = s.mutOrder(c.Order)
	o.State, o.Changed = Paid, s.now
	s.sold(l, o.Quantity)
	s.countUp(l)
	s.touch(l.Handle)
	s.schedule(x)
	return s.orderEvent(OrderPaid, c.Order, why)
}

// payForNoOrder takes money for no order of ours, to go back: for a number that this
// group has never given out, or in another life, or to somebody's place on the waitlist; or
// of another transaction than the order's, which has left the state. Whoever asked
// knows that the number leads to no order, or to one that the money is not for.
func (s *State) payForNoOrder(c *Command) Event {
	if ref, ours := s.FindOrder(c.OrderNo); ours {
		if o := s.Order(ref); o != nil && !s.settled(ref.Session) && o.State.Granted() &&
			c.Transaction.May(o.Transaction) {
			return s.refusedOrder(ref, ReasonConflict)
		}
	}
	return s.oweForNoOrder(c)
}

// oweForNoOrder makes c's money due to go back.
func (s *State) oweForNoOrder(c *Command) Event {
	ref := strayRef(RefundNo(s.refunds.len() + 1))
	s.notePayment(c.PaymentID, ref)
	s.oweRefund(Refund{Order: ref, PaymentID: c.PaymentID, Amount: c.taken(), Currency: c.Currency, Why: ReasonNoOrder,
		PaidAt: s.paidAt(c), PaidFor: s.paidFor(c), PaidIn: c.Transaction})
	return Event{Kind: RefundBecameDue, Amount: c.taken(), Reason: ReasonNoOrder, Transaction: c.Transaction}
}

// taken is the money that c brings: what was due, without what a coupon paid.
func (c *Command) taken() int64 { return c.Amount - c.Coupon }

// paidFor is the order number that c's money came with.
func (s *State) paidFor(c *Command) string { return cmp.Or(c.OrderNo, s.OrderNo(c.Order)) }

// paidAt is when the money of c came: the cashier says so, or it is now.
func (s *State) paidAt(c *Command) Time {
	if c.PaidAt > 0 && c.PaidAt <= maxTime {
		return c.PaidAt
	}
	return s.now
}

// paidBefore answers a payment that is known: it says what was said, or refuses
// it where it came for something else.
func (s *State) paidBefore(c *Command, ref OrderRef) Event {
	o := s.Order(ref)
	switch {
	case isStray(ref) && s.Money().Refund(RefundNo(ref.Ordinal)).PaidFor == s.paidFor(c):
		return Event{Kind: OrderUnchanged, Amount: c.Amount, Reason: ReasonNoOrder, Transaction: c.Transaction}
	case ref != c.Order:
		return s.refusedOrderOrNone(c.Order, ReasonConflict)
	case s.settled(ref.Session):
		return Event{Kind: OrderUnchanged, Session: ref.Session, Order: ref, Amount: c.Amount, Reason: ReasonSettled}
	case c.Amount != o.Amount || c.Currency != s.listings[o.Listing-1].Currency:
		return s.refusedOrder(ref, ReasonAmount)
	}
	if d := s.detailsOf(ref); d.payment == c.PaymentID && d.coupon != c.Coupon {
		return s.refusedOrder(ref, ReasonAmount)
	}
	return s.orderEvent(OrderUnchanged, ref, ReasonNone)
}

func (s *State) refusedOrderOrNone(ref OrderRef, why Reason) Event {
	if s.Order(ref) == nil || s.settled(ref.Session) {
		return refused(why)
	}
	return s.refusedOrder(ref, why)
}

// moneyBack owes a refund of what c pays for o. An order that was never paid for
// is RefundDue until it is made; others stay what they are.
func (s *State) moneyBack(c *Command, o *Order, why Reason) Event {
	switch o.State {
	case Expired, Cancelled, Voided, Refunded:
		m := s.mutOrder(c.Order)
		s.orderTo(m, c.Order, RefundDue)
		if d := s.mutDetails(c.Order); !d.paid {
			d.payment, d.payType, d.coupon, d.paid, d.paidAt = c.PaymentID, c.PayType, c.Coupon, true, s.paidAt(c)
		}
	}
	s.oweRefund(Refund{Order: c.Order, PaymentID: c.PaymentID, Amount: c.taken(), Currency: c.Currency, Why: why,
		PaidAt: s.paidAt(c)})
	e := s.orderEvent(RefundBecameDue, c.Order, why)
	e.Amount = c.taken()
	return e
}

// mayPayLate reports whether an expired hold's units can be had again.
func (s *State) mayPayLate(l *Listing, o *Order) bool {
	if l.waitlist.count > 0 || s.drawing(l) {
		return false // what is free is another's
	}
	if ref := s.bargainOf(l, o); !ref.IsZero() && s.BargainState(ref) == BargainBought {
		return false // it is the price of one unit
	}
	session := s.sessions[l.Session-1]
	if s.settleProduct(l.SKU); session.State >= Ended && s.roomFor(l) < int64(o.Quantity) {
		return false // what the session had left does not count against the supplier's figure any more
	}
	var st Standing
	s.unitsOf(o.Shopper, l, Key{}, &st)
	within := func(units, limit uint32) bool { return limit == 0 || uint64(units)+uint64(o.Quantity) <= uint64(limit) }
	return l.Available >= int64(o.Quantity) && within(st.ListingUnits, l.LimitPerShopper) &&
		within(st.SessionUnits, session.LimitPerShopper) &&
		within(st.MonthUnits, l.LimitPerMonth) && !l.notFirst(st.Today)
}

// paymentKey finds a payment by its id without keeping the id again.
type paymentKey [2]uint64

func (s *State) paymentKey(id string) paymentKey {
	a, b := siphash.Hash128(s.k1, s.k0, []byte(id)) // the secret's halves the other way round than for KeyOf
	return paymentKey{a, b}
}

// PaymentOf gives the order that a payment came for; zero if it never came, and one
// of session 0 if it came for none.
//
// What came for an order of a settled session is not known any more, wherever its
// orders are by now, unless a refund tells of it.
func (m Money) PaymentOf(id string) OrderRef {
	ref := m.s.payments.of(m.s.paymentKey(id))
	if m.s.settled(ref.Session) && !m.s.refundTells(ref, id) {
		return OrderRef{}
	}
	return ref
}

// SealedPaymentOf gives the order of a settled session that a payment paid for, while
// the state has its orders.
func (m Money) SealedPaymentOf(id string) OrderRef {
	if ref := m.s.payments.of(m.s.paymentKey(id)); m.s.settled(ref.Session) && m.s.Order(ref) != nil &&
		m.s.detailsOf(ref).payment == id {
		return ref
	}
	return OrderRef{}
}

func (s *State) notePayment(id string, ref OrderRef) {
	s.payments.set(s.paymentKey(id), ref)
}

// forgetPayment forgets what came for an order that leaves the state. As on a node
// that comes from a snapshot, what refunds tell is still known.
func (s *State) forgetPayment(ref OrderRef) {
	d := s.detailsOf(ref)
	if !d.paid || s.refundTells(ref, d.payment) {
		return
	}
	if k := s.paymentKey(d.payment); s.payments.of(k) == ref {
		s.payments.drop(k)
	}
}

// payments finds what payments came for. It is in parts, so that a part that has
// shrunk can give its memory back within one Apply.
type payments [256]paymentPart

type paymentPart struct {
	refs map[paymentKey]OrderRef
	most int // there have been since the map was made
}

func (p *payments) of(k paymentKey) OrderRef { return p[byte(k[0])].refs[k] }

func (p *payments) set(k paymentKey, ref OrderRef) {
	part := &p[byte(k[0])]
	if part.refs == nil {
		part.refs = map[paymentKey]OrderRef{}
	}
	part.refs[k] = ref
	part.most = max(part.most, len(part.refs))
}

func (p *payments) drop(k paymentKey) {
	part := &p[byte(k[0])]
	delete(part.refs, k)
	if len(part.refs) < part.most/2 { // a map keeps what it has grown to
		part.refs = maps.Collect(maps.All(part.refs))
		part.most = len(part.refs)
	}
}

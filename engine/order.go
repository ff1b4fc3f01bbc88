package engine

import "cmp"

// payOrder takes money for an order, once for each payment. Money in time makes
// it Paid. Money for a hold that has gone gets a unit if one is free and the
// limits allow it, else it is to go back: never both, never neither. The cashier's
// own time of payment says what was late.
func (s *State) payOrder(c *Command) Event {
	x, forNone := s.SessionOf(c.Order.Session), c.Order.IsZero() && ValidOrderNo(c.OrderNo)
	if !forNone && (x == nil || c.Order.Ordinal == 0 || int(c.Order.Ordinal) > x.Orders()) {
		return refused(ReasonUnknown)
	}
	if known := s.PaymentOf(c.PaymentID); known != (OrderRef{}) {
		return s.paidBefore(c, known)
	}
	if forNone {
		return s.payForNoOrder(c)
	}
	if x.State == Settled { // the order is in the ledgers alone; whoever asked has looked it up there
		s.notePayment(c.PaymentID, c.Order)
		s.oweRefund(Refund{Order: c.Order, PaymentID: c.PaymentID, Amount: c.Amount, Currency: c.Currency,
			Why: ReasonSettled, PaidAt: s.paidAt(c)})
		return Event{Kind: RefundBecameDue, Session: x.Handle, Order: c.Order, Amount: c.Amount, Reason: ReasonSettled}
	}
	o := s.Order(c.Order)
	l := s.listings[o.Listing-1]
	switch {
	case !o.State.Granted():
		return refused(ReasonUnknown)
	case !c.Transaction.May(o.Transaction):
		return s.oweForNoOrder(c)
	case c.Amount != o.Amount || c.Currency != l.Currency:
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
	d.payment, d.paid, d.paidAt = c.PaymentID, true, s.paidAt(c)
	o = s.mutOrder(c.Order)
	o.State, o.Changed = Paid, s.now
	l.Paid += int64(o.Quantity)
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
	s.oweRefund(Refund{Order: ref, PaymentID: c.PaymentID, Amount: c.Amount, Currency: c.Currency, Why: ReasonNoOrder,
		PaidAt: s.paidAt(c), PaidFor: s.paidFor(c), PaidIn: c.Transaction})
	return Event{Kind: RefundBecameDue, Amount: c.Amount, Reason: ReasonNoOrder, Transaction: c.Transaction}
}

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
	case isStray(ref) && s.Refund(RefundNo(ref.Ordinal)).PaidFor == s.paidFor(c):
		return Event{Kind: OrderUnchanged, Amount: c.Amount, Reason: ReasonNoOrder, Transaction: c.Transaction}
	case ref != c.Order:
		return s.refusedOrderOrNone(c.Order, ReasonConflict)
	case s.settled(ref.Session):
		return Event{Kind: OrderUnchanged, Session: ref.Session, Order: ref, Amount: c.Amount, Reason: ReasonSettled}
	case c.Amount != o.Amount || c.Currency != s.listings[o.Listing-1].Currency:
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
			d.payment, d.paid, d.paidAt = c.PaymentID, true, s.paidAt(c)
		}
	}
	s.oweRefund(Refund{Order: c.Order, PaymentID: c.PaymentID, Amount: c.Amount, Currency: c.Currency, Why: why,
		PaidAt: s.paidAt(c)})
	e := s.orderEvent(RefundBecameDue, c.Order, why)
	e.Amount = c.Amount
	return e
}

// closeHold releases a hold whose time to pay is over before its grace is: the
// cashier takes no money for it any more.
func (s *State) closeHold(c *Command) Event {
	o, l := s.commanded(c)
	switch {
	case o == nil:
		return refused(ReasonUnknown)
	case o.State == Expired:
		return s.orderEvent(OrderUnchanged, c.Order, ReasonNone)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	case o.State != Held || s.now < o.PayBy:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	}
	return s.release(c.Order, Expired, ReasonExpired)
}

// mayPayLate tells whether an expired hold's units can be had again.
func (s *State) mayPayLate(l *Listing, o *Order) bool {
	if l.waitlist.count > 0 || s.Drawing(l) {
		return false // what is free is another's
	}
	var st Standing
	s.unitsOf(o.Shopper, l, Key{}, &st)
	session := s.sessions[l.Session-1]
	within := func(units, limit uint32) bool { return limit == 0 || uint64(units)+uint64(o.Quantity) <= uint64(limit) }
	return l.Available >= int64(o.Quantity) && within(st.ListingUnits, l.LimitPerShopper) &&
		within(st.SessionUnits, session.LimitPerShopper) &&
		within(st.MonthUnits, l.LimitPerMonth)
}

// voidOrder takes an order back on behalf of operators: a hold is released, a
// paid one becomes a refund due and its units come back. Of one that cost nothing
// there is nothing to pay back.
func (s *State) voidOrder(c *Command) Event {
	o, l := s.commanded(c)
	switch {
	case o == nil:
		return refused(ReasonUnknown)
	case o.State == Voided:
		return s.orderEvent(OrderUnchanged, c.Order, ReasonNone)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	case o.State == Held:
		return s.release(c.Order, Voided, ReasonVoided)
	case o.State != Paid:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	case o.Amount == 0:
		l.Paid -= int64(o.Quantity)
		l.Held += int64(o.Quantity)
		return s.release(c.Order, Voided, ReasonVoided)
	}
	o = s.mutOrder(c.Order)
	s.orderTo(o, c.Order, RefundDue)
	l.Paid -= int64(o.Quantity)
	s.giveBack(l, o)
	d := s.detailsOf(c.Order)
	s.oweRefund(Refund{Order: c.Order, PaymentID: d.payment, Amount: o.Amount, Currency: l.Currency, Why: ReasonVoided,
		PaidAt: d.paidAt})
	return s.orderEvent(RefundBecameDue, c.Order, ReasonVoided)
}

// orderTo changes an order's state, from now on.
func (s *State) orderTo(o *Order, ref OrderRef, to OrderState) {
	x := s.sessions[ref.Session-1]
	if o.State == RefundDue {
		x.refundsDue--
	}
	if to == RefundDue {
		x.refundsDue++
	}
	o.State, o.Changed = to, s.now
}

// setReceiver says where the goods go, as long as they have not gone.
func (s *State) setReceiver(c *Command) Event {
	if !s.owns(c.Shopper, c.Order) {
		return refused(ReasonUnknown)
	}
	known, _ := s.Receiver(c.Order)
	switch o, l := s.commanded(c); {
	case o.State != Held && o.State != Paid:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	case known == c.Receiver:
		return s.orderEvent(OrderUnchanged, c.Order, ReasonNone)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	}
	to := c.Receiver
	s.mutDetails(c.Order).receiver = &to
	return s.orderEvent(ReceiverSet, c.Order, ReasonNone)
}

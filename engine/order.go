package engine

// payOrder takes money for an order. Money in time makes it Paid. Money for a
// hold that has gone gets a unit if one is free and the limits allow it, else
// becomes a refund due: never both, never neither.
func (s *State) payOrder(c *Command) Event {
	o := s.Order(c.Order)
	if o == nil || !o.State.Granted() {
		return refused(ReasonUnknown)
	}
	l := s.listings[o.Listing-1]
	switch paid := s.detailsOf(c.Order); {
	case c.Amount != o.Amount || c.Currency != l.Currency:
		return s.refusedOrder(c.Order, ReasonAmount)
	case paid.settled && paid.payment == c.PaymentID:
		return s.orderEvent(OrderUnchanged, c.Order, o)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	}
	s.releaseOverdue(o.Shopper, l) // they count against no limit
	kind, why := OrderPaid, ReasonNone
	switch o = s.Order(c.Order); {
	case o.State == Held:
		l.Held -= int64(o.Quantity)
	case o.State == Expired && s.mayPayLate(l, o):
		if !s.holdsAny(o.Shopper, l) {
			l.Shoppers++
		}
		l.Available -= int64(o.Quantity)
		l.Lowest = min(l.Lowest, l.Available)
		why = ReasonPaidLate
	case o.State == Expired, o.State == Cancelled, o.State == Voided:
		kind = RefundBecameDue
	default:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	}
	d := s.mutDetails(c.Order)
	d.payment, d.settled = c.PaymentID, true
	o = s.mutOrder(c.Order)
	o.State, o.Changed = RefundDue, s.now
	if kind == OrderPaid {
		o.State = Paid
		l.Paid += int64(o.Quantity)
	}
	s.touch(l.Handle)
	s.schedule(s.sessions[c.Order.Session-1])
	e := s.orderEvent(kind, c.Order, o)
	e.Reason = why
	return e
}

// mayPayLate tells whether an expired hold's units can be had again.
func (s *State) mayPayLate(l *Listing, o *Order) bool {
	if s.lines[l.Handle-1].count > 0 || s.Drawing(l) {
		return false // what is free is another's
	}
	var st Standing
	s.unitsOf(o.Shopper, l, Key{}, &st)
	session := s.sessions[l.Session-1]
	within := func(units, limit uint32) bool { return limit == 0 || uint64(units)+uint64(o.Quantity) <= uint64(limit) }
	return l.Available >= int64(o.Quantity) && within(st.ListingUnits, l.LimitPerShopper) && within(st.SessionUnits, session.LimitPerShopper) &&
		within(st.MonthUnits, l.LimitPerMonth)
}

// voidOrder takes an order back on behalf of operators: a hold is released, a
// paid one becomes a refund due and its units come back.
func (s *State) voidOrder(c *Command) Event {
	o := s.Order(c.Order)
	if o == nil {
		return refused(ReasonUnknown)
	}
	s.expireIfDue(c.Order)
	l := s.listings[o.Listing-1]
	switch o = s.Order(c.Order); {
	case o.State == Voided:
		return s.orderEvent(OrderUnchanged, c.Order, o)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	case o.State == Held:
		return s.release(c.Order, Voided, ReasonVoided)
	case o.State != Paid:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	}
	o = s.mutOrder(c.Order)
	o.State, o.Changed = RefundDue, s.now
	l.Paid -= int64(o.Quantity)
	s.giveBack(l, o)
	e := s.orderEvent(RefundBecameDue, c.Order, o)
	e.Reason = ReasonVoided
	return e
}

// setReceiver says where the goods go, as long as they have not gone.
func (s *State) setReceiver(c *Command) Event {
	if !s.owns(c.Shopper, c.Order) {
		return refused(ReasonUnknown)
	}
	s.expireIfDue(c.Order)
	o := s.Order(c.Order)
	if o.State != Held && o.State != Paid {
		return s.refusedOrder(c.Order, ReasonNotHeld)
	}
	if known, _ := s.Receiver(c.Order); known == c.Receiver {
		return s.orderEvent(OrderUnchanged, c.Order, o)
	}
	if s.listings[o.Listing-1].Frozen {
		return s.refusedOrder(c.Order, ReasonFrozen)
	}
	to := c.Receiver
	s.mutDetails(c.Order).receiver = &to
	return s.orderEvent(ReceiverSet, c.Order, s.Order(c.Order))
}

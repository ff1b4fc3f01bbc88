package engine

// payOrder takes money for an order. Money in time makes it Paid. Money for a
// hold that has gone gets a unit if one is free and the limits allow it, else
// becomes a refund due: never both, never neither.
func (s *State) payOrder(c *Command) Event {
	o := s.Order(c.Order)
	if o == nil {
		return refused(ReasonUnknown)
	}
	if paid, found := s.payments[c.Order]; found && paid == c.PaymentID {
		return s.orderEvent(OrderUnchanged, c.Order, o)
	}
	l := s.Listing(o.Listing)
	if c.Amount != o.Amount || c.Currency != l.Currency {
		e := s.orderEvent(CommandRefused, c.Order, o)
		e.Reason = ReasonAmount
		return e
	}
	if why := s.expireIfDue(c.Order, o); why != ReasonNone {
		return refused(why)
	}
	o = s.mutOrder(c.Order)
	e := Event{Kind: OrderPaid}
	switch o.State {
	case Held:
		l.Held -= int64(o.Quantity)
		l.Paid += int64(o.Quantity)
		o.State = Paid
	case Expired:
		if s.mayPayLate(l, o) {
			if !s.holdsAny(o.Shopper, l) {
				l.Shoppers++
			}
			l.Available -= int64(o.Quantity)
			l.Paid += int64(o.Quantity)
			o.State, e.Reason = Paid, ReasonPaidLate
			break
		}
		fallthrough
	case Cancelled, Voided:
		o.State, e.Kind = RefundDue, RefundBecameDue
	default:
		e := s.orderEvent(CommandRefused, c.Order, o)
		e.Reason = ReasonNotHeld
		return e
	}
	o.Changed = s.now
	s.payments[c.Order] = c.PaymentID
	s.touch(l.Handle)
	kind, why := e.Kind, e.Reason
	e = s.orderEvent(kind, c.Order, o)
	e.Reason = why
	return e
}

// mayPayLate tells whether an expired hold's units can be had again.
func (s *State) mayPayLate(l *Listing, o *Order) bool {
	st := s.StandingOf(o.Shopper, l, Key{})
	session := s.sessions[l.Session-1]
	within := func(units, limit uint32) bool { return limit == 0 || uint64(units)+uint64(o.Quantity) <= uint64(limit) }
	return l.Available >= int64(o.Quantity) && within(st.ListingUnits, l.LimitPerShopper) && within(st.SessionUnits, session.LimitPerShopper)
}

// voidOrder takes an order back on behalf of operators: a hold is released, a
// paid one becomes a refund due and its units come back.
func (s *State) voidOrder(c *Command) Event {
	o := s.Order(c.Order)
	if o == nil {
		return refused(ReasonUnknown)
	}
	if why := s.expireIfDue(c.Order, o); why != ReasonNone {
		return refused(why)
	}
	l := s.Listing(o.Listing)
	switch o = s.mutOrder(c.Order); o.State {
	case Held:
		o.State, o.Changed = Voided, s.now
		l.Held -= int64(o.Quantity)
		s.giveBack(l, o)
		e := s.orderEvent(HoldReleased, c.Order, o)
		e.Reason = ReasonVoided
		return e
	case Paid:
		o.State, o.Changed = RefundDue, s.now
		l.Paid -= int64(o.Quantity)
		s.giveBack(l, o)
		e := s.orderEvent(RefundBecameDue, c.Order, o)
		e.Reason = ReasonVoided
		return e
	case Voided:
		return s.orderEvent(OrderUnchanged, c.Order, o)
	}
	e := s.orderEvent(CommandRefused, c.Order, o)
	e.Reason = ReasonNotHeld
	return e
}

// setReceiver says where the goods go, as long as they have not gone.
func (s *State) setReceiver(c *Command) Event {
	o, why := s.own(c.Order, c.Shopper)
	if why != ReasonNone {
		return refused(why)
	}
	if o.State != Held && o.State != Paid {
		e := s.orderEvent(CommandRefused, c.Order, o)
		e.Reason = ReasonNotHeld
		return e
	}
	if s.receivers[c.Order] == c.Receiver {
		return s.orderEvent(OrderUnchanged, c.Order, o)
	}
	s.receivers[c.Order] = c.Receiver
	return s.orderEvent(ReceiverSet, c.Order, o)
}

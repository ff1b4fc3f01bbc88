package engine

// Standing is what a shopper has, as far as a listing's rules care.
type Standing struct {
	Known        OrderRef // the order that the key led to
	Live         OrderRef // the newest live order in the listing, else in the session
	ListingUnits uint32   // live
	SessionUnits uint32   // live
	Releases     uint32   // of the listing
}

// StandingOf looks at a shopper's orders for a grab of l with key.
func (s *State) StandingOf(no ShopperNo, l *Listing, key Key) (st Standing) {
	var other OrderRef
	for ref := s.lastOrder(no); !ref.IsZero(); {
		o := s.Order(ref)
		if o.Key == key {
			st.Known = ref
		}
		if ref.Session == l.Session {
			switch live := o.State.Live(); {
			case live && o.Listing == l.Handle:
				st.ListingUnits += o.Quantity
				st.SessionUnits += o.Quantity
				if st.Live.IsZero() {
					st.Live = ref
				}
			case live:
				st.SessionUnits += o.Quantity
				if other.IsZero() {
					other = ref
				}
			case o.Listing == l.Handle:
				st.Releases++
			}
		}
		ref = o.previous
	}
	if st.Live.IsZero() {
		st.Live = other
	}
	return st
}

func (s *State) lastOrder(no ShopperNo) OrderRef {
	if no == 0 {
		return OrderRef{}
	}
	return s.shoppers.rows.at(int(no) - 1).last
}

// MayHold decides whether a shopper in standing st may hold quantity units of
// l, but for whether units are free: these are the rules of who may buy. It is
// ReasonNone if so, else the reason and the limit concerned. Actors ask it to
// say no early; Apply asks it again and decides.
func (s *State) MayHold(l *Listing, st Standing, quantity uint32) (why Reason, limit uint32) {
	session := s.sessions[l.Session-1]
	switch {
	case session.State < Open:
		return ReasonNotOpen, 0
	case session.State > Open || s.now >= session.End:
		return ReasonEnded, 0
	case session.Paused:
		return ReasonPaused, 0
	case quantity == 0 || quantity > s.MostAtOnce(l):
		return ReasonQuantity, s.MostAtOnce(l)
	case l.LimitPerShopper > 0 && uint64(st.ListingUnits)+uint64(quantity) > uint64(l.LimitPerShopper):
		return ReasonLimitListing, l.LimitPerShopper
	case session.LimitPerShopper > 0 && uint64(st.SessionUnits)+uint64(quantity) > uint64(session.LimitPerShopper):
		return ReasonLimitSession, session.LimitPerShopper
	case st.Releases >= MaxReleases:
		return ReasonReleases, MaxReleases
	case l.Frozen: // last, so that who holds a unit hears of it and not that he missed it
		return ReasonFrozen, 0
	}
	return ReasonNone, 0
}

// MostAtOnce is the largest quantity of one grab that the limits could ever allow.
func (s *State) MostAtOnce(l *Listing) uint32 {
	most := uint32(MaxQuantity)
	for _, limit := range [...]uint32{l.LimitPerShopper, s.sessions[l.Session-1].LimitPerShopper} {
		if limit > 0 {
			most = min(most, limit)
		}
	}
	return most
}

// Known answers a grab whose key led to an order before: that order, whatever
// has become of it, or a refusal if the request was another one.
func (s *State) Known(ref OrderRef, listing ListingHandle, quantity uint32) Event {
	o := s.Order(ref)
	e := s.orderEvent(HoldConfirmed, ref, o)
	if o.Listing != listing || o.Quantity != quantity {
		e.Kind, e.Reason = HoldRefused, ReasonKeyReused
	}
	return e
}

func (s *State) orderEvent(kind EventKind, ref OrderRef, o *Order) Event {
	return Event{Kind: kind, State: o.State, Session: ref.Session, Listing: o.Listing, Order: ref, Shopper: o.Shopper,
		Quantity: o.Quantity, Amount: o.Amount, PayBy: o.PayBy}
}

// RefusedFor answers a grab that MayHold refused.
func (s *State) RefusedFor(l *Listing, st Standing, why Reason, limit uint32) Event {
	e := Event{Kind: HoldRefused, Reason: why, Session: l.Session, Listing: l.Handle, Limit: limit}
	switch why {
	case ReasonLimitListing:
		e.Order, e.Quantity = st.Live, st.ListingUnits
	case ReasonLimitSession:
		e.Order, e.Quantity = st.Live, st.SessionUnits
	case ReasonReleases:
		e.Quantity = st.Releases
	}
	return e
}

// placeHold is the rule of a grab. Its order matters: a known key is answered
// before any rule, so that a holder who asks again always hears of his hold.
func (s *State) placeHold(c *Command) Event {
	l := s.Listing(c.Listing)
	if l == nil {
		return Event{Kind: HoldRefused, Reason: ReasonUnknown}
	}
	no := s.shoppers.find(c.Shopper)
	s.releaseOverdue(no, l.Session)
	st := s.StandingOf(no, l, c.Key)
	if !st.Known.IsZero() {
		return s.Known(st.Known, l.Handle, c.Quantity)
	}
	if s.now > c.Deadline {
		return Event{Kind: HoldRefused, Reason: ReasonDeadline, Session: l.Session, Listing: l.Handle}
	}
	if why, limit := s.MayHold(l, st, c.Quantity); why != ReasonNone {
		return s.RefusedFor(l, st, why, limit)
	}
	if l.Available < int64(c.Quantity) {
		return Event{Kind: HoldRefused, Reason: l.SoldOutReason(), Session: l.Session, Listing: l.Handle}
	}
	if no == 0 {
		no = s.shoppers.add(c.Shopper, OrderRef{})
	}
	session := s.sessions[l.Session-1]
	o := Order{
		Key: c.Key, Amount: l.Price * int64(c.Quantity), Granted: s.now, PayBy: s.payBy(session), Changed: s.now,
		previous: s.lastOrder(no), Shopper: no, Listing: l.Handle, Quantity: c.Quantity,
		graceMS: uint32(session.PayGrace.Milliseconds()), State: Held,
	}
	ref := OrderRef{session.Handle, uint32(session.orders.len()) + 1}
	due := o.Due()
	if due >= session.lastDue {
		session.lastDue = due
		o.inLine = true
	} else {
		session.exceptional.add(dueEntry(due, ref))
	}
	session.orders.add(o)
	s.shoppers.rows.mut(int(no) - 1).last = ref
	l.Available -= int64(c.Quantity)
	l.Lowest = min(l.Lowest, l.Available)
	l.Held += int64(c.Quantity)
	if st.ListingUnits == 0 {
		l.Shoppers++
	}
	s.touch(l.Handle)
	s.schedule(session)
	return s.orderEvent(HoldPlaced, ref, &o)
}

// SoldOutReason tells for now from for good, where nothing is available.
func (l *Listing) SoldOutReason() Reason {
	if l.Held > 0 {
		return ReasonSoldOut
	}
	return ReasonGone
}

// releaseOverdue expires a shopper's overdue holds in a session that the batch's
// share of dues has not reached yet, so that they bind nobody.
func (s *State) releaseOverdue(no ShopperNo, session SessionHandle) {
	for ref := s.lastOrder(no); !ref.IsZero(); {
		next := s.Order(ref).previous
		if ref.Session == session {
			s.expireIfDue(ref)
		}
		ref = next
	}
}

// expireIfDue treats an overdue hold as expired before anything else happens to
// it. On a frozen listing nothing expires.
func (s *State) expireIfDue(ref OrderRef) {
	if o := s.Order(ref); o.State == Held && o.Due() <= s.now && !s.listings[o.Listing-1].Frozen {
		s.derive(s.release(ref, Expired, ReasonExpired))
	}
}

// release ends a hold and gives its units and the shopper's eligibility back.
// The event is the caller's to tell: as its command's own, or as derived.
func (s *State) release(ref OrderRef, to OrderState, why Reason) Event {
	o := s.mutOrder(ref)
	l := s.listings[o.Listing-1]
	o.State, o.Changed = to, s.now
	l.Held -= int64(o.Quantity)
	s.giveBack(l, o)
	s.schedule(s.sessions[ref.Session-1])
	e := s.orderEvent(HoldReleased, ref, o)
	e.Reason = why
	return e
}

// giveBack makes the units of an order that is no longer live available.
func (s *State) giveBack(l *Listing, o *Order) {
	l.Available += int64(o.Quantity)
	l.Released += int64(o.Quantity)
	if !s.holdsAny(o.Shopper, l) {
		l.Shoppers--
	}
	s.touch(l.Handle)
}

// holdsAny tells whether a shopper has live units of l.
func (s *State) holdsAny(no ShopperNo, l *Listing) bool {
	return s.StandingOf(no, l, Key{}).ListingUnits > 0
}

func (s *State) cancelHold(c *Command) Event {
	if !s.owns(c.Shopper, c.Order) {
		return refused(ReasonUnknown)
	}
	s.expireIfDue(c.Order)
	switch o := s.Order(c.Order); {
	case o.State == Cancelled:
		return s.orderEvent(OrderUnchanged, c.Order, o)
	case s.listings[o.Listing-1].Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	case o.State != Held:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	}
	return s.release(c.Order, Cancelled, ReasonCancelled)
}

// owns tells whether there is such an order and it is the shopper's. To others
// an order is as unknown as one that is not there.
func (s *State) owns(id []byte, ref OrderRef) bool {
	o := s.Order(ref)
	return o != nil && s.ShopperID(o.Shopper) == string(id)
}

// refusedOrder refuses a command on an order.
func (s *State) refusedOrder(ref OrderRef, why Reason) Event {
	e := s.orderEvent(CommandRefused, ref, s.Order(ref))
	e.Reason = why
	return e
}

func (s *State) extendHold(c *Command) Event {
	o := s.Order(c.Order)
	if o == nil {
		return refused(ReasonUnknown)
	}
	s.expireIfDue(c.Order)
	switch o = s.Order(c.Order); {
	case s.listings[o.Listing-1].Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	case o.State != Held:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	case c.Deadline < o.PayBy || c.Deadline > s.now.Add(MaxPayWithin):
		return s.refusedOrder(c.Order, ReasonConflict)
	case o.PayBy == c.Deadline:
		return s.orderEvent(OrderUnchanged, c.Order, o)
	}
	o = s.mutOrder(c.Order)
	o.PayBy, o.inLine = c.Deadline, false
	session := s.sessions[c.Order.Session-1]
	session.exceptional.add(dueEntry(o.Due(), c.Order))
	s.schedule(session)
	return s.orderEvent(HoldExtended, c.Order, o)
}

func dueEntry(at Time, ref OrderRef) due { return due{at, ref.Ordinal} }

package engine

// Standing is what a shopper has, as far as a listing's rules care.
type Standing struct {
	Known        OrderRef // the order that the key led to
	Live         OrderRef // the newest live order in the listing, else in the session
	ListingUnits uint32   // live
	SessionUnits uint32   // live
	MonthUnits   uint32   // live, of the product in this month; counted only where that is limited
	MonthLive    OrderRef // the newest order that MonthUnits counts
	Today        OrderRef // the newest live order of the sale since midnight; only where there is a play
	Releases     uint32   // of the listing
	Leaves       uint32   // of the listing's waitlist or draw
	Place        OrderRef // on the waitlist or in the draw of the listing

	NotReserved, NotAllowed bool  // where the listing asks for it
	Risk                    Level // by the list of shoppers
}

// StandingOf looks at what is known of a shopper for a grab of l with key. id is
// theirs, also where they have no number yet.
func (s *State) StandingOf(no ShopperNo, id []byte, l *Listing, key Key) (st Standing) {
	s.unitsOf(no, l, key, &st)
	if l.Reservation && s.board.now.On(SwitchReservations) {
		st.NotReserved = s.Rosters().Level(RosterID{Kind: RosterReserved, Listing: l.Handle}, id) == LevelNone
	}
	if l.AllowList != "" && s.board.now.On(SwitchAllowLists) {
		st.NotAllowed = s.Rosters().Level(RosterID{Kind: RosterAllowed, Name: l.AllowList}, id) == LevelNone
	}
	if len(s.rosters) > 0 && s.board.now.On(SwitchRiskLists) {
		st.Risk = s.Rosters().Level(RosterID{Kind: RosterRiskShopper}, id)
	}
	return st
}

// unitsOf looks at a shopper's orders.
func (s *State) unitsOf(no ShopperNo, l *Listing, key Key, st *Standing) {
	var other OrderRef
	month, midnight := Never, Never
	if l.Play != nil {
		midnight = s.midnight(s.sessions[l.Session-1])
	}
	if l.LimitPerMonth > 0 {
		month = s.month(l)
	}
	for ref := s.lastOrder(no); !ref.IsZero(); {
		o := s.at(ref)
		if o.Key == key && !s.settled(ref.Session) {
			st.Known = ref
		}
		if o.State.Live() && o.Granted >= month && s.listings[o.Listing-1].SKU == l.SKU {
			st.MonthUnits += o.Quantity
			if st.MonthLive.IsZero() {
				st.MonthLive = ref
			}
		}
		if o.Granted >= midnight && o.State.Live() && st.Today.IsZero() &&
			s.sessions[ref.Session-1].Sale == s.sessions[l.Session-1].Sale {
			st.Today = ref
		}
		if ref.Session == l.Session {
			switch live := o.State.Live(); {
			case o.State >= Waiting && o.Listing != l.Handle:
			case o.State == Waiting, o.State == Entered:
				st.Place = ref
			case o.State == Left:
				st.Leaves++
			case o.State == Passed:
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
	if l.LimitPerMonth > 0 {
		st.MonthUnits += s.boughtSince(month, no, l.SKU)
	}
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
	case st.NotReserved:
		return ReasonNotReserved, 0
	case st.NotAllowed:
		return ReasonNotAllowed, 0
	case l.LimitPerShopper > 0 && uint64(st.ListingUnits)+uint64(quantity) > uint64(l.LimitPerShopper):
		return ReasonLimitListing, l.LimitPerShopper
	case session.LimitPerShopper > 0 && uint64(st.SessionUnits)+uint64(quantity) > uint64(session.LimitPerShopper):
		return ReasonLimitSession, session.LimitPerShopper
	case l.LimitPerMonth > 0 && uint64(st.MonthUnits)+uint64(quantity) > uint64(l.LimitPerMonth):
		return ReasonLimitMonth, l.LimitPerMonth
	case st.Releases >= MaxReleases:
		return ReasonReleases, MaxReleases
	case l.notFirst(st.Today):
		return ReasonNotFirst, 1
	case st.Risk >= LevelBlock, l.Play != nil && l.Play.Who.MaxRisk > 0 && st.Risk > l.Play.Who.MaxRisk:
		return ReasonRisk, 0
	case l.Frozen: // last, so that who holds a unit hears of it and not that they missed it
		return ReasonFrozen, 0
	}
	return ReasonNone, 0
}

// firstOfDay reports whether the listing is for whoever has had nothing of the sale that day.
func (l *Listing) firstOfDay() bool { return l.Play != nil && l.Play.Who.FirstOfDay }

// notFirst reports whether that forbids any to a shopper who has had an order of the sale that day.
func (l *Listing) notFirst(today OrderRef) bool { return l.firstOfDay() && !today.IsZero() }

// MostAtOnce is the largest quantity of one grab that the limits could ever allow.
func (s *State) MostAtOnce(l *Listing) uint32 {
	most := uint32(MaxQuantity)
	for _, limit := range [...]uint32{l.LimitPerShopper, s.sessions[l.Session-1].LimitPerShopper, l.LimitPerMonth} {
		if limit > 0 {
			most = min(most, limit)
		}
	}
	return most
}

// Known answers a grab whose key led to an order before: that order, whatever
// has become of it, or a refusal if the request was another one.
func (s *State) Known(ref OrderRef, listing ListingHandle, quantity uint32, byBargain bool) Event {
	if o := s.at(ref); o.Listing != listing || o.Quantity != quantity || o.traits&traitBargain != 0 != byBargain {
		return s.orderEvent(HoldRefused, ref, ReasonKeyReused)
	}
	return s.orderEvent(HoldConfirmed, ref, ReasonNone)
}

// RefusedFor answers a grab that MayHold refused.
func (s *State) RefusedFor(l *Listing, st Standing, why Reason, limit uint32) Event {
	e := Event{Kind: HoldRefused, Reason: why, Session: l.Session, Listing: l.Handle, Limit: limit}
	switch why {
	case ReasonLimitListing:
		e.Order, e.Quantity = st.Live, st.ListingUnits
	case ReasonLimitSession:
		e.Order, e.Quantity = st.Live, st.SessionUnits
	case ReasonLimitMonth:
		e.Order, e.Quantity = st.MonthLive, st.MonthUnits
	case ReasonReleases:
		e.Quantity = st.Releases
	case ReasonNotFirst:
		e.Order, e.Quantity = st.Today, 1
	}
	return e
}

// Taken answers a grab of a shopper who is on the waitlist or in the draw already, with
// another key: that is their place, whatever key they ask with.
func (s *State) Taken(ref OrderRef) Event { return s.orderEvent(HoldConfirmed, ref, ReasonNone) }

// ticketUsed reports whether the shopper has got something for a ticket before.
// Tickets are bound to who shows them, so that their own orders are all to look at.
func (s *State) ticketUsed(no ShopperNo, ticket uint64) bool {
	for ref := s.lastOrder(no); ticket != 0 && !ref.IsZero(); {
		o := s.at(ref)
		if s.detailsOf(ref).ticket == ticket && !s.settled(ref.Session) {
			return true
		}
		ref = o.previous
	}
	return false
}

// placeHold is the rule of a grab. Its order matters: a known key is answered
// before any rule, so that a holder who asks again always hears of their hold.
func (s *State) placeHold(c *Command) Event {
	l := s.Listing(c.Listing)
	if l == nil {
		return Event{Kind: HoldRefused, Reason: ReasonUnknown}
	}
	no := s.shoppers.find(c.Shopper)
	s.releaseOverdue(no, l)
	st := s.StandingOf(no, c.Shopper, l, c.Key)
	if !st.Known.IsZero() {
		return s.Known(st.Known, l.Handle, c.Quantity, !c.Bargain.IsZero())
	}
	refuse := func(why Reason) Event { return s.RefusedFor(l, st, why, 0) }
	if s.now > c.Deadline {
		return refuse(ReasonDeadline)
	}
	if !st.Place.IsZero() {
		return s.Taken(st.Place)
	}
	if why, limit := s.MayHold(l, st, c.Quantity); why != ReasonNone {
		return s.RefusedFor(l, st, why, limit)
	}
	if s.ticketUsed(no, c.Ticket) {
		return refuse(ReasonTicketUsed)
	}
	if l.Play != nil || !c.Bargain.IsZero() {
		if why := s.mayPlay(c, l, no); why != ReasonNone {
			return refuse(why)
		}
	}
	drawing := s.drawing(l)
	free := l.Available >= int64(c.Quantity) && l.waitlist.count == 0 || s.hasTaken(c.Bargain)
	switch {
	case drawing && l.Entrants >= MaxEntrants:
		return refuse(ReasonTooMany)
	case drawing && st.Leaves >= MaxLeaves:
		return refuse(ReasonLeft)
	case drawing || free:
	case !c.Waitlist || !s.mayJoin(l, c.Quantity):
		return refuse(s.soldOutReason(l))
	case st.Leaves >= MaxLeaves:
		return refuse(ReasonLeft)
	}
	if !c.Bargain.IsZero() {
		s.freeUnit(c.Bargain) // for the order, which holds it in the same step
	}
	ref := s.newOrder(c, l, no)
	if !c.Bargain.IsZero() {
		s.buyBy(c.Bargain, ref)
	}
	switch {
	case drawing:
		s.enter(l, ref)
		return s.orderEvent(DrawEntered, ref, ReasonNone)
	case !free:
		s.join(l, ref)
		return s.orderEvent(PlaceTaken, ref, ReasonNone)
	}
	s.hold(l, ref, st)
	e := s.orderEvent(HoldPlaced, ref, ReasonNone)
	e.Bargain = c.Bargain.Ordinal
	return e
}

// hold makes a hold of the order at ref, whose shopper's standing is st: units
// are free, and no rule forbids it. What costs nothing is paid with that.
func (s *State) hold(l *Listing, ref OrderRef, st Standing) {
	session := s.sessions[l.Session-1]
	o := s.mutOrder(ref)
	// Time may have looked past one that waited, even if it is the newest.
	waited := o.State != 0
	if l.Play != nil {
		s.playHold(l, o)
	}
	o.State, o.Granted, o.Changed, o.PayBy = Held, s.now, s.now, s.payBy(session)
	o.graceMS = uint32(session.PayGrace.Milliseconds())
	l.Available -= int64(o.Quantity)
	l.Lowest = min(l.Lowest, l.Available)
	if o.Amount == 0 {
		o.State, o.PayBy, o.graceMS = Paid, s.now, 0
		s.sold(l, o.Quantity)
	} else {
		l.Held += int64(o.Quantity)
		if at := o.Due(); at >= session.lastDue && !waited {
			session.lastDue = at
			o.inSequence = true
		} else {
			session.exceptional.add(timer{at, ref.Ordinal})
		}
	}
	if st.ListingUnits == 0 {
		l.Shoppers++
	}
	s.touch(l.Handle)
	s.schedule(session)
}

// soldOutReason tells for now from for good, where nothing is to be had.
func (s *State) soldOutReason(l *Listing) Reason {
	if l.Held > 0 || l.waitlist.count > 0 {
		return ReasonSoldOut
	}
	return ReasonGone
}

// releaseOverdue expires a shopper's overdue holds that the batch's share of timers
// has not reached yet, so that they bind nobody: those in the session of l, and
// in all sessions where a month counts.
func (s *State) releaseOverdue(no ShopperNo, l *Listing) {
	for ref := s.lastOrder(no); !ref.IsZero(); {
		next := s.at(ref).previous
		if ref.Session == l.Session || l.LimitPerMonth > 0 || l.firstOfDay() {
			s.expireIfDue(ref)
		}
		ref = next
	}
}

// expireIfDue treats an overdue hold as expired before anything else happens to
// it. On a frozen listing nothing expires.
func (s *State) expireIfDue(ref OrderRef) {
	if o := s.at(ref); o.State == Held && o.Due() <= s.now && !s.listings[o.Listing-1].Frozen {
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
	return s.orderEvent(HoldReleased, ref, why)
}

// giveBack makes the units of an order that is no longer live available.
func (s *State) giveBack(l *Listing, o *Order) {
	l.Available += int64(o.Quantity)
	l.Released += int64(o.Quantity)
	if !s.holdsAny(o.Shopper, l) {
		l.Shoppers--
	}
	s.cameBack(l)
	s.touch(l.Handle)
}

// holdsAny reports whether a shopper has live units of l.
func (s *State) holdsAny(no ShopperNo, l *Listing) bool {
	var st Standing
	s.unitsOf(no, l, Key{}, &st)
	return st.ListingUnits > 0
}

func (s *State) cancelHold(c *Command) Event {
	if !s.owns(c.Shopper, c.Order) {
		return refused(ReasonUnknown)
	}
	switch o, l := s.commanded(c); {
	case o.State == Cancelled:
		return s.orderEvent(OrderUnchanged, c.Order, ReasonNone)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	case o.State != Held:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	}
	return s.release(c.Order, Cancelled, ReasonCancelled)
}

func (s *State) extendHold(c *Command) Event {
	o, l := s.commanded(c)
	switch {
	case o == nil:
		return refused(ReasonUnknown)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	case o.State != Held:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	case c.Deadline < o.PayBy || c.Deadline > s.now.Add(MaxPayWithin):
		return s.refusedOrder(c.Order, ReasonConflict)
	case o.PayBy == c.Deadline:
		return s.orderEvent(OrderUnchanged, c.Order, ReasonNone)
	}
	o = s.mutOrder(c.Order)
	o.PayBy, o.inSequence = c.Deadline, false
	session := s.sessions[c.Order.Session-1]
	session.exceptional.add(timer{o.Due(), c.Order.Ordinal})
	s.schedule(session)
	return s.orderEvent(HoldExtended, c.Order, ReasonNone)
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

// InGrace gives up to most holds that at now are past their PayBy and not released
// yet, session by session in the order of the orders, of those behind after; and the
// last order it looked at, for the next look: the zero value once there is nothing
// behind. It may give few, or none, and still have more. Holds that stand behind one
// with time left to pay may be missed: their grace runs.
func (s *State) InGrace(after OrderRef, now Time, most int) (refs []OrderRef, last OrderRef) {
	looked := 0
	for _, x := range s.sessions[min(max(int(after.Session)-1, 0), len(s.sessions)):] {
		if x.State == Settled || x.PayGrace == 0 {
			continue
		}
		i := x.expired
		if x.Handle == after.Session {
			i = max(i, after.Ordinal)
		}
		for ; int(i) < x.orders.len(); i++ {
			if len(refs) == most || looked == most*lookedAt {
				return refs, OrderRef{x.Handle, i}
			}
			looked++
			o := x.orders.at(int(i))
			if o.State != Held || s.listings[o.Listing-1].Frozen {
				continue
			}
			if o.PayBy > now && o.inSequence {
				break
			}
			if o.PayBy <= now && o.graceMS > 0 {
				refs = append(refs, OrderRef{x.Handle, i + 1})
			}
		}
	}
	return refs, OrderRef{}
}

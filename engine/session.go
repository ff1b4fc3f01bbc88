package engine

import "crypto/sha256"

// schedule tells the timers when a session has something to do next. Whatever
// changes that calls it at once: the timers' next time must be exact, because a
// node restored from a snapshot builds it anew and must do the same things in the
// same batch as the others.
func (s *State) schedule(x *Session) { s.timers.set(x.Handle, s.nextTimer(x)) }

func (s *State) nextTimer(x *Session) Time {
	at := Never
	switch x.State {
	case Published:
		at = x.Start
	case Open:
		at = x.End
		if len(x.draws) > 0 {
			at = min(at, s.DrawAt(s.listings[x.draws[0]-1]))
		}
		if !x.Paused {
			at = min(at, s.nextAside(x))
		}
	}
	if len(x.restless) > 0 {
		at = 0 // at once, and before all else that is due
	}
	if ref := s.nextInSequence(x); !ref.IsZero() {
		at = min(at, s.Order(ref).Due())
	}
	if ref := s.nextExceptional(x); !ref.IsZero() {
		at = min(at, s.Order(ref).Due())
	}
	return at
}

// nextInSequence moves past holds that are over and gives the first that is not.
func (s *State) nextInSequence(x *Session) OrderRef {
	for int(x.expired) < x.orders.len() {
		if o := x.orders.at(int(x.expired)); o.State == Held && o.inSequence && !s.listings[o.Listing-1].Frozen {
			return OrderRef{x.Handle, x.expired + 1}
		}
		x.expired++
	}
	return OrderRef{}
}

func (s *State) nextExceptional(x *Session) OrderRef {
	for len(x.exceptional) > 0 {
		top := x.exceptional[0]
		o := x.orders.at(int(top.who) - 1)
		if o.State == Held && !o.inSequence && o.Due() == top.at && !s.listings[o.Listing-1].Frozen {
			return OrderRef{x.Handle, top.who}
		}
		x.exceptional.drop()
	}
	return OrderRef{}
}

// nextAside gives when the first time is over that something is set aside for; Never if
// nothing is.
func (s *State) nextAside(x *Session) Time {
	for len(x.asides) > 0 {
		if l := s.listings[x.asides[0].who-1]; l.Aside == x.asides[0].at && !l.Frozen {
			return l.Aside
		}
		x.asides.drop()
	}
	return Never
}

// runTimers does what is due at state time, up to the batch's share; the rest comes
// with the next batch, and until then overdue holds are treated as expired
// wherever somebody asks.
func (s *State) runTimers() {
	for s.timersLeft > 0 {
		h, at := s.timers.next()
		if h == 0 || at > s.now {
			return
		}
		s.timersLeft--
		s.runSession(s.sessions[h-1])
	}
}

// runSession does one due thing in a session, the earliest.
func (s *State) runSession(x *Session) {
	var ref OrderRef
	at := Never
	if first := s.nextInSequence(x); !first.IsZero() {
		ref, at = first, s.Order(first).Due()
	}
	if first := s.nextExceptional(x); !first.IsZero() && s.Order(first).Due() < at {
		ref, at = first, s.Order(first).Due()
	}
	if len(x.restless) > 0 { // left over from the batch before: before all that is new
		if l := s.listings[x.restless[0]-1]; s.workWaitlist(l) {
			s.calm(l)
		}
		return
	}
	if x.State == Open && !x.Paused && s.nextAside(x) <= min(at, s.now) {
		s.touch(ListingHandle(x.asides[0].who)) // its waitlist goes on when all else of the batch is done
		x.asides.drop()
		s.schedule(x)
		return
	}
	if x.State == Open && len(x.draws) > 0 {
		if closes := s.DrawAt(s.listings[x.draws[0]-1]); closes <= s.now && closes <= at {
			s.derive(s.closeDraw(x))
			return
		}
	}
	switch {
	case x.State == Published && x.Start <= s.now && x.Start <= at:
		s.derive(s.openSession(x))
	case x.State == Open && x.End <= s.now && x.End <= at:
		s.derive(s.endSession(x))
	case at <= s.now:
		s.derive(s.release(ref, Expired, ReasonExpired))
	}
}

func (s *State) openSession(x *Session) Event {
	x.State, x.OpenedAt = Open, s.now
	x.draws = s.drawsOf(x)
	s.profileFor(x, true, "opened")
	return s.sessionChanged(x, SessionOpened)
}

func (s *State) endSession(x *Session) Event {
	x.State, x.EndedAt = Ended, s.now
	x.draws = nil
	s.profileFor(x, false, "ended")
	return s.sessionChanged(x, SessionEnded)
}

// sessionChanged follows every change of a session's state. The event is the
// caller's to tell: as its command's own, or as derived.
func (s *State) sessionChanged(x *Session, kind EventKind) Event {
	s.eff.Catalogue = true
	for _, h := range x.Listings {
		s.touch(h)
	}
	s.schedule(x)
	return Event{Kind: kind, Session: x.Handle}
}

// allSold tells whether every listing of a session is paid for to the last unit.
func (s *State) allSold(x *Session) bool {
	for _, h := range x.Listings {
		if l := s.listings[h-1]; l.Available > 0 || l.Held > 0 || l.Paid == 0 {
			return false
		}
	}
	return len(x.Listings) > 0
}

func (s *State) steerSession(c *Command) Event {
	x := s.SessionOf(c.Session)
	if x == nil {
		return refused(ReasonUnknown)
	}
	unchanged := Event{Kind: SessionUnchanged, Session: x.Handle}
	kind := SessionPublished
	switch c.Action {
	case SessionPublish:
		if x.State != Draft {
			return unchanged
		}
		if x.End <= s.now {
			return Event{Kind: CommandRefused, Reason: ReasonEnded, Session: x.Handle}
		}
		x.State = Published
	case SessionPause, SessionResume:
		pause := c.Action == SessionPause
		if x.State >= Ended {
			return Event{Kind: CommandRefused, Reason: ReasonEnded, Session: x.Handle}
		}
		if x.Paused == pause {
			return unchanged
		}
		if x.Paused = pause; pause {
			kind = SessionPaused
		} else {
			kind = SessionResumed
		}
	case SessionEnd:
		if x.State >= Ended {
			return unchanged
		}
		return s.endSession(x)
	default:
		return refused(ReasonUnknown)
	}
	e := s.sessionChanged(x, kind)
	s.runTimers() // one published after its start opens
	return e
}

func (s *State) addStock(c *Command) Event {
	l := s.Listing(c.Listing)
	switch {
	case l == nil:
		return refused(ReasonUnknown)
	case l.Frozen:
		return refused(ReasonFrozen)
	case s.sessions[l.Session-1].State >= Ended:
		return refused(ReasonEnded)
	case c.Amount == 0 || c.Amount > MaxStock || c.Amount < -MaxStock || l.Stock+c.Amount > MaxStock:
		return refused(ReasonQuantity)
	case c.Amount < 0 && l.Available < -c.Amount:
		return refused(ReasonSoldOut)
	}
	l.adjust(c.Amount)
	s.touch(l.Handle)
	return Event{Kind: StockAdded, Session: l.Session, Listing: l.Handle, Amount: c.Amount}
}

// applyPlan makes the plan true, or refuses it whole.
func (s *State) applyPlan(c *Command) Event {
	o := s.ComparePlan(c.Plan)
	o.Command = int32(len(s.eff.Primary))
	s.eff.Plans = append(s.eff.Plans, o)
	if len(o.Problems) > 0 {
		return Event{Kind: PlanRefused, Reason: ReasonConflict}
	}
	if len(o.Changes) == 0 {
		for i := range c.Plan.Sales {
			s.learnMonths(&c.Plan.Sales[i].Sale)
		}
		return Event{Kind: PlanApplied}
	}
	for _, p := range c.Plan.Products {
		s.products[p.ID] = &p
	}
	for i := range c.Plan.Sales {
		sale := &c.Plan.Sales[i]
		s.learnMonths(&sale.Sale)
		kept := sale.Sale // a pointer to it would keep the whole plan
		kept.Messages, kept.Planned = s.messagesAfter(&sale.Sale, c.Plan.ByHand)
		s.sales[kept.ID] = &kept
		for j := range sale.Sessions {
			s.planSession(sale.ID, &sale.Sessions[j], c.Entropy)
		}
	}
	s.eff.Catalogue = true
	s.runTimers()
	return Event{Kind: PlanApplied}
}

func (s *State) planSession(sale string, p *SessionPlan, entropy [32]byte) {
	x := s.sessionByID[p.ID]
	if x == nil {
		x = &Session{Handle: SessionHandle(len(s.sessions) + 1), SessionSpec: p.SessionSpec, Sale: sale}
		s.sessions = append(s.sessions, x)
		s.sessionByID[x.ID] = x
	} else {
		start := p.Start
		if x.StartSpec == p.StartSpec {
			start = x.Start
		}
		length, profile := p.Length(), x.Profile
		x.SessionSpec = p.SessionSpec
		x.Start, x.End = start, start.Add(length)
		if x.State == Open && x.Profile != profile {
			s.profileFor(x, false, "another profile is planned")
			s.profileFor(x, true, "planned while it is open")
		}
	}
	if x.Publish && x.State == Draft {
		x.State = Published
	}
	for _, spec := range p.Listings {
		s.planListing(x, spec, entropy)
	}
	for _, h := range x.Listings {
		s.touch(h)
	}
	s.schedule(x)
}

func (s *State) planListing(x *Session, spec ListingSpec, entropy [32]byte) {
	l := s.listingIn(x, spec.SKU)
	if l == nil {
		l = &Listing{Handle: ListingHandle(len(s.listings) + 1), Session: x.Handle, Stock: spec.Stock,
			Available: spec.Stock, Lowest: spec.Stock}
		l.SKU = spec.SKU
		s.addListing(l)
		x.Listings = append(x.Listings, l.Handle)
	} else if spec.Stock != l.ListingSpec.Stock { // else what operators added stays
		l.adjust(spec.Stock - l.Stock)
	}
	l.ListingSpec = spec
	l.Currency = s.products[spec.SKU].Currency
	if l.Draw > 0 && l.Seed == [32]byte{} {
		l.Seed = sha256.Sum256(append(entropy[:], x.ID+"/skus/"+l.SKU...))
		if x.State == Open { // listed late: its draw begins, or is over, with the session's opening
			x.draws = s.drawsOf(x)
		}
	}
}

func (s *State) addListing(l *Listing) {
	s.listings = append(s.listings, l)
	s.byName[listingName{l.Session, l.SKU}] = l
}

// adjust puts more units up, or takes free ones away.
func (l *Listing) adjust(units int64) {
	l.Stock += units
	l.Available += units
	l.Lowest = min(l.Lowest+max(units, 0), l.Available)
}

package engine

func (s *State) openSession(x *Session) Event {
	x.State, x.OpenedAt = Open, s.now
	x.draws = s.drawsOf(x)
	s.profileFor(x, true, "opened")
	return s.sessionChanged(x, SessionOpened)
}

func (s *State) endSession(x *Session) Event {
	x.State, x.EndedAt = Ended, s.now
	x.draws = nil
	for _, h := range x.Listings {
		s.countUp(s.listings[h-1])
	}
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

// allSold reports whether every listing of a session is paid for to the last unit.
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
		if e, awaits := s.endAwaits(c, x); awaits {
			return e
		}
		e := s.endSession(x)
		s.runTimers() // what is set aside for bargains comes back
		return e
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
	s.settleProduct(l.SKU)
	if c.Amount > s.roomFor(l) {
		return refused(ReasonSupplier)
	}
	l.adjust(c.Amount)
	s.countUp(l)
	s.touch(l.Handle)
	return Event{Kind: StockAdded, Session: l.Session, Listing: l.Handle, Amount: c.Amount}
}

func (s *State) addListing(l *Listing) {
	s.listings = append(s.listings, l)
	if s.sessions[l.Session-1].State != Deleted {
		s.byName[listingName{l.Session, l.SKU}] = l
		s.use(l)
	}
}

// adjust puts more units up, or takes free ones away.
func (l *Listing) adjust(units int64) {
	l.Stock += units
	l.Available += units
	l.Lowest = min(l.Lowest+max(units, 0), l.Available)
}

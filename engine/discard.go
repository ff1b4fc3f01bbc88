package engine

import "fmt"

// mostDiscarded is how many listings may go with a sale in one step.
const mostDiscarded = 2000

// discard deletes or archives a session or a sale, or recalls it.
func (s *State) discard(c *Command) Event {
	d := &c.Discard
	switch {
	case d.Action == 0 || d.Action >= discardActionEnd || (d.Sale == "") == (d.Session == ""):
		return refused(ReasonRefused)
	case d.Session == "":
		return s.discardSale(d)
	}
	x := s.sessionByID[d.Session]
	if x == nil {
		return refused(ReasonUnknown)
	}
	if d.Action == DiscardDelete {
		if why := s.mayDelete(x); why != ReasonNone {
			return Event{Kind: CommandRefused, Reason: why, Session: x.Handle}
		}
		s.deleteSession(x)
		return Event{Kind: SessionDeleted, Session: x.Handle}
	}
	kind, archived := SessionArchived, d.Action == DiscardArchive
	if !archived {
		kind = SessionRecalled
	}
	switch {
	case x.Archived == archived:
		return Event{Kind: SessionUnchanged, Session: x.Handle}
	case x.State < Ended:
		return Event{Kind: CommandRefused, Reason: ReasonNotOpen, Session: x.Handle}
	}
	x.Archived = archived
	s.eff.Catalogue = true
	return Event{Kind: kind, Session: x.Handle}
}

// mayDelete tells why a session can't be deleted, or ReasonNone: nobody has ordered from it,
// it is not open, and no ledger has a file of it.
func (s *State) mayDelete(x *Session) Reason {
	switch {
	case x.Orders() > 0 || x.Bargains() > 0:
		return ReasonOffered
	case x.State == Open:
		return ReasonNotOpen
	case x.State == Settled:
		return ReasonSettled
	}
	for _, h := range x.Listings {
		if s.listings[h-1].Frozen {
			return ReasonFrozen
		}
	}
	return ReasonNone
}

// deleteSession leaves of a session what the audit trail needs to name it.
func (s *State) deleteSession(x *Session) {
	for _, h := range x.Listings {
		l := s.listings[h-1]
		if id := (RosterID{Kind: RosterReserved, Listing: h}); s.rosters[id] != nil {
			delete(s.rosters, id)
			s.rosterChanged(id)
		}
		s.unuse(l)
		delete(s.byName, listingName{x.Handle, l.SKU})
		*l = Listing{Handle: h, Session: x.Handle, ListingSpec: ListingSpec{SKU: l.SKU}, Currency: l.Currency,
			touched: l.touched, looks: ListingEnded}
	}
	delete(s.sessionByID, x.ID)
	*x = Session{Handle: x.Handle, SessionSpec: SessionSpec{ID: x.ID}, Sale: x.Sale, State: Deleted,
		Listings: x.Listings, orders: table[Order]{gen: x.orders.gen}, details: table[details]{gen: x.details.gen}}
	s.schedule(x)
	s.eff.Catalogue = true
}

func (s *State) discardSale(d *Discarding) Event {
	sale := s.sales[d.Sale]
	if sale == nil {
		return refused(ReasonUnknown)
	}
	var of []*Session
	listings := 0
	for _, x := range s.sessions {
		if x.Sale != d.Sale || x.State == Deleted {
			continue
		}
		of = append(of, x)
		listings += len(x.Listings)
		switch why := s.mayDelete(x); {
		case d.Action == DiscardDelete && why != ReasonNone:
			return Event{Kind: CommandRefused, Reason: why, Session: x.Handle}
		case d.Action == DiscardArchive && x.State < Ended:
			return Event{Kind: CommandRefused, Reason: ReasonNotOpen, Session: x.Handle}
		}
	}
	changed := *sale // never changed in place
	changed.Archived = d.Action == DiscardArchive
	switch {
	case d.Action == DiscardDelete && listings > mostDiscarded:
		return refused(ReasonTooMany)
	case d.Action == DiscardDelete:
		for _, x := range of {
			s.deleteSession(x)
			s.derive(Event{Kind: SessionDeleted, Session: x.Handle})
		}
		delete(s.sales, d.Sale)
		s.eff.Catalogue = true
		return Event{Kind: SaleDeleted}
	case changed.Archived == sale.Archived:
		return Event{Kind: SessionUnchanged}
	}
	for _, x := range of {
		x.Archived = changed.Archived
	}
	s.sales[d.Sale] = &changed
	s.eff.Catalogue = true
	return Event{Kind: SaleArchived + EventKind(btoi(!changed.Archived))}
}

// describeDiscard says what is taken out of sight, and how it was before.
func (s *State) describeDiscard(d *Discarding) string {
	if d.Session != "" {
		before := "unknown"
		if x := s.sessionByID[d.Session]; x != nil {
			before = x.State.String()
		}
		return fmt.Sprintf("%s session %s; before: %s", d.Action, clip(d.Session), before)
	}
	return fmt.Sprintf("%s sale %s", d.Action, clip(d.Sale))
}

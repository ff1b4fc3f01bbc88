package engine

import "slices"

// Settling has two phases. The entry that settles a session seals it: nothing about
// its orders changes any more, and each node writes them into a file of their own,
// from tables that are frozen (Leaving). Once all voters have that, which is for
// whoever asks to see to, the session is cleared: its orders leave the state, and
// what remains of them are the units that limits by the month count, and the
// listings' figures.
//
// What is cleared goes in shares, as do counts of months that are over and the numbers
// of shoppers who have nothing left: no Apply takes long, and grabs beside it have most
// of the time to themselves.
const (
	clearShare = 256 // rows, about: a millisecond or two
	clearEvery = 5   // milliseconds of state time; the first batch of each lets go of a share
)

// MaySettle tells why a session can't be settled, or ReasonNone: it is over, nobody
// holds or waits, no money of its orders is on its way back, and what is to be delivered
// has been. Reasons: ReasonSettled, ReasonNotOpen before its end, ReasonNotHeld,
// ReasonUndelivered.
func (s *State) MaySettle(x *Session) Reason {
	switch x.State {
	case Ended:
	case Settled:
		return ReasonSettled
	default:
		return ReasonNotOpen
	}
	for _, h := range x.Listings {
		if l := s.listings[h-1]; l.Held > 0 || l.Waiting > 0 || l.Entrants > 0 || l.Frozen {
			return ReasonNotHeld
		}
	}
	if x.refundsDue > 0 {
		return ReasonNotHeld
	}
	if s.undelivered(x) > 0 {
		return ReasonUndelivered
	}
	return ReasonNone
}

// settleSession seals a session.
func (s *State) settleSession(c *Command) Event {
	x := s.SessionOf(c.Session)
	if x == nil {
		return refused(ReasonUnknown)
	}
	if x.State == Settled {
		return Event{Kind: SessionUnchanged, Session: x.Handle}
	}
	if why := s.MaySettle(x); why != ReasonNone {
		return Event{Kind: CommandRefused, Reason: why, Session: x.Handle}
	}
	x.State, x.SettledAt, x.Sealed = Settled, s.now, s.index
	x.settledOrders, x.expired = uint32(x.orders.len()), uint32(x.orders.len())
	x.exceptional, x.asides, x.parcels = nil, nil, nil
	x.bargains.forget()
	for _, h := range x.Listings {
		delete(s.rosters, RosterID{Kind: RosterReserved, Listing: h})
		s.listings[h-1].waitlist, s.listings[h-1].pool = waitlist{}, pool{}
	}
	s.eff.Leaving = append(s.eff.Leaving, s.leaving(x))
	s.sessionChanged(x, SessionSettled)
	return Event{Kind: SessionSettled, Session: x.Handle, Quantity: x.settledOrders}
}

// clearSession has the orders of a sealed session leave the state.
func (s *State) clearSession(c *Command) Event {
	x := s.SessionOf(c.Session)
	switch {
	case x == nil:
		return refused(ReasonUnknown)
	case x.State != Settled:
		return Event{Kind: CommandRefused, Reason: ReasonNotOpen, Session: x.Handle}
	case x.cleared:
		return Event{Kind: SessionUnchanged, Session: x.Handle}
	}
	x.cleared = true
	if x.has() {
		s.clears(x)
	}
	s.eff.Catalogue = true
	return Event{Kind: SessionCleared, Session: x.Handle, Quantity: x.settledOrders}
}

// has reports whether the state has anything of a session that leaves with it.
func (x *Session) has() bool { return x.orders.len() > 0 || x.bargains.rows.len() > 0 }

// clears has a session's orders let go of by the batches to come, after those of
// sessions before it: a node that comes from a snapshot goes on in the same order.
func (s *State) clears(x *Session) {
	at, _ := slices.BinarySearch(s.clearing, x.Handle)
	s.clearing = slices.Insert(s.clearing, at, x.Handle)
}

// Left reports whether the orders of x have left the state, or are about to: then the
// files of all voters have them.
func (x *Session) Left() bool { return x.cleared }

// Leaving reports whether a session is settled and its orders are still here.
func (x *Session) Leaving() bool { return x.State == Settled && x.orders.len() > 0 }

// settled reports whether nothing about a session's orders changes any more.
func (s *State) settled(h SessionHandle) bool {
	x := s.SessionOf(h)
	return x != nil && x.State == Settled
}

// nextShare is from when on a batch lets go of a share, if the last one was at a time.
func (s *State) nextShare(last Time) Time {
	if s.clearEvery == 0 {
		return last
	}
	return last - last%s.clearEvery + s.clearEvery
}

// letGo does a share of what clearing leaves to do, if it is time for one; before is the
// state time of the last batch.
func (s *State) letGo(before Time) {
	if s.now < s.nextShare(before) || !s.mustLetGo() {
		return
	}
	limited := s.limitedByMonth()
	for work := s.clearShare; work > 0 && s.mustLetGo(); {
		switch {
		case len(s.clearing) > 0:
			x := s.sessions[s.clearing[0]-1]
			if x.bargains.rows.len() > 0 {
				s.dropBargain(x)
				work--
			} else if int(x.dropped) < x.orders.len() {
				work -= s.dropOrder(x, limited)
			}
			if x.bargains.rows.len() > 0 || int(x.dropped) < x.orders.len() {
				continue
			}
			x.orders, x.details, x.lastDue = table[Order]{gen: x.orders.gen}, table[details]{gen: x.details.gen}, 0
			s.clearing = s.clearing[1:]
		case len(s.personal.sweeps) > 0:
			work -= s.goOnSweeping()
		case s.monthIsOver():
			work -= s.forgetBought()
		case s.personal.keys.trimmable():
			work -= s.personal.keys.trim()
		default:
			work -= s.shoppers.trim()
		}
	}
}

func (s *State) mustLetGo() bool {
	return len(s.clearing) > 0 || s.monthIsOver() || s.shoppers.trimmable() || len(s.personal.sweeps) > 0 ||
		s.personal.keys.trimmable()
}

// dropOrder lets go of the next order of x, and of all of its shopper's in x.
func (s *State) dropOrder(x *Session, limited map[string]bool) (work int) {
	x.dropped++
	ref := OrderRef{x.Handle, x.dropped}
	s.forgetPayment(ref)
	no := s.at(ref).Shopper
	found := false
	var newer OrderRef // the last one that stays
	for at := s.lastOrder(no); !at.IsZero(); work++ {
		o := s.at(at)
		next := o.previous
		switch {
		case at.Session != x.Handle:
			newer = at
		default:
			found = true
			if o.State.Live() && limited[s.listings[o.Listing-1].SKU] {
				s.keepMonth(o, x)
			}
			if newer.IsZero() {
				s.shoppers.rows.mut(int(no) - 1).kept = next
			} else {
				s.mutOrder(newer).previous = next
			}
		}
		at = next
	}
	if found { // else another may have the number by now
		s.forgetShopper(no)
	}
	return work + 1
}

// forgetShopper gives a shopper's number back if nothing is known of them any more.
func (s *State) forgetShopper(no ShopperNo) {
	if s.lastOrder(no).IsZero() && !s.hasBought(no) && s.playing.of(no) == 0 {
		s.shoppers.remove(no)
	}
}

// limitedByMonth tells of which products units are counted by the month.
func (s *State) limitedByMonth() map[string]bool {
	limited := map[string]bool{}
	for _, l := range s.listings {
		if l.LimitPerMonth > 0 {
			limited[l.SKU] = true
		}
	}
	return limited
}

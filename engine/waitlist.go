package engine

import (
	"math/bits"
	"time"
)

// waitlist is the waitlist of a listing: the orders that are Waiting, in the order of
// their places. It is derived from them, and stored nowhere.
type waitlist struct {
	base    uint32   // the place before the first one here
	orders  []uint32 // ordinals, by place - base - 1
	waiting []uint64 // bits, by the same: still waiting
	head    int      // nobody waits before it
	count   int      // of those who wait
}

func (n *waitlist) add(place, ordinal uint32) {
	if n.count == 0 {
		*n = waitlist{base: place - 1, orders: n.orders[:0], waiting: n.waiting[:0]}
	}
	at := int(place - n.base - 1)
	for len(n.orders) <= at { // places of those who left before a restart are missing
		if len(n.orders)%64 == 0 {
			n.waiting = append(n.waiting, 0)
		}
		n.orders = append(n.orders, 0)
	}
	n.orders[at] = ordinal
	n.waiting[at/64] |= 1 << (at % 64)
	n.count++
}

func (n *waitlist) remove(place uint32) {
	at := int(place - n.base - 1)
	n.waiting[at/64] &^= 1 << (at % 64)
	n.count--
	n.head = n.next(n.head)
}

// next gives the first position from at on where somebody waits, or the end.
func (n *waitlist) next(at int) int {
	for at < len(n.orders) {
		if rest := n.waiting[at/64] >> (at % 64); rest != 0 {
			return at + bits.TrailingZeros64(rest)
		}
		at = (at/64 + 1) * 64
	}
	return len(n.orders)
}

// ahead counts who waits before place.
func (n *waitlist) ahead(place uint32) (count int) {
	at := int(place - n.base - 1)
	for w := n.head / 64; w < at/64; w++ {
		count += bits.OnesCount64(n.waiting[w])
	}
	return count + bits.OnesCount64(n.waiting[at/64]&(1<<(at%64)-1))
}

// mostRounds bounds how often one unit is counted on to come back.
const mostRounds = 10

// mayComeBack is how many units those on the waitlist may still get before the session ends:
// what is set aside, and each that is held as often as it can be held and let go
// until then.
func (s *State) mayComeBack(l *Listing) int64 {
	x := s.sessions[l.Session-1]
	each := max(1, Time((x.PayWithin+x.PayGrace)/time.Millisecond))
	rounds := 1 + max(0, x.End-s.now)/each
	back := l.Held * int64(min(rounds, mostRounds))
	if l.Waiting > 0 {
		back += l.Available
	}
	return back
}

// mayJoin reports whether the waitlist of l takes so many units more: no more
// may be waited for than may still come back, nor by one shopper than may be free
// at once. They would pass at once, and could leave traces without end.
func (s *State) mayJoin(l *Listing, quantity uint32) bool {
	return l.Waitlist && s.board.now.On(SwitchWaitlist) && s.mayComeBack(l)-l.Waiting >= int64(quantity) &&
		l.Available+l.Held >= int64(quantity)
}

// join puts the order at ref, which is new or was Entered, on the waitlist.
func (s *State) join(l *Listing, ref OrderRef) {
	l.lastPlace++
	o := s.mutOrder(ref)
	o.State = Waiting
	l.Waiting += int64(o.Quantity)
	s.mutDetails(ref).place = l.lastPlace
	l.waitlist.add(l.lastPlace, ref.Ordinal)
	s.touch(l.Handle)
}

// leave takes a Waiting or Entered order out of its waitlist or draw.
func (s *State) leave(l *Listing, ref OrderRef, to OrderState, why Reason) {
	o := s.mutOrder(ref)
	if o.State == Waiting {
		l.Waiting -= int64(o.Quantity)
		if n := &l.waitlist; n.orders[n.head] == ref.Ordinal {
			s.setAside(l, 0) // it was for this one
		}
		l.waitlist.remove(s.detailsOf(ref).place)
		s.mutDetails(ref).place = 0
	} else {
		s.withdraw(l)
	}
	o = s.mutOrder(ref)
	o.State, o.Changed, o.Why = to, s.now, why
	s.touch(l.Handle)
}

// Position tells how many are on the waitlist up to and with the order at ref; 0 if it
// does not wait. It never goes up.
func (s *State) Position(ref OrderRef) uint32 {
	o := s.Order(ref)
	if o == nil || o.State != Waiting {
		return 0
	}
	return uint32(s.listings[o.Listing-1].waitlist.ahead(s.detailsOf(ref).place)) + 1
}

// WaitlistCapacity is how many more units may be waited for in l now; 0 if nobody may
// join. As time goes on it shrinks by itself.
func (s *State) WaitlistCapacity(l *Listing) int64 {
	if !s.mayJoin(l, 1) {
		return 0
	}
	return s.mayComeBack(l) - l.Waiting
}

func (s *State) leaveWaitlist(c *Command) Event {
	if !s.owns(c.Shopper, c.Order) {
		return refused(ReasonUnknown)
	}
	o := s.Order(c.Order)
	l := s.listings[o.Listing-1]
	switch {
	case o.State == Left:
		return s.orderEvent(OrderUnchanged, c.Order, ReasonNone)
	case o.State != Waiting && o.State != Entered:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	}
	s.leave(l, c.Order, Left, ReasonLeft)
	return s.orderEvent(PlacePassed, c.Order, ReasonLeft)
}

// workWaitlist does what is to be done for those on the waitlist and in the draw of a
// listing, as far as the batch's share goes; false if that was not far enough.
func (s *State) workWaitlist(l *Listing) (done bool) {
	for ref := s.nextUp(l); !ref.IsZero(); ref = s.nextUp(l) {
		if s.timersLeft <= 0 {
			return false
		}
		s.timersLeft--
		s.takeUp(l, ref)
	}
	if s.drawDone(l) {
		l.DrawState = DrawDone
		l.pool = pool{}
		s.derive(Event{Kind: DrawWasDone, Session: l.Session, Listing: l.Handle})
		s.eff.Catalogue = true
		s.touch(l.Handle)
	}
	return true
}

// drawDone reports whether a closed draw has decided about everybody.
func (s *State) drawDone(l *Listing) bool {
	return l.DrawState == DrawClosed && l.pool.count == 0 && s.movable(l)
}

// movable reports whether the waitlist and the draw of l go on now, or are to end.
func (s *State) movable(l *Listing) bool {
	x := s.sessions[l.Session-1]
	return !l.Frozen && (x.State >= Ended || x.State == Open && !x.Paused)
}

// nextUp gives the order whose turn it is: it gets its units, or hears that there
// will be none. Zero if everybody goes on waiting; then what is free is set aside for
// the head of the waitlist, whom nobody overtakes.
func (s *State) nextUp(l *Listing) OrderRef {
	n, d := &l.waitlist, &l.pool
	if n.count == 0 && d.count == 0 || !s.movable(l) {
		return OrderRef{}
	}
	over := s.sessions[l.Session-1].State >= Ended
	if n.count > 0 {
		head := OrderRef{l.Session, n.orders[n.head]}
		switch asks := int64(s.Order(head).Quantity); {
		// One who asks for more than can come back would keep the rest from everybody.
		case over, asks > l.Available+l.Held, asks <= l.Available:
			return head
		case l.Available == 0 || d.count > 0: // a draw takes first what it can
			s.setAside(l, 0)
		default:
			// No longer than half of what the session has left, so that somebody else can
			// still have it.
			if x := s.sessions[l.Session-1]; l.Aside == 0 {
				s.setAside(l, min(s.now.Add(l.SetAside), s.now+(x.End-s.now)/2))
			}
			if l.Aside <= s.now {
				return head
			}
		}
	}
	if d.count > 0 && (over || l.DrawState == DrawClosed) {
		return s.firstEntrant(l)
	}
	return OrderRef{}
}

// setAside has what is free set aside for the head of the waitlist of l until then; 0 is not.
func (s *State) setAside(l *Listing, until Time) {
	if l.Aside == until {
		return
	}
	x := s.sessions[l.Session-1]
	if l.Aside = until; until != 0 {
		x.asides.add(timer{until, uint32(l.Handle)})
	}
	s.schedule(x)
}

// takeUp decides about one whose turn it is: every rule is looked at again.
func (s *State) takeUp(l *Listing, ref OrderRef) {
	o := s.Order(ref)
	no := o.Shopper
	s.releaseOverdue(no, l)
	st := s.StandingOf(no, []byte(s.ShopperID(no)), l, Key{})
	why, _ := s.MayHold(l, st, o.Quantity)
	free := l.Available >= int64(o.Quantity)
	switch {
	case why == ReasonNone && free:
		s.leave(l, ref, Held, ReasonNone)
		s.hold(l, ref, st)
		s.derive(s.orderEvent(HoldPlaced, ref, ReasonNone))
		return
	case why == ReasonNone && o.State == Entered && o.traits&traitWaitlist != 0 && s.mayJoin(l, o.Quantity):
		s.withdraw(l)
		s.join(l, ref)
		s.derive(s.orderEvent(PlaceTaken, ref, ReasonNone))
		return
	case why == ReasonNone && o.State == Entered:
		why = ReasonDrawn
	case why == ReasonNone && int64(o.Quantity) <= l.Available+l.Held:
		why = ReasonTooFew
	case why == ReasonNone:
		why = ReasonGone
	}
	s.leave(l, ref, Passed, why)
	s.derive(s.orderEvent(PlacePassed, ref, why))
}

// Waiters gives up to most of those who wait for l behind a place, the first on the waitlist
// first, and the place of the last one given; 0 is before everybody.
func (s *State) Waiters(l *Listing, behind uint32, most int) (refs []OrderRef, last uint32) {
	n := &l.waitlist
	at := n.head
	if behind > n.base {
		at = max(at, int(behind-n.base))
	}
	for at = n.next(min(at, len(n.orders))); at < len(n.orders) && len(refs) < most; at = n.next(at + 1) {
		refs = append(refs, OrderRef{l.Session, n.orders[at]})
		last = n.base + uint32(at) + 1
	}
	return refs, last
}

package engine

import "fmt"

// BargainRef is where a bargain lives: its session and its place in it, from 1. The zero
// value is none.
type BargainRef OrderRef

// IsZero reports whether r names no bargain.
func (r BargainRef) IsZero() bool { return r.Session == 0 }

// Bargain is a shopper's price of one unit of a listing, which friends cut down.
type Bargain struct {
	Shopper ShopperNo // who started it, and alone may buy by it
	Listing ListingHandle
	Price   int64 // reached; the listing's less the sum of the cuts, never under the floor
	Started Time
	Expires Time
	Cuts    uint32
	Ended   bool // by operators

	from, floor int64 // the price that it started at, and what it can come down to
	last        uint32
	order       uint32 // the ordinal of the last order that was bought by it; 0 = none
	taken       bool   // a unit is set aside for it, counted in Listing.Held
}

// bargains are a session's. What is below the tables is derived from them.
type bargains struct {
	rows table[Bargain]
	cuts table[Cut]
	of   map[bargainOwner]uint32
	last map[ShopperNo]uint32 // a friend's last cut, by place from 1
	due  timerHeap            // of those with a unit set aside
}

type bargainOwner struct {
	shopper ShopperNo
	listing ListingHandle
}

// BargainState is where a bargain is in its life.
type BargainState uint8

// States of a bargain.
const (
	BargainOpen BargainState = iota + 1
	BargainBought
	BargainExpired
	BargainEnded
	bargainStateEnd
)

var bargainStates = [...]string{"", "open", "bought", "expired", "ended"}

func (s BargainState) String() string { return nameOf(bargainStates[:], int(s)) }

// ParseBargainState reads the name of a bargain's state.
func ParseBargainState(name string) (BargainState, bool) {
	return parse[BargainState](bargainStates[:], name)
}

// Bargain gives a bargain, or nil, also if its session has been settled. It is the state's
// own: read it under the same lock as the state, and don't keep it.
func (s *State) Bargain(ref BargainRef) *Bargain {
	x := s.SessionOf(ref.Session)
	if x == nil || x.State == Settled || ref.Ordinal == 0 || int(ref.Ordinal) > x.bargains.rows.len() {
		return nil
	}
	return x.bargains.rows.at(int(ref.Ordinal) - 1)
}

// Bargains tells how many bargains a session has; their ordinals go from 1 to it.
func (x *Session) Bargains() int { return x.bargains.rows.len() }

// BargainOf gives a shopper's bargain on a listing, or the zero value.
func (s *State) BargainOf(no ShopperNo, l *Listing) BargainRef {
	if at := s.sessions[l.Session-1].bargains.of[bargainOwner{no, l.Handle}]; at != 0 && no != 0 {
		return BargainRef{l.Session, at}
	}
	return BargainRef{}
}

// bargainOf gives the bargain that an order was bought by, or the zero value.
func (s *State) bargainOf(l *Listing, o *Order) BargainRef {
	if o.traits&traitBargain == 0 {
		return BargainRef{}
	}
	return s.BargainOf(o.Shopper, l)
}

// BargainState tells where a bargain is in its life. It is bought as long as the last
// order by it is alive: who lets that go in time may buy again.
func (s *State) BargainState(ref BargainRef) BargainState {
	b, x := s.Bargain(ref), s.sessions[ref.Session-1]
	switch {
	case b.order != 0 && s.bindsBargain(OrderRef{ref.Session, b.order}):
		return BargainBought
	case b.Ended:
		return BargainEnded
	case x.State != Open || b.Expires <= s.now:
		return BargainExpired
	}
	return BargainOpen
}

func (s *State) bindsBargain(ref OrderRef) bool {
	o := s.at(ref)
	return o.State.Live() && (o.State != Held || o.Due() > s.now) || o.State == Waiting
}

// bargainEvent tells of a bargain.
func (s *State) bargainEvent(kind EventKind, ref BargainRef, why Reason) Event {
	b := s.Bargain(ref)
	return Event{Kind: kind, Reason: why, Session: ref.Session, Listing: b.Listing, Shopper: b.Shopper,
		Bargain: ref.Ordinal, Amount: b.Price, Quantity: b.Cuts}
}

// startBargain begins a shopper's bargain on a listing; each has one at most.
func (s *State) startBargain(c *Command) Event {
	l := s.Listing(c.Listing)
	if l == nil || !l.Play.Cuts() {
		return refused(ReasonUnknown)
	}
	x, no := s.sessions[l.Session-1], s.shoppers.find(c.Shopper)
	if ref := s.BargainOf(no, l); !ref.IsZero() {
		return s.bargainEvent(BargainConfirmed, ref, ReasonNone)
	}
	s.releaseOverdue(no, l)
	st := s.StandingOf(no, c.Shopper, l, Key{})
	why, limit := s.MayHold(l, st, 1)
	if why == ReasonNone && (l.Available < 1 || l.waitlist.count > 0) {
		why = s.soldOutReason(l)
	}
	if why == ReasonNone && x.Bargains() >= MaxBargains {
		why = ReasonTooMany
	}
	if why != ReasonNone {
		e := s.RefusedFor(l, st, why, limit)
		e.Kind = CommandRefused
		return e
	}
	if no == 0 {
		no = s.shoppers.add(c.Shopper, OrderRef{})
	}
	s.playing.change(no, 1)
	x.bargains.rows.add(Bargain{Shopper: no, Listing: l.Handle, Price: l.Price, from: l.Price,
		floor: l.Play.Price.Floor, Started: s.now, Expires: min(s.now.Add(l.Play.Cut.Window), x.End)})
	ref := BargainRef{x.Handle, uint32(x.bargains.rows.len())}
	x.bargains.index(ref.Ordinal)
	if l.Play.Cut.TakeStock {
		s.takeUnit(l, ref)
	}
	l.Bargains++
	return s.bargainEvent(BargainStarted, ref, ReasonNone)
}

// index has a bargain found.
func (x *bargains) index(ordinal uint32) {
	if x.of == nil {
		x.of = map[bargainOwner]uint32{}
	}
	b := x.rows.at(int(ordinal) - 1)
	x.of[bargainOwner{b.Shopper, b.Listing}] = ordinal
}

// takeUnit sets a unit aside for a bargain.
func (s *State) takeUnit(l *Listing, ref BargainRef) {
	x := s.sessions[ref.Session-1]
	b := x.bargains.rows.mut(int(ref.Ordinal) - 1)
	b.taken = true
	l.Available--
	l.Held++
	l.Lowest = min(l.Lowest, l.Available)
	x.bargains.due.add(timer{b.Expires, ref.Ordinal})
	s.touch(l.Handle)
	s.schedule(x)
}

// freeUnit gives back what was set aside for a bargain, if something was.
func (s *State) freeUnit(ref BargainRef) {
	x := s.sessions[ref.Session-1]
	if !x.bargains.rows.at(int(ref.Ordinal) - 1).taken {
		return
	}
	b := x.bargains.rows.mut(int(ref.Ordinal) - 1)
	l := s.listings[b.Listing-1]
	b.taken = false
	l.Held--
	l.Available++
	s.countUp(l)
	s.touch(l.Handle)
	s.schedule(x)
}

// nextBargain gives when the first unit that is set aside for a bargain comes back; Never
// if none is.
func (s *State) nextBargain(x *Session) Time {
	for len(x.bargains.due) > 0 {
		top := x.bargains.due[0]
		if b := x.bargains.rows.at(int(top.who) - 1); b.taken && !s.listings[b.Listing-1].Frozen {
			if x.State >= Ended {
				return min(top.at, x.EndedAt)
			}
			return top.at
		}
		x.bargains.due.drop()
	}
	return Never
}

// expireBargain gives back the first unit that is due.
func (s *State) expireBargain(x *Session) {
	ref := BargainRef{x.Handle, x.bargains.due[0].who}
	l := s.listings[x.bargains.rows.at(int(ref.Ordinal)-1).Listing-1]
	l.Released++
	s.freeUnit(ref)
	s.cameBack(l)
	s.derive(s.bargainEvent(BargainWasOver, ref, ReasonExpired))
}

// endBargain ends a bargain on behalf of operators.
func (s *State) endBargain(c *Command) Event {
	b := s.Bargain(c.Bargain)
	switch {
	case b == nil:
		return refused(ReasonUnknown)
	case b.Ended:
		return s.bargainEvent(BargainConfirmed, c.Bargain, ReasonNone)
	case s.BargainState(c.Bargain) != BargainOpen:
		return s.bargainEvent(CommandRefused, c.Bargain, ReasonBargainOver)
	case s.listings[b.Listing-1].Frozen:
		return s.bargainEvent(CommandRefused, c.Bargain, ReasonFrozen)
	}
	if l := s.listings[b.Listing-1]; b.taken {
		l.Released++
		s.freeUnit(c.Bargain)
		s.cameBack(l)
	}
	s.sessions[c.Bargain.Session-1].bargains.rows.mut(int(c.Bargain.Ordinal) - 1).Ended = true
	return s.bargainEvent(BargainWasOver, c.Bargain, ReasonVoided)
}

// describeBargain says which bargain a command was about, and what is not in its event.
func (s *State) describeBargain(c *Command, e *Event) string {
	ref := BargainRef{e.Session, e.Bargain}
	if s.Bargain(ref) == nil {
		return ""
	}
	said := "bargain " + s.BargainCode(ref)
	if e.Kind == BargainWasCut {
		said += fmt.Sprintf(", weight %d, price %d", c.Weight, s.Bargain(ref).Price)
	}
	return said
}

// MayBuy decides whether a shopper may buy by a bargain: ReasonNone, or why not.
func (s *State) MayBuy(no ShopperNo, l *Listing, ref BargainRef, quantity uint32) Reason {
	b := s.Bargain(ref)
	switch {
	case b == nil || no == 0 || b.Shopper != no || b.Listing != l.Handle || !l.Play.Cuts():
		return ReasonUnknown
	case quantity != 1:
		return ReasonQuantity
	}
	switch s.BargainState(ref) {
	case BargainEnded, BargainExpired:
		return ReasonBargainOver
	case BargainBought:
		return ReasonBought
	}
	if l.Play.Cut.AtFloor && b.Price > b.floor {
		return ReasonNotAtFloor
	}
	return ReasonNone
}

// hasTaken reports whether a unit is set aside for a bargain.
func (s *State) hasTaken(ref BargainRef) bool {
	b := s.Bargain(ref)
	return b != nil && b.taken
}

// buyBy notes that an order is bought by a bargain.
func (s *State) buyBy(ref BargainRef, order OrderRef) {
	s.sessions[ref.Session-1].bargains.rows.mut(int(ref.Ordinal) - 1).order = order.Ordinal
}

// dropBargain lets go of a cleared session's last cut or, once there is none, of its last
// bargain.
func (s *State) dropBargain(x *Session) {
	var no ShopperNo
	b := &x.bargains
	if n := b.cuts.len(); n > 0 {
		no = b.cuts.at(n - 1).Friend
		b.cuts.cut(n - 1)
	} else {
		n = b.rows.len()
		row := b.rows.at(n - 1)
		no = row.Shopper
		s.listings[row.Listing-1].Bargains--
		b.rows.cut(n - 1)
	}
	s.playing.change(no, -1)
	s.forgetShopper(no)
}

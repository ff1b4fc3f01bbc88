package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Cut is what a friend has taken off a bargain's price.
type Cut struct {
	Friend ShopperNo
	Number uint32 // of the bargain's cuts, from 1
	At     Time
	Amount int64 // minor units
	Weight uint32
	New    bool // the friend had never done anything here

	bargain      uint32
	before       uint32 // the bargain's cut before this one, by place from 1
	friendBefore uint32 // the friend's in the session, likewise
	key          Key
}

// CutsOf walks a bargain's cuts, the newest first, until yield says stop.
func (s *State) CutsOf(ref BargainRef, yield func(*Cut) bool) {
	cuts := &s.sessions[ref.Session-1].bargains.cuts
	for at := s.Bargain(ref).last; at != 0; {
		c := cuts.at(int(at) - 1)
		if !yield(c) {
			return
		}
		at = c.before
	}
}

// CutBy gives a friend's cut of a bargain, or nil, and how many cuts they have made in the
// session since a moment, MaxBargainCuts at most. It looks at no more cuts than that, twice: a
// friend may have made any number.
func (s *State) CutBy(no ShopperNo, ref BargainRef, since Time) (found *Cut, many uint32) {
	x := s.sessions[ref.Session-1]
	at := x.bargains.last[no]
	for looked := 0; at != 0 && no != 0 && looked < MaxBargainCuts; looked++ {
		c := x.bargains.cuts.at(int(at) - 1)
		if c.At >= since {
			many++
		}
		if c.bargain == ref.Ordinal {
			found = c
		}
		at = c.friendBefore
	}
	if found == nil && at != 0 && no != 0 { // there are fewer of the bargain
		s.CutsOf(ref, func(c *Cut) bool {
			if c.Friend == no {
				found = c
			}
			return found == nil
		})
	}
	return found, many
}

// By reports whether a cut was made with a key.
func (c *Cut) By(key Key) bool { return c.key == key }

// MayCut decides whether a friend may cut a bargain, which is there: ReasonNone, or why
// not. known is the cut that they have made of it, if they have; today is how many they have
// made in the session since midnight.
func (s *State) MayCut(no ShopperNo, id []byte, ref BargainRef) (why Reason, known *Cut, today uint32) {
	b, x := s.Bargain(ref), s.sessions[ref.Session-1]
	l := s.listings[b.Listing-1]
	known, today = s.CutBy(no, ref, s.midnight(x))
	switch state := s.BargainState(ref); {
	case no != 0 && no == b.Shopper:
		return ReasonOwnBargain, known, today
	case known != nil:
		return ReasonHelped, known, today
	case x.State < Open:
		return ReasonNotOpen, nil, today
	case x.State > Open || s.now >= x.End:
		return ReasonEnded, nil, today
	case x.Paused:
		return ReasonPaused, nil, today
	case state != BargainOpen:
		return ReasonBargainOver, nil, today
	case b.Price <= b.floor:
		return ReasonFloor, nil, today
	case b.Cuts >= MaxBargainCuts, x.bargains.cuts.len() >= MaxCuts:
		return ReasonTooMany, nil, today
	case !l.Play.Cuts():
		return ReasonUnknown, nil, today
	case l.Play.Cut.PerDay > 0 && today >= l.Play.Cut.PerDay:
		return ReasonHelpsToday, nil, today
	case s.board.now.On(SwitchRiskLists) && s.Rosters().Level(RosterID{Kind: RosterRiskShopper}, id) >= LevelBlock:
		return ReasonRisk, nil, today
	case l.Frozen:
		return ReasonFrozen, nil, today
	}
	return ReasonNone, nil, today
}

// WeighedOf is what of a friend a weight may be made of: whether they are new, and how often
// they have helped today. Never 0.
func WeighedOf(no ShopperNo, today uint32) uint32 {
	if no == 0 {
		return 1
	}
	return 2 + today
}

// cutBargain is the rule of a cut. The friend's own key, used again, gets the same answer.
func (s *State) cutBargain(c *Command) Event {
	ref := c.Bargain
	if s.Bargain(ref) == nil {
		return refused(ReasonUnknown)
	}
	no := s.shoppers.find(c.Shopper)
	why, known, today := s.MayCut(no, c.Shopper, ref)
	if known != nil {
		e := s.cutEvent(CommandRefused, ref, known, ReasonHelped)
		if known.By(c.Key) {
			e.Kind, e.Reason = BargainConfirmed, ReasonNone
		}
		return e
	}
	switch {
	case why != ReasonNone:
	case c.Weight == 0 || c.Weight > MaxWeight:
		why = ReasonQuantity
	case c.Weighed != 0 && c.Weighed != WeighedOf(no, today): // they have helped another bargain since
		why = ReasonConflict
	}
	if why != ReasonNone {
		return s.bargainEvent(CommandRefused, ref, why)
	}
	x := s.sessions[ref.Session-1]
	b := x.bargains.rows.mut(int(ref.Ordinal) - 1)
	l := s.listings[b.Listing-1]
	cut := Cut{Number: b.Cuts + 1, At: s.now, Weight: c.Weight, New: no == 0, bargain: ref.Ordinal, before: b.last,
		key: c.Key}
	cut.Amount = l.Play.Cut.Cut(Luck(l.Seed, s.BargainCode(ref), cut.Number), b.from-b.floor, b.Price-b.floor, c.Weight)
	if no == 0 {
		no = s.shoppers.add(c.Shopper, OrderRef{})
	}
	s.playing.change(no, 1)
	cut.Friend, cut.friendBefore = no, x.bargains.last[no]
	x.bargains.cuts.add(cut)
	b.last = uint32(x.bargains.cuts.len())
	x.bargains.follow(b.last)
	b.Cuts++
	b.Price -= cut.Amount
	return s.cutEvent(BargainWasCut, ref, &cut, ReasonNone)
}

// follow notes that a cut is its friend's last.
func (x *bargains) follow(at uint32) {
	if x.last == nil {
		x.last = map[ShopperNo]uint32{}
	}
	x.last[x.cuts.at(int(at)-1).Friend] = at
}

// cutEvent tells of a cut: Amount is what it took off, Quantity its number.
func (s *State) cutEvent(kind EventKind, ref BargainRef, cut *Cut, why Reason) Event {
	e := s.bargainEvent(kind, ref, why)
	e.Shopper, e.Amount, e.Quantity = cut.Friend, cut.Amount, cut.Number
	return e
}

// Cut gives the amount of a cut: total is what there is between start and floor, left
// what is left of that, weight in percent, and luck uniform in 64 bits.
//
// An ordinary cut is uniform in mean·(1 ± spread), mean = total / friends, and a whole
// number by chance, so that its mean is exact where cuts are a few minor units, too. Where
// less would be left than mean·(1 + spread²/3)/2, the cut takes all that is left: by renewal
// theory (a sum of such cuts passes a bound by that much on average) the floor is then
// reached by Friends friends on average, and no last cut is too small to tell of.
func (r *CutRule) Cut(luck uint64, total, left int64, weight uint32) int64 {
	from, span, unit := r.Range(total, weight)
	high, _ := bits.Mul64(luck, uint64(span))
	cut := max((from+int64(high))/unit, 1)
	if left-cut < r.Rest(total) {
		return left
	}
	return cut
}

// Range is what an ordinary cut is drawn from: it is the whole part of what is uniform from
// from/unit to (from+span)/unit, one more than the greatest cut.
func (r *CutRule) Range(total int64, weight uint32) (from, span, unit int64) {
	spread, w := int64(r.Spread), int64(weight)
	unit = 100 * 100 * int64(r.Friends)
	return total * (100 - spread) * w, 2*total*spread*w + unit, unit
}

// Rest is the least that a cut leaves over, if it leaves anything.
func (r *CutRule) Rest(total int64) int64 {
	spread := int64(r.Spread)
	return total*(30_000+spread*spread)/(60_000*int64(r.Friends)) + 1
}

// Luck of the cut with a number (from 1) of a bargain: the first eight bytes, big endian,
// of SHA-256(seed ‖ bargain's code ‖ number, 4 bytes big endian). The seed's commitment is
// known before the first bargain, itself after the session: anybody can do the sum again.
func Luck(seed [32]byte, code string, number uint32) uint64 {
	b := append(seed[:len(seed):len(seed)], code...)
	h := sha256.Sum256(binary.BigEndian.AppendUint32(b, number))
	return binary.BigEndian.Uint64(h[:])
}

package engine

import (
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// A draw decides by a seed that was committed to before anybody entered. The
// rank of an entrant is the first eight bytes, big endian, of
// SHA-256(seed ‖ order number): lower ranks come first, equal ones by order
// number. Order numbers are given out under the group's secret, so nobody can
// choose one; and when somebody came makes no difference. Once the draw has
// closed the seed is told, and anybody who has the entrants' numbers can do the
// sum again.

// Rank is an entrant's place in the draw by seed: lower comes first.
func Rank(seed [32]byte, orderNo string) uint64 {
	h := sha256.Sum256(append(seed[:], orderNo...))
	return binary.BigEndian.Uint64(h[:])
}

// Commitment is what is told of a seed beforehand.
func Commitment(seed [32]byte) [32]byte { return sha256.Sum256(seed[:]) }

// drawn is an entrant in the order in which a draw takes them.
type drawn struct {
	rank    uint64
	ordinal uint32
	late    bool // all of these after all others, by ordinal
}

// pool is the entrants of a listing's draw that it has not decided about: a heap
// by rank. It is derived from the orders that are Entered. Who leaves stays in
// it until their turn would come.
type pool struct {
	drawnHeap
	count int // of those who are still Entered
}

type drawnHeap struct {
	rows    []drawn
	session SessionHandle
	state   *State // for order numbers, which break ties
}

func (h *drawnHeap) Len() int { return len(h.rows) }
func (h *drawnHeap) Less(i, j int) bool {
	a, b := &h.rows[i], &h.rows[j]
	switch {
	case a.late != b.late:
		return b.late
	case a.rank != b.rank:
		return a.rank < b.rank
	case a.late:
		return a.ordinal < b.ordinal
	}
	return h.state.OrderNo(OrderRef{h.session, a.ordinal}) < h.state.OrderNo(OrderRef{h.session, b.ordinal})
}
func (h *drawnHeap) Swap(i, j int) { h.rows[i], h.rows[j] = h.rows[j], h.rows[i] }
func (h *drawnHeap) Push(x any)    { h.rows = append(h.rows, x.(drawn)) }
func (h *drawnHeap) Pop() any {
	last := len(h.rows) - 1
	x := h.rows[last]
	h.rows = h.rows[:last]
	return x
}

// addEntrant takes in the entrant at ref.
func (s *State) addEntrant(l *Listing, ref OrderRef, late bool) {
	p := &l.pool
	p.session, p.state = ref.Session, s
	d := drawn{late: late, ordinal: ref.Ordinal}
	if !late {
		d.rank = Rank(l.Seed, s.OrderNo(ref))
	}
	heap.Push(p, d)
	p.count++
}

// withdraw counts one entrant of l less, who is about to leave the state Entered.
func (s *State) withdraw(l *Listing) {
	l.Entrants--
	l.pool.count--
}

// firstEntrant gives the next entrant of l, of whom there must be one.
func (s *State) firstEntrant(l *Listing) OrderRef {
	p := &l.pool
	for {
		ref := OrderRef{l.Session, p.rows[0].ordinal}
		if s.Order(ref).State == Entered {
			return ref
		}
		heap.Pop(p)
	}
}

// DrawAt is when a listing's draw closes; 0 without a draw, or before the session
// has opened.
func (s *State) DrawAt(l *Listing) Time {
	x := s.sessions[l.Session-1]
	if l.Draw == 0 || x.OpenedAt == 0 {
		return 0
	}
	return min(x.OpenedAt.Add(l.Draw), x.End)
}

// drawing reports whether a grab of l enters a draw now.
func (s *State) drawing(l *Listing) bool { return l.Draw > 0 && l.DrawState != DrawDone }

// SeedOf tells what may be told of a listing's draw: the commitment always, the
// seed once the draw has closed.
func (s *State) SeedOf(l *Listing) (commitment, seed [32]byte, revealed bool) {
	if l.DrawState == DrawOpen && s.sessions[l.Session-1].State < Ended {
		return Commitment(l.Seed), seed, false
	}
	return Commitment(l.Seed), l.Seed, true
}

// enter puts a new order at ref in the draw of l.
func (s *State) enter(l *Listing, ref OrderRef) {
	o := s.mutOrder(ref)
	o.State = Entered
	o.traits |= traitDrawn
	late := l.DrawState == DrawClosed || s.now >= s.DrawAt(l)
	if late {
		o.traits |= traitLate
	}
	l.Entrants++
	s.addEntrant(l, ref, late)
	s.touch(l.Handle)
}

// closeDraw ends the time in which a listing's draw takes entrants.
func (s *State) closeDraw(x *Session) Event {
	l := s.listings[x.draws[0]-1]
	x.draws = x.draws[1:]
	l.DrawState = DrawClosed
	s.eff.Catalogue = true
	s.touch(l.Handle)
	s.schedule(x)
	return Event{Kind: DrawWasClosed, Session: x.Handle, Listing: l.Handle}
}

// drawsOf gives the listings of an open session whose draws are to close, by when.
func (s *State) drawsOf(x *Session) (draws []ListingHandle) {
	for _, h := range x.Listings {
		if l := s.listings[h-1]; l.Draw > 0 && l.DrawState == DrawOpen {
			draws = append(draws, h)
		}
	}
	// Not by DrawAt, which a plan changes with the session's end: the order must be
	// the same whenever it is made.
	slices.SortStableFunc(draws, func(a, b ListingHandle) int {
		return cmp.Compare(s.listings[a-1].Draw, s.listings[b-1].Draw)
	})
	return draws
}

// DrawView is a listing's draw as anybody may see it.
type DrawView struct {
	Session, SKU string
	Commitment   [32]byte
	Seed         [32]byte // once Revealed
	Revealed     bool
	State        DrawState
	DrawAt       Time  // 0 before the opening
	Stock        int64 // put up
	Entrants     int64 // still undecided
	// Entries are those of this page: order numbers, in the order of their arrival,
	// told only once Revealed.
	Entries []DrawEntry
	Next    string // cursor of the next page; "" at the end
}

// DrawEntry is one entrant and what became of them.
type DrawEntry struct {
	OrderNo string
	Late    bool // came when the draw had closed: taken after all who were drawn, by arrival
	State   OrderState
	Why     Reason // of one left or passed
	// Quantity is the units asked for: one who asks for more than is left does not
	// bar one who asks for fewer.
	Quantity uint32
}

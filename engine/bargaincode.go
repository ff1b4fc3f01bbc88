package engine

import (
	"encoding/binary"

	"github.com/dchest/siphash"
)

// BargainCodeBytes is the length of a bargain's code in characters.
const BargainCodeBytes = 26

// bargainMark tells a bargain's place from an order's, so that their numbers have nothing
// in common. There are fewer sessions than that.
const bargainMark SessionHandle = 1 << 31

// code is a bargain's share code, sixteen bytes in the letters of order numbers: its
// place as an order number hides it, and a keyed hash of that and of when it started. So
// it can be neither guessed nor counted, needs no table, and means nothing in another
// life of the group in which the place is another's.
func (n Numberer) code(ref BargainRef, started Time) string {
	var b [17]byte // another length than what else is hashed with this key
	binary.BigEndian.PutUint64(b[:], n.hide(OrderRef{ref.Session | bargainMark, ref.Ordinal}))
	binary.BigEndian.PutUint64(b[8:], uint64(started))
	binary.BigEndian.PutUint64(b[8:], siphash.Hash(n.k0, n.k1, b[:]))
	return orderNoEncoding.EncodeToString(b[:16])
}

// BargainCode gives a bargain's code; it must be there.
func (s *State) BargainCode(ref BargainRef) string {
	return s.Numberer().code(ref, s.Bargain(ref).Started)
}

// FindBargain gives the bargain that has a code.
func (s *State) FindBargain(code string) (ref BargainRef, ok bool) {
	ref = s.bargainPlace(code)
	if s.Bargain(ref) == nil || s.BargainCode(ref) != code {
		return BargainRef{}, false
	}
	return ref, true
}

// bargainPlace gives the place that a code says; the zero value where it says none.
func (s *State) bargainPlace(code string) (ref BargainRef) {
	b, err := orderNoEncoding.DecodeString(code)
	if len(code) != BargainCodeBytes || err != nil {
		return ref
	}
	ref = BargainRef(s.Numberer().seek(binary.BigEndian.Uint64(b)))
	ref.Session ^= bargainMark
	return ref
}

// BargainAhead reports whether a code may be of a bargain that a state knows which is a
// moment ahead of this one. Of a made-up code it is not, but once in some million times.
func (s *State) BargainAhead(code string) bool {
	ref := s.bargainPlace(code)
	if x := s.SessionOf(ref.Session); x != nil {
		return x.State != Settled && int(ref.Ordinal) > x.Bargains()
	}
	return ref.Session != 0 && int(ref.Session) <= len(s.sessions)+1000
}

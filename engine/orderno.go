package engine

import (
	"cmp"
	"encoding/base32"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/dchest/siphash"
)

// An order number is 15 bytes in base32:
//
//	8 bytes  the order's place, encrypted with the group's secret by a Feistel
//	         network of four rounds (Luby and Rackoff, 1988)
//	2 bytes  the check: a keyed hash of the other thirteen
//	5 bytes  the life: random, drawn with each epoch
//
// So it is unique without a table, also among the groups that a backup, a promoted
// node or an older copy of a directory make of one; it tells nobody how many orders
// there are; and a made-up one is told from one that was given out and then lost.
// It is no secret itself: who may see an order is decided by whose it is.
const feistelRounds = 4

var orderNoEncoding = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

const (
	// OrderNoBytes is the length of an order number in characters.
	OrderNoBytes = 24
	lifeBits     = 40
)

// Life is what the numbers of all orders have in common that were granted in one
// epoch of one life of the group. 0 is none.
type Life uint64

// String gives the last eight characters of such numbers.
func (l Life) String() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(l))
	return orderNoEncoding.EncodeToString(b[3:])
}

// newLife draws the life of an epoch from the nonce with which its leader opens it.
func (s *State) newLife(nonce uint64) Life {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], nonce)
	return max(Life(siphash.Hash(s.k0, s.k1, b[:])>>(64-lifeBits)), 1)
}

// OrderNo is an order number. The zero value is none.
type OrderNo [OrderNoBytes]byte

func (no OrderNo) String() string {
	if no == (OrderNo{}) {
		return ""
	}
	return string(no[:])
}

// Numberer is the group's secret as order numbers need it. Its zero value is that of
// a group without one, which has no orders. Safe for concurrent use.
type Numberer struct{ k0, k1 uint64 }

// Numberer gives the group's. It does not change after the first epoch.
func (s *State) Numberer() Numberer { return Numberer{s.k0, s.k1} }

func (n Numberer) round(i int, half uint32) uint32 {
	var b [5]byte
	b[0] = byte(i)
	binary.LittleEndian.PutUint32(b[1:], half)
	return uint32(siphash.Hash(n.k0, n.k1, b[:]))
}

// check is the hash of a number's place and life.
func (n Numberer) check(place uint64, life Life) uint16 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], place)
	binary.LittleEndian.PutUint64(b[8:], uint64(life))
	return uint16(siphash.Hash(n.k0, n.k1, b[:]))
}

// hide encrypts a place.
func (n Numberer) hide(ref OrderRef) uint64 {
	left, right := uint32(ref.Session), ref.Ordinal
	for i := range feistelRounds {
		left, right = right, left^n.round(i, right)
	}
	return uint64(left)<<32 | uint64(right)
}

// seek is the inverse of hide.
func (n Numberer) seek(place uint64) OrderRef {
	left, right := uint32(place>>32), uint32(place)
	for i := feistelRounds - 1; i >= 0; i-- {
		left, right = right^n.round(i, left), left
	}
	return OrderRef{SessionHandle(left), right}
}

// Number gives the number of the order at ref, granted in a life.
func (n Numberer) Number(ref OrderRef, life Life) (no OrderNo) {
	place := n.hide(ref)
	var b [18]byte // the life's upper three bytes are nothing
	binary.BigEndian.PutUint64(b[10:], uint64(life))
	copy(b[10:], b[13:])
	binary.BigEndian.PutUint64(b[:], place)
	binary.BigEndian.PutUint16(b[8:], n.check(place, life))
	orderNoEncoding.Encode(no[:], b[:15])
	return no
}

// Parse gives what an order number says; ok is false for one that this group has
// given out in none of its lives. Whether there is such an order FindOrder tells.
func (n Numberer) Parse(no string) (ref OrderRef, life Life, ok bool) {
	if !ValidOrderNo(no) {
		return ref, 0, false
	}
	var b [15]byte
	orderNoEncoding.Decode(b[:], []byte(no)) // every such text is some fifteen bytes
	place := binary.BigEndian.Uint64(b[:])
	life = Life(b[10])<<32 | Life(binary.BigEndian.Uint32(b[11:]))
	ref = n.seek(place)
	ok = binary.BigEndian.Uint16(b[8:]) == n.check(place, life) && life != 0 && ref.Session != 0 && ref.Ordinal != 0
	return ref, life, ok
}

// ValidOrderNo reports whether no has the form of an order number: OrderNoBytes digits
// and upper-case letters other than I, L, O and U.
func ValidOrderNo[T string | []byte](no T) bool {
	if len(no) != OrderNoBytes {
		return false
	}
	for i := range len(no) {
		if c := no[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z' || c == 'I' || c == 'L' || c == 'O' || c == 'U') {
			return false
		}
	}
	return true
}

// granting says that a session's orders from one on were granted in a life.
type granting struct {
	first uint32 // ordinal
	life  Life
}

// grantedIn notes in which life the newest order of x came.
func (x *Session) grantedIn(life Life) {
	if n := len(x.lives); n == 0 || x.lives[n-1].life != life {
		x.lives = append(x.lives, granting{uint32(x.orders.len()), life})
	}
}

// Life gives the life that an order was granted in; 0 of none.
func (s *State) Life(ref OrderRef) Life {
	x := s.SessionOf(ref.Session)
	if x == nil || ref.Ordinal == 0 || int(ref.Ordinal) > x.Orders() {
		return 0
	}
	return lifeIn(x.lives, ref.Ordinal)
}

// lifeIn finds in which of a session's lives an order came; mostly in the last.
func lifeIn(lives []granting, ordinal uint32) Life {
	if n := len(lives); n > 0 && lives[n-1].first <= ordinal {
		return lives[n-1].life
	}
	i, _ := slices.BinarySearchFunc(lives, ordinal+1, func(g granting, ordinal uint32) int {
		return cmp.Compare(g.first, ordinal)
	})
	if i == 0 {
		return 0
	}
	return lives[i-1].life
}

// OrderNo gives the number of the order at ref, "" if there is none. Orders of
// settled sessions keep theirs.
func (s *State) OrderNo(ref OrderRef) string {
	life := s.Life(ref)
	if life == 0 {
		return ""
	}
	return s.Numberer().Number(ref, life).String()
}

// GaveOut reports whether this group has given a number out, if not in this life then
// in another one.
func (s *State) GaveOut(no string) bool {
	_, _, ok := s.Numberer().Parse(no)
	return ok
}

// LostOrder is an order that was granted in another life of the group, and is not here.
type LostOrder struct {
	Session string // as sessions are numbered here; "" if there are not so many
	Place   uint32 // among the session's orders, from 1
	Life    Life
}

// FindLost tells of an order that this group has given a number to, and lost in a
// recovery; false for one that is here, and for a number that it never gave out.
func (s *State) FindLost(no string) (lost LostOrder, ok bool) {
	ref, life, ok := s.Numberer().Parse(strings.ToUpper(no))
	if !ok || s.Life(ref) == life {
		return lost, false
	}
	lost = LostOrder{Place: ref.Ordinal, Life: life}
	if x := s.SessionOf(ref.Session); x != nil {
		lost.Session = x.ID
	}
	return lost, true
}

// FindOrder gives the order with a number, as it may be typed, also one of a settled
// session. One that was given out in another life, or never, is unknown.
func (s *State) FindOrder(no string) (ref OrderRef, known bool) {
	ref, life, ok := s.Numberer().Parse(strings.ToUpper(no))
	if !ok || s.Life(ref) != life {
		return OrderRef{}, false
	}
	return ref, true
}

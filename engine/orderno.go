package engine

import (
	"encoding/base32"
	"encoding/binary"

	"github.com/dchest/siphash"
)

// An order number is an order's place, encrypted with the group's secret by a
// Feistel network of four rounds (Luby and Rackoff, 1988): unique without a
// table, and telling nobody how many orders there are. It is no secret itself:
// who may see an order is decided by whose it is.
const feistelRounds = 4

var orderNoEncoding = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// OrderNoBytes is the length of an order number in characters.
const OrderNoBytes = 13

// Numberer turns order references into order numbers and back. Its zero value
// belongs to a group without a secret. Safe for concurrent use.
type Numberer struct{ k0, k1 uint64 }

// Numberer gives the group's. It does not change after the first epoch.
func (s *State) Numberer() Numberer { return Numberer{s.k0, s.k1} }

func (n Numberer) round(i int, half uint32) uint32 {
	var b [5]byte
	b[0] = byte(i)
	binary.LittleEndian.PutUint32(b[1:], half)
	return uint32(siphash.Hash(n.k0, n.k1, b[:]))
}

// Append appends the number of the order at ref to dst.
func (n Numberer) Append(dst []byte, ref OrderRef) []byte {
	left, right := uint32(ref.Session), ref.Ordinal
	for i := range feistelRounds {
		left, right = right, left^n.round(i, right)
	}
	var b [8]byte
	binary.BigEndian.PutUint32(b[:4], left)
	binary.BigEndian.PutUint32(b[4:], right)
	return orderNoEncoding.AppendEncode(dst, b[:])
}

// String gives the number of the order at ref.
func (n Numberer) String(ref OrderRef) string { return string(n.Append(nil, ref)) }

// Parse gives the reference behind an order number; ok is false for what is no
// order number at all. Whether there is such an order the state knows.
func (n Numberer) Parse(no string) (ref OrderRef, ok bool) {
	if len(no) != OrderNoBytes {
		return ref, false
	}
	var b [8]byte
	if got, err := orderNoEncoding.Decode(b[:], []byte(no)); err != nil || got != len(b) {
		return ref, false
	}
	left, right := binary.BigEndian.Uint32(b[:4]), binary.BigEndian.Uint32(b[4:])
	for i := feistelRounds - 1; i >= 0; i-- {
		left, right = right^n.round(i, left), left
	}
	// The last character carries padding bits: only one spelling is the number.
	ref = OrderRef{SessionHandle(left), right}
	return ref, ref.Session != 0 && ref.Ordinal != 0 && n.String(ref) == no
}

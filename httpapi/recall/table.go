// Package recall remembers, in bounded memory, what was found out about those who
// come, for when they come again.
//
// What holds here:
//   - Who asks waits for nobody: there is no lock.
//   - Memory is bounded: with each one more than there is room for, one is forgotten
//     who has not been asked about lately.
//   - Nobody can make a key that falls together with another's: keys are hashes by a
//     random key of the table's own. Who brings many only makes the table forget.
package recall

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"

	"github.com/dchest/siphash"
)

// Key is what something is remembered by: a keyed hash of 128 bits.
type Key [2]uint64

// Table remembers values by keys. Its methods are safe for concurrent use.
type Table[V any] struct {
	secret Key
	sets   []set[V]
	ways   uint32 // places of a set that are used: fewer only of a tiny table
}

// ways is how many places a set has: it then is two cache lines long.
const ways = 10

// set is what keys that share it are remembered in. Its hand goes round, and takes
// the first place that nobody asked for since it passed there last.
type set[V any] struct {
	hand  atomic.Uint32
	asked atomic.Uint32 // a bit for each place
	tags  [ways]atomic.Uint32
	kept  [ways]atomic.Pointer[entry[V]]
}

type entry[V any] struct {
	key   Key
	value V
}

// New makes a table that remembers so many at most, which are 1 or more.
func New[V any](most int) *Table[V] {
	var secret [16]byte
	crand.Read(secret[:]) // never fails
	return &Table[V]{secret: Key{binary.NativeEndian.Uint64(secret[:8]), binary.NativeEndian.Uint64(secret[8:])},
		sets: make([]set[V], max(1, most/ways)), ways: uint32(min(most, ways))}
}

// Key gives the key of what is named by text.
func (t *Table[V]) Key(text []byte) (k Key) {
	k[0], k[1] = siphash.Hash128(t.secret[0], t.secret[1], text)
	return k
}

// Get gives what is remembered by a key, which is shared, or nil.
func (t *Table[V]) Get(k Key) *V {
	e, s, at := t.find(k)
	if e == nil {
		return nil
	}
	if bit := uint32(1) << at; s.asked.Load()&bit == 0 {
		s.asked.Or(bit)
	}
	return &e.value
}

// Put remembers v by a key, instead of what was remembered by it, and gives where it
// is. Of two at once one is found, or none.
func (t *Table[V]) Put(k Key, v V) *V {
	e, s, at := t.find(k)
	if e == nil {
		s, at = t.room(k)
	}
	e = &entry[V]{k, v}
	s.kept[at].Store(e)
	s.tags[at].Store(uint32(k[1]))
	return &e.value
}

// setsOf gives the two sets that a key may be in: few keys find both of them full
// before most of the table is.
func (t *Table[V]) setsOf(k Key) [2]*set[V] {
	n := uint64(len(t.sets))
	return [2]*set[V]{&t.sets[k[0]%n], &t.sets[k[1]>>32%n]}
}

// find gives what is kept by a key, and its place. Keys are compared in constant time,
// as far as their tags are the same.
func (t *Table[V]) find(k Key) (e *entry[V], s *set[V], at uint32) {
	for _, s := range t.setsOf(k) {
		for at := range s.tags {
			if s.tags[at].Load() != uint32(k[1]) {
				continue
			}
			if e := s.kept[at].Load(); e != nil && (e.key[0]^k[0])|(e.key[1]^k[1]) == 0 {
				return e, s, uint32(at)
			}
		}
	}
	return nil, nil, 0
}

// room gives a place for a key: an empty one, or that of who is forgotten for it.
func (t *Table[V]) room(k Key) (s *set[V], at uint32) {
	sets := t.setsOf(k)
	for _, s := range sets {
		for at := range t.ways {
			if s.kept[at].Load() == nil {
				return s, at
			}
		}
	}
	s = sets[rand.N(len(sets))]
	for range t.ways + 1 { // in one round all bits are cleared, if nobody asks meanwhile
		at = s.hand.Add(1) % t.ways
		bit := uint32(1) << at
		if s.asked.Load()&bit == 0 {
			break
		}
		s.asked.And(^bit)
	}
	return s, at
}

// Len counts what is remembered.
func (t *Table[V]) Len() (n int) {
	for i := range t.sets {
		for at := range t.sets[i].kept {
			if t.sets[i].kept[at].Load() != nil {
				n++
			}
		}
	}
	return n
}

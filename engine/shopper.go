package engine

import (
	"strings"

	"github.com/dchest/siphash"
)

// shopper is one who changed something; what is kept of him is his newest order.
type shopper = named[OrderRef]

// named is a row of a directory.
type named[T any] struct {
	id   string
	kept T
}

// directory numbers ids (of shoppers, or of what is on a list) and finds them.
// There are millions of them, so it keeps them one after another in blocks
// instead of apart, and finds them through slots of 8 bytes instead of a map.
//
// The hash is keyed with the group's secret: nobody outside can choose ids that
// collide. It decides nothing but where a search begins.
type directory[T any] struct {
	k0, k1 uint64
	rows   table[named[T]] // by number - 1
	shards [256]shard
	ids    strings.Builder // the block that takes the next ids
}

// shard is an open hash table of the rows whose hashes share a byte. Each
// grows by itself, so that no single Apply moves them all.
type shard struct {
	slots []slot // a power of two of them; a search goes on to the next one
	used  int
}

// slot is a piece of a hash above a row's number; 0 is free.
type slot uint64

const (
	firstSlots   = 8
	firstIDBytes = 1 << 10
	mostIDBytes  = 64 << 10
)

func (s slot) no() ShopperNo { return ShopperNo(s) }
func (s slot) tag() uint32   { return uint32(s >> 32) }

func (d *directory[T]) hash(id []byte) (at *shard, tag uint32) {
	h := siphash.Hash(d.k0, d.k1, id)
	return &d.shards[h>>56], uint32(h)
}

// find gives the number of id, or 0.
func (d *directory[T]) find(id []byte) ShopperNo {
	at, tag := d.hash(id)
	if at.used == 0 {
		return 0
	}
	mask := uint32(len(at.slots) - 1)
	for i := tag & mask; at.slots[i] != 0; i = (i + 1) & mask {
		if s := at.slots[i]; s.tag() == tag && d.rows.at(int(s.no())-1).id == string(id) {
			return s.no()
		}
	}
	return 0
}

// add numbers an id that is not there yet. It is copied.
func (d *directory[T]) add(id []byte, kept T) ShopperNo {
	d.rows.add(named[T]{d.keep(id), kept})
	no := ShopperNo(d.rows.len())
	at, tag := d.hash(id)
	if at.used+1 > len(at.slots)/8*7 {
		at.grow()
	}
	at.put(slot(tag)<<32 | slot(no))
	at.used++
	return no
}

// put needs a free slot.
func (t *shard) put(s slot) {
	mask := uint32(len(t.slots) - 1)
	i := s.tag() & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}

func (t *shard) grow() {
	old := t.slots
	t.slots = make([]slot, max(firstSlots, 2*len(old)))
	for _, s := range old {
		if s != 0 {
			t.put(s)
		}
	}
}

// keep copies id to the end of the block under way.
func (d *directory[T]) keep(id []byte) string {
	if d.ids.Cap()-d.ids.Len() < len(id) {
		size := min(max(firstIDBytes, 2*d.ids.Cap()), mostIDBytes)
		d.ids = strings.Builder{}
		d.ids.Grow(size)
	}
	start := d.ids.Len()
	d.ids.Write(id)
	return d.ids.String()[start:]
}

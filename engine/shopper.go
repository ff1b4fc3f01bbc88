package engine

import (
	"container/heap"
	"strings"

	"github.com/dchest/siphash"
)

// shopper is one who changed something; what is kept of them is their newest order.
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
	free   freeNos
}

// freeNos are the numbers of rows that were removed, the lowest first: which one
// is given out next does not depend on the order in which they became free.
type freeNos []uint32

func (h freeNos) Len() int           { return len(h) }
func (h freeNos) Less(i, j int) bool { return h[i] < h[j] }
func (h freeNos) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *freeNos) Push(x any)        { *h = append(*h, x.(uint32)) }
func (h *freeNos) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// shard is an open hash table of the rows whose hashes share a byte. Each
// grows by itself, so that no single Apply moves them all.
type shard struct {
	slots []slot // a search begins where the tag says, and goes on to the next one
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
	for i := at.first(tag); at.slots[i] != 0; i = at.next(i) {
		if s := at.slots[i]; s.tag() == tag && d.rows.at(int(s.no())-1).id == string(id) {
			return s.no()
		}
	}
	return 0
}

// add numbers an id that is not there yet. It is copied.
func (d *directory[T]) add(id []byte, kept T) ShopperNo {
	no := ShopperNo(d.rows.len() + 1)
	if len(d.free) > 0 && int(d.free[0]) > d.rows.len() { // all of them have been trimmed
		d.free = nil
	}
	if len(d.free) > 0 {
		no = ShopperNo(heap.Pop(&d.free).(uint32))
		*d.rows.mut(int(no) - 1) = named[T]{d.keep(id), kept}
	} else {
		d.rows.add(named[T]{d.keep(id), kept})
	}
	d.index(id, no)
	return no
}

// addKept is add of an id that the caller has kept.
func (d *directory[T]) addKept(id string, kept T) ShopperNo {
	no := ShopperNo(d.rows.len() + 1)
	if len(d.free) > 0 && int(d.free[0]) > d.rows.len() {
		d.free = nil
	}
	if len(d.free) > 0 {
		no = ShopperNo(heap.Pop(&d.free).(uint32))
		*d.rows.mut(int(no) - 1) = named[T]{id, kept}
	} else {
		d.rows.add(named[T]{id, kept})
	}
	d.index([]byte(id), no)
	return no
}

// appendKept is append of an id that the caller has kept.
func (d *directory[T]) appendKept(id string, kept T) {
	d.rows.add(named[T]{id, kept})
	d.index([]byte(id), ShopperNo(d.rows.len()))
}

// count is how many ids there are.
func (d *directory[T]) count() (n int) {
	for i := range d.shards {
		n += d.shards[i].used
	}
	return n
}

// append is add at the end, whatever numbers are free: for reading a snapshot.
func (d *directory[T]) append(id []byte, kept T) {
	d.rows.add(named[T]{d.keep(id), kept})
	d.index(id, ShopperNo(d.rows.len()))
}

// addFree adds a number that nobody has.
func (d *directory[T]) addFree() {
	d.rows.add(named[T]{})
	heap.Push(&d.free, uint32(d.rows.len()))
}

// index has id found from now on.
func (d *directory[T]) index(id []byte, no ShopperNo) {
	at, tag := d.hash(id)
	if len(at.slots) == 0 || 8*(at.used+1) > 7*len(at.slots) {
		at.resize(max(firstSlots, len(at.slots)+len(at.slots)/2))
	}
	at.put(slot(tag)<<32 | slot(no))
	at.used++
}

// remove forgets the id with a number, which is given out again later.
func (d *directory[T]) remove(no ShopperNo) {
	row := d.rows.mut(int(no) - 1)
	at, tag := d.hash([]byte(row.id))
	at.take(slot(tag)<<32 | slot(no))
	at.shrink()
	*row = named[T]{}
	heap.Push(&d.free, uint32(no))
}

// trimmable reports whether nobody has the last number.
func (d *directory[T]) trimmable() bool {
	n := d.rows.len()
	return n > 0 && d.rows.at(n-1).id == ""
}

// trim gives back the last rows that nobody has, some of them. Their numbers stay
// among the free ones, where they come last.
func (d *directory[T]) trim() (rows int) {
	n := d.rows.len()
	for rows < chunkRows && rows < n && d.rows.at(n-rows-1).id == "" {
		rows++
	}
	if d.rows.cut(n - rows); n == rows {
		d.free, d.ids = nil, strings.Builder{}
	}
	return rows
}

// take removes a slot that is there, and puts those behind it anew: they might not be
// found any more.
func (t *shard) take(s slot) {
	i := t.first(s.tag())
	for t.slots[i] != s {
		i = t.next(i)
	}
	t.slots[i] = 0
	t.used--
	for i = t.next(i); t.slots[i] != 0; i = t.next(i) {
		moved := t.slots[i]
		t.slots[i] = 0
		t.put(moved)
	}
}

// shrink gives memory back, well before it takes as much to grow again.
func (t *shard) shrink() {
	size := len(t.slots)
	for size > firstSlots && t.used+1 <= size/8 {
		size /= 2
	}
	if t.used == 0 {
		t.slots = nil
	} else if size < len(t.slots) {
		t.resize(size)
	}
}

// put needs a free slot.
func (t *shard) put(s slot) {
	i := t.first(s.tag())
	for t.slots[i] != 0 {
		i = t.next(i)
	}
	t.slots[i] = s
}

// first is where a search for a tag begins: a multiplication instead of a remainder, so that
// there may be any number of slots (Lemire, Fast Random Integer Generation in an Interval).
func (t *shard) first(tag uint32) int { return int(uint64(tag) * uint64(len(t.slots)) >> 32) }

func (t *shard) next(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

func (t *shard) resize(size int) {
	old := t.slots
	t.slots = make([]slot, size)
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

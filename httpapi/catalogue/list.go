package catalogue

import (
	"encoding/binary"
	"hash/maphash"
	"iter"

	"doorbuster/engine"
)

// List is the products that were read, each id once. Read gives it whole, and nothing changes
// it then: its methods are safe for concurrent use.
type List struct {
	// chunks hold the rows one behind the other, each behind its line. A row lies in one.
	chunks [][]byte
	seed   maphash.Seed
	slots  []uint64 // chunk<<32 | offset, and 1; a power of two of them
	count  int
	pace   pace
}

const chunkBytes = 4 << 20

func newList() *List { return &List{seed: maphash.MakeSeed(), slots: make([]uint64, 1024)} }

// Len is how many products there are.
func (l *List) Len() int { return l.count }

// Rows gives the products in the order of their rows, which lie in the list: read only.
func (l *List) Rows() iter.Seq[engine.ProductRow] {
	return func(yield func(engine.ProductRow) bool) {
		var pace pace
		for row := range l.all() {
			if !yield(row) {
				return
			}
			pace.row()
		}
	}
}

// Lines gives the lines, from 1, of some products by their numbers, which are from 0,
// ascending and below Len.
func (l *List) Lines(numbers []int) (lines []int) {
	n := 0
	for _, line := range l.all() {
		for len(lines) < len(numbers) && numbers[len(lines)] == n {
			lines = append(lines, line)
		}
		if n++; len(lines) == len(numbers) {
			break
		}
	}
	return lines
}

// all gives the rows and their lines.
func (l *List) all() iter.Seq2[engine.ProductRow, int] {
	return func(yield func(engine.ProductRow, int) bool) {
		for _, chunk := range l.chunks {
			for len(chunk) > 0 {
				row, line, rest := readRow(chunk)
				if chunk = rest; !yield(row, line) {
					return
				}
			}
		}
	}
}

// at gives the row at a slot's value, and its line.
func (l *List) at(slot uint64) (engine.ProductRow, int) {
	slot--
	row, line, _ := readRow(l.chunks[slot>>32][uint32(slot):])
	return row, line
}

// add takes a product in. If its id is there already it changes nothing, and gives the line
// of the one before.
func (l *List) add(p *engine.Product, line int) (before int, twice bool) {
	slot := l.find(p.ID)
	if l.slots[slot] != 0 {
		_, before = l.at(l.slots[slot])
		return before, true
	}
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last]) > chunkBytes-(64<<10) {
		l.chunks = append(l.chunks, make([]byte, 0, chunkBytes))
		last++
	}
	l.slots[slot] = uint64(last)<<32 | uint64(len(l.chunks[last])) + 1
	row := engine.RowOf(p)
	l.chunks[last] = row.Append(binary.AppendUvarint(l.chunks[last], uint64(line)))
	if l.count++; l.count*2 > len(l.slots) {
		l.grow()
	}
	l.pace.row()
	return 0, false
}

// find gives the slot that id is in, or the free one that it would be in.
func (l *List) find(id string) int {
	mask := len(l.slots) - 1
	for i := int(maphash.String(l.seed, id)) & mask; ; i = (i + 1) & mask {
		if l.slots[i] == 0 {
			return i
		}
		if known, _ := l.at(l.slots[i]); string(known.ID) == id {
			return i
		}
	}
}

func (l *List) grow() {
	old := l.slots
	l.slots = make([]uint64, 2*len(old))
	mask := len(l.slots) - 1
	for _, slot := range old {
		l.pace.row()
		if slot == 0 {
			continue
		}
		row, _ := l.at(slot)
		i := int(maphash.Bytes(l.seed, row.ID)) & mask
		for l.slots[i] != 0 {
			i = (i + 1) & mask
		}
		l.slots[i] = slot
	}
}

// readRow reads what add wrote: a line, and the row.
func readRow(text []byte) (row engine.ProductRow, line int, rest []byte) {
	n, size := binary.Uvarint(text)
	row, rest, err := engine.ReadProductRow(text[size:])
	if err != nil {
		panic(err) // add writes nothing else
	}
	return row, int(n), rest
}

package roster

import (
	"encoding/binary"
	"hash/maphash"
	"iter"

	"doorbuster/engine"
)

// List is the rows that were read, each id once. It is not safe for concurrent
// use while it is read, and for any afterwards.
type List struct {
	kind engine.RosterKind
	// rows lie one behind the other: two bytes of the id's length, one of the
	// level, four of the line it came from, the id.
	rows  []byte
	seed  maphash.Seed
	slots []uint32 // where a row begins, and 1; a power of two of them
	count int

	repeated int
	broad    string
}

const rowHead = 7

func newList(kind engine.RosterKind) *List {
	return &List{kind: kind, seed: maphash.MakeSeed(), slots: make([]uint32, 1024)}
}

// Len is how many ids there are.
func (l *List) Len() int { return l.count }

// Repeated is how many lines said the same as one before.
func (l *List) Repeated() int { return l.repeated }

// Broad is the first prefix that bars a good part of all addresses: one shorter than
// /8 of IPv4 or /32 of IPv6 at a level that doesn't just let in. "" if there is none.
func (l *List) Broad() string { return l.broad }

// Rows gives the rows in the order of their lines. The ids are the list's own.
func (l *List) Rows() iter.Seq[engine.RosterEntry] {
	return func(yield func(engine.RosterEntry) bool) {
		for at := 0; at < len(l.rows); {
			id, level, _ := l.row(at)
			if !yield(engine.RosterEntry{ID: id, Level: level}) {
				return
			}
			at += rowHead + len(id)
		}
	}
}

func (l *List) row(at int) (id []byte, level engine.Level, line int) {
	n := int(binary.LittleEndian.Uint16(l.rows[at:]))
	from := at + rowHead
	return l.rows[from : from+n : from+n], engine.Level(l.rows[at+2]), int(binary.LittleEndian.Uint32(l.rows[at+3:]))
}

// add takes a row in. If its id is there already it changes nothing, and gives
// what was said of it before, and on which line.
func (l *List) add(id string, level engine.Level, line int) (before engine.Level, on int, there bool) {
	slot := l.find(id)
	if at := l.slots[slot]; at != 0 {
		_, before, on = l.row(int(at) - 1)
		return before, on, true
	}
	at := len(l.rows)
	l.rows = binary.LittleEndian.AppendUint16(l.rows, uint16(len(id)))
	l.rows = append(l.rows, byte(level))
	l.rows = binary.LittleEndian.AppendUint32(l.rows, uint32(line))
	l.rows = append(l.rows, id...)
	l.slots[slot] = uint32(at) + 1
	if l.count++; l.count*2 > len(l.slots) {
		l.grow()
	}
	return 0, 0, false
}

// find gives the slot that id is in, or the free one that it would be in.
func (l *List) find(id string) int {
	mask := len(l.slots) - 1
	for i := int(maphash.String(l.seed, id)) & mask; ; i = (i + 1) & mask {
		at := l.slots[i]
		if at == 0 {
			return i
		}
		if known, _, _ := l.row(int(at) - 1); string(known) == id {
			return i
		}
	}
}

func (l *List) grow() {
	l.slots = make([]uint32, 2*len(l.slots))
	mask := len(l.slots) - 1
	for at := 0; at < len(l.rows); {
		id, _, _ := l.row(at)
		i := int(maphash.Bytes(l.seed, id)) & mask
		for l.slots[i] != 0 {
			i = (i + 1) & mask
		}
		l.slots[i] = uint32(at) + 1
		at += rowHead + len(id)
	}
}

// Says gives what the list, taken alone, says of a visitor: the worst; of one that
// takes somebody off, LevelNone. there reports whether a row is about them at all.
func (l *List) Says(v *engine.Visitor) (worst engine.Level, there bool) {
	look := func(id string) {
		if at := l.slots[l.find(id)]; at != 0 {
			_, level, _ := l.row(int(at) - 1)
			worst, there = max(worst, level), true
		}
	}
	switch l.kind {
	case engine.RosterRiskPhone:
		look(string(v.Phone))
	case engine.RosterRiskAddress:
		look(string(v.Address))
	case engine.RosterRiskIP:
		for bits := v.Addr.BitLen(); v.Addr.IsValid() && bits >= 0; bits-- {
			if prefix, err := v.Addr.Prefix(bits); err == nil {
				look(prefix.String())
			}
		}
	default:
		look(string(v.Shopper))
	}
	return worst, there
}

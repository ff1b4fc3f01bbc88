package wal

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"doorbuster/wal/waltest"
)

// Frames whose checksums hold may still make no sense together. Whatever their
// order, the log opens or is refused, and what it holds is consecutive, with
// terms that do not decrease.
func TestFramesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := filled(appendHeader(nil, segmentMagic, 5, 0))
		index, term, position := uint64(5), uint64(1), uint32(0)
		var sum uint32
		for range rapid.IntRange(0, 12).Draw(t, "frames") {
			if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
				index += rapid.SampledFrom([]uint64{1, 2, ^uint64(0), 1 << 63}).Draw(t, "index")
				term += rapid.SampledFrom([]uint64{0, 1, ^uint64(0)}).Draw(t, "term")
				position += rapid.SampledFrom([]uint32{0, 1, ^uint32(0)}).Draw(t, "position")
			}
			at := len(b)
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				b = append(b, make([]byte, rapid.IntRange(1, 700).Draw(t, "zeros"))...)
			case 1, 2:
				b = frame{kind: kindCommit, position: position, index: index - 1, term: term}.appendHeader(b, 4, 0)
				b = binary.LittleEndian.AppendUint32(b, sum)
				sealFrame(b[at:], 0)
				b = filled(b)
				position, sum = 0, 0
			default:
				data := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "data")
				b = frame{kind: kindRecord, position: position, index: index, term: term}.appendHeader(b, len(data),
					len(data)/2)
				b = append(b, data...)
				sum = sealFrame(b[at:], sum)
				index++
				position++
			}
		}
		disk := waltest.NewDisk(1)
		disk.SetBytes(filepath.Join("wal", floorName), appendHeader(nil, floorMagic, 5, 0))
		disk.SetBytes(filepath.Join("wal", segmentName(5)), b)
		cfg := DefaultConfig("wal")
		cfg.FS, cfg.StallTimeout = disk, 0
		l, err := Open(cfg)
		if err != nil {
			return
		}
		defer l.Close()
		var before Record
		for i := l.FirstIndex(); i <= l.LastIndex() && i > 0; i++ {
			r, err := l.Read(i)
			if err != nil || r.Index != i || r.Term < before.Term {
				t.Fatalf("record %d: index %d, term %d after %d, error %v", i, r.Index, r.Term, before.Term, err)
			}
			before = r
		}
		if err := l.Append([]Record{{Index: max(5, l.LastIndex()+1), Term: before.Term}}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSegmentNames(t *testing.T) {
	for _, base := range []uint64{1, 42, 1<<64 - 1} {
		if got, ok := parseSegmentName(segmentName(base)); !ok || got != base {
			t.Errorf("%d became %d, %v", base, got, ok)
		}
	}
	for _, name := range []string{"", "1.wal", segmentName(0), segmentName(1) + tempSuffix,
		"+0000000000000000001.wal", "99999999999999999999.wal"} {
		if _, ok := parseSegmentName(name); ok {
			t.Errorf("%q passes for a segment", name)
		}
	}
}

func TestTailCache(t *testing.T) {
	c := tailCache{limit: 10 * (cachedOverhead + 10)}
	add := func(from, to uint64) {
		var recs []Record
		for i := from; i <= to; i++ {
			recs = append(recs, Record{Index: i, Data: make([]byte, 10)})
		}
		c.add(recs)
	}
	check := func(from, to uint64) {
		t.Helper()
		for i := range uint64(200) {
			r, ok := c.get(i)
			if want := i >= from && i <= to; ok != want || ok && r.Index != i {
				t.Fatalf("record %d: %v, %v; want %d to %d", i, r.Index, ok, from, to)
			}
		}
		if want := int64(to+1-from) * (cachedOverhead + 10); c.bytes != want {
			t.Fatalf("%d bytes, want %d", c.bytes, want)
		}
	}
	check(1, 0)
	add(1, 5)
	check(1, 5)
	add(6, 100)
	check(91, 100)
	c.keep(95, ^uint64(0))
	check(95, 100)
	c.keep(0, 99)
	check(95, 98)
	add(99, 99)
	check(95, 99)
	add(150, 152) // a gap: what was there is of no use
	check(150, 152)
	c.add([]Record{{Index: 153, Data: make([]byte, 5000)}}) // larger than the cache
	check(1, 0)
	add(154, 155)
	check(154, 155)
	c.keep(180, ^uint64(0))
	check(1, 0)
	off := tailCache{}
	off.add([]Record{{Index: 1}})
	if _, ok := off.get(1); ok {
		t.Fatal("a cache of no bytes holds something")
	}
}

// filled fills the last block up with zeros.
func filled(b []byte) []byte { return append(b, make([]byte, blocks(int64(len(b)))-int64(len(b)))...) }

// Frames that are intact one by one and wrong together were not left by a crash:
// nothing explains them, so the log is refused.
func TestIntactFramesThatContradict(t *testing.T) {
	const base = 5
	record := func(b []byte, position uint32, index, term uint64, data string) []byte {
		at := len(b)
		b = frame{kind: kindRecord, position: position, index: index, term: term}.appendHeader(b, len(data), 0)
		b = append(b, data...)
		sealFrame(b[at:], 0)
		return b
	}
	batch := func(b []byte, recs ...Record) []byte { return filled(AppendBatch(b, recs)) }
	a, other, c := Record{Index: 5, Term: 2, Data: []byte("a")}, Record{Index: 5, Term: 2, Data: []byte("A")},
		Record{Index: 6, Term: 2}
	zeros := func(b []byte) []byte { return append(b, make([]byte, 2*blockBytes)...) }
	for _, tc := range []struct {
		name    string
		make    func(b []byte) []byte
		refused bool
	}{
		{"as it should be", func(b []byte) []byte { return batch(batch(b, a), c) }, false},
		{"a lower term", func(b []byte) []byte { return batch(batch(b, a), Record{Index: 6, Term: 1}) }, true},
		{"a lower term within a batch", func(b []byte) []byte { return batch(b, a, Record{Index: 6, Term: 1}) }, true},
		{"a record skipped", func(b []byte) []byte { return batch(batch(b, a), Record{Index: 7, Term: 2}) }, true},
		{"a record twice", func(b []byte) []byte { return batch(batch(b, a), a) }, true},
		{"a place skipped within a batch", func(b []byte) []byte {
			return record(record(b, 0, 5, 2, "a"), 2, 7, 2, "c")
		}, true},
		{"a commit frame that is another batch's", func(b []byte) []byte {
			commit := batch(nil, other)[other.FrameBytes():]
			return append(record(b, 0, 5, 2, "a"), commit...)
		}, true},
		{"a commit frame without records", func(b []byte) []byte {
			return append(b, batch(nil, a)[a.FrameBytes():]...)
		}, true},
		{"a batch lost, the next one there", func(b []byte) []byte { return batch(zeros(b), c) }, true},
		{"a batch begun and lost, another there", func(b []byte) []byte {
			return batch(zeros(record(b, 0, 5, 2, "a")), Record{Index: 7, Term: 2})
		}, true},
		{"a batch begun", func(b []byte) []byte { return record(batch(b, a), 0, 6, 2, "c") }, false},
		{"a batch with a sector lost in between", func(b []byte) []byte {
			b = record(record(record(b, 0, 5, 2, "a"), 1, 6, 2, strings.Repeat("b", 1000)), 2, 7, 2, "c")
			clear(b[1024:1536])
			return b
		}, false},
		{"a sector lost in between, zeros in front of it in one that is there", func(b []byte) []byte {
			return record(zeros(record(b, 0, 5, 2, "a")), 2, 7, 2, "c")
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := waltest.NewDisk(1)
			disk.SetBytes(filepath.Join("wal", floorName), appendHeader(nil, floorMagic, base, 0))
			disk.SetBytes(filepath.Join("wal", segmentName(base)),
				tc.make(filled(appendHeader(nil, segmentMagic, base, 0))))
			_, err := Verify(disk, "wal", Known{})
			if (err != nil) != tc.refused {
				t.Fatalf("%v; want it refused: %v", err, tc.refused)
			}
		})
	}
}

package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"doorbuster/wal"
	"doorbuster/wal/waltest"
)

// smallLog is a closed log of a few segments on a memory disk.
type smallLog struct {
	disk    *waltest.Disk
	records []wal.Record
	first   uint64 // of the last batch
	tail    string // path of the last segment
	at, end int    // bytes of the last batch in it
}

func path(name string) string { return filepath.Join("data/wal", name) }

func makeSmallLog(t testing.TB, lastBatch []wal.Record) smallLog {
	t.Helper()
	s := smallLog{disk: waltest.NewDisk(1)}
	l, err := wal.Open(crashConfig(s.disk))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		batch := makeBatch(uint64(len(s.records)+1), 1+i%5, uint64(1+i/3))
		mustAppend(t, l, batch)
		s.records = append(s.records, batch...)
	}
	if err := errors.Join(l.TruncatePrefix(3), l.TruncateSuffix(28)); err != nil {
		t.Fatal(err)
	}
	s.records = s.records[2:27]
	s.first = 28
	if lastBatch == nil {
		mustAppend(t, l, makeBatch(28, 3, 9))
		s.records = append(s.records, makeBatch(28, 3, 9)...)
		s.first = 31
		lastBatch = makeBatch(31, 4, 9)
	}
	_, at := l.Size()
	mustAppend(t, l, lastBatch)
	s.records = append(s.records, lastBatch...)
	_, end := l.Size()
	s.at = int(at)
	room := int(end - at)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files := s.disk.Files()
	s.tail = files[len(files)-3] // FLOOR and MARK sort behind digits
	s.at = len(s.disk.Bytes(s.tail)) - room
	s.end = s.at + len(wal.AppendBatch(nil, lastBatch)) // the rest of its block is zeros
	return s
}

// unmarked has the log prove nothing of its end, as after a loss of power.
func (s *smallLog) unmarked() *waltest.Disk {
	disk := s.disk.Clone()
	disk.SetBytes(path("MARK"), make([]byte, len(disk.Bytes(path("MARK")))))
	return disk
}

func (s *smallLog) cut() []wal.Record {
	return s.records[:slices.IndexFunc(s.records, func(r wal.Record) bool { return r.Index == s.first })]
}

// contents returns all files, to compare.
func contents(disk *waltest.Disk) string {
	var b strings.Builder
	for _, name := range disk.Files() {
		b.WriteString(name)
		b.Write(disk.Bytes(name))
	}
	return b.String()
}

// verdict opens a copy of the damaged disk and returns what became of it:
// "as it was", "cut", or "refused". It fails on anything else.
func (s *smallLog) verdict(t testing.TB, disk *waltest.Disk, committed uint64) string {
	t.Helper()
	before := contents(disk)
	report, verifyErr := wal.Verify(disk, "data/wal", wal.Known{})
	cfg := crashConfig(disk)
	cfg.Known = wal.Known{Index: committed, By: "the test"}
	l, err := wal.Open(cfg)
	if committed == 0 && (err == nil) != (verifyErr == nil) {
		t.Fatalf("verify says %v, open says %v", verifyErr, err)
	}
	if err != nil {
		var damage *wal.DamageError
		if !errors.As(err, &damage) && !errors.Is(err, wal.ErrNewerFormat) {
			t.Fatalf("refused with %v", err)
		}
		if contents(disk) != before {
			t.Fatal("refused, but changed the disk")
		}
		return "refused"
	}
	defer l.Close()
	torn := l.Recovery().Torn
	if (torn == nil) != (report.Torn == nil) || torn != nil && *torn != *report.Torn {
		t.Fatalf("verify says torn %v, open says %v", report.Torn, torn)
	}
	if holdsExactly(l, s.records) == nil {
		return "as it was"
	}
	if err := holdsExactly(l, s.cut()); err != nil {
		t.Fatal(err)
	}
	if torn == nil {
		t.Fatal("the last batch is gone without a word")
	}
	if torn.Segment != filepath.Base(s.tail) || torn.Index != s.first || torn.Offset != int64(s.at) {
		t.Fatalf("cut %v, want the batch of record %d at byte %d", torn, s.first, s.at)
	}
	return "cut"
}

// No byte of the log can change without being refused: not in the last batch
// either, whether or not the log has its mark. A mark with a bad byte says less, and
// nothing wrong.
func TestFlipEveryByte(t *testing.T) {
	s := makeSmallLog(t, nil)
	flips := []byte{1, 0x80, 0xff}
	if testing.Short() {
		flips = flips[:1]
	}
	for mark, whole := range map[string]*waltest.Disk{"marked": s.disk, "unmarked": s.unmarked()} {
		for _, name := range whole.Files() {
			want := "refused"
			if name == path("MARK") {
				want = "as it was"
			}
			b := whole.Bytes(name)
			for i := range b {
				for _, flip := range flips {
					if want != "refused" && i >= 64 && i < 4096 {
						continue // between the slots
					}
					disk := whole.Clone()
					damaged := slices.Clone(b)
					damaged[i] ^= flip
					disk.SetBytes(name, damaged)
					// The end of the last batch, turned into a zero, looks like an end of writing.
					if v := s.verdict(t, disk, 0); v != want &&
						(v != "cut" || mark != "unmarked" || damaged[i] != 0 || i != s.end-1) {
						t.Fatalf("%s, %s, byte %d flipped by %#x: %s", mark, name, i, flip, v)
					}
				}
			}
		}
	}
}

// One slot of the mark is enough, whichever it is: what is cut off behind it is
// refused.
func TestOneSlotOfTheMarkIsEnough(t *testing.T) {
	s := makeSmallLog(t, nil)
	for _, slot := range []int{0, 4096} {
		disk := s.disk.Clone()
		b := disk.Bytes(path("MARK"))
		b[slot+17] ^= 4
		disk.SetBytes(path("MARK"), b)
		disk.SetBytes(s.tail, disk.Bytes(s.tail)[:s.at])
		if v := s.verdict(t, disk, 0); v != "refused" {
			t.Errorf("slot at byte %d damaged: %s", slot, v)
		}
	}
}

func TestTornOrRotten(t *testing.T) {
	// Spans many sectors; some of its records are zeros from end to end.
	long := makeBatch(28, 30, 9)
	long[7].Data, long[20].Data = make([]byte, 900), make([]byte, 3)
	last := makeSmallLog(t, long)
	marked := last.disk
	last.disk = last.unmarked()
	set := func(f func(b []byte) []byte) func(*waltest.Disk) {
		return func(d *waltest.Disk) { d.SetBytes(last.tail, f(d.Bytes(last.tail))) }
	}
	sector := func(n int) (from, to int) { return (last.at/512 + n) * 512, (last.at/512 + n + 1) * 512 }
	lose := func(sectors ...int) func(*waltest.Disk) {
		return set(func(b []byte) []byte {
			for _, n := range sectors {
				from, to := sector(n)
				clear(b[max(from, last.at):to])
			}
			return b
		})
	}
	older := last.disk.Files()[0]
	for _, tc := range []struct {
		name   string
		damage func(*waltest.Disk)
		want   string
	}{
		{"nothing", func(*waltest.Disk) {}, "as it was"},
		{"zeros behind the end", set(func(b []byte) []byte { return append(b, make([]byte, 5000)...) }), "as it was"},
		{"garbage behind the end", set(func(b []byte) []byte { return append(b, "garbage"...) }), "cut nothing"},
		{"zeros, then garbage, behind the end", set(func(b []byte) []byte {
			return append(append(b, make([]byte, 5000)...), "garbage"...)
		}), "cut nothing"},
		{"last batch without its last byte", set(func(b []byte) []byte { return b[:last.end-1] }), "cut"},
		{"last batch without its commit frame", set(func(b []byte) []byte { return b[:last.end-36] }), "cut"},
		{"nothing of the last batch", set(func(b []byte) []byte { return b[:last.at] }), "cut cleanly"},
		{"half of the last batch zero",
			set(func(b []byte) []byte { clear(b[(last.at+last.end)/2:]); return b }), "cut"},
		{"last batch all garbage", set(func(b []byte) []byte {
			copy(b[last.at:],
				bytes.Repeat([]byte{0xa5}, last.end-last.at))
			return b
		}), "refused"},
		{"a byte flipped in the commit frame", set(func(b []byte) []byte { b[last.end-10] ^= 1; return b }), "refused"},
		{"a byte flipped in the commit frame's length",
			set(func(b []byte) []byte { b[last.end-32] ^= 0x40; return b }), "refused"},
		{"a byte flipped in the last record's end",
			set(func(b []byte) []byte { b[last.end-38] ^= 1; return b }), "refused"},
		{"a byte flipped in the commit frame, zeros behind", set(func(b []byte) []byte {
			b[last.end-2] ^= 1
			return append(b, make([]byte, 5000)...)
		}), "refused"},
		{"a byte flipped in the commit frame, a sector in front lost", func(d *waltest.Disk) {
			lose(3)(d)
			set(func(b []byte) []byte { b[last.end-10] ^= 1; return b })(d)
		}, "cut"},
		{"a byte flipped in the last record, no commit frame",
			set(func(b []byte) []byte { b[last.end-38] ^= 1; return b[:last.end-36] }), "refused"},
		{"first sector lost", lose(0), "cut"},
		{"second sector lost", lose(1), "cut"},
		{"several sectors lost", lose(0, 2, 3, 5), "cut"},
		{"a byte flipped early in the last batch",
			set(func(b []byte) []byte { b[last.at+40] ^= 1; return b }), "refused"},
		{"a sector lost and a byte flipped", func(d *waltest.Disk) {
			lose(5)(d)
			set(func(b []byte) []byte { b[last.at+40] ^= 1; return b })(d)
		}, "refused"},
		{"first sector lost, next batch begun", func(d *waltest.Disk) {
			lose(0)(d)
			set(func(b []byte) []byte { return append(b, "garbage"...) })(d)
		}, "refused"},
		{"older segment cut short", func(d *waltest.Disk) {
			b := d.Bytes(older)
			d.SetBytes(older,
				b[:len(b)-512])
		}, "refused"},
		{"older segment grown", func(d *waltest.Disk) { d.SetBytes(older, append(d.Bytes(older), 1)) }, "refused"},
		{"older segment gone", func(d *waltest.Disk) { d.Remove(older) }, "refused"},
		{"segment in the middle gone", func(d *waltest.Disk) { d.Remove(d.Files()[1]) }, "refused"},
		{"floor gone", func(d *waltest.Disk) { d.Remove(path("FLOOR")) }, "refused"},
		{"floor too long", func(d *waltest.Disk) {
			d.SetBytes(path("FLOOR"),
				append(d.Bytes(path("FLOOR")), 0))
		}, "refused"},
		{"segment under another name", func(d *waltest.Disk) {
			d.SetBytes(path("00000000000000000035.wal"),
				d.Bytes(older))
		}, "refused"},
		{"empty segment", func(d *waltest.Disk) { d.SetBytes(path("00000000000000000058.wal"), nil) }, "refused"},
		{"stray files", func(d *waltest.Disk) {
			d.SetBytes(path("00000000000000000035.wal.tmp"), []byte("left by a crash"))
			d.SetBytes(path("README"), []byte("not ours"))
			d.SetBytes(path("35.wal"), []byte("not a segment's name"))
		}, "as it was"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := last.disk.Clone()
			tc.damage(disk)
			known := disk.Clone()
			proved := disk.Clone()
			proved.SetBytes(path("MARK"), marked.Bytes(path("MARK")))
			switch tc.want {
			case "cut nothing", "cut cleanly":
				l, err := wal.Open(crashConfig(disk))
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				want := last.records
				if tc.want == "cut cleanly" {
					want = last.cut()
				}
				if err := holdsExactly(l, want); err != nil {
					t.Fatal(err)
				}
				if torn := l.Recovery().Torn; (torn == nil) != (tc.want == "cut cleanly") ||
					torn != nil && torn.Records != 0 {
					t.Fatalf("%v", torn)
				}
			default:
				if v := last.verdict(t, disk, 0); v != tc.want {
					t.Fatalf("%s, want %s", v, tc.want)
				}
			}
			// What is known to have been there is never cut off.
			if tc.want == "as it was" || tc.want == "cut nothing" {
				return
			}
			if v := last.verdict(t, known, last.first); v != "refused" {
				t.Fatalf("record %d is committed: %s", last.first, v)
			}
			if v := last.verdict(t, proved, 0); v != "refused" {
				t.Fatalf("the mark is there: %s", v)
			}
		})
	}
}

func TestKnownIndex(t *testing.T) {
	s := makeSmallLog(t, nil)
	last := s.records[len(s.records)-1].Index
	for committed, want := range map[uint64]string{0: "as it was", 1: "as it was",
		last: "as it was", last + 1: "refused"} {
		if v := s.verdict(t, s.disk.Clone(), committed); v != want {
			t.Errorf("with %d committed: %s, want %s", committed, v, want)
		}
	}
	// All files lost: an empty log is as valid as can be, but for this.
	cfg := crashConfig(waltest.NewDisk(1))
	cfg.Known = wal.Known{Index: 1, By: "the test"}
	if _, err := wal.Open(cfg); !errors.Is(err, wal.ErrDamaged) ||
		!strings.Contains(err.Error(), "the test proves that it held record 1") {
		t.Error(err)
	}
	// A log that was dropped as a whole has lost nothing.
	disk := s.disk.Clone()
	l := open(t, crashConfig(disk))
	if err := l.Reset(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	cfg = crashConfig(disk)
	cfg.Known = wal.Known{Index: last, By: "the test"}
	open(t, cfg)
}

func TestDamageErrorSaysWhereAndWhatToDo(t *testing.T) {
	s := makeSmallLog(t, nil)
	first := s.disk.Files()[0]
	b := s.disk.Bytes(first)
	b[100] ^= 1
	s.disk.SetBytes(first, b)
	_, err := wal.Open(crashConfig(s.disk))
	var damage *wal.DamageError
	if !errors.As(err, &damage) || !errors.Is(err, wal.ErrDamaged) {
		t.Fatal(err)
	}
	if damage.Segment != filepath.Base(first) || damage.Offset > 100 || damage.Offset < 32 || damage.Index == 0 {
		t.Fatalf("%+v", damage)
	}
	for _, word := range []string{damage.Segment, fmt.Sprintf("byte %d", damage.Offset), "nothing was changed"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestNewerFormatIsNamed(t *testing.T) {
	for _, name := range []string{"FLOOR", ""} {
		s := makeSmallLog(t, nil)
		file := s.tail
		if name != "" {
			file = path(name)
		}
		// A newer build's header, with its checksum in order. An older segment
		// is damaged: that must not hide the reason.
		b := s.disk.Bytes(file)
		binary.LittleEndian.PutUint16(b[8:], 3)
		binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], crc32.MakeTable(crc32.Castagnoli)))
		s.disk.SetBytes(file, b)
		older := s.disk.Files()[0]
		b = s.disk.Bytes(older)
		b[100] ^= 1
		s.disk.SetBytes(older, b)

		before := contents(s.disk)
		_, err := wal.Open(crashConfig(s.disk))
		if !errors.Is(err, wal.ErrNewerFormat) || !strings.Contains(err.Error(), "format 3; this build reads up to 1") {
			t.Errorf("%s: %v", file, err)
		}
		if _, err := wal.Verify(s.disk, "data/wal", wal.Known{}); !errors.Is(err, wal.ErrNewerFormat) {
			t.Errorf("verify %s: %v", file, err)
		}
		if contents(s.disk) != before {
			t.Error("the disk has changed")
		}
	}
}

// A record that goes bad while the log is open is an error on reading it, and
// the owner is told once.
func TestReadFindsDamage(t *testing.T) {
	s := makeSmallLog(t, nil)
	told := make(chan error, 10)
	cfg := crashConfig(s.disk)
	cfg.OnDamage = func(err error) { told <- err }
	l := open(t, cfg)
	f, err := s.disk.OpenWrite(s.disk.Files()[0])
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	size, _ := f.Size()
	for at := int64(32); at < size; at += 10 {
		f.ReadAt(b[:], at)
		b[0] ^= 4
		f.WriteAt(b[:], at)
	}
	bad := 0
	for _, want := range s.records {
		got, err := l.Read(want.Index)
		var damage *wal.DamageError
		switch {
		case err == nil && !same(got, want):
			t.Fatalf("record %d is wrong", want.Index)
		case err != nil && (!errors.As(err, &damage) || damage.Index != want.Index):
			t.Fatal(err)
		case err != nil:
			bad++
		}
	}
	if bad == 0 {
		t.Fatal("nothing was found")
	}
	if err := <-told; !errors.Is(err, wal.ErrDamaged) {
		t.Fatal(err)
	}
	if len(told) > 0 {
		t.Fatal("told again")
	}
}

// FuzzOpen puts arbitrary bytes behind a segment's header. Whatever they are,
// the log opens or is refused, and what it then holds can be read and goes on.
func FuzzOpen(f *testing.F) {
	s := makeSmallLog(f, nil)
	for _, name := range s.disk.Files() {
		if strings.HasSuffix(name, ".wal") {
			f.Add(s.disk.Bytes(name)[32:], uint64(28))
			f.Add(s.disk.Bytes(name)[100:], uint64(3))
		}
	}
	f.Add([]byte{}, uint64(1))
	tail := s.disk.Bytes(s.tail)
	f.Fuzz(func(t *testing.T, b []byte, committed uint64) {
		disk := s.unmarked()
		disk.SetBytes(s.tail, append(slices.Clone(tail[:32]), b...))
		_, verifyErr := wal.Verify(disk, "data/wal", wal.Known{})
		cfg := crashConfig(disk)
		cfg.Known.Index = committed
		l, err := wal.Open(cfg)
		if err != nil {
			if committed == 0 && verifyErr == nil {
				t.Fatalf("verify found no fault with it: %v", err)
			}
			return
		}
		first, last := l.FirstIndex(), l.LastIndex()
		if last < committed {
			t.Fatalf("ends at %d although %d is committed", last, committed)
		}
		for i := first; i <= last; i++ {
			if r, err := l.Read(i); err != nil || r.Index != i {
				t.Fatal(i, err)
			}
		}
		r := wal.Record{Index: last + 1, Term: ^uint64(0), Data: []byte("more")}
		mustAppend(t, l, []wal.Record{r})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l, err = wal.Open(crashConfig(disk))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if got, err := l.Read(last + 1); err != nil || !same(got, r) {
			t.Fatal(err)
		}
	})
}

// TestFilesThatEndWithinABlock: only zeros are missing, so nothing is; and the log goes
// on behind them.
func TestFilesThatEndWithinABlock(t *testing.T) {
	s := makeSmallLog(t, nil)
	first := s.disk.Files()[0]
	s.disk.SetBytes(s.tail, s.disk.Bytes(s.tail)[:s.end])
	older := bytes.TrimRight(s.disk.Bytes(first), "\x00")
	s.disk.SetBytes(first, older)
	for range 2 {
		l, err := wal.Open(crashConfig(s.disk))
		if err != nil {
			t.Fatal(err)
		}
		if err := holdsExactly(l, s.records); err != nil {
			t.Fatal(err)
		}
		batch := makeBatch(s.records[len(s.records)-1].Index+1, 3, 9)
		mustAppend(t, l, batch)
		s.records = append(s.records, batch...)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

package wal_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"doorbuster/wal"
	"doorbuster/wal/vfs"
	"doorbuster/wal/waltest"
)

func TestVerify(t *testing.T) {
	s := makeSmallLog(t, nil)
	if r, err := wal.Verify(s.disk, "data/wal", wal.Known{}); err != nil || r.Known != 34 {
		t.Fatalf("%+v, %v", r, err)
	}
	s.disk = s.unmarked()
	before := contents(s.disk)
	r, err := wal.Verify(s.disk, "data/wal", wal.Known{})
	if err != nil {
		t.Fatal(err)
	}
	if r.FirstIndex != 3 || r.LastIndex != 34 || r.Records != 32 || r.Segments < 2 || r.Batches == 0 ||
		r.Bytes == 0 || r.Torn != nil || len(r.Leftover) > 0 {
		t.Fatalf("%+v", r)
	}
	b := s.disk.Bytes(s.tail)
	s.disk.SetBytes(s.tail, b[:s.end-1])
	r, err = wal.Verify(s.disk, "data/wal", wal.Known{})
	if err != nil || r.Torn == nil || r.LastIndex != 30 || r.Torn.Records != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	s.disk.SetBytes(s.tail, b)

	// Damage: the report covers what comes before.
	first := s.disk.Files()[0]
	b = s.disk.Bytes(first)
	b[len(b)-1] ^= 1
	s.disk.SetBytes(first, b)
	r, err = wal.Verify(s.disk, "data/wal", wal.Known{})
	if !errors.Is(err, wal.ErrDamaged) || r.FirstIndex != 3 || r.LastIndex < 10 || r.LastIndex > 28 {
		t.Fatalf("%+v, %v", r, err)
	}
	b[len(b)-1] ^= 1
	s.disk.SetBytes(first, b)
	if contents(s.disk) != before {
		t.Fatal("verify changed the disk")
	}

	for _, dir := range []string{"data/wal", "data", "nowhere"} {
		r, err := wal.Verify(waltest.NewDisk(1), dir, wal.Known{})
		if err != nil || r.Records != 0 || r.FirstIndex != 0 || r.LastIndex != 0 {
			t.Fatalf("an empty log in %s: %+v, %v", dir, r, err)
		}
	}
}

func TestDump(t *testing.T) {
	s := makeSmallLog(t, nil)
	var got []wal.Record
	if _, err := wal.Dump(s.disk, "data/wal", wal.Known{}, func(e wal.Entry) error {
		want := s.records[len(got)]
		if !same(e.Record, want) {
			return fmt.Errorf("record %d is wrong", e.Index)
		}
		if b := s.disk.Bytes(path(e.Segment)); e.Offset < 32 || e.Offset >= int64(len(b)) {
			return fmt.Errorf("record %d at byte %d of %s", e.Index, e.Offset, e.Segment)
		}
		got = append(got, e.Record)
		return nil
	}); err != nil || len(got) != len(s.records) {
		t.Fatal(len(got), err)
	}
	stop := errors.New("enough")
	n := 0
	r, err := wal.Dump(s.disk, "data/wal", wal.Known{}, func(wal.Entry) error {
		if n++; n == 5 {
			return stop
		}
		return nil
	})
	if err != stop || n != 5 || r.LastIndex != 7 {
		t.Fatal(n, r, err)
	}
}

var writeSample = flag.Bool("wal.sample", false, "write the stored sample of the current format anew")

// sample is a log as this format stores it. It must read back forever.
func sampleRecords() (before, after []wal.Record) {
	for i := range uint64(60) {
		r := wal.Record{Index: 100 + i, Term: 3 + i/20, Meta: []byte{1, byte(i)},
			Data: fmt.Appendf(nil, "record %d, %*d", 100+i, 50+i, i)}
		before = append(before, r)
		if i >= 50 {
			r.Term++
			after = append(after, r)
		}
	}
	return before, after
}

// Stored samples of every format that was ever written are read back.
func TestStoredSamples(t *testing.T) {
	before, after := sampleRecords()
	if *writeSample {
		dir := filepath.Join("testdata", fmt.Sprintf("format%d", wal.FormatVersion))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		cfg := wal.DefaultConfig(dir)
		cfg.SegmentBytes = wal.MinSegmentBytes
		l := open(t, cfg)
		for len(before) > 0 {
			mustAppend(t, l, before[:4])
			before = before[4:]
		}
		if err := errors.Join(l.TruncatePrefix(107), l.TruncateSuffix(150)); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, after)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		before, after = sampleRecords()
	}
	want := append(before[7:50:50], after...)
	dirs, err := filepath.Glob("testdata/format*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no samples: ", err)
	}
	for _, stored := range dirs {
		t.Run(filepath.Base(stored), func(t *testing.T) {
			r, err := wal.Verify(vfs.OS(), stored, wal.Known{})
			if err != nil || r.Segments < 2 || r.Torn != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			cfg := smallConfig(filepath.Join(t.TempDir(), "copy"))
			if err := os.CopyFS(cfg.Dir, os.DirFS(stored)); err != nil {
				t.Fatal(err)
			}
			l := open(t, cfg)
			if err := holdsExactly(l, want); err != nil {
				t.Fatal(err)
			}
			more := makeBatch(160, 30, 9)
			mustAppend(t, l, more)
			if err := holdsExactly(l, append(want, more...)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

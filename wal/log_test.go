package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"doorbuster/wal"
)

func smallConfig(dir string) wal.Config {
	cfg := wal.DefaultConfig(dir)
	cfg.SegmentBytes = wal.MinSegmentBytes
	cfg.TailCacheBytes = 1 << 10
	return cfg
}

func open(t testing.TB, cfg wal.Config) *wal.Log {
	t.Helper()
	l, err := wal.Open(cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// makeRecord is a record whose bytes follow from its index and term.
func makeRecord(index, term uint64) wal.Record {
	rng := rand.New(rand.NewPCG(index, term))
	r := wal.Record{Index: index, Term: term}
	r.Meta = make([]byte, rng.IntN(12))
	r.Data = make([]byte, rng.IntN(200))
	for i := range r.Meta {
		r.Meta[i] = byte(rng.Uint32())
	}
	for i := range r.Data {
		r.Data[i] = byte(rng.Uint32())
	}
	return r
}

func makeBatch(first uint64, n int, term uint64) []wal.Record {
	var recs []wal.Record
	for i := range uint64(n) {
		recs = append(recs, makeRecord(first+i, term))
	}
	return recs
}

func mustAppend(t testing.TB, l *wal.Log, recs []wal.Record) {
	t.Helper()
	if err := l.Append(recs); err != nil {
		t.Fatalf("append %d records from %d: %v", len(recs), recs[0].Index, err)
	}
}

func same(a, b wal.Record) bool {
	return a.Index == b.Index && a.Term == b.Term && bytes.Equal(a.Meta, b.Meta) && bytes.Equal(a.Data, b.Data)
}

// holdsExactly compares the log with the records it should hold.
func holdsExactly(l *wal.Log, want []wal.Record) error {
	var first, last uint64
	if len(want) > 0 {
		first, last = want[0].Index, want[len(want)-1].Index
	}
	if l.FirstIndex() != first || l.LastIndex() != last {
		return fmt.Errorf("the log holds %d to %d, want %d to %d", l.FirstIndex(), l.LastIndex(), first, last)
	}
	for _, w := range want {
		got, err := l.Read(w.Index)
		if err != nil {
			return fmt.Errorf("read %d: %w", w.Index, err)
		}
		if !same(got, w) {
			return fmt.Errorf("record %d has term %d and %d bytes, want term %d and %d bytes, or they differ",
				w.Index, got.Term, len(got.Data), w.Term, len(w.Data))
		}
	}
	for _, outside := range []uint64{0, first - 1, last + 1, last + 1000} {
		if outside >= first && outside <= last && last > 0 {
			continue
		}
		if _, err := l.Read(outside); err != wal.ErrNotFound {
			return fmt.Errorf("read %d: error %v, want ErrNotFound", outside, err)
		}
	}
	return nil
}

func TestAppendReadReopen(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	l := open(t, cfg)
	var want []wal.Record
	if err := holdsExactly(l, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		recs := makeBatch(uint64(len(want)+1), 1+i%7, uint64(1+i/10))
		mustAppend(t, l, recs)
		want = append(want, recs...)
	}
	if err := holdsExactly(l, want); err != nil {
		t.Fatal(err)
	}
	if n, _ := l.Size(); n < 5 {
		t.Fatalf("%d segments: the test means to cross some", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, cfg)
	if err := holdsExactly(l, want); err != nil {
		t.Fatal("after reopening: ", err)
	}
	if r := l.Recovery(); r.Torn != nil || len(r.Removed) > 0 {
		t.Fatalf("a closed log needed repair: %+v", r)
	}
}

func TestTruncate(t *testing.T) {
	const n = 300
	all := makeBatch(1, n, 1)
	for _, batch := range []int{1, 7, 50} {
		for _, tc := range []struct {
			name string
			do   func(*wal.Log) error
			from uint64
			to   uint64
		}{
			{"prefix of nothing", func(l *wal.Log) error { return l.TruncatePrefix(1) }, 1, n},
			{"prefix", func(l *wal.Log) error { return l.TruncatePrefix(123) }, 123, n},
			{"prefix but one", func(l *wal.Log) error { return l.TruncatePrefix(n) }, n, n},
			{"prefix of all", func(l *wal.Log) error { return l.TruncatePrefix(n + 1) }, 0, 0},
			{"prefix of more", func(l *wal.Log) error { return l.TruncatePrefix(n + 100) }, 0, 0},
			{"suffix of nothing", func(l *wal.Log) error { return l.TruncateSuffix(n + 1) }, 1, n},
			{"suffix of one", func(l *wal.Log) error { return l.TruncateSuffix(n) }, 1, n - 1},
			{"suffix", func(l *wal.Log) error { return l.TruncateSuffix(150) }, 1, 149},
			{"suffix but one", func(l *wal.Log) error { return l.TruncateSuffix(2) }, 1, 1},
			{"suffix of all", func(l *wal.Log) error { return l.TruncateSuffix(1) }, 0, 0},
			{"reset", (*wal.Log).Reset, 0, 0},
			{"both", func(l *wal.Log) error {
				return errors.Join(l.TruncatePrefix(100), l.TruncateSuffix(111))
			}, 100, 110},
			{"suffix below the floor", func(l *wal.Log) error {
				return errors.Join(l.TruncatePrefix(100), l.TruncateSuffix(50))
			}, 0, 0},
			{"suffix again and again", func(l *wal.Log) error {
				return errors.Join(l.TruncateSuffix(250), l.TruncateSuffix(240), l.TruncateSuffix(60))
			}, 1, 59},
		} {
			t.Run(fmt.Sprintf("%s, batches of %d", tc.name, batch), func(t *testing.T) {
				cfg := smallConfig(t.TempDir())
				l := open(t, cfg)
				for i := 0; i < n; i += batch {
					mustAppend(t, l, all[i:min(i+batch, n)])
				}
				if err := tc.do(l); err != nil {
					t.Fatal(err)
				}
				var want []wal.Record
				if tc.to > 0 {
					want = all[tc.from-1 : tc.to : tc.to]
				}
				if err := holdsExactly(l, want); err != nil {
					t.Fatal(err)
				}
				l.Close()
				l = open(t, cfg)
				if err := holdsExactly(l, want); err != nil {
					t.Fatal("after reopening: ", err)
				}
				// Another term, so that what was dropped can't pass for it.
				next := uint64(n + 1000)
				if tc.to > 0 {
					next = tc.to + 1
				}
				for range 3 {
					recs := makeBatch(next, 20, 2)
					mustAppend(t, l, recs)
					want = append(want, recs...)
					next += 20
				}
				if err := holdsExactly(l, want); err != nil {
					t.Fatal("after more appends: ", err)
				}
				l.Close()
				l = open(t, cfg)
				if err := holdsExactly(l, want); err != nil {
					t.Fatal("after reopening again: ", err)
				}
			})
		}
	}
}

// An empty log begins anywhere, also below where it was, and what it held
// before never shows again.
func TestRestartAnywhere(t *testing.T) {
	for _, first := range []uint64{1, 50, 100, 101, 102, 5000} {
		for _, reopen := range []bool{false, true} {
			t.Run(fmt.Sprintf("at %d, reopened %v", first, reopen), func(t *testing.T) {
				cfg := smallConfig(t.TempDir())
				l := open(t, cfg)
				for _, r := range makeBatch(1, 100, 9) {
					mustAppend(t, l, []wal.Record{r})
				}
				if err := l.TruncatePrefix(101); err != nil {
					t.Fatal(err)
				}
				if reopen {
					l.Close()
					l = open(t, cfg)
				}
				want := makeBatch(first, 3, 2)
				mustAppend(t, l, want)
				if err := holdsExactly(l, want); err != nil {
					t.Fatal(err)
				}
				l.Close()
				l = open(t, cfg)
				if err := holdsExactly(l, want); err != nil {
					t.Fatal("after reopening: ", err)
				}
			})
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	l := open(t, smallConfig(t.TempDir()))
	mustAppend(t, l, makeBatch(10, 5, 3))
	for _, tc := range []struct {
		name string
		recs []wal.Record
		want error
	}{
		{"a gap", makeBatch(16, 1, 3), wal.ErrOutOfOrder},
		{"an overlap", makeBatch(14, 1, 3), wal.ErrOutOfOrder},
		{"a gap inside", append(makeBatch(15, 1, 3), makeBatch(17, 1, 3)...), wal.ErrOutOfOrder},
		{"a lower term", makeBatch(15, 1, 2), wal.ErrOutOfOrder},
		{"a lower term inside", append(makeBatch(15, 1, 4), makeBatch(16, 1, 3)...), wal.ErrOutOfOrder},
		{"large meta", []wal.Record{{Index: 15, Term: 3, Meta: make([]byte, wal.MaxMetaBytes+1)}}, wal.ErrTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := l.Append(tc.recs); !errors.Is(err, tc.want) {
				t.Fatalf("error %v, want %v", err, tc.want)
			}
			if err := holdsExactly(l, makeBatch(10, 5, 3)); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := l.Append(nil); err != nil {
		t.Fatal("an empty batch: ", err)
	}
	mustAppend(t, l, makeBatch(15, 1, 3))
}

// A batch larger than a segment gets one of its own.
func TestLargeBatch(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	cfg.TailCacheBytes = 0
	l := open(t, cfg)
	var want []wal.Record
	for i := range uint64(6) {
		r := wal.Record{Index: i + 1, Data: bytes.Repeat([]byte{byte(i + 1)}, int(i%2)*3*wal.MinSegmentBytes+10)}
		mustAppend(t, l, []wal.Record{r})
		want = append(want, r)
	}
	if err := holdsExactly(l, want); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := holdsExactly(open(t, cfg), want); err != nil {
		t.Fatal("after reopening: ", err)
	}
}

func TestClosed(t *testing.T) {
	l := open(t, smallConfig(t.TempDir()))
	mustAppend(t, l, makeBatch(1, 5, 1))
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, readErr := l.Read(1)
	for name, err := range map[string]error{
		"append": l.Append(makeBatch(6, 1, 1)), "prefix": l.TruncatePrefix(2),
		"suffix": l.TruncateSuffix(2), "reset": l.Reset(), "read": readErr,
	} {
		if !errors.Is(err, wal.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	err := wal.Config{SegmentBytes: 1, TailCacheBytes: -1, StallTimeout: -1}.Validate()
	if err == nil {
		t.Fatal("nonsense was accepted")
	}
	for _, word := range []string{"Dir", "SegmentBytes", "TailCacheBytes", "StallTimeout"} {
		if !bytes.Contains([]byte(err.Error()), []byte(word)) {
			t.Errorf("%q does not mention %s", err, word)
		}
	}
	if err := wal.DefaultConfig("x").Validate(); err != nil {
		t.Error(err)
	}
}

package cluster

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/wal"
)

func openStore(t *testing.T, dir string) (*LogStore, *wal.Log) {
	t.Helper()
	cfg := wal.DefaultConfig(dir)
	cfg.SegmentBytes = wal.MinSegmentBytes
	cfg.TailCacheBytes = 2 << 10
	l, err := wal.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return NewLogStore(l), l
}

func entry(index, term uint64) *raft.Log {
	return &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: fmt.Appendf(nil, "entry %d of term %d", index, term),
		AppendedAt: time.Unix(1_700_000_000, int64(index))}
}

func entries(from, to, term uint64) []*raft.Log {
	var es []*raft.Log
	for i := from; i <= to; i++ {
		es = append(es, entry(i, term))
	}
	return es
}

func checkStore(t *testing.T, s *LogStore, want []*raft.Log) {
	t.Helper()
	var first, last uint64
	if len(want) > 0 {
		first, last = want[0].Index, want[len(want)-1].Index
	}
	if f, _ := s.FirstIndex(); f != first {
		t.Fatalf("first index %d, want %d", f, first)
	}
	if l, _ := s.LastIndex(); l != last {
		t.Fatalf("last index %d, want %d", l, last)
	}
	for _, w := range want {
		var got raft.Log
		if err := s.GetLog(w.Index, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, *w) {
			t.Fatalf("entry %+v, want %+v", got, *w)
		}
	}
	for _, i := range []uint64{0, first - 1, last + 1} {
		var got raft.Log
		if err := s.GetLog(i, &got); err != raft.ErrLogNotFound {
			t.Fatalf("entry %d: error %v, want exactly raft.ErrLogNotFound", i, err)
		}
	}
}

func TestLogStoreKeepsEveryField(t *testing.T) {
	dir := t.TempDir()
	s, l := openStore(t, dir)
	want := []*raft.Log{
		{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: []byte{1, 2}},
		{Index: 2, Term: 1, Type: raft.LogNoop, Data: []byte{}, AppendedAt: time.Unix(0, 0)},
		{Index: 3, Term: 2, Type: raft.LogBarrier, Data: []byte{}, Extensions: []byte("ext"), AppendedAt: time.Unix(-5, 7)},
		{Index: 4, Term: 2, Type: raft.LogCommand, Data: make([]byte, 3*wal.MinSegmentBytes), AppendedAt: time.Unix(1_700_000_000, 123456789)},
	}
	if err := s.StoreLogs(want); err != nil {
		t.Fatal(err)
	}
	checkStore(t, s, want)
	l.Close()
	s, _ = openStore(t, dir)
	checkStore(t, s, want)
}

func TestLogStoreDeleteRange(t *testing.T) {
	for _, tc := range []struct {
		name             string
		lowest, highest  uint64
		wantFrom, wantTo uint64
		inside           bool
	}{
		{name: "front", lowest: 10, highest: 30, wantFrom: 31, wantTo: 100},
		{name: "front from before the first", lowest: 1, highest: 30, wantFrom: 31, wantTo: 100},
		{name: "back", lowest: 70, highest: 100, wantFrom: 10, wantTo: 69},
		{name: "back beyond the last", lowest: 70, highest: 200, wantFrom: 10, wantTo: 69},
		{name: "everything", lowest: 10, highest: 100},
		{name: "everything and more", lowest: 0, highest: ^uint64(0)},
		{name: "before the first", lowest: 1, highest: 9, wantFrom: 10, wantTo: 100},
		{name: "after the last", lowest: 101, highest: 200, wantFrom: 10, wantTo: 100},
		{name: "nothing, as RecoverCluster asks of an empty log", lowest: 0, highest: 0, wantFrom: 10, wantTo: 100},
		{name: "middle", lowest: 20, highest: 30, wantFrom: 10, wantTo: 100, inside: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := openStore(t, t.TempDir())
			if err := s.DeleteRange(0, 0); err != nil {
				t.Fatal("on an empty log: ", err)
			}
			if err := s.StoreLogs(entries(10, 100, 3)); err != nil {
				t.Fatal(err)
			}
			if err := s.DeleteRange(tc.lowest, tc.highest); errors.Is(err, ErrDeleteInside) != tc.inside || !tc.inside && err != nil {
				t.Fatal(err)
			}
			var want []*raft.Log
			next := uint64(200)
			if tc.wantTo > 0 {
				want = entries(tc.wantFrom, tc.wantTo, 3)
				next = tc.wantTo + 1
			}
			checkStore(t, s, want)
			more := entries(next, next+5, 4)
			if err := s.StoreLogs(more); err != nil {
				t.Fatal(err)
			}
			checkStore(t, s, append(want, more...))
		})
	}
}

// Raft compacts on one goroutine while it appends on another: what arrives in
// between must stay, even if everything that was there goes.
func TestLogStoreCompactsWhileAppending(t *testing.T) {
	s, _ := openStore(t, t.TempDir())
	const n = 2000
	if err := s.StoreLog(entry(1, 1)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for {
			first, _ := s.FirstIndex()
			last, _ := s.LastIndex()
			if err := s.DeleteRange(first, last); err != nil || last >= n {
				done <- err
				return
			}
		}
	}()
	for i := uint64(2); i <= n; i++ {
		if err := s.StoreLog(entry(i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	checkStore(t, s, nil)
}

func TestLogStoreDropIfBehind(t *testing.T) {
	for _, tc := range []struct {
		snapshot uint64
		dropped  bool
	}{{0, false}, {19, false}, {20, false}, {21, true}, {100, true}} {
		s, _ := openStore(t, t.TempDir())
		if err := s.DropIfBehind(tc.snapshot); err != nil {
			t.Fatal("on an empty log: ", err)
		}
		want := entries(1, 20, 1)
		if err := s.StoreLogs(want); err != nil {
			t.Fatal(err)
		}
		if err := s.DropIfBehind(tc.snapshot); err != nil {
			t.Fatal(err)
		}
		if tc.dropped {
			want = nil
		}
		checkStore(t, s, want)
	}
}

func TestLogStoreRefusesForeignRecords(t *testing.T) {
	s, l := openStore(t, t.TempDir())
	for i, meta := range [][]byte{nil, {1}, {9, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if err := l.Append([]wal.Record{{Index: uint64(i + 1), Meta: meta}}); err != nil {
			t.Fatal(err)
		}
		var e raft.Log
		if err := s.GetLog(uint64(i+1), &e); err == nil || err == raft.ErrLogNotFound {
			t.Errorf("record %d with meta %v: error %v", i+1, meta, err)
		}
	}
}

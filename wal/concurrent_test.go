package wal_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"doorbuster/wal"
)

// One appender, who at times drops from the back, one who drops from the front,
// and readers: nobody ever sees a record that was not appended under that
// index, and nothing in between the bounds is missing.
func TestConcurrentUse(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	l := open(t, cfg)
	const records = 1500
	var acknowledged, dropped atomic.Uint64
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer done.Store(true)
		rng := rand.New(rand.NewPCG(1, 1))
		next := uint64(1)
		for next <= records {
			batch := makeBatch(next, 1+rng.IntN(8), 1)
			if err := l.Append(batch); err != nil {
				t.Error(err)
				return
			}
			next += uint64(len(batch))
			acknowledged.Store(next - 1)
			if rng.IntN(50) == 0 {
				from := max(next-uint64(rng.IntN(10)), dropped.Load()+1)
				acknowledged.Store(from - 1)
				if err := l.TruncateSuffix(from); err != nil {
					t.Error(err)
					return
				}
				next = from
			}
		}
	})
	wg.Go(func() {
		for !done.Load() {
			// Stays well behind the end, as compaction does.
			if last := acknowledged.Load(); last > 60 {
				dropped.Store(last - 50)
				if err := l.TruncatePrefix(last - 50); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for i := range 3 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 2))
			for !done.Load() {
				last := acknowledged.Load()
				index := last - min(last, uint64(rng.IntN(70)))
				got, err := l.Read(index)
				switch {
				case err == nil && !same(got, makeRecord(index, 1)):
					t.Errorf("record %d is wrong", index)
					return
				case err != nil && !errors.Is(err, wal.ErrNotFound):
					t.Error(err)
					return
				case err != nil && index > dropped.Load() && index <= acknowledged.Load() && index > 0:
					// It may have been dropped and appended again; then it is
					// there the next time.
					if _, err := l.Read(index); err != nil && index > dropped.Load() &&
						index <= acknowledged.Load() && index >= l.FirstIndex() && index <= l.LastIndex() {
						t.Errorf("record %d: %v", index, err)
						return
					}
				}
				l.Size()
			}
		})
	}
	wg.Wait()
	var want []wal.Record
	for i := l.FirstIndex(); i <= l.LastIndex(); i++ {
		want = append(want, makeRecord(i, 1))
	}
	l.Close()
	if err := holdsExactly(open(t, cfg), want); err != nil {
		t.Fatal(err)
	}
}

// Appends from several goroutines are fine as long as the order works out.
func TestAppendsQueueUp(t *testing.T) {
	l := open(t, smallConfig(t.TempDir()))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				next := l.LastIndex() + 1
				if next > 200 {
					return
				}
				if err := l.Append(makeBatch(next, 1, 1)); err != nil && !errors.Is(err, wal.ErrOutOfOrder) {
					t.Error(err)
					return
				}
				l.Size()
			}
		})
	}
	wg.Wait()
	if first, last := l.FirstIndex(), l.LastIndex(); first != 1 || last < 200 {
		t.Fatal(first, last)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	cfg := wal.DefaultConfig(t.TempDir())
	cfg.TailCacheBytes = 4 << 10
	l := open(t, cfg)
	batch := []wal.Record{{Data: make([]byte, 100)}, {Data: make([]byte, 100)}}
	next := uint64(1)
	add := func() {
		for i := range batch {
			batch[i].Index = next
			next++
		}
		if err := l.Append(batch); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		add()
	}
	// Growing the offsets is amortised to less than one.
	if n := testing.AllocsPerRun(200, add); n >= 1 {
		t.Fatalf("%v allocations a batch", n)
	}
}

package actors

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"doorbuster/engine"
)

// stillJournal is one whose time the test keeps.
func stillJournal(t testing.TB, entries int) *journal {
	t.Helper()
	at := engine.TimeOf(time.Now())
	j := newJournal(entries, func() engine.Time { return at })
	t.Cleanup(j.close)
	return j
}

func TestJournalEntrySize(t *testing.T) {
	if n := unsafe.Sizeof(journalEntry{}); n != 32 {
		t.Errorf("an entry has %d bytes, and is said to have 32", n)
	}
	if j := stillJournal(t, 5); j.capacity() != 8 {
		t.Errorf("room for 5 has %d entries, not two sets", j.capacity())
	}
}

// modelEntry is an entry of the journal, written down in full.
type modelEntry struct {
	shopper uint64
	listing engine.ListingHandle
	noted
}

// modelSet is a set as a list, the way that the journal is described.
type modelSet []modelEntry

// note gives the set after a refusal, and whether something was lost.
func (s modelSet) note(
	shopper uint64, h engine.ListingHandle, code engine.Code, why engine.Reason, now uint32,
) (_ modelSet, lost bool) {
	for i := range s {
		if e := &s[i]; e.shopper == shopper && e.listing == h && e.code == code && e.why == why {
			e.count, e.last = min(e.count+1, engine.MaxRefusedCount), max(e.last, now)
			return s, false
		}
	}
	fresh := modelEntry{shopper, h, noted{code, why, now, now, 1}}
	if len(s) < journalWays {
		return append(s, fresh), false
	}
	oldest := 0
	for i := range s {
		if s[i].last < s[oldest].last {
			oldest = i
		}
	}
	s[oldest] = fresh
	return s, true
}

// TestJournalIsItsModel: whatever is noted in whatever order, the journal has
// what the description says, and counts what it lost.
func TestJournalIsItsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		j := newJournal(rapid.IntRange(1, 32).Draw(r, "entries"), func() engine.Time { return 1_000_000 })
		defer j.close()
		model, lost, used := map[uint64]modelSet{}, uint64(0), 0
		shoppers := rapid.IntRange(1, 12).Draw(r, "shoppers")
		now := uint32(1000)
		for range rapid.IntRange(1, 200).Draw(r, "refusals") {
			shopper := uint64(rapid.IntRange(1, shoppers).Draw(r, "shopper"))<<1 | 1
			h := engine.ListingHandle(rapid.IntRange(1, 3).Draw(r, "listing"))
			why := engine.Reason(rapid.IntRange(1, 6).Draw(r, "why"))
			now += uint32(rapid.IntRange(-1, 3).Draw(r, "seconds")) // a clock may run back
			j.note(shopper, h, engine.CodeOf(why), why, now)
			_, at := j.setOf(shopper, h)
			before := len(model[at])
			set, overwritten := model[at].note(shopper, h, engine.CodeOf(why), why, now)
			model[at] = set
			used += len(set) - before
			if overwritten {
				lost++
			}
		}
		if j.lostSoFar() != lost || int(j.used.Load()) != used {
			r.Fatalf("%d in use and %d lost, want %d and %d", j.used.Load(), j.lostSoFar(), used, lost)
		}
		for n := 1; n <= shoppers; n++ {
			for h := engine.ListingHandle(1); h <= 3; h++ {
				shopper := uint64(n)<<1 | 1
				var want []noted
				_, at := j.setOf(shopper, h)
				for _, e := range model[at] {
					if e.shopper == shopper && e.listing == h {
						want = append(want, e.noted)
					}
				}
				if got := j.read(nil, shopper, h); !slices.Equal(got, want) {
					r.Fatalf("shopper %d, listing %d: %+v, want %+v", shopper, h, got, want)
				}
			}
		}
	})
}

// TestJournalCountsSoFar: a count stops at its bound, and the entry's use is not
// touched by it.
func TestJournalCountsSoFar(t *testing.T) {
	j := stillJournal(t, 4)
	for range engine.MaxRefusedCount + 10 {
		j.note(3, 1, engine.CodeMissed, engine.ReasonQuota, 7)
	}
	want := []noted{{engine.CodeMissed, engine.ReasonQuota, 7, 7, engine.MaxRefusedCount}}
	if got := j.read(nil, 3, 1); !slices.Equal(got, want) || j.lostSoFar() != 0 {
		t.Errorf("%+v with %d lost, want %+v", got, j.lostSoFar(), want)
	}
}

// TestJournalWrittenMeanwhile: an entry in somebody's hands is neither read nor
// taken, and who finds all four so loses their note and says so.
func TestJournalWrittenMeanwhile(t *testing.T) {
	j := stillJournal(t, 4)
	for i := range journalWays {
		j.note(uint64(2*i+1), 1, engine.CodeMissed, engine.ReasonQuota, 9)
	}
	set, _ := j.setOf(1, 1)
	before := set[0].tally.Load()
	set[0].tally.Store(tallyOf(tallyUse(before)+1, 0, 9))
	set[0].shopper.Store(99)
	if got := j.read(nil, 99, 1); len(got) != 0 {
		t.Errorf("read what is half written: %+v", got)
	}
	for i := 1; i < journalWays; i++ {
		set[i].tally.Store(tallyOf(7, 0, 9))
	}
	j.note(99, 1, engine.CodeMissed, engine.ReasonQuota, 10)
	if j.lostSoFar() != 1 {
		t.Errorf("%d lost, want 1", j.lostSoFar())
	}
	if set[0].again(before, 10) {
		t.Error("counted in an entry that has changed hands")
	}
}

// TestJournalUnderStorm: with everybody writing into a few entries, what is read
// of a shopper is theirs, no entry is left half written, and those in use add up.
func TestJournalUnderStorm(t *testing.T) {
	const writers, rounds, shoppers = 4, 20_000, 64
	j := stillJournal(t, 16)
	// All of an entry follows from its shopper, so that any mix-up shows.
	of := func(shopper uint64) (engine.ListingHandle, engine.Reason, uint32) {
		return engine.ListingHandle(shopper%3 + 1), engine.Reason(shopper%5 + 1), uint32(1000 + shopper)
	}
	var wait, looking sync.WaitGroup
	done := make(chan struct{})
	looks := 0
	looking.Go(func() {
		for k := uint64(0); ; k++ {
			select {
			case <-done:
				return
			default:
			}
			shopper := k%shoppers<<1 | 1
			h, why, at := of(shopper)
			for _, n := range j.read(nil, shopper, h) {
				looks++
				if n.why != why || n.code != engine.CodeOf(why) || n.first != at || n.last != at || n.count == 0 {
					t.Errorf("shopper %d: %+v", shopper, n)
				}
			}
			runtime.Gosched()
		}
	})
	for w := range writers {
		wait.Go(func() {
			for k := range rounds {
				shopper := uint64((k*(w+1)+w)%shoppers)<<1 | 1
				h, why, at := of(shopper)
				j.note(shopper, h, engine.CodeOf(why), why, at)
				if k%64 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	wait.Wait()
	close(done)
	looking.Wait()
	if looks == 0 {
		t.Error("nothing was read while it was written")
	}
	there := uint64(0)
	for i := range j.sets {
		for k := range j.sets[i] {
			e := &j.sets[i][k]
			if n := tallyCount(e.tally.Load()); n > 0 {
				there++
			} else if e.tally.Load() != 0 {
				t.Error("an entry was left half written")
			}
		}
	}
	if int64(there) != j.used.Load() || there > uint64(j.capacity()) {
		t.Errorf("%d entries, %d said to be in use", there, j.used.Load())
	}
}

// TestJournalSums: while nothing is overwritten, every refusal is counted or
// said to be lost.
func TestJournalSums(t *testing.T) {
	const writers, rounds, shoppers = 4, 10_000, 8
	j := stillJournal(t, 1<<12)
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for k := range rounds {
				j.note(uint64(k%shoppers)<<1|1, 1, engine.CodeSoldOut, engine.ReasonGone, 5)
			}
		})
	}
	wait.Wait()
	counted := uint64(0)
	for k := range uint64(shoppers) {
		got := j.read(nil, k<<1|1, 1)
		if len(got) != 1 {
			t.Fatalf("shopper %d: %+v", k, got)
		}
		counted += uint64(got[0].count)
	}
	if counted+j.lostSoFar() != writers*rounds {
		t.Errorf("%d counted and %d lost of %d", counted, j.lostSoFar(), writers*rounds)
	}
}

// TestJournalAllocatesNothing, neither for who is new nor for who comes again.
func TestJournalAllocatesNothing(t *testing.T) {
	j := stillJournal(t, 64)
	shopper := uint64(1)
	if n := testing.AllocsPerRun(1000, func() {
		j.note(shopper, 1, engine.CodeMissed, engine.ReasonQuota, 5)
		j.note(shopper, 1, engine.CodeMissed, engine.ReasonQuota, 5)
		shopper += 2
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkJournal(b *testing.B) {
	for _, shoppers := range []uint64{100, 100_000, 10_000_000} {
		b.Run(fmt.Sprintf("%d shoppers", shoppers), func(b *testing.B) {
			j := stillJournal(b, 262_144)
			b.RunParallel(func(p *testing.PB) {
				x := uint64(uintptr(unsafe.Pointer(p)))
				for p.Next() {
					x = x*6364136223846793005 + 1442695040888963407
					j.note((x>>20%shoppers)<<1|1, 1, engine.CodeMissed, engine.ReasonQuota, j.now.Load())
				}
			})
		})
	}
}

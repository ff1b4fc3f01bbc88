package hot

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
)

// TestHotAmongTenMillion: one id of a thousand a second is found among ten million others,
// each asked for once, and nothing else is; memory does not grow with them.
func TestHotAmongTenMillion(t *testing.T) {
	w := New()
	ids := 10_000_000
	if testing.Short() {
		ids = 2_000_000
	}
	perSecond := ids / Seconds
	hot, id := []byte("earbuds"), make([]byte, 0, MaxID)
	var before runtime.MemStats
	w.turn()
	next := 0
	for range Seconds {
		for i := range perSecond {
			next++
			id = strconv.AppendInt(append(id[:0], "sku-"...), int64(next), 10)
			if next%sampled == 0 { // what Saw does, without chance
				w.note(id)
			}
			if i%(perSecond/1000*sampled) == 0 {
				w.note(hot)
			}
			if i%(slots/2) == 0 {
				w.empty()
			}
		}
		w.turn()
		if before.HeapAlloc == 0 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
	}
	top := w.Top(10, 500)
	if len(top) != 1 || top[0].ID != "earbuds" || top[0].PerSecond < 700 || top[0].PerSecond > 1100 {
		t.Errorf("%+v", top)
	}
	if w.Dropped() != 0 {
		t.Errorf("%d were dropped", w.Dropped())
	}
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc+8<<20 || after.HeapAlloc > 32<<20 {
		t.Errorf("the heap went from %d to %d", before.HeapAlloc, after.HeapAlloc)
	}
	runtime.KeepAlive(w)
}

// TestWindow: what was hot is not any more once the window is past it.
func TestWindow(t *testing.T) {
	w := New()
	for i := range 1000 {
		w.note([]byte(fmt.Sprint("sku-", i%3)))
	}
	for range Seconds {
		w.turn()
		if got := w.Top(2, 1); len(got) != 2 || got[0].ID != "sku-0" || got[0].PerSecond != 334.0*sampled/Seconds {
			t.Fatalf("%+v", got)
		}
	}
	if w.turn(); len(w.Top(9, 0)) != 0 {
		t.Errorf("%+v", w.Top(9, 0))
	}
}

// TestSummaryAgainstExact: no id is told to have more than it has, and those with more than
// an even part are all there.
func TestSummaryAgainstExact(t *testing.T) {
	w := New()
	exact := map[string]int{}
	for i := range 300_000 {
		id := fmt.Sprint("sku-", i)
		if i%10 == 0 {
			id = fmt.Sprint("hot-", i%70)
		}
		exact[id]++
		w.note([]byte(id))
		if i%1000 == 0 {
			w.empty()
		}
	}
	w.turn()
	top := w.Top(1<<20, 0)
	for _, c := range top {
		if got := int(c.PerSecond*Seconds/sampled + 0.5); got > exact[c.ID] {
			t.Fatalf("%s: %d of %d", c.ID, got, exact[c.ID])
		}
	}
	for id, n := range exact {
		if n > 300_000/counters && !slices.ContainsFunc(top, func(c Count) bool { return c.ID == id }) {
			t.Errorf("%s with %d is not there", id, n)
		}
	}
}

func TestSawTakesNothing(t *testing.T) {
	w, id := New(), []byte("mask-50")
	if n := testing.AllocsPerRun(10_000, func() { w.Saw(id) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	w.note(make([]byte, MaxID+1)) // not one of ours
	w.note(nil)
}

func BenchmarkSaw(b *testing.B) {
	w, id := New(), []byte("mask-50")
	go w.Run(b.Context())
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			w.Saw(id)
		}
	})
}

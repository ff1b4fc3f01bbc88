package ledger

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"doorbuster/engine"
)

// volume is how many settled orders the tests below go by; "make ledger" asks for
// millions.
var volume = flag.Int("ledger.orders", 20_000, "settled orders")

// heap gives what is in use after a collection.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers held goes with the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryComesBack: ten sessions that were sold out and settled leave next to
// nothing in memory, and their orders are found.
func TestMemoryComesBack(t *testing.T) {
	s := newShop(t)
	l := s.keep(quiet(t.TempDir()), nil)
	s.open()
	each := min(*volume/10, 50_000)
	first := s.day("first", each, true) // tables and maps have grown once
	s.reached(l)
	before := heap()
	var last *engine.Session
	for i := range 10 {
		last = s.day(fmt.Sprint("day", i), each, true)
		s.reached(l)
	}
	most, after := before+before/10+int64(256<<10), heap()
	for deadline := time.Now().Add(patience); after > most && time.Now().Before(deadline); after = heap() {
		time.Sleep(10 * time.Millisecond) // what writes may still have the last entries in hand
	}
	t.Logf("%d orders each: %d KiB before, %d KiB after", each, before>>10, after>>10)
	if after > most {
		t.Errorf("%d bytes before, %d after ten sessions of %d were settled", before, after, each)
	}
	for _, x := range []*engine.Session{first, last} {
		if o, found, err := l.Order(engine.OrderRef{Session: x.Handle, Ordinal: uint32(each)}); err != nil || !found || o.Shopper != fmt.Sprint("s", each-1) {
			t.Errorf("%+v, %v, %v", o, found, err)
		}
	}
}

// TestLookUpsUnderARush: orders that were settled are looked up while 10,000 a
// second are granted. How quick that is, it tells; that the ledger keeps up with
// all of it, it demands.
func TestLookUpsUnderARush(t *testing.T) {
	s := newShop(t)
	c := quiet(t.TempDir())
	c.CommitEvery = 50 * time.Millisecond
	l := s.keep(c, nil)
	s.open()
	const session = 50_000
	began := time.Now()
	for sold := 0; sold < *volume; sold += session {
		s.day(fmt.Sprint("past", sold/session), min(session, *volume-sold), true)
		s.reached(l)
	}
	t.Logf("%d orders are settled after %s, %d MiB", *volume, time.Since(began).Round(time.Second), l.Stats().Bytes>>20)
	rush := time.Second
	if *volume > 1_000_000 {
		rush = 30 * time.Second
	}
	x := s.sell("now", 10_000_000)
	stop := make(chan struct{})
	looked := make(chan [2][]time.Duration)
	go func() {
		var took [2][]time.Duration
		random := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				looked <- took
				return
			case <-time.After(time.Millisecond):
			}
			at := time.Now()
			n := random.IntN(*volume)
			ref := engine.OrderRef{Session: engine.SessionHandle(1 + n/session), Ordinal: uint32(1 + n%session)}
			o, found, err := l.Order(ref)
			if !found || err != nil {
				t.Errorf("%v: %v, %v", ref, found, err)
			}
			took[0] = append(took[0], time.Since(at))
			at, n = time.Now(), 0
			if err := l.OrdersOf(o.Shopper, engine.OrderRef{}, 0, func(*engine.OrderRecord) bool { n++; return n < 20 }); err != nil || n == 0 {
				t.Errorf("%s has %d orders, %v", o.Shopper, n, err)
			}
			took[1] = append(took[1], time.Since(at))
		}
	}()
	granted, behind := 0, time.Duration(0)
	for at := time.Now(); time.Since(at) < rush; {
		var holds []engine.Command
		for due := int(time.Since(at).Seconds() * 10_000); granted < due && len(holds) < 256; granted++ {
			holds = append(holds, s.hold(x, fmt.Sprint("n", granted)))
		}
		if len(holds) == 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		s.clock++
		s.do(holds...)
		behind = max(behind, l.Stats().Behind)
	}
	close(stop)
	took := <-looked
	at := time.Now()
	s.reached(l)
	for i, what := range []string{"by number", "by shopper"} {
		slices.Sort(took[i])
		t.Logf("%s: %d look-ups, p50 %s, p99 %s", what, len(took[i]), took[i][len(took[i])/2], took[i][len(took[i])*99/100])
	}
	t.Logf("%d grants; the ledger was at most %s of state time behind, and had all %s after the end", granted, behind, time.Since(at).Round(time.Millisecond))
	if st := l.Stats(); st.Gaps != 0 || st.Rebuilds != 0 || !st.Whole {
		t.Errorf("%+v", st)
	}
}

package actors_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestFollowerAsksBeforeItShows: however fresh it is; the leader need not ask.
func TestFollowerAsksBeforeItShows(t *testing.T) {
	leader, follower, w := openPair(t, 20*time.Second)
	follower.plan("day", nil, units("mask", 3))
	before := w.syncs.Load()
	for _, s := range []*testShop{follower, leader} {
		if v, ok, err := s.Listing("day", "mask"); !ok || err != nil || v.Stock != 3 {
			t.Error(v, ok, err)
		}
		if x, version, err := s.Sessions(0); len(x) != 1 || len(x[0].Listings) != 1 || version == 0 || err != nil {
			t.Error(x, version, err)
		}
	}
	if n := w.syncs.Load() - before; n != 2 {
		t.Errorf("the follower asked %d times for 2 looks", n)
	}
	if n := leader.Others().(*wire).syncs.Load(); n != 0 {
		t.Errorf("the leader asked %d times", n)
	}
	w.mu.Lock()
	w.cut = true
	w.mu.Unlock()
	if _, _, err := follower.Listing("day", "mask"); !errors.Is(err, engine.ErrNotLeader) {
		t.Errorf("shown without a leader: %v", err)
	}
	if _, _, err := follower.Sessions(0); !errors.Is(err, engine.ErrNotLeader) {
		t.Errorf("all shown without a leader: %v", err)
	}
}

// TestKeptPagesNeverRise: lookers who keep what they were given, by its version,
// as the front door does, never see stock rise, while it sells and comes back.
func TestKeptPagesNeverRise(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 200))
	type page struct {
		version uint64
		stock   int64
	}
	var kept atomic.Pointer[page]
	look := func() int64 {
		now := page{}
		if p := kept.Load(); p != nil {
			now = *p
		}
		x, version, err := s.Sessions(now.version)
		if err != nil {
			t.Error(err)
		}
		if x != nil {
			now = page{version, x[0].Listings[0].Stock}
			if version != 0 {
				kept.Store(&now)
			}
		}
		return now.stock
	}
	var lookers sync.WaitGroup
	var done atomic.Bool
	for range 3 {
		lookers.Go(func() {
			for last, looks := int64(200), 0; !done.Load() || looks < 2; looks++ {
				stock := look()
				if stock > last {
					t.Errorf("%d units on display after %d", stock, last)
				}
				last = stock
				v, _, err := s.Listing("day", "mask")
				if err != nil || v.Stock > last {
					t.Errorf("%d units on display after %d: %v", v.Stock, last, err)
				}
				last = v.Stock
			}
		})
	}
	for i := range 300 {
		a := s.grab("day/skus/mask", fmt.Sprint("s", i), "k")
		if a.Code == engine.CodeGranted && i%3 == 0 {
			if _, err := s.Cancel(t.Context(), fmt.Sprint("s", i), a.No.String()); err != nil {
				t.Fatal(err)
			}
		}
	}
	done.Store(true)
	lookers.Wait()
	if stock := look(); stock != 0 {
		t.Errorf("%d units on display in the end", stock)
	}
}

package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"doorbuster/engine"
)

// TestLooksShareARound: whoever comes while the leader is being asked waits for
// the next question, and all of them for the same one.
func TestLooksShareARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rounds
		var served atomic.Int64
		asked, answer := make(chan int), make(chan struct{})
		asks := 0
		ask := func(context.Context) error {
			asks++
			asked <- asks
			<-answer
			return nil
		}
		look := func() {
			if err := r.await(ask); err != nil {
				t.Error(err)
			}
			served.Add(1)
		}
		go look()
		if n := <-asked; n != 1 {
			t.Fatalf("question %d", n)
		}
		const storm = 1000
		for range storm {
			go look()
		}
		synctest.Wait()
		answer <- struct{}{}
		<-asked
		synctest.Wait()
		if n := served.Load(); n != 1 {
			t.Errorf("%d were served by the question that was asked before they came", n-1)
		}
		answer <- struct{}{}
		synctest.Wait()
		if n := served.Load(); n != 1+storm || asks != 2 {
			t.Errorf("%d served by %d questions, want %d by 2", n, asks, 1+storm)
		}
		go look() // nobody had waited meanwhile
		if n := <-asked; n != 3 {
			t.Errorf("question %d", n)
		}
		answer <- struct{}{}
	})
}

// TestLooksDoNotWaitForEver: where no leader answers, nobody waits longer than
// the display's patience, also not who came in the middle of a round.
func TestLooksDoNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rounds
		ask := func(ctx context.Context) error {
			<-ctx.Done()
			return engine.ErrNotLeader
		}
		var lookers sync.WaitGroup
		for i := range 5 {
			lookers.Go(func() {
				time.Sleep(time.Duration(i) * 130 * time.Millisecond)
				since := time.Now()
				if err := r.await(ask); !errors.Is(err, engine.ErrNotLeader) {
					t.Error(err)
				}
				if waited := time.Since(since); waited > displayPatience {
					t.Errorf("looker %d waited %s", i, waited)
				}
			})
		}
		lookers.Wait()
	})
}

// TestFollowerAsksBeforeItShows: however fresh it is; the leader need not ask.
func TestFollowerAsksBeforeItShows(t *testing.T) {
	leader, follower, w := openPair(t, 20*time.Second)
	follower.plan("day", nil, units("mask", 3))
	before := w.syncs.Load()
	for _, s := range []*shop{follower, leader} {
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
	if n := leader.others.(*wire).syncs.Load(); n != 0 {
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

package actors_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/actors"
	"doorbuster/engine"
)

// TestSlotsAmongIncarnations has sessions settled, actors panic, epochs change and
// the state restored while grabs are undecided: every grab is answered once, with an
// answer of its own, and no slot stays behind.
func TestSlotsAmongIncarnations(t *testing.T) {
	const sessions, shoppers, rounds = 4, 24, 12
	// the crowd takes all the processor there is
	s := openShop(t, func(c *actors.Config) { c.CommandTimeout = time.Minute })
	s.SetLedger(lostLedger{})
	var grabs atomic.Int64
	s.OnGrab(func(string) {
		if grabs.Add(1)%499 == 0 {
			panic("as the test wants")
		}
	})
	var round atomic.Int64
	listing := func(n int64, i int) string { return fmt.Sprintf("r%d-%d/skus/mask", n, i) }
	plan := func(n int64) {
		for i := range sessions {
			s.plan(fmt.Sprintf("r%d-%d", n, i), nil, units("mask", shoppers/2))
		}
	}
	plan(0)
	stop := make(chan struct{})
	var crowd sync.WaitGroup
	for i := range shoppers {
		crowd.Add(1)
		go func() {
			defer crowd.Done()
			who := fmt.Sprintf("shopper-%d", i)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				a := s.grab(listing(round.Load(), n%sessions), who, fmt.Sprintf("k%d", n/sessions%3))
				if a.Code != engine.CodeGranted {
					time.Sleep(time.Millisecond) // else who ends and settles sessions hardly comes to its turn
					continue
				}
				s.log.View(func(state *engine.State) {
					o := state.Order(a.Order)
					if o != nil && state.ShopperID(o.Shopper) != who { // nil: settled meanwhile
						t.Errorf("%s was given an order of %s", who, state.ShopperID(o.Shopper))
					}
				})
			}
		}()
	}
	for n := range int64(rounds) {
		plan(n + 1)
		for i := range sessions {
			name := fmt.Sprintf("r%d-%d", n, i)
			if _, err := s.Steer(t.Context(), engine.By{Operator: "ops"}, name, engine.SessionEnd, ""); err != nil {
				t.Fatal(err)
			}
		}
		s.settleNow(t, n, sessions)
		round.Store(n + 1)
		switch n % 3 {
		case 1:
			s.log.openEpoch(t, s.Now())
		case 2:
			s.EpochClosed()
			s.log.mu.Lock()
			s.Restored(s.log.state)
			s.log.mu.Unlock()
			s.log.openEpoch(t, s.Now())
		}
	}
	close(stop)
	crowd.Wait()
	if err := s.LeavesNothing(); err != nil {
		t.Error(err)
	}
}

// TestRetiredActorStops however late those in flight at it are answered, or given up.
func TestRetiredActorStops(t *testing.T) {
	for name, fails := range map[string]bool{"answered": false, "given up": true} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t, nil)
			s.plan("day", nil, units("mask", 2))
			gate := s.Gate("day/skus/mask")
			release := s.log.holdEntries()
			s.log.setFail(fails)
			s.Nudge() // so that both grabs gather for the entry after
			await(t, "the entry", func() bool { return s.log.held.Load() == 1 })
			var answered sync.WaitGroup
			for i := range 2 {
				answered.Add(1)
				s.HandToActor("day/skus/mask", fmt.Sprint("shopper-", i), "k", replyFunc(func() {
					defer answered.Done()
					await(t, "the actor to look", gate.AllTold)
				}))
			}
			await(t, "both to be gathered", func() bool { return s.Gathered() == 2 })
			s.log.mu.Lock()
			s.Restored(s.log.state)
			s.log.mu.Unlock()
			release()
			answered.Wait()
			await(t, "the actor to stop", func() bool { return s.Retired() == 0 })
		})
	}
}

// settleNow pays for nothing and settles the sessions of a round: what is held in
// them is voided first.
func (s *testShop) settleNow(t *testing.T, n int64, sessions int) {
	t.Helper()
	for i := range sessions {
		name := fmt.Sprintf("r%d-%d", n, i)
		var held []string
		s.log.View(func(state *engine.State) {
			x := state.Session(name)
			for ordinal := 1; ordinal <= x.Orders(); ordinal++ {
				ref := engine.OrderRef{Session: x.Handle, Ordinal: uint32(ordinal)}
				if o := state.Order(ref); o != nil && o.State == engine.Held {
					held = append(held, state.OrderNo(ref))
				}
			}
		})
		for _, no := range held {
			if _, err := s.Void(t.Context(), engine.By{Operator: "ops"}, no, ""); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Settle(t.Context(), engine.By{Operator: "ops"}, name, ""); err != nil {
			t.Fatal(err)
		}
	}
}

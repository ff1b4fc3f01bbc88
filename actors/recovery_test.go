package actors_test

import (
	"errors"
	"testing"
	"time"

	"doorbuster/actors"
	"doorbuster/actors/backoffice"
	"doorbuster/engine"
)

// recovering is a group that has taken in a state from before its last entries,
// and has not led since.
func recovering(t *testing.T, from *testShop, timeout time.Duration) *testShop {
	t.Helper()
	cfg := actors.DefaultConfig()
	cfg.GrabTimeout, cfg.CommandTimeout = timeout, timeout
	g, err := backoffice.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	log := newMemoryLog(g)
	g.Connect(log, log)
	if from != nil {
		log.state, log.index = from.log.state, from.log.index
		g.Restored(log.state)
	}
	t.Cleanup(func() {
		g.Close()
		close(log.entries)
		<-log.done
	})
	return &testShop{Office: g, log: log, t: t}
}

// TestNothingIsDeniedWhileRecovering: what a node that has not caught up does
// not know may well be there.
func TestNothingIsDeniedWhileRecovering(t *testing.T) {
	before := openShop(t, nil)
	before.plan("day", nil, units("mask", 1))
	held := before.grab("day/skus/mask", "alice", "k")
	if held.Code != engine.CodeGranted {
		t.Fatal(held)
	}
	orderNo := held.No.String()
	for name, from := range map[string]*testShop{"no state yet": nil, "an older state": before} {
		t.Run(name, func(t *testing.T) {
			s := recovering(t, from, 10*time.Millisecond)
			for _, who := range []string{"alice", "bob"} {
				if a := s.grab("day/skus/mask", who, "k"); a.Code != engine.CodeProcessing || a.Deadline == 0 {
					t.Errorf("%s's grab: %+v", who, a)
				}
			}
			if _, _, err := s.GrabByKey([]byte("bob"), []byte("k"), 1); !errors.Is(err, engine.ErrNotLeader) {
				t.Errorf("grab by key: %v", err)
			}
			for what, ask := range map[string]func() error{
				"order":     func() error { _, err := s.Order("alice", orderNo); return err },
				"any order": func() error { _, err := s.AnyOrder(orderNo); return err },
				"orders":    func() error { _, _, err := s.Orders("alice", "", "", 10); return err },
				"find orders": func() error {
					_, _, err := s.FindOrders(engine.OrderFilter{Session: "day"})
					return err
				},
				"listing":  func() error { _, _, err := s.Listing("day", "mask"); return err },
				"sessions": func() error { _, _, err := s.Sessions(0); return err },
				"counts":   func() error { _, err := s.Counts("day", "mask"); return err },
				"cancel":   func() error { _, err := s.Cancel(t.Context(), "alice", orderNo); return err },
				"pay": func() error {
					_, err := s.Pay(t.Context(), engine.Payment{OrderNo: orderNo, ID: "p", Amount: 100,
						Currency: "CNY"})
					return err
				},
				"void": func() error {
					_, err := s.Void(t.Context(), engine.By{Operator: "ops"}, orderNo, "")
					return err
				},
				"add stock": func() error {
					_, err := s.AddStock(t.Context(), engine.By{Operator: "ops"}, "day", "mask", 1, "")
					return err
				},
				"steer": func() error {
					_, err := s.Steer(t.Context(), engine.By{Operator: "ops"}, "day", engine.SessionPause, "")
					return err
				},
				"plan": func() error {
					_, err := s.ApplyPlan(t.Context(), engine.By{Operator: "ops"}, &engine.Plan{}, true)
					return err
				},
			} {
				if err := ask(); !errors.Is(err, engine.ErrNotLeader) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// TestRecoveryIsWaitedFor: what came too early is answered once the node leads.
func TestRecoveryIsWaitedFor(t *testing.T) {
	before := openShop(t, nil)
	before.plan("day", nil, units("mask", 2))
	held := before.grab("day/skus/mask", "alice", "k")
	orderNo := held.No.String()
	s := recovering(t, before, 20*time.Second)
	grabs, listed, paid := make(chan engine.Answer, 2), make(chan bool, 1), make(chan error, 1)
	for _, who := range []string{"alice", "bob"} {
		go func() { grabs <- s.grab("day/skus/mask", who, "k") }()
	}
	go func() { _, ok, err := s.Listing("day", "mask"); listed <- ok && err == nil }()
	go func() {
		_, err := s.Pay(t.Context(), engine.Payment{OrderNo: orderNo, ID: "p", Amount: 100, Currency: "CNY"})
		paid <- err
	}()
	s.log.openEpoch(t, s.Now())
	one, other := <-grabs, <-grabs
	if one.Code != engine.CodeGranted || other.Code != engine.CodeGranted ||
		(one.Order == held.Order) == (other.Order == held.Order) {
		t.Errorf("alice, who holds %v, and bob were told %+v and %+v", held.Order, one, other)
	}
	if !<-listed {
		t.Error("the listing was denied")
	}
	if err := <-paid; err != nil {
		t.Error("pay:", err)
	}
}

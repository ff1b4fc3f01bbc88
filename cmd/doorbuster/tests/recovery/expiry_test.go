package recovery

import (
	"fmt"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestHoldRunsOutWhileKilled: a unit whose time to pay ends while there is no
// process is back after the restart, and sells again exactly once.
func TestHoldRunsOutWhileKilled(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Soon(1))
	held := s.MustGrant("alice", "k", nodetest.Mask)
	s.Child.Process.Kill()
	s.Wait()
	time.Sleep(time.Until(held.PayBy.Add(10 * time.Millisecond)))
	if status, out, errs := nodetest.Tool(t, "", "wal", "verify", s.Dir); status != 0 {
		t.Errorf("the log: %s%s", out, errs)
	}
	s = nodetest.Open(t, s.Dir)
	if a := s.Order("alice", held.OrderNo); a.Order.State != "expired" {
		t.Errorf("alice's order: %s", a.Body)
	}
	s.Apply(nodetest.Masks(1, "pay_within: 30m", "pay_grace: 0s")) // what sells now stays sold
	granted := nodetest.Crowd(20, func(i int) nodetest.Reply {
		return s.Grab(fmt.Sprintf("shopper%d", i), "k", nodetest.Mask)
	})
	yes := 0
	for _, a := range granted {
		if a.Code == "granted" {
			yes++
		} else if a.Code != "sold_out" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if yes != 1 {
		t.Errorf("the unit sold %d times again", yes)
	}
	if again := s.MustGrant("alice", "k", nodetest.Mask); again.OrderNo != held.OrderNo || again.State != "expired" {
		t.Errorf("alice asks again: %+v", again)
	}
	s.Expect(nodetest.Mask, 0, 1, 0)
}

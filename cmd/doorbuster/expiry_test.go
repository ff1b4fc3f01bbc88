package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// timed is a shop in this process on a clock that the test sets.
type timed struct {
	*nodetest.Shop
	ahead   time.Duration // of the machine's clock
	closing func()
}

func openTimed(t *testing.T, plan string) *timed {
	t.Helper()
	s := new(timed)
	s.open(t, t.TempDir())
	s.Apply(plan)
	return s
}

func (s *timed) open(t *testing.T, dir string) {
	t.Helper()
	ahead := s.ahead
	s.Shop, _, s.closing = openBare(t, dir, func(c *Config) {
		c.wall = func() time.Time { return time.Now().Add(ahead) }
	})
}

// pass lets time pass while the process is down.
func (s *timed) pass(d time.Duration) {
	s.T.Helper()
	s.closing()
	s.ahead += d
	s.open(s.T, s.Dir)
}

// halfHour is a plan whose holds end half an hour after their grant.
func halfHour(stock int, grace string) string {
	return nodetest.Masks(stock, "pay_within: 30m", "pay_grace: "+grace)
}

// Units that nobody paid for come back and sell again, once each.
func TestUnpaidUnitsSellAgainOnceEach(t *testing.T) {
	t.Parallel()
	s := openTimed(t, halfHour(5, "0s"))
	paid := s.MustGrant("payer", "", nodetest.Mask)
	if a := s.Pay(paid, "p1"); a.Order.State != "paid" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	unpaid := make([]nodetest.Order, 4)
	for i := range unpaid {
		unpaid[i] = s.MustGrant(fmt.Sprintf("first%d", i), "k", nodetest.Mask)
	}
	s.MustRefuse("sold_out", "early", "", nodetest.Mask)
	s.pass(29 * time.Minute)
	s.MustRefuse("sold_out", "early", "", nodetest.Mask)
	s.pass(2 * time.Minute)
	s.Expect(nodetest.Mask, 4, 0, 1)
	for i, o := range unpaid {
		shopper := fmt.Sprintf("first%d", i)
		if a := s.Order(shopper, o.OrderNo); a.Order.State != "expired" {
			t.Errorf("%s: %s", shopper, a.Body)
		}
		// The old key still tells of the old order, and is no way to a new one.
		if again := s.MustGrant(shopper, "k", nodetest.Mask); again.OrderNo != o.OrderNo || again.State != "expired" {
			t.Errorf("%s: %+v", shopper, again)
		}
	}
	granted := 0
	for _, a := range nodetest.Crowd(30,
		func(i int) nodetest.Reply { return s.Grab(fmt.Sprintf("second%d", i), "", nodetest.Mask) }) {
		if a.Code == "granted" {
			granted++
		} else if a.Code != "sold_out" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if c := s.Counts(nodetest.Mask); granted != 4 || c.Held != 4 || c.Paid != 1 {
		t.Errorf("%d were granted of the 4 that came back: %+v", granted, c)
	}
}

// A process that is down when holds end finds them when it comes back.
func TestExpiryWhileDown(t *testing.T) {
	t.Parallel()
	s := openTimed(t, halfHour(2, "0s"))
	s.MustGrant("alice", "", nodetest.Mask)
	s.MustGrant("bob", "", nodetest.Mask)
	s.pass(40 * time.Minute)
	s.Expect(nodetest.Mask, 2, 0, 0)
	s.MustGrant("carol", "", nodetest.Mask)
	if again := s.MustGrant("alice", "", nodetest.Mask); again.State != "held" {
		t.Errorf("alice's eligibility did not come back: %+v", again)
	}
	s.MustRefuse("sold_out", "dave", "", nodetest.Mask)
	s.Expect(nodetest.Mask, 0, 2, 0)
	s.pass(40 * time.Minute)
	s.Expect(nodetest.Mask, 2, 0, 0)
}

// A session whose start and end both pass while the process is down is over.
func TestSessionPassesWhileDown(t *testing.T) {
	t.Parallel()
	s := openTimed(t, strings.Replace(nodetest.Masks(2, "duration: 1h"), "start: now", "start: +1h", 1))
	s.MustRefuse("not_open", "alice", "", nodetest.Mask)
	s.pass(3 * time.Hour)
	s.Eventually(func() bool { return s.Counts(nodetest.Mask).State == "ended" },
		func() string { return fmt.Sprint(s.Counts(nodetest.Mask)) })
	s.MustRefuse("ended", "alice", "", nodetest.Mask)
}

// Cancelling gives back the unit and the right to another; after three releases
// it is enough, or one shopper could keep units from all others.
func TestCancelGivesBackThreeTimes(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(1))
	for i := range 3 {
		o := s.MustGrant("alice", fmt.Sprintf("k%d", i), nodetest.Mask)
		s.MustRefuse("sold_out", "bob", "", nodetest.Mask)
		if a := s.CancelOrder("alice", o.OrderNo); a.Status != 200 || a.Order.State != "cancelled" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if a := s.CancelOrder("alice", o.OrderNo); a.Status != 200 || a.Order.State != "cancelled" {
			t.Errorf("cancelling twice: %d %s", a.Status, a.Body)
		}
		if a := s.CancelOrder("bob", o.OrderNo); a.Status != 404 {
			t.Errorf("bob cancels alice's order: %d %s", a.Status, a.Body)
		}
		s.Expect(nodetest.Mask, 1, 0, 0)
	}
	before := s.Counts(nodetest.Mask)
	for range 50 {
		if a := s.MustRefuse("limit_reached", "alice", "", nodetest.Mask); a.Order.OrderNo != "" {
			t.Fatalf("no order of hers is live: %s", a.Body)
		}
	}
	if after := s.Counts(nodetest.Mask); after != before {
		t.Errorf("from %+v to %+v", before, after)
	}
	s.MustGrant("bob", "", nodetest.Mask)
}

// Letting a hold expire counts as a release, too.
func TestExpiryCountsAsRelease(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Soon(1))
	for range 3 {
		s.MustGrant("alice", "", nodetest.Mask)
		s.Expect(nodetest.Mask, 1, 0, 0)
	}
	s.MustRefuse("limit_reached", "alice", "", nodetest.Mask)
}

// Who pays within the grace has paid in time: the unit was not given away.
func TestGraceHoldsTheUnit(t *testing.T) {
	t.Parallel()
	s := openTimed(t, halfHour(1, "30m"))
	o := s.MustGrant("alice", "", nodetest.Mask)
	s.pass(45 * time.Minute)
	s.MustRefuse("sold_out", "bob", "", nodetest.Mask)
	if a := s.Pay(o, "p1"); a.Status != 200 || a.Order.State != "paid" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	s.Expect(nodetest.Mask, 0, 0, 1)
}

// Money that comes after the unit was sold to another is given back, and the
// other keeps the unit.
func TestLatePaymentTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Soon(1))
	late := s.MustGrant("late", "", nodetest.Mask)
	s.Expect(nodetest.Mask, 1, 0, 0)
	quick := s.MustGrant("quick", "", nodetest.Mask)
	if a := s.Pay(quick, "p1"); a.Order.State != "paid" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := s.Pay(late, "p2"); a.Status != 200 || a.Order.State != "refund_due" {
		t.Errorf("late: %d %s", a.Status, a.Body)
	}
	s.Expect(nodetest.Mask, 0, 0, 1)
	if a := s.Order("quick", quick.OrderNo); a.Order.State != "paid" {
		t.Errorf("quick: %s", a.Body)
	}
}

// The same late money gets the unit if it is still free.
func TestLatePaymentTakesAFreeUnit(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Soon(1))
	late := s.MustGrant("late", "", nodetest.Mask)
	s.Expect(nodetest.Mask, 1, 0, 0)
	if a := s.Pay(late, "p1"); a.Status != 200 || a.Order.State != "paid" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	s.Expect(nodetest.Mask, 0, 0, 1)
}

// An extended hold lasts, also beyond a restart.
func TestExtendedHold(t *testing.T) {
	t.Parallel()
	s := openTimed(t, halfHour(2, "0s"))
	kept, lost := s.MustGrant("alice", "", nodetest.Mask), s.MustGrant("bob", "", nodetest.Mask)
	until := time.Now().Add(3 * time.Hour).UTC().Format(time.RFC3339)
	if a := s.Ops("POST", "/admin/v1/orders/"+kept.OrderNo+"/extend",
		`{"pay_by":"`+until+`","note":"phoned"}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.pass(40 * time.Minute)
	s.Expect(nodetest.Mask, 1, 1, 0)
	if a := s.Order("bob", lost.OrderNo); a.Order.State != "expired" {
		t.Errorf("bob: %s", a.Body)
	}
	if a := s.Order("alice", kept.OrderNo); a.Order.State != "held" || a.Order.PayBy.Format(time.RFC3339) != until {
		t.Errorf("alice: %s", a.Body)
	}
}

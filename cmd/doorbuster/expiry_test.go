package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// soon is a plan whose holds end a second after their grant.
func soon(stock int) string { return masks(stock, "pay_within: 1s", "pay_grace: 0s") }

// Units that nobody paid for come back and sell again, once each.
func TestUnpaidUnitsSellAgainOnceEach(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(5, "pay_within: 3s", "pay_grace: 0s"))
	paid := s.mustGrant("payer", "", mask)
	if a := s.pay(paid, "p1"); a.Order.State != "paid" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	unpaid := make([]order, 4)
	for i := range unpaid {
		unpaid[i] = s.mustGrant(fmt.Sprintf("first%d", i), "k", mask)
	}
	s.mustRefuse("sold_out", "early", "", mask)
	s.expect(mask, 4, 0, 1)
	if now := time.Now(); now.Before(unpaid[0].PayBy.Add(-100 * time.Millisecond)) {
		t.Errorf("released at %s, which is before %s", now, unpaid[0].PayBy)
	}
	for i, o := range unpaid {
		shopper := fmt.Sprintf("first%d", i)
		if a := s.order(shopper, o.OrderNo); a.Order.State != "expired" {
			t.Errorf("%s: %s", shopper, a.Body)
		}
		// The old key still tells of the old order, and is no way to a new one.
		if again := s.mustGrant(shopper, "k", mask); again.OrderNo != o.OrderNo || again.State != "expired" {
			t.Errorf("%s: %+v", shopper, again)
		}
	}
	granted := 0
	for _, a := range crowd(30, func(i int) reply { return s.grab(fmt.Sprintf("second%d", i), "", mask) }) {
		if a.Code == "granted" {
			granted++
		} else if a.Code != "sold_out" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if c := s.counts(mask); granted != 4 || c.Held != 4 || c.Paid != 1 {
		t.Errorf("%d were granted of the 4 that came back: %+v", granted, c)
	}
}

// A process that is down when holds end finds them when it comes back.
func TestExpiryWhileDown(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(soon(2))
	s.mustGrant("alice", "", mask)
	last := s.mustGrant("bob", "", mask)
	s.stop()
	time.Sleep(time.Until(last.PayBy) + 50*time.Millisecond)
	s = s.reopen()
	s.expect(mask, 2, 0, 0)
	s.mustGrant("carol", "", mask)
	if again := s.mustGrant("alice", "", mask); again.State != "held" {
		t.Errorf("alice's eligibility did not come back: %+v", again)
	}
	s.mustRefuse("sold_out", "dave", "", mask)
	s.expect(mask, 0, 2, 0)
	s.expect(mask, 2, 0, 0)
}

// A session whose start and end both pass while the process is down is over.
func TestSessionPassesWhileDown(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(strings.Replace(masks(2, "duration: 1s"), "start: now", "start: +1s", 1))
	s.mustRefuse("not_open", "alice", "", mask)
	s.stop()
	time.Sleep(2100 * time.Millisecond)
	s = s.reopen()
	s.eventually(func() bool { return s.counts(mask).State == "ended" }, func() string { return fmt.Sprint(s.counts(mask)) })
	s.mustRefuse("ended", "alice", "", mask)
}

// Cancelling gives back the unit and the right to another; after three releases
// it is enough, or one shopper could keep units from all others.
func TestCancelGivesBackThreeTimes(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(1))
	for i := range 3 {
		o := s.mustGrant("alice", fmt.Sprintf("k%d", i), mask)
		s.mustRefuse("sold_out", "bob", "", mask)
		if a := s.cancelOrder("alice", o.OrderNo); a.Status != 200 || a.Order.State != "cancelled" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if a := s.cancelOrder("alice", o.OrderNo); a.Status != 200 || a.Order.State != "cancelled" {
			t.Errorf("cancelling twice: %d %s", a.Status, a.Body)
		}
		if a := s.cancelOrder("bob", o.OrderNo); a.Status != 404 {
			t.Errorf("bob cancels alice's order: %d %s", a.Status, a.Body)
		}
		s.expect(mask, 1, 0, 0)
	}
	before := s.counts(mask)
	for range 50 {
		if a := s.mustRefuse("limit_reached", "alice", "", mask); a.Order.OrderNo != "" {
			t.Fatalf("no order of hers is live: %s", a.Body)
		}
	}
	if after := s.counts(mask); after != before {
		t.Errorf("from %+v to %+v", before, after)
	}
	s.mustGrant("bob", "", mask)
}

// Letting a hold expire counts as a release, too.
func TestExpiryCountsAsRelease(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(soon(1))
	for range 3 {
		s.mustGrant("alice", "", mask)
		s.expect(mask, 1, 0, 0)
	}
	s.mustRefuse("limit_reached", "alice", "", mask)
}

// Who pays within the grace has paid in time: the unit was not given away.
func TestGraceHoldsTheUnit(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(1, "pay_within: 1s", "pay_grace: 1m"))
	o := s.mustGrant("alice", "", mask)
	time.Sleep(time.Until(o.PayBy) + 50*time.Millisecond)
	s.mustRefuse("sold_out", "bob", "", mask)
	if a := s.pay(o, "p1"); a.Status != 200 || a.Order.State != "paid" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	s.expect(mask, 0, 0, 1)
}

// Money that comes after the unit was sold to another is given back, and the
// other keeps the unit.
func TestLatePaymentTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(soon(1))
	late := s.mustGrant("late", "", mask)
	s.expect(mask, 1, 0, 0)
	quick := s.mustGrant("quick", "", mask)
	if a := s.pay(quick, "p1"); a.Order.State != "paid" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := s.pay(late, "p2"); a.Status != 200 || a.Order.State != "refund_due" {
		t.Errorf("late: %d %s", a.Status, a.Body)
	}
	s.expect(mask, 0, 0, 1)
	if a := s.order("quick", quick.OrderNo); a.Order.State != "paid" {
		t.Errorf("quick: %s", a.Body)
	}
}

// The same late money gets the unit if it is still free.
func TestLatePaymentTakesAFreeUnit(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(soon(1))
	late := s.mustGrant("late", "", mask)
	s.expect(mask, 1, 0, 0)
	if a := s.pay(late, "p1"); a.Status != 200 || a.Order.State != "paid" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	s.expect(mask, 0, 0, 1)
}

// An extended hold lasts, also beyond a restart.
func TestExtendedHold(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(soon(2))
	kept, lost := s.mustGrant("alice", "", mask), s.mustGrant("bob", "", mask)
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	if a := s.ops("POST", "/admin/v1/orders/"+kept.OrderNo+"/extend", `{"pay_by":"`+until+`","note":"phoned"}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s = s.reopenAfterStop()
	s.expect(mask, 1, 1, 0)
	if a := s.order("bob", lost.OrderNo); a.Order.State != "expired" {
		t.Errorf("bob: %s", a.Body)
	}
	if a := s.order("alice", kept.OrderNo); a.Order.State != "held" || a.Order.PayBy.Format(time.RFC3339) != until {
		t.Errorf("alice: %s", a.Body)
	}
}

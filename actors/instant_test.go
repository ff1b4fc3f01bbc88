package actors_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/actors"
	"doorbuster/engine"
)

var instants = flag.Int("money.instants", 5_000, "orders that are paid, cancelled and overdue at the same instant")

// TestPaidExpiredCancelledAtOnce: whoever comes first, an order has one outcome;
// the payment has one verdict, which goes with it; and all nodes say the same.
func TestPaidExpiredCancelledAtOnce(t *testing.T) {
	s := openShop(t, func(c *actors.Config) { c.GrabTimeout, c.CommandTimeout = time.Minute, time.Minute })
	const payWithin = time.Second // the least that there is
	s.log.mu.Lock()
	for range 2 { // the other nodes begin with what this one has
		s.log.more = append(s.log.more, copyOf(t, s.log.state))
	}
	s.log.mu.Unlock()
	s.plan("day", func(x *engine.SessionPlan) { x.PayWithin = payWithin }, units("mask", int64(*instants)))
	var paid, back, late, cancelled, next atomic.Int64
	race := func(d *rand.Rand, i int) error {
		shopper := fmt.Sprint("s", i)
		a := s.grab("day/skus/mask", shopper, "k")
		if a.Code != engine.CodeGranted {
			return fmt.Errorf("grab: %v %v", a.Code, a.Reason)
		}
		no := a.No.String()
		// The instant is its PayBy, a little more or less; for some at once, or well
		// after it, so that each of the three comes first however busy the machine is.
		wait := time.Until(a.PayBy.Wall()) + time.Duration(d.IntN(60_000)-50_000)*time.Microsecond
		switch i % 20 {
		case 0:
			wait = 0
		case 1:
			wait += 300 * time.Millisecond
		}
		time.Sleep(wait)
		var receipt engine.Receipt
		var paying, cancelling error
		var both sync.WaitGroup
		pays := func() {
			receipt, paying = s.Pay(t.Context(), engine.Payment{OrderNo: no, ID: "p" + no, Amount: 100, Currency: "CNY",
				PaidAt: a.PayBy})
		}
		cancels := func() { _, cancelling = s.Cancel(t.Context(), shopper, no) }
		if d.IntN(2) == 0 {
			pays, cancels = cancels, pays
		}
		both.Go(pays)
		both.Go(cancels)
		both.Wait()
		v, err := s.AnyOrder(no)
		refusal := (*engine.Refusal)(nil)
		switch {
		case err != nil:
			return err
		case paying != nil:
			return fmt.Errorf("paying: %w", paying)
		case cancelling != nil && (!errors.As(cancelling, &refusal) || refusal.Reason != engine.ReasonNotHeld):
			return fmt.Errorf("cancelling: %w", cancelling)
		}
		switch {
		case receipt.Outcome == engine.PaymentTaken && v.State == engine.Paid && cancelling != nil:
			paid.Add(1)
			if receipt.Reason == engine.ReasonPaidLate {
				late.Add(1)
			}
		case receipt.Outcome == engine.PaymentToRefund && v.State == engine.RefundDue && cancelling == nil:
			back.Add(1)
			cancelled.Add(1)
		default:
			return fmt.Errorf("order %s is %s; the cashier was told %s (%s), the shopper %v", no, v.State,
				receipt.Outcome, receipt.Reason, cancelling)
		}
		return nil
	}
	var workers sync.WaitGroup
	for w := range 4000 {
		workers.Go(func() {
			d := rand.New(rand.NewPCG(1, uint64(w)))
			for i := int(next.Add(1)); i <= *instants; i = int(next.Add(1)) {
				if err := race(d, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	c := s.counts("day", "mask")
	if paid.Load()+back.Load() != int64(*instants) || c.Paid != paid.Load() || c.Held != 0 ||
		c.Available != c.Stock-c.Paid {
		t.Errorf("%d paid, %d to go back of %d; the listing says %+v", paid.Load(), back.Load(), *instants, c)
	}
	s.log.View(func(state *engine.State) {
		if n := len(state.Money().ViewRefunds(0, *instants+1)); int64(n) != back.Load() {
			t.Errorf("%d refunds are due; %d were told", n, back.Load())
		}
		for i, other := range s.log.more {
			if other.Hash() != state.Hash() {
				t.Errorf("node %d has another state", i+2)
			}
		}
	})
	t.Logf("%d paid, of them %d after they had expired; %d cancelled", paid.Load(), late.Load(), cancelled.Load())
	if paid.Load() == 0 || cancelled.Load() == 0 || late.Load() == 0 || late.Load() == paid.Load() {
		t.Error("one of the three never came first")
	}
}

// copyOf gives what a node has that begins with a snapshot.
func copyOf(t *testing.T, state *engine.State) *engine.State {
	t.Helper()
	var b bytes.Buffer
	if _, err := state.Snapshot().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	copied, err := engine.ReadState(&b)
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

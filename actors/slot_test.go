package actors

import (
	"math"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestExpiryWhileLending: who is just being lent a slot when others expire is told in their
// time, too.
func TestExpiryWhileLending(t *testing.T) {
	p := &slotPool{next: math.MaxInt64} // with nobody who watches
	w := make(waiter, 1)
	s := p.lend(&passing{Grab: &engine.Grab{}, expires: 2 * time.Second, reply: w}, nil)
	s.state.Store(slotFree) // not quite yet
	for _, now := range []time.Duration{time.Second, 3 * time.Second} {
		p.next = min(p.next, now) // somebody else's
		if late := p.expired(now); len(late) != 0 {
			t.Fatal("told before it was lent")
		}
	}
	s.state.Store(slotPending)
	if late := p.expired(4 * time.Second); len(late) != 1 {
		t.Errorf("%d told", len(late))
	}
}

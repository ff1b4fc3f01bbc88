package reconcile

import "doorbuster/engine"

// bits are numbers from 0 on, a bit each.
type bits []uint64

func (b *bits) set(n uint32) {
	for int(n/64) >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bits) has(n uint32) bool { return int(n/64) < len(b) && b[n/64]&(1<<(n%64)) != 0 }

// seen is what of our accounts the statement has had: the payments that orders were
// paid by, those that refunds give back, and the refunds themselves.
type seen struct {
	orders  map[engine.SessionHandle]*bits
	returns bits                      // by the refund's number: the payment
	refunds bits                      // by number
	late    map[string]bool           // payments that made a refund due in this run, by id
	parts   map[engine.RefundNo]int64 // what came to less than its refund: so far
}

func newSeen() *seen {
	return &seen{orders: map[engine.SessionHandle]*bits{}, late: map[string]bool{}, parts: map[engine.RefundNo]int64{}}
}

func (s *seen) order(ref engine.OrderRef) {
	b := s.orders[ref.Session]
	if b == nil {
		b = new(bits)
		s.orders[ref.Session] = b
	}
	b.set(ref.Ordinal)
}

func (s *seen) hasOrder(ref engine.OrderRef) bool {
	b := s.orders[ref.Session]
	return b != nil && b.has(ref.Ordinal)
}

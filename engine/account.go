package engine

// Money is what a state says of money: payments, refunds and accounts.
type Money struct{ s *State }

// Money gives what the state says of money, under the same lock.
func (s *State) Money() Money { return Money{s} }

// Account is what money an order has seen: a copy, whoever has it keeps it.
type Account struct {
	Order    OrderView
	Refunds  []Refund // the oldest first
	Timezone string   // of its sale
	GaveOut  bool     // of none: its number was given out in another life
}

// AccountKey asks for the account of an order, and for what is known of a payment
// besides.
type AccountKey struct {
	OrderNo   string // as it was given out
	PaymentID string
}

// Known reports whether there is such an order.
func (a *Account) Known() bool { return a.Order.State.Granted() }

// PaidBy tells what came with a payment: what the shopper paid, whether it is known at all,
// and the refund that gives it back, or nil.
func (a *Account) PaidBy(paymentID string) (amount int64, known bool, back *Refund) {
	for i := range a.Refunds {
		if r := &a.Refunds[i]; r.PaymentID == paymentID {
			amount, known, back = r.Amount, true, r
		}
	}
	if a.Order.PaymentID == paymentID {
		amount, known = a.Order.Amount-a.Order.Coupon, true
	}
	return amount, known, back
}

// Account gives the account of an order; false where it is not in the state. What
// the state still knows of an order that has left it, refunds and time zone, is
// there all the same.
func (m Money) Account(ref OrderRef) (a Account, known bool) {
	a.Order, known = m.s.View(ref)
	a.Refunds = m.refundsOf(ref)
	if x := m.s.SessionOf(ref.Session); x != nil {
		if sale := m.s.Sale(x.Sale); sale != nil {
			a.Timezone = sale.Timezone
		}
	}
	return a, known
}

// AccountBy gives the account that a key asks for, and which order it is; known as of
// Account. Money that came by the payment for no order of ours is in it, too.
func (m Money) AccountBy(key AccountKey) (a Account, ref OrderRef, known bool) {
	ref, _ = m.s.FindOrder(key.OrderNo)
	if a, known = m.Account(ref); !known {
		a.GaveOut = m.s.GaveOut(key.OrderNo)
	}
	if stray := m.strayOf(key.PaymentID); stray != nil {
		a.Refunds = append(a.Refunds, *stray)
	}
	return a, ref, known
}

// TakingsPlace is how far a walk through all takings has come: into a session, to an
// order of it.
type TakingsPlace struct {
	Session SessionHandle
	Ordinal uint32 // the last one read
}

// Takings visits the orders of a session, from the one after the given ordinal on,
// whose money came in [from, to), and reads at most so many rows for that. It gives
// the last ordinal that it has read; at the end of the session, done.
func (m Money) Takings(
	h SessionHandle, after uint32, from, to Time, rows int, visit func(OrderRef),
) (last uint32, done bool) {
	x := m.s.SessionOf(h)
	if x == nil {
		return after, true
	}
	for last = after; rows > 0 && int(last) < x.orders.len(); rows-- {
		last++
		ref := OrderRef{h, last}
		if d := m.s.detailsOf(ref); d.paid && d.paidAt >= from && d.paidAt < to {
			visit(ref)
		}
	}
	return last, int(last) >= x.orders.len()
}

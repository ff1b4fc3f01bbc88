package engine

import "pgregory.net/rapid"

// accounts are what money has come in, by the verdicts that were told: kept apart
// from the state and the model, so that the state is held against them too where
// there is no model.
type accounts struct {
	in      int64               // minor units that were taken
	settled int64               // of these, paid for orders that have left the state
	verdict map[string]OrderRef // by payment id, of those that the state has to know
}

// note follows a batch.
func (b *accounts) note(tb rapid.TB, s *State, commands []Command, eff *Effects) {
	if b.verdict == nil {
		b.verdict = map[string]OrderRef{}
	}
	for i, e := range eff.Primary {
		switch c := &commands[i]; {
		case e.Kind == SessionSettled:
			b.leave(tb, eff, c.Session)
		case c.Kind == CmdPayOrder:
			b.pay(tb, c, e)
		}
	}
	b.check(tb, s)
}

func (b *accounts) pay(tb rapid.TB, c *Command, e Event) {
	before, known := b.verdict[c.PaymentID]
	switch e.Kind {
	case OrderPaid, RefundBecameDue:
		if known {
			tb.Fatalf("payment %q has a second verdict, after that for order %v: %v", c.PaymentID, before, e)
		}
		told := c.Amount
		if e.Kind == RefundBecameDue {
			told -= c.Coupon
		}
		if e.Amount != told || e.Order != c.Order {
			tb.Fatalf("%d came for order %v: %v of %d", c.Amount, c.Order, e, e.Amount)
		}
		b.in += c.Amount - c.Coupon
		b.verdict[c.PaymentID] = c.Order
	case OrderUnchanged:
		if !known || before != c.Order {
			tb.Fatalf("payment %q came for order %v, known: %v; asked again: %v", c.PaymentID, before, known, e)
		}
	case CommandRefused:
		if known && before != c.Order && e.Reason != ReasonConflict && e.Reason != ReasonUnknown {
			tb.Fatalf("payment %q came for order %v: %v", c.PaymentID, before, e)
		}
	default:
		tb.Fatalf("no answer to a payment: %v", e)
	}
}

// leave follows the orders of a session out of the state: it forgets payments that
// no refund tells of.
func (b *accounts) leave(tb rapid.TB, eff *Effects, session SessionHandle) {
	for _, l := range eff.Leaving {
		for i := range l.Orders() {
			r, _ := l.Record(uint32(i) + 1)
			switch {
			case l.Session != session:
			case r.State == Paid || r.State == Completed:
				b.settled += r.Amount - r.Coupon
				if b.verdict[r.PaymentID] == r.Ref {
					delete(b.verdict, r.PaymentID)
				}
			case r.State == RefundDue || r.State == Held || r.State == Waiting || r.State == Entered ||
				r.State == Shipped || r.State == Received:
				tb.Fatalf("order %v has left while it was %v", r.Ref, r.State)
			}
		}
	}
}

// check adds up a state: what came in is what orders were paid with and what goes
// or has gone back, and each payment is one of both.
func (b *accounts) check(tb rapid.TB, s *State) {
	var paid, back int64
	homes, refunded := map[string]int{}, map[string]bool{}
	for i := range s.Money().Refunds() {
		r := s.Money().Refund(RefundNo(i + 1))
		back += r.Amount
		homes[r.PaymentID]++
		refunded[r.PaymentID] = true
	}
	for _, x := range s.Sessions() {
		for i := range x.orders.len() {
			if x.State == Settled { // counted when it was sealed
				break
			}
			ref := OrderRef{x.Handle, uint32(i) + 1}
			o, d := s.Order(ref), s.detailsOf(ref)
			bought := o.State == Paid || o.State == Shipped || o.State == Received || o.State == Completed
			mustHavePaid := bought || o.State == RefundDue || o.State == Refunded
			if o.Amount == 0 {
				mustHavePaid = false // it was paid with its grant
			}
			if d.paid != mustHavePaid {
				tb.Fatalf("order %v is %v, a payment settled it: %v", ref, o.State, d.paid)
			}
			switch {
			case bought && mustHavePaid:
				paid += o.Amount - d.coupon
				homes[d.payment]++
			case !mustHavePaid:
			case !refunded[d.payment]:
				tb.Fatalf("order %v is %v, and no refund tells of its payment %q", ref, o.State, d.payment)
			case (o.State == Refunded) != s.allMade(ref):
				tb.Fatalf("order %v is %v; its refunds %+v", ref, o.State, s.Money().refundsOf(ref))
			}
		}
	}
	if b.in != b.settled+paid+back {
		tb.Fatalf("%d came in; settled orders were paid with %d, others with %d, and %d is going back", b.in, b.settled,
			paid, back)
	}
	for id, n := range homes {
		if n > 1 {
			tb.Fatalf("payment %q is counted %d times", id, n)
		}
	}
	for id, ref := range b.verdict {
		if homes[id] != 1 || s.Money().PaymentOf(id) != ref {
			tb.Fatalf("payment %q came for order %v: counted %d times, the state says for %v", id, ref, homes[id],
				s.Money().PaymentOf(id))
		}
	}
}

package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"doorbuster/engine"
)

// Ledger keeps the orders that have left the state. Met by the ledger. Safe for
// concurrent use.
type Ledger interface {
	// Order gives an order as it is on disk, or false.
	Order(ref engine.OrderRef) (o engine.OrderRecord, found bool, err error)
	// PaidBy gives the order that a payment paid for, or false.
	PaidBy(paymentID string) (ref engine.OrderRef, found bool, err error)
	// OrdersOf walks a shopper's orders, the newest grant first, from behind the
	// one given on (the zero value: from the first), until yield says stop.
	OrdersOf(shopper string, after engine.OrderRef, granted engine.Time, yield func(*engine.OrderRecord) bool) error
	// Scan walks a session's orders from an ordinal on, until yield says stop.
	Scan(from engine.OrderRef, yield func(*engine.OrderRecord) bool) error
	// Await waits until everything up to index is on disk.
	Await(ctx context.Context, index engine.LogIndex) error
	// Recorded gives the index up to which the ledgers of all voters have everything
	// on disk, and the voters of which that is not known now.
	Recorded() (index engine.LogIndex, unknown []string)
}

// SetLedger gives the group what has left the state. Call it before grabs come in.
func (g *Group) SetLedger(ledger Ledger) { g.ledger = ledger }

// hasLeft tells whether there was such an order, and it is in the ledger alone.
func hasLeft(s *engine.State, ref engine.OrderRef) bool {
	x := s.SessionOf(ref.Session)
	return x != nil && x.Left() && ref.Ordinal > 0 && int(ref.Ordinal) <= x.Orders()
}

// retire frees what the gates of a settled session hold: nobody gets anything of it
// any more.
func (g *Group) retire(c *catalogue, gone *engine.Leaving) {
	for i := range gone.Listings {
		gate := c.gate(gone.Listings[i].Handle)
		gate.forget()
		g.retireActor(gate)
	}
}

// left notes that the orders of x are to be had from the ledger.
func (g *Group) left(x *engine.Session) {
	if at := uint64(x.Sealed); at > g.settledAt.Load() { // told by one goroutine at a time
		g.settledAt.Store(at)
	}
}

// retireActor has a gate's actor give back what it holds and stop, for good.
func (g *Group) retireActor(gate *gate) {
	gate.retired.Store(true)
	if pid := gate.pid.Load(); pid != nil {
		g.system.Root.Send(pid, &closed{})
	}
}

// recorded waits until this node's ledger has everything up to index, as long as a
// grab may take. Error: engine.ErrNoRecords.
func (g *Group) recorded(index engine.LogIndex) error {
	if g.ledger == nil || index == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.GrabTimeout)
	defer cancel()
	return unreadable(g.ledger.Await(ctx, index))
}

// unreadable says in the group's words that the ledger can't be read now.
func unreadable(err error) error {
	if err == nil || errors.Is(err, engine.ErrNotLeader) {
		return err
	}
	return fmt.Errorf("%w: %w", engine.ErrNoRecords, err)
}

// settledOrder gives an order that has left the state (hasLeft). Error:
// engine.ErrNoRecords where the ledger can't be read, or lacks it: nobody may be
// told that there is no such order.
func (g *Group) settledOrder(ref engine.OrderRef) (v engine.OrderView, err error) {
	o, found, err := g.settledRecord(ref)
	switch {
	case err != nil:
		return v, err
	case g.ledger == nil:
		return v, refusal(engine.ReasonUnknown)
	case !found:
		return v, engine.ErrNoRecords
	}
	return g.viewOf(&o), nil
}

// viewOf gives an order that has left the state as readers see it.
func (g *Group) viewOf(o *engine.OrderRecord) (v engine.OrderView) {
	g.view.View(func(s *engine.State) { v = s.ViewRecord(o) })
	return v
}

// settledRecord gives what the ledger has of an order, if it has it once it is as
// far as the last session that was settled.
func (g *Group) settledRecord(ref engine.OrderRef) (o engine.OrderRecord, found bool, err error) {
	if g.ledger == nil {
		return o, false, nil
	}
	if o, found, err = g.ledger.Order(ref); err == nil && !found {
		if err = g.recorded(engine.LogIndex(g.settledAt.Load())); err == nil {
			o, found, err = g.ledger.Order(ref)
		}
	}
	return o, found, unreadable(err)
}

// paidOther tells whether a payment paid for another order of a settled session.
// Error: engine.ErrNoRecords.
func (g *Group) paidOther(paymentID string, ref engine.OrderRef) (bool, error) {
	var sealed engine.OrderRef
	g.view.View(func(s *engine.State) { sealed = s.SealedPaymentOf(paymentID) })
	if !sealed.IsZero() {
		return sealed != ref, nil
	}
	settled := engine.LogIndex(g.settledAt.Load())
	if g.ledger == nil || settled == 0 {
		return false, nil
	}
	if err := g.recorded(settled); err != nil {
		return false, err
	}
	paid, found, err := g.ledger.PaidBy(paymentID)
	return found && paid != ref, unreadable(err)
}

// settledByKey gives the order that a key led to and that has left.
func (g *Group) settledByKey(shopper string, key engine.Key) (o engine.OrderRecord, found bool, err error) {
	if g.ledger == nil {
		return o, false, nil
	}
	if err := g.recorded(engine.LogIndex(g.settledAt.Load())); err != nil {
		return o, false, err
	}
	err = g.ledger.OrdersOf(shopper, engine.OrderRef{}, 0, func(r *engine.OrderRecord) bool {
		if found = r.Key == key; found {
			o = *r
		}
		return !found
	})
	return o, found && err == nil, unreadable(err)
}

// answerRecord tells a shopper of what a key of theirs led to.
func answerRecord(o *engine.OrderRecord) engine.Answer {
	if !o.State.Granted() {
		return engine.Answer{Code: engine.CodeOfPlace(o.Why), Reason: o.Why, State: o.State, Session: o.Ref.Session}
	}
	return engine.Answer{Code: engine.CodeGranted, State: o.State, Order: o.Ref, Life: o.Life, Session: o.Ref.Session, Listing: o.Listing,
		Quantity: o.Quantity, Amount: o.Amount, PayBy: o.PayBy, Transaction: o.Transaction}
}

// afterSettling answers one who grabs in a settled session: with what their key led to
// there, else with no. Gates know nobody any more.
func (g *Group) afterSettling(gate *gate, x *passing, no engine.Answer) engine.Answer {
	key := g.hashed(x.IdempotencyKey)
	if a, found := g.byKey(gate, x.Shopper, key, x.Quantity); found {
		return a
	}
	switch o, found, err := g.settledByKey(string(x.Shopper), key); {
	case err != nil:
		return g.processing(gate, g.clock.read().Add(g.cfg.GrabTimeout))
	case !found:
		return no
	case o.Listing != gate.handle || o.Quantity != x.Quantity:
		return gate.refuse(engine.ReasonKeyReused)
	default:
		return answerRecord(&o)
	}
}

// newer sorts orders, the newest grant first.
func newer(a, b *engine.OrderView) int {
	return cmp.Or(cmp.Compare(b.GrantedAt, a.GrantedAt), cmp.Compare(b.Ref.Session, a.Ref.Session), cmp.Compare(b.Ref.Ordinal, a.Ref.Ordinal))
}

// ordersOf gives a shopper's orders that keep wants, the newest grant first, from
// behind after on, at most so many, and whether there are more: those in the state and
// those that have left it.
func (g *Group) ordersOf(shopper string, after engine.OrderRef, most int, keep func(*engine.OrderView) bool) (orders []engine.OrderView, more bool, err error) {
	var last engine.OrderView // of the page before
	known := after.IsZero()
	g.view.View(func(s *engine.State) {
		if !known {
			last, known = s.View(after)
		}
		s.OrdersOf(s.ShopperNo(shopper), func(ref engine.OrderRef, _ *engine.Order) bool {
			v, _ := s.View(ref)
			orders = append(orders, v)
			return true
		})
	})
	if g.ledger != nil && g.settledAt.Load() > 0 {
		if !known {
			o, found, err := g.settledRecord(after)
			if err != nil {
				return nil, false, err
			}
			if known = found; found {
				last = g.viewOf(&o)
			}
		}
		if known {
			if orders, err = g.addSettled(orders, shopper, after, last.GrantedAt, most+1, keep); err != nil {
				return nil, false, err
			}
		}
	}
	if !known {
		return nil, false, nil
	}
	orders = slices.DeleteFunc(orders, func(v engine.OrderView) bool {
		return !keep(&v) || !after.IsZero() && newer(&last, &v) >= 0
	})
	slices.SortFunc(orders, func(a, b engine.OrderView) int { return newer(&a, &b) })
	return orders[:min(len(orders), most)], len(orders) > most, nil
}

// addSettled adds a shopper's orders that have left the state to those that have not.
func (g *Group) addSettled(orders []engine.OrderView, shopper string, after engine.OrderRef, granted engine.Time, most int, keep func(*engine.OrderView) bool) ([]engine.OrderView, error) {
	if err := g.recorded(engine.LogIndex(g.settledAt.Load())); err != nil {
		return nil, err
	}
	here := make(map[engine.OrderRef]bool, len(orders))
	for i := range orders {
		here[orders[i].Ref] = true
	}
	added := 0
	err := g.ledger.OrdersOf(shopper, after, granted, func(o *engine.OrderRecord) bool {
		if here[o.Ref] {
			return true
		}
		g.view.View(func(s *engine.State) {
			if v := s.ViewRecord(o); hasLeft(s, o.Ref) && keep(&v) {
				orders = append(orders, v)
				added++
			}
		})
		return added < most
	})
	return orders, unreadable(err)
}

// settledUnlessPaid refuses what can't be done any more to an order of a settled
// session. Money is still taken for it, to go back; it must be the order's.
func (g *Group) settledUnlessPaid(ref engine.OrderRef, c *engine.Command) (v engine.OrderView, err error) {
	settled, here := false, false
	g.view.View(func(s *engine.State) {
		x := s.SessionOf(ref.Session)
		settled = x != nil && x.State == engine.Settled
		v, here = s.View(ref)
	})
	if !settled {
		return engine.OrderView{}, nil
	}
	if !here {
		if v, err = g.settledOrder(ref); err != nil {
			return v, err
		}
	}
	switch {
	case c.Kind != engine.CmdPayOrder:
		return v, &engine.Refusal{Reason: engine.ReasonNotHeld, State: v.State,
			Detail: "The order is " + v.State.String() + " and its session is settled: nothing about it changes here any more. Money that is to go back goes back at the cashier."}
	case !v.State.Granted():
		return v, refusal(engine.ReasonUnknown)
	case c.Amount != v.Amount || c.Currency != v.Currency:
		return v, &engine.Refusal{Reason: engine.ReasonAmount, State: v.State}
	}
	return v, nil
}

package backoffice

import (
	"cmp"
	"slices"

	"doorbuster/engine"
)

// hasLeft reports whether there was such an order, and it is in the ledger alone.
func hasLeft(s *engine.State, ref engine.OrderRef) bool {
	x := s.SessionOf(ref.Session)
	return x != nil && x.Left() && ref.Ordinal > 0 && int(ref.Ordinal) <= x.Orders()
}

// settledOrder gives an order that has left the state (hasLeft). Error:
// engine.ErrNoRecords where the ledger can't be read, or lacks it: nobody may be
// told that there is no such order.
func (bo *Office) settledOrder(ref engine.OrderRef) (v engine.OrderView, err error) {
	o, found, err := bo.Records().Order(ref)
	switch {
	case err != nil:
		return v, err
	case !bo.Records().Kept():
		return v, refusal(engine.ReasonUnknown)
	case !found:
		return v, engine.ErrNoRecords
	}
	return bo.viewOf(&o), nil
}

// viewOf gives an order that has left the state as readers see it.
func (bo *Office) viewOf(o *engine.OrderRecord) (v engine.OrderView) {
	bo.View(func(s *engine.State) { v = s.ViewRecord(o) })
	return v
}

// paidOther reports whether a payment paid for another order of a settled session.
// Error: engine.ErrNoRecords.
func (bo *Office) paidOther(paymentID string, ref engine.OrderRef) (bool, error) {
	var sealed engine.OrderRef
	bo.View(func(s *engine.State) { sealed = s.Money().SealedPaymentOf(paymentID) })
	if !sealed.IsZero() {
		return sealed != ref, nil
	}
	paid, found, err := bo.Records().PaidBy(paymentID)
	return found && paid != ref, err
}

// newer sorts orders, the newest grant first.
func newer(a, b *engine.OrderView) int {
	return cmp.Or(cmp.Compare(b.GrantedAt, a.GrantedAt), cmp.Compare(b.Ref.Session, a.Ref.Session),
		cmp.Compare(b.Ref.Ordinal, a.Ref.Ordinal))
}

// ordersOf gives a shopper's orders that keep wants, the newest grant first, from
// behind after on, at most so many, and whether there are more: those in the state and
// those that have left it.
func (bo *Office) ordersOf(
	shopper string, after engine.OrderRef, most int, keep func(*engine.OrderView) bool,
) (orders []engine.OrderView, more bool, err error) {
	var last engine.OrderView // of the page before
	known := after.IsZero()
	bo.View(func(s *engine.State) {
		if !known {
			last, known = s.View(after)
		}
		s.OrdersOf(s.ShopperNo(shopper), func(ref engine.OrderRef, _ *engine.Order) bool {
			v, _ := s.View(ref)
			orders = append(orders, v)
			return true
		})
	})
	if bo.Records().Any() {
		if !known {
			o, found, err := bo.Records().Order(after)
			if err != nil {
				return nil, false, err
			}
			if known = found; found {
				last = bo.viewOf(&o)
			}
		}
		if known {
			if orders, err = bo.addSettled(orders, shopper, after, last.GrantedAt, most+1, keep); err != nil {
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
func (bo *Office) addSettled(
	orders []engine.OrderView, shopper string, after engine.OrderRef, granted engine.Time, most int,
	keep func(*engine.OrderView) bool,
) ([]engine.OrderView, error) {
	here := make(map[engine.OrderRef]bool, len(orders))
	for i := range orders {
		here[orders[i].Ref] = true
	}
	added := 0
	err := bo.Records().OrdersOf(shopper, after, granted, func(o *engine.OrderRecord) bool {
		if here[o.Ref] {
			return true
		}
		bo.View(func(s *engine.State) {
			if v := s.ViewRecord(o); hasLeft(s, o.Ref) && keep(&v) {
				orders = append(orders, v)
				added++
			}
		})
		return added < most
	})
	return orders, err
}

// settledUnlessPaid refuses what can't be done any more to an order of a settled
// session. Money is still taken for it, to go back; it must be the order's.
func (bo *Office) settledUnlessPaid(ref engine.OrderRef, c *engine.Command) (v engine.OrderView, err error) {
	settled, here := false, false
	bo.View(func(s *engine.State) {
		x := s.SessionOf(ref.Session)
		settled = x != nil && x.State == engine.Settled
		v, here = s.View(ref)
	})
	if !settled {
		return engine.OrderView{}, nil
	}
	if !here {
		if v, err = bo.settledOrder(ref); err != nil {
			return v, err
		}
	}
	switch {
	case c.Kind != engine.CmdPayOrder:
		return v, &engine.Refusal{Reason: engine.ReasonNotHeld, State: v.State,
			Detail: "The order is " + v.State.String() +
				" and its session is settled: nothing about it changes here any more. Money that is to go back goes " +
				"back at the cashier."}
	case !v.State.Granted():
		return v, refusal(engine.ReasonUnknown)
	case c.Amount != v.Amount || c.Currency != v.Currency:
		return v, &engine.Refusal{Reason: engine.ReasonAmount, State: v.State}
	}
	return v, nil
}

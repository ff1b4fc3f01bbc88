package backoffice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"doorbuster/engine"
)

// Order gives a shopper's own order. Another's is as unknown as none.
func (bo *Office) Order(shopper, orderNo string) (engine.OrderView, error) {
	v, err := bo.AnyOrder(orderNo)
	if err == nil && v.Shopper != shopper {
		return engine.OrderView{}, refusal(engine.ReasonUnknown)
	}
	return v, err
}

// AnyOrder gives an order by number, also one that has left the state.
func (bo *Office) AnyOrder(orderNo string) (v engine.OrderView, err error) {
	var ref engine.OrderRef
	gone := false
	look := func() (found bool) {
		bo.View(func(s *engine.State) {
			ref, _ = s.FindOrder(orderNo)
			v, found = s.View(ref)
			gone = !found && hasLeft(s, ref)
		})
		return found
	}
	if bo.Fresh() && look() {
		return v, nil
	}
	if !gone {
		if err := bo.Current(); err != nil {
			return v, err
		}
		if look() {
			return v, nil
		}
	}
	if gone {
		return bo.settledOrder(ref)
	}
	return v, refusal(engine.ReasonUnknown)
}

// LostOrder tells operators of an order that was granted in another life of the group
// and lost in a recovery, by its number. Ask once it was not found.
func (bo *Office) LostOrder(orderNo string) (lost engine.LostOrder, ok bool) {
	bo.View(func(s *engine.State) { lost, ok = s.FindLost(orderNo) })
	return lost, ok
}

// Orders gives a shopper's orders, the newest first, at most limit of them, and
// the cursor of the next page, "" at the end.
func (bo *Office) Orders(
	shopper, session, cursor string, limit int,
) (orders []engine.OrderView, next string, err error) {
	if err := bo.Current(); err != nil {
		return nil, "", err
	}
	var after engine.OrderRef
	if cursor != "" {
		known := false
		if bo.View(func(s *engine.State) { after, known = s.FindOrder(cursor) }); !known {
			return nil, "", refusal(engine.ReasonConflict)
		}
	}
	orders, more, err := bo.ordersOf(shopper, after, limit, func(v *engine.OrderView) bool {
		return (session == "" || v.Session == session) && v.State.Granted()
	})
	if more {
		next = orders[limit-1].OrderNo
	}
	return orders, next, err
}

// askOrder takes a command about an order through the log and gives the order
// as it is afterwards.
func (bo *Office) askOrder(ctx context.Context, orderNo string, c engine.Command) (v engine.OrderView, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return v, err
	}
	var ref engine.OrderRef
	ok := false
	if bo.View(func(s *engine.State) { ref, ok = s.FindOrder(orderNo) }); !ok {
		return v, refusal(engine.ReasonUnknown)
	}
	c.Order = ref
	if v, err := bo.settledUnlessPaid(ref, &c); err != nil {
		return v, err
	}
	if needed, err := bo.needed(ref, &c); err != nil {
		return v, err
	} else if needed {
		if _, err = bo.Ask(ctx, c); err != nil {
			return v, err
		}
	}
	bo.View(func(s *engine.State) { v, ok = s.View(ref) })
	if !ok {
		return bo.settledOrder(ref)
	}
	return v, nil
}

// needed reports whether a shopper's command would change their order: what is so already,
// and what the order's state forbids for good, needs no entry. The node must have
// caught up.
func (bo *Office) needed(ref engine.OrderRef, c *engine.Command) (needed bool, err error) {
	needed = true
	bo.View(func(s *engine.State) {
		o := s.Order(ref)
		if o == nil {
			return
		}
		forbidden := false
		switch c.Kind {
		case engine.CmdCancelHold:
			needed, forbidden = o.State != engine.Cancelled, o.State != engine.Held
		case engine.CmdLeaveLine:
			needed, forbidden = o.State != engine.Left, o.State != engine.Waiting && o.State != engine.Entered
		case engine.CmdSetReceiver:
			known, there := s.Receiver(ref)
			_, sealed := s.Personal().Key(string(c.Shopper))
			forbidden = o.State != engine.Held && o.State != engine.Paid
			needed = forbidden || !there || !sealed || known.Same != c.Receiver.Same
		case engine.CmdReceiveOrder:
			needed = o.State != engine.Received && o.State != engine.Completed
			forbidden = o.State != engine.Shipped
		}
		if needed && forbidden {
			err = &engine.Refusal{Reason: engine.ReasonNotHeld, State: o.State}
		}
	})
	return needed, err
}

// Cancel releases a shopper's unpaid hold.
func (bo *Office) Cancel(ctx context.Context, shopper, orderNo string) (engine.OrderView, error) {
	return bo.askOwn(ctx, shopper, orderNo, engine.Command{Kind: engine.CmdCancelHold})
}

// SetReceiver says where an order's goods go, sealed with the shopper's key: key, if there
// is none yet. A refusal as in conflict says that there is another: seal again with it.
func (bo *Office) SetReceiver(
	ctx context.Context, shopper, orderNo string, to engine.Receiver, key engine.PersonalKey,
) (engine.OrderView, error) {
	return bo.askOwn(ctx, shopper, orderNo, engine.Command{Kind: engine.CmdSetReceiver, Receiver: to,
		PersonalKey: key})
}

// askOwn is askOrder for a shopper, about an order of theirs.
func (bo *Office) askOwn(ctx context.Context, shopper, orderNo string, c engine.Command) (engine.OrderView, error) {
	if err := bo.CatchUp(ctx); err != nil {
		return engine.OrderView{}, err
	}
	if _, err := bo.Order(shopper, orderNo); err != nil { // no entry for what is not theirs
		return engine.OrderView{}, err
	}
	c.Shopper = []byte(shopper)
	v, err := bo.askOrder(ctx, orderNo, c)
	var refused *engine.Refusal
	if c.Kind == engine.CmdSetReceiver && errors.As(err, &refused) && refused.Reason == engine.ReasonTooLate {
		refused.Detail = "The order is at the warehouse already: where it goes can't change any more."
	}
	return v, err
}

// Void takes an order back.
func (bo *Office) Void(ctx context.Context, by engine.By, orderNo, note string) (engine.OrderView, error) {
	return bo.askOrderBy(ctx, by, orderNo, engine.Command{Kind: engine.CmdVoidOrder, Note: note})
}

// Extend gives a hold until payBy to be paid.
func (bo *Office) Extend(
	ctx context.Context, by engine.By, orderNo string, payBy engine.Time, note string,
) (engine.OrderView, error) {
	v, err := bo.askOrderBy(ctx, by, orderNo, engine.Command{Kind: engine.CmdExtendHold, Deadline: payBy, Note: note})
	var refused *engine.Refusal
	if errors.As(err, &refused) && refused.Reason == engine.ReasonConflict {
		if now, lookErr := bo.AnyOrder(orderNo); lookErr == nil {
			refused.Detail = fmt.Sprintf("The order is to be paid by %s now: pay_by must not be before that, "+
				"nor over %s from now.", now.PayBy.Wall().Format(time.RFC3339), engine.MaxPayWithin)
		}
	}
	return v, err
}

func (bo *Office) askOrderBy(
	ctx context.Context, by engine.By, orderNo string, c engine.Command,
) (engine.OrderView, error) {
	if err := bo.sign(ctx, &c, by); err != nil {
		return engine.OrderView{}, err
	}
	return bo.askOrder(ctx, orderNo, c)
}

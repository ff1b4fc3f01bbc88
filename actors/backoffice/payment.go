package backoffice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"doorbuster/engine"
)

// Pay takes the cashier's word of a payment, once for each payment id. It comes
// back once that is committed, wherever the leader is.
func (bo *Office) Pay(ctx context.Context, p engine.Payment) (r engine.Receipt, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return r, err
	}
	known, err := bo.AnyOrder(p.OrderNo)
	switch {
	case isUnknown(err) && engine.ValidOrderNo(strings.ToUpper(p.OrderNo)), err == nil && !known.State.Granted(),
		err == nil && known.PaymentID != p.ID && !p.Transaction.May(known.Transaction):
		return bo.payForNoOrder(ctx, p)
	case err != nil:
		return r, err
	}
	if p.Currency != known.Currency {
		return r, differs(engine.ReasonCurrency, &known, &p)
	}
	r.Order = known
	if known.PaymentID == p.ID && known.Amount == p.Amount && known.Coupon == p.Coupon {
		return r, nil // also where the state has forgotten it with a settled session
	}
	c := engine.Command{Kind: engine.CmdPayOrder, Order: known.Ref, PaymentID: p.ID, Amount: p.Amount,
		Coupon: p.Coupon, Currency: p.Currency, PaidAt: p.PaidAt, Transaction: p.Transaction, PayType: p.PayType}
	if _, err := bo.settledUnlessPaid(known.Ref, &c); err != nil {
		return r, sayingWhat(err, &known, &p)
	}
	other, err := bo.paidOther(p.ID, known.Ref)
	if err != nil {
		return r, err
	}
	if other {
		return r, sayingWhat(&engine.Refusal{Reason: engine.ReasonConflict, State: known.State}, &known, &p)
	}
	o, err := bo.Ask(ctx, c)
	if err != nil {
		return r, sayingWhat(err, &known, &p)
	}
	r.Reason = o.Event.Reason
	switch o.Event.Kind {
	case engine.OrderPaid:
		r.Outcome = engine.PaymentTaken
	case engine.RefundBecameDue:
		r.Outcome = engine.PaymentToRefund
	}
	if r.Reason == engine.ReasonNoOrder { // it was told before, in another transaction
		r.Order = engine.OrderView{}
		return r, nil
	}
	gone := false
	bo.View(func(s *engine.State) {
		if v, here := s.View(known.Ref); here {
			r.Order = v
		}
		gone = hasLeft(s, known.Ref)
	})
	if gone && bo.Records().Await(o.Index) == nil { // else it is told as it was: the money is taken in any case
		if v, err := bo.settledOrder(known.Ref); err == nil {
			r.Order = v
		}
	}
	return r, nil
}

// payForNoOrder takes money for no order of ours, or of another transaction than the
// order's: it goes back, once for each payment. That is what money for an order does
// that was told of and then lost in a recovery.
func (bo *Office) payForNoOrder(ctx context.Context, p engine.Payment) (r engine.Receipt, err error) {
	p.OrderNo = strings.ToUpper(p.OrderNo)
	conflict := sayingWhat(refusal(engine.ReasonConflict), &engine.OrderView{}, &p)
	if other, err := bo.paidOther(p.ID, engine.OrderRef{}); err != nil || other {
		return r, cmp.Or(err, conflict)
	}
	o, err := bo.Ask(ctx, engine.Command{Kind: engine.CmdPayOrder, OrderNo: p.OrderNo, PaymentID: p.ID,
		Amount: p.Amount, Coupon: p.Coupon, Currency: p.Currency, PaidAt: p.PaidAt, Transaction: p.Transaction,
		PayType: p.PayType})
	if err != nil {
		return r, sayingWhat(err, &engine.OrderView{}, &p)
	}
	r.Reason = o.Event.Reason
	if o.Event.Kind == engine.RefundBecameDue {
		r.Outcome = engine.PaymentToRefund
		bo.strays.Add(1)
		bo.strayAt.Store(bo.wall().UnixMilli())
		ours := false
		bo.View(func(s *engine.State) { ours = s.GaveOut(p.OrderNo) })
		bo.logger.Error("ALARM: money came for no order of this group; it goes back", "order_no", p.OrderNo,
			"given_out_in_another_life", ours, "payment_id", p.ID, "amount", p.Amount, "currency", p.Currency,
			"transaction_id", p.Transaction.String())
	}
	return r, nil
}

// differs refuses money that is not the order's, and says what would be.
func differs(why engine.Reason, o *engine.OrderView, p *engine.Payment) error {
	if p.Coupon != 0 && p.Amount == o.Amount && p.Currency == o.Currency {
		return &engine.Refusal{Reason: why, State: o.State,
			Detail: fmt.Sprintf("Of %d %s, %d were paid, and the rest by a coupon: that is not what was told before, "+
				"or more than the session's coupons_up_to.", o.Amount, o.Currency, p.Amount-p.Coupon)}
	}
	return &engine.Refusal{Reason: why, State: o.State,
		Detail: fmt.Sprintf("The order comes to %d %s, and %d %s were paid.",
			o.Amount, o.Currency, p.Amount, p.Currency)}
}

// sayingWhat adds to a payment's refusal what contradicts it.
func sayingWhat(err error, o *engine.OrderView, p *engine.Payment) error {
	var refused *engine.Refusal
	if !errors.As(err, &refused) || refused.Detail != "" {
		return err
	}
	switch refused.Reason {
	case engine.ReasonAmount, engine.ReasonCurrency:
		return differs(refused.Reason, o, p)
	case engine.ReasonConflict:
		return &engine.Refusal{Reason: refused.Reason, State: refused.State,
			Detail: "The payment " + p.ID + " came for another order before. Each payment has an id of its own."}
	}
	return err
}

// InGrace gives up to most holds whose time to pay is over and whose grace is not,
// of those behind after, and where to look next: the zero value is from the first on.
func (bo *Office) InGrace(after engine.OrderRef, most int) (holds []engine.OrderRef, last engine.OrderRef) {
	bo.View(func(s *engine.State) { holds, last = s.InGrace(after, max(s.Now(), bo.Now()), most) })
	return holds, last
}

// CloseHold releases a hold that is past its time to pay: the cashier takes no
// money for it any more. One that is over already is no error.
func (bo *Office) CloseHold(ctx context.Context, ref engine.OrderRef) error {
	_, err := bo.Ask(ctx, engine.Command{Kind: engine.CmdCloseHold, Order: ref})
	return err
}

package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"doorbuster/engine"
)

// Pay takes the cashier's word of a payment, once for each payment id. It comes
// back once that is committed, wherever the leader is.
func (g *Group) Pay(ctx context.Context, p engine.Payment) (r engine.Receipt, err error) {
	if err := g.awaitCaughtUp(ctx); err != nil {
		return r, err
	}
	known, err := g.AnyOrder(p.OrderNo)
	switch {
	case isUnknown(err) && engine.ValidOrderNo(strings.ToUpper(p.OrderNo)), err == nil && !known.State.Granted(),
		err == nil && known.PaymentID != p.ID && !p.Transaction.May(known.Transaction):
		return g.payForNoOrder(ctx, p)
	case err != nil:
		return r, err
	}
	if p.Currency != known.Currency {
		return r, differs(engine.ReasonCurrency, &known, &p)
	}
	r.Order = known
	if known.PaymentID == p.ID && known.Amount == p.Amount {
		return r, nil // also where the state has forgotten it with a settled session
	}
	c := engine.Command{Kind: engine.CmdPayOrder, Order: known.Ref, PaymentID: p.ID, Amount: p.Amount, Currency: p.Currency,
		PaidAt: p.PaidAt, Transaction: p.Transaction}
	if _, err := g.settledUnlessPaid(known.Ref, &c); err != nil {
		return r, sayingWhat(err, &known, &p)
	}
	other, err := g.paidOther(p.ID, known.Ref)
	if err != nil {
		return r, err
	}
	if other {
		return r, sayingWhat(&engine.Refusal{Reason: engine.ReasonConflict, State: known.State}, &known, &p)
	}
	o, err := g.ask(ctx, c)
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
	g.view.View(func(s *engine.State) {
		if v, here := s.View(known.Ref); here {
			r.Order = v
		}
		gone = hasLeft(s, known.Ref)
	})
	if gone && g.recorded(o.Index) == nil { // else it is told as it was: the money is taken in any case
		if v, err := g.settledOrder(known.Ref); err == nil {
			r.Order = v
		}
	}
	return r, nil
}

// payForNoOrder takes money for no order of ours, or of another transaction than the
// order's: it goes back, once for each payment. That is what money for an order does
// that was told of and then lost in a recovery.
func (g *Group) payForNoOrder(ctx context.Context, p engine.Payment) (r engine.Receipt, err error) {
	p.OrderNo = strings.ToUpper(p.OrderNo)
	conflict := sayingWhat(refusal(engine.ReasonConflict), &engine.OrderView{}, &p)
	if other, err := g.paidOther(p.ID, engine.OrderRef{}); err != nil || other {
		return r, cmp.Or(err, conflict)
	}
	o, err := g.ask(ctx, engine.Command{Kind: engine.CmdPayOrder, OrderNo: p.OrderNo, PaymentID: p.ID, Amount: p.Amount, Currency: p.Currency,
		PaidAt: p.PaidAt, Transaction: p.Transaction})
	if err != nil {
		return r, sayingWhat(err, &engine.OrderView{}, &p)
	}
	r.Reason = o.Event.Reason
	if o.Event.Kind == engine.RefundBecameDue {
		r.Outcome = engine.PaymentToRefund
		g.strays.Add(1)
		g.strayAt.Store(time.Now().UnixMilli())
		ours := false
		g.view.View(func(s *engine.State) { ours = s.GaveOut(p.OrderNo) })
		g.logger.Error("ALARM: money came for no order of this group; it goes back", "order_no", p.OrderNo, "given_out_in_another_life", ours,
			"payment_id", p.ID, "amount", p.Amount, "currency", p.Currency, "transaction_id", p.Transaction.String())
	}
	return r, nil
}

// differs refuses money that is not the order's, and says what would be.
func differs(why engine.Reason, o *engine.OrderView, p *engine.Payment) error {
	return &engine.Refusal{Reason: why, State: o.State, Detail: fmt.Sprintf("The order comes to %d %s, and %d %s were paid.", o.Amount, o.Currency, p.Amount, p.Currency)}
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
		return &engine.Refusal{Reason: refused.Reason, State: refused.State, Detail: "The payment " + p.ID + " came for another order before. Each payment has an id of its own."}
	}
	return err
}

// Leads tells whether this node leads.
func (g *Group) Leads() bool { return g.leads.Load() }

// RefundsDue gives up to most refunds that are due, with a number over after, as
// this node has applied them.
func (g *Group) RefundsDue(after engine.RefundNo, most int) (due []engine.RefundView) {
	g.view.View(func(s *engine.State) { due = s.ViewRefunds(after, most) })
	for i := range due {
		g.nameTransaction(&due[i])
	}
	return due
}

// nameTransaction adds the transaction of an order that has left the state, as far
// as the ledger can say now.
func (g *Group) nameTransaction(v *engine.RefundView) {
	if v.Transaction != (engine.Transaction{}) || v.Stray() {
		return
	}
	if o, found, err := g.settledRecord(v.Order); err == nil && found {
		v.Transaction = o.Transaction
	}
}

// RefundsOwed tells how many refunds are due, and since when the oldest is.
func (g *Group) RefundsOwed() (refunds int, since engine.Time) {
	g.view.View(func(s *engine.State) { refunds, since = s.Owed() })
	return refunds, since
}

// LookForRefunds gives numbers of up to most refunds that are due, of those behind
// after, and where to look next: 0 is from the first on.
func (g *Group) LookForRefunds(after engine.RefundNo, most int) (due []engine.RefundNo, last engine.RefundNo) {
	g.view.View(func(s *engine.State) { due, last = s.LookForRefunds(after, most) })
	return due, last
}

// RefundDue gives a refund, and whether it is due still.
func (g *Group) RefundDue(no engine.RefundNo) (v engine.RefundView, due bool) {
	g.view.View(func(s *engine.State) { v = s.ViewRefund(no) })
	if due = v.No != 0 && v.Made == 0; due {
		g.nameTransaction(&v)
	}
	return v, due
}

// ConfirmRefund notes that the cashier has paid back; reference is his.
func (g *Group) ConfirmRefund(ctx context.Context, no engine.RefundNo, reference string) error {
	_, err := g.ask(ctx, engine.Command{Kind: engine.CmdConfirmRefund, Refund: no, Note: reference})
	return err
}

// InGrace gives up to most holds whose time to pay is over and whose grace is not,
// of those behind after, and where to look next: the zero value is from the first on.
func (g *Group) InGrace(after engine.OrderRef, most int) (holds []engine.OrderRef, last engine.OrderRef) {
	g.view.View(func(s *engine.State) { holds, last = s.InGrace(after, max(s.Now(), g.clock.read()), most) })
	return holds, last
}

// CloseHold releases a hold that is past its time to pay: the cashier takes no
// money for it any more. One that is over already is no error.
func (g *Group) CloseHold(ctx context.Context, ref engine.OrderRef) error {
	_, err := g.ask(ctx, engine.Command{Kind: engine.CmdCloseHold, Order: ref})
	return err
}

package backoffice

import (
	"context"

	"doorbuster/engine"
)

// RefundsDue gives up to most refunds that are due, with a number over after, as
// this node has applied them.
func (bo *Office) RefundsDue(after engine.RefundNo, most int) (due []engine.RefundView) {
	bo.View(func(s *engine.State) { due = s.Money().ViewRefunds(after, most) })
	for i := range due {
		bo.nameTransaction(&due[i])
	}
	return due
}

// nameTransaction adds the transaction of an order that has left the state, as far
// as the ledger can say now.
func (bo *Office) nameTransaction(v *engine.RefundView) {
	if v.Transaction != (engine.Transaction{}) || v.Stray() {
		return
	}
	if o, found, err := bo.Records().Order(v.Order); err == nil && found {
		v.Transaction = o.Transaction
	}
}

// RefundsOwed tells how many refunds are due, and since when the oldest is.
func (bo *Office) RefundsOwed() (refunds int, since engine.Time) {
	bo.View(func(s *engine.State) { refunds, since = s.Money().Owed() })
	return refunds, since
}

// LookForRefunds gives numbers of up to most refunds that are due, of those behind
// after, and where to look next: 0 is from the first on.
func (bo *Office) LookForRefunds(after engine.RefundNo, most int) (due []engine.RefundNo, last engine.RefundNo) {
	bo.View(func(s *engine.State) { due, last = s.Money().LookForRefunds(after, most) })
	return due, last
}

// RefundDue gives a refund, and whether it is due still.
func (bo *Office) RefundDue(no engine.RefundNo) (v engine.RefundView, due bool) {
	bo.View(func(s *engine.State) { v = s.Money().ViewRefund(no) })
	if due = v.No != 0 && v.Made == 0; due {
		bo.nameTransaction(&v)
	}
	return v, due
}

// ConfirmRefund notes that the cashier has paid back; reference is its own.
func (bo *Office) ConfirmRefund(ctx context.Context, no engine.RefundNo, reference string) error {
	_, err := bo.Ask(ctx, engine.Command{Kind: engine.CmdConfirmRefund, Refund: no, Note: reference})
	return err
}

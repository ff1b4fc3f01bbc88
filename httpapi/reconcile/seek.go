package reconcile

import (
	"context"
	"fmt"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile/statement"
	"slices"
)

// seek walks our accounts for what the statement should have had and has not.
func (r *run) seek(ctx context.Context, from, to engine.Time) error {
	looked := int64(0)
	var at engine.TakingsPlace
	for more := true; more; {
		var page []engine.Account
		var err error
		page, at, more, err = r.accounts.Takings(ctx, from, to, at)
		if err != nil {
			return fmt.Errorf("walk the orders: %w", err)
		}
		for i := range page {
			if a := &page[i]; !r.seen.hasOrder(a.Order.Ref) {
				o := &a.Order
				if err := r.missing(a, o.PaymentID, o.Amount-o.Coupon, o.Currency, o.PaidAt); err != nil {
					return err
				}
			}
		}
		looked += int64(len(page))
		r.progress(Seeking, looked, 0)
	}
	for after := engine.RefundNo(0); ; {
		page, err := r.accounts.RefundsAfter(ctx, after)
		if err != nil {
			return fmt.Errorf("walk the refunds: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		if err := r.seekRefunds(ctx, page, from, to); err != nil {
			return err
		}
		after = page[len(page)-1].No
	}
}

// missing tells of a payment that we have and they lack.
func (r *run) missing(a *engine.Account, paymentID string, amount int64, currency string, at engine.Time) error {
	r.totals.add(place{at, a, currency}, statement.Payment, amount, ours)
	return r.found(&Finding{Kind: MissingPayment, PaymentID: paymentID, OrderNo: a.Order.OrderNo,
		Session: a.Order.Session, SKU: a.Order.SKU, State: a.Order.State.String(), Currency: currency, Ours: &amount,
		At:   wall(at),
		Says: "We have it as paid, and the statement of that time lacks it."})
}

// seekRefunds looks through a page of refunds: for the payments that they give
// back, and for the refunds themselves.
func (r *run) seekRefunds(ctx context.Context, page []engine.RefundView, from, to engine.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	within := func(at, from engine.Time) bool { return at >= from && at < to }
	takenAt := func(v *engine.RefundView) engine.Time {
		if v.PaidAt != 0 {
			return v.PaidAt
		}
		return v.Due
	}
	var of []*engine.RefundView
	var keys []engine.AccountKey
	for i := range page {
		v := &page[i]
		lacksPayment := within(takenAt(v), from) && !r.seen.returns.has(uint32(v.No)) && !r.seen.late[v.PaymentID]
		lacksRefund := !r.seen.refunds.has(uint32(v.No)) &&
			(v.Made == 0 || within(v.Made, from) || strings.HasPrefix(v.Reference, statementReference))
		if lacksPayment || lacksRefund {
			of, keys = append(of, v), append(keys, engine.AccountKey{OrderNo: v.OrderNo})
		}
	}
	if len(of) == 0 {
		return nil
	}
	accounts, err := r.accounts.Accounts(ctx, keys)
	if err != nil {
		return fmt.Errorf("look the orders up: %w", err)
	}
	for i, v := range of {
		a := &accounts[i]
		if v.Stray() {
			a.Order, a.Refunds = engine.OrderView{OrderNo: v.OrderNo}, nil
		}
		// The payment that its order has been paid by was looked for with the order.
		if a.Order.PaymentID != v.PaymentID && within(takenAt(v), from) && !r.seen.returns.has(uint32(v.No)) &&
			!r.seen.late[v.PaymentID] {
			if err := r.missing(a, v.PaymentID, v.Amount, v.Currency, takenAt(v)); err != nil {
				return err
			}
		}
		if r.seen.refunds.has(uint32(v.No)) {
			continue
		}
		f := Finding{PaymentID: v.PaymentID, OrderNo: v.OrderNo, Session: a.Order.Session, SKU: a.Order.SKU,
			State: a.Order.State.String(), Currency: v.Currency, Ours: &v.Amount}
		if v.Made == 0 {
			r.report.Pending.Add(v.Currency, v.Amount)
			f.Kind, f.At, f.Says = RefundPending, wall(v.Due),
				"It is due since then, and the cashier is asked until it has made it."
			if err := r.found(&f); err != nil {
				return err
			}
			continue
		}
		at, exactly := madeAt(&v.Refund)
		begin := from
		if !exactly {
			begin += noticeLag // we hear of a refund later than it is made
		}
		if !within(at, begin) {
			continue
		}
		r.totals.add(place{at, a, v.Currency}, statement.Refund, v.Amount, ours)
		f.Kind, f.At, f.Says = MissingRefund, wall(at),
			"We have it as paid back, and the statement of that time lacks it."
		if err := r.found(&f); err != nil {
			return err
		}
	}
	return nil
}

// verdict says in a sentence or two how the two sides stand.
func (r *run) verdict() string {
	s, rep := &strings.Builder{}, r.report
	switch {
	case rep.Open == 0:
		s.WriteString("The books agree.")
	case rep.Open == 1:
		s.WriteString("One difference is open.")
	default:
		fmt.Fprintf(s, "%d differences are open.", rep.Open)
	}
	if days := r.silentDays(); len(days) > 0 {
		s.WriteString(" The statement has no payment of " + strings.Join(days[:min(len(days), mostDaysSaid)], ", "))
		if more := len(days) - mostDaysSaid; more > 0 {
			fmt.Fprintf(s, " and %s more", engine.Counted(int64(more), "day"))
		}
		s.WriteString(", when we took some.")
	}
	switch {
	case rep.DryRun:
		s.WriteString(" This was a dry run: nothing was changed.")
	case rep.Booked == 0:
		s.WriteString(" Nothing was changed.")
	default:
		fmt.Fprintf(s, " What was news to us is noted: %s, %s.", engine.Counted(r.counts[LostPayment], "payment"),
			engine.Counted(r.counts[LostRefund], "refund"))
	}
	if n := r.counts[RefundPending]; n > 0 {
		fmt.Fprintf(s, " Due and not made yet: %s.", engine.Counted(n, "refund"))
	}
	return s.String()
}

// mostDaysSaid is how many days a verdict names.
const mostDaysSaid = 3

// silentDays are those on which we took payments and the statement has none.
func (r *run) silentDays() (days []string) {
	for _, t := range r.report.Days {
		if t.Ours.Payments > 0 && t.Theirs.Payments == 0 && !slices.Contains(days, t.Day) {
			days = append(days, t.Day)
		}
	}
	return days
}

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"doorbuster/bench/cashier"
)

// The shop's answers to a callback that say what became of the order.
const (
	outcomePaid      = "paid"
	outcomeRefundDue = "refund_due"
)

// CashierReport is what became of the money, by the cashier's books.
type CashierReport struct {
	Taken     int64 `json:"taken"`      // payments of this run's orders
	Paid      int64 `json:"paid"`       // the shop was told, and said paid
	RefundDue int64 `json:"refund_due"` // it said that the money goes back
	Heard     int64 `json:"heard"`      // it said that it had heard of it before
	Refused   int64 `json:"refused"`    // it took no word of it
	// Untold is of how many no callback came to the shop: a reconciliation's, unless
	// it asked by itself.
	Untold int64 `json:"untold"`
}

func (c *CashierReport) write(s *sheet) {
	s.put("CASHIER\t%d payments taken; the shop was told of %d: %d paid", c.Taken, c.Taken-c.Untold, c.Paid)
	s.some(", %d refund due", c.RefundDue)
	s.some(", %d heard of before", c.Heard)
	s.some(", %d refused", c.Refused)
	s.some("; %d callbacks got lost", c.Untold)
	s.put("\n")
}

// payCashier carries an order's token to the cashier, and again where the shopper is
// of those who pay twice.
func (w *worker) payCashier(t task) {
	if t.order.payToken == "" {
		return // every_order_known has it, if it should have had one
	}
	w.testimony.sending(t.order, &t.order.pay, w.now())
	w.buf = w.requests.appendPay(w.buf[:0], t.order)
	got := w.once(w.till, t)
	status, news := got.status, false
	if status == http.StatusConflict && bytes.Contains(got.body, []byte(`"payment":`)) {
		status = http.StatusOK // the money was taken before
	}
	if status == http.StatusOK {
		w.testimony.change(t.order, func(o *told) { news, o.payTaken = !o.payTaken, true })
	}
	w.tally.carriedOut(&w.tally.Paid, &w.tally.PayRefused, status, news)
	w.payAgain(t, news)
}

// booksTimeout bounds reading all of the cashier's payments.
const booksTimeout = time.Minute

// askCashier gives read the cashier's answer. The caller's context bounds it.
func (v *inquest) askCashier(ctx context.Context, path string, read func(io.Reader) error) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.crowd.cfg.Cashier+path, nil)
	if err != nil {
		return err
	}
	a, err := http.DefaultClient.Do(q)
	if err == nil {
		defer a.Body.Close()
		if a.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", a.StatusCode)
		} else {
			err = read(a.Body)
		}
	}
	if err != nil {
		return fmt.Errorf("ask the cashier for %s: %w", path, err)
	}
	return nil
}

// awaitCallbacks waits until the cashier has delivered every callback that there
// will be, or until is over. It gives how many still wait.
func (v *inquest) awaitCallbacks(ctx context.Context, until time.Time) (waiting int64, err error) {
	for {
		var sum cashier.Totals
		one, stop := context.WithTimeout(ctx, booksTimeout)
		err = v.askCashier(one, "/books", func(r io.Reader) error { return json.NewDecoder(r).Decode(&sum) })
		stop()
		if err != nil || sum.Calls == 0 || time.Now().After(until) {
			return sum.Calls, err
		}
		time.Sleep(min(100*time.Millisecond, v.crowd.cfg.Settle))
	}
}

// hearCashier takes over from the cashier's books what the shop told it of each
// order.
func (v *inquest) hearCashier(ctx context.Context) error {
	r := v.crowd
	orders := make(map[string]*told)
	for _, o := range r.testimony.orders() {
		orders[o.orderNo] = o
	}
	v.till = new(CashierReport)
	ctx, stop := context.WithTimeout(ctx, booksTimeout)
	defer stop()
	return v.askCashier(ctx, "/payments", func(from io.Reader) error {
		for d := json.NewDecoder(from); ; {
			var p cashier.Payment
			if err := d.Decode(&p); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if o := orders[p.OrderNo]; o != nil {
				v.till.Taken++
				v.hearPayment(o, &p)
			}
		}
	})
}

func (v *inquest) hearPayment(o *told, p *cashier.Payment) {
	c := v.till
	switch {
	case p.Told == "":
		c.Untold++
		return
	case strings.HasPrefix(p.Told, "refused"):
		c.Refused++
		return
	case p.Told == outcomePaid:
		c.Paid++
	case p.Told == outcomeRefundDue:
		c.RefundDue++
	default:
		c.Heard++
	}
	v.crowd.testimony.change(o, func(o *told) {
		o.payOutcome, o.pay.heard = p.Told, true
		// On the late side: what was in time for certain is held to it.
		o.pay.heardAt = p.ToldAt.Sub(v.crowd.started) + clockError
	})
}

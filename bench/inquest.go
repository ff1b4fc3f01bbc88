package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// inquest holds what shoppers were told against what the shop has.
type inquest struct {
	crowd  *crowd
	ops    *admin
	before []Counts

	after  []Counts
	listed map[string]order // the shop's orders by number
	till   *CashierReport   // nil without a cashier
	passes int              // of the last hold
	asked  atomic.Int64
}

// lookupConnections bounds how many orders are looked up at once.
const lookupConnections = 32

// hold goes through the shop until it stands still, then judges.
func (v *inquest) hold(ctx context.Context) {
	cfg, f := v.crowd.cfg, v.crowd.findings
	until := time.Now().Add(cfg.Settle)
	waiting, trouble := int64(0), error(nil) // callbacks
	if cfg.Cashier != "" {
		waiting, trouble = v.awaitCallbacks(ctx, until)
	}
	still := false
	for v.passes = 0; !still && trouble == nil && (v.passes == 0 || time.Now().Before(until)); {
		if v.passes++; v.passes > 1 {
			time.Sleep(min(250*time.Millisecond, cfg.Settle))
		}
		still, trouble = v.pass(ctx)
	}
	if cfg.Cashier != "" && trouble == nil {
		trouble = v.hearCashier(ctx)
	}
	f.figure(checkStoodStill, "gone through %d×", v.passes)
	f.figure(checkOneAnswer, "%d answers", v.crowd.tally.Grabs)
	if trouble != nil { // nothing can be said for a shop that can't be asked
		for _, c := range rushChecks {
			f.add(c, "could not be checked: %v", trouble)
		}
		return
	}
	if !still {
		f.add(checkStoodStill, "counts still changed after %v; something else sells here, or holds go on expiring",
			cfg.Settle)
	}
	if waiting > 0 {
		f.add(checkStoodStill, "%d callbacks still waited at the cashier after %v", waiting, cfg.Settle)
	}
	v.judge()
}

// verdict gives what was found so far, by a rush's checks and those besides.
func (v *inquest) verdict(besides []check) Verdict {
	all := v.crowd.findings.verdict(besides)
	all.Passes, all.OrdersAsked = v.passes, v.asked.Load()
	return all
}

// pass reads everything once: counts, open asks, orders as their shoppers see
// them, orders as operators see them, counts again. It reports whether the
// counts were the same at both ends.
func (v *inquest) pass(ctx context.Context) (still bool, err error) {
	cfg := v.crowd.cfg
	first, err := v.ops.survey(ctx, cfg.Listings)
	if err != nil {
		return false, err
	}
	v.askOpen()
	v.lookUp()
	v.listed = make(map[string]order)
	sessions := make(map[string]bool)
	for _, l := range cfg.Listings {
		if sessions[l.Session] {
			continue
		}
		sessions[l.Session] = true
		err = v.ops.orders(ctx, l.Session, func(o order) {
			if !noUnits(o.State) {
				v.listed[o.OrderNo] = o
			}
		})
		if err != nil {
			return false, err
		}
	}
	if v.after, err = v.ops.survey(ctx, cfg.Listings); err != nil {
		return false, err
	}
	return slices.EqualFunc(first, v.after, Counts.still), nil
}

// each runs f over items with several connections to addrs at once.
func each[T any](addrs []string, timeout time.Duration, items []T, f func(c *conn, item T)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for i := range min(lookupConnections, len(items)) {
		all.Go(func() {
			c := newConn(addrs, i, timeout)
			defer c.close()
			for n := int(next.Add(1)); n <= len(items); n = int(next.Add(1)) {
				f(c, items[n-1])
			}
		})
	}
	all.Wait()
}

// insist asks again while the shop gives no clear answer, for as long as a new
// leader may take.
func (v *inquest) insist(c *conn, request []byte) (a reply, err error) {
	const every, longest = 250 * time.Millisecond, 5 * time.Second
	began := time.Now()
	for first := true; first || time.Since(began) < min(longest, v.crowd.cfg.Settle); first = false {
		if !first {
			time.Sleep(every)
		}
		if a, err = c.roundTrip(request); err == nil && a.status < 500 {
			return a, nil
		}
		if err == nil {
			err = fmt.Errorf("status %d", a.status)
			c.hop() // another node may know better
		}
	}
	return a, err
}

// askOpen asks once more after every grab whose outcome may have changed.
func (v *inquest) askOpen() {
	r := v.crowd
	each(r.cfg.Addrs, r.cfg.Timeout, r.testimony.takeOpen(), func(c *conn, q openAsk) {
		sent := r.now()
		got, err := v.insist(c, r.requests.appendOutcome(nil, q.shopper, q.click, ""))
		a := answer{code: q.code}
		switch {
		case err != nil:
		case got.status == 404:
			// No trace of it: a no, unless the list of orders knows better.
			return
		default:
			if b := readAnswer(got); b.final() {
				a = b
			}
		}
		r.hear(ask{q.shopper, q.listing, q.click, sent, r.now(), true, c.addr()}, a)
	})
}

// lookUp reads every order told, as its shopper, that may have changed since
// it was last read.
func (v *inquest) lookUp() {
	r := v.crowd
	open := slices.DeleteFunc(r.testimony.orders(), func(o *told) bool {
		paysLate := r.cfg.Cashier != "" && released(o.state) // and gets a unit back, if one is free
		return o.state != "" && !unpaid(o.state) && !paysLate
	})
	done := make(chan struct{})
	defer close(done)
	began := r.tally.lookedUp.Load()
	go everyLine(done, func() {
		if r.cfg.Progress != nil {
			fmt.Fprintf(r.cfg.Progress, "checking orders: %d of %d\n", r.tally.lookedUp.Load()-began, len(open))
		}
	})
	each(r.cfg.Addrs, r.cfg.Timeout, open, func(c *conn, o *told) {
		v.asked.Add(1)
		r.tally.lookedUp.Add(1)
		has, err := v.lookUpOne(c, o)
		if err != nil && o.state != "" {
			err = fmt.Errorf("was %s, now: %w", o.state, err)
		}
		if o.state = has.State; err != nil && !o.accused {
			o.accused = true
			r.findings.add(checkOrdersKnown, "order %s of %s: %v", o.orderNo, r.cfg.shopper(o.shopper), err)
		}
	})
}

// lookUpOne reads an order, which is empty with an error: that it is not known, or
// not as it was told.
func (v *inquest) lookUpOne(c *conn, o *told) (has order, err error) {
	got, err := v.insist(c, v.crowd.requests.appendOrder(nil, o.shopper, o.orderNo))
	switch {
	case err != nil:
		return has, err
	case got.status == 404:
		return has, errors.New("the shop does not know it")
	}
	return v.readOrder(got, o)
}

// readOrder reads an order from an answer to its shopper, as lookUpOne.
func (v *inquest) readOrder(got reply, o *told) (has order, err error) {
	if got.status != 200 {
		return has, fmt.Errorf("status %d", got.status)
	}
	if err := json.Unmarshal(got.body, &has); err != nil {
		return order{}, err
	}
	if diff := v.differs(o, has); diff != "" {
		return order{}, errors.New(diff)
	}
	return has, nil
}

// differs says how an order differs from what its shopper was told; "" if it
// does not.
func (v *inquest) differs(o *told, has order) string {
	cfg := v.crowd.cfg
	l, shopper := cfg.Listings[o.listing], cfg.shopper(o.shopper)
	if has.Shopper == "" {
		has.Shopper = shopper // the shop may leave out whom it talks to
	}
	var d []string
	is := func(name string, told, has any) {
		if told != has {
			d = append(d, fmt.Sprintf("%s %v, told %v", name, has, told))
		}
	}
	is("order_no", o.orderNo, has.OrderNo)
	is("shopper", shopper, has.Shopper)
	is("session", l.Session, has.Session)
	is("sku", l.SKU, has.SKU)
	is("quantity", o.quantity, has.Quantity)
	is("amount", o.amount, has.Amount)
	is("currency", o.currency, has.Currency)
	return strings.Join(d, ", ")
}

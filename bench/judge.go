package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// sums are what a listing's orders add up to, in units.
type sums struct {
	granted, live, back int64           // told, of them still taken, and given back
	held, paid          int64           // of the shop's list
	others              int64           // of these, what nobody can have been told of here
	who                 map[string]bool // the shoppers of live orders
}

// judge runs the checks on what pass has read.
func (v *inquest) judge() {
	orders := v.crowd.testimony.orders()
	slices.SortFunc(orders, func(a, b *told) int { return a.shopper - b.shopper })
	all := make([]sums, len(v.after))
	for i := range all {
		all[i].who = make(map[string]bool)
	}
	v.judgeTold(orders, all)
	v.judgeList(orders, all)
	v.judgeUnits(orders, all)
}

// judgeTold compares each order's state with what its shopper did, and the order with
// the shop's list.
func (v *inquest) judgeTold(orders []*told, all []sums) {
	f, asked, byState := v.crowd.findings, v.crowd.now(), make(map[string]int)
	for _, o := range orders {
		who, units := v.crowd.cfg.shopper(o.shopper), int64(o.quantity)
		all[o.listing].granted += units
		has, listed := v.listed[o.orderNo]
		if listed {
			if diff := v.differs(o, has); diff != "" {
				f.add(checkOrdersKnown, "order %s in the shop's list: %s", o.orderNo, diff)
			}
		}
		if o.state == "" {
			continue // every_order_known has it
		}
		if !listed {
			f.add(checkOrdersKnown, "order %s of %s is not in the shop's list", o.orderNo, who)
		}
		if released(o.state) {
			all[o.listing].back += units
		} else {
			all[o.listing].live += units
		}
		byState[o.state]++
		if why := disagrees(o, asked); why != "" {
			f.add(checkStatesAgree, "order %s of %s is %s, but %s", o.orderNo, who, o.state, why)
		}
	}
	f.figure(checkOrdersKnown, "%d orders", len(orders))
	f.figure(checkStatesAgree, "%s", sortedCounts(byState))
}

// disagrees says why an order can't be in its state at time asked; "" if it
// can.
func disagrees(o *told, asked time.Duration) string {
	inTime := o.pay.heard && o.pay.heardAt < o.payBy
	paidBack := o.state == "refund_due" || o.state == "refunded"
	for _, rule := range []struct {
		broken bool
		why    string
	}{
		{!unpaid(o.state) && !sold(o.state) && !released(o.state), "that is no state of an order"},
		{o.payOutcome == outcomePaid && !sold(o.state), "the shop told the cashier that it is paid"},
		{o.payOutcome == outcomeRefundDue && !paidBack, "the shop told the cashier that its money goes back"},
		{inTime && !sold(o.state), "its payment was confirmed"},
		{o.pay.heard && !sold(o.state) && !paidBack, "its late payment was confirmed"},
		{o.pay.sentAt == 0 && sold(o.state), "nobody paid"},
		{o.cancel.heard && o.cancel.heardAt < o.payBy && o.state != "cancelled", "its cancellation was confirmed"},
		{o.cancel.heard && !released(o.state), "its cancellation was confirmed"},
		{o.cancel.sentAt == 0 && o.state == "cancelled", "nobody cancelled it"},
		{o.state == "expired" && asked < o.payBy, "its time to pay is not over"},
		{o.state == "voided", "nobody voided it"},
	} {
		if rule.broken {
			return rule.why
		}
	}
	return ""
}

// judgeList goes through the shop's own list of orders.
func (v *inquest) judgeList(orders []*told, all []sums) {
	cfg, f := v.crowd.cfg, v.crowd.findings
	known := make(map[string]bool, len(orders))
	for _, o := range orders {
		known[o.orderNo] = true
	}
	type buyer struct{ shopper, session string }
	live := make(map[buyer]int)
	untold, unknown, strangers := 0, 0, 0
	for _, no := range slices.Sorted(maps.Keys(v.listed)) {
		has := v.listed[no]
		ours := strings.HasPrefix(has.Shopper, cfg.ShopperPrefix)
		n, numbered := cfg.numberOf(has.Shopper)
		owed := numbered && v.crowd.testimony.owed(n)
		if !released(has.State) {
			if ours {
				live[buyer{has.Shopper, has.Session}] += has.Quantity
			}
			if i := cfg.listingOf(has.Session, has.SKU, -1); i >= 0 {
				a, units := &all[i], int64(has.Quantity)
				a.who[has.Shopper] = true
				if sold(has.State) {
					a.paid += units
				} else {
					a.held += units
				}
				if !known[no] && (!numbered || owed) {
					a.others += units
				}
			}
		}
		switch {
		case !ours:
			strangers++
		case known[no]:
		case owed:
			unknown++
		default:
			untold++
			f.add(checkNobodyUntold, "order %s (%s, %s) of %s", no, has.SKU, has.State, has.Shopper)
		}
	}
	f.figure(checkNobodyUntold, "%d orders listed, %d untold, %d of unknown outcome, %d of other load",
		len(v.listed), untold, unknown, strangers)
	most := 0
	for p, units := range live {
		most = max(most, units)
		if cfg.LimitPerSession > 0 && units > cfg.LimitPerSession {
			f.add(checkNobodyTwice, "%s has %d live units in session %s", p.shopper, units, p.session)
		}
	}
	f.figure(checkNobodyTwice, "most %d, limit %d", most, cfg.LimitPerSession)
}

// judgeUnits holds each listing's counts, its stock and its orders against one another.
func (v *inquest) judgeUnits(orders []*told, all []sums) {
	f := v.crowd.findings
	lines := make(map[check][]string)
	figure := func(c check, format string, args ...any) { lines[c] = append(lines[c], fmt.Sprintf(format, args...)) }
	for i, l := range v.crowd.cfg.Listings {
		a, c := &all[i], v.after[i]
		figure(checkConservation, "%s: %d = %d + %d + %d", l.SKU, c.Stock, c.Available, c.Held, c.Paid)
		if c.Stock != c.Available+c.Held+c.Paid || min(c.Stock, c.Available, c.Held, c.Paid, c.Waitlisted) < 0 {
			f.add(checkConservation, "%s: stock %d, available %d + held %d + paid %d", l, c.Stock, c.Available, c.Held,
				c.Paid)
		}
		figure(checkToldIsTaken, "%s: %d = %d", l.SKU, a.live, c.Held+c.Paid-a.others)
		if a.live != c.Held+c.Paid-a.others {
			f.add(checkToldIsTaken, "%s: shoppers were told of %d live units, the shop has %d held + %d paid (%d of "+
				"them other load's, or of unknown outcome)", l, a.live, c.Held, c.Paid, a.others)
		}
		stock, peak := max(c.Stock, v.before[i].Stock), mostAtOnce(orders, i)
		figure(checkNeverOver, "%s: peak %d of %d", l.SKU, peak, stock)
		if peak > stock {
			f.add(checkNeverOver, "%s: %d units live at once, stock %d", l, peak, stock)
		}
		if a.granted > stock-a.others+a.back {
			f.add(checkNeverOver, "%s: %d units granted, stock %d less %d of other load, %d released", l, a.granted,
				stock, a.others, a.back)
		}
		figure(checkRecount, "%s: held %d, paid %d", l.SKU, a.held, a.paid)
		if a.held != c.Held || a.paid != c.Paid || c.Stock-a.held-a.paid != c.Available {
			f.add(checkRecount, "%s: its orders hold %d and paid %d of stock %d; it counts held %d, paid %d, "+
				"available %d", l, a.held, a.paid, c.Stock, c.Held, c.Paid, c.Available)
		}
		if int64(len(a.who)) != c.Shoppers {
			f.add(checkRecount, "%s: its live orders are of %d shoppers; it counts %d", l, len(a.who), c.Shoppers)
		}
	}
	for c, text := range lines {
		f.figure(c, "%s", strings.Join(text, "; "))
	}
}

// mostAtOnce is the largest number of units of a listing that were surely live
// at the same time, by what shoppers were told.
func mostAtOnce(orders []*told, listing int) int64 {
	type turn struct {
		at    time.Duration
		units int64
	}
	var turns []turn
	for _, o := range orders {
		if o.listing == listing && o.freeFrom() > o.heardAt {
			turns = append(turns, turn{o.heardAt, int64(o.quantity)}, turn{o.freeFrom(), -int64(o.quantity)})
		}
	}
	slices.SortFunc(turns, func(a, b turn) int { // given back first: the doubt is the shop's
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.units, b.units))
	})
	var now, most int64
	for _, t := range turns {
		now += t.units
		most = max(most, now)
	}
	return most
}

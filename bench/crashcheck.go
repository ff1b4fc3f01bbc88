package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The checks of a crash test beyond a rush's, by the names under which reports
// carry them.
const (
	checkStockStays = "stock_stays"
	checkStateStays = "state_stays"
	checkOldKeys    = "old_keys"
	checkLostSettle = "lost_answers_settle"
	checkNoWrongNo  = "no_wrong_no"
	checkLogWhole   = "log_whole"
	checkReady      = "ready_again"
	checkStaysUp    = "stays_up"
)

// crashChecks is the sequence in which they are reported.
func crashChecks() [][2]string {
	return [][2]string{
		{checkStockStays, "every unit put up is still there, and none besides"},
		{checkStateStays, "paid stays paid; nothing that was over comes back"},
		{checkOldKeys, "an old key tells its old order, whatever became of it"},
		{checkLostSettle, "an answer lost in a kill turns out one way and stays that way"},
		{checkNoWrongNo, "nobody hears in a crash or a recovery that their order, their grab or the sale is not there"},
		{checkLogWhole, "after each kill the log is whole, or torn at its very end"},
		{checkReady, "ready again after each start"},
		{checkStaysUp, "the node ends only when it is told to"},
	}
}

// onlookers ask for orders of earlier rounds, over and over through kills and
// recoveries. No answer is fine then, and "later"; "there is no such order" is
// not.
type onlookers struct {
	inquest *inquest
	orders  []*told

	asked, answered atomic.Int64
}

// onlookerConnections is how many ask at once: enough to meet a recovery of some
// 50 ms at any point, few enough to leave the cores to the load.
const onlookerConnections = 2

func (t *crashTest) newOnlookers(round int) *onlookers {
	d := t.diceOf(round, "look")
	return &onlookers{inquest: t.inq, orders: t.crowd.witness.someTold(&d, 1000)}
}

// watch looks on until done is closed.
func (l *onlookers) watch(done <-chan struct{}) {
	var all sync.WaitGroup
	for i := range onlookerConnections {
		all.Go(func() {
			c := newConn(l.inquest.crowd.cfg.Addrs, i, l.inquest.crowd.cfg.Timeout)
			defer c.close()
			for n := i; len(l.orders) > 0; n += onlookerConnections {
				select {
				case <-done:
					return
				case <-time.After(500 * time.Microsecond):
				}
				l.look(c, l.orders[n%len(l.orders)], n%4 == 0)
			}
		})
	}
	all.Wait()
}

// look asks for an order, or after the grab that got it.
func (l *onlookers) look(c *conn, o *told, byKey bool) {
	r, v := l.inquest.crowd, l.inquest
	request := r.requests.appendOrder(nil, o.shopper, o.orderNo)
	if byKey {
		request = r.requests.appendOutcome(nil, o.shopper, o.click)
	}
	l.asked.Add(1)
	got, err := c.roundTrip(request)
	if err != nil || got.status >= 500 {
		return
	}
	l.answered.Add(1)
	wrong := ""
	var has order
	switch {
	case got.status != 200:
		wrong = fmt.Sprintf("status %d", got.status)
	case byKey:
		if a := readAnswer(got); a.code != codeGranted {
			wrong = "the answer " + a.code
		} else {
			has = *a.order
		}
	default:
		if err := json.Unmarshal(got.body, &has); err != nil {
			wrong = err.Error()
		}
	}
	if wrong == "" {
		has.Shopper = r.cfg.shopper(o.shopper)
		wrong = v.differs(o, has)
	}
	if wrong != "" {
		asked := "for their order " + o.orderNo
		if byKey {
			asked = "after the grab that had got them order " + o.orderNo
		}
		r.sins.add(checkNoWrongNo, fmt.Sprintf("%s asked %s and got %s", r.cfg.shopper(o.shopper), asked, wrong))
	}
}

// settleLost asks after each grab whose answer a kill has swallowed, sends it
// again with its key, as its shopper would, and asks once more.
// It gives how many there were, and how many of them had got an order.
func (v *inquest) settleLost() (lost, yes int64) {
	r := v.crowd
	open := r.witness.takeOpen()
	var gotOrder atomic.Int64
	each(r, open, func(c *conn, q openAsk) {
		who := r.cfg.shopper(q.shopper)
		hear := func(request []byte, polled bool) (a answer, none bool) {
			sent := r.now()
			got, err := v.insist(c, request)
			switch {
			case err != nil:
				a = answer{code: outcomeUnknown}
			case polled && got.status == 404:
				return a, true
			default:
				a = readAnswer(got)
			}
			if !a.final() {
				a = answer{code: outcomeUnknown}
			}
			var payBy time.Duration
			if a.order != nil {
				payBy = r.runTime(a.order.PayBy)
			}
			if r.witness.hear(ask{q.shopper, q.listing, q.click, sent, r.now(), polled, c.addr()}, a, payBy) != nil {
				r.tally.granted.Add(1)
			}
			return a, false
		}
		name := func(a answer, none bool) string {
			switch {
			case none, a.code == codeMissed:
				return "no trace" // yet: what was refused may be granted when asked again
			case a.code == codeGranted:
				return "order " + a.order.OrderNo
			}
			return a.code
		}
		first := name(hear(r.requests.appendOutcome(nil, q.shopper, q.click), true))
		again, _ := hear(r.requests.appendGrab(nil, q.shopper, q.listing, q.click), false)
		if again.code == outcomeUnknown {
			return // a slow machine; it stays open, and is asked after while the shop is counted
		}
		last := name(hear(r.requests.appendOutcome(nil, q.shopper, q.click), true))
		if first != "no trace" {
			gotOrder.Add(1)
		}
		switch {
		case first != "no trace" && (name(again, false) != first || last != first),
			again.code == codeGranted && last != name(again, false),
			again.code != codeGranted && last != "no trace",
			knownCode([]byte(again.code)) == "":
			r.sins.add(checkLostSettle,
				fmt.Sprintf("%s, whose answer was lost, is told %s, on asking again %s, and then %s",
					who, first, name(again, false), last))
		}
	})
	return int64(len(open)), gotOrder.Load()
}

// askAgain sends grabs of earlier rounds again with their old keys.
func (t *crashTest) askAgain(round int) {
	r := t.crowd
	d := t.diceOf(round, "again")
	some := r.witness.someTold(&d, t.cfg.KeysAgain)
	each(r, some, func(c *conn, o *told) {
		told := "no answer"
		got, err := t.inq.insist(c, r.requests.appendGrab(nil, o.shopper, o.listing, o.click))
		if err == nil {
			a := readAnswer(got)
			if told = a.code; a.code == codeGranted {
				told = a.order.OrderNo
			}
		}
		if told != o.orderNo {
			r.sins.add(checkOldKeys, fmt.Sprintf("%s asks again with the key that had got them order %s and is told %s",
				r.cfg.shopper(o.shopper), o.orderNo, told))
		}
	})
	t.report.KeysAsked += int64(len(some))
}

// check reads every order ever told anew, and holds it against the round before.
func (t *crashTest) check(ctx context.Context) {
	r := t.crowd
	for _, o := range r.witness.orders() {
		o.state = ""
	}
	t.report.Verdict = t.inq.hold(ctx)
	if t.inq.after == nil {
		return // the shop did not answer: every check says so
	}
	orders := r.witness.orders()
	for _, o := range orders {
		if was := t.settled[o]; o.state != "" && !mayFollow(was, o.state) {
			r.sins.add(checkStateStays, fmt.Sprintf("order %s of %s was %s and is %s", o.orderNo,
				r.cfg.shopper(o.shopper), was, o.state))
		}
		t.settled[o] = o.state
	}
	for i, l := range t.rush.Listings {
		if has := t.inq.after[i].Stock; has != t.stock[i] {
			r.sins.add(checkStockStays, fmt.Sprintf("%s has a stock of %d, %d were put up", l, has, t.stock[i]))
		}
	}
	r.checkOutcomes()
	t.line.Orders = len(orders)
}

// checkOutcomes looks for answers that can't be right whatever has crashed.
func (r *crowd) checkOutcomes() {
	for code, n := range r.tally.outcomes {
		switch {
		case code == codeNotOpen || code == codeEnded,
			knownCode([]byte(code)) == "" && code != outcomeUnknown && code != outcomeNotSent:
			r.sins.add(checkNoWrongNo, fmt.Sprintf("%d grabs were answered %s", n, code))
		}
	}
	if n := r.tally.orderUnknown.Load(); n > 0 {
		r.sins.add(checkNoWrongNo, fmt.Sprintf("%d payments or cancellations were answered that there is no such "+
			"order", n))
	}
}

// mayFollow reports whether an order may be in state now that was in state was,
// with nobody but shoppers and the cashier at work.
func mayFollow(was, now string) bool {
	switch was {
	case "", "held":
		return true
	case "expired", "cancelled":
		return now == was || now == "refund_due" // late money
	}
	return now == was
}

// judge draws up the verdict: the last inquest's checks, with offences found
// since, and the crash test's own.
func (t *crashTest) judge() {
	v := &t.report.Verdict
	v.unchecked("no round was finished")
	figures := map[string]string{
		checkStockStays: fmt.Sprintf("%v units", t.stock),
		checkOldKeys:    fmt.Sprintf("%d keys asked again", t.report.KeysAsked),
		checkLostSettle: fmt.Sprintf("%d answers lost, %d of them a yes", t.report.Lost, t.report.LostYes),
		checkNoWrongNo: fmt.Sprintf("%d questions during the rounds, %d answered", t.report.Looks,
			t.report.LooksAnswered),
		checkLogWhole: fmt.Sprintf("%d kills, %d torn ends", t.report.Kills, t.report.TornTails),
		checkReady: fmt.Sprintf("%d starts, the slowest %s, within %v", t.report.Starts,
			ms(percentilesOf(t.ready.sum()).Max), t.cfg.ReadyWithin),
		checkStateStays: fmt.Sprintf("%d orders", len(t.settled)),
		checkStaysUp:    fmt.Sprintf("%d kills", t.report.Kills),
	}
	v.extend(crashChecks(), figures, t.crowd.sins)
	t.fillReport()
}

func indexOfCheck(checks []Check, id string) int {
	for i := range checks {
		if checks[i].ID == id {
			return i
		}
	}
	return -1
}

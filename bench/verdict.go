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

// The checks of a verdict, by the names under which reports carry them.
const (
	checkConservation = "conservation"
	checkToldIsTaken  = "told_is_taken"
	checkNeverOver    = "never_oversold"
	checkNobodyTwice  = "nobody_twice"
	checkOneAnswer    = "one_answer_a_key"
	checkOrdersKnown  = "every_order_known"
	checkStatesAgree  = "states_agree"
	checkNobodyUntold = "nobody_untold"
	checkRecount      = "recount"
	checkStoodStill   = "stood_still"
)

// checkOrder is the sequence in which checks are reported, with what each one
// claims.
func checkOrder() [][2]string {
	return [][2]string{
		{checkConservation, "stock = available + held + paid, none below zero"},
		{checkToldIsTaken, "units told granted and not released = held + paid"},
		{checkNeverOver, "never more units live than stock"},
		{checkNobodyTwice, "no shopper over the session's limit"},
		{checkOneAnswer, "one key, one answer; no final no after a yes"},
		{checkOrdersKnown, "every order told is known, with what was told"},
		{checkStatesAgree, "every order's state is what its shopper did"},
		{checkNobodyUntold, "no unit taken that nobody was told of"},
		{checkRecount, "the orders add up to the counts"},
		{checkStoodStill, "the shop stood still while it was counted"},
	}
}

// Check is one line of the verdict.
type Check struct {
	ID      string `json:"id"`
	Claim   string `json:"claim"`
	OK      bool   `json:"ok"`
	Figures string `json:"figures,omitempty"`
	// Offences is how many there are, Offenders names the first few.
	Offences  int      `json:"offences"`
	Offenders []string `json:"offenders,omitempty"`
}

// Verdict says whether the shop sold exactly.
type Verdict struct {
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
	// Passes is how often the shop was gone through until it stood still.
	Passes int `json:"passes"`
	// OrdersAsked is how many orders were looked up, each as its shopper.
	OrdersAsked int64 `json:"orders_asked"`
}

// namedOffenders is how many offenders of a check are named.
const namedOffenders = 5

// sins collects offences by check. Safe for concurrent use.
type sins struct {
	mu    sync.Mutex
	count map[string]int
	named map[string][]string
}

func newSins() *sins {
	return &sins{count: make(map[string]int), named: make(map[string][]string)}
}

func (s *sins) add(check, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[check]++
	if len(s.named[check]) < namedOffenders {
		s.named[check] = append(s.named[check], what)
	}
}

// any reports whether there is an offence.
func (s *sins) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.count) > 0
}

// unchecked enters a rush's checks as not done, where they are missing.
func (v *Verdict) unchecked(why string) {
	if len(v.Checks) > 0 {
		return
	}
	for _, c := range checkOrder() {
		v.Checks = append(v.Checks, Check{ID: c[0], Claim: c[1], Figures: "not checked: " + why})
	}
}

// extend adds checks that v lacks, and takes over figures and the offences found
// so far.
func (v *Verdict) extend(checks [][2]string, figures map[string]string, s *sins) {
	for _, c := range checks {
		if indexOfCheck(v.Checks, c[0]) < 0 {
			v.Checks = append(v.Checks, Check{ID: c[0], Claim: c[1]})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.OK = true
	for i := range v.Checks {
		c := &v.Checks[i]
		if f, ok := figures[c.ID]; ok {
			c.Figures = f
		}
		c.Offences, c.Offenders = s.count[c.ID], s.named[c.ID]
		c.OK = c.Offences == 0
		v.OK = v.OK && c.OK
	}
}

// inquest holds what shoppers were told against what the shop has.
type inquest struct {
	crowd  *crowd
	desk   *admin
	before []Counts

	after  []Counts
	listed map[string]order // the shop's orders by number
	till   *CashierReport   // nil without a cashier
	asked  atomic.Int64
}

// lookupConnections bounds how many orders are looked up at once.
const lookupConnections = 32

// hold goes through the shop until it stands still, then judges.
func (v *inquest) hold(ctx context.Context) Verdict {
	s := v.crowd.sins
	until := time.Now().Add(v.crowd.cfg.Settle)
	passes, still := 0, false
	var trouble error
	waiting := int64(0) // callbacks
	if v.crowd.cfg.Cashier != "" {
		waiting, trouble = v.awaitCallbacks(ctx, until)
	}
	for !still && trouble == nil {
		passes++
		still, trouble = v.pass(ctx)
		if trouble != nil || time.Now().After(until) {
			break
		}
		if !still {
			time.Sleep(min(250*time.Millisecond, v.crowd.cfg.Settle))
		}
	}
	if v.crowd.cfg.Cashier != "" && trouble == nil {
		trouble = v.hearCashier(ctx)
	}
	figures := make(map[string]string)
	switch {
	case trouble != nil:
		// Nothing can be said for the shop if it can't be asked.
		for _, c := range checkOrder() {
			s.add(c[0], "could not be checked: "+trouble.Error())
		}
	default:
		if !still {
			s.add(checkStoodStill, fmt.Sprintf("counts still changed after %v; something else sells here, or holds "+
				"go on expiring", v.crowd.cfg.Settle))
		}
		if waiting > 0 {
			s.add(checkStoodStill, fmt.Sprintf("%d callbacks still waited at the cashier after %v",
				waiting, v.crowd.cfg.Settle))
		}
		v.judge(figures)
	}
	verdict := Verdict{OK: true, Passes: passes, OrdersAsked: v.asked.Load()}
	figures[checkStoodStill] = fmt.Sprintf("gone through %d×", passes)
	figures[checkOneAnswer] = fmt.Sprintf("%d answers", v.crowd.tally.asks.Load())
	for _, c := range checkOrder() {
		check := Check{
			ID: c[0], Claim: c[1], OK: s.count[c[0]] == 0, Figures: figures[c[0]],
			Offences: s.count[c[0]], Offenders: s.named[c[0]],
		}
		verdict.OK = verdict.OK && check.OK
		verdict.Checks = append(verdict.Checks, check)
	}
	return verdict
}

// pass reads everything once: counts, open asks, orders as their shoppers see
// them, orders as operators see them, counts again. It reports whether the
// counts were the same at both ends.
func (v *inquest) pass(ctx context.Context) (still bool, err error) {
	cfg := v.crowd.cfg
	first, err := v.desk.survey(ctx, cfg.Listings)
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
		err = v.desk.orders(ctx, l.Session, func(o order) {
			if !noUnits(o.State) {
				v.listed[o.OrderNo] = o
			}
		})
		if err != nil {
			return false, err
		}
	}
	if v.after, err = v.desk.survey(ctx, cfg.Listings); err != nil {
		return false, err
	}
	return slices.EqualFunc(first, v.after, Counts.still), nil
}

// each runs f over items with several connections at once.
func each[T any](r *crowd, items []T, f func(c *conn, item T)) { eachAt(r.cfg.Addrs, r, items, f) }

// eachAt is each with connections to addrs only.
func eachAt[T any](addrs []string, r *crowd, items []T, f func(c *conn, item T)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for i := range min(lookupConnections, len(items)) {
		all.Go(func() {
			c := newConn(addrs, i, r.cfg.Timeout)
			defer c.close()
			for {
				n := int(next.Add(1)) - 1
				if n >= len(items) {
					return
				}
				f(c, items[n])
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
			c.hop() // another node may know better
		}
	}
	if err == nil {
		err = fmt.Errorf("status %d", a.status)
	}
	return a, err
}

// askOpen asks once more after every grab whose outcome may have changed.
func (v *inquest) askOpen() {
	r := v.crowd
	each(r, r.witness.takeOpen(), func(c *conn, q openAsk) {
		sent := r.now()
		got, err := v.insist(c, r.requests.appendOutcome(nil, q.shopper, q.click))
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
		var payBy time.Duration
		if a.order != nil {
			payBy = r.runTime(a.order.PayBy)
		}
		r.witness.hear(ask{q.shopper, q.listing, q.click, sent, r.now(), true, c.addr()}, a, payBy)
	})
}

// lookUp reads every order told, as its shopper, that may have changed since
// it was last read.
func (v *inquest) lookUp() {
	r := v.crowd
	var open []*told
	for _, o := range r.witness.orders() {
		if o.state == "" || unpaid(o.state) {
			open = append(open, o)
		}
	}
	done := make(chan struct{})
	defer close(done)
	go r.showLookups(len(open), done)
	each(r, open, func(c *conn, o *told) {
		v.asked.Add(1)
		r.tally.lookedUp.Add(1)
		state, err := v.lookUpOne(c, o)
		if err != nil && o.state != "" {
			err = fmt.Errorf("was %s, now: %w", o.state, err)
		}
		if err != nil {
			state = ""
			if !o.accused {
				o.accused = true
				r.sins.add(checkOrdersKnown, fmt.Sprintf("order %s of %s: %v", o.orderNo,
					r.cfg.shopper(o.shopper), err))
			}
		}
		o.state = state
	})
}

var errOrderUnknown = errors.New("the shop does not know it")

// lookUpOne reads an order and compares it with what was told.
func (v *inquest) lookUpOne(c *conn, o *told) (state string, err error) {
	got, err := v.insist(c, v.crowd.requests.appendOrder(nil, o.shopper, o.orderNo))
	if err != nil {
		return "", err
	}
	if got.status == 404 {
		return "", errOrderUnknown
	}
	if got.status != 200 {
		return "", fmt.Errorf("status %d", got.status)
	}
	var has order
	if err := json.Unmarshal(got.body, &has); err != nil {
		return "", err
	}
	if has.Shopper == "" {
		has.Shopper = v.crowd.cfg.shopper(o.shopper) // it may leave out whom it talks to
	}
	if diff := v.differs(o, has); diff != "" {
		return "", errors.New(diff)
	}
	return has.State, nil
}

// differs says how an order differs from what its shopper was told; "" if it
// does not.
func (v *inquest) differs(o *told, has order) string {
	cfg := v.crowd.cfg
	l := cfg.Listings[o.listing]
	var d []string
	is := func(name string, told, has any) {
		if told != has {
			d = append(d, fmt.Sprintf("%s %v, told %v", name, has, told))
		}
	}
	is("order_no", o.orderNo, has.OrderNo)
	is("shopper", cfg.shopper(o.shopper), has.Shopper)
	is("session", l.Session, has.Session)
	is("sku", l.SKU, has.SKU)
	is("quantity", o.quantity, has.Quantity)
	is("amount", o.amount, has.Amount)
	is("currency", o.currency, has.Currency)
	return strings.Join(d, ", ")
}

// judge runs the checks on what pass has read.
func (v *inquest) judge(figures map[string]string) {
	orders := v.crowd.witness.orders()
	slices.SortFunc(orders, func(a, b *told) int { return a.shopper - b.shopper })
	v.judgeCounts(figures)
	v.judgeUnits(figures, orders)
	v.judgeStates(figures, orders)
	v.judgeList(figures, orders)
}

func (v *inquest) judgeCounts(figures map[string]string) {
	var lines []string
	for i, l := range v.crowd.cfg.Listings {
		c := v.after[i]
		line := fmt.Sprintf("%s: %d = %d + %d + %d", l.SKU, c.Stock, c.Available, c.Held, c.Paid)
		lines = append(lines, line)
		if c.Stock != c.Available+c.Held+c.Paid || min(c.Stock, c.Available, c.Held, c.Paid, c.Waitlisted) < 0 {
			v.crowd.sins.add(checkConservation, fmt.Sprintf("%s: stock %d, available %d + held %d + paid %d",
				l, c.Stock, c.Available, c.Held, c.Paid))
		}
	}
	figures[checkConservation] = strings.Join(lines, "; ")
}

// judgeUnits compares the units told with stock and counts.
func (v *inquest) judgeUnits(figures map[string]string, orders []*told) {
	cfg, s := v.crowd.cfg, v.crowd.sins
	strangers := v.othersUnits(orders)
	var peaks, lives []string
	for i, l := range cfg.Listings {
		var granted, live, back int64
		for _, o := range orders {
			if o.listing != i {
				continue
			}
			granted += int64(o.quantity)
			switch {
			case released(o.state):
				back += int64(o.quantity)
			case o.state != "":
				live += int64(o.quantity)
			}
		}
		c := v.after[i]
		taken := c.Held + c.Paid - strangers[i]
		lives = append(lives, fmt.Sprintf("%s: %d = %d", l.SKU, live, taken))
		if live != taken {
			s.add(checkToldIsTaken, fmt.Sprintf("%s: shoppers were told of %d live units, the shop has %d held + %d "+
				"paid (%d of them other load's, or of unknown outcome)",
				l, live, c.Held, c.Paid, strangers[i]))
		}
		stock := max(c.Stock, v.before[i].Stock)
		peak := mostAtOnce(orders, i)
		peaks = append(peaks, fmt.Sprintf("%s: peak %d of %d", l.SKU, peak, stock))
		if peak > stock {
			s.add(checkNeverOver, fmt.Sprintf("%s: %d units live at once, stock %d", l, peak, stock))
		}
		if granted > stock-strangers[i]+back {
			s.add(checkNeverOver, fmt.Sprintf("%s: %d units granted, stock %d less %d of other load, %d released",
				l, granted, stock, strangers[i], back))
		}
	}
	figures[checkToldIsTaken] = strings.Join(lives, "; ")
	figures[checkNeverOver] = strings.Join(peaks, "; ")
}

// othersUnits counts, by listing, the live units that nobody can have been told
// of here: those of shoppers that are not this run's, and those of grabs whose
// outcome is open.
func (v *inquest) othersUnits(orders []*told) []int64 {
	cfg := v.crowd.cfg
	known := make(map[string]bool, len(orders))
	for _, o := range orders {
		known[o.orderNo] = true
	}
	units := make([]int64, len(cfg.Listings))
	for _, o := range v.listed {
		i := cfg.listingOf(o.Session, o.SKU, -1)
		if i < 0 || released(o.State) || known[o.OrderNo] {
			continue
		}
		if n, ours := cfg.numberOf(o.Shopper); !ours || v.crowd.witness.owed(n) {
			units[i] += int64(o.Quantity)
		}
	}
	return units
}

func (v *inquest) ours(o order) bool { return strings.HasPrefix(o.Shopper, v.crowd.cfg.ShopperPrefix) }

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
	slices.SortFunc(turns, func(a, b turn) int {
		if a.at != b.at {
			return int(min(max(a.at-b.at, -1), 1))
		}
		return int(a.units - b.units) // given back first: the doubt is the shop's
	})
	var now, most int64
	for _, t := range turns {
		now += t.units
		most = max(most, now)
	}
	return most
}

// judgeStates compares each order's state with what its shopper did.
func (v *inquest) judgeStates(figures map[string]string, orders []*told) {
	byState := make(map[string]int)
	asked := v.crowd.now()
	for _, o := range orders {
		if o.state == "" {
			continue // every_order_known has it
		}
		byState[o.state]++
		if why := disagrees(o, asked); why != "" {
			v.crowd.sins.add(checkStatesAgree, fmt.Sprintf("order %s of %s is %s, but %s",
				o.orderNo, v.crowd.cfg.shopper(o.shopper), o.state, why))
		}
	}
	figures[checkOrdersKnown] = fmt.Sprintf("%d orders", len(orders))
	figures[checkStatesAgree] = sortedCounts(byState)
}

// disagrees says why an order can't be in its state at time asked; "" if it
// can.
func disagrees(o *told, asked time.Duration) string {
	inTime := o.payHeard && o.payHeardAt < o.payBy
	switch {
	case !unpaid(o.state) && !sold(o.state) && !released(o.state):
		return "that is no state of an order"
	case o.payOutcome == outcomePaid && !sold(o.state):
		return "the shop told the cashier that it is paid"
	case o.payOutcome == outcomeRefundDue && o.state != "refund_due" && o.state != "refunded":
		return "the shop told the cashier that its money goes back"
	case inTime && !sold(o.state):
		return "its payment was confirmed"
	case o.payHeard && !sold(o.state) && o.state != "refund_due" && o.state != "refunded":
		return "its late payment was confirmed"
	case o.paySentAt == 0 && sold(o.state):
		return "nobody paid"
	case o.cancelHeard && o.cancelHeardAt < o.payBy && o.state != "cancelled":
		return "its cancellation was confirmed"
	case o.cancelHeard && !released(o.state):
		return "its cancellation was confirmed"
	case o.cancelSentAt == 0 && o.state == "cancelled":
		return "nobody cancelled it"
	case o.state == "expired" && asked < o.payBy:
		return "its time to pay is not over"
	case o.state == "voided":
		return "nobody voided it"
	}
	return ""
}

// judgeList goes through the shop's own list of orders.
func (v *inquest) judgeList(figures map[string]string, orders []*told) {
	cfg, s := v.crowd.cfg, v.crowd.sins
	told := make(map[string]*told, len(orders))
	for _, o := range orders {
		told[o.orderNo] = o
		has, ok := v.listed[o.orderNo]
		if !ok {
			if o.state != "" { // else it was named already
				s.add(checkOrdersKnown, fmt.Sprintf("order %s of %s is not in the shop's list", o.orderNo,
					cfg.shopper(o.shopper)))
			}
		} else if diff := v.differs(o, has); diff != "" {
			s.add(checkOrdersKnown, fmt.Sprintf("order %s in the shop's list: %s", o.orderNo, diff))
		}
	}
	type place struct{ shopper, session string }
	held := make([]int64, len(cfg.Listings))
	paid := make([]int64, len(cfg.Listings))
	who := make([]map[string]bool, len(cfg.Listings))
	for i := range who {
		who[i] = make(map[string]bool)
	}
	live := make(map[place]int)
	untold, unknown, strangers := 0, 0, 0
	for _, has := range sortedOrders(v.listed) {
		i := cfg.listingOf(has.Session, has.SKU, -1)
		if !released(has.State) {
			if i >= 0 {
				who[i][has.Shopper] = true
				if sold(has.State) {
					paid[i] += int64(has.Quantity)
				} else {
					held[i] += int64(has.Quantity)
				}
			}
			live[place{has.Shopper, has.Session}] += has.Quantity
		}
		if !v.ours(has) {
			strangers++
			continue
		}
		if told[has.OrderNo] != nil {
			continue
		}
		if n, ok := cfg.numberOf(has.Shopper); ok && v.crowd.witness.owed(n) {
			unknown++
			continue
		}
		untold++
		s.add(checkNobodyUntold, fmt.Sprintf("order %s (%s, %s) of %s", has.OrderNo, has.SKU, has.State, has.Shopper))
	}
	figures[checkNobodyUntold] = fmt.Sprintf("%d orders listed, %d untold, %d of unknown outcome, %d of other load",
		len(v.listed), untold, unknown, strangers)

	most := 0
	for p, units := range live {
		if !strings.HasPrefix(p.shopper, cfg.ShopperPrefix) {
			continue
		}
		most = max(most, units)
		if cfg.LimitPerSession > 0 && units > cfg.LimitPerSession {
			s.add(checkNobodyTwice, fmt.Sprintf("%s has %d live units in session %s", p.shopper, units, p.session))
		}
	}
	figures[checkNobodyTwice] = fmt.Sprintf("most %d, limit %d", most, cfg.LimitPerSession)

	var lines []string
	for i, l := range cfg.Listings {
		c := v.after[i]
		lines = append(lines, fmt.Sprintf("%s: held %d, paid %d", l.SKU, held[i], paid[i]))
		if held[i] != c.Held || paid[i] != c.Paid || c.Stock-held[i]-paid[i] != c.Available {
			s.add(checkRecount, fmt.Sprintf("%s: its orders hold %d and paid %d of stock %d; it counts held %d, "+
				"paid %d, available %d",
				l, held[i], paid[i], c.Stock, c.Held, c.Paid, c.Available))
		}
		if int64(len(who[i])) != c.Shoppers {
			s.add(checkRecount, fmt.Sprintf("%s: its live orders are of %d shoppers; it counts %d", l,
				len(who[i]), c.Shoppers))
		}
	}
	figures[checkRecount] = strings.Join(lines, "; ")
}

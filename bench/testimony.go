package bench

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// told is an order as its shopper was told of it, and what they did about it.
// Guarded by the testimony's shard of that shopper.
//
// Times count from the start of the run. A unit was surely the shopper's from
// heardAt on, and surely until freeFrom: the earliest moment at which the shop
// may have given it to somebody else.
type told struct {
	shopper  int
	listing  int
	click    click
	orderNo  string
	quantity int
	amount   int64
	currency string
	payToken string // kept only where a cashier takes it
	heardAt  time.Duration
	heardBy  string // the address that told of it first
	payBy    time.Duration

	pay, cancel attempt
	payTaken    bool   // the callback was answered 200, or the cashier took the money
	payOutcome  string // what the shop told the cashier, as its books say; "" without

	// Set by the inquest only, after the rush.
	state   string // as the shop says; "" = it does not know the order as told
	accused bool   // every_order_known has named it
}

// attempt is a shopper's payment or cancellation. What was sent before payBy and
// confirmed after it may have been done by a repetition that came too late: only the
// confirmation's time is certain.
type attempt struct {
	sentAt  time.Duration // first callback, way to the cashier or cancellation; 0 = none
	heard   bool          // it was answered 200
	heardAt time.Duration // when that was first so
}

// surely is a time no run reaches.
const surely = time.Duration(1<<63 - 1)

// freeFrom is the earliest moment at which the unit may be another's.
func (o *told) freeFrom() time.Duration {
	at := o.payBy
	if o.pay.heard && o.pay.heardAt < o.payBy {
		at = surely
	}
	if o.cancel.sentAt > 0 {
		at = min(at, o.cancel.sentAt)
	}
	return at
}

// openAsk is a grab whose outcome may still change without a word to us: never
// answered, put on the waitlist, or in a draw.
type openAsk struct {
	shopper int
	listing int
	click   click
	code    string // outcomeUnknown, codeWaitlisted or codeEntered
}

// ask is one request of a shopper for units.
type ask struct {
	shopper int
	listing int
	click   click
	sentAt  time.Duration
	heardAt time.Duration
	polled  bool   // heard in answer to a question about the grab, not to the grab
	by      string // the address that answered
}

// story is all that matters of one shopper. Shoppers who were only refused
// have none.
type story struct {
	orders []*told
	open   []openAsk
}

const testimonyShards = 32

// testimony remembers what shoppers were told and speaks up at once where two
// answers can't both be right. Safe for concurrent use.
type testimony struct {
	cfg      *RushConfig
	findings *findings
	shards   [testimonyShards]struct {
		mu      sync.Mutex
		stories map[int]*story
	}
}

func newTestimony(cfg *RushConfig, f *findings) *testimony {
	w := &testimony{cfg: cfg, findings: f}
	for i := range w.shards {
		w.shards[i].stories = make(map[int]*story)
	}
	return w
}

// hear takes down the final answer to an ask. It returns the order if this is
// the first that was heard of it. payBy is the order's, in time of the run.
func (w *testimony) hear(q ask, a answer, payBy time.Duration) (news *told) {
	s := &w.shards[q.shopper%testimonyShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stories[q.shopper]
	if st == nil {
		if a.order == nil && !mayChange(a.code) {
			return nil
		}
		st = new(story)
		s.stories[q.shopper] = st
	}
	if mayChange(a.code) {
		st.open = append(st.open, openAsk{shopper: q.shopper, listing: q.listing, click: q.click, code: a.code})
		return nil
	}
	w.compare(st, q, a)
	if a.order == nil || a.order.OrderNo == "" {
		return nil
	}
	for _, o := range st.orders {
		if o.orderNo == a.order.OrderNo {
			w.checkRetold(q, o, a.order)
			return nil
		}
	}
	o := &told{
		shopper: q.shopper, listing: q.listing, click: q.click,
		orderNo: a.order.OrderNo, quantity: a.order.Quantity,
		amount: a.order.Amount, currency: a.order.Currency,
		heardAt: q.heardAt, heardBy: q.by, payBy: payBy,
	}
	if a.code != codeGranted {
		// Told of an order in passing, before the grab's own answer came:
		// whichever listing it says it is for.
		o.listing = w.cfg.listingOf(a.order.Session, a.order.SKU, q.listing)
		o.click = clickUntold
	}
	if w.cfg.Cashier != "" {
		o.payToken = a.order.PayToken
	}
	w.checkOffer(q, a)
	st.orders = append(st.orders, o)
	w.checkLimit(st, q, o)
	return o
}

// mayChange reports whether a grab so answered may still come to something.
func mayChange(code string) bool {
	return code == outcomeUnknown || code == codeWaitlisted || code == codeEntered
}

// clickUntold marks an order that was first heard of in the answer to another
// click, so that its own key is not known.
const clickUntold click = 255

// checkRetold compares two tellings of one order.
func (w *testimony) checkRetold(q ask, o *told, again *order) {
	if o.quantity != again.Quantity || o.amount != again.Amount || o.currency != again.Currency {
		w.findings.add(checkOneAnswer, "%s was told of order %s as %d units for %d %s, then as %d for %d %s",
			w.cfg.shopper(q.shopper), o.orderNo, o.quantity, o.amount, o.currency,
			again.Quantity, again.Amount, again.Currency)
	}
}

// checkOffer compares a granted order with what was asked for.
func (w *testimony) checkOffer(q ask, a answer) {
	if a.code != codeGranted {
		return
	}
	l, o, who := w.cfg.Listings[q.listing], a.order, w.cfg.shopper(q.shopper)
	if w.cfg.Cashier != "" && unpaid(o.State) && o.PayToken == "" {
		w.findings.add(checkOrdersKnown, "order %s of %s was granted without a token to pay with", o.OrderNo, who)
	}
	if o.PayBy.IsZero() {
		w.findings.add(checkOrdersKnown, "order %s of %s was granted without a time to pay by", o.OrderNo, who)
	}
	if o.Session != l.Session || o.SKU != l.SKU || o.Quantity != w.cfg.Quantity {
		w.findings.add(checkOrdersKnown, "%s asked for %d of %s and was granted %d of %s/%s (order %s)", who,
			w.cfg.Quantity, l, o.Quantity, o.Session, o.SKU, o.OrderNo)
	}
}

// compare holds a new answer against those the shopper has had. Only an ask
// that was sent after a yes was heard, and answered before the unit may have
// been released, can contradict it: asks that cross on the wire are decided in
// an order nobody outside knows.
func (w *testimony) compare(st *story, q ask, a answer) {
	for _, o := range st.orders {
		sameKey := o.click == q.click
		if sameKey && a.code == codeGranted && a.order.OrderNo != o.orderNo {
			w.findings.add(checkOneAnswer, "%s was told orders %s and %s for one key",
				w.cfg.shopper(q.shopper), o.orderNo, a.order.OrderNo)
		}
		if q.sentAt <= o.heardAt || q.heardAt >= o.freeFrom() {
			continue
		}
		if knownCode([]byte(a.code)) == "" {
			continue // an error says nothing about the unit
		}
		names := a.order != nil && a.order.OrderNo == o.orderNo
		switch {
		case sameKey && !names && a.code != codeGranted:
			w.findings.add(checkOneAnswer, "%s heard %s for the key that had got them order %s%s",
				w.cfg.shopper(q.shopper), a.code, o.orderNo, circumstances(q, o))
		case !sameKey && !q.polled && o.listing == q.listing && w.cfg.LimitPerSession > 0 &&
			o.quantity+w.cfg.Quantity > w.cfg.LimitPerSession &&
			(a.code == codeSoldOut || a.code == codeMissed):
			w.findings.add(checkOneAnswer, "%s heard %s while holding order %s%s",
				w.cfg.shopper(q.shopper), a.code, o.orderNo, circumstances(q, o))
		}
	}
}

// circumstances say when and where the yes and the no were heard.
func circumstances(q ask, o *told) string {
	how := "asked"
	if q.polled {
		how = "first asked"
	}
	return fmt.Sprintf(" (the yes from %s at %v of the run; %s %v later, heard %v after that, from %s)",
		o.heardBy, o.heardAt.Round(time.Microsecond), how, (q.sentAt - o.heardAt).Round(time.Microsecond),
		(q.heardAt - q.sentAt).Round(time.Microsecond), q.by)
}

// checkLimit looks for more live units than a session allows its shopper.
func (w *testimony) checkLimit(st *story, q ask, news *told) {
	if w.cfg.LimitPerSession == 0 {
		return
	}
	units, names := 0, ""
	for _, o := range st.orders {
		if w.cfg.Listings[o.listing].Session == w.cfg.Listings[news.listing].Session &&
			o.freeFrom() > q.heardAt {
			units += o.quantity
			names += " " + o.orderNo
		}
	}
	if units > w.cfg.LimitPerSession {
		w.findings.add(checkNobodyTwice, "%s was told %d live units in session %s: orders%s",
			w.cfg.shopper(q.shopper), units, w.cfg.Listings[news.listing].Session, names)
	}
}

// change lets f alter an order under its lock.
func (w *testimony) change(o *told, f func(*told)) {
	s := &w.shards[o.shopper%testimonyShards]
	s.mu.Lock()
	f(o)
	s.mu.Unlock()
}

// sending notes that an attempt at an order is about to be sent.
func (w *testimony) sending(o *told, a *attempt, now time.Duration) {
	w.change(o, func(*told) {
		if a.sentAt == 0 {
			a.sentAt = now
		}
	})
}

// confirmed notes that an attempt at an order was answered 200; it reports whether
// that is news.
func (w *testimony) confirmed(o *told, a *attempt, now time.Duration) (news bool) {
	w.change(o, func(*told) {
		if news = !a.heard; news {
			a.heard, a.heardAt = true, now
		}
	})
	return news
}

// each shows f every story, in no set sequence, under its lock.
func (w *testimony) each(f func(*story)) {
	for i := range w.shards {
		s := &w.shards[i]
		s.mu.Lock()
		for _, st := range s.stories {
			f(st)
		}
		s.mu.Unlock()
	}
}

// takeOpen takes the open asks off the record, to be asked after once more.
func (w *testimony) takeOpen() (open []openAsk) {
	w.each(func(st *story) { open, st.open = append(open, st.open...), nil })
	return open
}

// orders lists all orders that anyone was told of, in no set sequence. The
// orders themselves stay the testimony's.
func (w *testimony) orders() (all []*told) {
	w.each(func(st *story) { all = append(all, st.orders...) })
	return all
}

// owed reports whether a shopper has an ask whose outcome is open, so that an
// order they were not told of is no surprise.
func (w *testimony) owed(shopper int) bool {
	s := &w.shards[shopper%testimonyShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stories[shopper]
	return st != nil && len(st.open) > 0
}

// someTold draws orders whose keys are known, with repetition.
func (w *testimony) someTold(d *dice, n int) []*told {
	all := slices.DeleteFunc(w.orders(), func(o *told) bool { return o.click == clickUntold })
	if len(all) == 0 {
		return nil
	}
	some := make([]*told, n)
	for i := range some {
		some[i] = all[d.next()%uint64(len(all))]
	}
	return some
}

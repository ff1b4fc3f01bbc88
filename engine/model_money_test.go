package engine

import (
	"cmp"
	"fmt"
	"slices"
)

// modelPayment is money that came.
type modelPayment struct {
	id     string
	amount int64
	coupon int64 // what of it a coupon paid
	at     Time  // by the cashier's clock
}

// left reports whether the state has let go of an order with its session.
func (o *modelOrder) left() bool { return o.listing.session.cleared }

// settled reports whether nothing about an order changes any more.
func (o *modelOrder) settled() bool { return o.listing.session.state == Settled }

// inState gives the orders about which something may change, by session and ordinal.
func (m *model) inState() (orders []*modelOrder) {
	for _, o := range m.orders {
		if !o.settled() {
			orders = append(orders, o)
		}
	}
	slices.SortFunc(orders, func(a, b *modelOrder) int {
		return cmp.Or(cmp.Compare(a.ref.Session, b.ref.Session), cmp.Compare(a.ref.Ordinal, b.ref.Ordinal))
	})
	return orders
}

// payments gives the orders that payments came for, by id, of those that anything
// is still known of: the orders in the state, and the refunds.
func (m *model) payments() map[string]OrderRef {
	came := map[string]OrderRef{}
	for _, o := range m.inState() {
		if o.payment != nil {
			came[o.payment.id] = o.ref
		}
	}
	for _, r := range m.refunds {
		came[r.PaymentID] = r.Order
	}
	return came
}

// shown is the state that readers see: of an order that does not change any more, too,
// it says that money goes back.
func (m *model) shown(o *modelOrder) OrderState {
	refunds := m.refundsOf(o.ref)
	switch {
	case !o.settled() || o.live() || !o.state.Granted() || len(refunds) == 0:
		return o.state
	case slices.ContainsFunc(refunds, func(r Refund) bool { return r.Made == 0 }):
		return RefundDue
	}
	return Refunded
}

func (m *model) refundsOf(ref OrderRef) (of []Refund) {
	for _, r := range m.refunds {
		if r.Order == ref {
			of = append(of, r)
		}
	}
	return of
}

// pay takes money: each payment has one verdict, given when it comes first.
func (m *model) pay(c *Command) Event {
	if c.Order.Session == 0 || int(c.Order.Session) > len(m.sessions) {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	x, o := m.sessions[c.Order.Session-1], m.order(c.Order)
	if c.Order.Ordinal == 0 || c.Order.Ordinal > x.orders {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	matches := o == nil || c.Amount == o.amount && c.Currency == "CNY"
	if ref, known := m.payments()[c.PaymentID]; known {
		switch {
		case ref != c.Order && o == nil:
			return Event{Kind: CommandRefused, Reason: ReasonConflict}
		case ref != c.Order:
			return m.told(CommandRefused, ReasonConflict, o)
		case o == nil:
			return Event{Kind: OrderUnchanged, Reason: ReasonSettled, Session: ref.Session, Order: ref,
				Amount: c.Amount}
		case !matches, o.payment != nil && o.payment.id == c.PaymentID && o.payment.coupon != c.Coupon:
			return m.told(CommandRefused, ReasonAmount, o)
		}
		return m.told(OrderUnchanged, ReasonNone, o)
	}
	p, said := modelPayment{c.PaymentID, c.Amount, c.Coupon, m.now}, c.PaidAt > 0 && c.PaidAt <= maxTime
	if said {
		p.at = c.PaidAt
	}
	switch {
	case o == nil:
		m.payBack(c.Order, p, ReasonSettled)
		m.refunds[len(m.refunds)-1].Currency = c.Currency // of the order's own the state knows nothing any more
		return Event{Kind: RefundBecameDue, Reason: ReasonSettled, Session: c.Order.Session, Order: c.Order,
			Amount: c.Amount - c.Coupon}
	case !o.state.Granted():
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	case !matches || c.Coupon > x.CouponsUpTo:
		return m.told(CommandRefused, ReasonAmount, o)
	case o.amount == 0:
		return m.told(CommandRefused, ReasonNotHeld, o)
	}
	late := ReasonNone
	if o.state != Held || said && p.at > o.payBy {
		late = ReasonPaidLate
	}
	switch o.state {
	case Held:
		o.state, o.changed, o.boughtAt, o.payment, o.payType = Paid, m.now, m.now, &p, c.PayType
		return m.told(OrderPaid, late, o)
	case Expired:
		if m.spare(o) {
			o.state, o.changed, o.boughtAt, o.payment, o.payType = Paid, m.now, m.now, &p, c.PayType
			m.sell(o.listing)
			return m.told(OrderPaid, late, o)
		}
		if said && p.at <= o.payBy {
			late = ReasonExpired
		}
	case Cancelled:
		late = ReasonCancelled
	case Voided:
		late = ReasonVoided
	case Paid, Shipped, Received, Completed, RefundDue, Refunded:
		late = ReasonPaidTwice
	}
	if o.payment == nil {
		o.payment, o.payType = &p, c.PayType
	}
	if !o.live() && o.state != RefundDue {
		o.state, o.changed = RefundDue, m.now
	}
	m.payBack(o.ref, p, late)
	return m.toldOfMoney(late, o, p)
}

// spare reports whether the units of a hold that has gone may be had again: they
// are free, nobody waits for them, no limit and no play forbids it, and the bargain that they were
// bought by has brought no others.
func (m *model) spare(o *modelOrder) bool {
	sku := o.listing.spec.SKU
	if o.listing.session.state >= Ended && !m.fitsSupply(sku, m.supply[sku], int64(o.quantity)) {
		return false
	}
	if play := o.listing.spec.Play; play != nil && play.Who.FirstOfDay && !m.today(o.shopper).IsZero() {
		return false
	}
	return m.counts(o.listing).Available >= int64(o.quantity) && len(m.line(o.listing)) == 0 && !o.listing.drawing() &&
		m.limited(o.shopper, o.listing, o.quantity) == ReasonNone && !(o.bargain != nil && m.bought(o.bargain))
}

func (m *model) payBack(ref OrderRef, p modelPayment, why Reason) {
	m.refunds = append(m.refunds, Refund{No: RefundNo(len(m.refunds) + 1), Order: ref, PaymentID: p.id,
		Amount: p.amount - p.coupon, Currency: "CNY", Why: why, PaidAt: p.at, Due: m.now})
}

// toldOfMoney is told for money that goes back: what was paid, whatever was due.
func (m *model) toldOfMoney(why Reason, o *modelOrder, p modelPayment) Event {
	e := m.told(RefundBecameDue, why, o)
	e.Amount = p.amount - p.coupon
	return e
}

func (m *model) confirmRefund(c *Command) Event {
	if c.Refund == 0 || int(c.Refund) > len(m.refunds) {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	r := &m.refunds[c.Refund-1]
	if r.Made != 0 {
		return Event{Kind: OrderUnchanged, Session: r.Order.Session, Order: r.Order, Amount: r.Amount}
	}
	r.Made, r.Reference = m.now, c.Note
	o := m.order(r.Order)
	if o == nil {
		return Event{Kind: RefundMade, Session: r.Order.Session, Order: r.Order, Amount: r.Amount}
	}
	due := slices.ContainsFunc(m.refundsOf(r.Order), func(r Refund) bool { return r.Made == 0 })
	if o.state == RefundDue && !due {
		o.state, o.changed = Refunded, m.now
	}
	e := m.told(RefundMade, ReasonNone, o)
	e.Amount = r.Amount
	return e
}

// settle has nothing about the orders of a session change any more.
func (m *model) settle(c *Command) Event {
	if c.Session == 0 || int(c.Session) > len(m.sessions) {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	x := m.sessions[c.Session-1]
	switch {
	case x.state == Settled:
		return Event{Kind: SessionUnchanged, Session: x.handle}
	case x.state != Ended:
		return Event{Kind: CommandRefused, Reason: ReasonNotOpen, Session: x.handle}
	}
	for _, o := range m.orders {
		if o.listing.session == x && (o.state == Held || o.state == Waiting || o.state == Entered ||
			o.state == RefundDue) {
			return Event{Kind: CommandRefused, Reason: ReasonNotHeld, Session: x.handle}
		}
	}
	if slices.ContainsFunc(m.bargains, func(b *modelBargain) bool { return b.listing.session == x && b.aside }) {
		return Event{Kind: CommandRefused, Reason: ReasonNotHeld, Session: x.handle}
	}
	if slices.ContainsFunc(m.orders, func(o *modelOrder) bool { return o.listing.session == x && o.undelivered() }) {
		return Event{Kind: CommandRefused, Reason: ReasonUndelivered, Session: x.handle}
	}
	x.state = Settled
	for _, l := range m.listings {
		if l.session == x {
			delete(m.rosters, RosterID{Kind: RosterReserved, Listing: l.handle})
		}
	}
	return Event{Kind: SessionSettled, Session: x.handle, Quantity: x.orders}
}

// clear has the orders of a session leave the state, by the end of the batch: what it
// keeps of them is what limits by the month look at, and the numbers of those whom
// that concerns.
func (m *model) clear(c *Command) Event {
	if c.Session == 0 || int(c.Session) > len(m.sessions) {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	switch x := m.sessions[c.Session-1]; {
	case x.state != Settled:
		return Event{Kind: CommandRefused, Reason: ReasonNotOpen, Session: x.handle}
	case x.cleared:
		return Event{Kind: SessionUnchanged, Session: x.handle}
	default:
		x.cleared = true
		return Event{Kind: SessionCleared, Session: x.handle, Quantity: x.orders}
	}
}

func (m *model) letGo() {
	const month62 = 62 * 24 * 3600 * 1000 // longer than any month
	for _, o := range m.orders {
		if o.left() && !o.gone {
			o.gone, o.month = true, Never
			if month := m.began(o.granted); o.live() && m.countedByMonth(o.listing.spec.SKU) {
				o.month = month
			}
		}
		if o.left() && o.month != Never && o.month+month62 < m.now {
			o.month = Never
		}
	}
	for i, who := range m.shoppers {
		if !slices.ContainsFunc(m.orders, func(o *modelOrder) bool {
			return o.shopper == who && (!o.left() || o.month != Never)
		}) && !slices.ContainsFunc(m.bargains, func(b *modelBargain) bool {
			return (b.owner == who || b.cutBy(who) > 0) && !b.listing.session.cleared
		}) {
			m.shoppers[i] = ""
		}
	}
}

func (m *model) countedByMonth(sku string) bool {
	return slices.ContainsFunc(m.listings, func(l *modelListing) bool {
		return l.spec.SKU == sku && l.spec.LimitPerMonth > 0
	})
}

// moneyDiffers says how a state's payments and refunds are not what the model says.
func (m *model) moneyDiffers(s *State) string {
	if s.Money().Refunds() != len(m.refunds) {
		return fmt.Sprintf("%d refunds, the model has %d", s.Money().Refunds(), len(m.refunds))
	}
	var due []Refund
	for i, want := range m.refunds {
		if got := s.Money().Refund(RefundNo(i + 1)); *got != want {
			return fmt.Sprintf("refund %+v, the model says %+v", *got, want)
		}
		if want.Made == 0 {
			due = append(due, want)
		}
		if got := s.Money().refundsOf(want.Order); m.order(want.Order) == nil &&
			!slices.Equal(got, m.refundsOf(want.Order)) {
			return fmt.Sprintf("refunds of order %v: %+v, the model says %+v", want.Order, got, m.refundsOf(want.Order))
		}
	}
	for after := range RefundNo(len(m.refunds) + 2) {
		want := slices.DeleteFunc(slices.Clone(due), func(r Refund) bool { return r.No <= after })
		want = want[:min(3, len(want))]
		if got := s.Money().ViewRefunds(after, 3); !slices.EqualFunc(got, want, func(v RefundView, r Refund) bool {
			return v.Refund == r
		}) {
			return fmt.Sprintf("due after %d: %+v, the model says %+v", after, got, want)
		}
	}
	if n, since := s.Money().Owed(); n != len(due) || n > 0 && since != due[0].Due {
		return fmt.Sprintf("%d refunds are owed since %d, the model has %v", n, since, due)
	}
	for looked, after, done := 0, RefundNo(0), false; !done; done = after == 0 {
		var nos []RefundNo
		nos, after = s.Money().LookForRefunds(after, 2)
		for _, no := range nos {
			if looked == len(due) || due[looked].No != no {
				return fmt.Sprintf("refund %d is looked at as due at place %d, the model has %v", no, looked, due)
			}
			looked++
		}
		if after == 0 && looked != len(due) {
			return fmt.Sprintf("%d refunds were found due, the model has %v", looked, due)
		}
	}
	came := m.payments()
	for id := range m.asked {
		if got := s.Money().PaymentOf(id); got != came[id] {
			return fmt.Sprintf("payment %q came for %v, the model says %v", id, got, came[id])
		}
	}
	leaving := slices.ContainsFunc(m.sessions, func(x *modelSession) bool { return x.state == Settled && !x.cleared })
	if n := s.payments.len(); n != len(came) && !leaving {
		return fmt.Sprintf("%d payments are known, the model has %d", n, len(came))
	}
	for _, o := range m.inState() {
		if why := m.accountDiffers(s, o); why != "" {
			return why
		}
	}
	for _, x := range m.sessions {
		if why := m.booksDiffer(s, x); why != "" {
			return why
		}
	}
	return ""
}

// booksDiffer looks at the lists of a session that others go through: the orders
// whose money came up to now, a few rows at a time, and the holds to be closed at
// the cashier.
func (m *model) booksDiffer(s *State, x *modelSession) string {
	var paid, got []OrderRef
	var closable []OrderRef
	if x.state == Settled { // its orders may have left or not
		return ""
	}
	for _, o := range m.inState() {
		if o.listing.session != x {
			continue
		}
		if o.payment != nil && o.payment.at <= m.now {
			paid = append(paid, o.ref)
		}
		if o.state == Held && o.payBy <= m.now && o.due > o.payBy {
			closable = append(closable, o.ref)
		}
	}
	for last, done := uint32(0), false; !done; {
		last, done = s.Money().Takings(x.handle, last, 0, m.now+1, 3, func(ref OrderRef) { got = append(got, ref) })
	}
	if !slices.Equal(got, paid) {
		return fmt.Sprintf("takings of %q: %v, the model says %v", x.ID, got, paid)
	}
	seen, after := map[OrderRef]bool{}, OrderRef{}
	for done := false; !done; done = after.IsZero() {
		var refs []OrderRef
		refs, after = s.InGrace(after, m.now, 2)
		for _, ref := range refs { // it may miss some
			if ref.Session == x.handle && (seen[ref] || !slices.Contains(closable, ref)) {
				return fmt.Sprintf("order %v is in its grace, seen before: %v; the model has %v", ref, seen[ref],
					closable)
			}
			seen[ref] = true
		}
	}
	return ""
}

// accountDiffers looks at what those are told of an order who go through the accounts.
func (m *model) accountDiffers(s *State, o *modelOrder) string {
	account, _ := s.Money().Account(o.ref)
	if !slices.Equal(account.Refunds, m.refundsOf(o.ref)) {
		return fmt.Sprintf("account %+v, the model has refunds %+v", account, m.refundsOf(o.ref))
	}
	if r, _ := s.Record(o.ref); r.State != o.state || r.Shopper != o.shopper ||
		!slices.Equal(r.Refunds, account.Refunds) {
		return fmt.Sprintf("record %+v, the model says %+v", r, *o)
	}
	told := []string{"never heard of"}
	if o.payment != nil {
		told = append(told, o.payment.id)
	}
	for _, r := range account.Refunds {
		told = append(told, r.PaymentID)
	}
	for i, id := range told {
		back := slices.ContainsFunc(account.Refunds, func(r Refund) bool { return r.PaymentID == id })
		amount, known, refund := account.PaidBy(id)
		paid := o.amount
		if o.payment != nil && o.payment.id == id {
			paid -= o.payment.coupon
		} else if refund != nil {
			paid = refund.Amount
		}
		if known != (i > 0) || (refund != nil) != back || known && amount != paid {
			return fmt.Sprintf("payment %q of order %+v: %d, known %v, refund %+v", id, *o, amount, known, refund)
		}
	}
	return ""
}

func (p *payments) len() (n int) {
	for i := range p {
		n += len(p[i].refs)
	}
	return n
}

package engine

import (
	"cmp"
	"slices"
)

// RefundNo numbers refunds in the order in which they became due, from 1. It is
// what the cashier is told, so that asking twice pays back once. 0 is none.
type RefundNo uint32

// Refund is money that came in and has to go back: for a hold that was gone, for
// an order paid twice, for one that operators took back, for one whose session
// has been settled, for no order of ours.
type Refund struct {
	No        RefundNo
	Order     OrderRef
	PaymentID string
	Amount    int64 // minor units
	Currency  string
	Why       Reason
	PaidAt    Time // when the money came, by the cashier's clock
	Due       Time
	Made      Time   // 0 while it is due
	Reference string // the cashier's, once it was made
	// Of money for no order of ours (Stray): the order number and the transaction that
	// it came with; the transaction may be zero. Order is then nobody's.
	PaidFor string
	PaidIn  Transaction
}

// Stray reports whether the money came for no order of ours.
func (r *Refund) Stray() bool { return isStray(r.Order) }

// strayRef stands for the order of a refund that has none: session 0, and the
// refund's number.
func strayRef(no RefundNo) OrderRef { return OrderRef{0, uint32(no)} }

func isStray(ref OrderRef) bool { return ref.Session == 0 && ref.Ordinal != 0 }

// strayOf gives the refund of a payment that came for no order of ours, or nil.
func (m Money) strayOf(paymentID string) *Refund {
	if ref := m.PaymentOf(paymentID); isStray(ref) {
		return m.Refund(RefundNo(ref.Ordinal))
	}
	return nil
}

// Refunds tells how many refunds there have been; their numbers go from 1 to it.
func (m Money) Refunds() int { return m.s.refunds.len() }

// Refund gives a refund, or nil. It is the state's own: read only, and not kept.
func (m Money) Refund(no RefundNo) *Refund {
	if no == 0 || int(no) > m.s.refunds.len() {
		return nil
	}
	return m.s.refunds.at(int(no) - 1)
}

// Owed tells how many refunds are due, and since when the oldest is; 0 without.
func (m Money) Owed() (refunds int, since Time) {
	if m.s.owed == 0 {
		return 0, 0
	}
	return m.s.owed, m.s.refunds.at(int(m.s.madeUpTo)).Due
}

// lookedAt is how many rows, at most, are looked at for each that is asked for:
// those who look hold up what is applied meanwhile.
const lookedAt = 16

// LookForRefunds gives the numbers of up to most refunds that are due, of those
// over after, and the last number it looked at, for the next look; 0 once there
// is nothing behind. It may give few, or none, and still have more.
func (m Money) LookForRefunds(after RefundNo, most int) (due []RefundNo, last RefundNo) {
	from := max(after, m.s.madeUpTo)
	for no := from + 1; int(no) <= m.s.refunds.len(); no++ {
		if len(due) == most || int(no-from) > most*lookedAt {
			return due, no - 1
		}
		if m.s.refunds.at(int(no)-1).Made == 0 {
			due = append(due, no)
		}
	}
	return due, 0
}

// refundsOf gives the refunds of an order, the oldest first.
func (m Money) refundsOf(ref OrderRef) (of []Refund) {
	for _, no := range m.s.refundsOf[ref] {
		of = append(of, *m.Refund(no))
	}
	return of
}

func (s *State) refundTells(ref OrderRef, paymentID string) bool {
	return slices.ContainsFunc(s.refundsOf[ref], func(no RefundNo) bool {
		return s.Money().Refund(no).PaymentID == paymentID
	})
}

// oweRefund makes money that came due to go back, once for each payment. It gives
// the refund its number and its time.
func (s *State) oweRefund(r Refund) {
	r.No, r.Due = RefundNo(s.refunds.len()+1), s.now
	s.refunds.add(r)
	s.refundsOf[r.Order] = append(s.refundsOf[r.Order], r.No)
	s.owed++
}

// confirmRefund notes that the cashier has paid back.
func (s *State) confirmRefund(c *Command) Event {
	r := s.Money().Refund(c.Refund)
	if r == nil {
		return refused(ReasonUnknown)
	}
	e := Event{Kind: RefundMade, Session: r.Order.Session, Order: r.Order, Amount: r.Amount}
	if r.Stray() {
		e.Order, e.Transaction = OrderRef{}, r.PaidIn
	}
	if r.Made != 0 {
		e.Kind = OrderUnchanged
		return e
	}
	m := s.refunds.mut(int(c.Refund) - 1)
	m.Made, m.Reference = s.now, c.Note
	s.owed--
	for int(s.madeUpTo) < s.refunds.len() && s.refunds.at(int(s.madeUpTo)).Made != 0 {
		s.madeUpTo++
	}
	o := s.Order(r.Order)
	if o == nil || s.settled(r.Order.Session) {
		return e
	}
	if o.State == RefundDue && s.allMade(r.Order) {
		o = s.mutOrder(r.Order)
		s.orderTo(o, r.Order, Refunded)
		s.touch(o.Listing)
	}
	told := s.orderEvent(RefundMade, r.Order, ReasonNone)
	told.Amount = e.Amount
	return told
}

func (s *State) allMade(ref OrderRef) bool {
	for _, no := range s.refundsOf[ref] {
		if s.Money().Refund(no).Made == 0 {
			return false
		}
	}
	return true
}

func (f *Refund) fields(c *coder) {
	c.all(&f.Order, &f.PaymentID, &f.Amount, &f.Currency, &f.Why, &f.PaidAt, &f.Due, &f.Made, &f.Reference)
	c.check(f.Why < reasonEnd, "a refund for no reason that there is")
	if f.Stray() {
		c.all(&f.PaidFor, &f.PaidIn)
		c.check(ValidOrderNo(f.PaidFor) && f.Why == ReasonNoOrder,
			"a refund of money for no order that has no order number")
	}
}

func (s *State) readRefund(c *coder) {
	f := Refund{No: RefundNo(s.refunds.len() + 1)}
	f.fields(c)
	x := s.SessionOf(f.Order.Session)
	c.check(f.Order == strayRef(f.No) || x != nil && f.Order.Ordinal != 0 && int(f.Order.Ordinal) <= x.Orders(),
		"a refund of no order")
	s.refunds.add(f)
}

// restoreMoney derives what finds refunds, and the orders that payments came for.
func (s *State) restoreMoney() {
	for i := range s.refunds.len() {
		r := s.refunds.at(i)
		s.refundsOf[r.Order] = append(s.refundsOf[r.Order], r.No)
		if r.Made == 0 {
			s.owed++
		}
	}
	for int(s.madeUpTo) < s.refunds.len() && s.refunds.at(int(s.madeUpTo)).Made != 0 {
		s.madeUpTo++
	}
	for _, settled := range [...]bool{true, false} { // what came again since counts
		for _, x := range s.sessions {
			for i := 0; i < x.orders.len() && settled == (x.State == Settled); i++ {
				ref := OrderRef{x.Handle, uint32(i) + 1}
				if d := s.detailsOf(ref); d.paid {
					s.notePayment(d.payment, ref)
				}
			}
		}
	}
	for i := range s.refunds.len() {
		s.notePayment(s.refunds.at(i).PaymentID, s.refunds.at(i).Order)
	}
}

// RefundView is a refund as those see it who make it: a copy, theirs to keep.
type RefundView struct {
	Refund
	OrderNo     string
	Transaction Transaction
}

// ViewRefunds gives up to most refunds that are due, by number, with one over after.
func (m Money) ViewRefunds(after RefundNo, most int) (due []RefundView) {
	for no := max(after, m.s.madeUpTo) + 1; int(no) <= m.s.refunds.len() && len(due) < most; no++ {
		if r := m.s.refunds.at(int(no) - 1); r.Made == 0 {
			due = append(due, m.s.viewOf(r))
		}
	}
	return due
}

func (s *State) viewOf(r *Refund) RefundView {
	v := RefundView{Refund: *r, OrderNo: cmp.Or(r.PaidFor, s.OrderNo(r.Order)), Transaction: r.PaidIn}
	if o := s.Order(r.Order); o != nil {
		v.Transaction = o.Transaction
	}
	return v
}

// ViewRefund gives a refund, made or due, as those see it who make it.
func (m Money) ViewRefund(no RefundNo) (v RefundView) {
	r := m.Refund(no)
	if r == nil {
		return v
	}
	return m.s.viewOf(r)
}

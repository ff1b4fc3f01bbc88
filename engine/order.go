package engine

// Order is a hold and what becomes of it, or a place on the waitlist or in a draw that
// may become one. 96 bytes, no pointers: there are millions of them.
type Order struct {
	Key     Key
	Amount  int64 // minor units
	Granted Time  // of one Waiting or Entered: when it joined
	PayBy   Time
	Changed Time // when State was last set
	// Transaction ties together all that was asked, said and paid about it.
	Transaction Transaction
	previous    OrderRef // the same shopper's order before this one
	Shopper     ShopperNo
	Listing     ListingHandle
	Quantity    uint32
	graceMS     uint32
	details     uint32 // where Session.details has more of it, from 1; 0 if nowhere
	State       OrderState
	inSequence  bool   // due in the order of grants; else in Session.exceptional
	traits      traits // how it came to be
	Why         Reason // of one Left or Passed
}

// traits of an order are bits.
type traits uint8

const (
	traitWaitlist traits = 1 << iota // would rather wait than be told that all is taken
	traitDrawn                       // entered a draw
	traitLate                        // entered it after it had closed, before it was done
	traitBargain                     // bought by a bargain
	traitsEnd
)

// Entrant reports whether the order came by a draw, and whether too late to be
// drawn: then it was taken in the order of arrival, after all who were drawn.
func (o *Order) Entrant() (entered, late bool) {
	return o.traits&traitDrawn != 0, o.traits&traitLate != 0
}

// Due is when an unpaid hold is released: PayBy and the grace.
func (o *Order) Due() Time { return o.PayBy + Time(o.graceMS) }

// details is what only some orders have.
type details struct {
	payment  string    // the id of the payment that it was paid by
	payType  string    // how; "" if the cashier did not say
	coupon   int64     // what of the order's amount a coupon at the cashier paid
	paid     bool      // payment counts, even an empty one
	paidAt   Time      // when it was made, by the cashier's clock
	receiver *Receiver // never changed in place
	place    uint32    // on the waitlist, of one Waiting
	ticket   uint64    // the id of the ticket that it took
	shipment *Shipment // never changed in place; nil: nothing is to be said of it
}

// Order gives an order, or nil, also if it has left the state. It is the state's
// own: read it under the same lock as the state, and don't keep it.
func (s *State) Order(ref OrderRef) *Order {
	if !s.has(ref) || s.sessions[ref.Session-1].Left() {
		return nil
	}
	return s.at(ref)
}

// has reports whether at has an order.
func (s *State) has(ref OrderRef) bool {
	x := s.SessionOf(ref.Session)
	return x != nil && ref.Ordinal > 0 && int(ref.Ordinal) <= x.orders.len()
}

// at gives an order that there is, also while it leaves the state: shoppers' orders
// lead to each other until they have.
func (s *State) at(ref OrderRef) *Order {
	return s.sessions[ref.Session-1].orders.at(int(ref.Ordinal) - 1)
}

func (s *State) mutOrder(ref OrderRef) *Order {
	return s.sessions[ref.Session-1].orders.mut(int(ref.Ordinal) - 1)
}

// Orders tells how many orders a session has, or had when it was settled; their
// ordinals go from 1 to it.
func (x *Session) Orders() int { return max(x.orders.len(), int(x.settledOrders)) }

// Receiver gives where an order's goods go, sealed, if the shopper has said so.
func (s *State) Receiver(ref OrderRef) (Receiver, bool) {
	if d := s.detailsOf(ref); d.receiver != nil {
		return *d.receiver, true
	}
	return Receiver{}, false
}

func (s *State) detailsOf(ref OrderRef) details {
	if s.has(ref) && s.at(ref).details != 0 {
		o := s.at(ref)
		return *s.sessions[ref.Session-1].details.at(int(o.details) - 1)
	}
	return details{}
}

func (s *State) mutDetails(ref OrderRef) *details {
	o, x := s.mutOrder(ref), s.sessions[ref.Session-1]
	if o.details == 0 {
		x.details.add(details{})
		o.details = uint32(x.details.len())
	}
	return x.details.mut(int(o.details) - 1)
}

// OrdersOf walks a shopper's orders, the newest first, until yield says stop.
func (s *State) OrdersOf(no ShopperNo, yield func(OrderRef, *Order) bool) {
	if int(no) > s.shoppers.rows.len() {
		return
	}
	for ref := s.lastOrder(no); !ref.IsZero(); {
		o := s.at(ref)
		if !s.sessions[ref.Session-1].Left() && !yield(ref, o) {
			return
		}
		ref = o.previous
	}
}

// OrderByKey finds what a shopper's key led to.
func (s *State) OrderByKey(no ShopperNo, key Key) (found OrderRef) {
	s.OrdersOf(no, func(ref OrderRef, o *Order) bool {
		if o.Key == key {
			found = ref
			return false
		}
		return true
	})
	return found
}

// OrderOf gives the order that a shopper's key led to, else the shopper's order that
// has the key for its number: whoever waits is told of their place whatever key they
// ask with, and may have no other name for it.
func (s *State) OrderOf(shopper, key string) OrderRef {
	no := s.ShopperNo(shopper)
	if ref := s.OrderByKey(no, s.KeyOf([]byte(key))); !ref.IsZero() {
		return ref
	}
	if ref, ok := s.FindOrder(key); ok && no != 0 {
		if o := s.Order(ref); o != nil && o.Shopper == no {
			return ref
		}
	}
	return OrderRef{}
}

func (s *State) lastOrder(no ShopperNo) OrderRef {
	if no == 0 {
		return OrderRef{}
	}
	return s.shoppers.rows.at(int(no) - 1).kept
}

// newOrder makes an order of what c asks for, that holds nothing yet.
func (s *State) newOrder(c *Command, l *Listing, no ShopperNo) OrderRef {
	if no == 0 {
		no = s.shoppers.add(c.Shopper, OrderRef{})
	}
	session := s.sessions[l.Session-1]
	price := l.Price
	if l.Play != nil { // else it is a flash sale, and hot
		price = s.unitPrice(c, l)
	}
	o := Order{Key: c.Key, Amount: price * int64(c.Quantity), Granted: s.now, PayBy: s.now, Changed: s.now,
		Transaction: c.Transaction, previous: s.lastOrder(no), Shopper: no, Listing: l.Handle, Quantity: c.Quantity}
	if c.Waitlist {
		o.traits = traitWaitlist
	}
	if !c.Bargain.IsZero() {
		o.traits |= traitBargain
	}
	session.orders.add(o)
	session.grantedIn(s.life)
	ref := OrderRef{session.Handle, uint32(session.orders.len())}
	s.shoppers.rows.mut(int(no) - 1).kept = ref
	if c.Ticket != 0 {
		s.mutDetails(ref).ticket = c.Ticket
	}
	return ref
}

// orderEvent tells of an order as it is now.
func (s *State) orderEvent(kind EventKind, ref OrderRef, why Reason) Event {
	o := s.at(ref)
	return Event{Kind: kind, Reason: why, State: o.State, Session: ref.Session, Listing: o.Listing, Order: ref,
		Shopper: o.Shopper, Quantity: o.Quantity, Amount: o.Amount, PayBy: o.PayBy, Transaction: o.Transaction}
}

// commanded gives the order that c is about and its listing, once it is expired if it
// is due; nil if there is no such order.
func (s *State) commanded(c *Command) (*Order, *Listing) {
	o := s.Order(c.Order)
	if o == nil {
		return nil, nil
	}
	s.expireIfDue(c.Order)
	return s.Order(c.Order), s.listings[o.Listing-1]
}

// owns reports whether there is such an order and it is the shopper's. To others
// an order is as unknown as one that is not there.
func (s *State) owns(id []byte, ref OrderRef) bool {
	o := s.Order(ref)
	return o != nil && s.ShopperID(o.Shopper) == string(id)
}

// refusedOrder refuses a command on an order.
func (s *State) refusedOrder(ref OrderRef, why Reason) Event {
	return s.orderEvent(CommandRefused, ref, why)
}

// orderTo changes an order's state, from now on.
func (s *State) orderTo(o *Order, ref OrderRef, to OrderState) {
	x := s.sessions[ref.Session-1]
	if o.State == RefundDue {
		x.refundsDue--
	}
	if to == RefundDue {
		x.refundsDue++
	}
	o.State, o.Changed = to, s.now
}

// voidOrder takes an order back on behalf of operators: a hold is released, a
// paid one becomes a refund due and its units come back. Of one that cost nothing
// there is nothing to pay back.
func (s *State) voidOrder(c *Command) Event {
	o, l := s.commanded(c)
	switch {
	case o == nil:
		return refused(ReasonUnknown)
	case o.State == Voided:
		return s.orderEvent(OrderUnchanged, c.Order, ReasonNone)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	case o.State == Held:
		return s.release(c.Order, Voided, ReasonVoided)
	case o.State != Paid:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	}
	return s.takeBack(c.Order, ReasonVoided)
}

// takeBack makes a refund due of a paid order, and its units free. Of one that cost
// nothing there is nothing to pay back: it is Voided.
func (s *State) takeBack(ref OrderRef, why Reason) Event {
	o := s.mutOrder(ref)
	l := s.listings[o.Listing-1]
	s.unsold(l, o.Quantity, o.Changed)
	if o.Amount == 0 {
		l.Held += int64(o.Quantity)
		return s.release(ref, Voided, why)
	}
	s.orderTo(o, ref, RefundDue)
	s.giveBack(l, o)
	d := s.detailsOf(ref)
	s.oweRefund(Refund{Order: ref, PaymentID: d.payment, Amount: o.Amount - d.coupon, Currency: l.Currency, Why: why,
		PaidAt: d.paidAt})
	e := s.orderEvent(RefundBecameDue, ref, why)
	e.Amount = o.Amount - d.coupon
	return e
}

// OrderView is an order as readers see it: a copy, theirs to keep.
type OrderView struct {
	Ref         OrderRef
	OrderNo     string
	Shopper     string
	Session     string
	SKU         string
	Quantity    uint32
	Amount      int64
	Currency    string
	State       OrderState
	GrantedAt   Time
	PayBy       Time
	ChangedAt   Time
	Why         Reason // of one left or passed
	Position    uint32 // of one waiting
	PaymentID   string
	PayType     string // how it was paid; "" if the cashier did not say
	Coupon      int64  // what of Amount a coupon at the cashier paid; the shopper paid the rest
	PaidAt      Time   // by the cashier's clock; 0 where nobody paid
	Transaction Transaction
	Delivery    Delivery
	Shipment
	Receiver    Receiver // sealed, where HasReceiver
	HasReceiver bool
}

// OrderFilter says which orders an operator looks for. Zero fields don't filter.
type OrderFilter struct {
	OrderNo  string
	Shopper  string
	Session  string
	SKU      string
	State    OrderState
	From, To Time // granted in [From, To)

	Payment     string      // that came for it
	Transaction Transaction // that it is of
	Phone       Blind       // of its receiver; the ledger has none

	Newest bool   // the newest first, of the session that starts last before those of others
	Cursor string // where the page before ended
	Limit  int    // 1 to 1000
}

// View copies the order at ref, or gives false.
func (s *State) View(ref OrderRef) (OrderView, bool) {
	r, known := s.Record(ref)
	if !known {
		return OrderView{}, false
	}
	v := s.ViewRecord(&r)
	v.Position = s.Position(ref)
	return v, true
}

// ViewRecord gives an order as readers see it, also one that has left the state.
func (s *State) ViewRecord(r *OrderRecord) OrderView {
	l := s.listings[r.Listing-1]
	v := OrderView{Ref: r.Ref, OrderNo: s.Numberer().Number(r.Ref, r.Life).String(), Shopper: r.Shopper,
		Session: s.sessions[r.Ref.Session-1].ID, SKU: l.SKU, Quantity: r.Quantity, Amount: r.Amount,
		Currency: l.Currency, State: r.State, GrantedAt: r.Granted, PayBy: r.PayBy, ChangedAt: r.Changed, Why: r.Why,
		PaymentID: r.PaymentID, PayType: r.PayType, Coupon: r.Coupon, PaidAt: r.PaidAt, Transaction: r.Transaction,
		Delivery: l.Delivery, Shipment: r.Shipment}
	if r.Receiver != nil {
		v.Receiver, v.HasReceiver = *r.Receiver, true
	}
	if s.settled(r.Ref.Session) && len(s.refundsOf[r.Ref]) > 0 {
		switch r.State {
		case Expired, Cancelled, Voided, Refunded: // money came since, and the order does not change any more
			if v.State = Refunded; !s.allMade(r.Ref) {
				v.State = RefundDue
			}
		}
	}
	return v
}

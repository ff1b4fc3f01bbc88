package engine

// OrderRecord is all that is known of an order, for whoever keeps it once it has
// left the state: a copy, theirs to keep.
type OrderRecord struct {
	Ref                     OrderRef
	Life                    Life // that it was granted in
	Listing                 ListingHandle
	Shopper                 string
	Key                     Key
	Quantity                uint32
	Amount                  int64 // minor units
	State                   OrderState
	Why                     Reason // of one Left or Passed
	Granted, PayBy, Changed Time
	Transaction             Transaction
	PaymentID, PayType      string
	Coupon                  int64     // what of Amount a coupon at the cashier paid
	PaidAt                  Time      // by the cashier's clock; 0 if it did not say
	Receiver                *Receiver // sealed; nil: the shopper has not said
	Shipment                Shipment
	Drawn, Late             bool     // as of Order.Entrant
	Refunds                 []Refund // the oldest first
}

// Record copies the order at ref, or gives false.
func (s *State) Record(ref OrderRef) (OrderRecord, bool) {
	o := s.Order(ref)
	if o == nil {
		return OrderRecord{}, false
	}
	r := recordOf(ref, s.Life(ref), o, s.detailsOf(ref), s.ShopperID(o.Shopper))
	r.Refunds = s.Money().refundsOf(ref)
	return r, true
}

func recordOf(ref OrderRef, life Life, o *Order, d details, shopper string) OrderRecord {
	r := OrderRecord{Ref: ref, Life: life, Listing: o.Listing, Shopper: shopper, Key: o.Key, Quantity: o.Quantity,
		Amount: o.Amount, State: o.State, Why: o.Why, Granted: o.Granted, PayBy: o.PayBy, Changed: o.Changed,
		Transaction: o.Transaction, PaymentID: d.payment, PayType: d.payType, Coupon: d.coupon, PaidAt: d.paidAt}
	if d.shipment != nil {
		r.Shipment = *d.shipment
	}
	if d.receiver != nil {
		to := *d.receiver
		r.Receiver = &to
	}
	r.Drawn, r.Late = o.Entrant()
	return r
}

// Leaving is a sealed session's orders. Nothing of it changes any
// more: it may be kept and read by anybody.
type Leaving struct {
	Session  SessionHandle
	Sealed   LogIndex // the entry that sealed it
	At       Time
	Listings []Listing // as they were
	orders   table[Order]
	details  table[details]
	shoppers table[shopper]
	lives    []granting
}

// Leaving takes hold of the orders of a settled session; nil if they have left the
// state. Nobody must read the state meanwhile.
func (s *State) Leaving(h SessionHandle) *Leaving {
	if x := s.SessionOf(h); x != nil && x.State == Settled && !x.Left() {
		return s.leaving(x)
	}
	return nil
}

// leaving takes hold of the orders of x.
func (s *State) leaving(x *Session) *Leaving {
	l := &Leaving{Session: x.Handle, Sealed: x.Sealed, At: x.SettledAt, orders: x.orders.freeze(),
		details: x.details.freeze(), lives: x.lives, shoppers: s.shoppers.rows.freeze()}
	for _, h := range x.Listings {
		l.Listings = append(l.Listings, *s.listings[h-1])
	}
	return l
}

// Orders tells how many there are; their ordinals go from 1 to it.
func (l *Leaving) Orders() int { return l.orders.len() }

// Record copies an order, without its refunds: those stay in the state.
func (l *Leaving) Record(ordinal uint32) (OrderRecord, bool) {
	if ordinal == 0 || int(ordinal) > l.orders.len() {
		return OrderRecord{}, false
	}
	o := l.orders.at(int(ordinal) - 1)
	var d details
	if o.details != 0 {
		d = *l.details.at(int(o.details) - 1)
	}
	if d.receiver != nil { // nobody looks for it by its hashes any more: the file needs none
		d.receiver = &Receiver{Sealed: d.receiver.Sealed}
	}
	return recordOf(OrderRef{l.Session, ordinal}, lifeIn(l.lives, ordinal), o, d,
		l.shoppers.at(int(o.Shopper)-1).id), true
}

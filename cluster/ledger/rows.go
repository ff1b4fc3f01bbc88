package ledger

import (
	"doorbuster/engine"
)

// Versions of the rows of each bucket.
const (
	orderVersion   = 1
	eventVersion   = 1
	nameVersion    = 1
	settledVersion = 1
	pointerVersion = 1
)

const (
	orderReceiver = 1 << iota
	orderDrawn
	orderLate
)

func orderBody(o *engine.OrderRecord) []byte {
	w := writer{make([]byte, 0, 128)}
	w.byte(orderVersion)
	flags := byte(0)
	if o.Receiver != nil {
		flags |= orderReceiver
	}
	if o.Drawn {
		flags |= orderDrawn
	}
	if o.Late {
		flags |= orderLate
	}
	w.byte(flags)
	w.byte(byte(o.State))
	w.byte(byte(o.Why))
	w.uint(uint64(o.Life))
	w.uint(uint64(o.Listing))
	w.string(o.Shopper)
	w.buf = append(w.buf, o.Key[:]...)
	w.uint(uint64(o.Quantity))
	w.int(o.Amount)
	w.int(int64(o.Granted))
	w.int(int64(o.PayBy - o.Granted))
	w.int(int64(o.Changed - o.Granted))
	w.buf = append(w.buf, o.Transaction[:]...)
	w.string(o.PaymentID)
	w.int(int64(o.PaidAt))
	if o.Receiver != nil {
		w.string(o.Receiver.Name)
		w.string(o.Receiver.Phone)
		w.string(o.Receiver.Address)
	}
	w.uint(uint64(len(o.Refunds)))
	for i := range o.Refunds {
		f := &o.Refunds[i]
		w.uint(uint64(f.No))
		w.string(f.PaymentID)
		w.int(f.Amount)
		w.string(f.Currency)
		w.byte(byte(f.Why))
		w.int(int64(f.Due))
		w.int(int64(f.Made))
		w.string(f.Reference)
	}
	return w.buf
}

func orderOf(key, body []byte) (o engine.OrderRecord, err error) {
	if len(key) != 8 {
		return o, errDamaged
	}
	r := reader{buf: body}
	r.version(orderVersion)
	o.Ref = refOf(key)
	flags := r.byte()
	o.Drawn, o.Late = flags&orderDrawn != 0, flags&orderLate != 0
	o.State, o.Why = engine.OrderState(r.byte()), engine.Reason(r.byte())
	o.Life = engine.Life(r.uint())
	o.Listing = engine.ListingHandle(r.uint32())
	o.Shopper = r.string()
	copy(o.Key[:], r.bytes(len(o.Key)))
	o.Quantity, o.Amount, o.Granted = r.uint32(), r.int(), engine.Time(r.int())
	o.PayBy, o.Changed = o.Granted+engine.Time(r.int()), o.Granted+engine.Time(r.int())
	copy(o.Transaction[:], r.bytes(len(o.Transaction)))
	o.PaymentID, o.PaidAt = r.string(), engine.Time(r.int())
	if flags&orderReceiver != 0 {
		o.Receiver = &engine.Receiver{Name: r.string(), Phone: r.string(), Address: r.string()}
	}
	for range r.uint() {
		o.Refunds = append(o.Refunds, engine.Refund{Order: o.Ref, No: engine.RefundNo(r.uint32()), PaymentID: r.string(), Amount: r.int(), Currency: r.string(),
			Why: engine.Reason(r.byte()), Due: engine.Time(r.int()), Made: engine.Time(r.int()), Reference: r.string()})
		if r.err != nil {
			break
		}
	}
	return o, r.done()
}

// event is a row of the trail.
type event struct {
	at          engine.TrailPosition
	time        engine.Time
	kind        engine.EventKind
	reason      engine.Reason
	state       engine.OrderState
	session     engine.SessionHandle
	listing     engine.ListingHandle
	order       engine.OrderRef
	life        engine.Life // of the order
	shopper     string
	quantity    uint32
	limit       uint32
	amount      int64
	payBy       engine.Time
	operator    string
	note        string
	detail      string
	transaction engine.Transaction
	// missing: no event, but a hole that begins with this index.
	missing engine.LogIndex
}

func (e *event) body() []byte {
	w := writer{make([]byte, 0, 96)}
	w.byte(eventVersion)
	w.int(int64(e.time))
	w.byte(byte(e.kind))
	w.byte(byte(e.reason))
	w.byte(byte(e.state))
	w.uint(uint64(e.session))
	w.uint(uint64(e.listing))
	w.uint(uint64(e.order.Session))
	w.uint(uint64(e.order.Ordinal))
	w.uint(uint64(e.life))
	w.string(e.shopper)
	w.uint(uint64(e.quantity))
	w.uint(uint64(e.limit))
	w.int(e.amount)
	w.int(int64(e.payBy))
	w.string(e.operator)
	w.string(e.note)
	w.string(e.detail)
	w.buf = append(w.buf, e.transaction[:]...)
	w.uint(uint64(e.missing))
	return w.buf
}

func eventOf(key, body []byte) (e event, err error) {
	if len(key) != 12 {
		return e, errDamaged
	}
	r := reader{buf: body}
	r.version(eventVersion)
	e.at, e.time = positionOf(key), engine.Time(r.int())
	e.kind, e.reason, e.state = engine.EventKind(r.byte()), engine.Reason(r.byte()), engine.OrderState(r.byte())
	e.session, e.listing = engine.SessionHandle(r.uint32()), engine.ListingHandle(r.uint32())
	e.order = engine.OrderRef{Session: engine.SessionHandle(r.uint32()), Ordinal: r.uint32()}
	e.life = engine.Life(r.uint())
	e.shopper, e.quantity, e.limit = r.string(), r.uint32(), r.uint32()
	e.amount, e.payBy = r.int(), engine.Time(r.int())
	e.operator, e.note, e.detail = r.string(), r.string(), r.string()
	copy(e.transaction[:], r.bytes(len(e.transaction)))
	e.missing = engine.LogIndex(r.uint())
	return e, r.done()
}

// name says what a session's or a listing's handle stands for.
type name struct {
	session  engine.SessionHandle
	id       string // of the session, or the SKU
	currency string
}

func (n *name) body() []byte {
	w := writer{}
	w.byte(nameVersion)
	w.uint(uint64(n.session))
	w.string(n.id)
	w.string(n.currency)
	return w.buf
}

func nameOf(body []byte) (n name, err error) {
	r := reader{buf: body}
	r.version(nameVersion)
	n.session, n.id, n.currency = engine.SessionHandle(r.uint32()), r.string(), r.string()
	return n, r.done()
}

// Settled is a session as it was when its orders left the state.
type Settled struct {
	Session  engine.SessionHandle
	Index    engine.LogIndex // of the entry that settled it
	At       engine.Time
	Orders   uint32
	Listings []SettledListing
}

// SettledListing is a listing of such a session.
type SettledListing struct {
	Listing                                  engine.ListingHandle
	Price                                    int64
	Stock, Available, Paid, Released, Buyers int64
}

func (s *Settled) body() []byte {
	w := writer{}
	w.byte(settledVersion)
	w.uint(uint64(s.Index))
	w.int(int64(s.At))
	w.uint(uint64(s.Orders))
	w.uint(uint64(len(s.Listings)))
	for _, l := range s.Listings {
		w.uint(uint64(l.Listing))
		for _, v := range [...]int64{l.Price, l.Stock, l.Available, l.Paid, l.Released, l.Buyers} {
			w.int(v)
		}
	}
	return w.buf
}

func settledOf(key, body []byte) (s Settled, err error) {
	if len(key) != 5 {
		return s, errDamaged
	}
	r := reader{buf: body}
	r.version(settledVersion)
	s.Session = engine.SessionHandle(uint32(key[1])<<24 | uint32(key[2])<<16 | uint32(key[3])<<8 | uint32(key[4]))
	s.Index, s.At, s.Orders = engine.LogIndex(r.uint()), engine.Time(r.int()), r.uint32()
	for range r.uint() {
		s.Listings = append(s.Listings, SettledListing{Listing: engine.ListingHandle(r.uint32()),
			Price: r.int(), Stock: r.int(), Available: r.int(), Paid: r.int(), Released: r.int(), Buyers: r.int()})
		if r.err != nil {
			break
		}
	}
	return s, r.done()
}

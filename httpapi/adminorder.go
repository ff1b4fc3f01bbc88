package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/wire"
)

// orderOf gives an order as operators see it, but for its receiver.
func orderOf(o *engine.OrderView) wire.OpsOrder {
	j := wire.OpsOrder{OrderNo: o.OrderNo, Shopper: o.Shopper, Session: o.Session, SKU: o.SKU, Quantity: o.Quantity,
		Amount: o.Amount, Currency: o.Currency, State: o.State.String(), GrantedAt: rfc3339(o.GrantedAt),
		Position:  o.Position,
		ChangedAt: rfc3339(o.ChangedAt), PaymentID: o.PaymentID, PaymentType: o.PayType,
		Transaction: o.Transaction.String()}
	if o.Coupon != 0 {
		paid := o.Amount - o.Coupon
		j.AmountPaid = &paid
	}
	if o.PayBy != 0 {
		j.PayBy = rfc3339(o.PayBy)
	}
	if o.State == engine.Left || o.State == engine.Passed {
		j.Why = o.Why.String()
	}
	if o.Delivery != engine.DeliveryNone {
		j.Delivery = o.Delivery.String()
	}
	if o.Review != engine.NotReviewed {
		j.Review, j.ReviewWhy = o.Review.String(), o.ReviewNote
	}
	j.Export, j.Carrier, j.Tracking = o.Export, o.Carrier, o.Tracking
	for _, at := range [...]struct {
		is   engine.Time
		said *string
	}{{o.ShippedAt, &j.ShippedAt}, {o.ReceivedAt, &j.ReceivedAt}, {o.CompletedAt, &j.CompletedAt}} {
		if at.is != 0 {
			*at.said = rfc3339(at.is)
		}
	}
	return j
}

// orderSeen gives an order as whoever asks may see it.
func (s *AdminServer) orderSeen(r *http.Request, o *engine.OrderView) wire.OpsOrder {
	j := orderOf(o)
	j.Receiver, j.ReceiverState = s.receiverOf(o, roleOf(r))
	return j
}

// ordersOf is orderSeen for many.
func (s *AdminServer) ordersOf(r *http.Request, orders []engine.OrderView) []wire.OpsOrder {
	return listOf(orders, func(o *engine.OrderView) wire.OpsOrder { return s.orderSeen(r, o) })
}

// orderQuery is what an operator looks for among orders.
type orderQuery struct {
	OrderNo string            `query:"order_no" as:"order"`  // Its number.
	Shopper string            `query:"shopper" as:"shopper"` // Whose.
	Session string            `query:"session" as:"id"`      // In this session.
	SKU     string            `query:"sku" as:"id"`          // Of this SKU.
	State   engine.OrderState `query:"state"`                // In this state.
	From    engine.Time       `query:"from"`                 // Granted then or later.
	To      engine.Time       `query:"to"`                   // Granted before then.
	// That this payment came for. It is found at once.
	Payment string `query:"payment_id" as:"payment"`
	// Of this transaction.
	Transaction askedTransaction `query:"transaction"`
	// Whose receiver has this phone number, in sessions that are not settled.
	Phone string `query:"phone" as:"phone"`
	// true: the newest first, of the session that starts last before those of others; else the
	// oldest first of each session. A shopper's are the newest first anyway.
	Newest bool   `query:"newest"`
	Cursor string `query:"cursor" as:"cursor"`            // From the page before.
	Limit  int    `query:"limit" usual:"100" most:"1000"` // Orders a page.
}

// askedTransaction is a transaction, as orders tell it.
type askedTransaction engine.Transaction

func (x *askedTransaction) ask(name, given string) string {
	t, err := payment.ParseTransaction([]byte(given))
	*x = askedTransaction(t)
	return unless(err == nil, name+" must be a UUID, as orders tell it.")
}

// filter gives what is looked for. A phone number is known by its hash alone.
func (s *AdminServer) filter(q *orderQuery) (f engine.OrderFilter, err error) {
	f = engine.OrderFilter{OrderNo: q.OrderNo, Shopper: q.Shopper, Session: q.Session, SKU: q.SKU, State: q.State,
		From: q.From, To: q.To, Payment: q.Payment, Transaction: engine.Transaction(q.Transaction), Newest: q.Newest,
		Cursor: q.Cursor, Limit: q.Limit}
	if q.Phone != "" {
		if f.Phone, err = s.vault.PhoneBlind(q.Phone); err != nil {
			return f, refuse(unavailable, "This node can't look for a phone number yet: "+err.Error()+".")
		}
	}
	return f, nil
}

func (s *AdminServer) orders(r *http.Request, q *orderQuery) (page wire.OpsOrders, err error) {
	filter, err := s.filter(q)
	if err != nil {
		return page, err
	}
	found, next, err := s.operator.FindOrders(filter)
	var refusal *engine.Refusal
	switch {
	// nothing else of a filter can contradict what is there
	case errors.As(err, &refusal) && refusal.Reason == engine.ReasonConflict:
		return page, refuse(malformed, foreignCursor)
	case err != nil:
		return page, err
	}
	page = wire.OpsOrders{Orders: s.ordersOf(r, found), Cursor: next}
	if len(found) == 0 && q.OrderNo != "" {
		page.Lost = s.lost(q.OrderNo)
	}
	return page, nil
}

// lost tells of the order with a number, nil if none was lost.
func (s *AdminServer) lost(orderNo string) *wire.LostOrder {
	o, ok := s.operator.LostOrder(orderNo)
	if !ok {
		return nil
	}
	where := "a session that is not there any more"
	if o.Session != "" {
		where = "session " + o.Session
	}
	return &wire.LostOrder{Session: o.Session, Place: o.Place, Life: o.Life.String(),
		Says: fmt.Sprintf("This shop has given "+
			"the number out, for order %d of %s, and lost the order in a recovery. Nobody else has the number, and "+
			"money "+
			"for it "+
			"goes back.", o.Place, where)}
}

func (s *AdminServer) order(r *http.Request) (j wire.OpsOrder, err error) {
	found, _, err := s.operator.FindOrders(engine.OrderFilter{OrderNo: r.PathValue("order_no"), Limit: 1})
	if err != nil {
		return j, err
	}
	if len(found) > 0 {
		return s.orderSeen(r, &found[0]), nil
	}
	refusal := &engine.Refusal{Reason: engine.ReasonUnknown}
	if lost := s.lost(r.PathValue("order_no")); lost != nil {
		refusal.Detail = lost.Says
	}
	return j, refusal
}

func (s *AdminServer) void(r *http.Request, b *wire.Note) (wire.OpsOrder, error) {
	o, err := s.operator.Void(r.Context(), byOf(r), r.PathValue("order_no"), b.Note)
	return s.orderSeen(r, &o), err
}

func (s *AdminServer) extend(r *http.Request, b *wire.ExtendRequest) (wire.OpsOrder, error) {
	payBy, err := input.Time(b.PayBy)
	if err != nil || payBy.UnixMilli() <= 0 {
		return wire.OpsOrder{}, refuse(malformed,
			"pay_by must be there: a time such as 2026-09-20T02:15:00Z (RFC 3339).")
	}
	o, err := s.operator.Extend(r.Context(), byOf(r), r.PathValue("order_no"), engine.TimeOf(payBy), b.Note.Note)
	return s.orderSeen(r, &o), err
}

// pageQuery is which places in line an operator looks for.
type pageQuery struct {
	Cursor string `query:"cursor" as:"row"`               // From the page before.
	Limit  int    `query:"limit" usual:"100" most:"1000"` // Places a page.
}

// waitlist shows who waits for a listing, the first in line first.
func (s *AdminServer) waitlist(r *http.Request, q *pageQuery) (wire.Waitlist, error) {
	found, next, err := s.operator.Waitlist(r.PathValue("session"), r.PathValue("sku"), q.Cursor, q.Limit)
	return wire.Waitlist{Waiting: s.ordersOf(r, found), Cursor: next}, err
}

// refundQuery is which refunds an operator looks for.
type refundQuery struct {
	Cursor int64 `query:"cursor" least:"0" most:"4294967295"` // From the page before.
	Limit  int   `query:"limit" usual:"100" most:"1000"`      // Refunds a page.
}

// refunds gives a page of the refunds that are due, the oldest first.
func (s *AdminServer) refunds(_ *http.Request, q *refundQuery) (page wire.Refunds, err error) {
	due := s.operator.RefundsDue(engine.RefundNo(q.Cursor), q.Limit+1)
	if len(due) > q.Limit {
		due = due[:q.Limit]
		page.Cursor = strconv.FormatUint(uint64(due[q.Limit-1].No), 10)
	}
	_, page.Asking = s.refundTries(0)
	page.Refunds = listOf(due, func(r *engine.RefundView) wire.Refund {
		j := wire.Refund{RefundNo: uint32(r.No), OrderNo: r.OrderNo, PaymentID: r.PaymentID, Amount: r.Amount,
			Currency: r.Currency, Reason: r.Why.String(), DueAt: rfc3339(r.Due), Transaction: r.Transaction.String()}
		if r.PaidAt != 0 {
			j.PaidAt = rfc3339(r.PaidAt)
		}
		if t, known := s.refundTries(r.No); known && t.Tries > 0 {
			j.Tries, j.LastError, j.NextTryAt = t.Tries, t.LastError, rfc3339(engine.TimeOf(t.Next))
		}
		return j
	})
	return page, nil
}

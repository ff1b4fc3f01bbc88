package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

func orderOf(o *engine.OrderView) wire.OpsOrder {
	j := wire.OpsOrder{OrderNo: o.OrderNo, Shopper: o.Shopper, Session: o.Session, SKU: o.SKU, Quantity: o.Quantity, Amount: o.Amount,
		Currency: o.Currency, State: o.State.String(), GrantedAt: rfc3339(o.GrantedAt), Position: o.Position,
		ChangedAt: rfc3339(o.ChangedAt), PaymentID: o.PaymentID, Transaction: o.Transaction.String()}
	if o.PayBy != 0 {
		j.PayBy = rfc3339(o.PayBy)
	}
	if o.State == engine.Left || o.State == engine.Passed {
		j.Why = o.Why.String()
	}
	if o.HasReceiver {
		j.Receiver = &wire.Receiver{Name: o.Receiver.Name, Phone: o.Receiver.Phone, Address: o.Receiver.Address}
	}
	return j
}

// orderQuery is what an operator looks for among orders.
type orderQuery struct {
	OrderNo string            `query:"order_no" as:"order"`
	Shopper string            `query:"shopper" as:"shopper"`
	Session string            `query:"session" as:"id"`
	SKU     string            `query:"sku" as:"id"`
	State   engine.OrderState `query:"state"`
	From    engine.Time       `query:"from"`
	To      engine.Time       `query:"to"`
	Cursor  string            `query:"cursor" as:"cursor"`
	Limit   int               `query:"limit" usual:"100" most:"1000"`
}

func (s *AdminServer) orders(w http.ResponseWriter, r *http.Request, q *orderQuery) {
	filter := engine.OrderFilter{OrderNo: q.OrderNo, Shopper: q.Shopper, Session: q.Session, SKU: q.SKU, State: q.State, From: q.From, To: q.To, Cursor: q.Cursor, Limit: q.Limit}
	found, next, err := s.operator.FindOrders(filter)
	var refusal *engine.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == engine.ReasonConflict: // nothing else of a filter can contradict what is there
		s.problem(w, r, malformed, foreignCursor)
		return
	case err != nil:
		s.failed(w, r, err)
		return
	}
	list := make([]wire.OpsOrder, 0, len(found))
	for i := range found {
		list = append(list, orderOf(&found[i]))
	}
	var lost *wire.LostOrder
	if len(found) == 0 && filter.OrderNo != "" {
		lost = s.lost(filter.OrderNo)
	}
	s.reply(w, r, http.StatusOK, struct {
		Orders []wire.OpsOrder `json:"orders"`
		Lost   *wire.LostOrder `json:"lost,omitempty"`
		Cursor string          `json:"cursor,omitempty"`
	}{list, lost, next})
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
	return &wire.LostOrder{Session: o.Session, Place: o.Place, Life: o.Life.String(), Says: fmt.Sprintf("This shop has given the number out, for order %d of %s, and lost the order in a recovery. "+
		"Nobody else has the number, and money for it goes back.", o.Place, where)}
}

func (s *AdminServer) order(w http.ResponseWriter, r *http.Request) {
	found, _, err := s.operator.FindOrders(engine.OrderFilter{OrderNo: r.PathValue("order_no"), Limit: 1})
	if err == nil && len(found) == 0 {
		refusal := &engine.Refusal{Reason: engine.ReasonUnknown}
		if lost := s.lost(r.PathValue("order_no")); lost != nil {
			refusal.Detail = lost.Says
		}
		err = refusal
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.reply(w, r, http.StatusOK, orderOf(&found[0]))
}

func (s *AdminServer) void(w http.ResponseWriter, r *http.Request) {
	var request noted
	if !s.decode(w, r, &request, func() string { return request.wrong() }) {
		return
	}
	o, err := s.operator.Void(r.Context(), byOf(r), r.PathValue("order_no"), request.Note)
	s.orderOrError(w, r, &o, err)
}

func (s *AdminServer) extend(w http.ResponseWriter, r *http.Request) {
	var request struct {
		noted
		PayBy time.Time `json:"pay_by"`
	}
	if !s.decode(w, r, &request, func() string {
		if request.PayBy.UnixMilli() <= 0 {
			return "pay_by must be there: a time such as 2026-09-20T02:15:00Z (RFC 3339)."
		}
		return request.wrong()
	}) {
		return
	}
	o, err := s.operator.Extend(r.Context(), byOf(r), r.PathValue("order_no"), engine.TimeOf(request.PayBy), request.Note)
	s.orderOrError(w, r, &o, err)
}

func (s *AdminServer) orderOrError(w http.ResponseWriter, r *http.Request, o *engine.OrderView, err error) {
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.reply(w, r, http.StatusOK, orderOf(o))
}

package httpapi

import (
	"net/http"
	"strconv"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

func refundOf(r *engine.RefundView) wire.Refund {
	j := wire.Refund{RefundNo: uint32(r.No), OrderNo: r.OrderNo, PaymentID: r.PaymentID, Amount: r.Amount, Currency: r.Currency, Reason: r.Why.String(),
		DueAt: rfc3339(r.Due), Transaction: r.Transaction.String()}
	if r.PaidAt != 0 {
		j.PaidAt = rfc3339(r.PaidAt)
	}
	return j
}

// refundQuery is which refunds an operator looks for.
type refundQuery struct {
	Cursor int64 `query:"cursor" least:"0" most:"4294967295"` // the number of the last
	Limit  int   `query:"limit" usual:"100" most:"1000"`
}

// refunds gives a page of the refunds that are due, the oldest first.
func (s *AdminServer) refunds(w http.ResponseWriter, r *http.Request, q *refundQuery) {
	most := q.Limit
	due := s.operator.RefundsDue(engine.RefundNo(q.Cursor), most+1)
	page := wire.Refunds{Refunds: make([]wire.Refund, 0, min(len(due), most))}
	_, page.Asking = s.refundTries(0)
	for i := range due[:min(len(due), most)] {
		j := refundOf(&due[i])
		if t, known := s.refundTries(due[i].No); known && t.Tries > 0 {
			j.Tries, j.LastError, j.NextTryAt = t.Tries, t.LastError, rfc3339(engine.TimeOf(t.Next))
		}
		page.Refunds = append(page.Refunds, j)
	}
	if len(due) > most {
		page.Cursor = strconv.FormatUint(uint64(due[most-1].No), 10)
	}
	s.reply(w, r, http.StatusOK, page)
}

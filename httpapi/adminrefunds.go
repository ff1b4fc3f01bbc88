package httpapi

import (
	"net/http"
	"strconv"

	"doorbuster/engine"
)

// RefundJSON is a refund that is due, as operators see it.
type RefundJSON struct {
	RefundNo    uint32 `json:"refund_no"`
	OrderNo     string `json:"order_no"`
	PaymentID   string `json:"payment_id"`
	Amount      int64  `json:"amount"`
	Currency    string `json:"currency"`
	Reason      string `json:"reason"`
	PaidAt      string `json:"paid_at,omitempty"` // by the cashier's clock, where it is known
	DueAt       string `json:"due_at"`
	Transaction string `json:"transaction_id,omitempty"`
	Tries       int    `json:"tries,omitempty"` // that failed; known to the node that asks
	LastError   string `json:"last_error,omitempty"`
	NextTryAt   string `json:"next_try_at,omitempty"`
}

// RefundsPage is a page of the refunds that are due.
type RefundsPage struct {
	Refunds []RefundJSON `json:"refunds"`
	// Asking tells whether this node asks the cashier: only then it knows of tries.
	Asking bool   `json:"asking"`
	Cursor string `json:"cursor,omitempty"` // of the next page
}

func refundOf(r *engine.RefundView) RefundJSON {
	j := RefundJSON{RefundNo: uint32(r.No), OrderNo: r.OrderNo, PaymentID: r.PaymentID, Amount: r.Amount, Currency: r.Currency, Reason: r.Why.String(),
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
	page := RefundsPage{Refunds: make([]RefundJSON, 0, min(len(due), most))}
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

package bench

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// Outcomes of a grab beyond the shop's own codes.
const (
	// outcomeUnknown: sent, and the shop never said what became of it.
	outcomeUnknown = "unknown"
	// outcomeNotSent: no connection; the shop never saw it.
	outcomeNotSent = "not_sent"
	// outcomeUnreadable: answered 200 with something that is no grab answer.
	outcomeUnreadable = "unreadable"
)

// The shop's codes that the bench acts on.
const (
	codeGranted    = "granted"
	codeWaitlisted = "waitlisted"
	codeEntered    = "entered"
	codeSoldOut    = "sold_out"
	codeLimit      = "limit_reached"
	codeNotOpen    = "not_open"
	codeEnded      = "ended"
	codeMissed     = "missed"
	codeReserved   = "not_reserved"
	codeTicket     = "ticket_required"
	codeProcessing = "processing"
)

// knownCode returns a constant for each code that the shop may answer, so that
// the common answers need no allocation; "" for anything else.
func knownCode(b []byte) string {
	switch string(b) {
	case codeGranted:
		return codeGranted
	case codeWaitlisted:
		return codeWaitlisted
	case codeEntered:
		return codeEntered
	case codeSoldOut:
		return codeSoldOut
	case codeLimit:
		return codeLimit
	case codeNotOpen:
		return codeNotOpen
	case codeEnded:
		return codeEnded
	case codeReserved:
		return codeReserved
	case codeTicket:
		return codeTicket
	case codeMissed:
		return codeMissed
	case codeProcessing:
		return codeProcessing
	}
	return ""
}

// order is the shop's order object, as shoppers and operators get it.
type order struct {
	OrderNo  string    `json:"order_no"`
	Shopper  string    `json:"shopper"`
	Session  string    `json:"session"`
	SKU      string    `json:"sku"`
	Quantity int       `json:"quantity"`
	Amount   int64     `json:"amount"`
	Currency string    `json:"currency"`
	State    string    `json:"state"`
	PayBy    time.Time `json:"pay_by"`
	PayToken string    `json:"pay_token,omitempty"` // of held ones, for their shoppers
}

// An order's states, as far as units are concerned.

// unpaid reports whether the order's units count as held.
func unpaid(state string) bool { return state == "held" }

// sold reports whether the order's units count as paid.
func sold(state string) bool {
	switch state {
	case "paid", "shipped", "received", "completed":
		return true
	}
	return false
}

// released reports whether the order's units went back on sale.
func released(state string) bool {
	switch state {
	case "expired", "cancelled", "voided", "refund_due", "refunded":
		return true
	}
	return false
}

// noUnits reports whether the order is a place in line or in a draw, that is or was
// somebody's: no units are set aside for it.
func noUnits(state string) bool {
	switch state {
	case "waiting", "entered", "left", "passed":
		return true
	}
	return false
}

// answer is what a shopper was told about a grab.
type answer struct {
	code  string // one of the shop's codes, or an outcome of our own
	order *order // where the answer carries one
}

// final reports whether there is nothing more to ask about.
func (a answer) final() bool { return a.code != codeProcessing && a.code != outcomeUnknown }

// readAnswer reads the answer to a grab, or to a question about one. It keeps
// nothing of the reply.
func readAnswer(r reply) answer {
	switch {
	case r.status == 408 || r.status >= 500:
		// It may have been done all the same.
		return answer{code: outcomeUnknown}
	case r.status != 200 && r.status != 202:
		return answer{code: "http_" + strconv.Itoa(r.status)}
	}
	if !bytes.Contains(r.body, []byte(`"order"`)) {
		if code := knownCode(codeIn(r.body)); code != "" && code != codeGranted {
			return answer{code: code}
		}
	}
	var full struct {
		Code  string `json:"code"`
		Order *order `json:"order"`
	}
	if json.Unmarshal(r.body, &full) != nil {
		return answer{code: outcomeUnreadable}
	}
	a := answer{code: knownCode([]byte(full.Code)), order: full.Order}
	if a.code == "" || a.code == codeGranted && (a.order == nil || a.order.OrderNo == "") {
		return answer{code: outcomeUnreadable}
	}
	return a
}

// codeIn finds the value of "code" in a JSON object without reading the rest.
func codeIn(body []byte) []byte {
	const mark = `"code":"`
	i := bytes.Index(body, []byte(mark))
	if i < 0 {
		return nil
	}
	v := body[i+len(mark):]
	if j := bytes.IndexByte(v, '"'); j >= 0 {
		return v[:j]
	}
	return nil
}

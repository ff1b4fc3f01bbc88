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

// knownCodes are all that the shop may answer.
var knownCodes = []string{codeGranted, codeSoldOut, codeMissed, codeLimit, codeProcessing, codeWaitlisted,
	codeEntered, codeNotOpen, codeEnded, codeReserved, codeTicket}

// knownCode returns a constant for each code that the shop may answer, so that
// the common answers need no allocation; "" for anything else.
func knownCode(b []byte) string {
	for _, code := range knownCodes {
		if string(b) == code {
			return code
		}
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

// place says where the units of an order in a state are.
func place(state string) string {
	switch state {
	case "held":
		return "held"
	case "paid", "shipped", "received", "completed":
		return "sold"
	case "expired", "cancelled", "voided", "refund_due", "refunded":
		return "released" // on sale again
	case "waiting", "entered", "left", "passed":
		return "none" // a place in line or in a draw, that is or was somebody's
	}
	return "?"
}

func unpaid(state string) bool   { return place(state) == "held" }
func sold(state string) bool     { return place(state) == "sold" }
func released(state string) bool { return place(state) == "released" }
func noUnits(state string) bool  { return place(state) == "none" }

// answer is what a shopper was told about a grab.
type answer struct {
	code     string // one of the shop's codes, or an outcome of our own
	order    *order // where the answer carries one
	deadline string // of one that is processing: without it nobody can say that it came to nothing
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
			return answer{code: code, deadline: deadlineIn(r.body)}
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

// deadlineIn finds the deadline in where to ask again; "" without.
func deadlineIn(body []byte) string {
	_, rest, _ := bytes.Cut(body, []byte("?deadline="))
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	return string(rest[:n])
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

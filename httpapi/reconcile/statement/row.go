package statement

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
)

// Kind is what a row tells of.
type Kind uint8

// Kinds of rows.
const (
	Payment Kind = iota + 1 // money that the cashier took
	Refund                  // money that it paid back; its payment id is that of the payment
	Foreign                 // nothing of ours
)

func (k Kind) String() string {
	switch k {
	case Payment:
		return "payment"
	case Refund:
		return "refund"
	case Foreign:
		return "foreign"
	}
	return "unknown"
}

// Row is one line of a statement: one payment taken, or paid back.
type Row struct {
	Line        int64 // from 1; in CSV the header is line 1
	Kind        Kind
	PaymentID   string // engine.ValidKey
	OrderNo     string // engine.ValidOrderNo, but for the case of its letters
	Amount      int64  // minor units, 0 to maxAmount
	Currency    string // three capital letters
	At          engine.Time
	Transaction string // "" where the cashier names none
	RefundID    string // the cashier's own, of a refund; "" where it names none
	// NotOurs is why a Foreign row can't be ours. Of its other fields it has the line
	// and, where they can be read, amount, of either sign, and currency.
	NotOurs string
}

// Columns of a statement, and the members of an NDJSON line. Others are ignored.
const (
	colPayment = iota
	colOrder
	colAmount
	colCurrency
	colKind
	colAt
	colTransaction // this one and those behind it may be missing
	colRefund
	columns
)

var columnNames = [columns]string{"payment_id", "order_no", "amount", "currency", "kind", "at", "transaction_id",
	"refund_id"}

// maxAmount is what one order can come to at most.
const maxAmount = engine.MaxPrice * engine.MaxQuantity

// Times that a row may tell: no cashier has statements from before, and a time far
// ahead is garbled.
var (
	earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// maxShownBytes is how much of a garbled value is quoted.
const maxShownBytes = 40

func quoted(v string) string {
	if len(v) > maxShownBytes {
		return strconv.QuoteToASCII(v[:maxShownBytes]) + "…"
	}
	return strconv.QuoteToASCII(v)
}

// fill reads the columns of a row, or says what is wrong with the first bad one.
func (r *Row) fill(v *[columns]string) (wrong string) {
	switch {
	case !engine.ValidKey(v[colPayment]):
		return fmt.Sprintf("the payment_id %s has not 1 to %d printable ASCII characters without a space",
			quoted(v[colPayment]), engine.MaxKeyBytes)
	case !engine.ValidOrderNo(strings.ToUpper(v[colOrder])): // as orders are found
		return fmt.Sprintf("the order_no %s is no order number of ours; rows of another channel can be left out by "+
			"what their numbers begin with (--order-prefix)", quoted(v[colOrder]))
	case !currency(v[colCurrency]):
		return fmt.Sprintf("the currency %s is no ISO 4217 code of three capital letters", quoted(v[colCurrency]))
	case v[colRefund] != "" && !engine.ValidKey(v[colRefund]):
		return fmt.Sprintf("the refund_id %s has not 1 to %d printable ASCII characters without a space",
			quoted(v[colRefund]), engine.MaxKeyBytes)
	case len(v[colTransaction]) > engine.MaxIDBytes || v[colTransaction] != "" && !engine.ValidKey(v[colTransaction]):
		return fmt.Sprintf("the transaction_id %s has over %d bytes, or not only printable ASCII characters",
			quoted(v[colTransaction]), engine.MaxIDBytes)
	}
	switch v[colKind] {
	case "payment":
		r.Kind = Payment
	case "refund":
		r.Kind = Refund
	default:
		return fmt.Sprintf("the kind %s is neither payment nor refund; if such rows are to be left out, ignore the "+
			"kind (--ignore-kind)", quoted(v[colKind]))
	}
	amount, err := strconv.ParseInt(v[colAmount], 10, 64)
	switch {
	case err == nil && amount < 0:
		return fmt.Sprintf("the amount %d is negative; money paid back is a row of kind refund with its amount above 0",
			amount)
	case err != nil || v[colAmount][0] == '+':
		return fmt.Sprintf("the amount %s is no whole number of minor units, such as 4900 for 49.00",
			quoted(v[colAmount]))
	case amount > maxAmount:
		return fmt.Sprintf("the amount %d is over %d, more than any order comes to", amount, int64(maxAmount))
	}
	at, err := input.Time(v[colAt])
	if err != nil || at.Before(earliest) || !at.Before(latest) {
		return fmt.Sprintf("the time %s is not one such as 2026-09-20T02:15:00Z (RFC 3339)", quoted(v[colAt]))
	}
	r.PaymentID, r.OrderNo, r.Currency, r.Transaction = v[colPayment], v[colOrder], v[colCurrency], v[colTransaction]
	r.Amount, r.At = amount, engine.TimeOf(at)
	if r.Kind == Refund {
		r.RefundID = v[colRefund]
	}
	return ""
}

func currency(code string) bool {
	capital := func(c byte) bool { return c >= 'A' && c <= 'Z' }
	return len(code) == 3 && capital(code[0]) && capital(code[1]) && capital(code[2])
}

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
	Line      int64 // from 1; in CSV the header is line 1
	Kind      Kind
	PaymentID string // engine.ValidKey
	OrderNo   string // engine.ValidOrderNo, but for the case of its letters
	Amount    int64  // minor units, 0 to maxAmount: of a payment, what was due
	// Paid is what of a payment's Amount the shopper paid, where a coupon at the cashier paid
	// the rest: 1 to Amount. 0 where the statement does not say.
	Paid        int64
	Currency    string // three capital letters
	At          engine.Time
	Transaction string // "" where the cashier names none
	RefundID    string // the cashier's own, of a refund; "" where it names none
	PayType     string // how a payment was paid, engine.ValidPayType; "" where it is not said
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
	colPaid
	colPayType
	columns
)

var columnNames = [columns]string{"payment_id", "order_no", "amount", "currency", "kind", "at", "transaction_id",
	"refund_id", "amount_paid", "payment_type"}

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

// identify takes what a row is about, or says what is wrong with the first bad column.
func (r *Row) identify(v, names *[columns]string) (wrong string) {
	switch {
	case !engine.ValidKey(v[colPayment]):
		return fmt.Sprintf("the %s %s has not 1 to %d printable ASCII characters without a space", names[colPayment],
			quoted(v[colPayment]), engine.MaxKeyBytes)
	case !engine.ValidOrderNo(strings.ToUpper(v[colOrder])): // as orders are found
		return fmt.Sprintf("the %s %s is no order number of ours; rows of another channel can be left out by "+
			"what their numbers begin with (--order-prefix)", names[colOrder], quoted(v[colOrder]))
	case !currency(v[colCurrency]):
		return fmt.Sprintf("the %s %s is no ISO 4217 code of three capital letters", names[colCurrency],
			quoted(v[colCurrency]))
	case v[colRefund] != "" && !engine.ValidKey(v[colRefund]):
		return fmt.Sprintf("the %s %s has not 1 to %d printable ASCII characters without a space", names[colRefund],
			quoted(v[colRefund]), engine.MaxKeyBytes)
	case len(v[colTransaction]) > engine.MaxIDBytes || v[colTransaction] != "" && !engine.ValidKey(v[colTransaction]):
		return fmt.Sprintf("the %s %s has over %d bytes, or not only printable ASCII characters",
			names[colTransaction], quoted(v[colTransaction]), engine.MaxIDBytes)
	case v[colPayType] != "" && !engine.ValidPayType(v[colPayType]):
		return fmt.Sprintf("the %s %s has not 1 to %d printable ASCII characters", names[colPayType],
			quoted(v[colPayType]), engine.MaxPayTypeBytes)
	}
	r.PaymentID, r.OrderNo, r.Currency, r.Transaction = v[colPayment], v[colOrder], v[colCurrency], v[colTransaction]
	r.RefundID, r.PayType = v[colRefund], v[colPayType]
	return ""
}

// fill reads the columns of a row of our own, or says what is wrong with a bad one.
func (r *Row) fill(v *[columns]string) (wrong string) {
	if wrong := r.identify(v, &columnNames); wrong != "" {
		return wrong
	}
	switch v[colKind] {
	case "payment":
		r.Kind, r.RefundID = Payment, ""
	case "refund":
		r.Kind, r.PayType = Refund, ""
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
	r.Amount, r.At = amount, engine.TimeOf(at)
	if v[colPaid] != "" && r.Kind == Payment {
		paid, err := strconv.ParseInt(v[colPaid], 10, 64)
		if err != nil || v[colPaid][0] == '+' {
			return fmt.Sprintf("the amount_paid %s is no whole number of minor units, such as 4900 for 49.00",
				quoted(v[colPaid]))
		}
		return r.paid(paid, columnNames[colPaid])
	}
	return ""
}

// Taken is the money that the row is about: what the shopper paid, or was paid back.
func (r *Row) Taken() int64 {
	if r.Paid != 0 {
		return r.Paid
	}
	return r.Amount
}

// paid takes what of a payment the shopper paid, or says why it can't be that.
func (r *Row) paid(amount int64, name string) (wrong string) {
	if amount == r.Amount {
		r.Paid = amount
		return ""
	}
	if amount < 1 || amount > r.Amount {
		return fmt.Sprintf("the %s %d is not 1 to the amount %d, which it is part of", name, amount, r.Amount)
	}
	r.Paid = amount
	return ""
}

func currency(code string) bool {
	capital := func(c byte) bool { return c >= 'A' && c <= 'Z' }
	return len(code) == 3 && capital(code[0]) && capital(code[1]) && capital(code[2])
}

package reconcile

import (
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/statement"
)

// ReportVersion is the format of reports, and of their findings, as they are kept.
const ReportVersion = 1

// Report is what came of one statement.
type Report struct {
	Version   int           `json:"version"`
	ID        string        `json:"id"`
	Statement StatementFile `json:"statement"`
	RanAt     time.Time     `json:"ran_at"`
	TookMS    int64         `json:"took_ms"`
	Node      string        `json:"node,omitempty"`
	Operator  string        `json:"operator,omitempty"`
	Note      string        `json:"note,omitempty"`
	DryRun    bool          `json:"dry_run"`
	// From and To bound the payments that the statement should have had: from one
	// up to but not with the other.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`

	Verdict string  `json:"verdict"` // a sentence or two for people
	Open    int64   `json:"open"`    // findings that somebody must see to
	Settled int64   `json:"settled"` // payments and refunds that were news to us, and were noted
	Matched int64   `json:"matched"` // rows on which both books agree
	Pending Tally   `json:"refunds_pending"`
	Counts  []Count `json:"findings_by_kind"`

	Totals   []Total `json:"totals"`   // by currency
	Days     []Total `json:"days"`     // in the time zone of each order's sale
	Sessions []Total `json:"sessions"` // "" for rows of no known order
	Listings []Total `json:"listings"`

	// Findings are the first of them; Found is how many there are, Kept how many the
	// report has on disk. Their file has FindingsSHA256; "" in older reports.
	Found          int64     `json:"findings_found"`
	Kept           int64     `json:"findings_kept"`
	FindingsSHA256 string    `json:"findings_sha256,omitempty"`
	Findings       []Finding `json:"findings"`
}

// StatementFile says which statement it was.
type StatementFile struct {
	Name     string           `json:"name,omitempty"`
	SHA256   string           `json:"sha256"`
	Bytes    int64            `json:"bytes"`
	Format   statement.Format `json:"format"`
	Payments int64            `json:"payments"` // rows; those that repeat others don't count
	Refunds  int64            `json:"refunds"`
	Repeated int64            `json:"repeated"`
}

// Tally is a number of things and what they come to.
type Tally struct {
	Count int64 `json:"count"`
	Money []Sum `json:"money"` // by currency
}

// Sum is an amount of one currency in minor units.
type Sum struct {
	Currency string `json:"currency"`
	Amount   int64  `json:"amount"`
}

func (t *Tally) add(currency string, amount int64) {
	t.Count++
	for i := range t.Money {
		if t.Money[i].Currency == currency {
			t.Money[i].Amount = plus(t.Money[i].Amount, amount)
			return
		}
	}
	t.Money = append(t.Money, Sum{currency, amount})
}

// Count is how many findings there are of a kind.
type Count struct {
	Kind  Kind  `json:"kind"`
	Count int64 `json:"count"`
}

// Total holds both books against each other for one currency, and for one day, one
// session or one listing.
type Total struct {
	Day      string `json:"day,omitempty"` // 2026-09-20
	Session  string `json:"session,omitempty"`
	SKU      string `json:"sku,omitempty"`
	Currency string `json:"currency"`
	Theirs   Book   `json:"theirs"`
	Ours     Book   `json:"ours"`
}

// Book is one side of a total: count and money of payments and of refunds.
type Book struct {
	Payments int64 `json:"payments"`
	Paid     int64 `json:"paid"` // minor units
	Refunds  int64 `json:"refunds"`
	Refunded int64 `json:"refunded"`
}

// Kind is what a finding is about.
type Kind string

// Kinds of findings. The first group is done with, the second is for people.
const (
	LostPayment     Kind = "payment_settled"     // they took it, nobody had told us; settled now
	LostRefund      Kind = "refund_confirmed"    // they made it, nobody had told us; noted now
	RefundPending   Kind = "refund_pending"      // due, and both books say that it was not made yet
	Repeated        Kind = "repeated_line"       // the statement says it twice
	UnknownOrder    Kind = "order_unknown"       // they took money for no order of ours
	AmountDiffers   Kind = "amount_differs"      // the sums or the currencies differ
	PaymentConflict Kind = "payment_conflict"    // we know the payment for another order
	Unsettled       Kind = "payment_not_settled" // they took it and we don't have it yet
	MissingPayment  Kind = "payment_missing"     // we have it and they lack it
	UnknownRefund   Kind = "refund_unknown"      // they paid back what we owe nobody
	Unconfirmed     Kind = "refund_not_confirmed"
	MissingRefund   Kind = "refund_missing" // we have it as made and they lack it
)

// kinds in the sequence in which a report counts them.
var kinds = [...]Kind{LostPayment, LostRefund, RefundPending, Repeated, UnknownOrder, AmountDiffers, PaymentConflict, Unsettled, MissingPayment,
	UnknownRefund, Unconfirmed, MissingRefund}

// Open tells whether somebody must see to findings of this kind.
func (k Kind) Open() bool { return k != LostPayment && k != LostRefund && k != RefundPending }

// Finding is one difference between the books.
type Finding struct {
	Line      int64     `json:"line,omitempty"` // of the statement; 0 for what it lacks
	Kind      Kind      `json:"kind"`
	Open      bool      `json:"open"`
	Outcome   string    `json:"outcome,omitempty"` // of a payment settled: paid, paid_late, refund_due
	PaymentID string    `json:"payment_id"`
	OrderNo   string    `json:"order_no"`
	Session   string    `json:"session,omitempty"`
	SKU       string    `json:"sku,omitempty"`
	State     string    `json:"state,omitempty"` // of the order, afterwards
	Currency  string    `json:"currency"`
	Theirs    *int64    `json:"theirs,omitempty"` // minor units
	Ours      *int64    `json:"ours,omitempty"`
	At        time.Time `json:"at"`
	Says      string    `json:"says"`
}

func wall(t engine.Time) time.Time { return t.Wall() }

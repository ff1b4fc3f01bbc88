package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile/statement"
)

// ReportVersion is the format of reports, and of their findings, as they are kept.
const ReportVersion = 2

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

	Verdict string `json:"verdict"` // a sentence or two for people
	Open    int64  `json:"open"`    // findings that somebody must see to
	Booked  int64  `json:"settled"` // payments and refunds that were news to us, and were noted
	Matched int64  `json:"matched"` // rows on which both sides agree
	Pending Tally  `json:"refunds_pending"`
	// Coupons are the payments on which both sides agree and of which a coupon at the cashier
	// paid a part, and what those parts come to. Totals have what the shoppers paid.
	Coupons Tally `json:"coupons"`
	// Closes are the differences of earlier reports that this one closes, by id.
	Closes []string `json:"closes,omitempty"`
	// SetAside are differences that an operator has set aside, by id, in a report of
	// that alone, which has no statement.
	SetAside []string `json:"set_aside,omitempty"`
	// OpenNow is what it left open and is open still; OpenBefore what reports before it
	// left open. Both are as things stand when they are asked for.
	OpenNow    int64 `json:"open_now"`
	OpenBefore int64 `json:"open_before"`
	// NotOurs are rows of the statement that can't be about orders of ours, or were
	// left out as asked.
	NotOurs statement.NotOurs `json:"not_ours"`
	Counts  []Count           `json:"findings_by_kind"`

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

// NewReport gives a report that says nothing yet.
func NewReport() *Report {
	return &Report{Version: ReportVersion, Pending: Tally{Money: []Sum{}}, Coupons: Tally{Money: []Sum{}},
		Counts: []Count{}, Findings: []Finding{},
		NotOurs: statement.NotOurs{Tally: Tally{Money: []Sum{}}, By: []statement.NotOursBy{}},
		Totals:  []Total{}, Days: []Total{}, Sessions: []Total{}, Listings: []Total{}}
}

// StatementFile says which statement it was.
type StatementFile struct {
	Name   string `json:"name,omitempty"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	// Empty where no statement was read: of differences that were set aside.
	Format   statement.Format `json:"format" jsonschema:"enum="`
	Payments int64            `json:"payments"` // rows; those that repeat others don't count
	Refunds  int64            `json:"refunds"`
	Repeated int64            `json:"repeated"`
}

// Tally is a number of things and what they come to.
type Tally = statement.Tally

// Sum is an amount of one currency in minor units.
type Sum = statement.Sum

// Count is how many findings there are of a kind.
type Count struct {
	Kind  Kind  `json:"kind"`
	Count int64 `json:"count"`
	Open  int64 `json:"open"` // of them
}

// Total holds both sides against each other for one currency, and for one day, one
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
	LostPayment     Kind = "payment_settled"     // they took it, nobody had told us; booked now
	LostRefund      Kind = "refund_confirmed"    // they made it, nobody had told us; noted now
	RefundPending   Kind = "refund_pending"      // due, and both sides say that it was not made yet
	Repeated        Kind = "repeated_line"       // the statement says it twice
	UnknownOrder    Kind = "order_unknown"       // they took money for no order of ours
	AmountDiffers   Kind = "amount_differs"      // the sums or the currencies differ
	PaymentConflict Kind = "payment_conflict"    // we know the payment for another order
	Unbooked        Kind = "payment_not_settled" // they took it and we don't have it yet
	MissingPayment  Kind = "payment_missing"     // we have it and they lack it
	UnknownRefund   Kind = "refund_unknown"      // they paid back what we owe nobody
	Unconfirmed     Kind = "refund_not_confirmed"
	MissingRefund   Kind = "refund_missing"  // we have it as made and they lack it
	CoversNothing   Kind = "statement_empty" // no row of ours, and nobody said for when it is
)

// kinds in the sequence in which a report counts them.
var kinds = [...]Kind{LostPayment, LostRefund, RefundPending, Repeated, UnknownOrder, AmountDiffers, PaymentConflict,
	Unbooked, MissingPayment, UnknownRefund, Unconfirmed, MissingRefund, CoversNothing}

// Open reports whether somebody must see to findings of this kind.
func (k Kind) Open() bool { return k != LostPayment && k != LostRefund && k != RefundPending }

// Finding is one difference between the two sides.
type Finding struct {
	ID        string    `json:"id"`             // the same for the same difference in every report
	Line      int64     `json:"line,omitempty"` // of the statement; 0 for what it lacks
	Kind      Kind      `json:"kind"`
	Open      bool      `json:"open"`
	Outcome   string    `json:"outcome,omitempty"` // of a payment booked: paid, paid_late, refund_due
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

// identify gives f its id, from what the difference is.
func (f *Finding) identify() {
	amount := func(v *int64) int64 {
		if v == nil {
			return -1
		}
		return *v
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%d\n%d\n%d", f.Kind, f.PaymentID, f.OrderNo, f.Currency,
		amount(f.Theirs), amount(f.Ours), f.At.UnixMilli()))
	const idBytes = 8
	f.ID = hex.EncodeToString(sum[:idBytes])
}

func wall(t engine.Time) time.Time { return t.Wall() }

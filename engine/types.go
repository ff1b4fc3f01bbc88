package engine

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// LogIndex is the position of an entry in the Raft log. The first entry is 1.
type LogIndex uint64

// Term is a Raft term.
type Term uint64

// Epoch fences a leader's batches: it is the log index of the EpochOpened entry
// that began them. 0 is no epoch.
type Epoch LogIndex

// Time is state time in milliseconds since the Unix epoch. It never runs back.
type Time int64

// TimeOf converts a wall clock reading, dropping what is below a millisecond.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Wall gives t in UTC.
func (t Time) Wall() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Add gives t later by d, which is cut to whole milliseconds.
func (t Time) Add(d time.Duration) Time { return t + Time(d/time.Millisecond) }

// Sub gives how long after u t is.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Millisecond }

// Never is a time that does not come.
const Never Time = math.MaxInt64

// maxTime is the end of the year 9999. A batch or a plan with a later time is
// refused: state time never runs back, and sums of times must not overflow.
const maxTime Time = 253_402_300_799_999

// SessionHandle and ListingHandle number sessions and listings in the order of
// their creation, from 1, and are never used again. 0 is none.
type (
	SessionHandle uint32
	ListingHandle uint32
)

// ShopperNo numbers shoppers in the order in which they first changed
// something, from 1. 0 is none.
type ShopperNo uint32

// OrderRef is where an order lives: its session and its place in it. The zero
// value is no order.
type OrderRef struct {
	Session SessionHandle
	Ordinal uint32 // from 1
}

// IsZero reports whether r names no order.
func (r OrderRef) IsZero() bool { return r.Session == 0 }

// Key is the keyed 64-bit hash of an idempotency key (see KeyOf). It is only held against
// keys of the same shopper or operator.
type Key [8]byte

// Bounds of what comes in from outside. They keep entries small and memory
// bounded; the doors (HTTP, plan files) refuse what is beyond them with words.
const (
	MaxIDBytes         = 64            // product, sale, session and SKU ids
	MaxShopperBytes    = 128           // shopper ids
	MaxKeyBytes        = 255           // idempotency keys
	MaxTextBytes       = 1024          // names, reasons, addresses
	MaxURLBytes        = 2048          // images
	MaxLanguages       = 32            // of a text
	MaxQuantity        = 1_000_000     // units in one grab, and a limit's highest value
	MaxStock           = 1_000_000_000 // units of a listing
	MaxPrice           = 1_000_000_000_000
	MaxAdmission       = 100_000
	MaxReleases        = 3 // releases of one shopper and listing, then no more grabs
	MaxTimersPerBatch  = 4096
	MaxEntryBytes      = 512 << 10
	MaxPlanBytes       = 448 << 10 // a plan in its binary form, so that it fits one entry
	MaxSessionListings = 10_000
	MaxLeaves          = 3         // times a shopper may leave a listing's waitlist, then no more places
	MaxEntrants        = 5_000_000 // of a listing's draw
	MaxRosterRows      = 5_000_000 // of a reservation, an allow list or a risk list
	MaxRosters         = 20_000
	MaxMonths          = 1200          // boundaries of months that a sale knows
	MaxOffsets         = 1200          // changes of its clocks that a sale knows
	MaxForecast        = 1_000_000_000 // shoppers of a session
)

// Bounds of durations in a plan.
const (
	MaxSessionLength = 31 * 24 * time.Hour
	MaxPayWithin     = 7 * 24 * time.Hour
	MaxPayGrace      = 24 * time.Hour
	MaxDraw          = time.Hour
	MaxSetAside      = time.Hour
)

// SessionState is where a session is in its life. Paused is apart from it.
type SessionState uint8

// The life of a session, in order.
const (
	Draft SessionState = iota
	Published
	Open
	Ended
	Settled
	Deleted // of one that nothing was sold of: nobody is shown it, and only the audit trail knows its name
)

var sessionStates = [...]string{"draft", "published", "open", "ended", "settled", "deleted"}

func (s SessionState) String() string { return nameOf(sessionStates[:], int(s)) }

// ListingState is what a listing looks like from outside.
type ListingState uint8

// States of a listing. SoldOut is nothing available for now; Gone is nothing
// available and nothing held unpaid.
const (
	ListingDraft ListingState = iota
	ListingPublished
	ListingOpen
	ListingPaused
	ListingSoldOut
	ListingGone
	ListingEnded
	ListingFrozen
)

var listingStates = [...]string{"draft", "published", "open", "paused", "sold_out", "gone", "ended", "frozen"}

func (s ListingState) String() string { return nameOf(listingStates[:], int(s)) }

// OrderState is where an order is in its life.
type OrderState uint8

// The life of an order. Only Held can expire, be cancelled or be paid in time.
const (
	Held OrderState = iota + 1
	Paid
	Expired
	Cancelled
	Voided
	RefundDue
	Refunded
	Shipped
	Received
	Completed
	// The four below are no orders yet, or never became any: a place on the waitlist, an
	// entry in a draw, and how either ended without a grant.
	Waiting
	Entered
	Left   // the shopper left
	Passed // the waitlist or the draw came to its end, or a rule forbade it in the end
	orderStateEnd
)

var orderStates = [...]string{
	"", "held", "paid", "expired", "cancelled", "voided", "refund_due", "refunded", "shipped", "received",
	"completed", "waiting", "entered", "left", "passed",
}

func (s OrderState) String() string { return nameOf(orderStates[:], int(s)) }

// ParseOrderState reads the name of an order's state.
func ParseOrderState(name string) (OrderState, bool) { return parse[OrderState](orderStates[:], name) }

// Live reports whether units are the shopper's: held or bought.
func (s OrderState) Live() bool {
	switch s {
	case Held, Paid, Shipped, Received, Completed:
		return true
	}
	return false
}

// Granted reports whether there was a grant: only then is it an order to its shopper.
func (s OrderState) Granted() bool { return s > 0 && s < Waiting }

// Reason is the true reason of a decision: exact, for the audit trail and
// metrics. What a shopper is told of it is the front door's business.
type Reason uint8

// Reasons. The first group grants, the second refuses, the third ends a hold.
const (
	ReasonNone Reason = iota

	ReasonSoldOut      // nothing available, some unpaid
	ReasonGone         // nothing available, nothing unpaid
	ReasonLimitListing // the listing's limit of units
	ReasonLimitSession // the session's limit of units across its listings
	ReasonReleases     // let go MaxReleases times
	ReasonNotOpen      // before the start
	ReasonPaused
	ReasonEnded
	ReasonDeadline  // decided too late to be of use to who asked
	ReasonKeyReused // the key with another request
	ReasonQuantity  // a quantity that no state of things would allow
	ReasonFrozen
	ReasonUnknown // no such listing or order
	ReasonQuota   // admission quota used up
	ReasonDepth   // waiting room full
	ReasonOverload
	ReasonNotYours
	ReasonNotHeld // the order is not in a state that allows it
	ReasonAmount  // money differs from the order's
	ReasonConflict
	ReasonRefused

	ReasonExpired
	ReasonCancelled
	ReasonVoided
	ReasonPaidLate

	// Numbers cross between nodes of different builds: new ones go to the end.
	ReasonLimitMonth    // the listing's limit of units of its product a month
	ReasonNotReserved   // reservation is required and there is none
	ReasonNotAllowed    // not on the listing's allow list
	ReasonRisk          // a risk list or the risk service says no
	ReasonRate          // too many requests
	ReasonTicketMissing // a ticket is required and none was shown
	ReasonTicket        // a forged, borrowed or expired ticket
	ReasonTicketUsed    // a ticket that has brought something already
	ReasonLeft          // the shopper left the waitlist or the draw
	ReasonDrawn         // not drawn: nothing was left
	ReasonTooLate       // the session has started, or the listing is no longer open to it
	ReasonTooMany       // a bound on what is remembered was reached
	ReasonPaidTwice     // money for an order that is paid, or whose money is on its way back
	ReasonSettled       // the session has been settled
	ReasonCurrency      // money of another currency than the order's
	ReasonNoOrder       // money for no order of ours, or of another transaction than the order's
	ReasonTooFew        // not as many came back in time as the head of the waitlist asked for
	ReasonNotFirst      // the shopper has bought something of the sale today
	ReasonPlay          // the play's own condition, or a price that it can't have
	ReasonOwnBargain    // one's own bargain can't be cut
	ReasonHelped        // a friend has cut this bargain before
	ReasonHelpsToday    // a friend has made as many cuts today as the play allows
	ReasonFloor         // the price is as low as it can be
	ReasonNotAtFloor    // bought only once the price is at the floor
	ReasonBargainOver   // expired, or ended by operators
	ReasonBought        // an order was bought by the bargain
	ReasonOffered       // sessions offer, or something was sold
	ReasonShrinks       // fewer than half of a supplier's products would be left

	ReasonReviewHeld     // the second look has somebody look into it
	ReasonReviewRejected // the second look has the order paid back
	ReasonNotReviewed    // the second look has not passed it
	ReasonNoDelivery     // the listing's goods are not delivered here
	ReasonNoReceiver     // nobody has said where the goods go
	ReasonNoTracking     // no carrier, or no tracking number
	ReasonUndelivered    // the delivery of something is not over

	ReasonSupplier // more than the supplier of the product has

	ReasonOwnApproval  // who asked for a change does not approve it
	ReasonApprovalOver // somebody has decided already, or it has expired
	ReasonBaseChanged  // it would change something else than when it was asked for
	reasonEnd
)

var reasons = [...]string{
	"none", "sold_out", "gone", "limit_listing", "limit_session", "releases", "not_open", "paused", "ended",
	"deadline", "key_reused", "quantity", "frozen", "unknown", "quota", "depth", "overload", "not_yours", "not_held",
	"amount", "conflict", "refused", "expired", "cancelled", "voided", "paid_late", "limit_month", "not_reserved",
	"not_allowed", "risk", "rate", "ticket_missing", "ticket", "ticket_used", "left", "drawn", "too_late", "too_many",
	"paid_twice", "settled", "currency", "no_order", "too_few", "not_first", "play", "own_bargain", "helped",
	"helps_today", "floor", "not_at_floor", "bargain_over", "bought",
	"offered", "shrinks", "review_held", "review_rejected", "not_reviewed",
	"no_delivery", "no_receiver", "no_tracking", "undelivered", "supplier",
	"own_approval", "approval_over", "base_changed",
}

func (r Reason) String() string { return nameOf(reasons[:], int(r)) }

// Reasons lists every reason's name, for metrics with a fixed set of labels.
func Reasons() []string { return append([]string(nil), reasons[:]...) }

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "unknown"
	}
	return names[i]
}

// parse gives the value that has a name, which is not "".
func parse[T ~uint8](names []string, name string) (T, bool) {
	i := slices.Index(names, name)
	return T(max(i, 0)), i >= 0 && name != ""
}

// ValidID reports whether id may name a product, sale, session or SKU: 1 to
// MaxIDBytes of ASCII letters, digits, dot, dash and underscore, the first of
// them a letter or digit. So an id needs no escaping in a path, a log or a page.
func ValidID(id string) bool {
	if len(id) == 0 || len(id) > MaxIDBytes {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return true
}

// ShopperForm says what a shopper's id may be.
const ShopperForm = "1 to 128 printable ASCII characters and no space, comma, semicolon or double quote"

// ValidShopper reports whether id may name a shopper: 1 to MaxShopperBytes of
// printable ASCII without spaces, commas, semicolons and double quotes. Those stand
// between ids in lists: an id with one could not be told from a list gone wrong.
func ValidShopper[T string | []byte](id T) bool {
	if !printable(id, MaxShopperBytes) {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c == ',' || c == ';' || c == '"' {
			return false
		}
	}
	return true
}

// ValidKey reports whether key may be an idempotency key: 1 to MaxKeyBytes of
// printable ASCII without spaces.
func ValidKey[T string | []byte](key T) bool { return printable(key, MaxKeyBytes) }

func printable[T string | []byte](s T, most int) bool {
	if len(s) == 0 || len(s) > most {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Transaction is an id that goes from a shopper's first look to their payment: a
// UUID. Zero is none.
type Transaction [16]byte

// May reports whether money that came in t may be for an order of transaction o: the
// cashier need not say which it was, and old orders have none.
func (t Transaction) May(o Transaction) bool {
	return t == o || t == (Transaction{}) || o == (Transaction{})
}

// String gives the transaction as a UUID, "" for none.
func (t Transaction) String() string {
	if t == (Transaction{}) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", t[:4], t[4:6], t[6:8], t[8:10], t[10:])
}

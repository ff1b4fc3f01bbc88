package engine

import "time"

// Grab is a shopper's request for units of a listing, as a front hands it on.
// Its slices are the caller's; who keeps them beyond the call copies them.
type Grab struct {
	// Listing names it as in the path of a URL: "{session}/skus/{sku}".
	Listing []byte
	Shopper []byte // ValidShopper
	// IdempotencyKey is ValidKey. The same shopper's same key gets the same order.
	IdempotencyKey []byte
	Quantity       uint32
	// Waitlist: would rather join the waitlist than be told that all is taken.
	Waitlist bool
	// Ticket is the id of a ticket that the door has checked; 0 without.
	Ticket uint64
	// Transaction is what the shopper's looks and questions were about; zero for none.
	Transaction Transaction
	// Door is the front's own, handed back to it when it is asked about the grab.
	Door any
}

// Code is what a shopper is told of a grab, in a word.
type Code uint8

// Codes. CodeRefused is for what is no business outcome: the answer's Reason
// (quantity, key_reused, unknown) says what was wrong with the request.
const (
	CodeRefused Code = iota
	CodeGranted
	CodeWaitlisted
	CodeEntered
	CodeSoldOut
	CodeLimitReached
	CodeNotOpen
	CodeEnded
	CodeNotReserved
	CodeTicketRequired
	CodeMissed
	CodeProcessing
)

var codes = [...]string{"refused", "granted", "waitlisted", "entered", "sold_out", "limit_reached", "not_open", "ended",
	"not_reserved", "ticket_required", "missed", "processing"}

func (c Code) String() string { return nameOf(codes[:], int(c)) }

// Codes lists every code's name, for metrics with a fixed set of labels.
func Codes() []string { return append([]string(nil), codes[:]...) }

// CodeOf gives the outward code of a refusal.
func CodeOf(why Reason) Code {
	switch why {
	case ReasonSoldOut, ReasonGone, ReasonLeft, ReasonDrawn, ReasonTooFew:
		return CodeSoldOut
	case ReasonLimitListing, ReasonLimitSession, ReasonLimitMonth, ReasonReleases:
		return CodeLimitReached
	case ReasonNotReserved, ReasonNotAllowed:
		return CodeNotReserved
	case ReasonTicketMissing, ReasonTicketUsed:
		return CodeTicketRequired
	case ReasonNotOpen, ReasonPaused:
		return CodeNotOpen
	case ReasonEnded:
		return CodeEnded
	case ReasonUnknown, ReasonQuantity, ReasonKeyReused:
		return CodeRefused
	}
	return CodeMissed
}

// CodeOfPlace gives the outward code of why a place on the waitlist or in a draw came to
// nothing. A quantity that a limit has come to forbid since was no wrong request.
func CodeOfPlace(why Reason) Code {
	if why == ReasonQuantity {
		return CodeSoldOut
	}
	return CodeOf(why)
}

// Answer is what came of a grab.
type Answer struct {
	Code   Code
	Reason Reason // the true one; not for the shopper's eyes
	State  OrderState
	// Order is the order granted, or (limit_reached) the live order that counts
	// against the limit; zero if none.
	Order    OrderRef
	Life     Life          // of Order, until the shopper is told: then No is made of it
	No       OrderNo       // of Order
	Session  SessionHandle // of the listing asked for
	Listing  ListingHandle // of Order; 0 without one
	Quantity uint32
	Amount   int64
	PayBy    Time
	Count    uint32 // limit_reached: units live, or releases; waitlisted: the position on the waitlist
	Limit    uint32 // limit_reached, refused for quantity: the limit
	Start    Time   // not_open: when it starts; entered: when it is drawn
	Deadline Time   // processing: when the outcome is certain
	// Transaction of Order.
	Transaction Transaction
}

// Reply is told what became of a grab, once.
type Reply interface {
	// Decided may be called by any goroutine, and does not block. index is what the node
	// that decided had applied, 0 where that is not known; it has all that a tells. err is
	// ErrNotLeader where the grab surely was not decided, ErrOutcomeUnknown where nobody knows.
	Decided(a Answer, index LogIndex, err error)
}

// OrderView is an order as readers see it: a copy, theirs to keep.
type OrderView struct {
	Ref         OrderRef
	OrderNo     string
	Shopper     string
	Session     string
	SKU         string
	Quantity    uint32
	Amount      int64
	Currency    string
	State       OrderState
	GrantedAt   Time
	PayBy       Time
	ChangedAt   Time
	Why         Reason // of one left or passed
	Position    uint32 // of one waiting
	PaymentID   string
	PaidAt      Time // by the cashier's clock; 0 where nobody paid
	Transaction Transaction
	Receiver    Receiver
	HasReceiver bool
}

// Counts are a listing's exact figures at a log index.
type Counts struct {
	Session, SKU                                     string
	Stock, Available, Held, Paid, Released, Shoppers int64
	Waiting, Entrants                                int64 // units waited for on the waitlist; shoppers in the draw
	Reserved                                         int64 // shoppers who have reserved
	State                                            ListingState
	LogIndex                                         LogIndex
}

// ListingView is a listing as the display path shows it.
type ListingView struct {
	Session, SKU     string
	Name             Text
	Image            string
	Price, ListPrice int64
	Currency         string
	Stock            int64 // shown; never goes up for those who look
	State            ListingState
	Start, End       Time
	LimitPerShopper  uint32
	SortOrder        int32
	Place            *Place

	LimitPerMonth uint32
	Reservation   bool
	AllowList     bool // only who is on one may buy
	Waitlist      bool
	Ticket        bool
	Challenge     Challenge
	Draw          time.Duration // 0 = none
	DrawAt        Time          // when it closes; 0 before the opening
	DrawState     DrawState
	Commitment    [32]byte // SHA-256 of Seed; of a listing with a draw
	Seed          [32]byte // once the draw has closed
}

// SessionView is a session with its listings.
type SessionView struct {
	ID, Sale          string
	SaleName          Text
	State             SessionState
	Paused            bool
	Start, End        Time
	PayWithinMS       int64
	PayGraceMS        int64
	LimitPerShopper   uint32
	AdmissionMultiple uint32
	Profile           string
	Listings          []ListingView
	// Findings are what operators should look into: only where they are asked for.
	Findings []Problem
}

// OrderFilter says which orders an operator looks for. Zero fields don't filter.
type OrderFilter struct {
	OrderNo  string
	Shopper  string
	Session  string
	SKU      string
	State    OrderState
	From, To Time   // granted in [From, To)
	Cursor   string // where the page before ended
	Limit    int    // 1 to 1000
}

// View copies the order at ref, or gives false.
func (s *State) View(ref OrderRef) (OrderView, bool) {
	r, known := s.Record(ref)
	if !known {
		return OrderView{}, false
	}
	v := s.ViewRecord(&r)
	v.Position = s.Position(ref)
	return v, true
}

// ViewRecord gives an order as readers see it, also one that has left the state.
func (s *State) ViewRecord(r *OrderRecord) OrderView {
	l := s.listings[r.Listing-1]
	v := OrderView{Ref: r.Ref, OrderNo: s.Numberer().Number(r.Ref, r.Life).String(), Shopper: r.Shopper,
		Session: s.sessions[r.Ref.Session-1].ID, SKU: l.SKU, Quantity: r.Quantity, Amount: r.Amount,
		Currency: l.Currency, State: r.State, GrantedAt: r.Granted, PayBy: r.PayBy, ChangedAt: r.Changed, Why: r.Why,
		PaymentID: r.PaymentID, PaidAt: r.PaidAt, Transaction: r.Transaction}
	if r.Receiver != nil {
		v.Receiver, v.HasReceiver = *r.Receiver, true
	}
	if s.settled(r.Ref.Session) && len(s.refundsOf[r.Ref]) > 0 {
		switch r.State {
		case Expired, Cancelled, Voided, Refunded: // money came since, and the order does not change any more
			if v.State = Refunded; !s.allMade(r.Ref) {
				v.State = RefundDue
			}
		}
	}
	return v
}

// CountsOf gives the exact figures of l.
func (s *State) CountsOf(l *Listing) Counts {
	x := s.sessions[l.Session-1]
	return Counts{Session: x.ID, SKU: l.SKU, Stock: l.Stock, Available: l.Available, Held: l.Held, Paid: l.Paid,
		Released: l.Released, Shoppers: l.Shoppers, Waiting: l.Waiting, Entrants: l.Entrants,
		Reserved: s.RosterCount(RosterID{Kind: RosterReserved, Listing: l.Handle}), State: x.StateOf(l),
		LogIndex: s.index}
}

// Refused is one reason for which a shopper was refused a listing, as the node
// that told him noted it.
type Refused struct {
	Session, SKU string
	Code         Code   // what he was told
	Reason       Reason // the true one
	First, Last  Time   // to the second
	Count        uint32 // how often; MaxRefusedCount stands for more, too
}

// MaxRefusedCount is as far as a journal counts.
const MaxRefusedCount = 1<<16 - 1

// RefusalReport is what one node's journal has of a shopper, and what that is
// worth: a journal is bounded, and forgets the oldest first.
type RefusalReport struct {
	Refused []Refused // newest first
	LeftOut int64     // older ones that one report has no room for

	On       bool   // the node notes refusals
	Since    Time   // it has noted them without a break; 0 if it never did
	Entries  int64  // in use, of all shoppers
	Capacity int64  // entries at most; 0 if the node has no journal
	Lost     uint64 // of all shoppers: entries overwritten, and refusals that could not be noted
}

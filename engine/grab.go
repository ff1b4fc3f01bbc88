package engine

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
	// Bargain is the one to buy by, of the listing; 0 = without.
	Bargain uint32
	// Ticket is the id of a ticket that the door has checked; 0 without.
	Ticket uint64
	// Transaction is what the shopper's looks and questions were about; zero for none.
	Transaction Transaction
	// Door is the front's own, handed back to it when it is asked about the grab.
	Door any
	// Trace is told when the grab's stages end; nil unless it is traced.
	Trace Trace
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
	case ReasonLimitListing, ReasonLimitSession, ReasonLimitMonth, ReasonReleases, ReasonNotFirst, ReasonBought:
		return CodeLimitReached
	case ReasonNotReserved, ReasonNotAllowed:
		return CodeNotReserved
	case ReasonTicketMissing, ReasonTicketUsed:
		return CodeTicketRequired
	case ReasonNotOpen, ReasonPaused:
		return CodeNotOpen
	case ReasonEnded, ReasonBargainOver:
		return CodeEnded
	case ReasonUnknown, ReasonQuantity, ReasonKeyReused, ReasonNotAtFloor:
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

// Asker is the Reply of a grab at a door.
type Asker interface {
	Reply
	// Keep tells, before Decided, that the grab is not decided at once: what it points to
	// must last until it is.
	Keep()
}

// Reply is told what became of a grab, once.
type Reply interface {
	// Decided may be called by any goroutine, and does not block. index is what the node
	// that decided had applied, 0 where that is not known; it has all that a tells. err is
	// ErrNotLeader where the grab surely was not decided, ErrOutcomeUnknown where nobody knows.
	Decided(a Answer, index LogIndex, err error)
}

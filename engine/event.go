package engine

import "fmt"

// EventKind says what happened.
type EventKind uint8

// Events. Past tense: they have been committed.
const (
	EventNone        EventKind = iota
	EpochOpened                // a leader began
	HoldPlaced                 // a grant; PayBy says until when it may be paid
	HoldConfirmed              // the key was known: Order is what it got then
	HoldRefused                // Reason says why
	HoldReleased               // units and eligibility came back; Reason is expired, cancelled or voided
	OrderPaid                  // Reason is paid_late where the hold had gone and a unit was free
	RefundBecameDue            // money came for which there is no unit, or a paid order was voided
	OrderUnchanged             // asked for what had been done before; nothing changed
	HoldExtended               //
	ReceiverSet                //
	PlanApplied                // Plans lists what changed
	PlanRefused                // Plans lists why
	SessionPublished           //
	SessionOpened              //
	SessionPaused              //
	SessionResumed             //
	SessionEnded               //
	SessionUnchanged           // it was so before; nothing changed
	StockAdded                 // Quantity units
	StockTaken                 // nothing available, some unpaid
	StockGone                  // nothing available, nothing unpaid
	ListingFroze               // an invariant broke: an alarm
	RulesRaised                //
	CommandRefused             // any other command; Reason says why
	BatchRefused               // malformed bytes in the log; an alarm

	PlaceTaken           // a place on the waitlist
	DrawEntered          // an entry in a draw
	PlacePassed          // a place or an entry came to nothing; Reason says why
	DrawWasClosed        // nobody enters any more, and the seed may be told
	DrawWasDone          // from now on first come, first served
	ShopperReserved      //
	ReservationWithdrawn //
	RosterEdited         // Quantity rows
	SwitchesSet          //
	ProfileSet           //
	RefundMade           // the cashier has paid back Amount
	SessionSettled       // nothing about its orders changes any more
	IntentRepeated       // an operator had it done before; nothing changed
	SessionCleared       // the orders of a settled session leave the state

	BargainStarted   // Amount is the price
	BargainConfirmed // it was so before; nothing changed
	BargainWasCut    // Amount is what the cut takes off, Quantity its number; Shopper the friend
	BargainWasOver   // Reason is expired (a unit came back), or voided by operators

	ProductsStaged     // Quantity rows; they do not count yet
	ProductsImported   // Quantity rows count from now on
	ProductDeleted     //
	ProductRetired     // no session may list it any more
	ProductRevived     //
	StockWithdrawn     // Amount units were taken back: the supplier has lowered its figure
	SessionDeleted     //
	SessionArchived    //
	SessionRecalled    // from the archive
	SaleDeleted        //
	SaleArchived       //
	SaleRecalled       // from the archive
	ProductUnchanged   // it was so before; nothing changed
	OrderReviewed      // Reason says if it is held or rejected
	OrderExported      // its goods are to leave the warehouse
	OrderShipped       //
	OrderReceived      //
	OrderCompleted     //
	OrdersHandled      // Quantity orders, each with an event of its own; of an export, Amount is its number
	SinkMoved          // what a sink has: told of no more than here
	SinkSteered        // an operator, or a letter put aside, changed what a sink does
	PersonalDataErased // Quantity shoppers' keys were destroyed
	KeysRewrapped      // Quantity keys are wrapped by another key of the key file
	AlarmNoted         // an operator acknowledged or silenced alarms

	ApprovalAsked       // a second operator must approve the change first; Amount is the approval's number
	ApprovalWasRejected //
	ApprovalUnchanged   // it was decided so before; nothing changed
)

var eventKinds = [...]string{
	"None", "EpochOpened", "HoldPlaced", "HoldConfirmed", "HoldRefused", "HoldReleased", "OrderPaid",
	"RefundBecameDue", "OrderUnchanged", "HoldExtended", "ReceiverSet", "PlanApplied", "PlanRefused",
	"SessionPublished", "SessionOpened", "SessionPaused", "SessionResumed", "SessionEnded", "SessionUnchanged",
	"StockAdded", "StockTaken", "StockGone", "ListingFroze", "RulesRaised", "CommandRefused", "BatchRefused",
	"PlaceTaken", "DrawEntered", "PlacePassed", "DrawWasClosed", "DrawWasDone", "ShopperReserved",
	"ReservationWithdrawn", "RosterEdited", "SwitchesSet", "ProfileSet", "RefundMade", "SessionSettled",
	"IntentRepeated", "SessionCleared", "BargainStarted", "BargainConfirmed", "BargainWasCut", "BargainWasOver",
	"ProductsStaged", "ProductsImported", "ProductDeleted", "ProductRetired", "ProductRevived", "StockWithdrawn",
	"SessionDeleted", "SessionArchived", "SessionRecalled", "SaleDeleted", "SaleArchived", "SaleRecalled",
	"ProductUnchanged",
	"OrderReviewed", "OrderExported", "OrderShipped", "OrderReceived", "OrderCompleted", "OrdersHandled",
	"SinkMoved", "SinkSteered",
	"PersonalDataErased", "KeysRewrapped", "AlarmNoted",
	"ApprovalAsked", "ApprovalWasRejected", "ApprovalUnchanged",
}

func (k EventKind) String() string { return nameOf(eventKinds[:], int(k)) }

// EventKinds is how many kinds there are, EventNone among them.
const EventKinds = len(eventKinds)

// ParseEventKind reads a Word.
func ParseEventKind(word string) (EventKind, bool) {
	for k := range EventKind(EventKinds) {
		if k.Word() == word {
			return k, true
		}
	}
	return 0, false
}

// Event is what a command did, or what time did. Which fields count depends on Kind.
type Event struct {
	Kind    EventKind
	Reason  Reason
	State   OrderState // of the order, after the event
	Command int32      // which command of the batch, from 0; -1 for what time did
	Session SessionHandle
	Listing ListingHandle
	Order   OrderRef
	Life    Life // that the order was granted in
	Shopper ShopperNo
	Bargain uint32 // the ordinal of one in the session; 0 = none
	// Quantity is units: of the order, added, or (a refusal for a limit) live.
	Quantity uint32
	Limit    uint32 // a refusal for a limit: the limit
	// After is, of one that time did or that followed, how many commands of the
	// batch had been done before it.
	After  int32
	Amount int64
	PayBy  Time
	// Transaction of the order.
	Transaction Transaction
}

// Outcome is what a command did.
type Outcome struct {
	Index    LogIndex
	Event    Event
	Changes  []Change
	Problems []Problem
}

// Effects is what one Apply did. It may be used again by the next Apply once its
// owner is done with it.
type Effects struct {
	Index LogIndex
	Time  Time
	// Header of the batch.
	Header BatchHeader
	// Primary has one event for each command, in order.
	Primary []Event
	// Derived are the events that followed: releases by time, changes of state.
	Derived []Event
	// Touched are the listings whose figures or state may have changed, each once.
	Touched []ListingHandle
	// Catalogue tells that products, sales, sessions or listings were added or
	// changed, or that a session changed its state.
	Catalogue bool
	// Switches tells that switches or profiles changed.
	Switches bool
	// Rosters are the reservations and lists that changed. Staging is no change.
	Rosters []RosterID
	// NextDue is when time has something to do next; Never if nothing.
	NextDue Time
	// Plans has an outcome for each ApplyPlan, in order.
	Plans []PlanOutcome
	// AuditNotes are of commands whose events don't say all, in order.
	AuditNotes []AuditNote
	// Leaving are the orders of the sessions that were sealed.
	Leaving []*Leaving
	// Times are when the entry got here. Apply leaves them alone.
	Times Times
}

// LastPlan gives the outcome of the last ApplyPlan; empty where there was none.
func (e *Effects) LastPlan() PlanOutcome {
	if len(e.Plans) == 0 {
		return PlanOutcome{}
	}
	return e.Plans[len(e.Plans)-1]
}

// PlanOutcome is what an ApplyPlan changed, or why it was refused.
type PlanOutcome struct {
	Command  int32 // which command of the batch
	Changes  []Change
	Problems []Problem
	// Notes are what forbids nothing, and whoever applies the plan should know.
	Notes []Problem
	// Approval says why a second operator must approve the plan; nil: none must.
	Approval []string

	size planSize
}

// InOrder walks the events in the order in which things happened, with the audit note
// of each, nil where there is none.
func (e *Effects) InOrder(yield func(*Event, *AuditNote) bool) {
	notes, derived := e.AuditNotes, e.Derived
	for i := 0; i <= len(e.Primary); i++ {
		for len(derived) > 0 && (int(derived[0].After) <= i || i == len(e.Primary)) {
			if !yield(&derived[0], nil) {
				return
			}
			derived = derived[1:]
		}
		if i == len(e.Primary) {
			return
		}
		var note *AuditNote
		for len(notes) > 0 && int(notes[0].Command) <= i {
			if int(notes[0].Command) == i {
				note = &notes[0]
			}
			notes = notes[1:]
		}
		if !yield(&e.Primary[i], note) {
			return
		}
	}
}

func (e *Effects) reset() {
	*e = Effects{Primary: e.Primary[:0], Derived: e.Derived[:0], Touched: e.Touched[:0], Rosters: e.Rosters[:0],
		AuditNotes: e.AuditNotes[:0]}
}

func (e Event) String() string {
	s := e.Kind.String()
	if e.Reason != ReasonNone {
		s += " " + e.Reason.String()
	}
	if !e.Order.IsZero() {
		s += fmt.Sprintf(" order %d/%d %s", e.Order.Session, e.Order.Ordinal, e.State)
	}
	if e.Listing != 0 {
		s += fmt.Sprintf(" listing %d", e.Listing)
	}
	if e.Quantity != 0 {
		s += fmt.Sprintf(" quantity %d", e.Quantity)
	}
	return s
}

package engine

import (
	"fmt"
	"strings"
	"unicode"
)

// TrailPosition is where an event stands in the trail: the log index of its entry,
// and its place in it from 0.
type TrailPosition struct {
	Index LogIndex
	N     uint32
}

// Next is the position behind p.
func (p TrailPosition) Next() TrailPosition {
	if p.N == ^uint32(0) {
		return TrailPosition{Index: p.Index + 1}
	}
	return TrailPosition{p.Index, p.N + 1}
}

// Before reports whether p stands before q.
func (p TrailPosition) Before(q TrailPosition) bool {
	return p.Index < q.Index || p.Index == q.Index && p.N < q.N
}

// String gives the position as it is asked for.
func (p TrailPosition) String() string { return fmt.Sprintf("%d.%d", p.Index, p.N) }

// TrailEvent is a committed event as readers see it: a copy, theirs to keep.
type TrailEvent struct {
	TrailPosition
	Time             Time // state time
	Kind             EventKind
	Reason           Reason
	State            OrderState // of the order, after the event; 0 without one
	Session, SKU     string
	OrderNo, Shopper string
	Quantity         uint32
	Limit            uint32
	Amount           int64 // minor units; of stock, units
	Currency         string
	PayBy            Time
	Operator, Note   string
	Detail           string
	Transaction      Transaction
	// Missing: the events from this index up to the event's own could not be had
	// from anybody. 0 of a real event.
	Missing LogIndex
}

// Word is the kind as it is told outside: hold_placed for HoldPlaced.
func (k EventKind) Word() string {
	var b strings.Builder
	for i, r := range k.String() {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// TrailFilter says which part of the trail is wanted. Zero fields don't filter; of
// OrderNo, Session and Operator only one may be set.
type TrailFilter struct {
	OrderNo, Session, Operator string
	From                       TrailPosition
	Limit                      int // 1 to 1000
	// Besides a Session's events: all that operators did, and each leader's beginning.
	Besides bool
	// Brief events are without what their orders tell of them: whose they are, the transaction.
	Brief bool
}

// TrailGone is the error for a position whose events have been dropped.
type TrailGone struct{ First TrailPosition } // the first that is kept

func (e *TrailGone) Error() string {
	return "events before " + e.First.String() + " have been dropped"
}

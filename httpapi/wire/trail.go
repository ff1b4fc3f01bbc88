package wire

// TrailEvent is a committed event.
type TrailEvent struct {
	Index uint64 `json:"index"`                              // Log index of its entry.
	N     uint32 `json:"n"`                                  // Its place in the entry, from 0.
	Time  string `json:"time" jsonschema:"format=date-time"` // The group's time, to the millisecond.
	// hold_placed, order_paid, refund_became_due, …; missing for a hole.
	Kind        string `json:"kind"`
	Reason      string `json:"reason,omitempty"` // The true one.
	Session     string `json:"session,omitempty"`
	SKU         string `json:"sku,omitempty"`
	OrderNo     string `json:"order_no,omitempty"`
	Shopper     string `json:"shopper,omitempty"`
	State       string `json:"state,omitempty"` // Of the order, after it.
	Quantity    uint32 `json:"quantity,omitempty"`
	Limit       uint32 `json:"limit,omitempty"`  // Of a refusal for a limit.
	Units       int64  `json:"units,omitempty"`  // Of stock added.
	Amount      *int64 `json:"amount,omitempty"` // Minor units.
	Currency    string `json:"currency,omitempty"`
	PayBy       string `json:"pay_by,omitempty" jsonschema:"format=date-time"`
	Operator    string `json:"operator,omitempty"` // Who asked.
	Note        string `json:"note,omitempty"`     // Why, in the operator's words.
	Detail      string `json:"detail,omitempty"`   // The payment, the switches, what a plan changed.
	Transaction string `json:"transaction_id,omitempty" jsonschema:"format=uuid"`
	// Of kind missing: the events from this index up to the event's own are lost to the
	// node that answers.
	MissingFrom uint64 `json:"missing_from,omitempty"`
}

// TrailHeartbeat is told while nothing happens.
type TrailHeartbeat struct {
	Heartbeat bool   `json:"heartbeat"`
	Index     uint64 `json:"index"` // All up to it has been told.
}

// TrailPage is a page of the audit trail, the oldest first.
type TrailPage struct {
	// Since which event this node keeps the trail; of operator=, that of operators' deeds,
	// which are kept longer.
	First string `json:"first_event"`
	// When that was: what happened before is not known here.
	Since  string       `json:"kept_since" jsonschema:"format=date-time"`
	Events []TrailEvent `json:"events"`
	Next   string       `json:"next,omitempty"` // Where to go on; missing at the end.
}

// Headers of a stream of events.
const (
	// HeaderFromEvent names the position that a stream begins with: a reader who is cut off
	// before the first event comes again there.
	HeaderFromEvent = "Doorbuster-From-Event"
	// HeaderFirstEvent and HeaderKeptSince name the first event that is kept, and its time.
	HeaderFirstEvent = "Doorbuster-First-Event"
	HeaderKeptSince  = "Doorbuster-Kept-Since"
)

// Refusals is what is known of why a shopper was refused.
type Refusals struct {
	Shopper  string        `json:"shopper"`
	Session  string        `json:"session,omitempty"` // Asked for; all without.
	Refusals []Refused     `json:"refusals"`          // Newest first.
	Nodes    []NodeJournal `json:"nodes"`
	Complete bool          `json:"complete"` // Every node answered and has forgotten nothing since its since.
	Note     string        `json:"note"`     // Sentences: what this is worth.
}

// Refused is one reason for which one node refused the shopper a listing.
type Refused struct {
	Node    string `json:"node"` // That refused them.
	Session string `json:"session"`
	SKU     string `json:"sku"`
	Code    string `json:"code"`   // What they were told; refused is a problem document.
	Reason  string `json:"reason"` // The true one.
	First   string `json:"first" jsonschema:"format=date-time"`
	Last    string `json:"last" jsonschema:"format=date-time"`
	Count   uint32 `json:"count" jsonschema:"minimum=1,maximum=65535"` // 65535 stands for more, too.
}

// NodeJournal is how far one node's answer can be relied on.
type NodeJournal struct {
	Node     string `json:"node"`
	Answered bool   `json:"answered"`
	Noting   bool   `json:"noting"`                                        // It notes refusals now.
	Since    string `json:"since,omitempty" jsonschema:"format=date-time"` // It has noted them without a break.
	Entries  int64  `json:"entries"`                                       // In use, of all shoppers.
	Capacity int64  `json:"capacity"`
	// Of all shoppers: entries overwritten, and refusals that could not be noted.
	Lost    uint64 `json:"lost"`
	LeftOut int64  `json:"left_out,omitempty"` // Older ones of this shopper that the answer has no room for.
	Error   string `json:"error,omitempty"`    // Why it did not answer.
}

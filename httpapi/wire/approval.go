package wire

// Approvals are changes of operators that a second one must approve.
type Approvals struct {
	Rules     ApprovalRules `json:"rules"`
	Approvals []Approval    `json:"approvals" jsonschema:"maxItems=128"` // The newest first.
}

// ApprovalRules say which changes must be approved.
type ApprovalRules struct {
	PlanUnits    int64 `json:"plan_units"`    // Plans of so many units or more; 0 is none.
	PlanListings int64 `json:"plan_listings"` // Plans of so many listings or more; 0 is none.
	Words        bool  `json:"words"`         // Words of sales.
	EndSession   bool  `json:"end_session"`   // Ends of sessions.
}

// Approval is a change that an operator has asked for, and a second one must approve.
type Approval struct {
	ID    uint32 `json:"id"`
	Kind  string `json:"kind" jsonschema:"enum=approval_kind"`
	State string `json:"state" jsonschema:"enum=approval"`
	What  string `json:"what"` // For people: what it is.
	// For people: what asks for a second operator.
	Why     []string `json:"why"`
	By      string   `json:"by"` // Who asked for the change: the token's sub.
	Note    string   `json:"note,omitempty"`
	At      string   `json:"at" jsonschema:"format=date-time"`
	Expires string   `json:"expires" jsonschema:"format=date-time"` // By the group's time.
	Session string   `json:"session,omitempty"`                     // That it ends.

	DecidedBy    string `json:"decided_by,omitempty"`
	DecidedAt    string `json:"decided_at,omitempty" jsonschema:"format=date-time"`
	DecisionNote string `json:"decision_note,omitempty"`

	// The diff; missing in a list.
	Changes []PlanChange `json:"changes,omitempty"`
	LeftOut uint32       `json:"left_out,omitempty"` // Changes that are not kept.
	// Of one that waits, missing in a list: it would change something else by now than when it
	// was asked for, so that it can't be approved.
	BaseChanged bool          `json:"base_changed,omitempty"`
	Problems    []PlanProblem `json:"problems,omitempty"` // Why it can't be made any more.
	// Whoever asks may approve it: it waits, they have the role, and it is not their own.
	MayApprove bool `json:"may_approve"`
}

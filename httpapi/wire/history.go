package wire

// PlanBackRequest takes the last plan back.
type PlanBackRequest struct {
	Note
	// The log index of the plan that is meant, as the dry run gave it: refused if another one has
	// been applied since. Without it the last one is taken back, whichever that is.
	Of uint64 `json:"of,omitempty"`
}

// PlanBack is what taking the last plan back changed, or would.
type PlanBack struct {
	PlanChanges
	Plan AppliedPlan `json:"plan"` // The plan that is taken back.
}

// AppliedPlan is a plan that was applied.
type AppliedPlan struct {
	Index uint64 `json:"index"` // Log index of its entry.
	At    string `json:"at" jsonschema:"format=date-time"`
	By    string `json:"by"` // The token's sub.
}

// History is what was changed by plans, in words, and with switches.
type History struct {
	Entries []HistoryEntry `json:"entries"` // The newest first.
	// What has been before then is not kept here, and only the audit trail knows of it. Missing
	// while all is kept.
	KeptSince string `json:"kept_since,omitempty" jsonschema:"format=date-time"`
	Before    string `json:"before,omitempty"` // Where to go on; missing at the end.
}

// HistoryEntry is a change that was made.
type HistoryEntry struct {
	LogIndex uint64 `json:"log_index"`
	At       string `json:"at" jsonschema:"format=date-time"`
	Kind     string `json:"kind" jsonschema:"enum=plan,enum=words,enum=switches"`
	// apply or back of a plan, set of words by hand, or what was done to switches.
	Action string `json:"action"`
	By     string `json:"by"` // The token's sub, or "session ID" where a session's clock did it.
	// Who approved it as a second operator, and by which approval.
	ApprovedBy string       `json:"approved_by,omitempty"`
	Approval   uint32       `json:"approval,omitempty"`
	Note       string       `json:"note,omitempty"`
	Profile    string       `json:"profile,omitempty"` // Of switches.
	Changes    []PlanChange `json:"changes"`
	LeftOut    uint32       `json:"left_out,omitempty"` // Changes that are not kept.
}

package wire

// RiskLists are the risk lists.
type RiskLists struct {
	Risk []ListCount `json:"risk"`
}

// AllowLists are the allow lists.
type AllowLists struct {
	AllowLists []ListCount `json:"allowlists"`
}

// ListCount is a list and how many it names.
type ListCount struct {
	List  string `json:"list"`
	Count int64  `json:"count"`
}

// ListPage is a page of a list.
type ListPage struct {
	List   string    `json:"list"`
	Count  int64     `json:"count"` // That the list names in all.
	Rows   []ListRow `json:"rows"`
	Cursor string    `json:"cursor,omitempty"` // Of the next page; not there at the end.
}

// ListRow is what a list says of one.
type ListRow struct {
	ID string `json:"id"` // Viewers see phone numbers and addresses masked.
	// Of phone numbers and addresses, which are kept by this keyed hash: so the audit trail
	// names them.
	Hash  string `json:"hash,omitempty"`
	Level string `json:"level,omitempty" jsonschema:"enum=watch,enum=challenge,enum=block"` // Of risk lists.
	Since string `json:"since" jsonschema:"format=date-time"`
}

// ListImport is what came of a change of a list.
type ListImport struct {
	List      string `json:"list"`
	Action    string `json:"action" jsonschema:"enum=replace,enum=change"`
	Rows      int    `json:"rows"`      // That were taken in, for they changed something.
	Removed   int    `json:"removed"`   // Of these, those that took somebody off.
	Unchanged int    `json:"unchanged"` // Rows that said what the list has so already; nothing is committed for them.
	Repeated  int    `json:"repeated"`  // Lines that said what a line before had said.
	Count     int64  `json:"count"`     // That the list names now.
}

// ImportProgress is a line while a list is taken in, to those who accept
// application/x-ndjson.
type ImportProgress struct {
	Committed int `json:"committed"` // Rows that are in the log.
	Of        int `json:"of"`
}

// SetAsideRequest names open differences of a report that somebody has seen to.
type SetAsideRequest struct {
	Note        string   `json:"note" jsonschema:"minLength=1,maxLength=1024"`     // Why.
	Differences []string `json:"differences,omitempty" jsonschema:"maxItems=1000"` // By id, each of them open.
	// All that the report left open, instead of differences.
	All bool `json:"all,omitempty"`
}

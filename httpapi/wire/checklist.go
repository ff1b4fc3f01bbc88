package wire

// States of what is checked.
const (
	CheckOK   = "ok"
	CheckWarn = "warn"
	CheckBad  = "bad"
)

// Checklist is what to look at before a session opens, as the node that answers sees it.
type Checklist struct {
	Session string `json:"session"`
	Opens   string `json:"opens" jsonschema:"format=date-time"`
	// The worst of the checks. bad: something will not work. warn: something may not.
	State  string  `json:"state" jsonschema:"enum=ok,enum=warn,enum=bad"`
	Checks []Check `json:"checks"`
}

// Check is one thing that was looked at, and what to do about it.
type Check struct {
	// session, lists, stock, supplier, words, keys, cashier, settings, clocks, quorum, zones,
	// alarms.
	Name  string `json:"name"`
	About string `json:"about,omitempty"` // A listing, a node, a setting.
	State string `json:"state" jsonschema:"enum=ok,enum=warn,enum=bad"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"` // What to do, where it is not ok.
}

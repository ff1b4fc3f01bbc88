package wire

// Sinks are where committed changes flow to.
type Sinks struct {
	// The node that leads and feeds them, as far as known. The others know what is noted of
	// sinks, and not how it goes.
	Leader string `json:"leader"`
	Sinks  []Sink `json:"sinks"` // As configured on the node that answers; then those that are only noted.
}

// Sink is one of them.
type Sink struct {
	Name string `json:"name"`
	Kind string `json:"kind,omitempty"` // None of one that is not configured here.
	// Elsewhere: another node leads, and feeds it. Gone: events that it has not had are gone,
	// and it stands still until it is told where to go on.
	State        string  `json:"state" jsonschema:"enum=sink"`
	Position     string  `json:"position"` // INDEX.N: it has all before this but dead letters.
	KeepsIt      bool    `json:"keeps_position,omitempty"`
	LagSeconds   float64 `json:"lag_seconds"` // For how long the oldest change has waited that it does not have.
	Paused       bool    `json:"paused"`
	Changes      uint64  `json:"changes"`  // It has taken from the node that answers since that started.
	Failures     uint64  `json:"failures"` // There, too.
	DeadLetters  int     `json:"dead_letters"`
	LastError    string  `json:"last_error,omitempty"` // While it fails.
	FailingSince string  `json:"failing_since,omitempty" jsonschema:"format=date-time"`
	NextTryAt    string  `json:"next_try_at,omitempty" jsonschema:"format=date-time"`
	FirstKept    string  `json:"first_kept,omitempty"` // Of one that is gone: the first event that is kept.
}

// SinkReplay says where a sink goes on: give one of from and since.
type SinkReplay struct {
	Note
	From string `json:"from,omitempty"` // INDEX or INDEX.N.
	// A day (2026-09-20, in UTC) or a moment in RFC 3339: with the first event since then.
	Since string `json:"since,omitempty"`
}

// DeadLetters are changes that a sink's other side refused for good.
type DeadLetters struct {
	Sink    string       `json:"sink"`
	Letters []DeadLetter `json:"letters"`        // By position.
	Next    string       `json:"next,omitempty"` // Where to go on; missing at the end.
}

// DeadLetter is one of them.
type DeadLetter struct {
	At      string `json:"at"` // Its position, INDEX.N, and its id.
	OrderNo string `json:"order_no,omitempty"`
	Why     string `json:"why"`
	Since   string `json:"since" jsonschema:"format=date-time"`
	Times   uint32 `json:"times"` // It was put aside.
	Again   bool   `json:"again"` // It is about to be sent again.
	// What is in it; missing where the trail has dropped it, or the node that answers can't
	// read it.
	Event *TrailEvent `json:"event,omitempty"`
}

// LettersNamed says which dead letters are meant: give letters, or all.
type LettersNamed struct {
	Note
	Letters []string `json:"letters,omitempty" jsonschema:"maxItems=1000"` // Their at.
	All     bool     `json:"all,omitempty"`
}

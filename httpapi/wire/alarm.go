package wire

import "doorbuster/engine"

// Alarms is all that somebody must see to; none is good news.
type Alarms struct {
	Alarms []engine.Alarm `json:"alarms"`
	SeenTo []AlarmNote    `json:"seen_to"` // What operators have said to alarms, by name.
}

// AlarmNote is what operators have said to the alarms of a name.
type AlarmNote struct {
	Name           string `json:"name"`
	AcknowledgedBy string `json:"acknowledged_by,omitempty"`
	AcknowledgedAt string `json:"acknowledged_at,omitempty" jsonschema:"format=date-time"`
	// Which are acknowledged: whatever of them began until then.
	Of          []AlarmOf `json:"of"`
	SilentUntil string    `json:"silent_until,omitempty" jsonschema:"format=date-time"` // Nobody is told of them until then.
	SilencedBy  string    `json:"silenced_by,omitempty"`
}

// AlarmOf is the node of an alarm, or nothing for the group's; a slash; and what it is about.
type AlarmOf string

// Hot is what a node is asked for most.
type Hot struct {
	Node          string       `json:"node"`           // The one that answers; others have their own.
	WindowSeconds int          `json:"window_seconds"` // Over which rates are.
	Products      []HotProduct `json:"products"`       // The most first, 20 at most.
}

// HotProduct is a product that is asked for much. Rates are of samples, and some percent off.
type HotProduct struct {
	SKU       string  `json:"sku"`        // As it was asked for, planned or not.
	PerSecond float64 `json:"per_second"` // Looks and grabs.
	Known     bool    `json:"known"`      // It is in a catalogue, or on a plan; five others are listed at most.
	Planned   bool    `json:"planned"`    // It is on the plan of a session that has not ended.
	Stock     int64   `json:"stock"`      // Of all those sessions.
	Available int64   `json:"available"`  // Of it.
	// One of those asks for reservations, tickets, a list or a draw.
	Guarded bool `json:"guarded"`
}

// AlarmSilence says for how long nobody is told of alarms.
type AlarmSilence struct {
	Note
	For string `json:"for"` // Such as 2h or 30m, 720h at most; 0s ends a silence.
}

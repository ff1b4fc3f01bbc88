package wire

import (
	"encoding/json"
	"strconv"
)

// Switchboard is what operators turn while a sale runs.
type Switchboard struct {
	LogIndex      uint64         `json:"log_index"`
	ActiveProfile string         `json:"active_profile"` // Turned on last; empty if anything was turned since.
	Switches      []Switch       `json:"switches"`
	Profiles      []Profile      `json:"profiles"`
	History       []SwitchRecord `json:"history" jsonschema:"maxItems=64"` // The last changes, the newest first.
}

// Switch is one of them.
type Switch struct {
	Name    string      `json:"name"`
	Value   SwitchValue `json:"value"`
	Normal  SwitchValue `json:"normal"` // While nobody says otherwise.
	Allowed []string    `json:"allowed,omitempty"`
	Most    *int64      `json:"most,omitempty"` // Of one that takes whole numbers from 0.
	Help    string      `json:"help"`
}

// SwitchValue is a word, or a whole number as it is written.
type SwitchValue string

// MarshalJSON implements json.Marshaler.
func (v SwitchValue) MarshalJSON() ([]byte, error) {
	if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return strconv.AppendInt(nil, n, 10), nil
	}
	return json.Marshal(string(v))
}

// UnmarshalJSON implements json.Unmarshaler. A boolean is a word, on or off.
func (v *SwitchValue) UnmarshalJSON(text []byte) error {
	switch text := string(text); text {
	case "true":
		*v = "on"
	case "false":
		*v = "off"
	default:
		if *v = SwitchValue(text); text[0] == '"' {
			return json.Unmarshal([]byte(text), (*string)(v))
		}
	}
	return nil
}

// Profiles are named sets of switches.
type Profiles struct {
	ActiveProfile string    `json:"active_profile"`
	Profiles      []Profile `json:"profiles" jsonschema:"maxItems=64"`
}

// Profile is a named set of switches.
type Profile struct {
	Name     string                 `json:"name"`
	Switches map[string]SwitchValue `json:"switches"`
}

// SwitchRecord is a change that was made.
type SwitchRecord struct {
	At       string         `json:"at" jsonschema:"format=date-time"`
	LogIndex uint64         `json:"log_index"`
	Operator string         `json:"operator"` // The token's sub, or "session ID" where a session's clock did it.
	Note     string         `json:"note"`
	Action   string         `json:"action" jsonschema:"enum=switch_action"`
	Profile  string         `json:"profile,omitempty"`
	Changed  []SwitchChange `json:"changed"`
}

// SwitchChange is what a change made of one switch.
type SwitchChange struct {
	Name   string      `json:"name"`
	Before SwitchValue `json:"before"`
	After  SwitchValue `json:"after"`
}

// Settings name switches and what they are to be.
type Settings struct {
	Note
	Switches map[string]SwitchValue `json:"switches" jsonschema_extras:"minProperties=1"` // Names and values.
}

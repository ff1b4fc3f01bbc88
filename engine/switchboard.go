package engine

import "slices"

// SwitchboardView is the switches as operators see them, at a log index. It is
// whoever's it was made for.
type SwitchboardView struct {
	LogIndex LogIndex
	Now      Switches
	Profile  string         // turned on last, "" if anything was changed since
	Profiles []Profile      // sorted by name
	History  []SwitchRecord // the last changes, the oldest first
}

// Switchboard copies what operators see of the switches.
func (s *State) Switchboard() SwitchboardView {
	b := &s.board
	return SwitchboardView{LogIndex: s.index, Now: b.now, Profile: b.profile, Profiles: slices.Clone(b.profiles), History: slices.Clone(b.history)}
}

// Words gives the words that the values of a switch have, by value; none if they
// are numbers up to Top. Read only.
func (w Switch) Words() []string { return switchSpecs[w].words }

// Top is the highest value of a switch.
func (w Switch) Top() int64 { return switchSpecs[w].top }

//go:build nextrules

package engine

// RulesVersion is that of a build which knows rules that no release has: they
// are there so that the upgrade of a running cluster can be tested.
const RulesVersion = 2

// payBy is until when a hold that is granted now is to be paid. From version 2 on
// it is a whole second, up to one later than before. A node that did so by itself
// would have another state than the others.
func (s *State) payBy(x *Session) Time {
	at := s.now.Add(x.PayWithin)
	if s.rules < 2 {
		return at
	}
	return (at + 999) / 1000 * 1000
}

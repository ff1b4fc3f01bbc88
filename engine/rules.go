//go:build !nextrules

package engine

// RulesVersion is the newest version of Apply's behaviour that this build
// knows. A group runs by the version in its state, raised by a command once
// every node supports it, so that a rolling upgrade can't fork the state: what
// Apply does otherwise in a new version, it does only if s.rules says so.
const RulesVersion = 1

// payBy is until when a hold that is granted now is to be paid.
func (s *State) payBy(x *Session) Time { return s.now.Add(x.PayWithin) }

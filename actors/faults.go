//go:build faults

package actors

// PanicAt makes the actor of a listing panic over every grab that it takes up, so that tests can
// see a whole node with a fault in one. It is called before anybody grabs.
func (g *Group) PanicAt(listing string) {
	g.onGrab = func(s *slot) {
		if s.gate.name == listing {
			panic("made to")
		}
	}
}

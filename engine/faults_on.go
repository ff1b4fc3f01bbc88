//go:build faults

package engine

// BreakListing is a command that makes a unit of a listing vanish, so that tests
// can see an invariant break.
func BreakListing(h ListingHandle) Command { return Command{Kind: cmdBreakListing, Listing: h} }

func (s *State) breakListing(c *Command) Event {
	l := s.Listing(c.Listing)
	if l == nil {
		return refused(ReasonUnknown)
	}
	l.Available--
	s.touch(l.Handle)
	return Event{Kind: OrderUnchanged, Listing: l.Handle}
}

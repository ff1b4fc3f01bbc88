//go:build !faults

package engine

import "testing"

// Only builds for tests can break a listing, whatever the log says.
func TestBreakListingDoesNothing(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 5})
	eff := g.do(Command{Kind: cmdBreakListing, Listing: x.Listings[0]})
	if e := eff.Primary[0]; e.Kind != CommandRefused || len(eff.Derived) > 0 {
		t.Errorf("%v, then %v", e, eff.Derived)
	}
}

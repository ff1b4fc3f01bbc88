//go:build faults && invariants

package engine

import (
	"strings"
	"testing"
)

// With both tags a broken invariant stops the test that broke it.
func TestBrokenListingPanics(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 5})
	defer func() {
		if why, _ := recover().(string); !strings.Contains(why, "stock 5, available 4") {
			t.Errorf("panicked with %q", why)
		}
	}()
	g.do(BreakListing(x.Listings[0]))
}

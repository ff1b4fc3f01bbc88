//go:build faults

package main

import (
	"strings"
	"testing"
)

// A listing whose units no longer add up is frozen with an alarm; the others
// never notice. That stays so over restarts, from the log and from a snapshot.
func TestBrokenListingIsFrozen(t *testing.T) {
	t.Parallel()
	s, n, closing := openBare(t, t.TempDir(), nil)
	s.apply(planOf([]string{"{sku: mask, price: 100, stock: 9}", "{sku: mug, price: 100, stock: 9}"}, "limit_per_shopper: 0"))
	const mug = "day/mug"
	held, paid := s.mustGrant("holder", "k", mask), s.mustGrant("payer", "k", mask)
	s.pay(paid, "p1")
	s.mustGrant("holder", "other", mug)

	if err := n.group.BreakListing(t.Context(), "day", "mask"); err != nil {
		t.Fatal(err)
	}
	s.frozenButFor(t, mug, held, "first")
	closing()

	s, n, closing = openBare(t, s.dir, nil)
	s.frozenButFor(t, mug, held, "after a restart from the log")
	if err := n.cluster.Snapshot(); err != nil {
		t.Fatal(err)
	}
	closing()

	s, _, closing = openBare(t, s.dir, nil)
	s.frozenButFor(t, mug, held, "after a restart from a snapshot")
	closing()
}

// frozenButFor expects the mask's listing frozen, with an alarm, and another
// selling to a new shopper.
func (s *shop) frozenButFor(t *testing.T, other string, held order, when string) {
	t.Helper()
	if line, _ := s.logs.find("ALARM: listing frozen"); !strings.Contains(line, `"sku":"mask"`) || !strings.Contains(line, `"level":"ERROR"`) {
		t.Errorf("%s: no alarm in the log: %q", when, line)
	}
	if v := s.metric("doorbuster_listings_frozen_total"); v != "1" {
		t.Errorf("%s: the alarm metric is %s", when, v)
	}
	if a := s.ops("GET", "/admin/v1/sessions/day/skus/mask", ""); !strings.Contains(a.Body, `"state":"frozen"`) {
		t.Errorf("%s: %s", when, a.Body)
	}
	// Nobody gets in, and nobody learns why; who holds still hears of it.
	s.mustRefuse("missed", newKey(), "", mask)
	if again := s.mustGrant("holder", "k", mask); again != held {
		t.Errorf("%s: the holder hears %+v", when, again)
	}
	if a := s.ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":1}`); a.Status < 400 || a.Status > 499 {
		t.Errorf("%s: stock was added to it: %d %s", when, a.Status, a.Body)
	}
	before := s.counts(other)
	s.mustGrant(newKey(), "", other)
	if after := s.counts(other); after.Held != before.Held+1 {
		t.Errorf("%s: the other: from %+v to %+v", when, before, after)
	}
}

// A frozen listing is missed like all else that is missed.
func TestFrozenListingTellsNothing(t *testing.T) {
	t.Parallel()
	missedForAll(t, func(n *node) {
		if err := n.group.BreakListing(t.Context(), "day", "frozen"); err != nil {
			t.Fatal(err)
		}
	})
}

//go:build faults

package main

import (
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// A listing whose units no longer add up is frozen with an alarm; the others
// never notice. That stays so over restarts, from the log and from a snapshot.
func TestBrokenListingIsFrozen(t *testing.T) {
	t.Parallel()
	s, n, closing := openBare(t, t.TempDir(), nil)
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 9}", "{sku: mug, price: 100, stock: 9}"},
		"limit_per_shopper: 0"))
	const mug = "day/mug"
	held, paid := s.MustGrant("holder", "k", nodetest.Mask), s.MustGrant("payer", "k", nodetest.Mask)
	s.Pay(paid, "p1")
	s.MustGrant("holder", "other", mug)

	if err := n.office.BreakListing(t.Context(), "day", "mask"); err != nil {
		t.Fatal(err)
	}
	frozenButFor(s, mug, held, "first")
	closing()

	s, n, closing = openBare(t, s.Dir, nil)
	frozenButFor(s, mug, held, "after a restart from the log")
	if err := n.cluster.Snapshot(); err != nil {
		t.Fatal(err)
	}
	closing()

	s, _, closing = openBare(t, s.Dir, nil)
	frozenButFor(s, mug, held, "after a restart from a snapshot")
	closing()
}

// frozenButFor expects the mask's listing frozen, with an alarm, and another
// selling to a new shopper.
func frozenButFor(s *nodetest.Shop, other string, held nodetest.Order, when string) {
	t := s.T
	t.Helper()
	s.Raised("listing_frozen")
	if line, _ := s.Logs.Find("ALARM: listing frozen"); !strings.Contains(line, `"sku":"mask"`) ||
		!strings.Contains(line, `"level":"ERROR"`) {
		t.Errorf("%s: no alarm in the log: %q", when, line)
	}
	if v := s.Metric("doorbuster_listings_frozen_total"); v != "1" {
		t.Errorf("%s: the alarm metric is %s", when, v)
	}
	if a := s.Ops("GET", "/admin/v1/sessions/day/skus/mask", ""); !strings.Contains(a.Body, `"state":"frozen"`) {
		t.Errorf("%s: %s", when, a.Body)
	}
	// Nobody gets in, and nobody learns why; who holds still hears of it.
	s.MustRefuse("missed", nodetest.NewKey(), "", nodetest.Mask)
	if again := s.MustGrant("holder", "k", nodetest.Mask); again != held {
		t.Errorf("%s: the holder hears %+v", when, again)
	}
	if a := s.Ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":1}`); a.Status < 400 || a.Status > 499 {
		t.Errorf("%s: stock was added to it: %d %s", when, a.Status, a.Body)
	}
	before := s.Counts(other)
	s.MustGrant(nodetest.NewKey(), "", other)
	if after := s.Counts(other); after.Held != before.Held+1 {
		t.Errorf("%s: the other: from %+v to %+v", when, before, after)
	}
}

// A frozen listing is missed like all else that is missed.
func TestFrozenListingTellsNothing(t *testing.T) {
	t.Parallel()
	missedForAll(t, func(n *node) {
		if err := n.office.BreakListing(t.Context(), "day", "frozen"); err != nil {
			t.Fatal(err)
		}
	})
}

// A listing whose actor has a fault that it meets again and again is put in quarantine with an
// alarm; the others never notice. A start ends it, if the fault is mended.
func TestFaultyListingIsQuarantined(t *testing.T) {
	t.Parallel()
	s, n, closing := openBare(t, t.TempDir(), nil)
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 9}", "{sku: mug, price: 100, stock: 9}"}))
	n.office.PanicAt("day/skus/mask")
	for range 3 {
		s.Grab(nodetest.NewKey(), "", nodetest.Mask)
	}
	s.Raised("listing_quarantined")
	s.MustRefuse("missed", nodetest.NewKey(), "", nodetest.Mask)
	s.MustGrant("ann", "", "day/mug")
	closing()
	s, _, closing = openBare(t, s.Dir, nil)
	s.Healed("listing_quarantined")
	s.MustGrant("bob", "", nodetest.Mask)
	closing()
}

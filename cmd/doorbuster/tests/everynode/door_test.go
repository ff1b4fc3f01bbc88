package everynode

import (
	"fmt"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// A challenge stands before the ticket where the listing asks for one; the same
// solution is the same use, on whichever node.
func TestChallengesAtTheDoor(t *testing.T) {
	t.Parallel()
	f := nodetest.NewFleet(t, "off", nodetest.Rooms3...)
	f.Extra = "challenge_max_number: 1000\n"
	f.Open()
	leader, other := f.Leader(), f.Follower()
	leader.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 9, limit_per_shopper: 2, challenge: work}"},
		"limit_per_shopper: 2"))
	other.Eventually(func() bool {
		return other.Grab("x", "", nodetest.Mask).Code == "ticket_required"
	}, func() string { return "the listing does not open" })

	a := other.ExpectWith("ticket_required", "ann", "", nodetest.Mask, "")
	if !strings.Contains(a.Body, `"challenge":"work","challenge_url":"/v1/sessions/day/skus/mask/challenge"`) {
		t.Errorf("where to get a challenge: %s", a.Body)
	}
	if a := other.Ask("POST", "ann", nodetest.Mask, "ticket", ""); a.Code != "ticket_required" {
		t.Errorf("a ticket for nothing: %s", a.Body)
	}
	solved := other.Solve("ann", nodetest.Mask)
	if a := leader.Ask("POST", "bob", nodetest.Mask, "ticket", solved); a.Status != 422 ||
		a.Type != "urn:doorbuster:problem:solution" {
		t.Errorf("another's solution: %d %s", a.Status, a.Body)
	}
	for _, bad := range []string{`{"solution":"x"}`, `{"token":"x","answer":"1"}`} {
		if a := leader.Ask("POST", "ann", nodetest.Mask, "ticket", bad); a.Status != 422 {
			t.Errorf("%s: %d %s", bad, a.Status, a.Body)
		}
	}
	first, second := leader.Ticket("ann", nodetest.Mask, solved), other.Ticket("ann", nodetest.Mask, solved)
	leader.ExpectWith("granted", "ann", "k1", nodetest.Mask, nodetest.With(first))
	other.ExpectWith("ticket_required", "ann", "k2", nodetest.Mask, nodetest.With(second))
	other.ExpectWith("granted", "ann", "k3", nodetest.Mask, nodetest.With(leader.Ticket("ann", nodetest.Mask,
		other.Solve("ann", nodetest.Mask))))
}

// A stream on a node that does not lead tells the same, and so does the next one
// on another node.
func TestEventsOnAnyNode(t *testing.T) {
	t.Parallel()
	f := nodetest.OpenFleet(t, "off", nodetest.Rooms3...)
	leader, other := f.Leader(), f.Follower()
	leader.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 1, waitlist: true}"}))
	other.Eventually(func() bool {
		return other.Grab("ann", "a", nodetest.Mask).Code == "granted"
	}, func() string { return "the listing does not open" })
	next := other.Events("bob")
	if event, data := next(); event != "snapshot" || data != `{"orders":[]}` {
		t.Fatalf("%s %s", event, data)
	}
	leader.ExpectWith("waitlisted", "bob", "b", nodetest.Mask, `{"waitlist":true}`)
	for _, want := range []string{`"position":1`, `"state":"held"`} {
		if event, data := next(); event != "order" || !strings.Contains(data, want) {
			t.Errorf("%s %s; want %s", event, data, want)
		}
		leader.CancelOrder("ann", leader.Grab("ann", "a", nodetest.Mask).Order.OrderNo)
	}
	for _, m := range f.Nodes {
		if event, data := m.Events("bob")(); event != "snapshot" || !strings.Contains(data, `"state":"held"`) {
			t.Errorf("%s: %s %s", m.ID, event, data)
		}
	}
	other.Ops("POST", "/admin/v1/cluster/drain", fmt.Sprintf(`{"node":%q}`, other.ID))
	if event, _ := next(); event != "retry" {
		t.Errorf("a drained node goes on: %s", event)
	}
}

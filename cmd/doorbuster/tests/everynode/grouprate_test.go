package everynode

import (
	"fmt"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// An address that asks all three nodes at once is let in as often as at one: it had a
// burst at each of them.
func TestAddressRateIsTheGroups(t *testing.T) {
	t.Parallel()
	const burst = 30
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	f.Extra = fmt.Sprintf("rate_limit: {address: {per_second: 0.001, burst: %d}}\n", burst)
	for _, m := range f.Nodes {
		m.Launch()
	}
	for _, m := range f.Nodes {
		m.AwaitUp()
	}
	f.Nodes[0].Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 9, ticket: true}"}))
	for _, m := range f.Nodes {
		m.Eventually(func() bool {
			s, ok := m.Status()
			for _, n := range s.Nodes {
				ok = ok && n.Reachable
			}
			return ok && m.Do("GET", m.ListingURL(nodetest.Mask), "").Status == 200
		}, func() string { return m.ID + " does not hear the others, or of the session" })
	}
	passed := 0
	for _, answer := range nodetest.Crowd(3*3*burst, func(i int) int {
		return f.Nodes[i%3].Ask("POST", fmt.Sprint("shopper", i), nodetest.Mask, "ticket", "").Status
	}) {
		switch answer {
		case 200:
			passed++
		case 429:
		default:
			t.Errorf("status %d", answer)
		}
	}
	// Each node of a group lets one in whatever its share is. Where shares follow demand in
	// the middle of the crowd, what a node had not used of its share is lost.
	if passed > burst+2 || passed < burst/2 {
		t.Errorf("the group gave out %d tickets to one address; its burst is %d", passed, burst)
	}
}

package everynode

import (
	"fmt"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestAddressRateIsTheGroups: an address that asks all three nodes at once is let in as
// often as at one: it had a burst at each of them. Nodes that hear too late of each
// other let in more, so an address may try again on behalf of another.
func TestAddressRateIsTheGroups(t *testing.T) {
	t.Parallel()
	const burst = 30
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	f.Extra = fmt.Sprintf("trusted_proxies: [127.0.0.1]\nrate_limit: {address: {per_second: 0.001, burst: %d}}\n",
		burst)
	f.Open()
	f.Plan(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 9, ticket: true}"}))
	for _, m := range f.Nodes {
		m.Eventually(func() bool {
			s, ok := m.Status()
			for _, n := range s.Nodes {
				ok = ok && n.Reachable
			}
			return ok && m.Do("GET", m.ListingURL(nodetest.Mask), "").Status == 200
		}, func() string { return m.ID + " does not hear the others, or of the session" })
	}
	passed, addresses := 0, 0
	f.Nodes[0].Eventually(func() bool {
		passed, addresses = 0, addresses+1
		from := fmt.Sprint("203.0.113.", addresses)
		for _, status := range nodetest.Crowd(3*3*burst, func(i int) int {
			m := f.Nodes[i%3]
			return m.Do("POST", m.ListingURL(nodetest.Mask)+"/ticket", "", "X-Shopper-Id", fmt.Sprint("shopper", i),
				"X-Forwarded-For", from).Status
		}) {
			switch status {
			case 200:
				passed++
			case 429:
			default:
				t.Errorf("status %d", status)
			}
		}
		// Each node of a group lets one in whatever its share is. Where shares follow demand in
		// the middle of the crowd, what a node had not used of its share is lost.
		return passed >= burst/2 && passed <= burst+2
	}, func() string {
		return fmt.Sprintf("the group gave out %d tickets to one address; its burst is %d", passed, burst)
	})
}

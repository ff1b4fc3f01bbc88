package main

import (
	"fmt"
	"testing"
)

// An address that asks all three nodes at once is let in as often as at one: it had a
// burst at each of them.
func TestAddressRateIsTheGroups(t *testing.T) {
	t.Parallel()
	const burst = 30
	f := newFleet(t, "prefer", rooms3...)
	f.extra = fmt.Sprintf("rate_limit: {address: {per_second: 0.001, burst: %d}}\n", burst)
	for _, m := range f.nodes {
		m.launch()
	}
	for _, m := range f.nodes {
		m.awaitUp()
	}
	f.nodes[0].apply(planOf([]string{"{sku: mask, price: 100, stock: 9, ticket: true}"}))
	for _, m := range f.nodes {
		m.eventually(func() bool {
			s, ok := m.status()
			for _, n := range s.Nodes {
				ok = ok && n.Reachable
			}
			return ok && m.do("GET", m.listingURL(mask), "").Status == 200
		}, func() string { return m.id + " does not hear the others, or of the session" })
	}
	passed := 0
	for _, answer := range crowd(3*3*burst, func(i int) int {
		return f.nodes[i%3].ask("POST", fmt.Sprint("shopper", i), mask, "ticket", "").Status
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

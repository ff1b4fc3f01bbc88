package warnings

import (
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestNodeThatGetsNoTraffic: a node in service that a load balancer forgets is an alarm, and
// over once shoppers come to it.
func TestNodeThatGetsNoTraffic(t *testing.T) {
	chat := nodetest.NewEar(t)
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	f.Extra = "warnings:\n  share_window: 10s\n  receivers:\n" + chat.Receiver("chat", "tell")
	f.Open()
	f.Plan(nodetest.DayPlan("", 10))
	forgotten := f.Follower()
	look := func(at []*nodetest.Member) {
		nodetest.Crowd(100, func(i int) error { // a look is one, whatever comes of it
			m := at[i%len(at)]
			_, err := m.Request("GET", m.ListingURL("day/sku-1"), "")
			return err
		})
	}
	f.Eventually(func() bool {
		look(f.Others(forgotten))
		return strings.HasPrefix(chat.Of("under_share"), "begins")
	}, "nobody hears of the node that gets nothing")
	forgotten.Raised("under_share")
	if m := chat.Last("under_share"); m.Node != forgotten.ID ||
		!strings.Contains(m.Detail, "In the last 10s, 0 looks and grabs came to this node") {
		t.Errorf("%+v", m)
	}
	for id, share := range shares(t, f.Leader()) {
		if few := id == forgotten.ID; few != (share == 0) || share > 0.7 {
			t.Errorf("node %s has %g of the looks", id, share)
		}
	}
	f.Eventually(func() bool {
		look(f.Nodes)
		return strings.HasSuffix(chat.Of("under_share"), "; over")
	}, "it is never over")
	forgotten.Healed("under_share")
	f.Eventually(func() bool {
		look(f.Nodes)
		least := 1.0
		for _, share := range shares(t, forgotten) {
			least = min(least, share)
		}
		return least > 0.2
	}, "the shares are not even")

	// With one room drained and the other lost, shoppers have nobody to go to.
	a1, b1 := f.Node("a1"), f.Node("b1")
	a1.MustRun("cluster", "drain", "--zone", "a")
	b1.Kill()
	a1.Raised("nobody_serves")
	b1.Relaunch()
	a1.Healed("nobody_serves")
}

// shares gives each node's share of the looks, as a node tells.
func shares(t *testing.T, m *nodetest.Member) map[string]float64 {
	t.Helper()
	s, ok := m.Status()
	if !ok {
		t.Fatal("the node tells no status")
	}
	all := map[string]float64{}
	for _, n := range s.Nodes {
		all[n.ID] = n.Looks
	}
	return all
}

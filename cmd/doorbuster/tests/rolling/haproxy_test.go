package rolling

import (
	"strconv"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestDrainBehindHAProxy: a real HAProxy with the example's configuration shares
// the shoppers among the zones, moves all of them when a zone is drained and when
// a node stops, and back, and no request fails.
func TestDrainBehindHAProxy(t *testing.T) {
	installed(t, "haproxy")
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	for _, m := range f.Nodes {
		m.Launch("--stop-delay", "3s") // as in the example
	}
	for _, m := range f.Nodes {
		m.AwaitUp()
	}
	f.Plan(nodetest.DayPlan("", 1_000_000))
	f.Leader()
	front := openBalancer(t, 0, func(id string) (string, string) { m := f.Node(id); return m.Ports[0], m.Ports[1] })
	rate := nodetest.RushRate() / 2
	r := startRush(t, "s", "day/sku-1", rate, &door{addr: front})
	// The shares over some time: who granted how many as the shopper's node.
	shares := func() (a, b int) {
		t.Helper()
		before := answered(f)
		r.sell(rate)
		after := answered(f)
		for i, m := range f.Nodes {
			if m.Up && m.Zone == "a" {
				a += after[i] - before[i]
			} else if m.Up {
				b += after[i] - before[i]
			}
		}
		return a, b
	}
	a, b := shares()
	t.Logf("all up: zone a answered %d, zone b %d", a, b)
	if b == 0 || a < b {
		t.Errorf("not 70 to 30: zone a answered %d, zone b %d", a, b)
	}
	cluster := func(args ...string) {
		t.Helper()
		if status, out, errs := nodetest.Tool(t, "", append([]string{"cluster"}, append(args, "--admin",
			f.Node("b1").Admin)...)...); status != 0 {
			t.Fatal(out, errs)
		}
	}
	cluster("drain", "--zone", "a")
	f.Eventually(func() bool { a, b = shares(); return a == 0 }, "shoppers still come to the drained zone")
	t.Logf("zone a drained: zone a answered %d, zone b %d", a, b)
	f.Eventually(func() bool { return f.Leader().Zone == "b" }, "a drained node leads on")
	cluster("undrain", "--zone", "a")
	f.Eventually(func() bool { a, b = shares(); return a > b }, "the shoppers do not come back")
	t.Logf("undrained: zone a answered %d, zone b %d", a, b)
	leader := f.Leader()
	leader.Halt()
	r.sell(rate)
	leader.Relaunch()
	r.close()
	checkRushes(f, r)
}

// answered gives how many grabs each node has granted as a shopper's node.
func answered(f *nodetest.Fleet) []int {
	f.T.Helper()
	answered := make([]int, len(f.Nodes))
	for i, m := range f.Nodes {
		if m.Up {
			n, err := strconv.ParseFloat(m.Metric(`doorbuster_grabs_total{code="granted"}`), 64)
			if err != nil {
				f.T.Fatal(err)
			}
			answered[i] = int(n)
		}
	}
	return answered
}

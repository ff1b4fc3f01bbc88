package main

import (
	"strconv"
	"testing"
)

// TestDrainBehindHAProxy: a real HAProxy with the example's configuration shares
// the shoppers among the rooms, moves all of them when a room is drained and when
// a node stops, and back, and no request fails.
func TestDrainBehindHAProxy(t *testing.T) {
	program(t, "haproxy")
	f := newFleet(t, "prefer", rooms3...)
	for _, m := range f.nodes {
		m.launch("--stop-delay", "3s") // as in the example
	}
	for _, m := range f.nodes {
		m.awaitUp()
	}
	f.plan(dayPlan("", 1_000_000))
	f.leader()
	front := openBalancer(t, 0, func(id string) (string, string) { m := f.node(id); return m.ports[0], m.ports[1] })
	rate := rushRate() / 2
	r := startRush(t, "s", "day/sku-1", rate, &door{addr: front})
	// The shares over some time: who granted how many as the shopper's node.
	shares := func() (a, b int) {
		t.Helper()
		before := f.answered()
		r.sell(rate)
		after := f.answered()
		for i, m := range f.nodes {
			if m.up && m.zone == "a" {
				a += after[i] - before[i]
			} else if m.up {
				b += after[i] - before[i]
			}
		}
		return a, b
	}
	a, b := shares()
	t.Logf("all up: room a answered %d, room b %d", a, b)
	if b == 0 || a < b {
		t.Errorf("not 70 to 30: room a answered %d, room b %d", a, b)
	}
	cluster := func(args ...string) {
		t.Helper()
		if status, out, errs := runTool(t, "", append([]string{"cluster"}, append(args, "--admin", f.node("b1").admin)...)...); status != 0 {
			t.Fatal(out, errs)
		}
	}
	cluster("drain", "--zone", "a")
	f.eventually(func() bool { a, b = shares(); return a == 0 }, "shoppers still come to the drained room")
	t.Logf("room a drained: room a answered %d, room b %d", a, b)
	f.eventually(func() bool { return f.leader().zone == "b" }, "a drained node leads on")
	cluster("undrain", "--zone", "a")
	f.eventually(func() bool { a, b = shares(); return a > b }, "the shoppers do not come back")
	t.Logf("undrained: room a answered %d, room b %d", a, b)
	leader := f.leader()
	leader.halt()
	r.sell(rate)
	leader.relaunch()
	r.close()
	checkRushes(f, r)
}

// answered gives how many grabs each node has granted as a shopper's node.
func (f *testCluster) answered() []int {
	f.t.Helper()
	answered := make([]int, len(f.nodes))
	for i, m := range f.nodes {
		if m.up {
			n, err := strconv.ParseFloat(m.metric(`doorbuster_grabs_total{code="granted"}`), 64)
			if err != nil {
				f.t.Fatal(err)
			}
			answered[i] = int(n)
		}
	}
	return answered
}

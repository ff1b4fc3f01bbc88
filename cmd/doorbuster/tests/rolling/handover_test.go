package rolling

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// gapAtMost is what a hand-over may take on a machine that does other things,
// too; unhurried, and without the race detector, it should be under 300 ms.
const gapAtMost = 3 * time.Second

// TestHandOver: leadership goes from node to node, and nodes stop, under load: no
// request fails, and what was told is there.
func TestHandOver(t *testing.T) {
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	doors := make([]*door, len(f.Nodes))
	for i, m := range f.Nodes {
		m.Launch(unhurried...)
		doors[i] = doorOf(m)
	}
	for _, m := range f.Nodes {
		m.AwaitUp()
	}
	f.Plan(nodetest.DayPlan("", 1_000_000))
	f.Leader()
	rate := nodetest.RushRate()
	r := startRush(t, "s", "day/sku-1", rate, doors...)
	for _, change := range []struct {
		name string
		do   func(leader *nodetest.Member)
	}{
		{"transfer", func(leader *nodetest.Member) {
			leader.MustRun("cluster", "transfer", "--from", leader.ID)
		}},
		{"graceful stop", (*nodetest.Member).Halt},
	} {
		r.sell(rate)
		leader, began := f.Leader(), time.Now()
		change.do(leader)
		took := time.Since(began)
		r.sell(rate)
		gap := r.gap(began)
		t.Logf("%s of %s at %d requests a second: %s without a grant, done after %s", change.name, leader.ID, rate,
			gap.Round(time.Millisecond), took.Round(time.Millisecond))
		if gap > gapAtMost {
			t.Errorf("%s: %s without a grant", change.name, gap)
		}
		if next := f.Leader(); next == leader {
			t.Errorf("%s: %s still leads", change.name, next.ID)
		}
	}
	r.close()
	checkRushes(f, r)
}

// TestHandOverToTheSlow: a leader that is to stop while another voter stands still
// for a moment tries again, and leaves nobody without a leader.
func TestHandOverToTheSlow(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	leader := f.Leader()
	slow := f.Others(leader)[0]
	slow.Signal(syscall.SIGSTOP)
	f.Eventually(func() bool {
		return leader.Metric("doorbuster_nodes_unreachable") == "1"
	}, "nobody notices that a voter stands still")
	leader.Signal(syscall.SIGTERM)
	leader.Logs.Await(t, leader.Exit, `"msg":"stopping`)
	slow.Signal(syscall.SIGCONT)
	if status := leader.Wait(); status != 0 {
		t.Errorf("status %d", status)
	}
	leader.Up = false
	if log := leader.Logs.String(); !strings.Contains(log, "handing leadership over") {
		t.Errorf("leadership was not handed over:\n%s", log)
	}
	f.Leader()
}

// TestInvitingThroughAFailover: a change of leader does not make load balancers
// take out the nodes that are left, or nobody would be there to keep shoppers
// until it is over; a node that stays without a leader says so.
func TestInvitingThroughAFailover(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 100))
	leader := f.Leader()
	leader.MustGrant("ann", "k", "day/sku-1")
	ready := func(m *nodetest.Member) bool {
		a, err := m.Request("GET", "http://"+m.Admin+"/readyz", "")
		return err == nil && a.Status == 200
	}
	leader.Kill()
	since, refused := time.Now(), ""
	f.Eventually(func() bool {
		for _, m := range f.Others(nil) {
			if !ready(m) {
				refused = m.ID
			}
		}
		a, err := f.Others(nil)[0].TryGrab("bob", "k", "day/sku-1")
		return err == nil && a.Code == "granted"
	}, "nobody sells")
	if took := time.Since(since); refused != "" && took < 2*time.Second {
		t.Errorf("%s was not ready within %s of failover", refused, took)
	}
	f.Leader().Kill()
	f.Eventually(func() bool { return !ready(f.Others(nil)[0]) }, "a node without a leader invites shoppers for ever")
}

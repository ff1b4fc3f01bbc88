package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// gapAtMost is what a hand-over may take on a machine that does other things,
// too; unhurried, and without the race detector, it should be under 300 ms.
const gapAtMost = 3 * time.Second

// TestHandOver: leadership goes from node to node, and nodes stop, under load: no
// request fails, and what was told is there.
func TestHandOver(t *testing.T) {
	f := newFleet(t, "prefer", rooms3...)
	doors := make([]*door, len(f.nodes))
	for i, m := range f.nodes {
		m.launch(unhurried...)
		doors[i] = doorOf(m)
	}
	for _, m := range f.nodes {
		m.awaitUp()
	}
	f.plan(dayPlan("", 1_000_000))
	f.leader()
	rate := rushRate()
	r := startRush(t, "s", "day/sku-1", rate, doors...)
	for _, change := range []struct {
		name string
		do   func(leader *member)
	}{
		{"transfer", func(leader *member) {
			if status, out, errs := runTool(t, "", "cluster", "transfer", "--from", leader.id, "--admin", leader.admin); status != 0 {
				t.Fatal(out, errs)
			}
		}},
		{"graceful stop", (*member).halt},
	} {
		r.sell(rate)
		leader, began := f.leader(), time.Now()
		change.do(leader)
		took := time.Since(began)
		r.sell(rate)
		gap := r.gap(began)
		t.Logf("%s of %s at %d requests a second: %s without a grant, done after %s", change.name, leader.id, rate, gap.Round(time.Millisecond), took.Round(time.Millisecond))
		if gap > gapAtMost {
			t.Errorf("%s: %s without a grant", change.name, gap)
		}
		if next := f.leader(); next == leader {
			t.Errorf("%s: %s still leads", change.name, next.id)
		}
	}
	r.close()
	checkRushes(f, r)
}

// TestHandOverToTheSlow: a leader that is to stop while another voter stands still
// for a moment tries again, and leaves nobody without a leader.
func TestHandOverToTheSlow(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	leader := f.leader()
	slow := f.others(leader)[0]
	slow.signal(syscall.SIGSTOP)
	f.eventually(func() bool { return leader.metric("doorbuster_nodes_unreachable") == "1" }, "nobody notices that a voter stands still")
	leader.signal(syscall.SIGTERM)
	leader.logs.await(t, leader.exit, `"msg":"stopping`)
	slow.signal(syscall.SIGCONT)
	if status := leader.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
	leader.up = false
	if log := leader.logs.String(); !strings.Contains(log, "handing leadership over") {
		t.Errorf("leadership was not handed over:\n%s", log)
	}
	f.leader()
}

// TestInvitingThroughAFailover: a change of leader does not make load balancers
// take out the nodes that are left, or nobody would be there to keep shoppers
// until it is over; a node that stays without a leader says so.
func TestInvitingThroughAFailover(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 100))
	leader := f.leader()
	leader.mustGrant("ann", "k", "day/sku-1")
	ready := func(m *member) bool {
		a, err := m.request("GET", "http://"+m.admin+"/readyz", "")
		return err == nil && a.Status == 200
	}
	leader.kill()
	since, refused := time.Now(), ""
	f.eventually(func() bool {
		for _, m := range f.others(nil) {
			if !ready(m) {
				refused = m.id
			}
		}
		a, err := f.others(nil)[0].tryGrab("bob", "k", "day/sku-1")
		return err == nil && a.Code == "granted"
	}, "nobody sells")
	if took := time.Since(since); refused != "" && took < 2*time.Second {
		t.Errorf("%s was not ready within %s of failover", refused, took)
	}
	f.leader().kill()
	f.eventually(func() bool { return !ready(f.others(nil)[0]) }, "a node without a leader invites shoppers for ever")
}

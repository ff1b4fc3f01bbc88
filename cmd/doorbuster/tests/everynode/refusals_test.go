package everynode

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestRefusalsAcrossNodes: refused at one node, looked up at another; who can't
// be asked is named, in about a second.
func TestRefusalsAcrossNodes(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 1, 1))
	leader := f.Leader()
	others := f.Others(leader)
	here, there := others[0], others[1]
	here.MustGrant("ann", "k", "day/sku-1")
	here.MustRefuse("limit_reached", "ann", "other", "day/sku-2") // the leader decides, the follower notes
	there.MustRefuse("limit_reached", "ann", "third", "day/sku-2")
	want := map[string]bool{here.ID + " day/sku-2 limit_session": true, there.ID + " day/sku-2 limit_session": true}
	for _, m := range f.Nodes {
		told := m.Refusals("ann")
		if len(told.Refusals) != len(want) || len(told.Nodes) != 3 || !told.Complete || told.Nodes[0].Node != m.ID {
			t.Errorf("%s: %+v", m.ID, told)
		}
		for _, got := range nodetest.Reasons(told) {
			if !want[got] {
				t.Errorf("%s: %s", m.ID, got)
			}
		}
		for _, n := range told.Nodes {
			if since, err := time.Parse(time.RFC3339, n.Since); !n.Answered || err != nil ||
				time.Since(since) > 10*time.Minute {
				t.Errorf("%s says of %+v: %v", m.ID, n, err)
			}
		}
	}
	there.Kill()
	told := here.Refusals("ann")
	if got := nodetest.Reasons(told); len(got) != 1 || got[0] != here.ID+" day/sku-2 limit_session" || told.Complete ||
		!strings.Contains(told.Note, there.ID+" did not answer") {
		t.Errorf("%+v", told)
	}
	for _, n := range told.Nodes {
		if n.Answered != (n.Node != there.ID) || n.Answered != (n.Error == "") || strings.Contains(n.Error, "lead") {
			t.Errorf("%+v", n)
		}
	}
	leader.Signal(syscall.SIGSTOP)
	told = here.Refusals("ann")
	leader.Signal(syscall.SIGCONT)
	for _, n := range told.Nodes {
		if n.Node == leader.ID && (n.Answered || !strings.Contains(n.Error, "no answer within")) {
			t.Errorf("a node that hangs: %+v", n)
		}
	}
	if len(told.Refusals) != 1 {
		t.Errorf("with both others away: %+v", told)
	}
}

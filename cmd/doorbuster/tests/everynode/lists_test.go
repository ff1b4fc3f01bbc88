package everynode

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestListIsWholeThroughALeadersDeath: a list that is on its way while the leader
// dies is there in the end, whole and on every node, and the door goes by it within
// a second.
func TestListIsWholeThroughALeadersDeath(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 10))
	leader, through := f.Leader(), f.Follower()
	const rows = 100_000
	var text strings.Builder
	for i := range rows {
		fmt.Fprintf(&text, "bot-%d\n", i)
	}
	file := nodetest.ListFile(t, "bots.txt", text.String())
	type outcome struct {
		status    int
		out, errs string
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.status, o.out, o.errs = nodetest.Tool(t, "", "lists", "import", "risk/shoppers", file, "--replace", "--admin",
			through.Admin)
		done <- o
	}()
	f.Eventually(func() bool { // some of it is staged
		s, ok := leader.Status()
		for _, n := range s.Nodes {
			if n.ID == leader.ID && n.Last > 12 {
				return ok
			}
		}
		return false
	}, "the import does not begin")
	leader.Kill()
	o := <-done
	if want := fmt.Sprintf("replaced, %d rows; it names %d now", rows, rows); o.status != 0 ||
		!strings.Contains(o.out, want) {
		t.Fatalf("status %d: %s%s", o.status, o.out, o.errs)
	}
	began := time.Now()
	for _, m := range f.Nodes {
		if m.Up {
			m.Lists(fmt.Sprintf("risk/shoppers: %d", rows), "show", "risk/shoppers")
			m.MustRefuse("missed", fmt.Sprintf("bot-%d", rows-1), "", "day/sku-1")
			m.MustGrant("ann-"+m.ID, "", "day/sku-1")
		}
	}
	t.Logf("all doors knew after %s", time.Since(began))
}

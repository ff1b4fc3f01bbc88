package cluster

import (
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestRemoveThroughAnyNode: whichever node is asked to remove another, or itself,
// tells what came of it; and the node that was removed is out of service at once.
func TestRemoveThroughAnyNode(t *testing.T) {
	for _, asked := range []string{"the leader", "another follower", "the node itself"} {
		t.Run(asked, func(t *testing.T) {
			t.Parallel()
			f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
			f.Plan(nodetest.DayPlan("", 100))
			leader := f.Leader()
			rest := f.Others(leader)
			gone, through := rest[0], map[string]*nodetest.Member{"the leader": leader, "another follower": rest[1],
				"the node itself": rest[0]}[asked]
			gone.MustGrant("ann", "k", "day/sku-1")
			status, out, errs := nodetest.Tool(t, "", "cluster", "remove", "--node", gone.ID, "--admin", through.Admin)
			if status != 0 || !strings.Contains(out, gone.ID+" is out of the cluster") {
				t.Errorf("status %d: %s%s", status, out, errs)
			}
			f.Eventually(func() bool {
				a, err := gone.Request("GET", "http://"+gone.Admin+"/readyz", "")
				return err == nil && a.Status == 503 && strings.Contains(a.Body, "removed")
			}, "the node that was removed does not say so")
			for _, path := range []string{"/v1/sessions/day/listings/sku-1", "/v1/grabs/k", "/v1/orders"} {
				if a := gone.Do("GET", gone.HTTP+path, "", "X-Shopper-Id", "ann"); a.Status != 503 ||
					!strings.Contains(a.Body, "removed") {
					t.Errorf("%s: %d %s", path, a.Status, a.Body)
				}
			}
			if a := gone.Grab("bob", "k", "day/sku-1"); a.Status != 503 || !strings.Contains(a.Body, "removed") {
				t.Errorf("a grab: %d %s", a.Status, a.Body)
			}
			rest[1].MustGrant("cid", "k", "day/sku-1")
		})
	}
}

package main

import (
	"strings"
	"testing"
)

// TestRemoveThroughAnyNode: whichever node is asked to remove another, or itself,
// tells what came of it; and the node that was removed is out of service at once.
func TestRemoveThroughAnyNode(t *testing.T) {
	for _, asked := range []string{"the leader", "another follower", "the node itself"} {
		t.Run(asked, func(t *testing.T) {
			t.Parallel()
			f := openFleet(t, "prefer", rooms3...)
			f.plan(dayPlan("", 100))
			leader := f.leader()
			rest := f.others(leader)
			gone, through := rest[0], map[string]*member{"the leader": leader, "another follower": rest[1], "the node itself": rest[0]}[asked]
			gone.mustGrant("ann", "k", "day/sku-1")
			status, out, errs := runTool(t, "", "cluster", "remove", "--node", gone.id, "--admin", through.admin)
			if status != 0 || !strings.Contains(out, gone.id+" is out of the cluster") {
				t.Errorf("status %d: %s%s", status, out, errs)
			}
			f.eventually(func() bool {
				a, err := gone.request("GET", "http://"+gone.admin+"/readyz", "")
				return err == nil && a.Status == 503 && strings.Contains(a.Body, "removed")
			}, "the node that was removed does not say so")
			for _, path := range []string{"/v1/sessions/day/listings/sku-1", "/v1/grabs/k", "/v1/orders"} {
				if a := gone.do("GET", gone.http+path, "", "X-Shopper-Id", "ann"); a.Status != 503 || !strings.Contains(a.Body, "removed") {
					t.Errorf("%s: %d %s", path, a.Status, a.Body)
				}
			}
			if a := gone.grab("bob", "k", "day/sku-1"); a.Status != 503 || !strings.Contains(a.Body, "removed") {
				t.Errorf("a grab: %d %s", a.Status, a.Body)
			}
			rest[1].mustGrant("cid", "k", "day/sku-1")
		})
	}
}

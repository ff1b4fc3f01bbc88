package everynode

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestSwitchesReachEveryNode: what is turned through one node holds on all of
// them a second later at most, and a session's profile comes and goes with it.
func TestSwitchesReachEveryNode(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	through := f.Follower()
	value := func(m *nodetest.Member, name string) string {
		a := m.Ops("GET", "/admin/v1/switches", "")
		var board struct {
			Switches []struct {
				Name  string
				Value json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(a.Body), &board); err != nil || a.Status != 200 {
			return fmt.Sprint(a.Status, " ", err)
		}
		for _, v := range board.Switches {
			if v.Name == name {
				return string(v.Value)
			}
		}
		return "missing"
	}
	f.Plan(nodetest.DayPlan("", 3))
	if a := through.Ops("PATCH", "/admin/v1/switches", `{"switches":{"display_age_ms":7000}}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, m := range f.Nodes {
		if got := value(m, "display_age_ms"); got != "7000" {
			t.Errorf("%s says %s", m.ID, got)
		}
		// Nobody may look at a node before it goes by the new value: a look waits.
		if a := m.Do("GET", m.HTTP+"/v1/sessions", ""); a.Header.Get("Cache-Control") != "public, max-age=7" {
			t.Errorf("%s: Cache-Control %q", m.ID, a.Header.Get("Cache-Control"))
		}
	}
	if a := through.Ops("PUT", "/admin/v1/profiles/rush", `{"switches":{"display_age_ms":2000}}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	f.Plan(`
products: [{id: sku-9, list_price: 100, currency: CNY}]
sales:
  - id: evening
    sessions:
      - {id: night, start: "+300ms", duration: 10m, profile: rush, listings: [{sku: sku-9, price: 100, stock: 1}]}
`)
	everywhere := func(want string) {
		t.Helper()
		first := time.Time{}
		for _, m := range f.Nodes {
			f.Eventually(func() bool { return value(m, "display_age_ms") == want }, m.ID+" does not go by "+want)
			if first.IsZero() {
				first = time.Now()
			}
		}
		if late := time.Since(first); late > time.Second {
			t.Logf("the last node came %s after the first", late) // the machine may be busy
		}
	}
	everywhere("2000")
	if a := through.Ops("POST", "/admin/v1/sessions/night/end", ""); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	everywhere("7000")
}

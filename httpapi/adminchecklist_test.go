package httpapi

import (
	"encoding/json"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// checksOf gives the checklist of a session as states by name and about.
func checksOf(t *testing.T, s *AdminServer, session string) (string, map[string]wire.Check) {
	t.Helper()
	w := askAdmin(s, "GET", "/admin/v1/sessions/"+session+"/checklist", "")
	var c wire.Checklist
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	by := map[string]wire.Check{}
	for _, x := range c.Checks {
		by[x.Name+" "+x.About] = x
		if (x.State == wire.CheckOK) != (x.Do == "") || x.Says == "" {
			t.Errorf("%+v", x)
		}
	}
	return c.State, by
}

func TestChecklist(t *testing.T) {
	is := func(name string, by map[string]wire.Check, want map[string]string) {
		t.Helper()
		for check, state := range want {
			if by[check].State != state {
				t.Errorf("%s: %q is %+v, not %s; of %v", name, check, by[check], state, by)
			}
		}
	}
	cluster := func(change func(*wire.Cluster)) func(*AdminConfig) {
		return func(c *AdminConfig) {
			status := wire.Cluster{Leader: "a1", Nodes: []wire.Node{
				{ID: "a1", Zone: "a", Kind: wire.KindVoter, Reachable: true},
				{ID: "a2", Zone: "a", Kind: wire.KindVoter, Reachable: true},
				{ID: "b1", Zone: "b", Kind: wire.KindVoter, Reachable: true}}}
			change(&status)
			c.Cluster = &fakeCluster{status: &status}
		}
	}
	state, by := checksOf(t, newTestAdmin(t, &fakeOperator{}, cluster(func(*wire.Cluster) {})), "fans-day-10")
	is("as it should be", by, map[string]string{"session ": "ok", "lists ": "ok", "keys ": "ok", "cashier ": "ok",
		"clocks ": "ok", "quorum ": "ok", "zones ": "ok", "alarms ": "ok", "words the message missed": "warn"})
	if state != wire.CheckWarn {
		t.Errorf("it is %s", state)
	}
	s := newTestAdmin(t, &fakeOperator{}, cluster(func(c *wire.Cluster) {
		c.Nodes[2].Reachable, c.Nodes[1].ClockOffsetMS = false, -150
		c.Alarms = []engine.Alarm{{Name: engine.AlarmCashierFails, Detail: "It hangs."},
			{Name: engine.AlarmDisk, Node: "a1", Detail: "It is full."}}
	}), func(c *AdminConfig) {
		c.Lacks = []Lack{{Setting: "pay_keys", Means: "gives no pay_token", Bad: true},
			{Setting: "cashier_url", Means: "asks no cashier"},
			{Setting: "reconcile.folder, reconcile.url", Means: "compares nothing"},
			{Setting: "http", Means: "is plain", Do: "Hide it."}}
	})
	state, by = checksOf(t, s, "fans-day-10")
	is("in trouble", by, map[string]string{"zones b": "bad", "clocks a2": "warn", "keys pay_keys": "bad",
		"cashier cashier_url": "warn", "cashier reconcile.folder, reconcile.url": "warn", "settings http": "warn"})
	if state != wire.CheckBad || by["cashier "].Says != "It hangs." || by["alarms disk_nearly_full"].Says == "" {
		t.Errorf("it is %s: %v", state, by)
	}
	if by["settings http"].Do != "Hide it." || by["cashier cashier_url"].Do != "Set it in the node's configuration." {
		t.Errorf("what to do: %v", by)
	}
	_, by = checksOf(t, newTestAdmin(t, &fakeOperator{}), "nowhere")
	is("without listings, alone", by, map[string]string{"stock ": "bad", "zones ": "warn"})
	wantAdminProblem(t, askAdmin(newTestAdmin(t, &fakeOperator{}), "GET", "/admin/v1/sessions/none/checklist", ""),
		404, "not-found")
	wantAdminProblem(t, askAdmin(newTestAdmin(t, &fakeOperator{}), "GET",
		"/admin/v1/sessions/nowhere/checklist?x=1", ""), 400, "malformed")
}

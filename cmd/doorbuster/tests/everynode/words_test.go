package everynode

import (
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestOwnWordsOnEveryNode: a cluster that has only just begun takes a plan with own
// words; every node speaks them, follows a change at any of them, and keeps them
// over a restart.
func TestOwnWordsOnEveryNode(t *testing.T) {
	t.Parallel()
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(strings.Replace(nodetest.Masks(1), "    sessions:\n",
		"    messages: {sold_out: {en: \"None left for now, sorry.\"}}\n    sessions:\n", 1))
	leader := f.Leader()
	leader.MustGrant("alice", "a", nodetest.Mask)
	speaks := func(m *nodetest.Member, want string) {
		t.Helper()
		m.Eventually(func() bool {
			a := m.Grab("bob", "", nodetest.Mask)
			return a.Code == "sold_out" && strings.Contains(a.Body, `"message":"`+want+`"`)
		}, func() string { return m.ID + " does not say " + want + ": " + m.Grab("bob", "", nodetest.Mask).Body })
	}
	for _, m := range f.Nodes {
		speaks(m, "None left for now, sorry.")
	}
	follower := f.Follower()
	const change = `{"path":"sales[sale].messages.sold_out.en","before":"None left for now, sorry.",` +
		`"after":"Try \"again\" later."}`
	a := follower.Ops("PUT", "/admin/v1/messages/sale/sold_out", `{"text":{"en":"Try \"again\" later."}}`)
	if a.Status != 200 || !strings.Contains(a.Body, change) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, m := range f.Nodes {
		speaks(m, `Try \"again\" later.`)
	}
	if a := follower.Ops("PUT", "/admin/v1/messages/sale/sold_out", `{"text":{"en":"At {start}."}}`); a.Status != 422 ||
		!strings.Contains(a.Body, "{start} is no placeholder of sold_out") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if c := leader.Counts(nodetest.Mask); c.Held != 1 {
		t.Errorf("the sale's session changed with its words: %+v", c)
	}
	follower.Halt()
	follower.Relaunch()
	follower.AwaitUp()
	speaks(follower, `Try \"again\" later.`)
	if a := leader.Ops("DELETE", "/admin/v1/messages/sale/sold_out", ""); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, m := range f.Nodes {
		speaks(m, "All taken for now.")
	}
}

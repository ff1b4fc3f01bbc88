package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestEveryRuleIsApplied: the example with every rule, to a node that has only just
// begun; what it asks for is told beforehand, and again it changes nothing.
func TestEveryRuleIsApplied(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	const file = "../../examples/every-rule.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, define := range [][]string{{"switches", "define", "rush", "rate_limits=50"}, {"lists", "add", "allowlists/vips", "ann"}} {
		if status, _, errs := runTool(t, "", append(define, "--admin", s.admin)...); status != 0 {
			t.Fatal(errs)
		}
	}
	status, dry, errs := runTool(t, "", "apply", "-f", file, "--admin", s.admin, "--dry-run")
	if status != 0 || errs != "" {
		t.Fatalf("status %d: %s", status, errs)
	}
	times := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+08:00 \([^)]*\)`)
	plain := func(said string) string { return times.ReplaceAllString(said, "TIME") } // from now, which moves
	dry = plain(dry)
	const session = "+ sales[spirits].sessions[spirits-evening]"
	for _, want := range []string{
		"+ sales[spirits].messages.missed.zh: 这次没抢到，周五再来！\n",
		session + ": new, opens TIME, ends TIME, profile rush\n",
		session + ".listings[rice-spirit-500]: 500 units at 149900, limit_per_month 2, reservation, waitlist, set_aside 2m0s, ticket, challenge work, draw 3s\n",
		session + ".listings[rice-spirit-zodiac]: 50 units at 249900, limit_per_month 2, reservation, allow_list vips, waitlist, set_aside 5m0s, ticket, challenge image, draw 1m0s\n",
		session + ".listings[glasses-6]: 1000 units at 4900, ticket\n",
		"dry run: nothing was changed\n",
	} {
		if !strings.Contains(dry, want) {
			t.Errorf("%q is not in\n%s", want, dry)
		}
	}
	if got := plain(s.apply(string(text))); got != strings.Replace(dry, "; dry run: nothing was changed", "", 1) {
		t.Errorf("the dry run said\n%sand it was\n%s", dry, got)
	}
	if again := s.apply(string(text)); again != "nothing to change\n" {
		t.Error(again)
	}
	changed := strings.NewReplacer("limit_per_month: 2 ", "limit_per_month: 3 ", "profile: rush", "profile: calm", "allow_list: vips ", `allow_list: "" `,
		"draw: 3s", "draw: 5s", `, zh: "这次没抢到，周五再来！"`, "").Replace(string(text))
	out := s.apply(changed)
	for _, want := range []string{
		"- sales[spirits].messages.missed.zh: 这次没抢到，周五再来！\n",
		"~ sales[spirits].sessions[spirits-evening].profile: rush → calm\n",
		"~ sales[spirits].sessions[spirits-evening].listings[rice-spirit-500].limit_per_month: 2 → 3\n",
		"~ sales[spirits].sessions[spirits-evening].listings[rice-spirit-500].draw: 3s → 5s\n",
		"- sales[spirits].sessions[spirits-evening].listings[rice-spirit-zodiac].allow_list: vips\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// TestOwnWordsOnEveryNode: a cluster that has only just begun takes a plan with own
// words; every node speaks them, follows a change at any of them, and keeps them
// over a restart.
func TestOwnWordsOnEveryNode(t *testing.T) {
	t.Parallel()
	f := openFleet(t, "prefer", rooms3...)
	f.plan(strings.Replace(masks(1), "    sessions:\n", "    messages: {sold_out: {en: \"None left for now, sorry.\"}}\n    sessions:\n", 1))
	leader := f.leader()
	leader.mustGrant("alice", "a", mask)
	speaks := func(m *member, want string) {
		t.Helper()
		m.eventually(func() bool {
			a := m.grab("bob", "", mask)
			return a.Code == "sold_out" && strings.Contains(a.Body, `"message":"`+want+`"`)
		}, func() string { return m.id + " does not say " + want + ": " + m.grab("bob", "", mask).Body })
	}
	for _, m := range f.nodes {
		speaks(m, "None left for now, sorry.")
	}
	follower := f.follower()
	if a := follower.ops("PUT", "/admin/v1/messages/sale/sold_out", `{"text":{"en":"Try \"again\" later."}}`); a.Status != 200 ||
		!strings.Contains(a.Body, `{"path":"sales[sale].messages.sold_out.en","before":"None left for now, sorry.","after":"Try \"again\" later."}`) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, m := range f.nodes {
		speaks(m, `Try \"again\" later.`)
	}
	if a := follower.ops("PUT", "/admin/v1/messages/sale/sold_out", `{"text":{"en":"At {start}."}}`); a.Status != 422 || !strings.Contains(a.Body, "{start} is no placeholder of sold_out") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if c := leader.counts(mask); c.Held != 1 {
		t.Errorf("the sale's session changed with its words: %+v", c)
	}
	follower.halt()
	follower.relaunch()
	follower.awaitUp()
	speaks(follower, `Try \"again\" later.`)
	if a := leader.ops("DELETE", "/admin/v1/messages/sale/sold_out", ""); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, m := range f.nodes {
		speaks(m, "All taken for now.")
	}
}

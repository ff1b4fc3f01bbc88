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
	for _, define := range [][]string{{"switches", "define", "rush", "rate_limits=50"},
		{"lists", "add", "allowlists/vips", "ann"}} {
		if status, _, errs := runTool(t, "", append(define, "--admin", s.Admin)...); status != 0 {
			t.Fatal(errs)
		}
	}
	status, dry, errs := runTool(t, "", "apply", "-f", file, "--admin", s.Admin, "--dry-run")
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
		session + ".listings[rice-spirit-500]: 500 units at 149900, limit_per_month 2, reservation, waitlist, " +
			"set_aside 2m0s, ticket, challenge work, draw 3s, delivery ship\n",
		session + ".listings[rice-spirit-zodiac]: 50 units at 249900, limit_per_month 2, reservation, allow_list " +
			"vips, waitlist, set_aside 5m0s, ticket, challenge image, draw 1m0s, delivery ship\n",
		session + ".listings[glasses-6]: 1000 units at 4900, ticket, delivery collect\n",
		"dry run: nothing was changed\n",
	} {
		if !strings.Contains(dry, want) {
			t.Errorf("%q is not in\n%s", want, dry)
		}
	}
	if got := plain(s.Apply(string(text))); got != strings.Replace(dry, "; dry run: nothing was changed", "", 1) {
		t.Errorf("the dry run said\n%sand it was\n%s", dry, got)
	}
	if again := s.Apply(string(text)); again != "nothing to change\n" {
		t.Error(again)
	}
	changed := strings.NewReplacer("limit_per_month: 2 ", "limit_per_month: 3 ", "profile: rush", "profile: calm",
		"allow_list: vips ", `allow_list: "" `,
		"draw: 3s", "draw: 5s", `, zh: "这次没抢到，周五再来！"`, "").Replace(string(text))
	out := s.Apply(changed)
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

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestPlanExportedAndAppliedAgain: what 'plan export' writes changes nothing where it comes
// from, and makes the same of another shop.
func TestPlanExportedAndAppliedAgain(t *testing.T) {
	s, other := openShop(t, t.TempDir()), openShop(t, t.TempDir())
	for _, file := range []string{"fans-day.yaml", "every-rule.yaml"} {
		s.MustRun("apply", "-f", "../../examples/"+file, "--admin", s.Admin)
	}
	s.Apply(`
products: [{id: tea, currency: CNY}, {id: later, currency: CNY}]
sales:
  - id: plays
    sessions:
      - id: games
        start: now
        listings:
          - {sku: tea, price: 4900, stock: 100, play: {kind: bargain, floor: 100, helpers: 12}}
          - {sku: mask-50, price: 4900, stock: 100, play: {kind: group-price, first_price: 4400, second_price: 3900}}
          - {sku: glasses-6, price: 4900, stock: 9, play: {kind: falling-price, floor: 2900, by: 100}}
          - {sku: rice-spirit-500, price: 4900, stock: 9, play: {kind: daily-first}}
`)
	s.Ops("POST", "/admin/v1/sessions/games/skus/tea/stock", `{"units":20}`)
	file := filepath.Join(t.TempDir(), "plan.yaml")
	s.MustRun("plan", "export", "--all-products", "--out", file, "--admin", s.Admin)
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "stock: 100 # operators have made it 120") ||
		strings.Contains(string(text), "It can't") || !strings.Contains(string(text), "id: later") {
		t.Errorf("%v\n%s", err, text)
	}
	for _, dry := range []string{"--dry-run", "--json"} { // the second applies it
		status, out, errs := runTool(t, "", "apply", "-f", file, "--admin", s.Admin, dry)
		if status != 0 || !strings.Contains(out, "nothing to change") && !strings.Contains(out, `"changes": []`) {
			t.Errorf("apply %s: %d %s%s", dry, status, out, errs)
		}
	}
	other.MustRun("apply", "-f", file, "--admin", other.Admin)
	of := func(x *nodetest.Shop) string {
		out := x.MustRun("plan", "export", "--all-products", "--admin", x.Admin)
		var lines []string
		for _, l := range strings.Split(out, "\n") {
			l, _, _ = strings.Cut(l, " #")
			lines = append(lines, strings.TrimPrefix(l, "# The plan"))
		}
		return strings.Join(lines[1:], "\n")
	}
	if a, b := of(s), of(other); a != b {
		t.Errorf("of the other shop\n%s\nnot\n%s", b, a)
	}
	one := s.MustRun("plan", "export", "--sale", "plays", "--admin", s.Admin)
	if strings.Contains(one, "id: spirits") || !strings.Contains(one, "kind: group-price") {
		t.Errorf("one sale:\n%s", one)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no such sale":  {[]string{"--sale", "none"}, 1, "No sale has this id"},
		"no id":         {[]string{"--sale", "../x"}, 2, "no id of a sale"},
		"as JSON":       {[]string{"--json"}, 2, "exported as YAML"},
		"over the file": {[]string{"--out", file}, 1, "is there already"},
	} {
		status, out, errs := runTool(t, "", append([]string{"plan", "export", "--admin", s.Admin}, c.args...)...)
		if status != c.status || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("%s: %d %q %q", name, status, out, errs)
		}
	}
}

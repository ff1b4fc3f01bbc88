package main

import (
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestSessionChecked: what is wrong with a session is said before it opens, and what was put
// right is said no more.
func TestSessionChecked(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(5) + "      - id: later\n        start: \"+1h\"\n        publish: false\n" +
		"        listings:\n          - {sku: mask, price: 100, stock: 0, allow_list: vips}\n")
	check := func(session string, status int, says ...string) string {
		t.Helper()
		is, out, errs := runTool(t, "", "sessions", "check", session, "--admin", s.Admin)
		for _, want := range says {
			if is != status || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
				t.Errorf("%s: %d, lacks %q:\n%s%s", session, is, want, out, errs)
			}
		}
		return out
	}
	check("later", 3, "bad session It is a draft", "bad stock mask No stock is put up",
		"bad lists listings[mask].allow_list",
		"warn zones This node is alone", "ok quorum", "ok clocks")
	s.MustRun("lists", "add", "allowlists/vips", "ann", "--admin", s.Admin)
	s.Ops("POST", "/admin/v1/sessions/later/publish", "")
	s.Ops("POST", "/admin/v1/sessions/later/skus/mask/stock", `{"units":4}`)
	out := check("later", 0, "ok session It is published", "ok stock mask 4 of 4 units are free", "ok lists")
	if strings.Contains(out, "bad ") {
		t.Error(out)
	}
	check("day", 0, "ok session It is open")
	check("none", 1)
}

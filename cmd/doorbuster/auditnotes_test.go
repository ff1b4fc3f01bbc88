package main

import (
	"encoding/json"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestAuditSaysWhoAndWhatWasBefore does each thing that an operator can do, and finds
// in the trail whom or what it was done to, how it was before, and how it is.
func TestAuditSaysWhoAndWhatWasBefore(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(5))
	held := s.MustGrant("ann", "", nodetest.Mask)
	for _, x := range []struct {
		name, kind, detail string
		does               func()
	}{
		{"put on", "roster_edited", "risk_shopper, put: bot-1 none to block, bot-2 none to block",
			func() { s.Lists("", "add", "risk/shoppers", "bot-1", "bot-2") }},
		{"another level", "roster_edited", "risk_shopper, put: bot-1 block to watch",
			func() { s.Lists("", "add", "risk/shoppers", "bot-1", "--level", "watch") }},
		{"taken off", "roster_edited", "risk_shopper, put: bot-1 watch to none",
			func() { s.Lists("", "remove", "risk/shoppers", "bot-1") }},
		{"allowed", "roster_edited", "allowed vips, put: ann not listed to listed",
			func() { s.Lists("", "add", "allowlists/vips", "ann") }},
		{"replaced", "roster_edited", "risk_shopper, commit: 3 rows in place of 1, sha256 ea7fb08b7a2dc4", func() {
			s.Lists("", "import", "risk/shoppers", nodetest.ListFile(t, "bots.txt", "a", "b", "c"), "--replace")
		}},
		{"forgotten", "roster_edited", "allowed vips, drop: 1 rows",
			func() { s.Lists("", "forget", "allowlists/vips") }},
		{"profile", "profile_set", "define rush tickets=off; before: nothing",
			func() { s.Ops("PUT", "/admin/v1/profiles/rush", `{"switches":{"tickets":"off"}}`) }},
		{"profile again", "profile_set", "define rush tickets=always; before: tickets=off",
			func() { s.Ops("PUT", "/admin/v1/profiles/rush", `{"switches":{"tickets":"always"}}`) }},
		{"profile gone", "profile_set", "forget rush; before: tickets=always",
			func() { s.Ops("DELETE", "/admin/v1/profiles/rush", `{}`) }},
		{"switch", "switches_set", "set tickets=off; before: tickets=planned",
			func() { s.Ops("PATCH", "/admin/v1/switches", `{"switches":{"tickets":"off"}}`) }},
		{"switches back", "switches_set", "back tickets=planned; before: tickets=off",
			func() { s.Ops("POST", "/admin/v1/switches/back", `{}`) }},
		{"plan", "plan_applied", "products[tea]: new",
			func() { s.Apply("products: [{id: tea, currency: CNY, list_price: 900}]\n") }},
		{"plan again", "plan_applied", "products[tea].image: not given to https://shop.test/tea.png", func() {
			s.Apply("products: [{id: tea, currency: CNY, list_price: 900, image: 'https://shop.test/tea.png'}]\n")
		}},
		{"pause", "session_paused", "pause; before: open",
			func() { s.Ops("POST", "/admin/v1/sessions/day/pause", `{}`) }},
		{"resume", "session_resumed", "resume; before: paused",
			func() { s.Ops("POST", "/admin/v1/sessions/day/resume", `{}`) }},
		{"stock", "stock_added", "stock 5 to 7",
			func() { s.Ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":2}`) }},
		{"void", "hold_released", "before: held",
			func() { s.Ops("POST", "/admin/v1/orders/"+held.OrderNo+"/void", `{}`) }},
		{"end", "session_ended", "end; before: open", func() { s.Ops("POST", "/admin/v1/sessions/day/end", `{}`) }},
	} {
		x.does()
		var newest struct{ Kind, Detail, Operator string }
		find := func() bool {
			var page struct {
				Events []struct{ Kind, Detail, Operator string }
			}
			a := s.Ops("GET", "/admin/v1/audit?limit=1000", "")
			if err := json.Unmarshal([]byte(a.Body), &page); err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				if e.Kind == x.kind {
					newest = e
				}
			}
			return newest.Kind == x.kind && strings.HasPrefix(newest.Detail, x.detail)
		}
		s.Eventually(find,
			func() string { return x.name + ": " + newest.Kind + ": " + newest.Detail + "; want " + x.detail })
		if newest.Operator == "" {
			t.Errorf("%s: by nobody", x.name)
		}
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/httpapi/wire"
)

// TestSwitchesThroughTheProgram turns switches as an operator does.
func TestSwitchesThroughTheProgram(t *testing.T) {
	s := openShop(t, t.TempDir())
	does := func(want string, args ...string) string {
		t.Helper()
		status, out, errs := runTool(t, "", append(append([]string{"switches"}, args...), "--admin", s.admin)...)
		if status != 0 || !strings.Contains(out, want) {
			t.Fatalf("switches %v: status %d: %s%s; want %q", args, status, out, errs, want)
		}
		return out
	}
	does("Done. Not as it normally is: rate_limits=50 tickets=always", "set", "rate_limits=50", "tickets=always", "--note", "bots")
	does("Done.", "define", "rush", "challenge=work", "waiting_depth=1000000")
	does("waiting_depth=1000000 rate_limits=50 tickets=always challenge=work (profile rush)", "profile", "rush")
	listed := does("rush: challenge=work waiting_depth=1000000", "list")
	for _, part := range []string{"* tickets", "off, planned, always", "0 to 1048576", "Active profile: rush", "dev: profile rush; waiting_depth 0 → 1000000, challenge planned → work",
		"dev: set; rate_limits 100 → 50, tickets planned → always (bots)"} {
		if !strings.Contains(listed, part) {
			t.Errorf("the list lacks %q:\n%s", part, listed)
		}
	}
	does("rate_limits=50 tickets=always\n", "back")
	does("Everything is as it normally is.", "normal")
	does("Done.", "forget", "rush")
	var board wire.Switchboard
	if err := json.Unmarshal([]byte(does("", "--json")), &board); err != nil || len(board.Profiles) != 0 || len(board.History) != 4 {
		t.Errorf("%+v, %v", board, err)
	}
	if !strings.Contains(s.logs.String(), `"msg":"switches changed"`) {
		t.Error("the node's log does not tell of the changes")
	}
}

func TestBadSwitchesThroughTheProgram(t *testing.T) {
	s := openShop(t, t.TempDir())
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"unknown switch": {[]string{"set", "turbo=on", "--admin", s.admin}, 2, `no switch "turbo"`},
		"bad value":      {[]string{"set", "tickets=maybe", "--admin", s.admin}, 1, "off, planned, always"},
		"no value":       {[]string{"set", "tickets", "--admin", s.admin}, 2, "rate_limits=50"},
		"nothing":        {[]string{"set", "--admin", s.admin}, 2, "name switches"},
		"twice":          {[]string{"set", "tickets=off", "tickets=always", "--admin", s.admin}, 2, "given twice"},
		"no profile":     {[]string{"profile", "calm", "--admin", s.admin}, 1, "/admin/v1/profiles"},
		"forget nothing": {[]string{"forget", "calm", "--admin", s.admin}, 1, "/admin/v1/profiles"},
		"bad name":       {[]string{"profile", "../orders", "--admin", s.admin}, 2, "no profile's name"},
		"no such":        {[]string{"toggle", "--admin", s.admin}, 2, "toggle"},
		"no node":        {[]string{"list"}, 2, "--admin"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := runTool(t, "", append([]string{"switches"}, c.args...)...)
			if status != c.status || !strings.Contains(errs, c.says) || out != "" {
				t.Errorf("status %d, %q, %q; want %d and %q", status, out, errs, c.status, c.says)
			}
		})
	}
	if _, out, _ := runTool(t, "", "switches", "--admin", s.admin); strings.Contains(out, "Last changes") {
		t.Errorf("something was changed:\n%s", out)
	}
}

// TestSwitchesReachEveryNode: what is turned through one node holds on all of
// them a second later at most, and a session's profile comes and goes with it.
func TestSwitchesReachEveryNode(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	through := f.follower()
	value := func(m *member, name string) string {
		a := m.ops("GET", "/admin/v1/switches", "")
		var board wire.Switchboard
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
	f.plan(dayPlan("", 3))
	if a := through.ops("PATCH", "/admin/v1/switches", `{"switches":{"display_age_ms":7000}}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, m := range f.nodes {
		if got := value(m, "display_age_ms"); got != "7000" {
			t.Errorf("%s says %s", m.id, got)
		}
		// Nobody may look at a node before it goes by the new value: a look waits.
		if a := m.do("GET", m.http+"/v1/sessions", ""); a.Header.Get("Cache-Control") != "public, max-age=7" {
			t.Errorf("%s: Cache-Control %q", m.id, a.Header.Get("Cache-Control"))
		}
	}
	if a := through.ops("PUT", "/admin/v1/profiles/rush", `{"switches":{"display_age_ms":2000}}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	f.plan(`
products: [{id: sku-9, list_price: 100, currency: CNY}]
sales:
  - id: evening
    sessions:
      - {id: night, start: "+300ms", duration: 10m, profile: rush, listings: [{sku: sku-9, price: 100, stock: 1}]}
`)
	everywhere := func(want string) {
		t.Helper()
		first := time.Time{}
		for _, m := range f.nodes {
			f.eventually(func() bool { return value(m, "display_age_ms") == want }, m.id+" does not go by "+want)
			if first.IsZero() {
				first = time.Now()
			}
		}
		if late := time.Since(first); late > time.Second {
			t.Logf("the last node came %s after the first", late) // the machine may be busy
		}
	}
	everywhere("2000")
	if a := through.ops("POST", "/admin/v1/sessions/night/end", ""); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	everywhere("7000")
}

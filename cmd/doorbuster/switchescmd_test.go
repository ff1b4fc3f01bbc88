package main

import (
	"encoding/json"
	"strings"
	"testing"

	"doorbuster/httpapi/wire"
)

// TestSwitchesThroughTheProgram turns switches as an operator does.
func TestSwitchesThroughTheProgram(t *testing.T) {
	s := openShop(t, t.TempDir())
	does := func(want string, args ...string) string {
		t.Helper()
		status, out, errs := runTool(t, "", append(append([]string{"switches"}, args...), "--admin", s.Admin)...)
		if status != 0 || !strings.Contains(out, want) {
			t.Fatalf("switches %v: status %d: %s%s; want %q", args, status, out, errs, want)
		}
		return out
	}
	does("Done. Not as it normally is: rate_limits=50 tickets=always", "set", "rate_limits=50", "tickets=always",
		"--note", "bots")
	does("Done.", "define", "rush", "challenge=work", "waiting_depth=1000000")
	does("waiting_depth=1000000 rate_limits=50 tickets=always challenge=work (profile rush)", "profile", "rush")
	listed := does("rush: challenge=work waiting_depth=1000000", "list")
	for _, part := range []string{"* tickets", "off, planned, always", "0 to 1048576", "Active profile: rush",
		"dev: profile rush; waiting_depth 0 → 1000000, challenge planned → work",
		"dev: set; rate_limits 100 → 50, tickets planned → always (bots)"} {
		if !strings.Contains(listed, part) {
			t.Errorf("the list lacks %q:\n%s", part, listed)
		}
	}
	does("rate_limits=50 tickets=always\n", "back")
	does("Everything is as it normally is.", "normal")
	does("Done.", "forget", "rush")
	var board wire.Switchboard
	if err := json.Unmarshal([]byte(does("", "--json")), &board); err != nil || len(board.Profiles) != 0 ||
		len(board.History) != 4 {
		t.Errorf("%+v, %v", board, err)
	}
	if !strings.Contains(s.Logs.String(), `"msg":"switches changed"`) {
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
		"unknown switch": {[]string{"set", "turbo=on", "--admin", s.Admin}, 2, `no switch "turbo"`},
		"bad value":      {[]string{"set", "tickets=maybe", "--admin", s.Admin}, 1, "off, planned, always"},
		"no value":       {[]string{"set", "tickets", "--admin", s.Admin}, 2, "rate_limits=50"},
		"nothing":        {[]string{"set", "--admin", s.Admin}, 2, "name switches"},
		"twice":          {[]string{"set", "tickets=off", "tickets=always", "--admin", s.Admin}, 2, "given twice"},
		"no profile":     {[]string{"profile", "calm", "--admin", s.Admin}, 1, "/admin/v1/profiles"},
		"forget nothing": {[]string{"forget", "calm", "--admin", s.Admin}, 1, "/admin/v1/profiles"},
		"bad name":       {[]string{"profile", "../orders", "--admin", s.Admin}, 2, "no profile's name"},
		"no such":        {[]string{"toggle", "--admin", s.Admin}, 2, "toggle"},
		"no node":        {[]string{"list"}, 2, "--admin"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := runTool(t, "", append([]string{"switches"}, c.args...)...)
			if status != c.status || !strings.Contains(errs, c.says) || out != "" {
				t.Errorf("status %d, %q, %q; want %d and %q", status, out, errs, c.status, c.says)
			}
		})
	}
	if _, out, _ := runTool(t, "", "switches", "--admin", s.Admin); strings.Contains(out, "Last changes") {
		t.Errorf("something was changed:\n%s", out)
	}
}

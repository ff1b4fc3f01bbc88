package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestListsThroughTheProgram imports, shows, changes and exports lists as an
// operator does, and the door goes by them.
func TestListsThroughTheProgram(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(5))
	s.Lists("risk/shoppers: replaced, 2 rows, 1 lines said the same as one before; it names 2 now", "import",
		"risk/shoppers", nodetest.ListFile(t, "bots.csv", "id,level", "bot-1,block", "bot-2,watch", "bot-1,block"),
		"--replace")
	s.MustRefuse("missed", "bot-1", "", nodetest.Mask)
	s.MustGrant("bot-2", "", nodetest.Mask)
	s.Lists("1 rows added or changed; it names 3 now", "add", "risk/shoppers", "bot-3", "--level", "challenge",
		"--note", "seen")
	s.Lists("block", "show", "risk/shoppers", "bot-1")
	s.Lists("risk/shoppers: 3", "show", "risk/shoppers")
	s.Lists("0 rows added or changed, 1 removed; it names 2 now", "remove", "risk/shoppers", "bot-1")
	s.MustGrant("bot-1", "", nodetest.Mask)
	s.Lists("it names 2 now", "add", "risk/phones", "+86 138-0013-8000", "+8613800138001")
	s.Lists("it names 1 now", "add", "risk/ips", "203.0.113.0/24")
	s.Lists("203.0.113.0/24", "show", "risk/ips", "203.0.113.7")
	s.Lists("it names 2 now", "import", "allowlists/vips", nodetest.ListFile(t, "vips.txt", "ann", "bob"))
	if out := s.Lists("allowlists/vips", "show"); !strings.Contains(out, "risk/phones") {
		t.Errorf("%s", out)
	}
	file := filepath.Join(t.TempDir(), "all.csv")
	s.Lists("", "export", "risk/shoppers", "--out", file)
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "id,level,since\nbot-2,watch,") ||
		!strings.Contains(string(text), "\nbot-3,challenge,") {
		t.Fatalf("%s, %v", text, err)
	}
	s.Lists("nothing changed, 2 rows were so already; it names 2 now", "import", "risk/shoppers", file, "--replace")
	s.Lists(`"id":"bot-2","level":"watch"`, "export", "risk/shoppers", "--format", "ndjson")
	s.Lists("names 0 now", "import", "risk/shoppers", nodetest.ListFile(t, "none.txt"), "--replace", "--empty")
	s.Lists("forgotten", "forget", "allowlists/vips")
	if !strings.Contains(s.Logs.String(), `"msg":"list imported"`) {
		t.Error("the node's log does not tell of the imports")
	}
}

// TestListsCountWhatChanges: rows that the list has so already are told apart from those
// that changed it, the trail has none of them, and asking again comes to the same.
func TestListsCountWhatChanges(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Lists("2 rows added or changed; it names 2 now", "add", "risk/shoppers", "bot-1", "bot-2")
	s.Lists("1 rows added or changed, 1 rows were so already; it names 3 now", "add", "risk/shoppers", "bot-2", "bot-3")
	s.Lists("0 rows added or changed, 1 removed, 1 rows were so already; it names 2 now", "remove", "risk/shoppers",
		"bot-3", "nobody")
	const same = "risk/shoppers: nothing changed, %d rows were so already; it names 2 now"
	s.Lists(fmt.Sprintf(same, 1), "add", "risk/shoppers", "bot-1")
	s.Lists(fmt.Sprintf(same, 1), "remove", "risk/shoppers", "nobody")
	s.Lists(fmt.Sprintf(same, 2), "import", "risk/shoppers", nodetest.ListFile(t, "bots.txt", "bot-2", "bot-1"),
		"--replace")
	patch := opsCall{"PATCH", "/admin/v1/risk/shoppers", "bot-1\nnobody,none\n", "text/plain"}
	for range 2 {
		if a := asOperator(s, patch, "same"); a.Status != 200 ||
			!strings.Contains(a.Body, `"rows":0,"removed":0,"unchanged":2,"repeated":0,"count":2`) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	s.Lists("1 rows added or changed; it names 3 now", "add", "risk/shoppers", "last-1")
	var trail nodetest.Reply
	s.Eventually(func() bool {
		trail = s.Ops("GET", "/admin/v1/audit?limit=1000", "")
		return strings.Contains(trail.Body, "last-1 none to block")
	}, func() string { return trail.Body })
	if edits := strings.Count(trail.Body, `"roster_edited"`); edits != 4 {
		t.Errorf("%d edits of which 4 changed something: %s", edits, trail.Body)
	}
}

func TestReservationsThroughTheProgram(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(`
products: [{id: mask, list_price: 100, currency: CNY}]
sales:
  - id: sale
    sessions:
      - {id: day, start: "+1h", duration: 1h, listings: [{sku: mask, price: 100, stock: 1, reservation: true}]}
      - {id: now, start: now, duration: 1h, listings: [{sku: mask, price: 100, stock: 1, reservation: true}]}
`)
	file := nodetest.ListFile(t, "reserved.txt", "ann", "bob")
	status, out, errs := runTool(t, "", "reservations", "import", "day/mask", file, "--admin", s.Admin)
	if status != 0 || !strings.Contains(out, "reservations of day/mask: 2 rows added or changed; it names 2 now") {
		t.Fatalf("status %d: %s%s", status, out, errs)
	}
	if a := s.Ops("GET", "/admin/v1/sessions/day/skus/mask/reservations", ""); !strings.Contains(a.Body, `"count":2`) ||
		!strings.Contains(a.Body, `"id":"ann"`) {
		t.Errorf("%s", a.Body)
	}
	if status, _, errs = runTool(t, "", "reservations", "import", "now/mask", file, "--admin", s.Admin); status != 1 ||
		!strings.Contains(errs, "the session has started") {
		t.Errorf("after the start: status %d: %s", status, errs)
	}
	if status, _, errs = runTool(t, "", "reservations", "import", "day", file, "--admin", s.Admin); status != 2 ||
		!strings.Contains(errs, "SESSION/SKU") {
		t.Errorf("of no listing: status %d: %s", status, errs)
	}
}

func TestBadListsThroughTheProgram(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Lists("it names 1 now", "add", "risk/shoppers", "bot-1")
	bad := nodetest.ListFile(t, "bad.txt", "bot-2", "bot 3", "bot-4")
	large := filepath.Join(t.TempDir(), "large.txt")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 2<<30); err != nil { // a hole: nothing of it is on disk
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"bad line": {[]string{"import", "risk/shoppers", bad, "--replace"}, 1,
			`line 2: "bot 3" is no shopper's id`},
		"semicolons": {[]string{"import", "risk/shoppers",
			nodetest.ListFile(t, "s.csv", "id;level", "bot-2;block")}, 1, `line 2: "bot-2;block"`},
		"a header": {[]string{"import", "allowlists/vips",
			nodetest.ListFile(t, "h.txt", "shopper_id", "bot-2")}, 1,
			`line 1: "shopper_id" looks like the names of columns`},
		"a header, joined": {[]string{"import", "allowlists/vips",
			nodetest.ListFile(t, "j.txt", "bot-2", "id", "bot-3")}, 1, `line 2: "id" looks like the names of columns`},
		"level, id": {[]string{"import", "risk/shoppers",
			nodetest.ListFile(t, "l.csv", "level,id", "block,bot-2")}, 1,
			`line 1: "level,id" looks like the names of columns`},
		"added level": {[]string{"add", "risk/shoppers", "bot-2;block"}, 1, `"bot-2;block"`},
		"everybody": {[]string{"add", "risk/ips", "0.0.0.0/0"}, 1,
			"0.0.0.0/0 bars a good part of all addresses; the list would meet an unknown share of shoppers (this " +
				"node saw fewer than 20"},
		"all of IPv6": {[]string{"import", "risk/ips",
			nodetest.ListFile(t, "b.txt", "203.0.113.0/24", "2000::/3")}, 1, "(--yes)"},
		"no such list": {[]string{"import", "risk/cars", bad}, 2,
			"risk/shoppers, risk/phones, risk/addresses, risk/ips"},
		"no file": {[]string{"import", "risk/shoppers", filepath.Join(t.TempDir(), "none")}, 1,
			"no such file"},
		"two GB": {[]string{"import", "risk/shoppers", large}, 1, "a list may have"},
		"empty": {[]string{"import", "risk/shoppers", nodetest.ListFile(t, "e.txt"), "--replace"}, 1,
			"empty=true"},
		"not there": {[]string{"show", "risk/shoppers", "ann"}, 1, "There is no ann in risk/shoppers"},
		"level":     {[]string{"add", "risk/shoppers", "ann", "--level", "never"}, 1, "watch, challenge, block"},
		"no id":     {[]string{"add", "risk/shoppers"}, 2, "the ids"},
		"format":    {[]string{"export", "risk/shoppers", "--format", "xml"}, 2, "neither csv nor ndjson"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := runTool(t, "", append(append([]string{"lists"}, c.args...), "--admin", s.Admin)...)
			if status != c.status || !strings.Contains(errs, c.says) || out != "" {
				t.Errorf("status %d, %q, %q; want %d and %q", status, out, errs, c.status, c.says)
			}
		})
	}
	s.Lists("risk/shoppers: 1", "show", "risk/shoppers")
	s.Lists("it names 1 now", "add", "risk/ips", "0.0.0.0/0", "--yes")
	s.Lists("it names 2 now", "add", "risk/ips", "::/0", "--level", "watch")
}

package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// happyHour is a play that nobody has shipped.
const happyHour = `# For the first hour, somebody pays less.
id: happy-hour
name: {en: Happy hour, zh: 欢乐时光}
parameters:
  less: {type: money, default: 500, says: how much less}
price: {kind: formula, amount: "start - less"}
words: {sold_out: {en: "Another hour, perhaps."}}
`

func playFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "play.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPlaysCommands(t *testing.T) {
	right, wrong := playFile(t, happyHour), playFile(t, strings.Replace(happyHour, "start - less", "strat - 1", 1))
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"check " + right, 0, "Happy hour, 欢乐时光\n  PARAMETER  TYPE   UNLESS SAID"},
		{"check " + right + " --json", 0, `"default": "500"`},
		{"check bargain daily-first", 0, "how long a bargain is open"},
		{"check " + wrong, 1, `play.yaml:6:32: price.amount: "strat" is nothing that it may ask ` +
			`about; there are`},
		{"check " + wrong + " " + wrong, 1, "the plays have 2 problems"},
		{"check nowhere.yaml", 1, "those that are shipped are bargain, daily-first"},
		{"check", 2, "name a play's file"},
		{"list", 0, "group-price, Group price, 阶梯价"},
		{"list --json", 0, `"id": "falling-price"`},
		{"list more", 2, `unknown command or argument "more"`},
		{"simulate bargain", 2, "--price 0 is not between 1 and 1000000000000"},
		{"simulate --price 1", 2, "name one play's file"},
		{"simulate bargain --price 4900 --set floor", 2, `--set "floor" is not name=value`},
		{"simulate bargain --price 4900 --set floor=1 --set floor=2", 2, "--set floor is there twice"},
		{"simulate bargain --price 4900 --bargains 0 --new-friends 101 --length 0s", 2,
			"--new-friends 101 is not between"},
		{"simulate bargain --price 4900", 1,
			"bargain: the parameter floor is missing: the price that enough friends reach"},
		{"simulate bargain --price 4900 --set floor=4901", 1, "bargain: floor: 4901 is over the listing's price, 4900"},
		{"simulate bargain --price 4900 --set floor=100 --set helper=3", 1, `did you mean "helpers"?`},
		{"simulate " + right + " --price 4900", 0, "revenue          440000, 4400.00 each"},
		{"simulate " + right + " --price 499", 1, "happy-hour: price.amount: with start = 499, the price is -1"},
		{"apply " + right, 2, "no node"},
		{"apply --admin 127.0.0.1:1", 2, "name a play's file"},
		{"apply " + wrong + " --admin 127.0.0.1:1", 1, "the plays have a problem"},
	} {
		status, out, errs := runTool(t, "", append([]string{"plays"}, strings.Fields(c.args)...)...)
		if status != c.status || !strings.Contains(out+errs, c.says) {
			t.Errorf("plays %s: status %d, want %d and %q:\n%s%s", c.args, status, c.status, c.says, out, errs)
		}
	}
	if status, out, _ := runTool(t, happyHour, "plays", "check", "-"); status != 0 || !strings.Contains(out, "less") {
		t.Errorf("standard input: status %d: %s", status, out)
	}
}

func TestPlaysSimulateSaysTheRule(t *testing.T) {
	args := []string{"plays", "simulate", "bargain", "--price", "4900", "--set", "floor=100", "--bargains", "2000",
		"--json"}
	status, out, errs := runTool(t, "", args...)
	var told struct {
		Parameters struct{ Helpers int }
		Report     struct {
			Sold, Revenue int64
			Friends       struct {
				Planned        int
				Expected, Mean float64
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &told); status != 0 || err != nil {
		t.Fatalf("status %d: %v: %s", status, err, errs)
	}
	friends := told.Report.Friends
	if told.Parameters.Helpers != 20 || told.Report.Sold != 2000 || told.Report.Revenue != 200_000 ||
		friends.Planned != 20 || math.Abs(friends.Expected-20) > 0.1 || math.Abs(friends.Mean-20) > 1 {
		t.Errorf("%+v", told)
	}
	if _, again, _ := runTool(t, "", args...); again != out {
		t.Error("the same flags bring another report")
	}
}

func TestPlaysAreApplied(t *testing.T) {
	s := openShop(t, t.TempDir())
	file := playFile(t, happyHour)
	apply := func(want string, args ...string) {
		t.Helper()
		status, out, errs := runTool(t, "", append([]string{"plays", "apply", "--admin", s.Admin}, args...)...)
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("apply %v: status %d: %s%s, want %q", args, status, out, errs, want)
		}
	}
	apply("dry run: nothing was changed", file, "--dry-run")
	apply("2 created", file, "bargain")
	apply("nothing to change", file, "bargain")
	changed := playFile(t, strings.Replace(happyHour, "default: 500", "default: 600", 1))
	apply("1 changed", changed)
	if status, out, errs := runTool(t, "", "plays", "list", "--admin", s.Admin); status != 0 ||
		!strings.Contains(out, "happy-hour  2        20") || !strings.Contains(out, "bargain     1        20") {
		t.Errorf("list: status %d: %s%s", status, out, errs)
	}
	// A listing sells by what was applied, and by what is shipped and was not.
	plan := playFile(t, `products: [{id: mask, currency: CNY}, {id: cup, currency: CNY}, {id: pen, currency: CNY}]
sales:
  - id: day
    timezone: Asia/Shanghai
    sessions:
      - id: day
        start: now
        listings:
          - {sku: mask, price: 4900, stock: 10, play: {kind: happy-hour}}
          - {sku: cup, price: 4900, stock: 10, play: {kind: falling-price, floor: 900, by: 100}}
          - {sku: pen, price: 4900, stock: 10}
`)
	if status, out, errs := runTool(t, "", "apply", "-f", plan, "--admin", s.Admin); status != 0 ||
		!strings.Contains(errs, "the template happy-hour is not in this file: only the node can check") ||
		!strings.Contains(out, "falling-price") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if status, out, errs := runTool(t, "", "apply", "-f", plan, "--admin", s.Admin); status != 0 ||
		!strings.Contains(out, "nothing to change") {
		t.Errorf("again: status %d: %s%s", status, out, errs)
	}
	s.Eventually(func() bool {
		a, err := s.TryGrab("shopper-1", "key-1", nodetest.Mask)
		return err == nil && a.Code == "granted" && strings.Contains(a.Body, `"amount":4300`)
	}, func() string { return s.Grab("shopper-1", "key-1", nodetest.Mask).Body })
	bad := playFile(t, `sales:
  - id: day
    sessions:
      - id: other
        start: now
        listings:
          - {sku: mask, price: 4900, stock: 10, play: {kind: happy-hour, less: 5000}}
`)
	if status, _, errs := runTool(t, "", "apply", "-f", bad, "--admin", s.Admin); status != 1 ||
		!strings.Contains(errs,
			"7:55: sales[day].sessions[other].listings[mask].play: happy-hour: price.amount: with start = 4900") {
		t.Errorf("status %d: %s", status, errs)
	}
}

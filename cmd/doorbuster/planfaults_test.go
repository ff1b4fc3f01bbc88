package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

// dryRun says what a plan would change, and what is noted beside it.
func dryRun(s *nodetest.Shop, plan string) (out, notes string) {
	s.T.Helper()
	status, out, errs := runTool(s.T, plan, "apply", "-f", "-", "--admin", s.Admin, "--dry-run")
	if status != 0 {
		s.T.Fatalf("dry run: status %d: %s%s", status, out, errs)
	}
	return out, errs
}

// TestStockInAPlanIsTheTotal: operators add to what is planned. The figure that the
// console then shows, written into the plan, makes no units that don't exist; the
// old figure takes none of theirs away.
func TestStockInAPlanIsTheTotal(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(3))
	if a := s.Ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":5,"note":"found"}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	out, notes := dryRun(s, nodetest.Masks(3))
	if !strings.Contains(out, "nothing to change") || !strings.Contains(notes,
		"8 stays: operators have changed it since the plan said 3") {
		t.Errorf("the plan as it was: %s%s", out, notes)
	}
	s.Apply(nodetest.Masks(3))
	if c := s.Counts(nodetest.Mask); c.Stock != 8 {
		t.Errorf("the plan as it was made it %d", c.Stock)
	}
	if out, _ := dryRun(s, nodetest.Masks(8)); !strings.Contains(out,
		"listings[mask].stock: 8 (3 in the last plan) → 8\n") {
		t.Errorf("the real figure: %s", out)
	}
	s.Apply(nodetest.Masks(8))
	if c := s.Counts(nodetest.Mask); c.Stock != 8 {
		t.Errorf("a plan of 8 made it %d", c.Stock)
	}
	s.Pay(s.MustGrant("ann", "", nodetest.Mask), "p1")
	s.MustGrant("bob", "", nodetest.Mask)
	status, _, errs := runTool(t, nodetest.Masks(1), "apply", "-f", "-", "--admin", s.Admin)
	if status == 0 || !strings.Contains(errs, "1 is less than the 1 held and 1 paid: it can be 2 at least") {
		t.Errorf("less than was sold: status %d, %s", status, errs)
	}
	s.Apply(nodetest.Masks(2))
	if c := s.Counts(nodetest.Mask); c.Stock != 2 || c.Available != 0 {
		t.Errorf("a plan of 2: %+v", c)
	}
}

// TestPlanLeavesWhatOperatorsMade: words and the publishing of a session follow the
// same rule as its stock.
func TestPlanLeavesWhatOperatorsMade(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	plan := func(words, publish string) string {
		return strings.Replace(nodetest.Masks(0, "publish: "+publish), "    sessions:\n",
			"    messages: {gone: {en: \""+words+"\", zh: \"没了\"}}\n    sessions:\n", 1)
	}
	says := func() string {
		for _, m := range strings.Split(s.Ops("GET", "/admin/v1/messages", "").Body, "{\"name\":") {
			if _, own, found := strings.Cut(m, `"sale":`); found {
				return own
			}
		}
		return ""
	}
	s.Apply(plan("All gone.", "false"))
	if a := s.Ops("PUT", "/admin/v1/messages/sale/gone",
		`{"text":{"en":"Back on Friday.","zh":"没了"}}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	if a := s.Ops("POST", "/admin/v1/sessions/day/publish", `{}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	if out, notes := dryRun(s, plan("All gone.", "false")); !strings.Contains(out, "nothing to change") ||
		!strings.Contains(notes, "messages.gone.en: note: \"Back on Friday.\" stays") ||
		!strings.Contains(notes, "publish: note: true stays") {
		t.Errorf("%s%s", out, notes)
	}
	_, out, _ := runTool(t, plan("All gone.", "false"), "apply", "-f", "-", "--admin", s.Admin, "--dry-run", "--json")
	var told wire.PlanChanges
	if err := json.Unmarshal([]byte(out), &told); err != nil || len(told.Notes) != 2 || told.Notes[0].Line == 0 ||
		told.Notes[0].Column == 0 || told.Notes[1].Line <= told.Notes[0].Line ||
		!strings.HasPrefix(told.Notes[1].Message, "true stays") {
		t.Errorf("notes without their places, or out of order: %v %s", err, out)
	}
	s.Apply(plan("All gone.", "false"))
	if own := says(); !strings.Contains(own, "Back on Friday.") {
		t.Error("the plan as it was took operators' words away: " + own)
	}
	s.Apply(plan("No more.", "true"))
	if own := says(); !strings.Contains(own, "No more.") {
		t.Error("another plan is not heard: " + own)
	}
	if status, _, errs := runTool(t, plan("No more.", "false"), "apply", "-f", "-", "--admin", s.Admin); status == 0 ||
		!strings.Contains(errs, "can't be a draft again") {
		t.Errorf("status %d, %s", status, errs)
	}
}

// TestPriceZeroIsPaidWhenGranted: nothing is to be paid, and nothing expires.
func TestPriceZeroIsPaidWhenGranted(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.PlanOf([]string{"{sku: sample, price: 0, stock: 2}"}, "pay_within: 1s", "pay_grace: 0s"))
	const sample = "day/sample"
	a := s.Grab("ann", "k", sample)
	if a.Code != "granted" || a.Order.State != "paid" || strings.Contains(a.Body, "pay_token") ||
		strings.Contains(a.Body, "Pay within") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if again := s.Grab("ann", "k", sample); again.Order.State != "paid" {
		t.Error(again.Body)
	}
	s.Expect(sample, 1, 0, 1)
	if v := s.Ops("POST", "/admin/v1/orders/"+a.Order.OrderNo+"/void", `{}`); v.Order.State != "voided" {
		t.Errorf("no money is to go back: %d %s", v.Status, v.Body)
	}
	if due := s.Ops("GET", "/admin/v1/refunds", ""); strings.Contains(due.Body, a.Order.OrderNo) {
		t.Error(due.Body)
	}
	s.Expect(sample, 2, 0, 0)
}

// TestHeadOfTheLineForTwoIsNotOvertaken: units that come back are set aside for the
// head of the line until there are enough, or the time for that is over; then the
// head is told.
func TestHeadOfTheLineForTwoIsNotOvertaken(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	const row = "{sku: %s, price: 100, stock: 2, limit_per_shopper: 2, waitlist: true%s}"
	s.Apply(nodetest.PlanOf([]string{fmt.Sprintf(row, "mask", ""), fmt.Sprintf(row, "tea", ", set_aside: 1s")},
		"limit_per_shopper: 0"))
	for _, sku := range []string{"mask", "tea"} {
		listing := "day/" + sku
		wait := func(shopper string, quantity int) {
			t.Helper()
			a := s.Do("POST", s.ListingURL(listing)+"/grab", fmt.Sprintf(`{"waitlist":true,"quantity":%d}`, quantity),
				"X-Shopper-Id", shopper, "Idempotency-Key", "k-"+shopper+sku)
			if a.Code != "waitlisted" {
				t.Fatal(a.Body)
			}
		}
		now := func(shopper string) nodetest.Reply {
			return s.Do("GET", s.HTTP+"/v1/grabs/k-"+shopper+sku, "", "X-Shopper-Id", shopper)
		}
		ann, bob := s.MustGrant("ann", "", listing), s.MustGrant("bob", "", listing)
		wait("cai", 2)
		wait("dov", 1)
		s.CancelOrder("ann", ann.OrderNo)
		if sku == "mask" {
			if a := now("dov"); a.Code != "waitlisted" {
				t.Fatal("overtaken: " + a.Body)
			}
			s.MustRefuse("sold_out", "eve", "", listing)
			s.CancelOrder("bob", bob.OrderNo)
			if a := now("cai"); a.Code != "granted" || a.Order.Quantity != 2 {
				t.Error(a.Body)
			}
			continue
		}
		s.Eventually(func() bool { return now("cai").Code == "sold_out" },
			func() string { return "cai waits on: " + now("cai").Body })
		if a := now("dov"); a.Code != "granted" {
			t.Error("the unit is nobody's: " + a.Body)
		}
		if a := now("cai"); !strings.Contains(a.Body, "Not enough came back") {
			t.Error(a.Body)
		}
	}
}

// TestNamesOfNothingAreTold: a profile and a list that nobody has defined may still
// be; until then the dry run and the console say what they come to, and then they
// count, also where the session is open already.
func TestNamesOfNothingAreTold(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	plan := nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 3, allow_list: vipps}"}, "profile: rsuh")
	missing := []string{`no profile "rsuh" is defined`, `nobody is on an allow list "vipps"`}
	for _, notes := range []func() string{
		func() string { _, notes := dryRun(s, plan); return notes },
		func() string { s.Apply(plan); return s.Ops("GET", "/admin/v1/sessions/day", "").Body },
	} {
		said := strings.ReplaceAll(notes(), `\"`, `"`)
		for _, want := range missing {
			if !strings.Contains(said, want) {
				t.Errorf("%s: not in %s", want, said)
			}
		}
	}
	if a := s.Ops("PUT", "/admin/v1/profiles/rsuh", `{"switches":{"waitlist":"off"}}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	if status, _, errs := runTool(t, "", "lists", "add", "allowlists/vipps", "ann", "--admin", s.Admin); status != 0 {
		t.Fatal(errs)
	}
	if now := s.Ops("GET", "/admin/v1/switches", "").Body; !strings.Contains(now, `"active_profile":"rsuh"`) {
		t.Errorf("the open session's profile is defined now, and not on: %s", now)
	}
	_, notes := dryRun(s, plan)
	if now := s.Ops("GET", "/admin/v1/sessions/day", "").Body; strings.Contains(now+notes, "rsuh\\\" is") ||
		strings.Contains(now+notes, "nobody is on") {
		t.Errorf("defined since: %s%s", now, notes)
	}
}

// TestDryRunShowsTheTimes: what was worked out of days and zones, by the sale's clocks
// and in UTC.
func TestDryRunShowsTheTimes(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	plan := strings.NewReplacer("start: now", `daily: {from: 2040-09-20, until: 2040-09-20, at: "10:00"}`,
		"  - id: sale\n", "  - id: sale\n    timezone: Asia/Shanghai\n").Replace(nodetest.Masks(1))
	out, _ := dryRun(s, plan)
	if want := "opens 2040-09-20 10:00:00 +08:00 (02:00:00 UTC), ends 2040-09-20 11:00:00 +08:00 (03:00:00 " +
		"UTC)"; !strings.Contains(out, want) {
		t.Errorf("%q is not in %s", want, out)
	}
}

// TestLookalikesInAConfigAreNamed: a configuration is typed by the same hands as a plan.
func TestLookalikesInAConfigAreNamed(t *testing.T) {
	t.Parallel()
	status, _, errs := runTool(t, "", "serve", "--config", nodetest.TempFile(t, "node: n1\nhttp： 127.0.0.1:8080\n"))
	if status == 0 || !strings.Contains(errs, "plan.yaml:2:5: '：' (U+FF1A) is a full-width colon") {
		t.Errorf("status %d, %s", status, errs)
	}
}

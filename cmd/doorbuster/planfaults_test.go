package main

import (
	"fmt"
	"strings"
	"testing"
)

// dryRun says what a plan would change, and what is noted beside it.
func (s *shop) dryRun(plan string) (out, notes string) {
	s.t.Helper()
	status, out, errs := runTool(s.t, plan, "apply", "-f", "-", "--admin", s.admin, "--dry-run")
	if status != 0 {
		s.t.Fatalf("dry run: status %d: %s%s", status, out, errs)
	}
	return out, errs
}

// TestStockInAPlanIsTheTotal: operators add to what is planned. The figure that the
// console then shows, written into the plan, makes no units that don't exist; the
// old figure takes none of theirs away.
func TestStockInAPlanIsTheTotal(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(3))
	if a := s.ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":5,"note":"found"}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	out, notes := s.dryRun(masks(3))
	if !strings.Contains(out, "nothing to change") || !strings.Contains(notes, "8 stays: operators have changed it since the plan said 3") {
		t.Errorf("the plan as it was: %s%s", out, notes)
	}
	s.apply(masks(3))
	if c := s.counts(mask); c.Stock != 8 {
		t.Errorf("the plan as it was made it %d", c.Stock)
	}
	if out, _ := s.dryRun(masks(8)); !strings.Contains(out, "listings[mask].stock: 8 (3 in the last plan) → 8\n") {
		t.Errorf("the real figure: %s", out)
	}
	s.apply(masks(8))
	if c := s.counts(mask); c.Stock != 8 {
		t.Errorf("a plan of 8 made it %d", c.Stock)
	}
	s.pay(s.mustGrant("ann", "", mask), "p1")
	s.mustGrant("bob", "", mask)
	status, _, errs := runTool(t, masks(1), "apply", "-f", "-", "--admin", s.admin)
	if status == 0 || !strings.Contains(errs, "1 is less than the 1 held and 1 paid: it can be 2 at least") {
		t.Errorf("less than was sold: status %d, %s", status, errs)
	}
	s.apply(masks(2))
	if c := s.counts(mask); c.Stock != 2 || c.Available != 0 {
		t.Errorf("a plan of 2: %+v", c)
	}
}

// TestPlanLeavesWhatOperatorsMade: words and the publishing of a session follow the
// same rule as its stock.
func TestPlanLeavesWhatOperatorsMade(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	plan := func(words, publish string) string {
		return strings.Replace(masks(0, "publish: "+publish), "    sessions:\n", "    messages: {gone: {en: \""+words+"\", zh: \"没了\"}}\n    sessions:\n", 1)
	}
	says := func() string {
		for _, m := range strings.Split(s.ops("GET", "/admin/v1/messages", "").Body, "{\"name\":") {
			if _, own, found := strings.Cut(m, `"sale":`); found {
				return own
			}
		}
		return ""
	}
	s.apply(plan("All gone.", "false"))
	if a := s.ops("PUT", "/admin/v1/messages/sale/gone", `{"text":{"en":"Back on Friday.","zh":"没了"}}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	if a := s.ops("POST", "/admin/v1/sessions/day/publish", `{}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	if out, notes := s.dryRun(plan("All gone.", "false")); !strings.Contains(out, "nothing to change") ||
		!strings.Contains(notes, "messages.gone.en: note: \"Back on Friday.\" stays") || !strings.Contains(notes, "publish: note: true stays") {
		t.Errorf("%s%s", out, notes)
	}
	s.apply(plan("All gone.", "false"))
	if own := says(); !strings.Contains(own, "Back on Friday.") {
		t.Error("the plan as it was took operators' words away: " + own)
	}
	s.apply(plan("No more.", "true"))
	if own := says(); !strings.Contains(own, "No more.") {
		t.Error("another plan is not heard: " + own)
	}
	if status, _, errs := runTool(t, plan("No more.", "false"), "apply", "-f", "-", "--admin", s.admin); status == 0 || !strings.Contains(errs, "can't be a draft again") {
		t.Errorf("status %d, %s", status, errs)
	}
}

// TestPriceZeroIsPaidWhenGranted: nothing is to be paid, and nothing expires.
func TestPriceZeroIsPaidWhenGranted(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(planOf([]string{"{sku: sample, price: 0, stock: 2}"}, "pay_within: 1s", "pay_grace: 0s"))
	const sample = "day/sample"
	a := s.grab("ann", "k", sample)
	if a.Code != "granted" || a.Order.State != "paid" || strings.Contains(a.Body, "pay_token") || strings.Contains(a.Body, "Pay within") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if again := s.grab("ann", "k", sample); again.Order.State != "paid" {
		t.Error(again.Body)
	}
	s.expect(sample, 1, 0, 1)
	if v := s.ops("POST", "/admin/v1/orders/"+a.Order.OrderNo+"/void", `{}`); v.Order.State != "voided" {
		t.Errorf("no money is to go back: %d %s", v.Status, v.Body)
	}
	if due := s.ops("GET", "/admin/v1/refunds", ""); strings.Contains(due.Body, a.Order.OrderNo) {
		t.Error(due.Body)
	}
	s.expect(sample, 2, 0, 0)
}

// TestHeadOfTheLineForTwoIsNotOvertaken: units that come back are set aside for the
// head of the line until there are enough, or the time for that is over; then the
// head is told.
func TestHeadOfTheLineForTwoIsNotOvertaken(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	const row = "{sku: %s, price: 100, stock: 2, limit_per_shopper: 2, waitlist: true%s}"
	s.apply(planOf([]string{fmt.Sprintf(row, "mask", ""), fmt.Sprintf(row, "tea", ", set_aside: 1s")}, "limit_per_shopper: 0"))
	for _, sku := range []string{"mask", "tea"} {
		listing := "day/" + sku
		wait := func(shopper string, quantity int) {
			t.Helper()
			a := s.do("POST", s.listingURL(listing)+"/grab", fmt.Sprintf(`{"waitlist":true,"quantity":%d}`, quantity), "X-Shopper-Id", shopper, "Idempotency-Key", "k-"+shopper+sku)
			if a.Code != "waitlisted" {
				t.Fatal(a.Body)
			}
		}
		now := func(shopper string) reply {
			return s.do("GET", s.http+"/v1/grabs/k-"+shopper+sku, "", "X-Shopper-Id", shopper)
		}
		ann, bob := s.mustGrant("ann", "", listing), s.mustGrant("bob", "", listing)
		wait("cai", 2)
		wait("dov", 1)
		s.cancelOrder("ann", ann.OrderNo)
		if sku == "mask" {
			if a := now("dov"); a.Code != "waitlisted" {
				t.Fatal("overtaken: " + a.Body)
			}
			s.mustRefuse("sold_out", "eve", "", listing)
			s.cancelOrder("bob", bob.OrderNo)
			if a := now("cai"); a.Code != "granted" || a.Order.Quantity != 2 {
				t.Error(a.Body)
			}
			continue
		}
		s.eventually(func() bool { return now("cai").Code == "sold_out" }, func() string { return "cai waits on: " + now("cai").Body })
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
	plan := planOf([]string{"{sku: mask, price: 100, stock: 3, allow_list: vipps}"}, "profile: rsuh")
	missing := []string{`no profile "rsuh" is defined`, `nobody is on an allow list "vipps"`}
	for _, notes := range []func() string{
		func() string { _, notes := s.dryRun(plan); return notes },
		func() string { s.apply(plan); return s.ops("GET", "/admin/v1/sessions/day", "").Body },
	} {
		said := strings.ReplaceAll(notes(), `\"`, `"`)
		for _, want := range missing {
			if !strings.Contains(said, want) {
				t.Errorf("%s: not in %s", want, said)
			}
		}
	}
	if a := s.ops("PUT", "/admin/v1/profiles/rsuh", `{"switches":{"waitlist":"off"}}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	if status, _, errs := runTool(t, "", "lists", "add", "allowlists/vipps", "ann", "--admin", s.admin); status != 0 {
		t.Fatal(errs)
	}
	if now := s.ops("GET", "/admin/v1/switches", "").Body; !strings.Contains(now, `"active_profile":"rsuh"`) {
		t.Errorf("the open session's profile is defined now, and not on: %s", now)
	}
	_, notes := s.dryRun(plan)
	if now := s.ops("GET", "/admin/v1/sessions/day", "").Body; strings.Contains(now+notes, "rsuh\\\" is") || strings.Contains(now+notes, "nobody is on") {
		t.Errorf("defined since: %s%s", now, notes)
	}
}

// TestDryRunShowsTheTimes: what was worked out of days and zones, by the sale's clocks
// and in UTC.
func TestDryRunShowsTheTimes(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	plan := strings.NewReplacer("start: now", `daily: {from: 2040-09-20, until: 2040-09-20, at: "10:00"}`,
		"  - id: sale\n", "  - id: sale\n    timezone: Asia/Shanghai\n").Replace(masks(1))
	out, _ := s.dryRun(plan)
	if want := "opens 2040-09-20 10:00:00 +08:00 (02:00:00 UTC), ends 2040-09-20 11:00:00 +08:00 (03:00:00 UTC)"; !strings.Contains(out, want) {
		t.Errorf("%q is not in %s", want, out)
	}
}

// TestLookalikesInAConfigAreNamed: a configuration is typed by the same hands as a plan.
func TestLookalikesInAConfigAreNamed(t *testing.T) {
	t.Parallel()
	status, _, errs := runTool(t, "", "serve", "--config", planFile(t, "node: n1\nhttp： 127.0.0.1:8080\n"))
	if status == 0 || !strings.Contains(errs, "plan.yaml:2:5: '：' (U+FF1A) is a full-width colon") {
		t.Errorf("status %d, %s", status, errs)
	}
}

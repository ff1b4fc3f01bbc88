package engine

import (
	"testing"
	"time"
)

// monthsIn gives the beginnings of months in a place, as a plan brings them.
func monthsIn(t testing.TB, zone string, year int, month time.Month, n int) (months []Time) {
	t.Helper()
	at, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		months = append(months, TimeOf(time.Date(year, month+time.Month(i), 1, 0, 0, 0, 0, at)))
	}
	return months
}

// monthly is a plan for one listing of the product "tea", a bottle at a time.
func monthly(g *group, id string, months []Time, spec ListingSpec) *Session {
	g.tb.Helper()
	spec.SKU, spec.Price = "tea", 100
	g.plan(&Plan{Products: []Product{{ID: "tea", Currency: "CNY"}}, Sales: []SalePlan{{
		Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai", Months: months},
		Sessions: []SessionPlan{{SessionSpec: SessionSpec{ID: id, StartSpec: id, Start: g.clock,
			End: g.clock.Add(24 * time.Hour), PayWithin: 15 * time.Minute, Publish: true},
			Listings: []ListingSpec{spec}}}}}})
	return g.state.Session(id)
}

// Two bottles a month: across sessions, until the month turns where the sale is.
func TestMonthTurnsInTheSalesTimeZone(t *testing.T) {
	g := newGroup(t)
	months := monthsIn(t, "Asia/Shanghai", 2027, time.March, 3)
	last := TimeOf(time.Date(2027, 3, 31, 15, 59, 59, 999_000_000, time.UTC)) // 23:59:59.999 in Shanghai
	g.clock = last.Add(-2 * time.Hour)
	a := monthly(g, "a", months, ListingSpec{Stock: 100, LimitPerMonth: 2})
	b := monthly(g, "b", months, ListingSpec{Stock: 100, LimitPerMonth: 2})
	check := func(what string, e Event, kind EventKind, why Reason) {
		t.Helper()
		if e.Kind != kind || e.Reason != why {
			t.Errorf("%s: %v, want %v %v", what, e, kind, why)
		}
	}
	check("the first", g.grab(a.Listings[0], "ann", "k1", 1), HoldPlaced, ReasonNone)
	second := g.grab(b.Listings[0], "ann", "k2", 1)
	check("the second, elsewhere", second, HoldPlaced, ReasonNone)
	e := g.grab(a.Listings[0], "ann", "k3", 1)
	check("the third", e, HoldRefused, ReasonLimitMonth)
	if e.Limit != 2 || e.Quantity != 2 {
		t.Errorf("told of %d of %d", e.Quantity, e.Limit)
	}
	check("three at once", g.grab(a.Listings[0], "bob", "k", 3), HoldRefused, ReasonQuantity)

	// What is released, or refunded, does not count.
	g.cancel(second.Order)
	third := g.grab(a.Listings[0], "ann", "k4", 1)
	check("after a release", third, HoldPlaced, ReasonNone)
	g.pay(third.Order, "p")
	check("paid units count", g.grab(b.Listings[0], "ann", "k5", 1), HoldRefused, ReasonLimitMonth)
	check("void", g.one(Command{Kind: CmdVoidOrder, Order: third.Order}), RefundBecameDue, ReasonVoided)
	check("after a refund", g.grab(b.Listings[0], "ann", "k6", 1), HoldPlaced, ReasonNone)

	g.clock = last - 1
	g.do() // the unpaid ones expire
	for _, key := range []string{"k7", "k8"} {
		check("before the turn", g.grab(b.Listings[0], "ann", key, 1), HoldPlaced, ReasonNone)
	}
	g.clock = last
	check("in the month's last millisecond", g.grab(b.Listings[0], "ann", "k9", 1), HoldRefused, ReasonLimitMonth)
	g.clock++
	check("a millisecond later", g.grab(b.Listings[0], "ann", "k10", 2), HoldPlaced, ReasonNone)
	check("and then no more", g.grab(a.Listings[0], "ann", "k11", 1), HoldRefused, ReasonLimitMonth)
}

// A hold in another session that a batch's share of timers has not reached is over
// for the month's limit too.
func TestOverdueHoldElsewhereCountsInNoMonth(t *testing.T) {
	g := newGroup(t)
	months := monthsIn(t, "Asia/Shanghai", 2027, time.January, 12)
	a := monthly(g, "a", months, ListingSpec{Stock: 100_000, LimitPerMonth: 1})
	b := monthly(g, "b", months, ListingSpec{Stock: 100, LimitPerMonth: 1})
	var grabs []Command
	for i := range MaxTimersPerBatch {
		grabs = append(grabs, g.placeHold(a.Listings[0],
			"s"+string(rune('a'+i/676%26))+string(rune('a'+i/26%26))+string(rune('a'+i%26)), "k", 1))
	}
	g.do(grabs...)
	first := g.grab(a.Listings[0], "ann", "k1", 1)
	if first.Kind != HoldPlaced {
		t.Fatal(first)
	}
	g.clock = g.clock.Add(time.Hour)
	if e := g.grab(b.Listings[0], "ann", "k2", 1); e.Kind != HoldPlaced {
		t.Errorf("%v", e)
	}
}

// Where a table of months does not reach, more counts, never less.
func TestMonthsBeyondTheTable(t *testing.T) {
	sale := Sale{Months: []Time{100, 200, 300}}
	for _, c := range []struct{ at, want Time }{{0, 0}, {99, 0}, {100, 100}, {199, 100}, {200, 200}, {299, 200},
		{300, 300}, {1 << 40, 300}} {
		if got := sale.monthOf(c.at); got != c.want {
			t.Errorf("the month of %d began at %d, want %d", c.at, got, c.want)
		}
	}
	if got := (&Sale{}).monthOf(5); got != 0 {
		t.Errorf("without a table: %d", got)
	}
}

// A plan that is applied again later brings later months, and that is all it
// changes.
func TestPlanAppliedAgainBringsLaterMonths(t *testing.T) {
	g := newGroup(t)
	monthly(g, "a", monthsIn(t, "Asia/Shanghai", 2027, time.January, 2), ListingSpec{Stock: 100, LimitPerMonth: 1})
	more := monthsIn(t, "Asia/Shanghai", 2027, time.February, 3)
	x := g.state.Session("a")
	again := Command{Kind: CmdApplyPlan, Plan: &Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale",
		Timezone: "Asia/Shanghai", Months: more}, Sessions: []SessionPlan{{SessionSpec: x.SessionSpec,
		Listings: []ListingSpec{g.state.Listing(x.Listings[0]).ListingSpec}}}}}}}
	eff := g.do(again)
	if eff.Primary[0].Kind != PlanApplied {
		t.Fatal(eff.LastPlan().Problems)
	}
	if months := g.state.Sale("sale").Months; len(months) != 4 || months[0] >= months[1] {
		t.Errorf("the sale knows %v", months)
	}
	if eff := g.do(again); len(eff.LastPlan().Changes) > 0 || eff.Catalogue {
		t.Errorf("once more: %v", eff.LastPlan().Changes)
	}
}

func TestMergedMonthsAreBounded(t *testing.T) {
	var a, b []Time
	for i := range MaxMonths {
		a, b = append(a, Time(i)), append(b, Time(i+MaxMonths/2))
	}
	merged := mergeMonths(a, b)
	if len(merged) != MaxMonths || merged[len(merged)-1] != Time(MaxMonths+MaxMonths/2-1) {
		t.Errorf("%d months, the last %d", len(merged), merged[len(merged)-1])
	}
}

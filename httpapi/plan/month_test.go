package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestMonths: the months of a sale with a limit a month, by its zone's clocks, from
// two before now to thirteen after its last end.
func TestMonths(t *testing.T) {
	for _, c := range []struct {
		name, zone, start string
		now               time.Time
		want              []string // the first, some between, the last
		count             int
	}{
		{"UTC", "UTC", "2026-10-31T23:00:00Z", noon(), []string{"2026-07-01T00:00:00Z", "2026-12-01T00:00:00Z",
			"2027-12-01T00:00:00Z"}, 18},
		{"the last end is in the month before", "UTC", "2026-10-31T22:59:59Z", noon(), []string{"2026-07-01T00:00:00Z",
			"2027-11-01T00:00:00Z"}, 17},
		{"Asia/Shanghai", "Asia/Shanghai", "2026-09-20T10:00:00+08:00", noon(), []string{"2026-06-30T16:00:00Z",
			"2026-09-30T16:00:00Z", "2027-09-30T16:00:00Z"}, 16},
		{"it is another month there already", "Asia/Shanghai", "now", time.Date(2026, 9, 30, 16, 0, 0, 0, time.UTC),
			[]string{"2026-07-31T16:00:00Z", "2026-09-30T16:00:00Z", "2027-10-31T16:00:00Z"}, 16},
		{"it is not yet another month there", "Asia/Shanghai", "now", time.Date(2026, 9, 30, 14, 59, 59, 0, time.UTC),
			[]string{"2026-06-30T16:00:00Z", "2027-09-30T16:00:00Z"}, 16},
		{"summer time", "Europe/Berlin", "2026-10-24T10:00:00+02:00", noon(), []string{"2026-06-30T22:00:00Z",
			"2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z", "2027-03-31T22:00:00Z", "2027-10-31T23:00:00Z"}, 17},
		{"the turn of the year, west", "America/New_York", "2026-12-31T20:00:00-05:00", noon(),
			[]string{"2026-07-01T04:00:00Z", "2026-12-01T05:00:00Z", "2027-01-01T05:00:00Z", "2028-01-01T05:00:00Z"},
			19},
		{"a month that begins an hour late", "Africa/Cairo", "2014-07-31T12:00:00Z", time.Date(2014, 6, 1, 0, 0, 0, 0,
			time.UTC), []string{"2014-03-31T22:00:00Z", "2014-07-31T22:00:00Z", "2015-07-31T22:00:00Z"}, 17},
		{"what is past", "UTC", "2020-01-01T00:00:00Z", noon(), []string{"2026-07-01T00:00:00Z",
			"2027-10-01T00:00:00Z"}, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := fmt.Sprintf("sales: [{id: s, timezone: %s, sessions: [{id: x, start: %s, listings: [{sku: a, "+
				"price: 1, stock: 1, limit_per_month: 2}]}]}]", c.zone, c.start)
			result, problems := Parse([]byte(text), Options{Now: c.now})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			months := result.Plan.Sales[0].Months
			said := make([]string, len(months))
			for i, at := range months {
				said[i] = at.Wall().Format(time.RFC3339)
			}
			if len(said) != c.count || said[0] != c.want[0] || said[len(said)-1] != c.want[len(c.want)-1] {
				t.Errorf("%d months: %v", len(said), said)
			}
			for _, want := range c.want {
				if !slices.Contains(said, want) {
					t.Errorf("%s is not among %v", want, said)
				}
			}
		})
	}
}

// TestSessionsLieWithinTheMonths, wherever they are sold, and each month begins
// where clocks there show another than a moment before.
func TestSessionsLieWithinTheMonths(t *testing.T) {
	for _, zone := range []string{"UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati",
		"Pacific/Pago_Pago", "America/Santiago"} {
		clocks, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		text := "sales: [{id: s, timezone: " + zone + `, sessions: [
  {id: x, start: now, duration: 744h, limit_per_month: 1, listings: [{sku: a, price: 1, stock: 1}]},
  {id: y, start: "2026-09-01T00:00:00Z", duration: 744h, listings: [{sku: a, price: 1, stock: 1}]},
  {id: z, daily: {from: 2026-09-18, until: 2027-09-18, at: "23:59"}, listings: [{sku: a, price: 1, stock: 1}]}]}]`
		sale := mustParse(t, text).Plan.Sales[0]
		for _, x := range sale.Sessions {
			if x.Start < sale.Months[0] || x.End >= sale.Months[len(sale.Months)-1] {
				t.Errorf("%s: %s is from %s to %s, the months from %s to %s", zone, x.ID, x.Start.Wall(), x.End.Wall(),
					sale.Months[0].Wall(), sale.Months[len(sale.Months)-1].Wall())
			}
		}
		for _, at := range sale.Months {
			here, before := at.Wall().In(clocks), at.Wall().Add(-time.Millisecond).In(clocks)
			if here.Day() != 1 || here.Month() == before.Month() {
				t.Errorf("%s: no month begins at %s", zone, here)
			}
		}
	}
}

// TestNoMonthsWithoutALimit: what needs no table has none.
func TestNoMonthsWithoutALimit(t *testing.T) {
	for _, text := range []string{contractPlan, runningPlan,
		"sales: [{id: s, sessions: [{id: x, start: now, limit_per_month: 2, listings: [{sku: a, price: 1, stock: 1, " +
			"limit_per_month: 0}]}]}]"} {
		p := mustParse(t, text).Plan
		if months := p.Sales[0].Months; months != nil {
			t.Errorf("%d months", len(months))
		}
	}
}

package nodetest

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"doorbuster/bench"
)

// RushRate is how many shoppers come in a second: what two cores can bear beside
// three nodes.
func RushRate() int {
	race := debug.BuildSetting{Key: "-race", Value: "true"}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, race) {
		return 1000
	}
	return 5000
}

// DaysPlan is the plan of one open session for each number of units.
func DaysPlan(units ...int) string {
	var b strings.Builder
	b.WriteString("products: [{id: mask, list_price: 100, currency: CNY}]\nsales:\n  - id: sale\n    sessions:\n")
	for i, n := range units {
		fmt.Fprintf(&b, "      - {id: day%d, start: now, duration: 24h, "+
			"listings: [{sku: mask, price: 100, stock: %d}]}\n", i, n)
	}
	return b.String()
}

// SellOff sells a session to so many shoppers, through their door; half pay, half
// cancel.
func (s *Shop) SellOff(session string, shoppers int, change func(*bench.RushConfig)) *bench.RushReport {
	s.T.Helper()
	c := bench.DefaultRushConfig()
	c.Addrs, c.Admin, c.Shoppers = []string{strings.TrimPrefix(s.HTTP, "http://")}, s.Admin, shoppers
	c.ShopperPrefix, c.Listings = "s", []bench.Listing{{Session: session, SKU: "mask"}}
	c.AgainShare, c.AnewShare, c.SecondListingShare, c.ReturnShare = 0, 0, 0, 0
	c.PayShare, c.CancelShare, c.DecideWithin, c.Connections = 0.5, 0.5, 100*time.Millisecond, 64
	change(&c)
	report, err := bench.Rush(s.T.Context(), c)
	if err != nil {
		s.T.Fatal(err)
	}
	if report.Orders != int64(shoppers) || !report.OK() {
		s.T.Errorf("%s: %d orders of %d; %+v", session, report.Orders, shoppers, report.Verdict)
	}
	return report
}

// SellAndSettle sells a session and has its orders leave memory.
func (s *Shop) SellAndSettle(session string, shoppers int) {
	s.T.Helper()
	s.SellOff(session, shoppers, func(*bench.RushConfig) {})
	s.End(session)
	s.Settle(session)
}

func (s *Shop) End(session string) {
	s.T.Helper()
	if a := s.Ops("POST", "/admin/v1/sessions/"+session+"/end", `{}`); a.Status != 200 {
		s.T.Fatal(a.Body)
	}
}

// Settle has an ended session's orders leave memory.
func (s *Shop) Settle(session string) {
	s.T.Helper()
	var a Reply
	s.Eventually(func() bool {
		a = s.Ops("POST", "/admin/v1/sessions/"+session+"/settle", `{"note":"books"}`)
		return a.Status == 200
	}, func() string { return session + " is not settled: " + a.Body })
	s.Eventually(func() bool { return s.Metric("doorbuster_sessions_leaving") == "0" },
		func() string { return "the orders of " + session + " do not leave memory" })
}

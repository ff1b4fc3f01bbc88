package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/report"
	"doorbuster/httpapi/wire"
)

// reported asks for the report of a session.
func reported(s *nodetest.Shop, session string) (r wire.SessionReport) {
	s.T.Helper()
	a := s.Ops("GET", "/admin/v1/sessions/"+session+"/report", "")
	if err := json.Unmarshal([]byte(a.Body), &r); err != nil || a.Status != 200 {
		s.T.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return r
}

// TestReportOfASession: what a crowd did, and operators, is in the report, while the session is
// open, once it has ended, after a restart and once it is settled.
func TestReportOfASession(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 3}", "{sku: tea, price: 50, stock: 9}"},
		"forecast: 20", "limit_per_shopper: 2", "pay_within: 1h", "pay_grace: 0s"))
	s.MustRun("switches", "set", "rate_limits=500", "--note", "they all come", "--admin", s.Admin)
	s.Eventually(func() bool { // once the node has seen that the session is there
		s.Do("GET", s.ListingURL(nodetest.Mask), "")
		return reported(s, "day").Funnel.Looks > 0
	}, func() string { return "no look is counted" })
	var mine []nodetest.Order
	for i := range 3 {
		mine = append(mine, s.MustGrant(fmt.Sprint("shopper-", i), "k", nodetest.Mask))
	}
	for i := range 4 {
		s.MustRefuse("sold_out", fmt.Sprint("late-", i), "k", nodetest.Mask)
	}
	s.CancelOrder("shopper-0", mine[0].OrderNo)
	again := s.MustGrant("late-0", "k2", nodetest.Mask) // what came back
	s.Pay(again, "p1")
	s.Pay(mine[1], "p2")
	if a := s.Ops("POST", "/admin/v1/orders/"+mine[1].OrderNo+"/void", `{"note":"broken"}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	check := func(stage string) wire.SessionReport {
		t.Helper()
		r := reported(s, "day")
		b := &r.Books
		figures := fmt.Sprint(r.Stage, b.Granted, b.Paid, b.Cancelled, b.Voided, b.RefundsDue, b.Expired, r.Resold)
		if want := stage + "{4 4 400}{2 2 200}{1 1 100}{1 1 100}{1 1 100}{0 0 0} 1"; strings.ReplaceAll(figures, "} {",
			"}{") != want {
			t.Errorf("got %s, want %s", figures, want)
		}
		mask, tea := &r.Listings[0], &r.Listings[1]
		if mask.SKU != "mask" || mask.SoldOut.Seconds == nil || mask.Resold != 1 || mask.Available != 1 ||
			tea.SoldOut != (wire.ReportSoldOut{}) || r.SoldOut.FirstGrant != mask.SoldOut.FirstGrant ||
			r.SoldOut.Seconds != nil {
			t.Errorf("%+v, %+v, %+v", mask, tea, r.SoldOut)
		}
		if r.Forecast != (wire.ReportForecast{Expected: 20, Came: 7}) || r.Funnel.Looks < 1 || r.Funnel.Grabs != 8 ||
			r.Doors.Answers["granted"] != 4 || r.Doors.Reasons["sold_out"] != 4 || r.Doors.Counted != 1 ||
			r.Doors.Of != 1 || len(r.Notes) != 0 || r.Doors.Latency["all"].Grabs != 8 ||
			r.Doors.Latency["granted"].P50MS <= 0 || r.Doors.Risk.Lists["none"] != 4 {
			t.Errorf("%+v, %+v, %+v, %q", r.Forecast, r.Funnel, r.Doors, r.Notes)
		}
		if r.Switches.Granted < 1 || fmt.Sprint(r.Switches.Switches) != "map[rate_limits:500]" {
			t.Errorf("%+v", r.Switches)
		}
		said := ""
		for _, x := range r.Incidents {
			said += x.What + " " + x.Name + " " + x.Note + ";"
		}
		if !strings.Contains(said, "deed switches_set they all come;") || !strings.Contains(said,
			"deed refund_became_due") {
			t.Error(said)
		}
		return r
	}
	check("so_far")
	s.End("day")
	kept := func(stage string) {
		t.Helper()
		s.Eventually(func() bool {
			files, err := filepath.Glob(filepath.Join(s.Dir, report.Folder, "day.*."+stage+".json"))
			return err == nil && len(files) == 1
		}, func() string { return stage + " is not kept" })
	}
	kept("ended")
	check("ended")
	s.Stop()
	s = s.Reopen()
	check("ended")
	out := s.MustRun("sessions", "report", "day", "--admin", s.Admin)
	for _, want := range []string{"expected 20", "came about 7", "granted", "4 orders", "resold", "sold_out 4",
		"sold out: no", "counted by 1 of 1 nodes", "rate_limits=500", "switches_set by"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if s.MustRun("sessions", "profile", "day", "rush", "--admin", s.Admin) !=
		"profile rush is defined: rate_limits=500\n" {
		t.Error("no profile")
	}
	s.MustRun("sessions", "profile", "day", "rush", "--admin", s.Admin) // it is so already
	if p := s.Ops("GET", "/admin/v1/profiles/rush", ""); !strings.Contains(p.Body, `"rate_limits":500`) {
		t.Error(p.Body)
	}
}

// TestReportOfASettledSession: once its orders have left memory the report has what it had.
func TestReportOfASettledSession(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(1))
	s.Pay(s.MustGrant("ann", "k", nodetest.Mask), "p") // which ends it
	s.MustRefuse("ended", "bob", "k", nodetest.Mask)
	s.Settle("day")
	check := func() {
		t.Helper()
		var r wire.SessionReport
		s.Eventually(func() bool {
			r = reported(s, "day")
			files, err := filepath.Glob(filepath.Join(s.Dir, report.Folder, "day.*.json"))
			return err == nil && len(files) == 1 && strings.HasSuffix(files[0], ".settled.json")
		}, func() string { return fmt.Sprintf("%+v", r) })
		r = reported(s, "day")
		if one := (wire.ReportFigure{Orders: 1, Units: 1, Amount: 100}); r.Stage != "settled" || r.State != "settled" ||
			r.Books != (wire.ReportBooks{Granted: one, Paid: one}) || r.Listings[0].Paid != 1 ||
			r.Doors.Answers["granted"] != 1 || r.Doors.Answers["ended"] != 1 || r.SoldOut.Seconds == nil {
			t.Errorf("%+v", r)
		}
	}
	check()
	s.Stop()
	s = s.Reopen()
	check()
}

// TestReportsThatCannotBe: bad input at the routes of reports changes nothing, and sessions that
// sold nothing have reports, too.
func TestReportsThatCannotBe(t *testing.T) {
	s := openShop(t, t.TempDir())
	plan := nodetest.Masks(5)
	s.Apply(plan + strings.ReplaceAll(plan[strings.Index(plan, "      - id: day"):], "id: day\n        start: now",
		"id: draft\n        publish: false\n        start: +1h"))
	ops := func(method, path, body string, status int, says string) {
		t.Helper()
		if a := s.Ops(method, "/admin/v1/sessions/"+path, body); a.Status != status || !strings.Contains(a.Body, says) {
			t.Errorf("%s %s %s: %d %s, want %d %s", method, path, body, a.Status, a.Body, status, says)
		}
	}
	ops("GET", "none/report", "", http.StatusNotFound, "No session has this id")
	ops("GET", "draft/report", "", http.StatusConflict, "has not opened: it is draft")
	ops("GET", "day/report?x=1", "", http.StatusBadRequest, "x")
	ops("POST", "none/report/profile", `{"name":"rush"}`, http.StatusNotFound, "No session has this id")
	ops("POST", "draft/report/profile", `{"name":"rush"}`, http.StatusConflict, "has not opened")
	ops("POST", "day/report/profile", `{}`, http.StatusBadRequest, "name must be there")
	ops("POST", "day/report/profile", `{"name":"a b"}`, http.StatusBadRequest, "name must be there")
	ops("POST", "day/report/profile", `{"name":"rush","switches":{}}`, http.StatusBadRequest, "switches")
	ops("POST", "day/report/profile", `{"name":"rush"}`, http.StatusConflict, "nothing to make a profile of")
	s.MustRun("switches", "set", "tickets=always", "--admin", s.Admin)
	s.MustRun("switches", "define", "rush", "tickets=off", "--admin", s.Admin)
	ops("POST", "day/report/profile", `{"name":"rush"}`, http.StatusConflict, "with other switches")
	if p := s.Ops("GET", "/admin/v1/profiles/rush", ""); !strings.Contains(p.Body, `"tickets":"off"`) {
		t.Error(p.Body)
	}
	ops("POST", "day/report/profile", `{"name":"late"}`, http.StatusOK, `"tickets":"always"`)
	s.End("day")
	r := reported(s, "day")
	if r.Books != (wire.ReportBooks{}) || r.SoldOut != (wire.ReportSoldOut{}) || r.Funnel.Grabs != 0 || r.Resold != 0 ||
		r.Forecast != (wire.ReportForecast{}) || r.Switches.Granted != 0 ||
		r.Switches.Switches["tickets"] != "always" || len(r.Doors.Latency) != 0 {
		t.Errorf("%+v", r)
	}
	if out := s.MustRun("sessions", "report", "day", "--admin", s.Admin); !strings.Contains(out,
		"nothing was granted") {
		t.Error(out)
	}
	if status, _, out := nodetest.Tool(t, "", "sessions", "profile", "day", "a b", "--admin", s.Admin); status != 2 ||
		!strings.Contains(out, "is no profile's name") {
		t.Error(status, out)
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/statement"
)

// TestSampleStatementsSettle: a statement in each format, as its provider publishes it, with a
// payment whose callback got lost: each is told by its header (or read by a map), settles that
// payment, and agrees with our totals; a second time it changes nothing.
func TestSampleStatementsSettle(t *testing.T) {
	for _, format := range []string{"wechat", "alipay", "paypal", "stripe", "adyen", "bank"} {
		t.Run(format, func(t *testing.T) {
			bill, err := os.ReadFile(filepath.Join("testdata", "statements", format+".csv"))
			if err != nil {
				t.Fatal(err)
			}
			s, dir := openShop(t, t.TempDir()), t.TempDir()
			s.Apply(nodetest.DayPlan("", 10))
			order := nodetest.OrderOfShopper(t, s, "shopper-"+format)
			at := time.Now().UTC()
			in := func(hours int, layout string) string {
				return at.In(time.FixedZone("", hours*3600)).Format(layout)
			}
			text := strings.NewReplacer("ORDER", order, "PAYMENT", "pay-"+format, "SHANGHAI", in(8, time.DateTime),
				",UTC", ","+in(0, time.DateTime), ",CET,CET", ","+in(1, time.DateTime)+",CET",
				"SLASHES", in(0, "2006/01/02 15:04:05"), "DAYS", in(0, "02.01.2006 15:04:05")).Replace(string(bill))
			file := filepath.Join(dir, format+".csv")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			args, known := []string{"reconcile", file, "--output", "json", "--admin", s.Admin}, statement.Format(format)
			if format == "bank" {
				args = append(args, "--format", "map:"+filepath.Join("testdata", "statements", "bank.yaml"))
				known = statement.Mapped
			}
			var settled reconcile.Report
			for again := range 2 {
				status, out, errs := runTool(t, "", args...)
				var report reconcile.Report
				if err := json.Unmarshal([]byte(out), &report); err != nil || status != 0 {
					t.Fatalf("status %d, %v: %s%s", status, err, out, errs)
				}
				if again == 0 {
					settled = report
				}
				if report.Open != 0 || report.Booked != int64(1-again) || report.Matched != int64(again) ||
					report.Statement.Format != known {
					t.Errorf("time %d, as %s: %d open, %d booked, %d matched: %s", again, report.Statement.Format,
						report.Open, report.Booked, report.Matched, report.Verdict)
				}
				book := reconcile.Book{Payments: 1, Paid: 100}
				if len(report.Totals) != 1 || report.Totals[0].Theirs != book || report.Totals[0].Ours != book {
					t.Errorf("time %d: totals %+v", again, report.Totals)
				}
			}
			if len(settled.Findings) != 1 || settled.Findings[0].Kind != reconcile.LostPayment ||
				settled.Findings[0].OrderNo != order {
				t.Errorf("found %+v", settled.Findings)
			}
			if a := s.Ops("GET", "/admin/v1/orders?order_no="+order, ""); !strings.Contains(a.Body, `"state":"paid"`) ||
				!strings.Contains(a.Body, `"payment_id":"pay-`+format+`"`) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
}

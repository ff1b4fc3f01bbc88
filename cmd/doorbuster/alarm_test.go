package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAlarmsOfAllRoomsAreOneList: a dead cashier, refunds that fail, and differences
// between the books are alarms like a node's that is away, in the API, in both
// commands, and in metrics; and over when they are.
func TestAlarmsOfAllRoomsAreOneList(t *testing.T) {
	s := openShop(t, t.TempDir(), "--cashier-url", "http://shop:pass-word@127.0.0.1:1/api")
	s.apply(dayPlan("", 10))
	o := s.mustGrant("ann", "", "day/sku-1")
	s.cancelOrder("ann", o.OrderNo)
	if a := s.do("POST", s.http+"/v1/payments/callback", fmt.Sprintf(`{"order_no":%q,"payment_id":"p-1","amount":100,"currency":"CNY","paid_at":%q}`, o.OrderNo,
		time.Now().Format(time.RFC3339Nano)), "Content-Type", "application/json"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if _, report, errs := reconcileHere(t, s, statementHeader); report == nil || report.Open != 1 { // it covers nothing
		t.Fatal(report, errs)
	}
	wanted := []string{"cashier_fails", "refunds_fail", "reconciliation_open"}
	lacks := func(told string) (lacking []string) {
		for _, name := range wanted {
			if !strings.Contains(told, name) {
				lacking = append(lacking, name)
			}
		}
		return lacking
	}
	told := ""
	s.eventually(func() bool {
		told = s.ops("GET", "/admin/v1/alarms", "").Body
		return len(lacks(told)) == 0
	}, func() string { return fmt.Sprintf("it lacks %q: %s", lacks(told), told) })
	if status := s.ops("GET", "/admin/v1/cluster", "").Body; len(lacks(status)) != 0 {
		t.Errorf("the status lacks %q: %s", lacks(status), status)
	}
	for _, args := range [][]string{{"alarms"}, {"alarms", "--json"}, {"cluster", "status"}} {
		code, out, errs := runTool(t, "", append(args, "--admin", s.admin)...)
		if code != 0 || len(lacks(out)) != 0 || strings.Contains(out, "pass-word") || !strings.Contains(out, "doorbuster reconcile set-aside") {
			t.Errorf("%v: %d, lacks %q: %s%s", args, code, lacks(out), out, errs)
		}
	}
	if metrics := s.ops("GET", "/metrics", "").Body; !strings.Contains(metrics, `doorbuster_alarms{name="cashier_fails"} 1`) {
		t.Error("no metric of the alarms")
	}
	if code, out, errs := runTool(t, "", "alarms"); code != 2 || !strings.Contains(errs, "--admin") {
		t.Errorf("%d %s%s", code, out, errs)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

// TestRefundsSayWhyAndWhatCameOfThem: an order cancelled in time gets its money back for
// that, and as long as the cashier is dead the refund shows tries, the last error and
// the next try, in the API and the CLI. Its password is nowhere.
func TestRefundsSayWhyAndWhatCameOfThem(t *testing.T) {
	s := openShop(t, t.TempDir(), "--cashier-url", "http://shop:pass-word@127.0.0.1:1/api")
	s.Apply(nodetest.DayPlan("", 10))
	o := s.MustGrant("ann", "", "day/sku-1")
	s.CancelOrder("ann", o.OrderNo)
	if a := s.Do("POST", s.HTTP+"/v1/payments/callback",
		fmt.Sprintf(`{"order_no":%q,"payment_id":"p-1","amount":100,"currency":"CNY","paid_at":%q}`, o.OrderNo,
			time.Now().Format(time.RFC3339Nano)), "Content-Type", "application/json"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	var page wire.Refunds
	s.Eventually(func() bool {
		a := s.Ops("GET", "/admin/v1/refunds", "")
		page = wire.Refunds{}
		return json.Unmarshal([]byte(a.Body), &page) == nil && len(page.Refunds) == 1 && page.Refunds[0].Tries > 1
	}, func() string { return fmt.Sprintf("%+v", page) })
	r := &page.Refunds[0]
	if r.Reason != "cancelled" || r.LastError != "nothing listens at 127.0.0.1:1" || r.NextTryAt == "" || !page.Asking {
		t.Errorf("%+v", page)
	}
	_, out, errs := runTool(t, "", "refunds", "--admin", s.Admin)
	for _, part := range []string{o.OrderNo, "cancelled", "nothing listens at", "p-1"} {
		if !strings.Contains(out, part) {
			t.Errorf("lacks %q: %s%s", part, out, errs)
		}
	}
	s.Stop()
	if told := fmt.Sprint(s.Logs, out, r.LastError); strings.Contains(told, "pass-word") ||
		strings.Contains(told, "shop:") {
		t.Errorf("it tells who asks the cashier: %s", told)
	}
}

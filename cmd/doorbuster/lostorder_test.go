package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/httpapi/payment"
)

// signedCallback is the cashier's word of a payment.
func (s *shop) signedCallback(by *payment.Secrets, o order, id, more string) reply {
	s.t.Helper()
	body := fmt.Sprintf(`{"payment_id":%q,"order_no":%q,"amount":%d,"currency":%q%s}`, id, o.OrderNo, o.Amount, o.Currency, more)
	r, err := http.NewRequest("POST", s.http+"/v1/payments/callback", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	by.Sign(r, []byte(body), time.Now())
	var header []string
	for name := range r.Header {
		header = append(header, name, r.Header.Get(name))
	}
	return s.do("POST", r.URL.String(), body, header...)
}

type dueRefund struct {
	OrderNo   string `json:"order_no"`
	PaymentID string `json:"payment_id"`
	Amount    int64
	Reason    string
}

func (s *shop) refundsDue() []dueRefund {
	s.t.Helper()
	var page struct{ Refunds []dueRefund }
	if a := s.ops("GET", "/admin/v1/refunds", ""); json.Unmarshal([]byte(a.Body), &page) != nil {
		s.t.Fatalf("%d %s", a.Status, a.Body)
	}
	return page.Refunds
}

// TestMoneyOfALostOrderGoesBack: a node is lost with an order that its shopper was
// told of, and a backup from before it is restored. The next shopper is given
// another number; and the lost order's money goes back, whoever tells of it.
func TestMoneyOfALostOrderGoesBack(t *testing.T) {
	flags, _, secrets := cashierFiles(t)
	s := spawnShop(t, t.TempDir(), flags...)
	s.apply(masks(9, "limit_per_shopper: 1"))
	s.mustGrant("before", "k", mask)
	file := filepath.Join(t.TempDir(), "backup")
	if status, out, errs := runTool(t, "", "backup", "--out", file, "--admin", s.admin); status != 0 {
		t.Fatal(out, errs)
	}
	lost := s.mustGrant("ann", "k", mask)
	token := payTokenOf(t, s.order("ann", lost.OrderNo))
	if err := s.child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.wait()
	dir := filepath.Join(t.TempDir(), "restored")
	if status, out, errs := runTool(t, "", "restore", "--from", file, "--dev", "--data", dir); status != 0 {
		t.Fatal(out, errs)
	} else if want := "of session day from order 2 on. Shoppers may know the numbers"; !strings.Contains(out, want) {
		t.Errorf("restore says:\n%s\nnothing of %q", out, want)
	}
	s = spawnShop(t, dir, flags...)
	next := s.mustGrant("bob", "k", mask)
	if next.OrderNo == lost.OrderNo {
		t.Errorf("bob is given the number %s, which ann was told", lost.OrderNo)
	}

	// Service people can tell a lost number from one that never was.
	made := next.OrderNo[:23] + string("01"[strings.IndexByte("10", next.OrderNo[23])&1])
	for no, want := range map[string]string{lost.OrderNo: `"lost":{"session":"day","place":2,"life":"` + lost.OrderNo[16:] + `"`, strings.ToLower(lost.OrderNo): `"place":2`, next.OrderNo: `"orders":[{`, made: `{"orders":[]}`} {
		if a := s.ops("GET", "/admin/v1/orders?order_no="+no, ""); a.Status != 200 || !strings.Contains(a.Body, want) || strings.Contains(a.Body, "lost") != strings.Contains(want, "place") {
			t.Errorf("%s: %d %s, want %s", no, a.Status, a.Body, want)
		}
	}
	if a := s.ops("GET", "/admin/v1/orders/"+lost.OrderNo, ""); a.Status != 404 || !strings.Contains(a.Body, "order 2 of session day, and lost the order in a recovery") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.order("ann", lost.OrderNo); a.Status != 404 || strings.Contains(a.Body, "recovery") {
		t.Errorf("a shopper is told: %s", a.Body)
	}

	withToken := fmt.Sprintf(`,"token":%q`, token)
	want := []dueRefund{{lost.OrderNo, "p-ann", 100, "no_order"}, {lost.OrderNo, "p-again", 100, "no_order"}, {next.OrderNo, "p-other", 100, "no_order"}}
	for _, c := range []struct{ id, outcome, more string }{{"p-ann", "refund_due", withToken}, {"p-ann", "unchanged", withToken}, {"p-again", "refund_due", ""}} {
		if a := s.signedCallback(secrets, lost, c.id, c.more); a.Status != 200 || !strings.HasPrefix(a.Body, `{"outcome":"`+c.outcome+`"`) || a.Order.OrderNo != "" {
			t.Errorf("%s for the lost order: %d %s; want %s and no order", c.id, a.Status, a.Body, c.outcome)
		}
	}
	// Money of another transaction is not bob's, though it names bob's order.
	if a := s.signedCallback(secrets, next, "p-other", `,"transaction_id":"018f3f2e-6c1a-4b62-9d4e-010203040506"`); a.Status != 200 || !strings.HasPrefix(a.Body, `{"outcome":"refund_due"`) || a.Order.OrderNo != "" {
		t.Errorf("another transaction: %d %s", a.Status, a.Body)
	}
	if a := s.order("bob", next.OrderNo); a.Order.State != "held" {
		t.Errorf("bob's order: %s", a.Body)
	}
	if due := s.refundsDue(); !slices.Equal(due, want) {
		t.Errorf("due %+v, want %+v", due, want)
	}
	if got := s.metric("doorbuster_payments_for_no_order_total"); got != "3" {
		t.Errorf("%s payments for no order", got)
	}
	if line, _ := s.logs.find("ALARM: money came for no order"); line == "" {
		t.Error("no alarm")
	}
	if a := s.signedCallback(secrets, next, "p-bob", fmt.Sprintf(`,"transaction_id":%q`, next.TransactionID)); a.Status != 200 || a.Order.State != "paid" {
		t.Errorf("bob pays: %d %s", a.Status, a.Body)
	}
}

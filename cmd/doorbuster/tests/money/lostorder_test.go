package money

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/payment"
)

// signedCallback is the cashier's word of a payment.
func signedCallback(s *nodetest.Shop, by *payment.Secrets, o nodetest.Order, id, more string) nodetest.Reply {
	s.T.Helper()
	body := fmt.Sprintf(`{"payment_id":%q,"order_no":%q,"amount":%d,"currency":%q%s}`, id, o.OrderNo, o.Amount,
		o.Currency, more)
	r, err := http.NewRequest("POST", s.HTTP+"/v1/payments/callback", nil)
	if err != nil {
		s.T.Fatal(err)
	}
	by.Sign(r, []byte(body), time.Now())
	var header []string
	for name := range r.Header {
		header = append(header, name, r.Header.Get(name))
	}
	return s.Do("POST", r.URL.String(), body, header...)
}

type dueRefund struct {
	OrderNo   string `json:"order_no"`
	PaymentID string `json:"payment_id"`
	Amount    int64
	Reason    string
}

func refundsDue(s *nodetest.Shop) []dueRefund {
	s.T.Helper()
	var page struct{ Refunds []dueRefund }
	if a := s.Ops("GET", "/admin/v1/refunds", ""); json.Unmarshal([]byte(a.Body), &page) != nil {
		s.T.Fatalf("%d %s", a.Status, a.Body)
	}
	return page.Refunds
}

// TestMoneyOfALostOrderGoesBack: a node is lost with an order that its shopper was
// told of, and a backup from before it is restored. The next shopper is given
// another number; and the lost order's money goes back, whoever tells of it.
func TestMoneyOfALostOrderGoesBack(t *testing.T) {
	flags, _, secrets := cashierFiles(t)
	s := nodetest.Open(t, t.TempDir(), flags...)
	s.Apply(nodetest.Masks(9, "limit_per_shopper: 1"))
	s.MustGrant("before", "k", nodetest.Mask)
	file := filepath.Join(t.TempDir(), "backup")
	s.MustRun("backup", "--out", file)
	lost := s.MustGrant("ann", "k", nodetest.Mask)
	token := payTokenOf(t, s.Order("ann", lost.OrderNo))
	if err := s.Child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.Wait()
	dir := filepath.Join(t.TempDir(), "restored")
	if status, out, errs := nodetest.Tool(t, "", "restore", "--from", file, "--dev", "--data", dir); status != 0 {
		t.Fatal(out, errs)
	} else if want := "of session day from order 2 on. Shoppers may know the numbers"; !strings.Contains(out, want) {
		t.Errorf("restore says:\n%s\nnothing of %q", out, want)
	}
	s = nodetest.Open(t, dir, flags...)
	next := s.MustGrant("bob", "k", nodetest.Mask)
	if next.OrderNo == lost.OrderNo {
		t.Errorf("bob is given the number %s, which ann was told", lost.OrderNo)
	}

	// Service people can tell a lost number from one that never was.
	made := next.OrderNo[:23] + string("01"[strings.IndexByte("10", next.OrderNo[23])&1])
	for no, want := range map[string]string{lost.OrderNo: `"lost":{"session":"day","place":2,"life":"` +
		lost.OrderNo[16:] + `"`, strings.ToLower(lost.OrderNo): `"place":2`, next.OrderNo: `"orders":[{`,
		made: `{"orders":[]}`} {
		if a := s.Ops("GET", "/admin/v1/orders?order_no="+no, ""); a.Status != 200 || !strings.Contains(a.Body, want) ||
			strings.Contains(a.Body, "lost") != strings.Contains(want, "place") {
			t.Errorf("%s: %d %s, want %s", no, a.Status, a.Body, want)
		}
	}
	if a := s.Ops("GET", "/admin/v1/orders/"+lost.OrderNo, ""); a.Status != 404 ||
		!strings.Contains(a.Body, "order 2 of session day, and lost the order in a recovery") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Order("ann", lost.OrderNo); a.Status != 404 || strings.Contains(a.Body, "recovery") {
		t.Errorf("a shopper is told: %s", a.Body)
	}

	withToken := fmt.Sprintf(`,"token":%q`, token)
	want := []dueRefund{{lost.OrderNo, "p-ann", 100, "no_order"}, {lost.OrderNo, "p-again", 100, "no_order"},
		{next.OrderNo, "p-other", 100, "no_order"}}
	for _, c := range []struct{ id, outcome, more string }{{"p-ann", "refund_due", withToken}, {"p-ann", "unchanged",
		withToken}, {"p-again", "refund_due", ""}} {
		if a := signedCallback(s, secrets, lost, c.id, c.more); a.Status != 200 ||
			!strings.HasPrefix(a.Body, `{"outcome":"`+c.outcome+`"`) || a.Order.OrderNo != "" {
			t.Errorf("%s for the lost order: %d %s; want %s and no order", c.id, a.Status, a.Body, c.outcome)
		}
	}
	// Money of another transaction is not bob's, though it names bob's order.
	a := signedCallback(s, secrets, next, "p-other", `,"transaction_id":"018f3f2e-6c1a-4b62-9d4e-010203040506"`)
	if a.Status != 200 || !strings.HasPrefix(a.Body, `{"outcome":"refund_due"`) || a.Order.OrderNo != "" {
		t.Errorf("another transaction: %d %s", a.Status, a.Body)
	}
	if a := s.Order("bob", next.OrderNo); a.Order.State != "held" {
		t.Errorf("bob's order: %s", a.Body)
	}
	if due := refundsDue(s); !slices.Equal(due, want) {
		t.Errorf("due %+v, want %+v", due, want)
	}
	if got := s.Metric("doorbuster_payments_for_no_order_total"); got != "3" {
		t.Errorf("%s payments for no order", got)
	}
	if line, _ := s.Logs.Find("ALARM: money came for no order"); line == "" {
		t.Error("no alarm")
	}
	a = signedCallback(s, secrets, next, "p-bob", fmt.Sprintf(`,"transaction_id":%q`, next.TransactionID))
	if a.Status != 200 || a.Order.State != "paid" {
		t.Errorf("bob pays: %d %s", a.Status, a.Body)
	}
}

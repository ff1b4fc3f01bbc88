package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
)

// TestConsoleMoney: a statement is compared, then reconciled; what it knew alone is booked, a
// difference is set aside, and a refund that is due leads to its order.
func TestConsoleMoney(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(scripted)
	told := s.MustGrant("anna", "", "day/mask")
	s.Pay(told, "pay-told")
	lost := s.MustGrant("bob", "", "day/mask")
	off := s.MustGrant("cleo", "", "day/mask")
	s.Pay(off, "pay-off")
	back := s.MustGrant("dora", "", "day/lamp")
	s.Pay(back, "pay-back")
	if a := s.Ops("POST", "/admin/v1/orders/"+back.OrderNo+"/void", `{}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	at := time.Now()
	file := filepath.Join(t.TempDir(), "<img src=x onerror=window.marked=1>.csv")
	text := nodetest.StatementHeader + nodetest.StatementRow("pay-told", told.OrderNo, 100, "payment", at) +
		nodetest.StatementRow("pay-lost", lost.OrderNo, 100, "payment", at) +
		nodetest.StatementRow("pay-off", off.OrderNo, 90, "payment", at)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "http://" + s.Admin + "/money"
	tab := b.Profile().Tab(browser.View{})
	tab.Go(url)
	tab.AwaitText("#refunds tbody", "CN¥49.00")
	tab.Click("#compare") // without a file nothing is sent
	tab.Upload(`input[type="file"]`, file)
	tab.Click("#compare")
	tab.AwaitText(".said", "is compared")
	tab.AwaitText("h1", "onerror")
	tab.AwaitText("tbody", "amounts differ")
	tab.AwaitText("header .state", " differ")
	if order := s.Order("bob", lost.OrderNo); order.Order.State != "held" {
		t.Errorf("a comparison made it %s", order.Order.State)
	}

	tab.Go(url)
	tab.AwaitText("tbody", "only compared")
	tab.Upload(`input[type="file"]`, file)
	tab.Type(`input[name="note"]`, "September")
	tab.Click("#reconcile")
	tab.AwaitText(".said", "is reconciled")
	tab.AwaitText("tbody", "amounts differ")
	if order := s.Order("bob", lost.OrderNo); order.Order.State != "paid" {
		t.Errorf("the payment that got lost left it %s", order.Order.State)
	}
	report := browser.Value[string](tab, "location.href")
	seen(t, tab, url, "money", `document.querySelectorAll("tbody tr").length === 3`)
	seen(t, tab, report, "report", `document.querySelectorAll("tbody tr").length > 2`)

	tab.Go(report)
	tab.AwaitText("header .state", "open")
	open := browser.Value[int](tab, `document.querySelectorAll("td button").length`)
	tab.Click("td button")
	tab.Accessible()
	tab.Type(`dialog input[name="note"]`, "asked the cashier")
	tab.Click(`dialog button[type="submit"]`)
	tab.AwaitText(".said", "set aside")
	tab.Await(fmt.Sprintf(`document.querySelectorAll("td button").length === %d`, open-1))

	tab.Go(url)
	tab.Click("#refunds tbody a")
	tab.AwaitText("h2", "Refund that is due")
	tab.AwaitText(".facts", "pay-back")
}

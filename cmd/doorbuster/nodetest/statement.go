package nodetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"doorbuster/httpapi/reconcile"
)

const StatementHeader = "payment_id,order_no,amount,currency,kind,at\n"

// StatementRow is a line of a statement that was taken, or paid back, now.
func StatementRow(id, orderNo string, amount int64, kind string, at time.Time) string {
	return fmt.Sprintf("%s,%s,%d,CNY,%s,%s\n", id, orderNo, amount, kind, at.UTC().Format(time.RFC3339Nano))
}

// ReconcileHere runs the command, and gives its report.
func ReconcileHere(t *testing.T, s *Shop, text string, more ...string) (status int, report *reconcile.Report,
	errs string) {
	t.Helper()
	status, out, errs := s.Program.Tool(t, text, append([]string{"reconcile", "-", "--json", "--admin", s.Admin},
		more...)...)
	if out != "" {
		report = new(reconcile.Report)
		if err := json.Unmarshal([]byte(out), report); err != nil {
			t.Fatal(err, out)
		}
	}
	return status, report, errs
}

// OrderOfShopper grabs a unit and gives the order's number.
func OrderOfShopper(t *testing.T, s *Shop, shopper string) string {
	t.Helper()
	a := s.Grab(shopper, "", "day/sku-1")
	if a.Order.OrderNo == "" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return a.Order.OrderNo
}

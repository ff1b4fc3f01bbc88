package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/reconcile"
)

// TestOneRowDoesNotSpoilAStatement: whatever else the cashier's statement has, the
// lost callback next to it is settled. What can't be ours is counted, by reason.
func TestOneRowDoesNotSpoilAStatement(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.DayPlan("", 100))
	now := time.Now()
	at := now.UTC().Format(time.RFC3339)
	paid := nodetest.OrderOfShopper(t, s, "paid")
	if a := s.Do("POST", s.HTTP+"/v1/payments/callback",
		fmt.Sprintf(`{"order_no":%q,"payment_id":"p-paid","amount":100,"currency":"CNY"}`, paid), "Content-Type",
		"application/json"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	const withRefunds = "payment_id,order_no,amount,currency,kind,at,refund_id\n"
	for i, c := range []struct {
		name, header, rows string
		notOurs, open      int64
		args               []string
	}{
		{"two partial refunds", nodetest.StatementHeader, nodetest.StatementRow("p-paid", paid, 30, "refund", now) +
			nodetest.StatementRow("p-paid", paid, 40, "refund", now), 0, 2, nil},
		{"two equal refunds by their ids", withRefunds, "p-paid," + paid + ",30,CNY,refund," + at + ",r-1\np-paid," +
			paid + ",30,CNY,refund," + at + ",r-2\n", 0, 2, nil},
		{"another channel, #1001", nodetest.StatementHeader, nodetest.StatementRow("ch-1", "#1001", 2500,
			"payment", now), 1, 0, nil},
		{"another channel, in Chinese", nodetest.StatementHeader, nodetest.StatementRow("ch-2", "订单1", 2500,
			"payment", now), 1, 0, nil},
		{"another channel, with a path", nodetest.StatementHeader, nodetest.StatementRow("ch-3", "R/2026/1", 2500,
			"refund", now), 1, 0, nil},
		{"a payout", nodetest.StatementHeader, nodetest.StatementRow("po-1", "", -9900, "payout", now), 1, 0, nil},
		{"a fee of an order of ours", nodetest.StatementHeader, nodetest.StatementRow("fee-1", paid, 3, "fee", now), 1,
			0, nil},
		{"a dispute", nodetest.StatementHeader, nodetest.StatementRow("dp-1", paid, 100, "dispute", now), 1, 0, nil},
		{"a total", nodetest.StatementHeader, "Total,,7400,CNY,,\n", 1, 0, nil},
		{"a short total", nodetest.StatementHeader, "合计,3\n", 1, 0, nil},
		{"a row of commas", nodetest.StatementHeader, ",,,,,\n,,,,,,,,\n", 2, 0, nil},
		{"a kind to ignore", nodetest.StatementHeader, nodetest.StatementRow("top-1", paid, 5, "top-up", now), 1, 0,
			[]string{"--ignore-kind", "gift,top-up"}},
		{"orders to leave out", nodetest.StatementHeader, nodetest.StatementRow("ch-4", paid, 5, "payment", now), 1, 0,
			[]string{"--order-prefix", paid[:6]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lost := nodetest.OrderOfShopper(t, s, fmt.Sprint("lost-", i))
			if c.args != nil && c.args[0] == "--order-prefix" && strings.HasPrefix(lost, c.args[1]) {
				t.Skip("the two numbers begin alike")
			}
			text := c.header + strings.TrimSuffix(nodetest.StatementRow(fmt.Sprint("p-lost-", i), lost, 100,
				"payment", now), "\n") + strings.Repeat(",", strings.Count(c.header, ",")-5) + "\n" + c.rows
			_, report, errs := nodetest.ReconcileHere(t, s, text, c.args...)
			if report == nil {
				t.Fatalf("not taken: %s", errs)
			}
			open := report.Open
			for _, n := range report.Counts {
				if n.Kind == reconcile.MissingPayment { // of the orders of the other cases
					open -= n.Count
				}
			}
			if report.Booked != 1 || report.NotOurs.Count != c.notOurs || open != c.open {
				t.Errorf("settled %d, not ours %+v, open %d; want 1, %d, %d", report.Booked, report.NotOurs, open,
					c.notOurs, c.open)
			}
		})
	}
	t.Run("what could be ours", func(t *testing.T) {
		for says, row := range map[string]string{
			`line 3: the amount "49.00"`: strings.Replace(nodetest.StatementRow("p-1",
				paid, 1, "payment", now), ",1,", ",49.00,", 1),
			`line 3: the time "yesterday"`: "p-1," + paid + ",1,CNY,payment,yesterday\n",
			`line 3: the kind "sale" is neither`: nodetest.StatementRow("p-1", paid, 1,
				"sale", now),
			`line 3: the kind "Payment" is neither`: nodetest.StatementRow("p-1", "#1001", 1,
				"Payment", now) + nodetest.StatementRow("p-2", paid, 1, "Payment", now),
			`line 3: the order_no "` + paid + ` " is no order number`: nodetest.StatementRow("p-1", paid+" ", 1,
				"payment", now),
			`line 3: the order_no "" is no order number`: nodetest.StatementRow("p-1", "", 1,
				"payment", now),
			`line 3: it has 7 columns`: "p-1,x," + paid + ",1,CNY,payment,now\n",
		} {
			lost := nodetest.OrderOfShopper(t, s, fmt.Sprint("beside-", len(says), "-", len(row)))
			status, report, errs := nodetest.ReconcileHere(t, s,
				nodetest.StatementHeader+nodetest.StatementRow("p-"+lost, lost, 100, "payment", now)+row)
			if says == `line 3: the kind "Payment" is neither` {
				says = strings.Replace(says, "3", "4", 1) // line 3 can't be ours
			}
			if status != 1 || report != nil || !strings.Contains(errs, says) {
				t.Errorf("status %d, %s; want %q", status, errs, says)
			}
			if v := s.Orders()[lost].State; v != "held" {
				t.Errorf("the order beside it is %s", v)
			}
		}
	})
	t.Run("what it says", func(t *testing.T) {
		text := nodetest.StatementHeader + nodetest.StatementRow("ch-1", "#1001", 2500, "payment", now) +
			nodetest.StatementRow("po-1", "", -9900, "payout", now) + nodetest.StatementRow("p-paid", paid, 100,
			"payment", now)
		_, out, errs := runTool(t, text, "reconcile", "-", "--admin", s.Admin)
		for _, part := range []string{"Not ours: 2 rows", "-7400 CNY", "payout", "order number"} {
			if !strings.Contains(out, part) {
				t.Errorf("lacks %q:\n%s%s", part, out, errs)
			}
		}
	})
}

package main

import (
	"archive/zip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestProvidersStatementsThroughTheProgram: a zip archive of WeChat's is told by its
// header, a map sees to any other, and the same payment in two formats is booked once.
func TestProvidersStatementsThroughTheProgram(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.DayPlan("", 10))
	lost, other := nodetest.OrderOfShopper(t, s, "ann"), nodetest.OrderOfShopper(t, s, "bob")
	at, dir := time.Now(), t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	var archive strings.Builder
	w := zip.NewWriter(&archive)
	f, err := w.Create("bill.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(f, "\xef\xbb\xbf交易时间,微信订单号,商户订单号,交易状态,货币种类,订单金额,申请退款金额\r\n"+
		"`%s,`p-lost,`%s,`SUCCESS,`CNY,`1.00,`0.00\r\n总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,"+
		"订单总金额,申请退款总金额\r\n`1,`1.00,`0.00,`0.00,`0.01,`1.00,`0.00",
		at.In(time.FixedZone("", 8*3600)).Format(time.DateTime), lost) // the archive is in memory
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	stripe := "created_utc,currency,gross,reporting_category,source_id,payment_metadata[order_no]\n" +
		at.UTC().Format(time.DateTime) + ",cny,1.00,charge,p-lost," + lost + "\n"
	day := at.UTC().Format(time.DateTime)
	bank := "Ref;Order;Sum;Day\np-lost;" + lost + ";100;" + day + "\np-other;" + other + ";100;" + day
	bankMap := write("bank.yaml", "separator: \";\"\n"+
		"columns: {payment_id: Ref, order_no: Order, amount: Sum, at: Day}\n"+
		"amounts: minor\ncurrency: CNY\nzone: UTC\n")
	wrongMap := write("wrong.yaml", "columns: {payment_id: Ref}\nsums: minor\n")
	zipped := write("bill.zip", archive.String())
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   []string
	}{
		{"a zip archive, read as another format", []string{zipped, "--format", "paypal"}, 1,
			[]string{"none of its first lines is the header of paypal"}},
		{"a zip archive", []string{zipped}, 0, []string{"as WECHAT", "noted: 1 payment, 0 refunds"}},
		{"the same in another format", []string{write("stripe.csv", stripe)}, 0,
			[]string{"as STRIPE", "The books agree. Nothing was changed."}},
		{"a map", []string{write("bank.csv", bank), "--format", "map:" + bankMap}, 0,
			[]string{"as MAP", "noted: 1 payment, 0 refunds"}},
		{"a map that is wrong", []string{zipped, "--format", "map:" + wrongMap}, 2,
			[]string{"--format: " + wrongMap + ": line 2: field sums not found"}},
		{"no map", []string{zipped, "--format", "map:" + dir + "/none"}, 2, []string{"--format", "no such file"}},
		{"no such format", []string{zipped, "--format", "excel"}, 2, []string{"is none of auto, csv, wechat"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, out, errs := runTool(t, "", append([]string{"reconcile", "--admin", s.Admin}, c.args...)...)
			for _, part := range c.says {
				if status != c.status || !strings.Contains(out+errs, part) {
					t.Errorf("status %d; it lacks %q:\n%s%s", status, part, out, errs)
				}
			}
		})
	}
	for query, want := range map[string]string{"?format=map": "go together", "?format=csv&map=a": "go together",
		"?format=excel": "format", "?format=map&map=%5B": "can't be read so"} {
		if a := s.Ops("POST", reconciliationsPath+query, ""); a.Status != 400 || !strings.Contains(a.Body, want) {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
}

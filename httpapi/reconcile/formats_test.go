package reconcile_test

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/statement"
)

// providerBills have a payment of 49.00 at 10:15 in Shanghai, of the order ORDER.
var providerBills = map[statement.Format]string{
	statement.WeChat: "\xef\xbb\xbf交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态," +
		"付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称," +
		"商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n" +
		"`2026-09-20 10:15:00,`wx0,`100,`0,`,`p-lost,`ORDER,`oX,`JSAPI,`SUCCESS,`OTHERS,`CNY,`49.00,`0.00,`0,`0," +
		"`0.00," +
		"`0.00,`,`,`mask,`,`0.29400,`0.60%,`49.00,`0.00,`\r\n" +
		"总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n" +
		"`1,`49.00,`0.00,`0.00,`0.29,`49.00,`0.00\r\n",
	statement.Alipay: "#支付宝账务明细查询\n" +
		"账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道," +
		"业务类型,备注\n" +
		"1001\t,p-lost\t,ORDER\t,口罩\t,2026-09-20 10:15:00\t,a**@x.cn\t,49.00\t,,100.00\t,支付宝\t,在线支付\t,\t\n" +
		"#支出合计：0笔，共0.00元\n#收入合计：1笔，共49.00元\n",
	statement.PayPal: `"RH","2026/09/21 03:00:00 +0000","A","MERCHANT",11` + "\n" +
		`"CH","Transaction ID","Invoice ID","PayPal Reference ID","Transaction Event Code",` +
		`"Transaction Initiation Date","Transaction Debit or Credit","Gross Transaction Amount",` +
		`"Gross Transaction Currency"` + "\n" +
		`"SB","p-lost","ORDER","","T0006","2026/09/20 02:15:00 +0000","CR",4900,"CNY"` + "\n" + `"SF",4900,0` + "\n",
	statement.Stripe: "balance_transaction_id,created_utc,available_on_utc,currency,gross,fee,net,reporting_category," +
		"source_id,description,payment_metadata[order_no]\n" +
		"txn_1,2026-09-20 02:15:00,2026-09-22 00:00:00,cny,49.00,0.05,48.95,charge,p-lost,Mask box,ORDER\n",
	statement.Adyen: "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date," +
		"TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Batch Number\n" +
		"Shop,ShopCN,p-lost,ORDER,visa,2026-09-20 04:15:00,CEST,Settled,c-1,CNY,,49.00,7\n",
	statement.Mapped: "Ref;Order;Betrag;Datum;Art\np-lost;ORDER;49;20.09.2026 04:15:00;Karte\n",
}

const bankMap = `separator: ";"
columns: {payment_id: Ref, order_no: Order, amount: Betrag, at: Datum, payment_type: Art}
currency: CNY
zone: Europe/Berlin
time: DD.MM.YYYY hh:mm:ss
`

// A statement in each format settles the payment that got lost, and says the same of it as
// we have then.
func TestFormatsSettle(t *testing.T) {
	for format, bill := range providerBills {
		t.Run(string(format), func(t *testing.T) {
			how, name := new(statement.Reading), statement.Auto
			if format == statement.Mapped {
				name = "map:bank.yaml"
			}
			if err := how.ParseFormat(name, func(string) ([]byte, error) { return []byte(bankMap), nil }); err != nil {
				t.Fatal(err)
			}
			if format == statement.Alipay {
				encoded, err := simplifiedchinese.GBK.NewEncoder().String(bill)
				if err != nil {
					t.Fatal(err)
				}
				bill = encoded
			}
			s := openShop(t, listing("mask", 2, 4900))
			lost := s.grab("mask", "ann")
			text := strings.ReplaceAll(bill, "ORDER", lost)
			reads := func(o *reconcile.Options) { o.Reading = *how }
			report, found := reconciled(t, s, text, reads)
			if report.Booked != 1 || report.Open != 0 || len(found[reconcile.LostPayment]) != 1 ||
				report.Statement.Format != format {
				t.Errorf("booked %d, open %d, as %s: %v", report.Booked, report.Open, report.Statement.Format, found)
			}
			want := reconcile.Book{Payments: 1, Paid: 4900}
			if len(report.Totals) != 1 || report.Totals[0].Theirs != want || report.Totals[0].Ours != want {
				t.Errorf("totals %+v", report.Totals)
			}
			paidBy := map[statement.Format]string{statement.WeChat: "wechat", statement.Alipay: "alipay",
				statement.PayPal: "paypal", statement.Adyen: "visa", statement.Mapped: "Karte"}[format]
			if v := s.order(lost); v.State != engine.Paid || v.PaymentID != "p-lost" || v.PaidAt != opened ||
				v.PayType != paidBy {
				t.Errorf("%+v", v)
			}
			if again, _ := reconciled(t, s, text, reads); again.Booked != 0 || again.Matched != 1 || again.Open != 0 {
				t.Errorf("a second time: %s", again.Verdict)
			}
		})
	}
}

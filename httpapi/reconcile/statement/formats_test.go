package statement_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile/statement"
)

// Statements of providers, each with a payment of 49.00, a refund of it, and what is not
// ours.
const (
	order   = "0123456789ABCDEFGHJKMNPQ"
	paidAt  = engine.Time(1789870500000) // 10:15 in Shanghai
	wechat1 = "`2026-09-20 10:15:00,`wx0,`100,`0,`,`p-1,`0123456789ABCDEFGHJKMNPQ,`oX,`JSAPI,`SUCCESS,`OTHERS," +
		"`CNY,`39.00," +
		"`10.00,`0,`0,`0.00,`0.00,`,`,`a \"box\", red,`,`0.29400,`0.60%,`49.00,`0.00,`\r\n"
	wechat2 = "`2026-09-20 10:20:00,`wx0,`100,`0,`,`p-1,`0123456789ABCDEFGHJKMNPQ,`oX,`JSAPI,`REFUND,`OTHERS," +
		"`CNY,`0.00," +
		"`0.00,`r-1,`x,`39.00,`10.00,`ORIGINAL,`SUCCESS,`a box,`,`-0.29400,`0.60%,`0.00,`49.00,`\r\n"
	wechatTotals = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n"
	wechatSums   = "`2,`39.00,`39.00,`10.00,`0.00,`49.00,`49.00"
	wechatHeader = "\xef\xbb\xbf交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型," +
		"交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态," +
		"商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n"
	wechatBill = wechatHeader + wechat1 + wechat2 + wechatTotals + wechatSums

	alipayHead = "#支付宝账务明细查询\n#账号：[20880000000000000156]\n" +
		"#起始日期：[2026年09月20日 00:00:00]   终止日期：[2026年09月21日 00:00:00]\n#------账务明细列表------\n" +
		"账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道," +
		"业务类型,备注\n"
	alipay1 = "1001\t,p-1\t,0123456789ABCDEFGHJKMNPQ\t,一\"口\"罩\t,2026-09-20 10:15:00\t,a**@x.cn\t,49.00\t,,100.00\t," +
		"支付宝\t,在线支付\t,\t\n"
	alipay2 = "r-1\t,p-1\t,0123456789ABCDEFGHJKMNPQ\t,口罩\t,2026-09-20 10:20:00\t,a**@x.cn\t,,-49.00\t,51.00\t,支付宝\t," +
		"交易退款\t,\t\n"
	alipay3    = "1003\t,f-1\t,\t,\t,2026-09-20 10:21:00\t,\t,,-0.30\t,50.70\t,支付宝\t,收费\t,\t\n"
	alipayFoot = "#------账务明细列表结束------\n#支出合计：2笔，共49.30元\n#收入合计：1笔，共49.00元\n" +
		"#导出时间：[2026年09月21日 09:00:00]\n"
	alipayBill = alipayHead + alipay1 + alipay2 + alipay3 + alipayFoot

	paypalHead = `"RH","2026/09/21 03:00:00 +0000","A","MERCHANT",11` + "\n" + `"FH",1` + "\n" +
		`"SH","2026/09/20 00:00:00 +0000","2026/09/20 23:59:59 +0000","MERCHANT",""` + "\n" +
		`"CH","Transaction ID","Invoice ID","PayPal Reference ID","Transaction Event Code",` +
		`"Transaction Initiation Date","Transaction Debit or Credit","Gross Transaction Amount",` +
		`"Gross Transaction Currency"` + "\n"
	paypal1 = `"SB","p-1","0123456789ABCDEFGHJKMNPQ","","T0006","2026/09/19 19:15:00 -0700","CR",4900,"CNY"` + "\n"
	paypal2 = `"SB","r-1","0123456789ABCDEFGHJKMNPQ","p-1","T1107","2026/09/20 02:20:00 +0000","DR",4900,` +
		`"CNY"` + "\n"
	paypal3    = `"SB","w-1","","","T0400","2026/09/20 05:00:00 +0000","DR",100,"CNY"` + "\n"
	paypalFoot = `"SF",4900,5000` + "\n" + `"SC",3` + "\n" + `"RF",4900,5000` + "\n" + `"FF",12`
	paypalBill = paypalHead + paypal1 + paypal2 + paypal3 + paypalFoot

	stripeHead = "balance_transaction_id,created_utc,available_on_utc,currency,gross,fee,net,reporting_category," +
		"source_id,description,charge_id,payment_metadata[order_no]\n"
	stripe1 = "txn_1,2026-09-20 02:15:00,2026-09-22 00:00:00,cny,49.00,0.05,48.95,charge,p-1,\"Mask, box\",p-1," +
		"0123456789ABCDEFGHJKMNPQ\n"
	stripe2 = "txn_2,2026-09-20 02:20:00,2026-09-22 00:00:00,cny,-49.00,0.00,-49.00,refund,r-1,,p-1," +
		"0123456789ABCDEFGHJKMNPQ\n"
	stripe3    = "txn_3,2026-09-20 18:00:00,2026-09-20 18:00:00,cny,-0.95,0.00,-0.95,payout,po_1,STRIPE PAYOUT,,"
	stripeBill = stripeHead + stripe1 + stripe2 + stripe3

	adyenHead = "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date," +
		"TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate," +
		"Net Currency,Net Debit (NC),Net Credit (NC),Commission (NC),Batch Number\n"
	adyen1 = "Shop,ShopCN,p-1,0123456789ABCDEFGHJKMNPQ,visa,2026-09-20 04:15:00,CEST,Settled,c-1,CNY,,49.00,1," +
		"CNY,,48.50,0.50,7\n"
	adyen2 = "Shop,ShopCN,p-1,0123456789ABCDEFGHJKMNPQ,visa,2026-09-20 04:20:00,CEST,Refunded,r-1,CNY,49.00,,1," +
		"CNY,49.00,,,7\n"
	adyen3    = "Shop,ShopCN,,,,2026-09-20 05:00:00,CEST,MerchantPayout,,CNY,,,,CNY,0.50,,,7\n"
	adyenBill = adyenHead + adyen1 + adyen2 + adyen3

	ownMap = `# a bank's list
separator: ";"
encoding: gbk
skip: ["*"]
columns:
  payment_id: Ref
  order_no: [Zweck, Order]
  amount: Betrag
  kind: Art
  at: Datum
  refund_id: Ref
  refund_payment_id: Zu
kinds: {Eingang: payment, Storno: refund, "*": other}
amounts: decimal
currency: CNY
zone: Europe/Berlin
time: DD.MM.YYYY hh:mm:ss
totals:
  - {begins: Summe, figures: [rows]}
`
	mappedHead = "* Bank\nRef;Zu;Zweck;Betrag;Art;Datum;Name\n"
	mapped1    = "p-1;;0123456789ABCDEFGHJKMNPQ;49;Eingang;20.09.2026 04:15:00;\"王; 伟\"\n"
	mapped2    = "r-1;p-1;0123456789ABCDEFGHJKMNPQ;-49.0;Storno;20.09.2026 04:20:00;\n"
	mapped3    = "x;;;-0.30;Gebühr;20.09.2026 05:00:00;\n"
	mappedBill = mappedHead + mapped1 + mapped2 + mapped3 + "Summe 3"
)

// bills are a statement in each format, in the provider's encoding.
func bills(t testing.TB) map[statement.Format]string {
	return map[statement.Format]string{statement.WeChat: wechatBill, statement.Alipay: gbk(t, alipayBill),
		statement.PayPal: paypalBill, statement.Stripe: stripeBill, statement.Adyen: adyenBill,
		statement.Mapped: gbk(t, mappedBill)}
}

func gbk(t testing.TB, text string) string {
	t.Helper()
	encoded, err := simplifiedchinese.GB18030.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// asked is how a statement is read when its format is asked for, or found out.
func asked(t testing.TB, format statement.Format) *statement.Reading {
	t.Helper()
	how, name := new(statement.Reading), string(format)
	if format == statement.Mapped {
		name += ":a.yaml"
	}
	if err := how.ParseFormat(name, func(string) ([]byte, error) { return []byte(ownMap), nil }); err != nil {
		t.Fatal(err)
	}
	return how
}

func rowsOf(t *testing.T, text string, how *statement.Reading) (rows []statement.Row) {
	t.Helper()
	r, err := statement.Open(strings.NewReader(text), how)
	if err != nil {
		t.Fatal(err)
	}
	for {
		var row statement.Row
		err := r.Next(&row)
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		if row.Kind != statement.Foreign {
			row.Line = 0
			rows = append(rows, row)
		}
	}
}

// Each format, asked for by name and found out by its header, with either line end, with
// and without a last one, in either encoding, says the same payment and refund.
func TestFormatsSayTheSame(t *testing.T) {
	want := []statement.Row{
		{Kind: statement.Payment, PaymentID: "p-1", OrderNo: order, Amount: 4900, Currency: "CNY", At: paidAt},
		{Kind: statement.Refund, PaymentID: "p-1", OrderNo: order, Amount: 4900, Currency: "CNY", At: paidAt + 300_000,
			RefundID: "r-1"}}
	plain := map[statement.Format]string{statement.Alipay: alipayBill, statement.WeChat: wechatBill[3:]}
	for format, text := range bills(t) {
		ways := map[string]string{"as it is": text, "with an end": strings.TrimRight(text, "\r\n") + "\n",
			"without an end": strings.TrimRight(text, "\r\n"),
			"from Windows":   strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")}
		if plain[format] != "" {
			ways["in UTF-8 without a mark"] = plain[format]
			ways["in UTF-8 with a mark"] = "\xef\xbb\xbf" + plain[format]
			ways["in GBK"] = gbk(t, plain[format])
		}
		want[0].PayType = map[statement.Format]string{statement.WeChat: "wechat", statement.Alipay: "alipay",
			statement.PayPal: "paypal", statement.Adyen: "visa"}[format]
		for name, text := range ways {
			hows := []*statement.Reading{asked(t, format)}
			if format != statement.Mapped {
				hows = append(hows, asked(t, statement.Auto))
			}
			for _, how := range hows {
				t.Run(fmt.Sprintf("%s by %s %s", format, how.As, name), func(t *testing.T) {
					if rows := rowsOf(t, text, how); fmt.Sprint(rows) != fmt.Sprint(want) {
						t.Errorf("%+v\nwant %+v", rows, want)
					}
					s, err := statement.Check(context.Background(), strings.NewReader(text), how, nil)
					if err != nil || s.Format != format || s.Payments != 1 || s.Refunds != 1 {
						t.Errorf("%+v, %v", s, err)
					}
				})
			}
		}
	}
}

// A statement that is wrong anywhere is rejected, with its line and what is wrong.
func TestBadStatementsOfFormats(t *testing.T) {
	swap := func(text, old, by string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("no %q to replace", old)
		}
		return strings.Replace(text, old, by, 1)
	}
	for _, c := range []struct {
		format           statement.Format
		name, text, want string
	}{
		{statement.WeChat, "a line is missing", swap(wechatBill, wechat2, ""),
			"line 4: its totals (总交易单数) say 2 for the number of rows, and its rows come to 1"},
		{statement.WeChat, "an amount is another", swap(wechatBill, "0.60%,`49.00", "0.60%,`48.00"),
			"line 5: its totals (总交易单数) say 49.00 for money in, and its rows come to 48.00"},
		{statement.WeChat, "no totals", wechatHeader + wechat1 + wechat2, "it ends without its totals (总交易单数)"},
		{statement.WeChat, "half of the totals", wechatHeader + wechat1 + wechat2 + wechatTotals,
			"it ends without its totals"},
		{statement.WeChat, "cut off in the totals", wechatBill[:len(wechatBill)-8],
			"have 6 numbers, and there should be 7"},
		{statement.WeChat, "cut off in a row", wechatHeader + wechat1[:80],
			"line 2: it has 10 columns, the header has 27"},
		{statement.WeChat, "a row behind", wechatBill + "\n" + wechat1, "line 6: it is a row behind the totals"},
		{statement.WeChat, "another state", swap(wechatBill, "SUCCESS", "PAID"),
			`line 2: the 交易状态 "PAID" is no kind of row`},
		{statement.WeChat, "a garbled amount", swap(wechatBill, "0.60%,`49.00", "0.60%,`4x.00"),
			`line 2: the 订单金额 "4x.00" is no amount such as 49.00`},
		{statement.WeChat, "a third of a cent", swap(wechatBill, "0.60%,`49.00", "0.60%,`49.003"), "is no amount"},
		{statement.WeChat, "a garbled time", swap(wechatBill, "`2026-09-20", "`2026-19-20"),
			`line 2: the 交易时间 "2026-19-20 10:15:00" is no time`},
		{statement.WeChat, "a garbled order", swap(wechatBill, "0123456789ABCDEFGHJKMNPQ", "'0123456789ABCDEFGHJKMNPQ"),
			"line 2: the 商户订单号"},
		{statement.WeChat, "another format", stripeBill, "none of its first lines is the header of wechat"},
		{statement.WeChat, "empty", "", "the file is empty"},
		{statement.Alipay, "a line is missing", gbk(t, swap(alipayBill, alipay3, "")),
			"line 9: its totals (#支出合计) say 2 for the number of rows with money out, and its rows come to 1"},
		{statement.Alipay, "another sum", gbk(t, swap(alipayBill, "共49.00", "共149.00")),
			"line 11: its totals (#收入合计) say 149.00 for money in, and its rows come to 49.00"},
		{statement.Alipay, "cut off", gbk(t, alipayHead+alipay1), "line 6: it ends without its totals (#支出合计)"},
		{statement.Alipay, "neither encoding", gbk(t, alipayHead) + "\xff\xff,\n",
			"line 6: it is neither UTF-8 nor GBK"},
		{statement.Alipay, "money the other way", gbk(t, swap(alipayBill, "交易退款", "在线支付")),
			"line 7: the row is a payment, and its money goes the other way"},
		{statement.PayPal, "another sum", swap(paypalBill, `"SF",4900`, `"SF",4901`),
			"line 8: its totals (SF) say 4901 for money in, and its rows come to 4900"},
		{statement.PayPal, "a line is missing", swap(swap(paypalBill, paypal3, ""), "5000", "4900"),
			"line 8: its totals (SC) say 3 for the number of rows, and its rows come to 2"},
		{statement.PayPal, "another record", swap(paypalBill, `"FF"`, `"XX"`), `it begins with "XX"`},
		{statement.PayPal, "neither way", swap(paypalBill, `"CR"`, `"UP"`),
			`line 5: the Transaction Debit or Credit "UP" is neither CR nor DR`},
		{statement.PayPal, "decimals", swap(paypalBill, `"CR",4900`, `"CR",49.50`),
			`"49.50" is no amount such as 4900`},
		{statement.PayPal, "a quote is open", swap(paypalBill, `"T1107"`, `"T1107`), "line 6: there is text behind"},
		{statement.Stripe, "no time", swap(stripeBill, "2026-09-20 02:15:00", ""),
			`line 2: the created_utc "" is no time`},
		{statement.Stripe, "cut off", stripeHead + stripe1[:60], "line 2: it has 6 columns, the header has 12"},
		{statement.Stripe, "a refund of nothing known", swap(stripeBill, "refund,r-1,,p-1", "refund,r-1,,"),
			`line 3: the source_id "" has not 1 to`},
		{statement.Stripe, "says two things", swap(stripeBill, stripe2, swap(stripe1, "49.00", "50.00")),
			"line 3: it says of its payment_id something else than line 2"},
		{statement.Adyen, "a time zone of nowhere", swap(adyenBill, "CEST", "XYZ"), `line 2: the time zone "XYZ"`},
		{statement.Adyen, "no amount", swap(adyenBill, "CNY,,49.00", "CNY,,a"), `line 2: the Gross Credit (GC) "a"`},
		{statement.Adyen, "a header without", swap(adyenBill, "Psp Reference", "Reference"),
			"the header of adyen: the one most like it lacks Psp Reference"},
		{statement.Mapped, "another sum", gbk(t, swap(mappedBill, "Summe 3", "Summe 4")),
			"line 6: its totals (Summe) say 4 for the number of rows, and its rows come to 3"},
		{statement.Mapped, "no such day", gbk(t, swap(mappedBill, "20.09.2026", "09/20/2026")),
			`line 3: the Datum "09/20/2026 04:15:00" is no time such as DD.MM.YYYY hh:mm:ss`},
		{statement.Auto, "nothing known", "a,b\n1,2\n",
			"none of its first lines is the header of a format that is known: " +
				"csv, wechat, alipay, paypal, stripe, adyen; map the columns"},
		{statement.Auto, "two at once", strings.TrimSuffix(stripeHead, "\n") + "," + adyenHead,
			"line 1: its header is that of stripe and adyen; say which it is"},
		{statement.Auto, "empty", "\xef\xbb\xbf", "the file is empty"},
		{statement.Auto, "ours cut off", header + good[:30], "line 2: it has no end"},
	} {
		t.Run(string(c.format)+" "+c.name, func(t *testing.T) {
			_, err := statement.Check(context.Background(), strings.NewReader(c.text), asked(t, c.format), nil)
			var bad *statement.Malformed
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// auto takes our own formats, too.
func TestAutoTakesOurs(t *testing.T) {
	for format, text := range map[statement.Format]string{statement.CSV: header + good,
		statement.NDJSON: `{"payment_id":"p-1","order_no":"` + order + `","amount":4900,"currency":"CNY",` +
			`"kind":"payment","at":"2026-09-20T02:15:00Z"}` + "\n"} {
		s, err := statement.Check(context.Background(), strings.NewReader(text), asked(t, statement.Auto), nil)
		if err != nil || s.Format != format || s.Payments != 1 {
			t.Errorf("%s: %+v, %v", format, s, err)
		}
	}
}

// What must not be booked is not ours, with its money; what the cashier paid in coupons
// is the order's, too.
func TestRowsThatAreNotOurs(t *testing.T) {
	for _, c := range []struct {
		name, text, why string
		amount          int64
	}{
		{"a refund that failed", wechatHeader + strings.Replace(wechat2, "ORIGINAL,`SUCCESS", "ORIGINAL,`FAIL", 1) +
			wechatTotals + "`1,`0,`0,`0,`0,`0,`49", "nothing came of it", -4900},
		{"money that we sent", paypalHead + strings.Replace(paypal1, "CR", "DR", 1) + `"SF",0,4900` + "\n",
			"money that goes the other way", -4900},
		{"another shop's", stripeHead + strings.Replace(stripe1, order, "R/1", 1),
			"order number of another shop or channel", 4900},
		{"no order", stripeHead + strings.Replace(stripe1, order, "", 1), "no order number", 4900},
		{"a payout", stripeHead + stripe3, "another kind of row than payments and refunds", -95},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := statement.Check(context.Background(), strings.NewReader(c.text), asked(t, statement.Auto), nil)
			if err != nil || s.Payments+s.Refunds != 0 || len(s.NotOurs.By) != 1 || s.NotOurs.By[0].Why != c.why ||
				s.NotOurs.Money[0] != (statement.Sum{Currency: "CNY", Amount: c.amount}) {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

// However many words a map has for what came to nothing, the reasons in a report are few.
func TestReasonsAreBounded(t *testing.T) {
	var void, rows strings.Builder
	for i := range 100 {
		fmt.Fprintf(&void, "v%d, ", i)
		fmt.Fprintf(&rows, "p-%d,%s,1,2026-09-20 10:15:00,v%d\n", i, order, i)
	}
	how := new(statement.Reading)
	if err := how.ParseFormat("map:a", func(string) ([]byte, error) {
		return []byte("columns: {payment_id: a, order_no: b, amount: c, at: d, state: e}\ncurrency: CNY\nzone: UTC\n" +
			"void: [" + void.String() + "]\n"), nil
	}); err != nil {
		t.Fatal(err)
	}
	s, err := statement.Check(context.Background(), strings.NewReader("a,b,c,d,e\n"+rows.String()), how, nil)
	if err != nil || s.NotOurs.Count != 100 || len(s.NotOurs.By) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// What the shopper was asked for counts, in the decimals of its currency.
func TestAmountsOfTheOrder(t *testing.T) {
	head := strings.Replace(stripeHead, "charge_id", "charge_id,customer_facing_amount,customer_facing_currency", 1)
	text := head + strings.Replace(stripe1, "box\",p-1", "box\",p-1,1200,jpy", 1) +
		strings.Replace(strings.Replace(stripe1, "box\",p-1", "box\",p-2,1.234,kwd", 1), "charge,p-1", "charge,p-2", 1)
	rows := rowsOf(t, text, asked(t, statement.Stripe))
	if len(rows) != 2 || rows[0].Amount != 1200 || rows[0].Currency != "JPY" || rows[1].Amount != 1234 {
		t.Errorf("%+v", rows)
	}
}

func zipped(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err == nil {
			_, err = io.WriteString(f, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// One statement in an archive is read; what else an archive can be is told.
func TestArchives(t *testing.T) {
	good := zipped(t, "bill/", "", "bill/a.csv", wechatBill, "bill/a(汇总).csv", "sums")
	broken := bytes.Clone(good)
	broken[len(broken)/3] ^= 0xff
	many := make([]string, 0, 60_000)
	for i := range 30_000 {
		many = append(many, fmt.Sprintf("a-name-that-is-somewhat-long-%d", i), "")
	}
	for _, c := range []struct {
		name, want string
		text       []byte
	}{
		{"one", "", good},
		{"none", "it has 0 files", zipped(t, "a/", "")},
		{"two", "it has 2 files", zipped(t, "a.csv", wechatBill, "b.csv", wechatBill)},
		{"many", "it has too many files", zipped(t, many...)},
		{"cut off", "it can't be read", good[:len(good)-30]},
		{"damaged", "", broken},
		{"a bomb", "what is in it is too long for it", zipped(t, "a.csv", wechatHeader+strings.Repeat("\n", 8<<20))},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, err := statement.Unpacked(bytes.NewReader(c.text), int64(len(c.text)))
			if err == nil {
				defer from.Close()
				_, err = statement.Check(context.Background(), from, asked(t, statement.Auto), nil)
			}
			var bad *statement.Malformed
			switch {
			case c.name == "one":
				if err != nil {
					t.Error(err)
				}
			case !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want):
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// A map is read strictly, and what is wrong with it is told with its line.
func TestBadMaps(t *testing.T) {
	for _, c := range []struct{ name, old, by, want string }{
		{"a key of no map", "zone:", "zones:", "line 16: field zones not found"},
		{"a key twice", "amounts: decimal", "zone: UTC", "already defined at line"},
		{"an unknown column", "refund_id:", "refund:", `line 11: "refund" is none of payment_id, order_no`},
		{"a column of no name", "amount: Betrag", `amount: ""`, "line 8: a name of a column is empty"},
		{"a missing column", "  at: Datum\n", "", "line 5: the column for at is not named"},
		{"an unknown kind", "Storno: refund", "Storno: back", `line 13: "back" is none of payment, refund, other`},
		{"an unknown zone", "Europe/Berlin", "CST", `line 16: "CST" is not an IANA time zone`},
		{"no zone", "zone: Europe/Berlin\n", "", "line 2: name the zone of the times"},
		{"no currency", "currency: CNY\n", "", "line 2: name the column of the currency"},
		{"a garbled currency", "currency: CNY", "currency: yuan", `line 15: "yuan" is no ISO 4217 code`},
		{"an encoding", "encoding: gbk", "encoding: latin1", `line 3: "latin1" is none of utf-8, gbk`},
		{"a time", "DD.MM.YYYY", "DD.MM.YY", "line 17: a time is written such as"},
		{"a separator of words", `separator: ";"`, "separator: a", `line 2: "a" separates no cells`},
		{"a quote for separator", `separator: ";"`, `separator: "\""`, `line 2: "\"" separates no cells`},
		{"what skips all", `skip: ["*"]`, `skip: ["*", ""]`, `line 4: skip has "", which every line begins with`},
		{"a figure", "[rows]", "[rowz]", `line 18: "rowz" is none of rows, in`},
		{"no YAML", "columns:", "columns: [", "line 6, column "},
		{"two of them", "totals:", "---\ntotals:", "one document"},
		{"too long", "# a bank's list", "# " + strings.Repeat("x", statement.MaxMapBytes), "at most 4096 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := statement.ReadMap([]byte(strings.Replace(ownMap, c.old, c.by, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "statement.") {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
	if _, err := statement.ReadMap(nil); err == nil {
		t.Error("an empty map was taken")
	}
	for _, format := range []string{"", "wechat ", "map", "excel"} {
		if err := new(statement.Reading).ParseFormat(format, nil); err == nil ||
			!strings.Contains(err.Error(), "is none of auto, csv, wechat, alipay, paypal, stripe, adyen, map:FILE") {
			t.Errorf("%q: %v", format, err)
		}
	}
}

// FuzzFormats: whatever is sent in whichever format is read without a panic, to an end,
// and what is taken is within the bounds of a row, the same each time.
func FuzzFormats(f *testing.F) {
	formats := append(statement.Formats(), string(statement.Mapped))
	for format, text := range bills(f) {
		for i, name := range formats {
			if name == string(format) {
				f.Add(uint8(i), []byte(text))
			}
		}
		f.Add(uint8(0), []byte(text))
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		how := asked(t, statement.Format(formats[int(which)%len(formats)]))
		summary, err := statement.Check(context.Background(), bytes.NewReader(text), how, nil)
		if err != nil {
			var bad *statement.Malformed
			if !errors.As(err, &bad) || len(bad.Problems) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		r, err := statement.Open(bytes.NewReader(text), how)
		if err != nil {
			t.Fatal(err)
		}
		rows, foreign := int64(0), int64(0)
		for {
			var row statement.Row
			err := r.Next(&row)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("checked and yet: %v", err)
			}
			if row.Kind == statement.Foreign {
				foreign++
				continue
			}
			if _, again := summary.Repeats(row.Line); !again {
				rows++
			}
			if row.Amount < 0 || row.Amount > engine.MaxPrice*engine.MaxQuantity || !engine.ValidKey(row.PaymentID) ||
				row.At < summary.First || row.At > summary.Last {
				t.Fatalf("%+v", row)
			}
		}
		if rows != summary.Payments+summary.Refunds || foreign != summary.NotOurs.Count {
			t.Fatalf("%d rows and %d foreign, %+v", rows, foreign, summary)
		}
	})
}

// wechatOf is WeChat's bill of so many payments.
func wechatOf(rows int) io.Reader {
	return io.MultiReader(strings.NewReader(wechatHeader), &endless{row: func(i int) string {
		return strings.Replace(wechat1, "`p-1", fmt.Sprintf("`p-%d", i), 1)
	}, left: rows}, strings.NewReader(wechatTotals+fmt.Sprintf("`%d,`0,`0,`0,`0,`%d.00,`0.00", rows, 49*rows)))
}

// BenchmarkWeChat reads a million lines as a run does: checked whole, and read again for
// what was paid.
func BenchmarkWeChat(b *testing.B) {
	const rows = 1_000_000
	how := asked(b, statement.Auto)
	for b.Loop() {
		if _, err := statement.Check(context.Background(), wechatOf(rows), how, nil); err != nil {
			b.Fatal(err)
		}
		r, err := statement.Open(wechatOf(rows), how)
		for row := (statement.Row{}); err == nil; {
			err = r.Next(&row)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
}

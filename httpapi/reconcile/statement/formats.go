package statement

import (
	"fmt"
	"slices"
	"strings"
)

// Format is how a statement is written.
type Format string

// Formats of our own.
const (
	CSV    Format = "csv"
	NDJSON Format = "ndjson"
)

// Formats of providers.
const (
	WeChat Format = "wechat" // WeChat Pay's bill of all transactions
	Alipay Format = "alipay" // Alipay's account details
	PayPal Format = "paypal" // PayPal's settlement report
	Stripe Format = "stripe" // Stripe's itemized balance change from activity
	Adyen  Format = "adyen"  // Adyen's settlement details
	Mapped Format = "map"    // as a user's map says
)

// Auto has the header of a statement say its format.
const Auto = "auto"

// provider is a format and how it is written.
type provider struct {
	Format
	Layout
}

// Published says by which hour, and in which zone, the statement of a day is there on the
// next: by what providers promise, and half an hour more. Formats that are no provider's
// have the hour of a night.
func (f Format) Published() (hour, zone string) {
	switch f {
	case WeChat, Alipay: // after 10:00; in the course of the morning
		return "10:30", "Asia/Shanghai"
	case PayPal, Stripe: // by noon
		return "12:30", "UTC"
	case Adyen: // its days are Amsterdam's unless an account says otherwise
		return "06:30", "Europe/Amsterdam"
	}
	return "04:30", "UTC"
}

var providers = []provider{
	{WeChat, Layout{
		Tick: "`", Zone: "Asia/Shanghai", PaymentType: "wechat",
		Columns: map[string]names{
			"at": {"交易时间"}, "payment_id": {"微信订单号"}, "order_no": {"商户订单号"}, "currency": {"货币种类"},
			"kind": {"交易状态"}, "state": {"退款状态"}, "refund_id": {"微信退款单号"},
			// What the order came to, not what was left of it after coupons.
			"amount": {"订单金额"}, "refund_amount": {"申请退款金额"},
		},
		Kinds: map[string]string{"SUCCESS": "payment", "REFUND": "refund", "REVOKED": "refund"},
		Void:  []string{"FAIL", "CHANGE"},
		Totals: []Total{{Begins: "总交易单数", Next: true,
			Figures: []string{"rows", "-", "-", "-", "-", "in", "out"}}},
	}},
	{Alipay, Layout{
		Encoding: "gbk", Unquoted: true, Skip: []string{"#"}, Zone: "Asia/Shanghai", Currency: "CNY",
		PaymentType: "alipay",
		Columns: map[string]names{
			"at": {"发生时间"}, "payment_id": {"业务流水号"}, "order_no": {"商户订单号"}, "kind": {"业务类型"},
			"amount": {"收入金额（+元）"}, "refund_amount": {"支出金额（-元）"}, "refund_id": {"账务流水号"},
		},
		Kinds: map[string]string{"在线支付": "payment", "交易付款": "payment", "交易退款": "refund", "退款": "refund",
			"退款（交易退款）": "refund", "*": "other"},
		Totals: []Total{{Begins: "#支出合计", Figures: []string{"out rows", "out"}},
			{Begins: "#收入合计", Figures: []string{"in rows", "in"}}},
	}},
	{PayPal, Layout{
		Header: "CH", Row: "SB", Skip: []string{"RH", "FH", "SH", "RF", "RC", "FF"}, Amounts: "minor",
		Time: "YYYY/MM/DD hh:mm:ss ZZ", In: "CR", Out: "DR", PaymentType: "paypal",
		Columns: map[string]names{
			"at": {"Transaction Initiation Date"}, "payment_id": {"Transaction ID"}, "order_no": {"Invoice ID"},
			"kind": {"Transaction Event Code"}, "direction": {"Transaction Debit or Credit"},
			"amount": {"Gross Transaction Amount"}, "currency": {"Gross Transaction Currency"},
			"refund_payment_id": {"PayPal Reference ID"}, "refund_id": {"Transaction ID"},
		},
		Kinds: map[string]string{"T00*": "payment", "T1107": "refund", "*": "other"},
		Totals: []Total{{Begins: "SF", Figures: []string{"in", "out"}},
			{Begins: "SC", Figures: []string{"rows"}, Optional: true}},
	}},
	{Stripe, Layout{
		Zone: "UTC",
		Columns: map[string]names{
			"at": {"created_utc"}, "payment_id": {"source_id"}, "order_no": {"payment_metadata[order_no]"},
			"kind": {"reporting_category"}, "refund_payment_id": {"charge_id"}, "refund_id": {"source_id"},
			// What the shopper was asked for, not what it came to in the account's currency.
			"amount": {"customer_facing_amount", "gross"}, "currency": {"customer_facing_currency", "currency"},
			"payment_type": {"payment_method_type"},
		},
		Kinds: map[string]string{"charge": "payment", "refund": "refund", "*": "other"},
	}},
	{Adyen, Layout{
		Columns: map[string]names{
			"at": {"Creation Date"}, "zone": {"TimeZone"}, "payment_id": {"Psp Reference"},
			"order_no": {"Merchant Reference"}, "kind": {"Type"}, "refund_id": {"Modification Reference"},
			"amount": {"Gross Credit (GC)"}, "refund_amount": {"Gross Debit (GC)"}, "currency": {"Gross Currency"},
			"payment_type": {"Payment Method"},
		},
		Kinds: map[string]string{"Settled": "payment", "Refunded": "refund", "*": "other"},
	}},
}

// Formats are the names that a format can be asked for by, but for maps.
func Formats() []string {
	all := []string{Auto, string(CSV)}
	for _, p := range providers {
		all = append(all, string(p.Format))
	}
	return all
}

// ParseFormat notes how a statement is written: one of Formats, or map:FILE, which read
// reads.
func (h *Reading) ParseFormat(text string, read func(file string) ([]byte, error)) error {
	file, mapped := strings.CutPrefix(text, string(Mapped)+":")
	if !mapped {
		if !slices.Contains(Formats(), text) {
			return fmt.Errorf("%s is none of %s, map:FILE", quoted(text), strings.Join(Formats(), ", "))
		}
		h.As = Format(text)
		return nil
	}
	content, err := read(file)
	if err != nil {
		return err
	}
	if h.Map, err = ReadMap(content); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	h.As = Mapped
	return nil
}

// layouts are the providers' that a statement may be written in.
func (h *Reading) layouts() []provider {
	if h.As == Mapped {
		return []provider{{Mapped, *h.Map}}
	}
	return slices.DeleteFunc(slices.Clone(providers), func(p provider) bool {
		return h.As != Auto && h.As != p.Format
	})
}

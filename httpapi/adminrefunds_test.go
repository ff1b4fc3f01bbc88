package httpapi

import (
	"testing"

	"doorbuster/engine"
)

func TestRefundsDueByPages(t *testing.T) {
	due := []engine.RefundView{
		{Refund: engine.Refund{No: 3, PaymentID: "p-3", Amount: 100, Currency: "CNY", Why: engine.ReasonPaidLate,
			PaidAt: fakeNow, Due: fakeNow}, OrderNo: "0123456789ABCDEFGHJKMNPQ"},
		{Refund: engine.Refund{No: 7, PaymentID: "p-7", Amount: 200, Currency: "CNY", Why: engine.ReasonVoided,
			Due: fakeNow}, OrderNo: "0123456789ABD"},
		{Refund: engine.Refund{No: 8, PaymentID: "p-8", Amount: 300, Currency: "CNY", Why: engine.ReasonVoided,
			Due: fakeNow}, OrderNo: "0123456789ABE"},
	}
	at := rfc3339(fakeNow)
	first := `{"refund_no":3,"order_no":"0123456789ABCDEFGHJKMNPQ","payment_id":"p-3","amount":100,"currency":"CNY","reason":"paid_late","paid_at":"` + at + `","due_at":"` + at + `"}`
	second := `{"refund_no":7,"order_no":"0123456789ABD","payment_id":"p-7","amount":200,"currency":"CNY","reason":"voided","due_at":"` + at + `"}`
	third := `{"refund_no":8,"order_no":"0123456789ABE","payment_id":"p-8","amount":300,"currency":"CNY","reason":"voided","due_at":"` + at + `"}`
	s := newTestAdmin(t, &fakeOperator{due: due})
	for query, want := range map[string]string{
		"":                  `{"refunds":[` + first + `,` + second + `,` + third + `],"asking":false}`,
		"?limit=3":          `{"refunds":[` + first + `,` + second + `,` + third + `],"asking":false}`,
		"?limit=2":          `{"refunds":[` + first + `,` + second + `],"asking":false,"cursor":"7"}`,
		"?limit=2&cursor=7": `{"refunds":[` + third + `],"asking":false}`,
		"?cursor=8":         `{"refunds":[],"asking":false}`,
	} {
		if w := askAdmin(s, "GET", "/admin/v1/refunds"+query, ""); w.Code != 200 || w.Body.String() != want+"\n" {
			t.Errorf("%q: status %d\n%s, want\n%s", query, w.Code, w.Body, want)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?cursor=x", "?cursor=-1", "?cursor=4294967296"} {
		wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/refunds"+query, ""), 400, "malformed")
	}
}

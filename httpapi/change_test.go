package httpapi

import (
	"encoding/json"
	"strings"
	"testing"

	"doorbuster/engine"
)

func TestChangeOf(t *testing.T) {
	order := engine.OrderView{OrderNo: "7H2K", Shopper: "ann", State: engine.RefundDue, Amount: 250, Currency: "CNY",
		HasReceiver: true, Receiver: engine.Receiver{Sealed: "Ann Plain"}}
	event := engine.TrailEvent{TrailPosition: engine.TrailPosition{Index: 7, N: 1}, Kind: engine.OrderPaid, Time: 1,
		OrderNo: "7H2K", Amount: 250, Currency: "CNY", State: engine.Paid}
	b, err := json.Marshal(ChangeOf(&event, &order))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"index":7,"n":1,`, `"kind":"order_paid"`, `"state":"paid"`, `"order":{"order_no":"7H2K"`,
		`"state":"refund_due"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	if strings.Contains(string(b), "receiver") || strings.Contains(string(b), "Plain") {
		t.Errorf("where the goods go is told: %s", b)
	}
	if !order.HasReceiver {
		t.Error("the caller's order was changed")
	}
	if b, _ = json.Marshal(ChangeOf(&event, nil)); strings.Contains(string(b), `"order":`) {
		t.Errorf("an order is told where there is none: %s", b)
	}
}

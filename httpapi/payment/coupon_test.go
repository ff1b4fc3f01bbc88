package payment

import (
	"strings"
	"testing"
	"time"
)

// TestTakenWithACoupon: what a shopper paid is a part of what was due, and not nothing.
func TestTakenWithACoupon(t *testing.T) {
	for _, c := range []struct {
		amount, paid, coupon int64
		wrong                bool
	}{{100, 100, 0, false}, {100, 70, 30, false}, {100, 1, 99, false}, {0, 0, 0, false},
		{100, 0, 0, true}, {100, 101, 0, true}, {100, -1, 0, true}, {0, 1, 0, true}} {
		taken := Taken{PaymentID: "p", OrderNo: "0123456789ABCDEFGHJKMNPQ", Amount: &c.amount, AmountPaid: &c.paid,
			Currency: "CNY"}
		p, wrong := taken.Payment(time.Now())
		if (wrong != "") != c.wrong || !c.wrong && (p.Amount != c.amount || p.Coupon != c.coupon) {
			t.Errorf("%+v: %+v, %q", c, p, wrong)
		}
		if c.wrong && !strings.Contains(wrong, "The amount_paid must be 1 to the amount") {
			t.Errorf("%+v: %q", c, wrong)
		}
	}
}

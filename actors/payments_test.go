package actors_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestTransactionIsTheFirstGrabs: an order keeps the transaction that it came with.
func TestTransactionIsTheFirstGrabs(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 2))
	id := engine.Transaction{1, 2, 3}
	a := s.Grab(&engine.Grab{Listing: []byte("day/skus/mask"), Shopper: []byte("ann"), IdempotencyKey: []byte("k"),
		Quantity: 1, Transaction: id})
	if a.Code != engine.CodeGranted || a.Transaction != id {
		t.Fatalf("granted %+v", a)
	}
	again := s.Grab(&engine.Grab{Listing: []byte("day/skus/mask"), Shopper: []byte("ann"), IdempotencyKey: []byte("k"),
		Quantity: 1, Transaction: engine.Transaction{9}})
	if again.Order != a.Order || again.Transaction != id {
		t.Errorf("asked again: %+v", again)
	}
	r, err := s.Pay(t.Context(), engine.Payment{OrderNo: a.No.String(), ID: "p", Amount: 100, Currency: "CNY",
		PaidAt: s.Now().Add(-time.Second)})
	if err != nil || r.Outcome != engine.PaymentTaken || r.Order.State != engine.Paid || r.Order.Transaction != id ||
		r.Order.PaymentID != "p" {
		t.Errorf("paid: %+v, %v", r, err)
	}
}

// TestPaymentsThatDiffer are refused, each for its own reason, and change nothing.
func TestPaymentsThatDiffer(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 2))
	no := s.grab("day/skus/mask", "ann", "k").No.String()
	other := s.grab("day/skus/mask", "bob", "k").No.String()
	good := engine.Payment{OrderNo: no, ID: "p", Amount: 100, Currency: "CNY"}
	for why, bad := range map[engine.Reason]struct {
		change func(*engine.Payment)
		says   string
	}{
		engine.ReasonAmount: {func(p *engine.Payment) {
			p.Amount = 99
		}, "The order comes to 100 CNY, and 99 CNY were paid."},
		engine.ReasonCurrency: {func(p *engine.Payment) {
			p.Currency = "EUR"
		}, "The order comes to 100 CNY, and 100 EUR were paid."},
		engine.ReasonUnknown: {func(p *engine.Payment) { p.OrderNo = "0000000000000" }, ""},
	} {
		p := good
		bad.change(&p)
		_, err := s.Pay(t.Context(), p)
		var refused *engine.Refusal
		if !errors.As(err, &refused) || refused.Reason != why || refused.Detail != bad.says {
			t.Errorf("%s: %v, %+v", why, err, refused)
		}
	}
	if v, err := s.AnyOrder(no); err != nil || v.State != engine.Held || v.PaymentID != "" {
		t.Errorf("something has changed: %+v, %v", v, err)
	}
	if _, err := s.Pay(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	p := good
	p.OrderNo = other
	_, err := s.Pay(t.Context(), p)
	var refused *engine.Refusal
	if !errors.As(err, &refused) || refused.Reason != engine.ReasonConflict ||
		!strings.Contains(refused.Detail, "another order") {
		t.Errorf("the payment of another order: %v, %+v", err, refused)
	}
	if r, err := s.Pay(t.Context(), good); err != nil || r.Outcome != engine.PaymentUnchanged {
		t.Errorf("again: %+v, %v", r, err)
	}
}

// TestGraceEndsWhereTheCashierCloses: what is past its time to pay is found without
// anything else happening, and released at once.
func TestGraceEndsWhereTheCashierCloses(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", func(x *engine.SessionPlan) { x.PayWithin, x.PayGrace = time.Second, time.Hour }, units("mask", 2))
	a := s.grab("day/skus/mask", "ann", "k")
	bob := s.grab("day/skus/mask", "bob", "k")
	if err := isRefusal(s.CloseHold(t.Context(), a.Order), engine.ReasonNotHeld); err != nil {
		t.Error("before its time: ", err)
	}
	await(t, "the grace", func() bool {
		holds, _ := s.InGrace(engine.OrderRef{}, 10)
		return len(holds) == 2
	})
	first, last := s.InGrace(engine.OrderRef{}, 1)
	second, end := s.InGrace(last, 1)
	if len(first) != 1 || first[0] != a.Order || len(second) != 1 || second[0] != bob.Order || !end.IsZero() {
		t.Errorf("in grace: %v, then %v up to %v", first, second, end)
	}
	for range 2 {
		if err := s.CloseHold(t.Context(), a.Order); err != nil {
			t.Error(err)
		}
	}
	if v, _ := s.AnyOrder(a.No.String()); v.State != engine.Expired {
		t.Errorf("closed: %+v", v)
	}
	if c := s.counts("day", "mask"); c.Available != 1 || c.Held != 1 {
		t.Errorf("%+v", c)
	}
	if holds, _ := s.InGrace(engine.OrderRef{}, 10); len(holds) != 1 || holds[0] != bob.Order {
		t.Errorf("in grace still: %v", holds)
	}
}

// TestRefundsAreConfirmedOnce, and forgotten by those who ask for what is due.
func TestRefundsAreConfirmedOnce(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 2))
	a := s.grab("day/skus/mask", "ann", "k")
	no := a.No.String()
	for _, id := range []string{"p1", "p2", "p3", "p2"} {
		if _, err := s.Pay(t.Context(), engine.Payment{OrderNo: no, ID: id, Amount: 100, Currency: "CNY"}); err != nil {
			t.Fatal(err)
		}
	}
	due := s.RefundsDue(0, 10)
	if nos, last := s.LookForRefunds(0, 10); !slices.Equal(nos, []engine.RefundNo{1, 2}) || last != 0 {
		t.Errorf("looked for: %v, up to %d", nos, last)
	}
	if n, since := s.RefundsOwed(); n != 2 || since != due[0].Due {
		t.Errorf("%d refunds are owed since %d", n, since)
	}
	if len(due) != 2 || due[0].OrderNo != no || due[0].PaymentID != "p2" || due[1].Why != engine.ReasonPaidTwice ||
		s.RefundsDue(due[0].No, 10)[0].No != due[1].No {
		t.Fatalf("due: %+v", due)
	}
	for range 2 {
		if err := s.ConfirmRefund(t.Context(), due[0].No, "ref"); err != nil {
			t.Error(err)
		}
	}
	for no, want := range []bool{1: false, 2: true, 3: false} {
		if v, still := s.RefundDue(engine.RefundNo(no)); still != want || still && v.PaymentID != "p3" {
			t.Errorf("refund %d: %+v, due %v", no, v, still)
		}
	}
	if left := s.RefundsDue(0, 10); len(left) != 1 || left[0].PaymentID != "p3" {
		t.Errorf("due still: %+v", left)
	}
	if err := isRefusal(s.ConfirmRefund(t.Context(), 99, "ref"), engine.ReasonUnknown); err != nil {
		t.Error(err)
	}
}

package actors_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestAccounts: what came between two moments is found once, in pages, and refunds by
// their numbers; orders of nobody are told apart.
func TestAccounts(t *testing.T) {
	s := openShop(t, nil)
	s.plan("ten", nil, units("mask", 50))
	s.plan("eleven", nil, units("mask", 50))
	ctx := context.Background()
	began := s.Now()
	var numbers []string
	for i := range 20 {
		listing := []string{"ten", "eleven"}[i%2] + "/skus/mask"
		no := s.grab(listing, fmt.Sprint("ann", i), "k").No.String()
		numbers = append(numbers, no)
		if _, err := s.Pay(ctx, engine.Payment{OrderNo: no, ID: fmt.Sprint("p", i), Amount: 100, Currency: "CNY",
			PaidAt: began + engine.Time(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{3, 4} {
		if _, err := s.Void(ctx, engine.By{Operator: "ops"}, numbers[i], ""); err != nil {
			t.Fatal(err)
		}
	}
	var keys []engine.AccountKey
	for _, no := range append(numbers, "000000000000000000000000", "") {
		keys = append(keys, engine.AccountKey{OrderNo: no})
	}
	accounts, err := s.Accounts(ctx, keys)
	if err != nil || len(accounts) != 22 {
		t.Fatal(len(accounts), err)
	}
	for i, a := range accounts {
		amount, known, back := a.PaidBy(fmt.Sprint("p", i))
		if a.Known() != (i < 20) || known != a.Known() || known &&
			(amount != 100 || a.Order.OrderNo != numbers[i] || a.Timezone != "UTC") ||
			(back != nil) != (i == 3 || i == 4) {
			t.Errorf("%d: %+v", i, a)
		}
	}
	found, pages := map[string]bool{}, 0
	var at engine.TakingsPlace
	for more := true; more; pages++ {
		var page []engine.Account
		if page, at, more, err = s.Takings(ctx, began+2, began+12, at); err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			if found[a.Order.PaymentID] {
				t.Errorf("%s twice", a.Order.PaymentID)
			}
			found[a.Order.PaymentID] = true
		}
	}
	if len(found) != 10 || found["p1"] || found["p12"] || pages < 3 {
		t.Errorf("%d pages with %v", pages, found)
	}
	refunds, err := s.RefundsAfter(ctx, 0)
	if err != nil || len(refunds) != 2 || refunds[0].OrderNo != numbers[3] || refunds[1].PaidAt != began+4 {
		t.Errorf("%+v, %v", refunds, err)
	}
	if rest, err := s.RefundsAfter(ctx, 2); err != nil || len(rest) != 0 {
		t.Errorf("after the last: %v, %v", rest, err)
	}
	ended, stop := context.WithTimeout(ctx, time.Nanosecond)
	defer stop()
	<-ended.Done()
	if _, err := s.Accounts(ended, keys); err == nil {
		t.Error("looked up after its time")
	}
}

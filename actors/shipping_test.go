package actors_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestManyOrdersAreShipped: thousands of orders go through the office in steps, each once,
// whole or not at all, and asking again changes nothing.
func TestManyOrdersAreShipped(t *testing.T) {
	const orders = 2500 // more than two steps
	s := openShop(t, nil)
	virtual := units("code", orders+1)
	virtual.Delivery, virtual.LimitPerShopper = engine.DeliveryVirtual, 0
	s.plan("day", func(x *engine.SessionPlan) {
		x.ReceiveWithin, x.CompleteWithin, x.LimitPerShopper = 90*24*time.Hour, 0, 0
	}, virtual)
	ctx, by := t.Context(), engine.By{Operator: "ops"}
	var numbers []string
	for i := range orders {
		no := s.grab("day/skus/code", fmt.Sprint("s", i), "k").No.String()
		if _, err := s.Pay(ctx, engine.Payment{OrderNo: no, ID: fmt.Sprint("p", i), Amount: 100, Currency: "CNY",
			PayType: "wechat"}); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, no)
	}
	if _, err := s.Steer(ctx, by, "day", engine.SessionEnd, ""); err != nil {
		t.Fatal(err)
	}
	views, err := s.OrderViews(numbers)
	if err != nil || len(views) != orders {
		t.Fatal(len(views), err)
	}
	var refs []engine.OrderRef
	for _, v := range views {
		refs = append(refs, v.Ref)
	}
	var reviews []engine.Review
	var parcels []engine.Parcel
	for i, ref := range refs {
		reviews = append(reviews, engine.Review{Order: ref, Verdict: engine.ReviewPassed})
		parcels = append(parcels, engine.Parcel{Order: ref, Carrier: "mail", Tracking: fmt.Sprint(i)})
	}
	var rows engine.RowProblems
	if n, err := s.Ship(ctx, by, "day", parcels); !errors.As(err, &rows) || n != 0 ||
		len(rows) != engine.MostRowProblems || rows[0].Reason != engine.ReasonNotReviewed ||
		rows[0].OrderNo != numbers[0] {
		t.Fatalf("before the second look: %d, %v", n, err)
	}
	for _, want := range []int{orders, 0} {
		if n, err := s.Review(ctx, by, "day", reviews); n != want || err != nil {
			t.Errorf("review: %d, %v, want %d", n, err, want)
		}
	}
	if number, err := s.Export(ctx, by, "day", 0, refs); number != 1 || err != nil {
		t.Errorf("export: %d, %v", number, err)
	}
	if _, err := s.Export(ctx, by, "day", 0, refs[orders-1:]); !errors.As(err, &rows) ||
		rows[0].Reason != engine.ReasonConflict || rows[0].Row != 0 {
		t.Errorf("exported again: %v", err)
	}
	twice := append(parcels[:orders:orders], engine.Parcel{Order: refs[0], Carrier: "mail", Tracking: "other"})
	if n, err := s.Ship(ctx, by, "day", twice); !errors.As(err, &rows) || n != 0 || rows[0].Row != orders {
		t.Errorf("one order twice: %d, %v", n, err)
	}
	for _, want := range []int{orders, 0} {
		if n, err := s.Ship(ctx, by, "day", parcels); n != want || err != nil {
			t.Errorf("ship: %d, %v, want %d", n, err, want)
		}
	}
	if v, err := s.Received(ctx, "s7", numbers[7]); err != nil ||
		v.State != engine.Received && v.State != engine.Completed {
		t.Errorf("received: %+v, %v", v, err)
	}
	if _, err := s.Received(ctx, "s7", numbers[8]); err == nil {
		t.Error("another's order was received")
	}
	shipped, at, done := 0, engine.OrderRef{}, false
	for !done {
		var page []engine.OrderView
		if page, at, done, err = s.ParcelPage("day", engine.ParcelFilter{State: engine.Shipped, ByExport: true,
			Export: 1}, at, 1000); err != nil {
			t.Fatal(err)
		}
		for _, v := range page {
			if v.Carrier != "mail" || v.PayType != "wechat" || v.ShippedAt == 0 {
				t.Fatalf("%+v", v)
			}
		}
		shipped += len(page)
	}
	if shipped != orders-1 {
		t.Errorf("%d are on their way", shipped)
	}
	if n, err := s.ReceivedBy(ctx, by, "day", refs); n != orders-1 || err != nil {
		t.Errorf("received by operators: %d, %v", n, err)
	}
}

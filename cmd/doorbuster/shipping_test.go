package main

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"doorbuster/engine"
)

// TestExportsGoOn: an export that broke off goes on under its number for the same request,
// also once there are other orders, and is one for whoever asks twice.
func TestExportsGoOn(t *testing.T) {
	ctx := t.Context()
	n, err := openTemporary(ctx, t.TempDir(), io.Discard, []byte("products: [{id: unit, currency: CNY}]\nsales: [{id: "+
		"s, sessions: [{id: day, start: now, listings: [{sku: unit, price: 100, stock: 9, delivery: virtual}]}]}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(ctx); err != nil {
			t.Error(err)
		}
	}()
	for i := range 4 {
		a := n.office.Grab(&engine.Grab{Listing: []byte("day/skus/unit"), Shopper: fmt.Append(nil, "s", i),
			IdempotencyKey: []byte("k"), Quantity: 1})
		if a.Code != engine.CodeGranted {
			t.Fatal(a.Code)
		}
		if _, err := n.office.Pay(ctx, engine.Payment{OrderNo: a.No.String(), ID: fmt.Sprint("p", i), Amount: 100,
			Currency: "CNY", PaidAt: n.office.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	by := engine.By{Operator: "ops"}
	if _, err := n.office.Steer(ctx, by, "day", engine.SessionEnd, ""); err != nil {
		t.Fatal(err)
	}
	page, _, _, err := n.office.ParcelPage("day", engine.ParcelFilter{}, engine.OrderRef{}, 10)
	if err != nil || len(page) != 4 {
		t.Fatal(page, err)
	}
	var refs []engine.OrderRef
	var reviews []engine.Review
	for _, o := range page {
		refs = append(refs, o.Ref)
		reviews = append(reviews, engine.Review{Order: o.Ref, Verdict: engine.ReviewPassed})
	}
	if done, err := n.office.Review(ctx, by, "day", reviews); done != 4 || err != nil {
		t.Fatal(done, err)
	}
	export := func(key string, orders ...engine.OrderRef) uint32 {
		t.Helper()
		by.Key = key
		number, err := n.office.Export(ctx, by, "day", 0, orders)
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	// As if the node had been killed after the first step of a request with the key k.
	if number := export("k first", refs[0]); number != 1 {
		t.Errorf("the first export has the number %d", number)
	}
	for range 2 {
		if number := export("k", refs[1:3]...); number != 1 {
			t.Errorf("the rest of the first export has the number %d", number)
		}
		if number := export("k"); number != 1 {
			t.Errorf("asked again with nothing left to go out, the export has the number %d", number)
		}
	}
	if number := export("other", refs[3]); number != 2 {
		t.Errorf("the next export has the number %d", number)
	}
	by.Key = "third"
	var problems engine.RowProblems
	if _, err := n.office.Export(ctx, by, "day", 0, refs[:1]); !errors.As(err, &problems) {
		t.Errorf("an order went out twice: %v", err)
	}
}

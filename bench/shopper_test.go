package bench

import (
	"math"
	"testing"
)

func TestIntentsDeriveFromTheSeed(t *testing.T) {
	c := DefaultRushConfig()
	c.Listings = []Listing{{Session: "s", SKU: "a", Weight: 3}, {Session: "s", SKU: "b"}, {Session: "other", SKU: "c"}}
	c.Seed = 42
	const n = 20_000
	var pays, cancels, again, returns, second int
	listings := make([]int, len(c.Listings))
	for i := range n {
		it := c.intentOf(i)
		if it != c.intentOf(i) {
			t.Fatal("the same shopper means two things")
		}
		listings[it.listing]++
		count := func(n *int, is bool) {
			if is {
				*n++
			}
		}
		count(&pays, it.pays)
		count(&cancels, it.cancels)
		count(&again, it.again)
		count(&returns, it.returns > 0)
		count(&second, it.second >= 0)
		if it.second == it.listing || it.second == 2 || it.listing == 2 && it.second >= 0 {
			t.Fatalf("second listing %d beside %d", it.second, it.listing)
		}
		if it.pays && it.cancels {
			t.Fatal("pays and cancels")
		}
	}
	near := func(name string, got int, want float64) {
		if share := float64(got) / n; math.Abs(share-want) > 0.015 {
			t.Errorf("%s: share %.3f, want %.3f", name, share, want)
		}
	}
	near("pay", pays, c.PayShare)
	near("cancel", cancels, c.CancelShare)
	near("again", again, c.AgainShare)
	near("return", returns, c.ReturnShare)
	near("second", second, c.SecondListingShare*4/5) // the third listing stands alone
	near("first listing", listings[0], 0.6)
	near("third listing", listings[2], 0.2)

	other := c
	other.Seed = 43
	same := 0
	for i := range 1000 {
		if c.intentOf(i) == other.intentOf(i) {
			same++
		}
	}
	if same > 100 {
		t.Errorf("%d of 1000 intents are the same under another seed", same)
	}
}

func TestShopperNumbersComeBack(t *testing.T) {
	c := DefaultRushConfig()
	c.ShopperPrefix = "r-"
	for _, n := range []int{0, 9, 9999} {
		if got, ok := c.numberOf(c.shopper(n)); !ok || got != n {
			t.Errorf("%s is number %d, %v", c.shopper(n), got, ok)
		}
	}
	for _, name := range []string{"r-10000", "x-1", "r-", "r-1x"} {
		if _, ok := c.numberOf(name); ok {
			t.Errorf("%s has a number", name)
		}
	}
}

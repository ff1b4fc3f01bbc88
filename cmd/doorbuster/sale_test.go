package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The sale by hand, as a newcomer tries it.
func TestSaleByHand(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(1))

	first := s.grab("alice", "k1", mask)
	if first.Code != "granted" || first.Order.State != "held" || first.Order.Amount != 100 || first.Order.Currency != "CNY" ||
		first.Order.Session != "day" || first.Order.SKU != "mask" || first.Order.Quantity != 1 || time.Until(first.Order.PayBy) < 14*time.Minute {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	if again := s.grab("alice", "k1", mask); again.Code != "granted" || again.Order != first.Order {
		t.Errorf("the same key got %s", again.Body)
	}
	if other := s.mustRefuse("limit_reached", "alice", "k2", mask); other.Order != first.Order {
		t.Errorf("limit_reached without the order that counts: %s", other.Body)
	}
	if late := s.mustRefuse("sold_out", "bob", "", mask); late.Order.OrderNo != "" || strings.Contains(late.Body, "order") {
		t.Errorf("bob was told of an order: %s", late.Body)
	}
	if key := s.do("GET", s.http+"/v1/grabs/k1", "", "X-Shopper-Id", "alice"); key.Order != first.Order {
		t.Errorf("asked by key: %s", key.Body)
	}
	if foreign := s.order("bob", first.Order.OrderNo); foreign.Status != 404 {
		t.Errorf("bob sees alice's order: %d %s", foreign.Status, foreign.Body)
	}
	if paid := s.pay(first.Order, "p1"); paid.Status != 200 || paid.Order.State != "paid" {
		t.Errorf("pay: %d %s", paid.Status, paid.Body)
	}
	s.expect(mask, 0, 0, 1)
	if c := s.counts(mask); c.State != "ended" || c.Shoppers != 1 {
		t.Errorf("%+v", c)
	}
}

// A holder is never told that all is sold out: that would send them away from
// what is theirs.
func TestHolderAsksAgainAfterSoldOut(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(2))
	alice, bob := s.mustGrant("alice", "a", mask), s.mustGrant("bob", "b", mask)
	s.mustRefuse("sold_out", "carol", "", mask)
	for range 3 {
		if got := s.mustGrant("alice", "a", mask); got != alice {
			t.Errorf("alice: %+v, not %+v", got, alice)
		}
		if got := s.mustGrant("bob", "b", mask); got != bob {
			t.Errorf("bob: %+v, not %+v", got, bob)
		}
	}
	s.pay(alice, "p1")
	s.pay(bob, "p2")
	s.expect(mask, 0, 0, 2)
	// The session ends when everything is gone; the key still answers.
	if got := s.mustGrant("alice", "a", mask); got.OrderNo != alice.OrderNo || got.State != "paid" {
		t.Errorf("alice: %+v", got)
	}
	if s = s.reopenAfterStop(); s.mustGrant("alice", "a", mask).OrderNo != alice.OrderNo {
		t.Error("another order after the restart")
	}
}

func (s *shop) reopenAfterStop() *shop {
	s.t.Helper()
	s.stop()
	return s.reopen()
}

// Many at once, each many times, some over two listings that one limit spans:
// as many units go as there are, to as many shoppers.
func TestCrowdTakesExactlyTheStock(t *testing.T) {
	t.Parallel()
	const stock, shoppers, clicks = 40, 120, 3
	s := openShop(t, t.TempDir())
	s.apply(planOf([]string{"{sku: mask, price: 100, stock: 40}", "{sku: mug, price: 100, stock: 40}"}, "limit_per_shopper: 1"))
	listings := []string{mask, "day/mug"}
	told := crowd(shoppers*clicks, func(i int) reply {
		a, err := s.tryGrab(fmt.Sprintf("s%d", i%shoppers), "", listings[i/shoppers%2])
		if err != nil {
			t.Error(err)
		}
		return a
	})
	has := map[string]string{}
	for i, a := range told {
		shopper := fmt.Sprintf("s%d", i%shoppers)
		switch a.Code {
		case "granted", "limit_reached":
			// Whoever is told of an order is told of one and the same.
			if before := has[shopper]; a.Order.OrderNo != "" && before != "" && before != a.Order.OrderNo {
				t.Errorf("%s was told of %s and %s", shopper, before, a.Order.OrderNo)
			}
			if a.Order.OrderNo != "" {
				has[shopper] = a.Order.OrderNo
			}
		case "sold_out":
		default:
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	orders := s.orders()
	taken := int64(0)
	for listing, c := range s.everyListing() {
		if c.Held > stock || c.Available != c.Stock-c.Held {
			t.Errorf("%s: %+v", listing, c)
		}
		taken += c.Held
	}
	if len(orders) != len(has) || int64(len(has)) != taken {
		t.Errorf("%d orders, %d shoppers were told of one, %d units are held", len(orders), len(has), taken)
	}
	for shopper, no := range has {
		if orders[no].Shopper != shopper {
			t.Errorf("%s was told of %s, which is %q's", shopper, no, orders[no].Shopper)
		}
	}
}

// Clicking again and again burns nothing: the stock is for others.
func TestRepeatedClicksBurnNoStock(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(10))
	crowd(60, func(int) reply { a, _ := s.tryGrab("alice", "", mask); return a })
	s.expect(mask, 9, 1, 0)
	for i := range 9 {
		s.mustGrant(fmt.Sprintf("other%d", i), "", mask)
	}
	s.mustRefuse("sold_out", "late", "", mask)
}

// A client that gives up knows nothing; asking by its key gets the truth, and
// asking again with it gets no second unit.
func TestTimeoutThenTruthByKey(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(500))
	hasty := &http.Client{Timeout: 2 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	const shoppers = 60
	for i := range shoppers {
		r, _ := http.NewRequest("POST", s.listingURL(mask)+"/grab", nil)
		r.Header.Set("X-Shopper-Id", fmt.Sprintf("s%d", i))
		r.Header.Set("Idempotency-Key", fmt.Sprintf("k%d", i))
		if response, err := hasty.Do(r); err == nil {
			response.Body.Close()
		}
	}
	// What the server still reads of the connections that were left comes first.
	s.eventually(func() bool { return s.metric("doorbuster_grabs_waiting") == "0" }, func() string { return "grabs wait for ever" })
	for i := range shoppers {
		shopper, key := fmt.Sprintf("s%d", i), fmt.Sprintf("k%d", i)
		asked := s.do("GET", s.http+"/v1/grabs/"+key, "", "X-Shopper-Id", shopper)
		again := s.mustGrant(shopper, key, mask)
		if asked.Status == 200 && asked.Order.OrderNo != again.OrderNo {
			t.Errorf("%s: told %s by key, then %s", shopper, asked.Body, again.OrderNo)
		}
	}
	if c := s.counts(mask); c.Held != shoppers || c.Shoppers != shoppers {
		t.Errorf("%d shoppers hold one each, counts say %+v", shoppers, c)
	}
}

// Keys are a shopper's own, and bound to what they asked with them.
func TestKeysAreTheShoppersOwn(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(planOf([]string{"{sku: mask, price: 100, stock: 5}", "{sku: mug, price: 100, stock: 5}"}, "limit_per_shopper: 0"))
	alice := s.mustGrant("alice", "same", mask)
	if bob := s.mustGrant("bob", "same", mask); bob.OrderNo == alice.OrderNo {
		t.Error("bob got alice's order")
	}
	if a := s.grab("alice", "same", "day/mug"); a.Status != 422 {
		t.Errorf("a key for two requests: %d %s", a.Status, a.Body)
	}
	if a := s.do("GET", s.http+"/v1/grabs/never", "", "X-Shopper-Id", "alice"); a.Status != 404 {
		t.Errorf("a key that was never used: %d %s", a.Status, a.Body)
	}
	minted := s.grab("carol", "", mask)
	if key := minted.Header.Get("Idempotency-Key"); key == "" {
		t.Error("no key was minted")
	} else if again := s.mustGrant("carol", key, mask); again != minted.Order {
		t.Errorf("the minted key got %+v", again)
	}
}

// Ten of the same callback pay once; another amount does not, and another payment
// is taken to go back.
func TestPaymentOnce(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(2))
	o := s.mustGrant("alice", "", mask)
	wrong := o
	wrong.Amount = 99
	if a := s.pay(wrong, "p0"); a.Status != 422 {
		t.Errorf("too little: %d %s", a.Status, a.Body)
	}
	for _, a := range crowd(10, func(int) reply { return s.pay(o, "p1") }) {
		if a.Status != 200 || a.Order.State != "paid" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	s.expect(mask, 1, 0, 1)
	if a := s.pay(o, "p2"); a.Status != 200 || a.Order.State != "paid" {
		t.Errorf("paid twice: %d %s", a.Status, a.Body)
	}
	if a := s.cancelOrder("alice", o.OrderNo); a.Status != 409 {
		t.Errorf("cancelled though paid: %d %s", a.Status, a.Body)
	}
	s.expect(mask, 1, 0, 1)
}

// What operators do while shoppers are at it.
func TestOperatorsChangeARunningSale(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(4))
	alice, bob := s.mustGrant("alice", "", mask), s.mustGrant("bob", "", mask)
	s.pay(alice, "p1")

	status, _, errs := runTool(t, masks(1), "apply", "-f", "-", "--admin", s.admin)
	if status != 1 || !strings.Contains(errs, "stock") || !strings.Contains(errs, ":9:44:") {
		t.Errorf("stock lowered below what is taken: status %d: %s", status, errs)
	}
	s.expect(mask, 2, 1, 1)
	s.apply(masks(3))
	s.expect(mask, 1, 1, 1)

	s.apply(strings.ReplaceAll(masks(3), "price: 100", "price: 150"))
	if o := s.order("bob", bob.OrderNo); o.Order.Amount != 100 {
		t.Errorf("the price of a hold changed: %s", o.Body)
	}

	s.ops("POST", "/admin/v1/sessions/day/pause", `{"note":"wrong picture"}`)
	if a := s.mustRefuse("not_open", "carol", "", mask); !strings.Contains(a.Message, "Not on sale just now") {
		t.Errorf("paused: %s", a.Body)
	}
	if a := s.pay(bob, "p2"); a.Order.State != "paid" {
		t.Errorf("paying while paused: %d %s", a.Status, a.Body)
	}
	s.ops("POST", "/admin/v1/sessions/day/resume", "")
	if carol := s.mustGrant("carol", "", mask); carol.Amount != 150 {
		t.Errorf("the new price is not asked: %+v", carol)
	}
	s.mustRefuse("sold_out", "dave", "", mask)

	if a := s.ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":2}`); a.Status != 200 {
		t.Errorf("add stock: %d %s", a.Status, a.Body)
	}
	s.mustGrant("dave", "", mask)
	s.expect(mask, 1, 2, 2)
	if a := s.ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":-2}`); a.Status != 409 {
		t.Errorf("took away what is not free: %d %s", a.Status, a.Body)
	}
	if a := s.ops("POST", "/admin/v1/orders/"+alice.OrderNo+"/void", `{"note":"fraud"}`); a.Status != 200 || !strings.Contains(a.Body, "refund_due") {
		t.Errorf("void a paid order: %d %s", a.Status, a.Body)
	}
	s.expect(mask, 2, 2, 1)

	before := s.do("GET", s.http+"/v1/sessions/day/skus/mask", "").Body
	s.apply(strings.ReplaceAll(masks(3, "duration: 3h"), "price: 100", "price: 150"))
	if after := s.do("GET", s.http+"/v1/sessions/day/skus/mask", "").Body; after == before {
		t.Errorf("the end was not moved: %s", after)
	}
	s.expect(mask, 2, 2, 1) // the units that were added besides the plan stay
	s.ops("POST", "/admin/v1/sessions/day/end", "")
	s.mustRefuse("ended", "erin", "", mask)
	if a := s.pay(s.mustGrantKnown("dave"), "p4"); a.Order.State != "paid" {
		t.Errorf("a hold from before the end can't be paid: %d %s", a.Status, a.Body)
	}
}

// mustGrantKnown gives the only order of a shopper.
func (s *shop) mustGrantKnown(shopper string) order {
	s.t.Helper()
	for _, o := range s.orders() {
		if o.Shopper == shopper {
			return o.order
		}
	}
	s.t.Fatalf("%s has no order", shopper)
	return order{}
}

// Before its start a session says when; it opens by itself.
func TestSessionOpensByItself(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(strings.Replace(masks(1), "start: now", "start: +2s", 1))
	if a := s.mustRefuse("not_open", "alice", "", mask); !strings.Contains(a.Body, `"start":"`) {
		t.Errorf("not told when: %s", a.Body)
	}
	s.eventually(func() bool { return s.counts(mask).State == "open" }, func() string { return "it never opened" })
	s.mustGrant("alice", "", mask)
}

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// The sale by hand, as a newcomer tries it.
func TestSaleByHand(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(1))

	first := s.Grab("alice", "k1", nodetest.Mask)
	if first.Code != "granted" || first.Order.State != "held" || first.Order.Amount != 100 ||
		first.Order.Currency != "CNY" ||
		first.Order.Session != "day" || first.Order.SKU != "mask" || first.Order.Quantity != 1 ||
		time.Until(first.Order.PayBy) < 14*time.Minute {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	if again := s.Grab("alice", "k1", nodetest.Mask); again.Code != "granted" || again.Order != first.Order {
		t.Errorf("the same key got %s", again.Body)
	}
	if other := s.MustRefuse("limit_reached", "alice", "k2", nodetest.Mask); other.Order != first.Order {
		t.Errorf("limit_reached without the order that counts: %s", other.Body)
	}
	if late := s.MustRefuse("sold_out", "bob", "", nodetest.Mask); late.Order.OrderNo != "" ||
		strings.Contains(late.Body, "order") {
		t.Errorf("bob was told of an order: %s", late.Body)
	}
	if key := s.Do("GET", s.HTTP+"/v1/grabs/k1", "", "X-Shopper-Id", "alice"); key.Order != first.Order {
		t.Errorf("asked by key: %s", key.Body)
	}
	if foreign := s.Order("bob", first.Order.OrderNo); foreign.Status != 404 {
		t.Errorf("bob sees alice's order: %d %s", foreign.Status, foreign.Body)
	}
	if paid := s.Pay(first.Order, "p1"); paid.Status != 200 || paid.Order.State != "paid" {
		t.Errorf("pay: %d %s", paid.Status, paid.Body)
	}
	s.Expect(nodetest.Mask, 0, 0, 1)
	if c := s.Counts(nodetest.Mask); c.State != "ended" || c.Shoppers != 1 {
		t.Errorf("%+v", c)
	}
}

// A holder is never told that all is sold out: that would send them away from
// what is theirs.
func TestHolderAsksAgainAfterSoldOut(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(2))
	alice, bob := s.MustGrant("alice", "a", nodetest.Mask), s.MustGrant("bob", "b", nodetest.Mask)
	s.MustRefuse("sold_out", "carol", "", nodetest.Mask)
	for range 3 {
		if got := s.MustGrant("alice", "a", nodetest.Mask); got != alice {
			t.Errorf("alice: %+v, not %+v", got, alice)
		}
		if got := s.MustGrant("bob", "b", nodetest.Mask); got != bob {
			t.Errorf("bob: %+v, not %+v", got, bob)
		}
	}
	s.Pay(alice, "p1")
	s.Pay(bob, "p2")
	s.Expect(nodetest.Mask, 0, 0, 2)
	// The session ends when everything is gone; the key still answers.
	if got := s.MustGrant("alice", "a", nodetest.Mask); got.OrderNo != alice.OrderNo || got.State != "paid" {
		t.Errorf("alice: %+v", got)
	}
	if s = reopenAfterStop(s); s.MustGrant("alice", "a", nodetest.Mask).OrderNo != alice.OrderNo {
		t.Error("another order after the restart")
	}
}

func reopenAfterStop(s *nodetest.Shop) *nodetest.Shop {
	s.T.Helper()
	s.Stop()
	return s.Reopen()
}

// Many at once, each many times, some over two listings that one limit spans:
// as many units go as there are, to as many shoppers.
func TestCrowdTakesExactlyTheStock(t *testing.T) {
	t.Parallel()
	const stock, shoppers, clicks = 40, 120, 3
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 40}", "{sku: mug, price: 100, stock: 40}"},
		"limit_per_shopper: 1"))
	listings := []string{nodetest.Mask, "day/mug"}
	told := nodetest.Crowd(shoppers*clicks, func(i int) nodetest.Reply {
		a, err := s.TryGrab(fmt.Sprintf("s%d", i%shoppers), "", listings[i/shoppers%2])
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
	orders := s.Orders()
	taken := int64(0)
	for listing, c := range s.EveryListing() {
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
	s.Apply(nodetest.Masks(10))
	nodetest.Crowd(60, func(int) nodetest.Reply { a, _ := s.TryGrab("alice", "", nodetest.Mask); return a })
	s.Expect(nodetest.Mask, 9, 1, 0)
	for i := range 9 {
		s.MustGrant(fmt.Sprintf("other%d", i), "", nodetest.Mask)
	}
	s.MustRefuse("sold_out", "late", "", nodetest.Mask)
}

// A client that gives up knows nothing; asking by its key gets the truth, and
// asking again with it gets no second unit.
func TestTimeoutThenTruthByKey(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(500))
	hasty := &http.Client{Timeout: 2 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	const shoppers = 60
	for i := range shoppers {
		r, _ := http.NewRequest("POST", s.ListingURL(nodetest.Mask)+"/grab", nil)
		r.Header.Set("X-Shopper-Id", fmt.Sprintf("s%d", i))
		r.Header.Set("Idempotency-Key", fmt.Sprintf("k%d", i))
		if response, err := hasty.Do(r); err == nil {
			response.Body.Close()
		}
	}
	// What the server still reads of the connections that were left comes first.
	s.Eventually(func() bool { return s.Metric("doorbuster_grabs_waiting") == "0" },
		func() string { return "grabs wait for ever" })
	for i := range shoppers {
		shopper, key := fmt.Sprintf("s%d", i), fmt.Sprintf("k%d", i)
		asked := s.Do("GET", s.HTTP+"/v1/grabs/"+key, "", "X-Shopper-Id", shopper)
		again := s.MustGrant(shopper, key, nodetest.Mask)
		if asked.Status == 200 && asked.Order.OrderNo != again.OrderNo {
			t.Errorf("%s: told %s by key, then %s", shopper, asked.Body, again.OrderNo)
		}
	}
	if c := s.Counts(nodetest.Mask); c.Held != shoppers || c.Shoppers != shoppers {
		t.Errorf("%d shoppers hold one each, counts say %+v", shoppers, c)
	}
}

// Keys are a shopper's own, and bound to what they asked with them.
func TestKeysAreTheShoppersOwn(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 5}", "{sku: mug, price: 100, stock: 5}"},
		"limit_per_shopper: 0"))
	alice := s.MustGrant("alice", "same", nodetest.Mask)
	if bob := s.MustGrant("bob", "same", nodetest.Mask); bob.OrderNo == alice.OrderNo {
		t.Error("bob got alice's order")
	}
	if a := s.Grab("alice", "same", "day/mug"); a.Status != 422 {
		t.Errorf("a key for two requests: %d %s", a.Status, a.Body)
	}
	if a := s.Do("GET", s.HTTP+"/v1/grabs/never", "", "X-Shopper-Id", "alice"); a.Status != 404 {
		t.Errorf("a key that was never used: %d %s", a.Status, a.Body)
	}
	minted := s.Grab("carol", "", nodetest.Mask)
	if key := minted.Header.Get("Idempotency-Key"); key == "" {
		t.Error("no key was minted")
	} else if again := s.MustGrant("carol", key, nodetest.Mask); again != minted.Order {
		t.Errorf("the minted key got %+v", again)
	}
}

// Ten of the same callback pay once; another amount does not, and another payment
// is taken to go back.
func TestPaymentOnce(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(2))
	o := s.MustGrant("alice", "", nodetest.Mask)
	wrong := o
	wrong.Amount = 99
	if a := s.Pay(wrong, "p0"); a.Status != 422 {
		t.Errorf("too little: %d %s", a.Status, a.Body)
	}
	for _, a := range nodetest.Crowd(10, func(int) nodetest.Reply { return s.Pay(o, "p1") }) {
		if a.Status != 200 || a.Order.State != "paid" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	s.Expect(nodetest.Mask, 1, 0, 1)
	if a := s.Pay(o, "p2"); a.Status != 200 || a.Order.State != "paid" {
		t.Errorf("paid twice: %d %s", a.Status, a.Body)
	}
	if a := s.CancelOrder("alice", o.OrderNo); a.Status != 409 {
		t.Errorf("cancelled though paid: %d %s", a.Status, a.Body)
	}
	s.Expect(nodetest.Mask, 1, 0, 1)
}

// What operators do while shoppers are at it.
func TestOperatorsChangeARunningSale(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(4))
	alice, bob := s.MustGrant("alice", "", nodetest.Mask), s.MustGrant("bob", "", nodetest.Mask)
	s.Pay(alice, "p1")

	status, _, errs := runTool(t, nodetest.Masks(1), "apply", "-f", "-", "--admin", s.Admin)
	if status != 1 || !strings.Contains(errs, "stock") || !strings.Contains(errs, ":9:44:") {
		t.Errorf("stock lowered below what is taken: status %d: %s", status, errs)
	}
	s.Expect(nodetest.Mask, 2, 1, 1)
	s.Apply(nodetest.Masks(3))
	s.Expect(nodetest.Mask, 1, 1, 1)

	s.Apply(strings.ReplaceAll(nodetest.Masks(3), "price: 100", "price: 150"))
	if o := s.Order("bob", bob.OrderNo); o.Order.Amount != 100 {
		t.Errorf("the price of a hold changed: %s", o.Body)
	}

	s.Ops("POST", "/admin/v1/sessions/day/pause", `{"note":"wrong picture"}`)
	if a := s.MustRefuse("not_open", "carol", "", nodetest.Mask); !strings.Contains(a.Message, "Not on sale just now") {
		t.Errorf("paused: %s", a.Body)
	}
	if a := s.Pay(bob, "p2"); a.Order.State != "paid" {
		t.Errorf("paying while paused: %d %s", a.Status, a.Body)
	}
	s.Ops("POST", "/admin/v1/sessions/day/resume", "")
	if carol := s.MustGrant("carol", "", nodetest.Mask); carol.Amount != 150 {
		t.Errorf("the new price is not asked: %+v", carol)
	}
	s.MustRefuse("sold_out", "dave", "", nodetest.Mask)

	if a := s.Ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":2}`); a.Status != 200 {
		t.Errorf("add stock: %d %s", a.Status, a.Body)
	}
	s.MustGrant("dave", "", nodetest.Mask)
	s.Expect(nodetest.Mask, 1, 2, 2)
	if a := s.Ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":-2}`); a.Status != 409 {
		t.Errorf("took away what is not free: %d %s", a.Status, a.Body)
	}
	if a := s.Ops("POST", "/admin/v1/orders/"+alice.OrderNo+"/void", `{"note":"fraud"}`); a.Status != 200 ||
		!strings.Contains(a.Body, "refund_due") {
		t.Errorf("void a paid order: %d %s", a.Status, a.Body)
	}
	s.Expect(nodetest.Mask, 2, 2, 1)

	before := s.Do("GET", s.HTTP+"/v1/sessions/day/skus/mask", "").Body
	s.Apply(strings.ReplaceAll(nodetest.Masks(3, "duration: 3h"), "price: 100", "price: 150"))
	if after := s.Do("GET", s.HTTP+"/v1/sessions/day/skus/mask", "").Body; after == before {
		t.Errorf("the end was not moved: %s", after)
	}
	s.Expect(nodetest.Mask, 2, 2, 1) // the units that were added besides the plan stay
	s.Ops("POST", "/admin/v1/sessions/day/end", "")
	s.MustRefuse("ended", "erin", "", nodetest.Mask)
	if a := s.Pay(mustGrantKnown(s, "dave"), "p4"); a.Order.State != "paid" {
		t.Errorf("a hold from before the end can't be paid: %d %s", a.Status, a.Body)
	}
}

// mustGrantKnown gives the only order of a shopper.
func mustGrantKnown(s *nodetest.Shop, shopper string) nodetest.Order {
	s.T.Helper()
	for _, o := range s.Orders() {
		if o.Shopper == shopper {
			return o.Order
		}
	}
	s.T.Fatalf("%s has no order", shopper)
	return nodetest.Order{}
}

// Before its start a session says when; it opens by itself.
func TestSessionOpensByItself(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(strings.Replace(nodetest.Masks(1), "start: now", "start: +2s", 1))
	if a := s.MustRefuse("not_open", "alice", "", nodetest.Mask); !strings.Contains(a.Body, `"start":"`) {
		t.Errorf("not told when: %s", a.Body)
	}
	s.Eventually(func() bool { return s.Counts(nodetest.Mask).State == "open" },
		func() string { return "it never opened" })
	s.MustGrant("alice", "", nodetest.Mask)
}

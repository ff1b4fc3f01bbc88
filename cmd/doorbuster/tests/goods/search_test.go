package goods

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

// searchedPlan has a session that starts after another, and stands before it.
const searchedPlan = `
products: [{id: mask, name: Mask, list_price: 100, currency: CNY}]
sales:
  - id: sale
    name: Sale
    sessions:
      - id: second
        start: now
        limit_per_shopper: 0
        listings: [{sku: mask, price: 100, stock: 9, limit_per_shopper: 9}]
      - id: first
        start: %s
        end: %s
        limit_per_shopper: 0
        listings: [{sku: mask, price: 100, stock: 9, limit_per_shopper: 9}]
`

// TestSearch: orders are found, the newest first, by pages of any size, and by a payment, a
// transaction and the receiver's phone; those in memory and those of a settled session.
func TestSearch(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	at := func(d time.Duration) string { return time.Now().Add(d).Format(time.RFC3339) }
	s.Apply(fmt.Sprintf(searchedPlan, at(-time.Hour), at(time.Hour)))
	var want []string // the newest first
	for _, session := range []string{"first", "second"} {
		for i := range 3 {
			o := s.MustGrant(fmt.Sprintf("shopper-%d", i), "", session+"/mask")
			s.Pay(o, fmt.Sprintf("pay-%s-%d", session, i))
			receiver := fmt.Sprintf(`{"name":"X","phone":"+861381234000%d","country":"CN","city":"S","street":"7"}`, i)
			if a := s.Do("PUT", s.HTTP+"/v1/orders/"+o.OrderNo+"/receiver", receiver, "X-Shopper-Id",
				fmt.Sprintf("shopper-%d", i)); a.Status != 200 {
				t.Fatal(a.Body)
			}
			want = append([]string{o.OrderNo}, want...)
		}
	}
	find := func(query url.Values) (page wire.OpsOrders) {
		t.Helper()
		a := s.Ops("GET", "/admin/v1/orders?"+query.Encode(), "")
		if err := json.Unmarshal([]byte(a.Body), &page); err != nil || a.Status != 200 {
			t.Fatalf("%v: %d %s", query, a.Status, a.Body)
		}
		return page
	}
	numbers := func(page wire.OpsOrders) (all []string) {
		for _, o := range page.Orders {
			all = append(all, o.OrderNo)
		}
		return all
	}
	look := func(where string, phones int) {
		t.Helper()
		for limit := range 7 {
			query, all := url.Values{"newest": {"true"}, "limit": {fmt.Sprint(limit + 1)}}, []string(nil)
			for {
				page := find(query)
				all = append(all, numbers(page)...)
				if page.Cursor == "" {
					break
				}
				query.Set("cursor", page.Cursor)
			}
			if !slices.Equal(all, want) {
				t.Errorf("%s, %d a page: %v; want %v", where, limit+1, all, want)
			}
		}
		if got := numbers(find(url.Values{"newest": {"true"}, "session": {"first"}})); !slices.Equal(got, want[3:]) {
			t.Errorf("%s, of one session: %v", where, got)
		}
		for _, session := range []string{"first", "second"} {
			own := find(url.Values{"payment_id": {"pay-" + session + "-1"}})
			if len(own.Orders) != 1 || own.Orders[0].Session != session || own.Orders[0].Shopper != "shopper-1" {
				t.Fatalf("%s, by a payment of %s: %v", where, session, own.Orders)
			}
			if got := numbers(find(url.Values{"transaction": {own.Orders[0].Transaction},
				"newest": {"true"}})); !slices.Equal(got, numbers(own)) {
				t.Errorf("%s, by a transaction of %s: %v", where, session, got)
			}
		}
		got := numbers(find(url.Values{"phone": {"+86 138 1234 0001"}, "newest": {"true"}}))
		if !slices.Equal(got, []string{want[1], want[4]}[:phones]) {
			t.Errorf("%s, by phone: %v", where, got)
		}
		if got := find(url.Values{"payment_id": {"pay-nobody"}}); len(got.Orders) != 0 {
			t.Errorf("%s, by nobody's payment: %v", where, got)
		}
	}
	look("in memory", 2)
	s.End("first")
	s.Settle("first")
	look("settled", 1)
	for _, bad := range []string{"transaction=7", "payment_id=", "phone=", "newest=1", "newest=true&cursor=7.7",
		"payment_id=a%20b"} {
		if a := s.Ops("GET", "/admin/v1/orders?"+bad, ""); a.Status != 400 {
			t.Errorf("%s: %d %s", bad, a.Status, a.Body)
		}
	}
}

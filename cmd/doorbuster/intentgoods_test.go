package main

import (
	"fmt"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// triedElsewhere are the keyed routes that need a sink or a supplier's server, with what
// sees to their repetition.
var triedElsewhere = map[string]string{
	"/admin/v1/sinks/{sink}/pause":           "says how it shall be",
	"/admin/v1/sinks/{sink}/resume":          "says how it shall be",
	"/admin/v1/sinks/{sink}/forget":          "TestAskedAgain",
	"/admin/v1/sinks/{sink}/replay":          "TestPauseAndReplay",
	"/admin/v1/sinks/{sink}/letters/send":    "TestDeadLetters",
	"/admin/v1/sinks/{sink}/letters/drop":    "TestDeadLetters",
	"/admin/v1/alarms/{alarm}/acknowledge":   "TestAskedAgain",
	"/admin/v1/approvals/{approval}/approve": "TestPlansAwaitApproval",
	"/admin/v1/approvals/{approval}/reject":  "an approval is over once",
	"/admin/v1/suppliers/{supplier}/pull":    "a catalogue takes the place of the same one",
}

// changesOfGoods are those of the catalogue, of parcels and of personal data.
func changesOfGoods(s *nodetest.Shop) []changeOnce {
	s.T.Helper()
	const csv, plan = "text/csv", "application/yaml"
	old := func(session string) string {
		return "products:\n  - {id: cup, currency: CNY, list_price: 900}\nsales:\n  - id: old\n    sessions:\n      - id: " +
			session + "\n        start: " + time.Now().Add(2*time.Hour).UTC().Format(time.RFC3339) +
			"\n        listings: [{sku: cup, price: 1, stock: 1}]\n"
	}
	s.Apply(old("old-1"))
	s.Apply("products:\n  - {id: gift, currency: CNY, list_price: 900}\nsales:\n  - id: gifts\n    sessions:\n" +
		"      - id: gifts-1\n        start: now\n        listings: [{sku: gift, price: 100, stock: 9, delivery: ship}]\n")
	dan := s.MustGrant("dan", "", "gifts-1/gift")
	if a := s.Pay(dan, "p-dan"); a.Status != 200 {
		s.T.Fatal(a.Body)
	}
	paid := dan.OrderNo
	if a := s.Do("PUT", s.HTTP+"/v1/orders/"+paid+"/receiver",
		`{"name":"Dan","phone":"+8613800000001","city":"Shanghai","street":"1 Long Lane"}`,
		"Content-Type", "application/json", "X-Shopper-Id", "dan"); a.Status != 200 {
		s.T.Fatal(a.Body)
	}
	for _, path := range []string{"end", "review"} {
		if a := s.Ops("POST", "/admin/v1/sessions/gifts-1/"+path, "{}"); a.Status != 200 {
			s.T.Fatal(path, a.Body)
		}
	}
	post := func(path string) opsCall { return opsCall{"POST", "/admin/v1/" + path, "", ""} }
	drop := func(path string) opsCall { return opsCall{"DELETE", "/admin/v1/" + path, "", ""} }
	replan := opsCall{"POST", "/admin/v1/plan", old("old-2"), plan}
	zeta, gifts := "/admin/v1/suppliers/zeta/products", "/admin/v1/sessions/gifts-1/"
	stock := func(units int) string { return fmt.Sprintf("id,list_price,currency,total\npen,900,CNY,%d\n", units) }
	return []changeOnce{
		{"catalogue", opsCall{"PUT", zeta, stock(5), csv}, opsCall{"PUT", zeta, stock(6), csv}, zeta},
		{"retire", post("products/pen/retire"), post("products/pen/revive"), zeta},
		{"revive", post("products/pen/revive"), post("products/pen/retire"), zeta},
		{"delete-product", drop("products/pen"), opsCall{"PUT", zeta, stock(7), csv}, zeta},
		{"delete-session", drop("sessions/old-1"), replan, "/admin/v1/sessions"},
		{"delete-sale", drop("sales/old"), replan, "/admin/v1/sales"},
		{"archive-session", post("sessions/gifts-1/archive"), post("sessions/gifts-1/recall"), "/admin/v1/sessions"},
		{"recall-session", post("sessions/gifts-1/recall"), post("sessions/gifts-1/archive"), "/admin/v1/sessions"},
		{"archive-sale", post("sales/gifts/archive"), post("sales/gifts/recall"), "/admin/v1/sales"},
		{"recall-sale", post("sales/gifts/recall"), post("sales/gifts/archive"), "/admin/v1/sales"},
		{"export", opsCall{"POST", gifts + "exports", "{}", ""}, opsCall{}, gifts + "shipping"},
		{"parcels", opsCall{"POST", gifts + "parcels", "order_no,carrier,tracking\n" + paid + ",SF,1\n", csv},
			opsCall{}, gifts + "shipping"},
		{"received", opsCall{"POST", gifts + "received", "order_no\n" + paid + "\n", csv}, opsCall{},
			gifts + "shipping"},
		{"erase", drop("shoppers/dan/personal-data"), opsCall{}, "/admin/v1/shoppers/dan/personal-data"},
	}
}

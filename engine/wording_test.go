package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// worded is what changes and approvals say of what wordedPlan changes.
const worded = `
products[sku-1].stock: none → 900 in all
products[sku-1].name.en:  → Mug 'n "lid"
products[sku-1].image:  → https://x/y
products[sku-1].supplier:  → acme
products[sku-1].list_price: 0 → 5
products[sku-1].place: none → 31.5,121.25
products[fan]:  → new
plays[first]:  → new
sales[sale].name.en: The "Day" → Days
sales[sale].timezone: Asia/Shanghai → UTC
sales[sale].messages.missed.en: "Lost; sorry." (nothing in the last plan) → Sorry.
sales[sale].sessions[ten].limit_per_shopper: 0 → 3
sales[sale].sessions[ten].listings[sku-1].price: 100 → 7
sales[sale].sessions[ten].listings[sku-1].stock: 55 (50 in the last plan) → 70
sales[sale].sessions[later]:  → new, opens 2096-09-20T03:00:00Z, ends 2096-09-20T04:00:00Z
sales[sale].sessions[later].listings[fan]:  → 5 units at 1, limit_per_month 2, draw 3s, play first version 1, delivery ship
it changes listings of 75 units in all, from 1 on (approvals.plan_units)
it changes 2 listings, from 1 on (approvals.plan_listings)
it changes what shoppers are told (approvals.words)
a plan of 16 changes, to 2 listings of 75 units
`

// TestChangesAreWordedAsOnDisk: approvals are decided, and kept, by the words of what they
// change, so that other words are other rules: nodes of two builds would decide differently.
func TestChangesAreWordedAsOnDisk(t *testing.T) {
	g := newGroup(t)
	x := g.session("ten", nil, ListingSpec{Stock: 50})
	g.one(g.changed("ann", func(s *SalePlan, _ *SessionPlan) { s.Name = Text{{"en", `The "Day"`}} }))
	g.one(Command{Kind: CmdAddStock, Listing: x.Listings[0], Amount: 5, Operator: "op"})
	words := g.changed("ann", func(s *SalePlan, _ *SessionPlan) {
		s.Messages = []Message{{"missed", Text{{"en", "Lost; sorry."}}}}
	})
	words.Plan.ByHand = true
	g.one(words)
	g.approving = ApprovalRules{PlanUnits: 1, PlanListings: 1, Words: true}
	g.open()
	asked := g.changed("ann", func(s *SalePlan, x *SessionPlan) {
		s.Name, s.Timezone = Text{{"en", "Days"}}, "UTC"
		s.Messages = []Message{{"missed", Text{{"en", "Sorry."}}}}
		x.Listings[0].Stock, x.Listings[0].Price, x.LimitPerShopper = 70, 7, 3
		at := Time(time.Date(2096, 9, 20, 3, 0, 0, 0, time.UTC).UnixMilli())
		later := SessionPlan{SessionSpec: SessionSpec{ID: "later", StartSpec: "later", Start: at,
			End: at.Add(time.Hour), PayWithin: time.Minute, Publish: true}}
		later.Listings = []ListingSpec{{SKU: "fan", Price: 1, Stock: 5, LimitPerMonth: 2, Draw: 3 * time.Second,
			Delivery: DeliveryShip, Play: &Play{Name: "first"}}}
		s.Sessions = append(s.Sessions, later)
	})
	asked.Plan.Plays = []PlayTemplate{{ID: "first", Text: "-"}}
	asked.Plan.Products = []Product{{ID: "sku-1", Name: Text{{"en", `Mug 'n "lid"`}}, Image: "https://x/y",
		Supplier: "acme", ListPrice: 5, Currency: "CNY", Place: &Place{31.5, 121.25}, Stock: inAll(900)},
		{ID: "fan", Currency: "CNY"}}
	if e := g.one(asked); e.Kind != ApprovalAsked {
		t.Fatal(e, g.effects.LastPlan().Problems)
	}
	var said strings.Builder
	a := g.state.Approval(1)
	for _, c := range a.Changes {
		fmt.Fprintf(&said, "\n%s: %s → %s", c.Path, c.Before, c.After)
	}
	for _, line := range append(a.Why, a.What) {
		said.WriteString("\n" + line)
	}
	if got := said.String() + "\n"; got != worded {
		t.Errorf("by other words, with the same RulesVersion:%s", got)
	}
}

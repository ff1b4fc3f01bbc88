package plan

import (
	"reflect"
	"testing"
	"time"

	"doorbuster/engine"
)

func TestRules(t *testing.T) {
	result := mustParse(t, `
products: [{id: a, currency: CNY}, {id: b, currency: CNY}, {id: c, currency: CNY}, {id: d, currency: CNY}]
sales:
  - id: s
    messages:
      missed: {zh: 下次吧, en: "Not today."}
      granted: {en: "Yours for {pay_within}!"}
    sessions:
      - id: all
        start: "+1h"
        profile: rush
        limit_per_month: 2
        reservation: true
        allow_list: vips
        waitlist: true
        ticket: true
        challenge: work
        draw: 3s
        listings:
          - {sku: a, price: 1, stock: 1}
          - {sku: b, price: 1, stock: 1, limit_per_month: 0, reservation: false, allow_list: "", waitlist: false, ticket: false, challenge: none, draw: 0s}
          - {sku: c, price: 1, stock: 1, limit_per_month: 3, allow_list: staff, challenge: image, draw: 59m}
      - id: each
        start: now
        duration: 2h
        listings:
          - {sku: a, price: 1, stock: 1, limit_per_month: 2, reservation: true, allow_list: vips, waitlist: true, challenge: work, draw: 1s}
          - {sku: b, price: 1, stock: 1, ticket: true}
          - {sku: c, price: 1, stock: 1}
      - id: challenged
        start: now
        challenge: work
        listings:
          - {sku: a, price: 1, stock: 1, challenge: none}
          - {sku: b, price: 1, stock: 1}
`)
	plain := func(sku string, order int32) engine.ListingSpec {
		return engine.ListingSpec{SKU: sku, Price: 1, Stock: 1, Shown: -1, LimitPerShopper: 1, SortOrder: order}
	}
	listing := func(sku string, order int32, change func(*engine.ListingSpec)) engine.ListingSpec {
		l := plain(sku, order)
		change(&l)
		return l
	}
	full := func(draw time.Duration) func(*engine.ListingSpec) {
		return func(l *engine.ListingSpec) {
			l.LimitPerMonth, l.Reservation, l.AllowList, l.Waitlist, l.Ticket, l.Challenge, l.Draw, l.SetAside = 2,
				true, "vips", true, true, engine.ChallengeWork, draw, 2*time.Minute
		}
	}
	sale := result.Plan.Sales[0]
	for i, want := range [][]engine.ListingSpec{
		{listing("a", 1, full(3*time.Second)), plain("b", 2), listing("c", 3, func(l *engine.ListingSpec) {
			full(59 * time.Minute)(l)
			l.LimitPerMonth, l.AllowList, l.Challenge = 3, "staff", engine.ChallengeImage
		})},
		{listing("a", 1, full(time.Second)), listing("b", 2, func(l *engine.ListingSpec) { l.Ticket = true }),
			plain("c", 3)},
		{plain("a", 1), listing("b", 2, func(l *engine.ListingSpec) {
			l.Ticket, l.Challenge = true,
				engine.ChallengeWork
		})},
	} {
		if got := sale.Sessions[i].Listings; !reflect.DeepEqual(got, want) {
			t.Errorf("session %s:\n got %+v\nwant %+v", sale.Sessions[i].ID, got, want)
		}
	}
	if sale.Sessions[0].Profile != "rush" || sale.Sessions[1].Profile != "" {
		t.Errorf("profiles %q, %q", sale.Sessions[0].Profile, sale.Sessions[1].Profile)
	}
	if want := []engine.Message{
		{Name: "granted", Text: engine.Text{{Lang: "en", Text: "Yours for {pay_within}!"}}},
		{Name: "missed", Text: engine.Text{{Lang: "en", Text: "Not today."}, {Lang: "zh", Text: "下次吧"}}},
	}; !reflect.DeepEqual(sale.Messages, want) {
		t.Errorf("messages %+v", sale.Messages)
	}
	const note = "sales[s].sessions[each]: opens at once, so that nobody has the time to reserve; import those who " +
		"may buy"
	if len(result.Notes) != 1 || result.Notes[0] != note {
		t.Errorf("notes %q", result.Notes)
	}

	s := newShop(t, noon())
	if eff := s.applyPlan(result.Plan); len(eff.LastPlan().Problems) > 0 {
		t.Fatal(eff.LastPlan().Problems)
	}
	s.now = s.now.Add(time.Second)
	if eff := s.applyPlan(result.Plan); len(eff.LastPlan().Problems) > 0 || len(eff.LastPlan().Changes) > 0 {
		t.Errorf("applied again: %v, %v", eff.LastPlan().Changes, eff.LastPlan().Problems)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

const erasePlan = `
products: [{id: mask, list_price: 100, currency: CNY}]
sales:
  - id: sale
    sessions:
      - {id: day, start: now, duration: 100h, listings: [{sku: mask, price: 100, stock: 9, delivery: ship}]}
      - {id: old, start: now, duration: 100h, listings: [{sku: mask, price: 100, stock: 9}]}
`

// TestErasedAfterATime: personal data that has not been used for personal_erase_after is gone
// from all nodes, also from one that was away, unless goods are to be sent there. A node
// alone, and three.
func TestErasedAfterATime(t *testing.T) {
	for name, members := range map[string][]string{"alone": {"n1:z1"}, "cluster": nodetest.Rooms3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := nodetest.NewFleet(t, "prefer", members...)
			f.Alone, f.Extra = name == "alone", "personal_erase_after: 48h\n"
			nodes := make([]*clocked, len(f.Nodes))
			for i, m := range f.Nodes {
				m.Program = run
				nodes[i] = &clocked{Member: m}
				nodes[i].open()
			}
			s := eraseAfter{t, f, map[string]nodetest.Order{}}
			f.Eventually(func() bool { _, ok := f.Nodes[0].Status(); return ok }, "no node answers")
			f.Leader().Apply(erasePlan)
			s.buys("gone", "day")
			s.buys("settled", "old")
			s.buys("awaits", "day")
			s.buys("late", "day")
			lead := f.Leader()
			lead.Pay(s.orders["settled"], "pay-settled")
			lead.Pay(s.orders["awaits"], "pay-awaits")
			lead.CancelOrder("gone", s.orders["gone"].OrderNo)
			lead.End("old")
			lead.Settle("old")
			s.sees(f.Nodes, "gone", "settled", "awaits", "late")

			// All are away for a day, and what is younger than the time stays.
			reopen := func(ahead time.Duration, nodes ...*clocked) {
				for _, c := range nodes {
					c.ahead = ahead
					c.open()
				}
			}
			shut := func() {
				for _, c := range nodes {
					if c.Up {
						c.shut()
					}
				}
			}
			shut()
			reopen(24*time.Hour, nodes...)
			s.buys("late", "day") // names it again: its time begins anew
			s.sees(f.Nodes, "gone", "settled", "awaits", "late")

			// Another day and a half without one of the three.
			shut()
			here := nodes[:max(1, len(nodes)-1)]
			reopen(60*time.Hour, here...)
			up := f.Nodes[:len(here)]
			s.awaitErased(up, "gone", "settled")
			s.sees(up, "awaits", "late")
			reopen(60*time.Hour, nodes[len(here):]...)
			s.awaitErased(f.Nodes, "gone", "settled")
			s.sees(f.Nodes, "awaits", "late")

			// What is answered afterwards: nothing is held, nobody asked for it, and the trail says why.
			for _, m := range f.Nodes {
				var p wire.PersonalData
				a := m.Ops("GET", "/admin/v1/shoppers/gone/personal-data", "")
				if err := json.Unmarshal([]byte(a.Body), &p); err != nil || p.Held || p.Erasure != nil {
					t.Errorf("%s: %d %s", m.ID, a.Status, a.Body)
				}
				f.Eventually(func() bool { // the trail comes a moment later
					return strings.Count(m.Ops("GET", "/admin/v1/audit?limit=1000", "").Body,
						"not used for as long as personal_erase_after says") == 2
				}, m.ID+"'s trail does not say why")
			}
			if out := f.Leader().MustRun("erase", "--shopper", "gone", "--yes"); strings.Contains(out, "left in") {
				t.Error(out)
			}
			// Who comes again names a receiver again, and is seen by it.
			s.buys("gone", "day")
			s.sees(f.Nodes, "gone", "awaits", "late")
			// Once the goods need not be sent any more, their receiver goes, too.
			path := "/admin/v1/orders/" + s.orders["awaits"].OrderNo + "/void"
			if a := f.Leader().Ops("POST", path, ""); a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			shut()
			reopen(70*time.Hour, nodes...)
			s.awaitErased(f.Nodes, "awaits")
			s.sees(f.Nodes, "gone", "late")
		})
	}
}

// eraseAfter is a shop whose shoppers name receivers, each in a street that has their name.
type eraseAfter struct {
	t      *testing.T
	f      *nodetest.Fleet
	orders map[string]nodetest.Order // the last one, by shopper
}

// buys has a shopper grab one of a session's listing, unless they hold one, and say where
// it goes.
func (s eraseAfter) buys(shopper, session string) {
	s.t.Helper()
	m := s.f.Leader()
	s.f.Eventually(func() bool {
		a, err := m.TryWith(shopper, nodetest.NewKey(), session+"/mask", "")
		if err == nil && a.Code == "granted" {
			s.orders[shopper] = a.Order
		}
		return err == nil && (a.Code == "granted" || a.Code == "limit_reached")
	}, shopper+" gets nothing")
	body := fmt.Sprintf(`{"name":"%s","phone":"+8613800000001","street":"1 %[1]s Street"}`, shopper)
	if a := m.Do("PUT", m.HTTP+"/v1/orders/"+s.orders[shopper].OrderNo+"/receiver", body, "X-Shopper-Id",
		shopper); a.Status != 200 {
		s.t.Fatalf("%s: %d %s", shopper, a.Status, a.Body)
	}
}

// told is what a node tells of a shopper's last order, to them and to operators.
func (s eraseAfter) told(m *nodetest.Member, shopper string) (own, ops string) {
	no := s.orders[shopper].OrderNo
	a, err := m.Request("GET", m.HTTP+"/v1/orders/"+no, "", "X-Shopper-Id", shopper)
	b, errOps := m.Request("GET", "http://"+m.Admin+"/admin/v1/orders/"+no, "")
	if err != nil || errOps != nil || a.Status != 200 || b.Status != 200 {
		return "", ""
	}
	return a.Body, b.Body
}

// sees expects that all nodes tell where shoppers' orders go.
func (s eraseAfter) sees(nodes []*nodetest.Member, shoppers ...string) {
	s.t.Helper()
	for _, m := range nodes {
		for _, who := range shoppers {
			street := "1 " + who + " Street"
			s.f.Eventually(func() bool { // a node that follows applies it a moment later
				own, ops := s.told(m, who)
				return strings.Contains(own, street) && strings.Contains(ops, street)
			}, m.ID+" does not tell where the order of "+who+" goes")
		}
	}
}

// awaitErased waits until all nodes tell no more where shoppers' orders go.
func (s eraseAfter) awaitErased(nodes []*nodetest.Member, shoppers ...string) {
	s.t.Helper()
	for _, m := range nodes {
		for _, who := range shoppers {
			own, ops := "", ""
			s.f.Eventually(func() bool {
				own, ops = s.told(m, who)
				return ops != "" && !strings.Contains(own, "receiver") && !strings.Contains(own+ops, who+" Street")
			}, m.ID+" still tells where the order of "+who+" goes")
		}
	}
}

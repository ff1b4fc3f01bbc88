package everynode

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// lineWatch looks at a line through all nodes of a fleet, and finds who hears that
// they have moved back, or got a unit before one who stands ahead of them.
type lineWatch struct {
	f       *nodetest.Fleet
	listing string
	names   []string // in the order in which they joined
	asked   int
	place   map[string]int            // the last position told
	order   map[string]nodetest.Order // of those who got a unit
	over    map[string]nodetest.Reply // the last answer to those who were told no
}

// join puts one more shopper in line, through the next node.
func (w *lineWatch) join(name string) {
	w.f.T.Helper()
	m := w.f.Nodes[len(w.names)%len(w.f.Nodes)]
	a := m.Do("POST", m.ListingURL(w.listing)+"/grab", `{"waitlist":true}`, "X-Shopper-Id", name, "Idempotency-Key",
		"k-"+name)
	w.names = append(w.names, name)
	if at := positionIn(a); a.Code != "waitlisted" || at != len(w.names) {
		w.f.T.Fatalf("%s is to be number %d in line: %d %s", name, len(w.names), a.Status, a.Body)
	}
	w.place[name] = len(w.names)
}

func positionIn(a nodetest.Reply) int {
	var told struct{ Position int }
	if json.Unmarshal([]byte(a.Body), &told) != nil {
		return 0
	}
	return told.Position
}

// look asks once for everybody who is still in line, from the end of it to its
// head, each through the next node that is up: whoever is ahead of one who got a
// unit is asked later, and must have one by then. got is told of each unit.
func (w *lineWatch) look(got func(m *nodetest.Member, name string, o nodetest.Order)) {
	w.f.T.Helper()
	behind := ""
	for i := len(w.names) - 1; i >= 0; i-- {
		name := w.names[i]
		if _, known := w.order[name]; known {
			continue
		}
		if w.asked++; !w.f.Nodes[w.asked%len(w.f.Nodes)].Up {
			w.asked++
		}
		m := w.f.Nodes[w.asked%len(w.f.Nodes)]
		a, err := m.Request("GET", m.HTTP+"/v1/grabs/k-"+name, "", "X-Shopper-Id", name)
		switch {
		case err != nil || a.Status == 503 || a.Code == "processing": // who leads is not known just now
		case a.Code == "granted":
			w.order[name] = a.Order
			behind = name
			got(m, name, a.Order)
		case a.Code == "sold_out":
			w.over[name] = a
		case a.Code != "waitlisted":
			w.f.T.Fatalf("%s heard %d %s", name, a.Status, a.Body)
		case behind != "":
			w.f.T.Errorf("%s got a unit, and %s, who is ahead of them, was asked later and waits: %s", behind, name,
				a.Body)
		default:
			at := positionIn(a)
			if at < 1 || at > w.place[name] {
				w.f.T.Errorf("%s was number %d, and is told of %d by %s", name, w.place[name], at, m.ID)
			}
			w.place[name] = at
		}
	}
}

// TestLineOfThreeNodes: 100 units are taken and 300 shoppers wait in line. 60 holds
// end unpaid, in three waves, and the leader is killed in between. The first 60 in
// line get the units, in order; nobody is told that they have moved back. Holds last
// long enough for everybody to come into line; a short test has fewer of both.
func TestLineOfThreeNodes(t *testing.T) {
	t.Parallel()
	stock, unpaid, waves, waiting, payWithin := 100, 60, 3, 300, nodetest.Patience
	if testing.Short() {
		stock, unpaid, waves, waiting, payWithin = 20, 12, 2, 40, nodetest.Patience/3
	}
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.PlanOf([]string{fmt.Sprintf("{sku: mask, price: 100, stock: %d, waitlist: true}", stock)},
		"pay_within: "+payWithin.String(), "pay_grace: 0s"))
	f.Leader()
	m := f.Follower()
	for i := range stock - unpaid {
		o := m.MustGrant(fmt.Sprint("payer", i), "", nodetest.Mask)
		if a := m.Pay(o, fmt.Sprint("p", i)); a.Order.State != "paid" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	for wave := range waves {
		var last nodetest.Order
		for i := range unpaid / waves {
			last = m.MustGrant(fmt.Sprintf("idler%d-%d", wave, i), "", nodetest.Mask)
		}
		// The next wave's holds end a second later.
		held := last.PayBy.Add(-payWithin)
		m.Eventually(func() bool {
			return time.Since(held) > time.Second
		}, func() string { return "time stands still" })
	}
	w := &lineWatch{f: f, listing: nodetest.Mask, place: map[string]int{}, order: map[string]nodetest.Order{},
		over: map[string]nodetest.Reply{}}
	for i := range waiting {
		w.join(fmt.Sprint("waiter", i))
	}

	pay := func(m *nodetest.Member, name string, o nodetest.Order) {
		for {
			a, err := m.Request("POST", m.HTTP+"/v1/payments/callback",
				fmt.Sprintf(`{"order_no":%q,"payment_id":%q,"amount":%d,"currency":%q}`,
					o.OrderNo, "p-"+name, o.Amount, o.Currency))
			if err == nil && a.Status == 200 {
				return
			}
			m = f.Leader() // it may have been killed, or not lead yet
		}
	}
	f.Eventually(func() bool {
		w.look(pay)
		return len(w.order) > 0
	}, "nobody in line gets what comes back")
	f.Leader().Kill()
	f.Eventually(func() bool {
		w.look(pay)
		return len(w.over) == waiting-unpaid
	}, "the line does not come to its end")

	for i, name := range w.names {
		if _, got := w.order[name]; got != (i < unpaid) {
			t.Errorf("%s, number %d in line: got a unit: %v", name, i+1, got)
		}
		if a := w.over[name]; i >= unpaid && !strings.Contains(a.Body, "Sold out.") {
			t.Errorf("%s is told %s", name, a.Body)
		}
	}
	for name, c := range f.Settled() {
		if name != nodetest.Mask || c.Paid != int64(stock) || c.Held != 0 || c.Available != 0 ||
			c.Shoppers != int64(stock) {
			t.Errorf("%s in the end: %+v", name, c)
		}
	}
}

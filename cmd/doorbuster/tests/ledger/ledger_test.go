package ledger

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestSettledOrdersAreFound: when a session's orders have left memory, any node
// finds them as before, also one whose ledger was deleted or damaged while it was
// down, and all tell the same events.
func TestSettledOrdersAreFound(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("        limit_per_shopper: 10\n        pay_grace: 0s\n", 100, 100))
	leader, front := f.Leader(), f.Follower()
	var paid []nodetest.Order
	for i := range 20 {
		o := front.MustGrant(fmt.Sprint("s", i%10), fmt.Sprint("k", i), fmt.Sprint("day/sku-", 1+i/10))
		if i%2 == 0 {
			if a := front.Pay(o, fmt.Sprint("p", i)); a.Status != 200 {
				t.Fatal(a.Body)
			}
		} else if a := front.CancelOrder(fmt.Sprint("s", i%10), o.OrderNo); a.Status != 200 {
			t.Fatal(a.Body)
		}
		paid = append(paid, o)
	}
	if a := leader.Do("POST", "http://"+leader.Admin+"/admin/v1/sessions/day/settle", `{}`, "Content-Type",
		"application/json"); a.Status != 409 {
		t.Errorf("while it is open: %d %s", a.Status, a.Body)
	}
	if a := leader.Do("POST", "http://"+leader.Admin+"/admin/v1/sessions/day/end", `{}`, "Content-Type",
		"application/json"); a.Status != 200 {
		t.Fatal(a.Body)
	}
	front.Settle("day")
	check := func(m *nodetest.Member, when string) {
		t.Helper()
		for i, o := range paid {
			who := fmt.Sprint("s", i%10)
			want := []string{"paid", "cancelled"}[i%2]
			m.Fleet.Eventually(func() bool {
				a := m.Order(who, o.OrderNo)
				return a.Status == 200 && a.Order.State == want
			}, m.ID+" "+when+" does not find order "+o.OrderNo)
			if a := m.Do("GET", m.HTTP+"/v1/grabs/"+fmt.Sprint("k", i), "", "X-Shopper-Id", who); a.Code != "granted" ||
				a.Order.OrderNo != o.OrderNo {
				t.Errorf("%s %s by key: %s", m.ID, when, a.Body)
			}
		}
		var own struct{ Orders []nodetest.Order }
		a := m.Do("GET", m.HTTP+"/v1/orders?limit=3", "", "X-Shopper-Id", "s1")
		if err := json.Unmarshal([]byte(a.Body), &own); err != nil || len(own.Orders) != 2 {
			t.Errorf("%s %s: %s", m.ID, when, a.Body)
		}
		a = m.Do("GET", "http://"+m.Admin+"/admin/v1/orders?session=day&state=paid", "")
		if err := json.Unmarshal([]byte(a.Body), &own); err != nil || len(own.Orders) != 10 {
			t.Errorf("%s %s: %s", m.ID, when, a.Body)
		}
	}
	for _, m := range f.Nodes {
		check(m, "after settling")
	}
	f.AwaitLedgers()
	want := f.Leader().Told("0")
	halve := func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()/2)
	}
	for i, damage := range []func(path string) error{os.Remove, halve, nodetest.FlipByte} {
		m := f.Others(f.Leader())[i%2]
		m.Halt()
		for _, file := range m.LedgerFiles() {
			if err := damage(file); err != nil {
				t.Fatal(err)
			}
		}
		m.Relaunch()
		check(m, fmt.Sprint("after damage ", i))
	}
	f.AwaitLedgers()
	for _, m := range f.Nodes {
		m.MustHaveTold(want)
	}
	// Money that comes now goes back, once.
	for range 3 {
		for _, m := range f.Nodes {
			if a := m.Pay(paid[1], "late"); a.Status != 200 {
				t.Errorf("%s: %d %s", m.ID, a.Status, a.Body)
			}
		}
	}
	if a := front.Pay(paid[0], "p0"); a.Status != 200 {
		t.Errorf("the payment that was taken, again: %d %s", a.Status, a.Body)
	}
	var late nodetest.Order
	if err := json.Unmarshal([]byte(front.Order("s1", paid[1].OrderNo).Body), &late); err != nil ||
		late.TransactionID == "" {
		t.Errorf("%+v: %v", late, err)
	}
	for _, m := range f.Nodes {
		if a := m.Ops("GET", "/admin/v1/refunds", ""); !strings.Contains(a.Body,
			`"transaction_id":"`+late.TransactionID+`"`) {
			t.Errorf("%s tells of a refund for transaction %s: %s", m.ID, late.TransactionID, a.Body)
		}
	}
	// And what paid for an order of it pays for no other, on any node.
	f.Plan(strings.Replace(nodetest.DayPlan("", 10), "id: day", "id: next", 1))
	next := front.MustGrant("s3", "k-next", "next/sku-1")
	for _, m := range f.Nodes {
		if a := m.Pay(next, "p0"); a.Status != 409 || !strings.Contains(a.Body,
			"The payment p0 came for another order before") {
			t.Errorf("%s: a settled order's payment for another: %d %s", m.ID, a.Status, a.Body)
		}
	}
	if a := front.Order("s3", next.OrderNo); a.Order.State != "held" {
		t.Errorf("%s", a.Body)
	}
	f.AwaitLedgers()
	due := 0
	for _, line := range f.Follower().Told("0") {
		if strings.Contains(line, `"refund_became_due"`) {
			due++
		}
	}
	if due != 1 {
		t.Errorf("%d refunds", due)
	}
	if a := front.Ops("POST", "/admin/v1/orders/"+paid[0].OrderNo+"/void", `{"note":"too late"}`); a.Status != 409 ||
		!strings.Contains(a.Body, "its session is settled") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := front.Order("s1", paid[1].OrderNo); a.Order.State != "refund_due" {
		t.Errorf("%s", a.Body)
	}
}

// TestLedgerThatNobodyCanComplete: what a node's ledger lacks, and what of it was damaged, are
// alarms; until another node is there that has it, and until the node is started again.
func TestLedgerThatNobodyCanComplete(t *testing.T) {
	f := nodetest.OpenFleet(t, "off", "a1:a", "b1:b")
	f.Plan(nodetest.DayPlan("        limit_per_shopper: 10\n        pay_grace: 0s\n", 100))
	a1, b1 := f.Nodes[0], f.Nodes[1]
	for i := range 10 {
		o := a1.MustGrant(fmt.Sprint("s", i), "k", "day/sku-1")
		if a := a1.Pay(o, fmt.Sprint("p", i)); a.Status != 200 {
			t.Fatal(a.Body)
		}
	}
	a1.End("day")
	a1.Settle("day")
	f.AwaitLedgers()
	for _, m := range f.Nodes { // so that the log does not have it
		if a := m.Ops("POST", "/admin/v1/cluster/snapshot", ""); a.Status != 200 {
			t.Fatal(a.Body)
		}
	}
	b1.Halt()
	a1.Halt()
	damaged := 0
	for _, file := range b1.LedgerFiles() {
		damage := nodetest.FlipByte
		if damaged++; strings.Contains(file, "settled") {
			damage = os.Remove
		}
		if err := damage(file); err != nil {
			t.Fatal(err)
		}
	}
	if damaged < 2 {
		t.Fatalf("%q", b1.LedgerFiles())
	}
	b1.Launch()
	b1.Raised("ledger_missing")
	b1.Raised("ledger_gaps")
	b1.Raised("ledger_rebuilt")
	a1.Relaunch()
	b1.Healed("ledger_missing")
	b1.Healed("ledger_gaps")
	b1.Halt()
	b1.Relaunch()
	b1.Healed("ledger_rebuilt")
}

// TestReaderOfEvents: one that is cut off and comes again, at any node, is told
// every event once and in order.
func TestReaderOfEvents(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 1000))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			f.Nodes[i%3].MustGrant(fmt.Sprint("s", i), "k", "day/sku-1")
		}
	}()
	var read []string
	at, grants := "0", 0
	for round := 0; grants < 300; round++ {
		m := f.Nodes[round%3]
		answer, err := http.Get("http://" + m.Admin + "/admin/v1/events?from=" + at)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(answer.Body)
		for n := 0; n < 7+round*11%40 && grants < 300 && in.Scan(); n++ {
			var e nodetest.TrailLine
			if err := json.Unmarshal(in.Bytes(), &e); err != nil {
				t.Fatalf("%q: %v", in.Text(), err)
			}
			if e.Heartbeat {
				continue
			}
			read = append(read, in.Text()+"\n")
			at = fmt.Sprintf("%d.%d", e.Index, e.N+1)
			if e.Kind == "hold_placed" {
				grants++
			}
		}
		answer.Body.Close()
	}
	<-done
	f.AwaitLedgers()
	for _, m := range f.Nodes {
		m.MustHaveTold(read)
	}
}

// TestEventsTail: the command tells what has happened, in words and as it came.
func TestEventsTail(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 10))
	m := f.Follower()
	o := m.MustGrant("ann", "k", "day/sku-1")
	f.AwaitLedgers()
	status, out, diagnostics := nodetest.Tool(t, "", "events", "tail", "--admin", m.Admin, "--last", "1")
	if status != 0 || !strings.Contains(out,
		" hold_placed session=day sku=sku-1 order="+o.OrderNo+" state=held shopper=ann") {
		t.Errorf("status %d: %s%s", status, out, diagnostics)
	}
	status, out, diagnostics = nodetest.Tool(t, "", "events", "tail", "--admin", m.Admin, "--from", "0", "--session",
		"day", "--json")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); status != 0 || len(lines) < 2 ||
		!strings.HasPrefix(lines[0], `{"index":`) {
		t.Errorf("status %d: %s%s", status, out, diagnostics)
	}
	for _, wrong := range [][]string{{"--from", "x"}, {"--last", "0"}, {"--session", "a/b"}} {
		args := append([]string{"events", "tail", "--admin", m.Admin}, wrong...)
		if status, _, _ := nodetest.Tool(t, "", args...); status != 2 {
			t.Errorf("%v: status %d", wrong, status)
		}
	}
}

// TestSettledOrdersReachNewcomers: a node that joins after a session was settled,
// and a witness that was there, have its orders and the whole trail.
func TestSettledOrdersReachNewcomers(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", "a1:a", "b1:b", "c1:c:witness")
	f.Plan(nodetest.DayPlan("", 100))
	front := f.Nodes[0]
	var granted []nodetest.Order
	for i := range 60 { // more entries than stay behind a snapshot
		o := front.MustGrant(fmt.Sprint("s", i), "k", "day/sku-1")
		if a := front.Pay(o, fmt.Sprint("p", i)); a.Status != 200 {
			t.Fatal(a.Body)
		}
		granted = append(granted, o)
	}
	if a := front.Ops("POST", "/admin/v1/sessions/day/end", `{}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	front.Settle("day")
	f.AwaitLedgers()
	want := front.Told("0")
	f.Nodes[2].MustHaveTold(want)
	// With a snapshot in place of the log the newcomer can have it from nowhere else.
	for _, m := range f.Nodes {
		if a := m.Ops("POST", "/admin/v1/cluster/snapshot", ""); a.Status != 200 {
			t.Fatal(a.Body)
		}
	}
	late := f.Add("a2:a")
	late.Launch()
	if a := front.Ops("POST", "/admin/v1/cluster/join", fmt.Sprintf(`{"id":"a2","zone":"a","kind":"voter","peer":%q}`,
		late.Ports[2])); a.Status != 200 {
		t.Fatal(a.Body)
	}
	late.AwaitUp()
	f.Eventually(func() bool { return len(late.Told("0")) >= len(want) }, "the newcomer's trail stays short")
	late.MustHaveTold(want)
	for i, o := range granted {
		if a := late.Order(fmt.Sprint("s", i), o.OrderNo); a.Status != 200 || a.Order.State != "paid" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
}

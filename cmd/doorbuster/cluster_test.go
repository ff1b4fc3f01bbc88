package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// dayPlan is a session that is open, with listings of so many units.
func dayPlan(more string, stock ...int) string {
	var b strings.Builder
	b.WriteString("products:\n")
	for i := range stock {
		fmt.Fprintf(&b, "  - {id: sku-%d, list_price: 100, currency: CNY}\n", i+1)
	}
	b.WriteString("sales:\n  - id: sale\n    sessions:\n      - id: day\n        start: now\n        duration: 2h\n" + more + "        listings:\n")
	for i, n := range stock {
		fmt.Fprintf(&b, "          - {sku: sku-%d, price: 100, stock: %d}\n", i+1, n)
	}
	return b.String()
}

// TestAnyNodeServes: what is done through one node is seen through each, whoever
// leads, and a key means the same everywhere.
func TestAnyNodeServes(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 3))
	leader, follower := f.leader(), f.follower()
	first := follower.mustGrant("ann", "k", "day/sku-1")
	for _, m := range f.nodes {
		if again := m.mustGrant("ann", "k", "day/sku-1"); again.OrderNo != first.OrderNo {
			t.Errorf("%s gives order %s for the key, %s gave %s", m.id, again.OrderNo, follower.id, first.OrderNo)
		}
		if a := m.order("ann", first.OrderNo); a.Status != 200 || a.Order.State != "held" {
			t.Errorf("%s: %d %s", m.id, a.Status, a.Body)
		}
		if a := m.do("GET", m.http+"/v1/grabs/k", "", "X-Shopper-Id", "ann"); a.Code != "granted" || a.Order.OrderNo != first.OrderNo {
			t.Errorf("%s by key: %s", m.id, a.Body)
		}
		if a := m.mustRefuse("limit_reached", "ann", "other", "day/sku-1"); a.Order.OrderNo != first.OrderNo {
			t.Errorf("%s names order %q", m.id, a.Order.OrderNo)
		}
		if a := m.order("bob", first.OrderNo); a.Status != 404 {
			t.Errorf("%s shows bob ann's order: %d", m.id, a.Status)
		}
	}
	if a := follower.pay(first, "pay-1"); a.Status != 200 || a.Order.State != "paid" {
		t.Errorf("pay through %s: %d %s", follower.id, a.Status, a.Body)
	}
	second := leader.mustGrant("bob", "k", "day/sku-1")
	if a := follower.cancelOrder("bob", second.OrderNo); a.Status != 200 || a.Order.State != "cancelled" {
		t.Errorf("cancel: %d %s", a.Status, a.Body)
	}
	follower.mustGrant("cid", "k", "day/sku-1")
	follower.mustGrant("dan", "k", "day/sku-1")
	for _, m := range f.nodes {
		f.eventually(func() bool { return m.grab("eve", "", "day/sku-1").Code == "sold_out" }, m.id+" goes on selling")
	}
	if c := f.settled()["day/sku-1"]; c.Paid != 1 || c.Held != 2 || c.Available != 0 {
		t.Errorf("%+v", c)
	}
}

// TestLeaderKilled: a shopper who waits when the leader dies is answered by the
// next, and everything told before is there.
func TestLeaderKilled(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 1000))
	told := map[string]string{}
	for round := range 3 {
		leader := f.leader()
		front := f.others(leader)[round%2]
		var wait sync.WaitGroup
		answers := make([]reply, 8)
		for i := range answers {
			wait.Add(1)
			go func() {
				defer wait.Done()
				answers[i], _ = front.tryGrab(fmt.Sprintf("s%d-%d", round, i), "k", "day/sku-1")
			}()
			if i == 3 {
				leader.kill()
			}
		}
		wait.Wait()
		for i, a := range answers {
			who := fmt.Sprintf("s%d-%d", round, i)
			if a.Code == "processing" {
				f.eventually(func() bool { a = front.grab(who, "k", "day/sku-1"); return a.Code == "granted" }, who+" is told nothing")
			}
			if a.Code != "granted" {
				t.Fatalf("%s: %d %s", who, a.Status, a.Body)
			}
			told[who] = a.Order.OrderNo
		}
		leader.relaunch()
	}
	f.leader()
	for who, orderNo := range told {
		for _, m := range f.nodes {
			if o := m.mustGrant(who, "k", "day/sku-1"); o.OrderNo != orderNo {
				t.Errorf("%s: %s says %s, was told %s", who, m.id, o.OrderNo, orderNo)
			}
		}
	}
	if c := f.settled()["day/sku-1"]; c.Held != int64(len(told)) {
		t.Errorf("%d were told yes: %+v", len(told), c)
	}
}

// TestNoSoldOutFromThePast: a follower that is cut off from the leader knows only
// what was; it must not say no on the strength of it.
func TestNoSoldOutFromThePast(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 1))
	leader := f.leader()
	stale := f.others(leader)[0]
	o := leader.mustGrant("ann", "k", "day/sku-1")
	f.eventually(func() bool { return stale.grab("eve", "", "day/sku-1").Code == "sold_out" }, "no sold_out to begin with")
	// A process that was stopped and goes on is the sharpest case: everything in
	// it is as it was, but for the clock.
	stale.signal(syscall.SIGSTOP)
	if a := leader.cancelOrder("ann", o.OrderNo); a.Status != 200 {
		t.Fatal(a.Body)
	}
	asked := make(chan reply, 1)
	go func() {
		a, err := stale.tryGrab("eve", "late", "day/sku-1")
		if err != nil {
			t.Error(err)
		}
		asked <- a
	}()
	time.Sleep(time.Second) // longer than what was heard last counts as fresh
	stale.signal(syscall.SIGCONT)
	if a := <-asked; a.Code != "granted" && a.Code != "processing" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestLeaderStopped: a leader that stands still for ten seconds, and goes on, has
// been replaced, and says no more yes.
func TestLeaderStopped(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 100_000))
	old := f.leader()
	rest := f.others(old)
	old.mustGrant("ann", "k", "day/sku-1")
	p := promise("day/sku-1", append(rest, old)...)
	f.eventually(func() bool { return p.count() > 20 }, "nobody is granted anything")
	old.signal(syscall.SIGSTOP)
	since := time.Now()
	rest[0].eventuallyGrants("bob", "day/sku-1")
	t.Logf("another leads and grants after %s", time.Since(since).Round(time.Millisecond))
	next := f.leaderAmong(func(m *member) bool { return m != old })
	asked := make(chan reply, 1)
	go func() { a, _ := old.tryGrab("cid", "k", "day/sku-1"); asked <- a }()
	for rest := 10*time.Second - time.Since(since); rest > 0; rest = 0 {
		time.Sleep(rest)
	}
	old.signal(syscall.SIGCONT)
	a := <-asked
	if a.Code != "granted" && a.Code != "processing" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	f.eventually(func() bool { return old.grab("cid", "k", "day/sku-1").Code == "granted" }, "cid gets nothing")
	if now := f.leader(); now == old && next == old {
		t.Error("the stopped leader was never replaced")
	}
	p.kept(f)
	for who, m := range map[string]*member{"ann": old, "bob": old, "cid": rest[0]} {
		m.mustGrant(who, "k", "day/sku-1")
	}
}

// eventuallyGrants asks until there is a yes.
func (m *member) eventuallyGrants(shopper, listing string) (o order) {
	m.t.Helper()
	m.f.eventually(func() bool {
		a, err := m.tryGrab(shopper, "k", listing)
		o = a.Order
		return err == nil && a.Code == "granted"
	}, shopper+" is granted nothing by "+m.id)
	return o
}

// TestJoinAndRemove: a node that joins gets the state by a snapshot and votes
// once it has caught up; then another can go.
func TestJoinAndRemove(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 100))
	f.leader().mustGrant("ann", "k", "day/sku-1")
	leader := f.leader()
	if status, out, errs := runTool(t, "", "cluster", "snapshot", "--admin", leader.admin); status != 0 {
		t.Fatal(out, errs)
	}
	through := f.follower()
	c1 := f.add("c1:c")
	c1.launch()
	for _, m := range []struct {
		args []string
		want string
	}{
		{[]string{"--id", "c1", "--zone", "c", "--peer", f.nodes[0].ports[2]}, "is at"},
		{[]string{"--id", "a1", "--zone", "c", "--peer", c1.ports[2]}, "already"},
	} {
		if status, out, errs := runTool(t, "", append([]string{"cluster", "join", "--admin", leader.admin}, m.args...)...); status != 1 || !strings.Contains(out+errs, m.want) {
			t.Errorf("%v: %d %s%s", m.args, status, out, errs)
		}
	}
	if status, out, errs := runTool(t, "", "cluster", "join", "--id", "c1", "--zone", "c", "--peer", c1.ports[2], "--admin", through.admin); status != 0 {
		t.Fatal(out, errs)
	}
	c1.awaitUp()
	f.eventually(func() bool {
		s, ok := c1.status()
		for _, n := range s.Nodes {
			if n.ID == "c1" && n.Role == "follower" && !n.Joining {
				return ok
			}
		}
		return false
	}, "c1 does not become a voter")
	if o := c1.mustGrant("ann", "k", "day/sku-1"); o.OrderNo == "" {
		t.Error("no order")
	}
	leader = f.leader()
	gone := f.others(leader)[0]
	if gone == c1 {
		gone = f.others(leader)[1]
	}
	if status, out, errs := runTool(t, "", "cluster", "remove", "--node", gone.id, "--admin", leader.admin); status != 0 {
		t.Fatal(out, errs)
	}
	gone.kill()
	c1.mustGrant("bob", "k", "day/sku-1")
	s, _ := c1.status()
	if len(s.Nodes) != 3 {
		t.Errorf("%+v", s.Nodes)
	}
	if c := f.settled()["day/sku-1"]; c.Held != 2 {
		t.Errorf("%+v", c)
	}
}

// TestRemoveKeepsTheQuorum: with one node down, another can't be removed.
func TestRemoveKeepsTheQuorum(t *testing.T) {
	f := openFleet(t, "require", rooms3...)
	leader := f.leader()
	down, other := f.others(leader)[0], f.others(leader)[1]
	down.kill()
	f.eventually(func() bool {
		s, _ := leader.status()
		for _, n := range s.Nodes {
			if n.ID == down.id {
				return !n.Reachable
			}
		}
		return false
	}, "nobody misses the node that is down")
	f.eventually(func() bool {
		status, out, errs := runTool(t, "", "cluster", "remove", "--node", other.id, "--admin", leader.admin)
		return status == 1 && strings.Contains(out+errs, "quorum")
	}, "the last healthy voter may go")
}

// TestPromote: with the room that has the quorum gone, the other takes over when
// it is told to; what comes back of the old generation is turned away for good.
func TestPromote(t *testing.T) {
	f := openFleet(t, "require", rooms3...)
	f.plan(dayPlan("", 100))
	told := map[string]string{}
	for i := range 10 {
		who := fmt.Sprint("s", i)
		told[who] = f.nodes[i%3].mustGrant(who, "k", "day/sku-1").OrderNo
	}
	b1 := f.node("b1")
	if status, out, errs := runTool(t, "", "cluster", "promote", "--zone", "b", "--yes", "--admin", b1.admin); status != 1 || !strings.Contains(out+errs, "quorum") {
		t.Errorf("promoted while a quorum lives: %d %s%s", status, out, errs)
	}
	f.node("a1").kill()
	f.node("a2").kill()
	f.eventually(func() bool {
		status, _, _ := runTool(t, "", "cluster", "promote", "--zone", "b", "--yes", "--admin", b1.admin)
		return status == 0
	}, "b1 can't be promoted")
	b1.eventuallyGrants("late", "day/sku-1")
	b1.logs.await(t, b1.exit, "this room has taken over; What was granted after log index", fmt.Sprintf("of session day from order %d on", len(told)+1))
	for who, orderNo := range told {
		if o := b1.mustGrant(who, "k", "day/sku-1"); o.OrderNo != orderNo {
			t.Errorf("%s was told %s, is told %s", who, orderNo, o.OrderNo)
		}
	}
	s, _ := b1.status()
	if s.Generation != 2 || len(s.Nodes) != 1 {
		t.Errorf("%+v", s)
	}
	for _, id := range []string{"a1", "a2"} {
		old := f.node(id)
		old.launch()
		if status := old.wait(); status != 1 || !strings.Contains(old.logs.String(), "generation 2") || !strings.Contains(old.logs.String(), "cluster join") {
			t.Errorf("%s of the old generation: %d\n%s", id, status, old.logs)
		}
		if said := old.logs.String(); !strings.Contains(said, "their units may have been sold again") || strings.Contains(said, "is lost") {
			t.Errorf("%s does not know whether something is lost, and says:\n%s", id, said)
		}
		old.launch() // and never again
		if status := old.wait(); status != 1 || !strings.Contains(old.logs.String(), "generation 2") {
			t.Errorf("%s again: %d\n%s", id, status, old.logs)
		}
		old.up = false
	}
	b1.halt()
	b1.relaunch()
	b1.mustGrant("late", "k", "day/sku-1")
}

// TestRequireGrantsNothingAlone: with the other room away, nothing is promised;
// an operator may say that it is to go on.
func TestRequireGrantsNothingAlone(t *testing.T) {
	f := openFleet(t, "require", rooms3...)
	f.plan(dayPlan("", 100))
	if leader := f.leader(); leader.id == "b1" {
		if status, out, errs := runTool(t, "", "cluster", "transfer", "--to", "a1", "--admin", leader.admin); status != 0 {
			t.Fatal(out, errs)
		}
	}
	f.node("b1").kill()
	leader := f.leader()
	f.eventually(func() bool { s, ok := leader.status(); return ok && s.ZoneAck.State == "blocked" }, "the zone rule does not notice")
	for _, m := range f.others(nil) {
		f.eventually(func() bool { a := m.grab("ann", "", "day/sku-1"); return a.Code == "missed" }, m.id+" does not say that nothing is granted")
	}
	if c := leader.counts("day/sku-1"); c.Available != 100 {
		t.Errorf("%+v", c)
	}
	if v := leader.metric("doorbuster_zone_ack_blocked"); v != "1" {
		t.Errorf("metric: %q", v)
	}
	if status, out, errs := runTool(t, "", "cluster", "zone-ack", "--mode", "prefer", "--admin", leader.admin); status != 0 {
		t.Fatal(out, errs)
	}
	leader.eventuallyGrants("bob", "day/sku-1")
	f.eventually(func() bool { return leader.metric("doorbuster_zone_ack_degraded") == "1" }, "no alarm")
}

// TestBackupIntoNewCluster: the state of a backup taken while selling is that of
// a new cluster, to the hash.
func TestBackupIntoNewCluster(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 5000))
	stop, sold := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				sold <- n
				return
			default:
				f.nodes[n%3].tryGrab(fmt.Sprint("s", n), "k", "day/sku-1")
			}
		}
	}()
	file := filepath.Join(t.TempDir(), "shop.backup")
	f.eventually(func() bool { return f.nodes[0].counts("day/sku-1").Held > 100 }, "nothing is sold")
	status, out, errs := runTool(t, "", "cluster", "backup", "--out", file, "--admin", f.follower().admin)
	close(stop)
	if status != 0 {
		t.Fatal(out, errs)
	}
	<-sold
	g := newFleet(t, "require", "x1:x", "y1:y", "z1:z:witness")
	hashes := map[string]bool{}
	for _, m := range g.nodes {
		status, out, errs := runTool(t, "", "cluster", "restore", "--from", file, "--dev", "--config", m.config())
		if status != 0 {
			t.Fatal(out, errs)
		}
		hashes[out[strings.Index(out, "hash "):]] = true
		if status, out, errs := runTool(t, "", "cluster", "restore", "--from", file, "--dev", "--config", m.config()); status != 1 || !strings.Contains(errs, "new directory") {
			t.Errorf("restored twice: %d %s%s", status, out, errs)
		}
	}
	if len(hashes) != 1 {
		t.Errorf("hashes differ: %v", hashes)
	}
	for _, m := range g.nodes {
		m.launch()
	}
	for _, m := range g.nodes {
		m.awaitUp()
	}
	g.leader()
	for _, m := range g.nodes[:2] {
		if o := m.mustGrant("s1", "k", "day/sku-1"); o.OrderNo != f.nodes[0].mustGrant("s1", "k", "day/sku-1").OrderNo {
			t.Errorf("%s tells another order", m.id)
		}
		m.mustGrant("new-"+m.id, "k", "day/sku-1")
	}
	if c := g.settled()["day/sku-1"]; c.Held < 100 {
		t.Errorf("%+v", c)
	}
}

// TestBlockedLeaderStops: a leader that may acknowledge nothing can be stopped,
// with a grab waiting for the other room.
func TestBlockedLeaderStops(t *testing.T) {
	f := openFleet(t, "require", rooms3...)
	f.plan(dayPlan("", 100))
	if leader := f.leader(); leader.id == "b1" {
		if status, out, errs := runTool(t, "", "cluster", "transfer", "--to", "a1", "--admin", leader.admin); status != 0 {
			t.Fatal(out, errs)
		}
	}
	leader := f.leader()
	f.node("b1").kill()
	asked := make(chan reply, 1)
	go func() { a, _ := leader.tryGrab("ann", "k", "day/sku-1"); asked <- a }()
	f.eventually(func() bool { s, ok := leader.status(); return ok && s.ZoneAck.State == "blocked" }, "the zone rule does not notice")
	leader.halt()
	if a := <-asked; a.Code == "granted" {
		t.Errorf("told yes in one room: %s", a.Body)
	}
}

package cluster

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestAnyNodeServes: what is done through one node is seen through each, whoever
// leads, and a key means the same everywhere.
func TestAnyNodeServes(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 3))
	leader, follower := f.Leader(), f.Follower()
	first := follower.MustGrant("ann", "k", "day/sku-1")
	for _, m := range f.Nodes {
		if again := m.MustGrant("ann", "k", "day/sku-1"); again.OrderNo != first.OrderNo {
			t.Errorf("%s gives order %s for the key, %s gave %s", m.ID, again.OrderNo, follower.ID, first.OrderNo)
		}
		if a := m.Order("ann", first.OrderNo); a.Status != 200 || a.Order.State != "held" {
			t.Errorf("%s: %d %s", m.ID, a.Status, a.Body)
		}
		if a := m.Do("GET", m.HTTP+"/v1/grabs/k", "", "X-Shopper-Id", "ann"); a.Code != "granted" ||
			a.Order.OrderNo != first.OrderNo {
			t.Errorf("%s by key: %s", m.ID, a.Body)
		}
		if a := m.MustRefuse("limit_reached", "ann", "other", "day/sku-1"); a.Order.OrderNo != first.OrderNo {
			t.Errorf("%s names order %q", m.ID, a.Order.OrderNo)
		}
		if a := m.Order("bob", first.OrderNo); a.Status != 404 {
			t.Errorf("%s shows bob ann's order: %d", m.ID, a.Status)
		}
	}
	if a := follower.Pay(first, "pay-1"); a.Status != 200 || a.Order.State != "paid" {
		t.Errorf("pay through %s: %d %s", follower.ID, a.Status, a.Body)
	}
	second := leader.MustGrant("bob", "k", "day/sku-1")
	if a := follower.CancelOrder("bob", second.OrderNo); a.Status != 200 || a.Order.State != "cancelled" {
		t.Errorf("cancel: %d %s", a.Status, a.Body)
	}
	follower.MustGrant("cid", "k", "day/sku-1")
	follower.MustGrant("dan", "k", "day/sku-1")
	for _, m := range f.Nodes {
		f.Eventually(func() bool { return m.Grab("eve", "", "day/sku-1").Code == "sold_out" }, m.ID+" goes on selling")
	}
	if c := f.Settled()["day/sku-1"]; c.Paid != 1 || c.Held != 2 || c.Available != 0 {
		t.Errorf("%+v", c)
	}
}

// TestLeaderKilled: a shopper who waits when the leader dies is answered by the
// next, and everything told before is there.
func TestLeaderKilled(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 1000))
	told := map[string]string{}
	for round := range 3 {
		leader := f.Leader()
		front := f.Others(leader)[round%2]
		var wait sync.WaitGroup
		answers := make([]nodetest.Reply, 8)
		for i := range answers {
			wait.Add(1)
			go func() {
				defer wait.Done()
				answers[i], _ = front.TryGrab(fmt.Sprintf("s%d-%d", round, i), "k", "day/sku-1")
			}()
			if i == 3 {
				leader.Kill()
			}
		}
		wait.Wait()
		for i, a := range answers {
			who := fmt.Sprintf("s%d-%d", round, i)
			if a.Code == "processing" {
				f.Eventually(func() bool {
					a = front.Grab(who, "k", "day/sku-1")
					return a.Code == "granted"
				}, who+" is told nothing")
			}
			if a.Code != "granted" {
				t.Fatalf("%s: %d %s", who, a.Status, a.Body)
			}
			told[who] = a.Order.OrderNo
		}
		leader.Relaunch()
	}
	f.Leader()
	for who, orderNo := range told {
		for _, m := range f.Nodes {
			if o := m.MustGrant(who, "k", "day/sku-1"); o.OrderNo != orderNo {
				t.Errorf("%s: %s says %s, was told %s", who, m.ID, o.OrderNo, orderNo)
			}
		}
	}
	if c := f.Settled()["day/sku-1"]; c.Held != int64(len(told)) {
		t.Errorf("%d were told yes: %+v", len(told), c)
	}
}

// TestNoSoldOutFromThePast: a follower that is cut off from the leader knows only
// what was; it must not say no on the strength of it.
func TestNoSoldOutFromThePast(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 1))
	leader := f.Leader()
	stale := f.Others(leader)[0]
	o := leader.MustGrant("ann", "k", "day/sku-1")
	f.Eventually(func() bool {
		return stale.Grab("eve", "", "day/sku-1").Code == "sold_out"
	}, "no sold_out to begin with")
	// A process that was stopped and goes on is the sharpest case: everything in
	// it is as it was, but for the clock.
	stale.Signal(syscall.SIGSTOP)
	if a := leader.CancelOrder("ann", o.OrderNo); a.Status != 200 {
		t.Fatal(a.Body)
	}
	asked := make(chan nodetest.Reply, 1)
	go func() {
		a, err := stale.TryGrab("eve", "late", "day/sku-1")
		if err != nil {
			t.Error(err)
		}
		asked <- a
	}()
	time.Sleep(time.Second) // longer than what was heard last counts as fresh
	stale.Signal(syscall.SIGCONT)
	if a := <-asked; a.Code != "granted" && a.Code != "processing" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestLeaderStopped: a leader that stands still for ten seconds, and goes on, has
// been replaced, and says no more yes.
func TestLeaderStopped(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 100_000))
	old := f.Leader()
	rest := f.Others(old)
	old.MustGrant("ann", "k", "day/sku-1")
	p := nodetest.Promise("day/sku-1", append(rest, old)...)
	f.Eventually(func() bool { return p.Count() > 20 }, "nobody is granted anything")
	old.Signal(syscall.SIGSTOP)
	since := time.Now()
	rest[0].EventuallyGrants("bob", "day/sku-1")
	t.Logf("another leads and grants after %s", time.Since(since).Round(time.Millisecond))
	next := f.LeaderAmong(func(m *nodetest.Member) bool { return m != old })
	asked := make(chan nodetest.Reply, 1)
	go func() { a, _ := old.TryGrab("cid", "k", "day/sku-1"); asked <- a }()
	still := 10 * time.Second
	if testing.Short() {
		still = 3 * time.Second
	}
	time.Sleep(still - time.Since(since))
	old.Signal(syscall.SIGCONT)
	a := <-asked
	if a.Code != "granted" && a.Code != "processing" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	f.Eventually(func() bool { return old.Grab("cid", "k", "day/sku-1").Code == "granted" }, "cid gets nothing")
	if now := f.Leader(); now == old && next == old {
		t.Error("the stopped leader was never replaced")
	}
	p.Kept(f)
	for who, m := range map[string]*nodetest.Member{"ann": old, "bob": old, "cid": rest[0]} {
		m.MustGrant(who, "k", "day/sku-1")
	}
}

// TestJoinAndRemove: a node that joins gets the state by a snapshot and votes
// once it has caught up; then another can go.
func TestJoinAndRemove(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 100))
	f.Leader().MustGrant("ann", "k", "day/sku-1")
	leader := f.Leader()
	leader.MustRun("cluster", "snapshot")
	through := f.Follower()
	c1 := f.Add("c1:c")
	c1.Launch()
	for _, m := range []struct {
		args []string
		want string
	}{
		{[]string{"--id", "c1", "--zone", "c", "--peer", f.Nodes[0].Ports[2]}, "is at"},
		{[]string{"--id", "a1", "--zone", "c", "--peer", c1.Ports[2]}, "already"},
	} {
		if status, out, errs := nodetest.Tool(t, "", append([]string{"cluster", "join", "--admin", leader.Admin},
			m.args...)...); status != 1 || !strings.Contains(out+errs, m.want) {
			t.Errorf("%v: %d %s%s", m.args, status, out, errs)
		}
	}
	through.MustRun("cluster", "join", "--id", "c1", "--zone", "c", "--peer", c1.Ports[2])
	c1.AwaitUp()
	f.Eventually(func() bool {
		s, ok := c1.Status()
		for _, n := range s.Nodes {
			if n.ID == "c1" && n.Role == "follower" && !n.Joining {
				return ok
			}
		}
		return false
	}, "c1 does not become a voter")
	if o := c1.MustGrant("ann", "k", "day/sku-1"); o.OrderNo == "" {
		t.Error("no order")
	}
	var gone *nodetest.Member
	f.Eventually(func() bool { // a busy machine may have it lead meanwhile
		leader = f.Leader()
		if gone = f.Others(leader)[0]; gone == c1 {
			gone = f.Others(leader)[1]
		}
		status, out, errs := nodetest.Tool(t, "", "cluster", "remove", "--node", gone.ID, "--admin", leader.Admin)
		if status != 0 && !strings.Contains(errs, "leads") {
			t.Fatal(out, errs)
		}
		return status == 0
	}, "no node can be removed")
	gone.Kill()
	c1.MustGrant("bob", "k", "day/sku-1")
	s, _ := c1.Status()
	if len(s.Nodes) != 3 {
		t.Errorf("%+v", s.Nodes)
	}
	if c := f.Settled()["day/sku-1"]; c.Held != 2 {
		t.Errorf("%+v", c)
	}
}

// TestRemoveKeepsTheQuorum: with one node down, another can't be removed.
func TestRemoveKeepsTheQuorum(t *testing.T) {
	f := nodetest.OpenFleet(t, "require", nodetest.Rooms3...)
	leader := f.Leader()
	down, other := f.Others(leader)[0], f.Others(leader)[1]
	down.Kill()
	f.Eventually(func() bool {
		s, _ := leader.Status()
		for _, n := range s.Nodes {
			if n.ID == down.ID {
				return !n.Reachable
			}
		}
		return false
	}, "nobody misses the node that is down")
	f.Eventually(func() bool {
		status, out, errs := nodetest.Tool(t, "", "cluster", "remove", "--node", other.ID, "--admin", leader.Admin)
		return status == 1 && strings.Contains(out+errs, "quorum")
	}, "the last healthy voter may go")
}

// TestPromote: with the zone that has the quorum gone, the other takes over when
// it is told to; what comes back of the old generation is turned away for good.
func TestPromote(t *testing.T) {
	f := nodetest.OpenFleet(t, "require", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 100))
	told := map[string]string{}
	for i := range 10 {
		who := fmt.Sprint("s", i)
		told[who] = f.Nodes[i%3].MustGrant(who, "k", "day/sku-1").OrderNo
	}
	b1 := f.Node("b1")
	if status, out, errs := nodetest.Tool(t, "", "cluster", "promote", "--zone", "b", "--yes", "--admin",
		b1.Admin); status != 1 || !strings.Contains(out+errs, "quorum") {
		t.Errorf("promoted while a quorum lives: %d %s%s", status, out, errs)
	}
	f.Node("a1").Kill()
	f.Node("a2").Kill()
	f.Eventually(func() bool {
		status, _, _ := nodetest.Tool(t, "", "cluster", "promote", "--zone", "b", "--yes", "--admin", b1.Admin)
		return status == 0
	}, "b1 can't be promoted")
	b1.EventuallyGrants("late", "day/sku-1")
	b1.Logs.Await(t, b1.Exit, "this zone has taken over; What was granted after log index",
		fmt.Sprintf("of session day from order %d on", len(told)+1))
	for who, orderNo := range told {
		if o := b1.MustGrant(who, "k", "day/sku-1"); o.OrderNo != orderNo {
			t.Errorf("%s was told %s, is told %s", who, orderNo, o.OrderNo)
		}
	}
	s, _ := b1.Status()
	if s.Generation != 2 || len(s.Nodes) != 1 {
		t.Errorf("%+v", s)
	}
	for _, id := range []string{"a1", "a2"} {
		old := f.Node(id)
		old.Launch()
		if status := old.Wait(); status != 1 || !strings.Contains(old.Logs.String(), "generation 2") ||
			!strings.Contains(old.Logs.String(), "cluster join") {
			t.Errorf("%s of the old generation: %d\n%s", id, status, old.Logs)
		}
		if said := old.Logs.String(); !strings.Contains(said, "their units may have been sold again") ||
			strings.Contains(said, "is lost") {
			t.Errorf("%s does not know whether something is lost, and says:\n%s", id, said)
		}
		old.Launch() // and never again
		if status := old.Wait(); status != 1 || !strings.Contains(old.Logs.String(), "generation 2") {
			t.Errorf("%s again: %d\n%s", id, status, old.Logs)
		}
		old.Up = false
	}
	b1.Halt()
	b1.Relaunch()
	b1.MustGrant("late", "k", "day/sku-1")
}

// TestRequireGrantsNothingAlone: with the other zone away, nothing is promised;
// an operator may say that it is to go on.
func TestRequireGrantsNothingAlone(t *testing.T) {
	f := nodetest.OpenFleet(t, "require", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 100))
	if leader := f.Leader(); leader.ID == "b1" {
		leader.MustRun("cluster", "transfer", "--to", "a1")
	}
	f.Node("b1").Kill()
	leader := f.Leader()
	f.Eventually(func() bool {
		s, ok := leader.Status()
		return ok && s.ZoneAck.State == "blocked"
	}, "the zone rule does not notice")
	leader.Raised("zone_ack")
	for _, m := range f.Others(nil) {
		f.Eventually(func() bool {
			a := m.Grab("ann", "", "day/sku-1")
			return a.Code == "missed"
		}, m.ID+" does not say that nothing is granted")
	}
	if c := leader.Counts("day/sku-1"); c.Available != 100 {
		t.Errorf("%+v", c)
	}
	if v := leader.Metric("doorbuster_zone_ack_blocked"); v != "1" {
		t.Errorf("metric: %q", v)
	}
	leader.MustRun("cluster", "zone-ack", "--mode", "prefer")
	leader.EventuallyGrants("bob", "day/sku-1")
	f.Eventually(func() bool { return leader.Metric("doorbuster_zone_ack_degraded") == "1" }, "no alarm")
	leader.Raised("zone_ack")
	f.Node("b1").Relaunch()
	leader.Healed("zone_ack")
}

// TestBackupIntoNewCluster: the state of a backup taken while selling is that of
// a new cluster, to the hash.
func TestBackupIntoNewCluster(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 5000))
	stop, sold := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				sold <- n
				return
			default:
				f.Nodes[n%3].TryGrab(fmt.Sprint("s", n), "k", "day/sku-1")
			}
		}
	}()
	file := filepath.Join(t.TempDir(), "shop.backup")
	f.Eventually(func() bool { return f.Nodes[0].Counts("day/sku-1").Held > 100 }, "nothing is sold")
	status, out, errs := nodetest.Tool(t, "", "cluster", "backup", "--out", file, "--admin", f.Follower().Admin)
	close(stop)
	if status != 0 {
		t.Fatal(out, errs)
	}
	<-sold
	g := nodetest.NewFleet(t, "require", "x1:x", "y1:y", "z1:z:witness")
	hashes := map[string]bool{}
	for _, m := range g.Nodes {
		status, out, errs := nodetest.Tool(t, "", "cluster", "restore", "--from", file, "--dev", "--config", m.Config())
		if status != 0 {
			t.Fatal(out, errs)
		}
		hashes[out[strings.Index(out, "hash "):]] = true
		if status, out, errs := nodetest.Tool(t, "", "cluster", "restore", "--from", file, "--dev", "--config",
			m.Config()); status != 1 || !strings.Contains(errs, "new directory") {
			t.Errorf("restored twice: %d %s%s", status, out, errs)
		}
	}
	if len(hashes) != 1 {
		t.Errorf("hashes differ: %v", hashes)
	}
	g.Open()
	g.Leader()
	for _, m := range g.Nodes[:2] {
		if o := m.MustGrant("s1", "k", "day/sku-1"); o.OrderNo != f.Nodes[0].MustGrant("s1", "k", "day/sku-1").OrderNo {
			t.Errorf("%s tells another order", m.ID)
		}
		m.MustGrant("new-"+m.ID, "k", "day/sku-1")
	}
	if c := g.Settled()["day/sku-1"]; c.Held < 100 {
		t.Errorf("%+v", c)
	}
}

// TestBlockedLeaderStops: a leader that may acknowledge nothing can be stopped,
// with a grab waiting for the other zone.
func TestBlockedLeaderStops(t *testing.T) {
	f := nodetest.OpenFleet(t, "require", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 100))
	if leader := f.Leader(); leader.ID == "b1" {
		leader.MustRun("cluster", "transfer", "--to", "a1")
	}
	leader := f.Leader()
	f.Node("b1").Kill()
	asked := make(chan nodetest.Reply, 1)
	go func() { a, _ := leader.TryGrab("ann", "k", "day/sku-1"); asked <- a }()
	f.Eventually(func() bool {
		s, ok := leader.Status()
		return ok && s.ZoneAck.State == "blocked"
	}, "the zone rule does not notice")
	leader.Halt()
	if a := <-asked; a.Code == "granted" {
		t.Errorf("told yes in one zone: %s", a.Body)
	}
}

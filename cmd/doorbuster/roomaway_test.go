package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// hurriedWithin is well below what a grab may take in a fleet whose fronts are
// patient, and well above what an answer takes that waits for nothing.
const hurriedWithin = patience / 3

// patientFleet is the usual one, with zone ack require and fronts that wait long for
// an outcome: so an answer that comes at once is told from one that timed out.
func patientFleet(t *testing.T) *testCluster {
	t.Helper()
	f := newFleet(t, "require", rooms3...)
	f.extra = fmt.Sprintf("grab_timeout: %s\n", 2*patience/3)
	for _, m := range f.nodes {
		m.launch()
	}
	for _, m := range f.nodes {
		m.awaitUp()
	}
	f.plan(dayPlan("        limit_per_shopper: 1\n", 1, 100_000))
	return f
}

// prefers has leadership go to a zone.
func (f *testCluster) prefers(zone string) {
	f.t.Helper()
	if status, out, errs := runTool(f.t, "", "cluster", "prefer", "--zone", zone, "--admin", f.leader().admin); status != 0 {
		f.t.Fatal(out, errs)
	}
	f.eventually(func() bool { return f.leader().zone == zone }, "nobody of zone "+zone+" comes to lead")
}

// goesOnTelling checks what the nodes that are left say while nothing can be granted:
// everything but a yes, at once. held is ann's order of sku-1, which is sold out.
func (f *testCluster) goesOnTelling(held order) {
	f.t.Helper()
	f.eventually(func() bool {
		for _, m := range f.others(nil) {
			if s, ok := m.status(); !ok || s.ZoneAck.State != "blocked" {
				return false
			}
		}
		return true
	}, "the nodes that are left do not notice")
	for _, m := range f.others(nil) {
		f.eventually(func() bool { return m.grab("eve", "", "day/sku-1").Code == "sold_out" }, m.id+" does not say that it is sold out")
	}
	since := time.Now()
	for i := range 20 {
		for _, m := range f.others(nil) {
			m.mustRefuse("sold_out", "eve", newKey(), "day/sku-1")
			m.mustRefuse("missed", fmt.Sprint("newcomer-", i), newKey(), "day/sku-2")
			if o := m.mustGrant("ann", "k", "day/sku-1"); o.OrderNo != held.OrderNo {
				f.t.Errorf("%s tells ann of order %s, not %s", m.id, o.OrderNo, held.OrderNo)
			}
			if a := m.mustRefuse("limit_reached", "ann", newKey(), "day/sku-1"); a.Order.OrderNo != held.OrderNo {
				f.t.Errorf("%s names order %q", m.id, a.Order.OrderNo)
			}
			if a := m.order("ann", held.OrderNo); a.Status != 200 {
				f.t.Errorf("%s: ann's order: %d %s", m.id, a.Status, a.Body)
			}
			if a := m.do("GET", m.http+"/v1/grabs/k", "", "X-Shopper-Id", "ann"); a.Code != "granted" {
				f.t.Errorf("%s: ann's key: %d %s", m.id, a.Status, a.Body)
			}
			if a := m.do("GET", m.http+"/v1/sessions", ""); a.Status != 200 {
				f.t.Errorf("%s: the display: %d %s", m.id, a.Status, a.Body)
			}
			if a := m.ops("GET", "/readyz", ""); a.Status != 200 {
				f.t.Errorf("%s is not ready: %s", m.id, a.Body)
			}
		}
	}
	if took := time.Since(since); took > hurriedWithin {
		f.t.Errorf("the answers took %s", took)
	}
	for _, m := range f.others(nil) {
		if status, out, errs := runTool(f.t, "", "cluster", "status", "--admin", m.admin); status != 0 || strings.Count(out, "'doorbuster cluster zone-ack --mode prefer'") != 2 {
			f.t.Errorf("%s names no way out, as its state and as an alarm: %d %s%s", m.id, status, out, errs)
		}
	}
}

// TestLeadersRoomLost: with zone ack require the room of the leader is lost, and with
// it the only voter of another zone. The room that is left can grant nothing; it goes
// on showing and refusing, knows all that was told, and sells again by itself once
// the other room is back, or once an operator says so.
func TestLeadersRoomLost(t *testing.T) {
	f := patientFleet(t)
	f.prefers("b")
	held := f.node("a1").mustGrant("ann", "k", "day/sku-1")
	b1, all := f.node("b1"), 0
	for round, recover := range []func(){
		func() { b1.relaunch() },
		func() {
			if status, out, errs := runTool(t, "", "cluster", "zone-ack", "--mode", "prefer", "--admin", f.node("a2").admin); status != 0 {
				t.Fatal(out, errs)
			}
		},
	} {
		f.eventually(func() bool { return f.leader() == b1 }, "b1 does not come to lead")
		var told answers
		told.begin(f, fmt.Sprint("s", round), 16)
		f.eventually(func() bool { return told.count("granted") > 100 }, "nobody is granted anything")
		b1.kill()
		f.eventually(func() bool { return told.count("missed") > 100 }, "nobody is told that nothing is granted")
		told.end()
		f.goesOnTelling(held)
		status, _, errs := runTool(t, "", "cluster", "zone-ack", "--mode", "require", "--admin", f.node("a2").admin)
		if round == 1 && (status != 1 || !strings.Contains(errs, "nothing is granted") || !strings.Contains(errs, "--yes")) {
			t.Errorf("require while the other zone is away: status %d: %s", status, errs)
		}
		recover()
		for who, a := range told.by {
			m := f.nodes[0]
			switch a.Code {
			case "granted":
			case "missed", "processing":
				f.eventually(func() bool { a = m.grab(who, "k", "day/sku-2"); return a.Code == "granted" }, who+" is granted nothing when grants go on")
			default:
				t.Errorf("%s: %d %s", who, a.Status, a.Body)
				continue
			}
			if o := f.nodes[1].mustGrant(who, "k", "day/sku-2"); o.OrderNo != a.Order.OrderNo {
				t.Errorf("%s was told of %s, and then of %s", who, a.Order.OrderNo, o.OrderNo)
			}
		}
		t.Logf("while the room is lost: %d granted, %d missed, %d undecided", told.count("granted"), told.count("missed"), told.count("processing"))
		all += len(told.by)
	}
	if c := f.settled()["day/sku-2"]; c.Held != int64(all) {
		t.Errorf("%d were granted: %+v", all, c)
	}
}

// answers are what shoppers hear, each once, by the shopper.
type answers struct {
	stop chan struct{}
	wait sync.WaitGroup
	mu   sync.Mutex
	by   map[string]reply
}

// begin has so many shoppers at a time come to nodes a1 and a2.
func (x *answers) begin(f *testCluster, name string, workers int) {
	x.stop, x.by = make(chan struct{}), map[string]reply{}
	for w := range workers {
		x.wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-x.stop:
					return
				default:
				}
				who := fmt.Sprintf("%s-%d-%d", name, w, i)
				a, err := f.nodes[(w+i)%2].tryGrab(who, "k", "day/sku-2")
				if err != nil {
					f.t.Error(err)
				}
				x.mu.Lock()
				x.by[who] = a
				x.mu.Unlock()
			}
		})
	}
}

func (x *answers) end() {
	close(x.stop)
	x.wait.Wait()
}

// count tells how many heard a code.
func (x *answers) count(code string) (n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.by {
		if a.Code == code {
			n++
		}
	}
	return n
}

// TestOtherRoomLost: the same, where the leader is in the room that is left.
func TestOtherRoomLost(t *testing.T) {
	f := patientFleet(t)
	f.eventually(func() bool { return f.leader().zone == "a" }, "leadership does not come to the room with more voters")
	held := f.node("a1").mustGrant("ann", "k", "day/sku-1")
	f.node("b1").kill()
	undecided := make(chan reply, 1)
	go func() { a, _ := f.nodes[0].tryGrab("bob", "k", "day/sku-2"); undecided <- a }() // missed, or waits for the other room
	f.goesOnTelling(held)
	since := time.Now()
	for _, m := range f.others(nil) {
		if a := m.grab("bob", "k", "day/sku-2"); a.Code != "processing" && a.Code != "missed" {
			t.Errorf("%s: %d %s", m.id, a.Status, a.Body)
		}
	}
	if took := time.Since(since); took > hurriedWithin {
		t.Errorf("who has a grab on its way is told so after %s", took)
	}
	f.node("b1").relaunch()
	first := <-undecided
	for _, m := range f.nodes {
		o := m.eventuallyGrants("bob", "day/sku-2")
		if first.Code == "granted" && o.OrderNo != first.Order.OrderNo {
			t.Errorf("%s says %s, was told %s", m.id, o.OrderNo, first.Order.OrderNo)
		}
	}
}

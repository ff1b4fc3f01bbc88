package cluster

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// patientFleet is the usual one, with zone ack require and fronts that wait longer for
// an outcome than whoever asks them here: an answer that would wait never comes.
func patientFleet(t *testing.T) *nodetest.Fleet {
	t.Helper()
	f := nodetest.NewFleet(t, "require", nodetest.Rooms3...)
	f.Extra = fmt.Sprintf("grab_timeout: %s\n", 2*nodetest.Patience)
	f.Open()
	f.Plan(nodetest.DayPlan("        limit_per_shopper: 1\n", 1, 100_000))
	return f
}

// prefers has leadership go to a zone.
func prefers(f *nodetest.Fleet, zone string) {
	f.T.Helper()
	f.Leader().MustRun("cluster", "prefer", "--zone", zone)
	f.Eventually(func() bool { return f.Leader().Zone == zone }, "nobody of zone "+zone+" comes to lead")
}

// goesOnTelling checks what the nodes that are left say while nothing can be granted:
// everything but a yes, at once. held is ann's order of sku-1, which is sold out.
func goesOnTelling(f *nodetest.Fleet, held nodetest.Order) {
	f.T.Helper()
	f.Eventually(func() bool {
		for _, m := range f.Others(nil) {
			if s, ok := m.Status(); !ok || s.ZoneAck.State != "blocked" {
				return false
			}
		}
		return true
	}, "the nodes that are left do not notice")
	for _, m := range f.Others(nil) {
		f.Eventually(func() bool {
			return m.Grab("eve", "", "day/sku-1").Code == "sold_out"
		}, m.ID+" does not say that it is sold out")
	}
	for i := range 20 {
		for _, m := range f.Others(nil) {
			m.MustRefuse("sold_out", "eve", nodetest.NewKey(), "day/sku-1")
			m.MustRefuse("missed", fmt.Sprint("newcomer-", i), nodetest.NewKey(), "day/sku-2")
			if o := m.MustGrant("ann", "k", "day/sku-1"); o.OrderNo != held.OrderNo {
				f.T.Errorf("%s tells ann of order %s, not %s", m.ID, o.OrderNo, held.OrderNo)
			}
			if a := m.MustRefuse("limit_reached", "ann", nodetest.NewKey(),
				"day/sku-1"); a.Order.OrderNo != held.OrderNo {
				f.T.Errorf("%s names order %q", m.ID, a.Order.OrderNo)
			}
			if a := m.Order("ann", held.OrderNo); a.Status != 200 {
				f.T.Errorf("%s: ann's order: %d %s", m.ID, a.Status, a.Body)
			}
			if a := m.Do("GET", m.HTTP+"/v1/grabs/k", "", "X-Shopper-Id", "ann"); a.Code != "granted" {
				f.T.Errorf("%s: ann's key: %d %s", m.ID, a.Status, a.Body)
			}
			if a := m.Do("GET", m.HTTP+"/v1/sessions", ""); a.Status != 200 {
				f.T.Errorf("%s: the display: %d %s", m.ID, a.Status, a.Body)
			}
			if a := m.Ops("GET", "/readyz", ""); a.Status != 200 {
				f.T.Errorf("%s is not ready: %s", m.ID, a.Body)
			}
		}
	}
	for _, m := range f.Others(nil) {
		if status, out, errs := nodetest.Tool(f.T, "", "cluster", "status", "--admin", m.Admin); status != 0 ||
			strings.Count(out, "'doorbuster cluster zone-ack --mode prefer'") != 2 {
			f.T.Errorf("%s names no way out, as its state and as an alarm: %d %s%s", m.ID, status, out, errs)
		}
	}
}

// TestLeadersZoneLost: with zone ack require the zone of the leader is lost, and with
// it the only voter of another zone. The zone that is left can grant nothing; it goes
// on showing and refusing, knows all that was told, and sells again by itself once
// the other zone is back, or once an operator says so.
func TestLeadersZoneLost(t *testing.T) {
	f := patientFleet(t)
	prefers(f, "b")
	held := f.Node("a1").EventuallyGrants("ann", "day/sku-1")
	b1, all := f.Node("b1"), 0
	for round, recover := range []func(){
		func() { b1.Relaunch() },
		func() {
			f.Node("a2").MustRun("cluster", "zone-ack", "--mode", "prefer")
		},
	} {
		f.Eventually(func() bool { return f.Leader() == b1 }, "b1 does not come to lead")
		var told answers
		told.begin(f, fmt.Sprint("s", round), 16)
		f.Eventually(func() bool { return told.count("granted") > 100 }, "nobody is granted anything")
		b1.Kill()
		f.Eventually(func() bool { return told.count("missed") > 100 }, "nobody is told that nothing is granted")
		told.end()
		goesOnTelling(f, held)
		status, _, errs := nodetest.Tool(t, "", "cluster", "zone-ack", "--mode", "require", "--admin",
			f.Node("a2").Admin)
		if round == 1 && (status != 1 || !strings.Contains(errs, "nothing is granted") ||
			!strings.Contains(errs, "--yes")) {
			t.Errorf("require while the other zone is away: status %d: %s", status, errs)
		}
		recover()
		for who, a := range told.by {
			m := f.Nodes[0]
			switch a.Code {
			case "granted":
			case "missed", "processing":
				f.Eventually(func() bool {
					a = m.Grab(who, "k", "day/sku-2")
					return a.Code == "granted"
				}, who+" is granted nothing when grants go on")
			default:
				t.Errorf("%s: %d %s", who, a.Status, a.Body)
				continue
			}
			if o := f.Nodes[1].MustGrant(who, "k", "day/sku-2"); o.OrderNo != a.Order.OrderNo {
				t.Errorf("%s was told of %s, and then of %s", who, a.Order.OrderNo, o.OrderNo)
			}
		}
		t.Logf("while the zone is lost: %d granted, %d missed, %d undecided", told.count("granted"),
			told.count("missed"), told.count("processing"))
		all += len(told.by)
	}
	if c := f.Settled()["day/sku-2"]; c.Held != int64(all) {
		t.Errorf("%d were granted: %+v", all, c)
	}
}

// answers are what shoppers hear, each once, by the shopper.
type answers struct {
	stop chan struct{}
	wait sync.WaitGroup
	mu   sync.Mutex
	by   map[string]nodetest.Reply
}

// begin has so many shoppers at a time come to nodes a1 and a2.
func (x *answers) begin(f *nodetest.Fleet, name string, workers int) {
	x.stop, x.by = make(chan struct{}), map[string]nodetest.Reply{}
	for w := range workers {
		x.wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-x.stop:
					return
				default:
				}
				who := fmt.Sprintf("%s-%d-%d", name, w, i)
				a, err := f.Nodes[(w+i)%2].TryGrab(who, "k", "day/sku-2")
				if err != nil {
					f.T.Error(err)
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

// TestOtherZoneLost: the same, where the leader is in the zone that is left.
func TestOtherZoneLost(t *testing.T) {
	f := patientFleet(t)
	f.Eventually(func() bool { return f.Leader().Zone == "a" }, "leadership does not come to the zone with more voters")
	held := f.Node("a1").EventuallyGrants("ann", "day/sku-1")
	f.Node("b1").Kill()
	undecided := make(chan nodetest.Reply, 1)
	go func() {
		a, _ := f.Nodes[0].TryGrab("bob", "k", "day/sku-2")
		undecided <- a
	}() // missed, or waits for the other zone
	goesOnTelling(f, held)
	for _, m := range f.Others(nil) {
		if a := m.Grab("bob", "k", "day/sku-2"); a.Code != "processing" && a.Code != "missed" {
			t.Errorf("%s: %d %s", m.ID, a.Status, a.Body)
		}
	}
	f.Node("b1").Relaunch()
	first := <-undecided
	for _, m := range f.Nodes {
		o := m.EventuallyGrants("bob", "day/sku-2")
		if first.Code == "granted" && o.OrderNo != first.Order.OrderNo {
			t.Errorf("%s says %s, was told %s", m.ID, o.OrderNo, first.Order.OrderNo)
		}
	}
}

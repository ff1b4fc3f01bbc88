package partitions

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// partitionRounds is how often the tests with cut networks are done; 0 is the
// short version.
var partitionRounds = flag.Int("partition.rounds", 0, "rounds of the tests that cut the network; 0 = few")

func partitionTimes(short int) int {
	if *partitionRounds > 0 {
		return *partitionRounds
	}
	return short
}

// openLand is two rooms: two hosts and one, and shoppers in each.
func openLand(t *testing.T) *land { return newLand(t, "a1", "a2", "b1", "a0", "b0") }

// smallListings is a plan of n listings of so many units.
func smallListings(n, stock int) string {
	units := make([]int, n)
	for i := range units {
		units[i] = stock
	}
	return nodetest.DayPlan("        limit_per_shopper: 1\n        admission_multiple: 0\n", units...)
}

// listingByListing has all workers come to one listing, then to the next: each
// listing's history stays small enough to be checked.
func listingByListing(workers, listings int) func(int) (string, string, bool) {
	var visits atomic.Int64
	return func(worker int) (shopper, listing string, ok bool) {
		visit := int(visits.Add(1)) - 1
		at := visit / workers
		return fmt.Sprintf("w%d-%d", worker, visit), fmt.Sprintf("day/sku-%d", at+1), at < listings
	}
}

// resolve asks what became of the grabs and cancels of which nobody knows.
func (x *traffic) resolve() {
	x.c.t.Helper()
	known, open := map[string]bool{}, map[string]event{}
	for _, e := range x.history.all() {
		switch {
		case e.outcome == "granted":
			known[e.shopper+" "+e.key] = true
		case e.outcome == "cancelled":
			known[e.orderNo] = true
		case e.outcome != outUnknown:
		case e.what == askGrab:
			open[e.shopper+" "+e.key] = e
		case e.what == askCancel:
			open[e.orderNo] = e
		}
	}
	b := &buyer{traffic: x, room: "b", rng: rand.New(rand.NewPCG(0, 0)), client: x.c.client("b0", shopperPatience)}
	for name, e := range open {
		if known[name] {
			continue
		}
		x.c.Eventually(func() bool {
			if e.what == askCancel {
				return b.order(e.shopper, e.key, e.listing, e.orderNo).outcome != outUnknown
			}
			return b.byKey(e.shopper, e.key, e.listing).outcome != outUnknown
		}, "nobody tells what became of "+e.String())
	}
}

// recount holds what all shoppers heard against what the nodes that are up have.
func (x *traffic) recount(stock int64) {
	t := x.c.t
	t.Helper()
	orders, wrong := x.history.told()
	for _, w := range wrong {
		t.Error(w)
	}
	unsure := map[string]bool{} // shoppers of whom some answer was lost
	for _, e := range x.history.all() {
		unsure[e.shopper] = unsure[e.shopper] || e.outcome == outUnknown
	}
	for _, m := range x.c.Nodes {
		if !m.Up {
			continue
		}
		found := m.Orders()
		for no, f := range found {
			if orders[no] == nil && !unsure[f.Shopper] {
				t.Errorf("node %s has order %s (%s) for %s of %s, who was told of none: %v", m.ID, no, f.State,
					f.Shopper,
					f.SKU, x.history.of(f.Shopper))
			}
		}
		for no, o := range orders {
			switch f, there := found[no]; {
			case !there:
				t.Errorf("node %s does not have order %s, which was told: %s", m.ID, no, o.first)
			case f.Shopper != o.shopper || f.Session+"/"+f.SKU != o.listing:
				t.Errorf("node %s has order %s for %s, of %s: %s", m.ID, no, f.Shopper, f.SKU, o.first)
			case o.cancelled && f.State != "cancelled":
				t.Errorf("node %s has order %s as %s, which was cancelled: %s", m.ID, no, f.State, o.first)
			}
		}
		held := map[string]int64{}
		for _, f := range found {
			if f.State == "held" {
				held[f.Session+"/"+f.SKU]++
			}
		}
		for name, n := range held {
			if n > stock {
				t.Errorf("node %s: %d are held of the %d units of %s", m.ID, n, stock, name)
			}
		}
	}
}

// of gives what one shopper was told.
func (h *history) of(shopper string) []event {
	return slices.DeleteFunc(h.all(), func(e event) bool { return e.shopper != shopper })
}

// goOn waits until so many more shoppers have got something.
func (x *traffic) goOn(more int64, when string) {
	x.c.t.Helper()
	want := x.granted.Load() + more
	x.c.Eventually(func() bool { return x.granted.Load() >= want }, "nobody is granted anything "+when)
}

// TestPartitions cuts the network every way, under load. What shoppers are told
// by whichever node must be as if they had come to one listing one by one.
func TestPartitions(t *testing.T) {
	t.Parallel()
	for round := range partitionTimes(1) {
		t.Run(fmt.Sprint(round+1), func(t *testing.T) {
			t.Parallel()
			partitions(t, openLand(t), []string{"prefer", "require"}[round%2])
		})
	}
}

func partitions(t *testing.T, l *land, zoneAck string) {
	const listings, stock, workers = 250, 3, 12
	c := openCountry(t, l, zoneAck, "a1", "a2", "b1")
	c.plan(c.Nodes[0], smallListings(listings, stock))
	x := &traffic{c: c, history: newHistory(), next: listingByListing(workers, listings), pause: 12 * time.Millisecond}
	x.start(1, workers, "a", "b")
	for _, p := range []struct {
		name  string
		roomA bool // the leader must be in zone a
		cut   func(leader string)
		sells bool // whether somebody goes on selling
	}{
		{"the leader is cut off", false, func(leader string) { c.cutOff(leader, true, true) }, true},
		{"the leader is heard, and hears nobody", false, func(leader string) { c.cutOff(leader, false, true) }, true},
		{"the leader hears, and is not heard", false, func(leader string) { c.cutOff(leader, true, false) }, true},
		{"the rooms are cut from each other", true, func(string) { c.cut("a", "b") }, zoneAck == "prefer"},
		{"zone b is not heard by zone a", true, func(string) { c.lose("b", "a") }, zoneAck == "prefer"},
		{"zone a is not heard by zone b", true, func(string) { c.lose("a", "b") }, zoneAck == "prefer"},
		{"the leader and a follower are cut from each other", true, func(leader string) { c.cut(leader, "b1") }, true},
		{"the followers are cut from each other", true, func(leader string) {
			c.cut(map[string]string{"a1": "a2", "a2": "a1"}[leader], "b1")
		}, true},
	} {
		leader := c.Leader()
		if p.roomA && leader.ID == "b1" {
			leader = c.lead("a1")
		}
		since, at := time.Now(), x.history.now()
		p.cut(leader.ID)
		// With zone ack require it takes two voters of different rooms.
		if p.sells && (p.roomA || zoneAck == "prefer" || leader.Zone == "a") {
			time.Sleep(500 * time.Millisecond) // what was in flight has come to its end
			x.goOn(3, "while "+p.name)
		}
		time.Sleep(time.Until(since.Add(1500 * time.Millisecond)))
		healed := x.history.now()
		c.heal()
		c.Leader()
		x.goOn(3, "after "+p.name)
		t.Logf("%s (%s): %s; healed %s", p.name, leader.ID, x.history.between(at, healed),
			(x.history.now() - healed).Round(time.Millisecond))
	}
	x.stop()
	x.judge(stock)
}

// cutOff loses what a node says to the other nodes, or what they say to it.
func (c *country) cutOff(id string, says, hears bool) {
	c.t.Helper()
	for _, m := range c.Nodes {
		if m.ID == id {
			continue
		}
		if says {
			c.lose(id, m.ID)
		}
		if hears {
			c.lose(m.ID, id)
		}
	}
}

// chance is random numbers, other ones each time; the test says which.
func chance(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// everyoneOnce sends ever new shoppers to one listing.
func everyoneOnce() func(int) (string, string, bool) {
	var visits atomic.Int64
	return func(int) (string, string, bool) { return fmt.Sprint("s", visits.Add(1)), "day/sku-1", true }
}

// takeOver promotes b1 as soon as that can be.
func (c *country) takeOver() {
	c.t.Helper()
	b1 := c.Node("b1")
	said := ""
	c.Eventually(func() bool {
		var status int
		status, said = c.tool(b1, "cluster", "promote", "--zone", "b", "--yes")
		return status == 0
	}, "b1 can't be promoted: "+said)
	c.Eventually(func() bool {
		s, ok := b1.Status()
		return ok && s.Generation == 2 && s.Leader == "b1"
	}, "b1 does not lead")
}

// turnedAway expects a node to end by itself, because the others went on without it.
func (c *country) turnedAway(m *nodetest.Member) {
	c.t.Helper()
	if status := m.Wait(); status != 1 || !strings.Contains(m.Logs.String(), "generation 2") ||
		!strings.Contains(m.Logs.String(), "cluster join") {
		c.t.Errorf("%s of the old generation: %d\n%s", m.ID, status, nodetest.TailOf(m.Logs.String(), 2000))
	}
	m.Up = false
}

// listen follows the events of a node. heard ends that, and gives the orders that
// were told as granted.
func listen(m *nodetest.Member) (heard func() []string) {
	m.T.Helper()
	ctx, cancel := context.WithCancel(m.T.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+m.Admin+"/admin/v1/events?from=0", nil)
	if err != nil {
		m.T.Fatal(err)
	}
	if m.Token != "" {
		r.Header.Set("Authorization", "Bearer "+m.Token)
	}
	answer, err := m.Through.Do(r)
	if err != nil || answer.StatusCode != 200 {
		m.T.Fatalf("%s: %v, %v", m.ID, answer, err)
	}
	var orders []string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer answer.Body.Close()
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			var told nodetest.TrailLine
			if json.Unmarshal(lines.Bytes(), &told) == nil && told.Kind == "hold_placed" {
				orders = append(orders, told.OrderNo)
			}
		}
	}()
	return func() []string {
		cancel()
		<-ended
		return orders
	}
}

// keepsWhatWasHeard: every order that events of the zone that was lost have told of
// is in the other one.
func keepsWhatWasHeard(m *nodetest.Member, heard ...func() []string) {
	m.T.Helper()
	found, told := m.Orders(), 0
	for _, h := range heard {
		for _, no := range h() {
			if _, there := found[no]; !there {
				m.T.Errorf("node %s does not have order %s, of which an event told", m.ID, no)
			}
			told++
		}
	}
	if m.T.Logf("%d orders were told by events of the zone that was lost", told); told == 0 {
		m.T.Error("no event told of an order")
	}
}

// TestZoneLost loses the zone with the quorum and the leader, for good, at some
// moment under load: with zone ack require, all that anybody was told by any door
// of any node is in the other zone.
func TestZoneLost(t *testing.T) {
	t.Parallel()
	for round := range partitionTimes(2) {
		t.Run(fmt.Sprint(round+1), func(t *testing.T) {
			t.Parallel()
			roomLost(t, openLand(t), round)
		})
	}
}

func roomLost(t *testing.T, l *land, round int) {
	rng := chance(t)
	const stock = 3000
	c := openCountry(t, l, "require", "a1", "a2", "b1")
	c.plan(c.Nodes[0], smallListings(1, stock))
	c.lead([]string{"a1", "a2"}[round/2%2])
	x := &traffic{c: c, history: newHistory(), next: everyoneOnce(), pause: time.Millisecond}
	a1, a2 := listen(c.Node("a1")), listen(c.Node("a2"))
	x.start(rng.Uint64(), 12, "a", "b")
	x.goOn(20, "to begin with")
	after, cut := time.Duration(rng.IntN(500_000))*time.Microsecond, round%2 == 1
	time.Sleep(after)
	if cut { // the network goes first, and what is in flight with it
		c.cut("a", "b")
		time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
	}
	var dead sync.WaitGroup
	for _, id := range []string{"a1", "a2"} {
		m := c.Node(id)
		_ = m.Child.Process.Kill()
		dead.Go(func() { <-m.Exit })
		m.Up = false
	}
	dead.Wait()
	lost := x.granted.Load()
	c.Node("a1").Exit, c.Node("a2").Exit = nil, nil
	c.heal()
	c.takeOver()
	x.goOn(10, "in the other zone")
	x.stop()
	t.Logf("round %d: zone a was lost after %s and %d grants (cut first: %t); %d in the end", round, after, lost, cut,
		x.granted.Load())
	x.resolve()
	x.recount(stock)
	keepsWhatWasHeard(c.Node("b1"), a1, a2)
	for _, id := range []string{"a1", "a2"} {
		c.launch(c.Node(id))
	}
	for _, id := range []string{"a1", "a2"} {
		c.turnedAway(c.Node(id))
	}
}

// TestZoneCutOff is TestZoneLost with the zone alive, and shoppers in it: it
// promises nothing more that the other zone does not have, and never do both sell
// the same units.
func TestZoneCutOff(t *testing.T) {
	t.Parallel()
	for round := range partitionTimes(1) {
		t.Run(fmt.Sprint(round+1), func(t *testing.T) {
			t.Parallel()
			roomCutOff(t, openLand(t), round)
		})
	}
}

func roomCutOff(t *testing.T, l *land, round int) {
	rng := chance(t)
	const stock = 800 // more than zone a sells before it is cut off, also on a fast machine
	c := openCountry(t, l, "require", "a1", "a2", "b1")
	c.plan(c.Nodes[0], smallListings(1, stock))
	c.lead([]string{"a1", "a2"}[round%2])
	x := &traffic{c: c, history: newHistory(), next: everyoneOnce(), pause: time.Millisecond}
	a1, a2 := listen(c.Node("a1")), listen(c.Node("a2"))
	x.start(rng.Uint64(), 12, "a", "b")
	x.goOn(20, "to begin with")
	time.Sleep(time.Duration(rng.IntN(500_000)) * time.Microsecond)
	c.cut("a", "b")
	at := x.history.now()
	c.takeOver()
	x.goOn(10, "in the other zone")
	x.apart.Store(true)
	b1 := c.Node("b1")
	c.Eventually(func() bool { return b1.Counts("day/sku-1").Available == 0 }, "the other zone does not sell out")
	x.stop()
	late := 0
	for _, e := range x.history.all() {
		if e.node != "b1" && e.call > at && (e.what == askGrab && e.outcome == "granted" || e.what == askCancel &&
			e.outcome == "cancelled") {
			late++
		}
	}
	c.heal()
	for _, id := range []string{"a1", "a2"} {
		c.turnedAway(c.Node(id))
	}
	t.Logf("round %d: cut off at %s; %d answers of grabs and cancels in zone a came to what asked after that", round,
		at.Round(time.Millisecond), late)
	x.resolve()
	x.recount(stock)
	keepsWhatWasHeard(b1, a1, a2)
}

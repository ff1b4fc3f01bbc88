package partitions

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestPartialCuts cuts two nodes from each other that both hear the third, under
// load: both ways and one way, with the leader at either end and outside. Whoever
// leads, somebody goes on selling, also with zone ack require: no two nodes of
// different rooms are apart that a third can't stand between.
func TestPartialCuts(t *testing.T) {
	t.Parallel()
	for round := range partitionTimes(2) {
		t.Run(fmt.Sprint(round+1), func(t *testing.T) {
			t.Parallel()
			partialCuts(t, openLand(t), []string{"prefer", "require"}[round%2])
		})
	}
}

// partialCut is what is lost between two nodes, and who leads then.
type partialCut struct {
	one, other, leader string
	ways               string // "both", "to" the other, "from" it
}

// partialCutsOf gives all of three nodes, or the most telling ones.
func partialCutsOf(all bool) (cuts []partialCut) {
	for _, pair := range [][2]string{{"a1", "b1"}, {"a2", "b1"}, {"a1", "a2"}} {
		for _, leader := range []string{"a1", "a2", "b1"} {
			for _, ways := range []string{"both", "to", "from"} {
				if all || ways == "both" && pair != [2]string{"a2", "b1"} || leader == "a1" &&
					pair == [2]string{"a1", "b1"} {
					cuts = append(cuts, partialCut{pair[0], pair[1], leader, ways})
				}
			}
		}
	}
	return cuts
}

func partialCuts(t *testing.T, l *land, zoneAck string) {
	const stock, workers = 3, 12
	cuts := partialCutsOf(*partitionRounds > 0)
	listings := 80 * len(cuts)
	c := openCountry(t, l, zoneAck, "a1", "a2", "b1")
	c.plan(c.Nodes[0], smallListings(listings, stock))
	x := &traffic{c: c, history: newHistory(), next: listingByListing(workers, listings), pause: 25 * time.Millisecond}
	x.start(1, workers, "a", "b")
	longest := time.Duration(0)
	for _, p := range cuts {
		name := fmt.Sprintf("%s leads, %s and %s are cut %s", p.leader, p.one, p.other, p.ways)
		c.lead(p.leader)
		x.goOn(3, "before "+name)
		at := x.history.now()
		if p.ways != "from" {
			c.lose(p.one, p.other)
		}
		if p.ways != "to" {
			c.lose(p.other, p.one)
		}
		time.Sleep(2 * time.Second) // the cut lasts longer than an election
		x.goOn(3, "while "+name)
		healed := x.history.now()
		c.heal()
		x.goOn(3, "after "+name)
		gap := x.history.longestWithoutGrant(at, healed)
		longest = max(longest, gap)
		t.Logf("%s: %s; at most %s without a grant", name, x.history.between(at, healed), gap.Round(time.Millisecond))
	}
	x.stop()
	t.Logf("zone ack %s: the longest time without a grant was %s", zoneAck, longest.Round(time.Millisecond))
	x.judge(stock)
}

// judge holds what all shoppers were told against the books of all nodes that are
// up, and against what can have been.
func (x *traffic) judge(stock int) {
	x.c.t.Helper()
	x.resolve()
	for _, m := range x.c.Nodes {
		if m.Up {
			x.c.Eventually(func() bool { return m.Ops("GET", "/readyz", "").Status == 200 }, m.ID+" is not ready again")
		}
	}
	x.c.Settled()
	x.recount(int64(stock))
	checkListings(x.c.t, x.history, stock, x.trail)
}

// trail gives the epochs, and what has happened to a listing, as a node that is up
// tells it.
func (x *traffic) trail(listing string) string {
	i := slices.IndexFunc(x.c.Nodes, func(m *nodetest.Member) bool { return m.Up })
	_, sku, _ := strings.Cut(listing, "/")
	var lines strings.Builder
	for line := range strings.Lines(x.c.Nodes[i].Ops("GET", "/admin/v1/events?follow=false&from=0", "").Body) {
		if strings.Contains(line, `"sku":"`+sku+`"`) || strings.Contains(line, "epoch") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// longestWithoutGrant gives the longest time of a span in which nobody heard of a
// grant.
func (h *history) longestWithoutGrant(from, to time.Duration) (longest time.Duration) {
	var grants []time.Duration
	for _, e := range h.all() {
		if e.what == askGrab && e.outcome == "granted" && e.end > from && e.end < to {
			grants = append(grants, e.end)
		}
	}
	slices.Sort(grants)
	last := from
	for _, at := range append(grants, to) {
		longest, last = max(longest, at-last), at
	}
	return longest
}

// TestAllNodesReplaced replaces each node of three by another, under load, one after
// the other, as whoever renews machines does: all that anybody was told is on all of
// the new ones.
func TestAllNodesReplaced(t *testing.T) {
	t.Parallel()
	for round := range partitionTimes(1) {
		t.Run(fmt.Sprint(round+1), func(t *testing.T) {
			t.Parallel()
			allNodesReplaced(t, newLand(t, "a1", "a2", "a3", "a4", "b1", "b2", "a0", "b0"), []string{"require",
				"prefer"}[round%2])
		})
	}
}

func allNodesReplaced(t *testing.T, l *land, zoneAck string) {
	const listings, stock, workers = 600, 3, 12
	c := openCountry(t, l, zoneAck, "a1", "a2", "b1")
	c.plan(c.Nodes[0], smallListings(listings, stock))
	doors := slices.Clone(c.Nodes)
	x := &traffic{c: c, history: newHistory(), next: listingByListing(workers, listings), pause: 25 * time.Millisecond}
	first := slices.Clone(doors) // buyers read it while doors changes
	x.doors.Store(&first)
	x.start(1, workers, "a", "b")
	x.goOn(3, "to begin with")
	for _, pair := range [][2]string{{"a1", "a3"}, {"b1", "b2"}, {"a2", "a4"}} {
		old, next := c.Node(pair[0]), c.place(pair[1])
		c.launch(next)
		through := doors[len(doors)-1] // whoever that is, it tells what came of it
		c.mustTool(through, next.ID+" of zone", "cluster", "join", "--id", next.ID, "--zone", next.Zone, "--peer",
			next.Ports[2])
		next.AwaitUp()
		c.Eventually(func() bool {
			s, ok := next.Status()
			for _, n := range s.Nodes {
				if n.ID == next.ID {
					return ok && !n.Joining
				}
			}
			return false
		}, next.ID+" does not come to vote")
		doors = append(slices.DeleteFunc(slices.Clone(doors), func(m *nodetest.Member) bool { return m == old }), next)
		// Shoppers go on coming to the old node for a moment, as with a load balancer. On
		// a busy machine it may come to lead again.
		c.Eventually(func() bool {
			if c.Leader() == old {
				c.lead(next.ID)
			}
			status, said := c.tool(old, "cluster", "remove", "--node", old.ID)
			if status != 0 && !strings.Contains(said, "leads") || status == 0 &&
				!strings.Contains(said, "is out of the cluster") {
				c.t.Fatalf("%s is not removed: status %d: %s", old.ID, status, said)
			}
			return status == 0
		}, old.ID+" leads again and again")
		current := slices.Clone(doors)
		x.doors.Store(&current)
		x.goOn(3, "with "+next.ID+" in the place of "+old.ID)
		old.Halt()
		x.goOn(3, "without "+old.ID)
	}
	x.stop()
	c.Leader()
	t.Logf("zone ack %s: %d grants while all nodes were replaced", zoneAck, x.granted.Load())
	x.judge(stock)
}

// mustTool runs a command of the program that must succeed and say something.
func (c *country) mustTool(m *nodetest.Member, says string, args ...string) {
	c.t.Helper()
	if status, said := c.tool(m, args...); status != 0 || !strings.Contains(said, says) {
		c.t.Fatalf("%s at %s: status %d: %s", strings.Join(args, " "), m.ID, status, said)
	}
}

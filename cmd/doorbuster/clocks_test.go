package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
)

// clocked is a node in this process, with a clock of its own.
type clocked struct {
	*nodetest.Member
	n      *node
	ahead  time.Duration // of the machine's clock, from the start
	jumped atomic.Int64  // seconds, since
	over   chan struct{}
}

// wall gives the clock of one opening.
func (c *clocked) wall() func() time.Time {
	ahead := c.ahead
	return func() time.Time { return c.wallOf(time.Now().Add(ahead)) }
}

func (c *clocked) wallOf(now time.Time) time.Time {
	// The first word of a Time that has a monotonic reading is its wall clock,
	// with the seconds above 30 bits. Whoever sets a machine's clock moves that
	// and not the monotonic one, for which package time has no words.
	*(*uint64)(unsafe.Pointer(&now)) += uint64(c.jumped.Load()) << 30
	return now
}

// openClocked opens a fleet's nodes, each with its clock so far ahead.
func openClocked(f *nodetest.Fleet, ahead ...time.Duration) []*clocked {
	f.T.Helper()
	nodes := make([]*clocked, len(f.Nodes))
	for i, m := range f.Nodes {
		m.Program = run
		nodes[i] = &clocked{Member: m, ahead: ahead[i]}
		nodes[i].open()
		if i == 0 { // the first looks for votes before the others are there
			nodes[i].Logs.Await(f.T, nil, "heartbeat timeout")
		}
	}
	return nodes
}

// open opens the node until shut, or until the test ends.
func (c *clocked) open() {
	c.T.Helper()
	cfg, err := load(c.T, "--dev", "--config", c.Config())
	if err != nil {
		c.T.Fatal(err)
	}
	cfg.wall = c.wall()
	c.Logs = nodetest.NewLogBook()
	n, err := openNode(cfg, cfg.newLogger(c.Logs))
	if err != nil {
		c.T.Fatal(err)
	}
	over := make(chan struct{})
	c.n, c.Up, c.over = n, true, over
	c.T.Cleanup(func() {
		if c.Up && c.n == n {
			c.shut()
		}
	})
	go func() {
		select {
		case err := <-n.fatal:
			c.T.Errorf("%s can't go on: %v", c.ID, err)
		case <-over:
		}
	}()
}

// shut ends the node without a word to the others.
func (c *clocked) shut() {
	c.T.Helper()
	c.Up = false
	close(c.over)
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.n.close(now); err != nil && !errors.Is(err, context.Canceled) {
		c.T.Errorf("%s: %v", c.ID, err)
	}
}

// leaderOf waits until nodes agree on one of them that sells.
func leaderOf(f *nodetest.Fleet, nodes []*clocked) (leader *clocked) {
	f.T.Helper()
	f.Eventually(func() bool {
		m := f.Leader()
		for _, c := range nodes {
			if c.Member == m {
				leader = c
			}
		}
		return leader.n.cluster.Leads()
	}, "nobody sells")
	return leader
}

// holds gives a copy of every order of the first session, by ordinal less one.
func (c *clocked) holds() (orders []engine.Order) {
	c.n.cluster.View(func(s *engine.State) {
		x := s.Sessions()[0]
		for i := range x.Orders() {
			orders = append(orders, *s.Order(engine.OrderRef{Session: x.Handle, Ordinal: uint32(i + 1)}))
		}
	})
	return orders
}

// TestPayByAfterFailover: holds end when their shoppers were told, and no sooner,
// although another leads by then, and its clock is as far off as it may be.
func TestPayByAfterFailover(t *testing.T) {
	for _, ahead := range []time.Duration{-150 * time.Millisecond, 150 * time.Millisecond} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
			nodes := openClocked(f, 0, ahead, ahead)
			leader := leaderOf(f, nodes)
			f.Plan(nodetest.DayPlan("        pay_within: 6s\n        pay_grace: 1s\n", 100))
			if leader != nodes[0] {
				if status, out, errs := runTool(t, "", "cluster", "transfer", "--to", nodes[0].ID, "--admin",
					leader.Admin); status != 0 {
					t.Fatal(out, errs)
				}
				leader = nodes[0]
			}
			var told []nodetest.Order
			for i := range 10 {
				told = append(told, leader.MustGrant(fmt.Sprint("s", i), "k", "day/sku-1"))
			}
			leader.shut()
			next := leaderOf(f, nodes)
			before := next.holds()
			for i, o := range told {
				var now nodetest.Reply
				var seen time.Time
				f.Eventually(func() bool {
					now, seen = next.Order(fmt.Sprint("s", i), o.OrderNo), time.Now()
					return now.Order.State != "held"
				}, "a hold never ends")
				if now.Order.State != "expired" || !now.Order.PayBy.Equal(o.PayBy) {
					t.Errorf("told %+v, then %s", o, now.Body)
				}
				// 200 ms is what clocks may differ by.
				if early := before[i].Due().Wall().Sub(seen); early > 200*time.Millisecond {
					t.Errorf("hold %d ended %s early", i, early)
				}
			}
			for i, o := range next.holds() {
				if o.PayBy != before[i].PayBy || o.Changed < o.Due() {
					t.Errorf("hold %d was %+v, ended as %+v", i, before[i], o)
				}
			}
			f.Settled()
			f.SameHash()
		})
	}
}

// TestClockOff: a node that is two seconds off leads neither at the start nor
// when only one other is left, and hands over when it leads and its clock jumps.
func TestClockOff(t *testing.T) {
	for _, seconds := range []int64{2, -2} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			t.Parallel()
			f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
			nodes := openClocked(f, time.Duration(seconds)*time.Second, 0, 0)
			off := nodes[0]
			leader := leaderOf(f, nodes)
			f.Plan(nodetest.DayPlan("", 100))
			off.noticesClock()
			off.Raised("clock_off", off.ID)
			leader.MustGrant("ann", "k", "day/sku-1")
			off.MustGrant("abe", "k", "day/sku-1") // whatever its clock says of deadlines
			if status, out, errs := runTool(t, "", "cluster", "transfer", "--to", off.ID, "--admin",
				leader.Admin); status != 1 || !strings.Contains(out+errs, "clock") {
				t.Errorf("leadership may be handed to it: %d %s%s", status, out, errs)
			}
			leader.shut()
			off.EventuallyGrants("bob", "day/sku-1")
			if next := leaderOf(f, nodes); next == off {
				t.Error("it leads")
			}
			if log := off.Logs.String(); strings.Contains(log, "epoch opened") {
				t.Errorf("it has led:\n%s", log)
			}
			leader.open()
			off.jumped.Store(-seconds)
			f.Eventually(func() bool { return off.Metric("doorbuster_clock_off") == "0" },
				"a clock that was mended stays off")
			off.Logs.Await(t, nil, "agrees with the others again")
			off.Healed("clock_off")

			jumps := leaderOf(f, nodes)
			jumps.jumped.Add(seconds)
			f.Eventually(func() bool { return leaderOf(f, nodes) != jumps }, "a leader whose clock jumps leads on")
			jumps.noticesClock()
			jumps.EventuallyGrants("cid", "day/sku-1")
			leaderOf(f, nodes).n.cluster.View(func(s *engine.State) {
				if apart := time.Until(s.Now().Wall()); apart > time.Second {
					t.Errorf("the jump moved state time by %s", apart)
				}
			})
			if c := f.Settled()["day/sku-1"]; c.Held != 4 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// noticesClock waits until the node says that its clock is off.
func (c *clocked) noticesClock() {
	c.T.Helper()
	c.Fleet.Eventually(func() bool { return c.Metric("doorbuster_clock_off") == "1" },
		c.ID+" does not notice its clock")
	c.Logs.Await(c.T, nil, "clock is off")
}

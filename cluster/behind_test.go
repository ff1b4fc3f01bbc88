package cluster

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// joins makes one more node, which stands in zone a, and takes it in.
func (c *trio) joins(id string) *seat {
	c.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	cfg := c.seats[0].cfg
	cfg.NodeID, cfg.Zone, cfg.Dir, cfg.Listen = id, "a", c.t.TempDir(), ln.Addr().String()
	cfg.Advertise = cfg.Listen
	if err := ln.Close(); err != nil {
		c.t.Fatal(err)
	}
	s := openSeat(c.t, cfg)
	m := Member{ID: id, Zone: cfg.Zone, Kind: KindVoter, Peer: cfg.Listen}
	if _, err := c.leader().Operate(c.t.Context(), Operation{Name: OpJoin, Member: m, Operator: "ops"}); err != nil {
		c.t.Fatal(err)
	}
	c.seats = append(c.seats, s)
	c.eventually(id+" does not vote", func() bool {
		return slices.ContainsFunc(c.leader().ClusterStatus().Nodes,
			func(x NodeStatus) bool { return x.ID == id && x.voter })
	})
	return s
}

// ticks proposes empty batches on whoever leads, until n were taken.
func (c *trio) ticks(n int) {
	c.t.Helper()
	for n > 0 {
		leader := c.leader()
		for n > 0 {
			if _, err := leader.tick(); err != nil {
				break
			}
			n--
		}
	}
}

// TestBehindFollowsLaterLeader: a node that was away while another joined, and
// came to lead, knows nothing of that one until it has caught up; so it must not
// turn it away.
func TestBehindFollowsLaterLeader(t *testing.T) {
	c := openTrio(t, ZoneAckOff)
	c.leads("a1")
	b1 := c.seat("b1")
	c.ticks(3)
	if err := b1.Snapshot(); err != nil { // with the membership as of now: what it starts with
		t.Fatal(err)
	}
	b1.leave(t)
	a3 := c.joins("a3")
	c.eventually("a3 does not take over", func() bool {
		leader := c.leader()
		if leader != a3 { // with b1 away, Raft does it, and we would refuse to
			_ = leader.raft.LeadershipTransferToServer("a3", raft.ServerAddress(a3.cfg.Listen)).Error()
		}
		return leader == a3
	})
	c.ticks(100) // more than one message holds
	b1 = c.reopen(b1)
	c.eventually("b1 does not catch up", func() bool {
		return b1.Ready() == nil && b1.Membership().member("a3") != nil
	})
	leader := c.leads("a3")
	if _, err := leader.tick(); err != nil {
		t.Error(err)
	}
}

// TestJoinUnderLaterLeader: a node that joins reads the log from its beginning,
// where a leader that joined later is not named. It takes the rest all the same,
// over connections that are made again in between.
func TestJoinUnderLaterLeader(t *testing.T) {
	configs := seating(t, ZoneAckOff)
	later := configs[0]
	later.NodeID, later.Members = "a3", configs[0].Members[1:]
	joining := openSeat(t, configs[2])
	p := pretend(t, later, configs[2])
	membership := &Membership{Version: 1, ZoneAck: ZoneAckOff, Members: joining.cfg.Members}
	named := func(e *raft.Log) { e.Type, e.Data = raft.LogCommand, encodeMembership(membership) }
	if ok, err := p.try(5, 1, 1, 2, 1, named); !ok || err != nil {
		t.Fatal("entries refused", err)
	}
	eventually(t, "the membership is not applied", func() bool { return joining.Membership().Version == 1 })
	joining.net.port.DropConnections()
	eventually(t, "what follows is refused for ever", func() bool {
		ok, err := p.try(5, 2, 5, 2, 1,
			noop)
		return ok && err == nil
	})
}

// TestStuckIsAnAlarm: a node that stands still behind a cluster that goes on says
// so, with what to do, until it has caught up.
func TestStuckIsAnAlarm(t *testing.T) {
	c := openTrio(t, ZoneAckOff)
	c.leads("a1")
	b1 := c.seat("b1")
	if got := b1.ClusterStatus().Alarms; len(got) != 0 {
		t.Fatalf("alarms of a node that is well: %q", got)
	}
	b1.leave(t)
	cfg := b1.cfg
	cfg.Dir = t.TempDir() // what it had is gone: nobody lets it in
	lost := openSeat(t, cfg)
	c.eventually("no alarm", func() bool {
		text := fmt.Sprint(lost.ClusterStatus().Alarms)
		return strings.Contains(text, "does not catch up") && strings.Contains(text, "another data directory") &&
			strings.Contains(text, "cluster remove --node b1")
	})
}

// TestRemovedStaysOut: a node that was removed is known to have been, and turned
// away a node that hears it, also after a start from a snapshot; under its id another
// directory may join.
func TestRemovedStaysOut(t *testing.T) {
	c := openTrio(t, ZoneAckOff)
	leader := c.leads("a1")
	a2 := c.seat("a2")
	if _, err := leader.Operate(t.Context(), Operation{Name: OpRemove, Node: "a2", Operator: "ops"}); err != nil {
		t.Fatal(err)
	}
	a2.leave(t)
	c.seats = slices.DeleteFunc(c.seats, func(s *seat) bool { return s == a2 })
	c.ticks(3)
	removed := leader.Membership().Removed
	if len(removed) != 1 || removed[0].ID != "a2" || removed[0].Incarnation == "" {
		t.Fatalf("removed: %+v", removed)
	}
	b1 := c.seat("b1")
	if err := b1.Snapshot(); err != nil {
		t.Fatal(err)
	}
	b1.leave(t)
	c.reopen(b1)
	a2 = openSeat(t, a2.cfg)
	c.eventually("nobody says that it was removed", func() bool {
		for _, x := range a2.ClusterStatus().Nodes {
			if x.ID == "b1" {
				return !x.Reachable && x.Error != ""
			}
		}
		return false
	})
	a2.leave(t)
	c.joins("a3")
	c.leads("a1")
}

// TestRemovedIsBounded: the membership remembers so many removed nodes and no more.
func TestRemovedIsBounded(t *testing.T) {
	r := &Membership{}
	for i := range 2 * maxRemoved {
		r.remove(Removed{ID: "n" + string(rune('a'+i%26)), Incarnation: string(rune('a' + i))})
	}
	if len(r.Removed) != maxRemoved {
		t.Errorf("%d", len(r.Removed))
	}
}

package cluster

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// slowStore takes its time to store, and notes how far it has come.
type slowStore struct {
	*raft.InmemStore
	stored  atomic.Uint64
	storing func(entries []*raft.Log)
}

func (s *slowStore) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

func (s *slowStore) StoreLogs(entries []*raft.Log) error {
	if s.storing != nil {
		s.storing(entries)
	}
	err := s.InmemStore.StoreLogs(entries)
	s.stored.Store(entries[len(entries)-1].Index)
	return err
}

// counting is a state machine that keeps nothing.
type counting struct{ raft.FSM }

func (counting) Apply(*raft.Log) any { return nil }

// TestLeaderWritesBeforeItSends: what wroteElsewhere goes by is so in this version of
// Raft: an entry reaches no follower before the leader has it in its own store.
func TestLeaderWritesBeforeItSends(t *testing.T) {
	const servers, entries = 3, 50
	var leading atomic.Pointer[slowStore]
	var early sync.Map
	configuration := raft.Configuration{}
	hops := make([]*raft.InmemTransport, servers)
	for i := range servers {
		_, hops[i] = raft.NewInmemTransport(raft.ServerAddress(fmt.Sprint("n", i)))
		configuration.Servers = append(configuration.Servers, raft.Server{ID: raft.ServerID(fmt.Sprint("n", i)),
			Address: hops[i].LocalAddr()})
	}
	for _, a := range hops {
		for _, b := range hops {
			a.Connect(b.LocalAddr(), b)
		}
	}
	nodes, stores := make([]*raft.Raft, servers), make([]*slowStore, servers)
	for i := range servers {
		c := raft.DefaultConfig()
		c.LocalID, c.Logger, c.CommitTimeout = configuration.Servers[i].ID,
			(&Node{logger: quietConfig(t.TempDir()).Logger}).raftLogger(), 5*time.Millisecond
		s := &slowStore{InmemStore: raft.NewInmemStore()}
		s.storing = func(entries []*raft.Log) {
			switch from := leading.Load(); {
			case from == nil:
			case from == s:
				time.Sleep(2 * time.Millisecond) // a follower that is told too early has it by then
			default:
				if last := entries[len(entries)-1].Index; last > from.stored.Load() {
					early.Store(last, i)
				}
			}
		}
		stable := raft.NewInmemStore()
		if err := raft.BootstrapCluster(c, s, stable, raft.NewInmemSnapshotStore(), hops[i],
			configuration); err != nil {
			t.Fatal(err)
		}
		var err error
		if nodes[i], err = raft.NewRaft(c, counting{}, s, stable, raft.NewInmemSnapshotStore(), hops[i]); err != nil {
			t.Fatal(err)
		}
		stores[i] = s
		t.Cleanup(func() { _ = nodes[i].Shutdown().Error() })
	}
	leader := -1
	eventually(t, "nobody leads", func() bool {
		leader = slices.IndexFunc(nodes, func(r *raft.Raft) bool { return r.State() == raft.Leader })
		return leader >= 0 && nodes[leader].Barrier(time.Second).Error() == nil
	})
	leading.Store(stores[leader])
	for range entries {
		if err := nodes[leader].Apply([]byte("x"), time.Second).Error(); err != nil {
			t.Fatal(err)
		}
	}
	last := nodes[leader].LastIndex()
	eventually(t, "the followers do not get what was written", func() bool {
		return !slices.ContainsFunc(stores, func(s *slowStore) bool { return s.stored.Load() < last })
	})
	early.Range(func(index, follower any) bool {
		t.Errorf("n%d has entry %d before its leader n%d", follower, index, leader)
		return true
	})
}

// TestWrittenBy: who wrote a held entry is known from who opened its epoch.
func TestWrittenBy(t *testing.T) {
	open := func(node string) []byte {
		return engine.EncodeBatch(engine.BatchHeader{Time: 1}, engine.Command{Kind: engine.CmdOpenEpoch, Node: node})
	}
	batch := func(epoch engine.Epoch, sequence uint64) []byte {
		return engine.EncodeBatch(engine.BatchHeader{Epoch: epoch, Sequence: sequence, Time: 1})
	}
	for name, c := range map[string]struct {
		held []heldEntry // from index 11 on; the state is as of index 10, in epoch 10 of b1
		want engine.LogIndex
	}{
		"nothing": {nil, 0},
		"the applied epoch goes on": {[]heldEntry{{term: 2, data: batch(10, 1)},
			{term: 2, data: batch(10, 2)}}, 12},
		"then this zone leads": {[]heldEntry{{term: 2, data: batch(10, 1)}, {term: 3, data: open("a1")},
			{term: 3, data: batch(12, 1)}}, 11},
		"then the other zone again": {[]heldEntry{{term: 3, data: open("a1")}, {term: 3, data: batch(11, 1)},
			{term: 4, data: open("b1")}}, 13},
		"a batch that came too late":      {[]heldEntry{{term: 3, data: open("a1")}, {term: 3, data: batch(10, 1)}}, 0},
		"an epoch of nobody knows whom":   {[]heldEntry{{term: 2, data: batch(9, 1)}}, 0},
		"garbage":                         {[]heldEntry{{term: 2, data: []byte("\x01")}, {term: 2, data: nil}}, 0},
		"another leader may have come":    {[]heldEntry{{term: 1, data: batch(10, 1)}}, 0},
		"an entry of no commands, behind": {[]heldEntry{{term: 2, data: engine.EncodeBatch(engine.BatchHeader{})}}, 0},
	} {
		f := newFSM(nobody{}, nil, quietConfig(t.TempDir()).Logger)
		f.apply(10, open("b1"))
		for i := range c.held {
			c.held[i].index = engine.LogIndex(11 + i)
			f.held = append(f.held, &c.held[i])
		}
		if got := f.writtenBy(func(node string, term uint64) bool { return node == "b1" && term > 1 }); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestWroteElsewhere: whose entries count as zone-acked, although nobody has said so.
func TestWroteElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		others, elsewhere []string
		changed           engine.LogIndex // who votes, last; 10 has been applied
		node              string
		term              uint64
		want              bool
	}{
		"the other zone's":                  {[]string{"a2", "b1"}, []string{"b1"}, 1, "b1", 4, true},
		"this zone's":                       {[]string{"a2", "b1"}, []string{"b1"}, 1, "a2", 6, false},
		"nobody's":                          {[]string{"a2", "b1"}, []string{"b1"}, 1, "", 6, false},
		"one that votes no more":            {[]string{"a2", "c1"}, []string{"c1"}, 1, "b1", 6, false},
		"the voters have only just changed": {[]string{"a2", "b1"}, []string{"b1"}, 11, "b1", 4, false},
		"they have, in the term before":     {[]string{"a2", "b1"}, []string{"b1"}, 11, "b1", 6, true},
		"of five, with terms between": {[]string{"a2", "a3", "b1", "b2"},
			[]string{"b1", "b2"}, 1, "b1", 5, false},
		"of five, in the term before": {[]string{"a2", "a3", "b1", "b2"}, []string{"b1", "b2"}, 1, "b1", 6, true},
		"of four, with terms between": {[]string{"a2", "b1", "b2"}, []string{"b1", "b2"}, 1, "b1", 2, true},
	} {
		n := &Node{}
		n.voters.Store(&votes{others: c.others, elsewhere: c.elsewhere, index: c.changed})
		n.applied.raise(10)
		if got := n.wroteElsewhere(7)(c.node, c.term); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestHome: which zone is to lead.
func TestHome(t *testing.T) {
	at := func(zone string, kind Kind) Member { return Member{ID: "n", Zone: zone, Kind: kind} }
	two := []Member{at("a", KindVoter), at("b", KindVoter), at("a", KindVoter)}
	for name, c := range map[string]struct {
		membership Membership
		want       string
	}{
		"the larger zone":   {Membership{Members: two}, "a"},
		"an operator's":     {Membership{Members: two, Preferred: "b"}, "b"},
		"rooms of one size": {Membership{Members: append([]Member{at("b", KindVoter)}, two...)}, ""},
		"edge nodes do not count": {Membership{Members: append([]Member{at("b", KindEdge), at("b", KindEdge)}, two...)},
			"a"},
		"three sites": {Membership{Members: []Member{at("a", KindVoter), at("b", KindVoter),
			at("c", KindWitness)}}, ""},
		"nobody": {Membership{}, ""},
	} {
		if got := c.membership.home(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestPresiding: the zone that is left presides. It has applied all that the leader
// which is lost wrote and it has, shows and refuses for the group, and sells nothing;
// when the other zone is back it opens its epoch.
func TestPresiding(t *testing.T) {
	c := openTrio(t, ZoneAckRequire)
	if _, err := c.leader().Operate(t.Context(), Operation{Name: OpPrefer, Zone: "b"}); err != nil {
		t.Fatal(err)
	}
	b1 := c.leads("b1")
	for range 5 {
		if _, err := b1.tick(); err != nil {
			t.Fatal(err)
		}
	}
	told := b1.applied.load()
	b1.leave(t)
	var presiding, other *seat
	c.eventually("nobody presides", func() bool {
		for _, id := range []string{"a1", "a2"} {
			if s := c.seat(id); s.presides() {
				presiding, other = s, c.seat(map[string]string{"a1": "a2", "a2": "a1"}[id])
			}
		}
		return presiding != nil
	})
	if presiding.Leads() || !presiding.Current() || presiding.Ready() != nil || presiding.Sync(t.Context()) != nil {
		t.Errorf("leads %t, current %t, ready %v", presiding.Leads(), presiding.Current(), presiding.Ready())
	}
	if at := presiding.applied.load(); at < told {
		t.Errorf("it has applied %d of %d that were told", at, told)
	}
	if term, _ := presiding.fsm.holding(); term != presiding.raft.CurrentTerm() {
		t.Errorf("it holds entries of term %d", term)
	}
	c.eventually("the other node of the zone does not follow", func() bool {
		return other.Fresh() && other.Ready() == nil && other.Sync(t.Context()) == nil && other.applied.load() >= told
	})
	if other.Current() || other.presides() {
		t.Error("two preside")
	}
	c.reopen(b1)
	c.eventually("it opens no epoch", func() bool { _, err := c.leader().tick(); return err == nil })
	if presiding.presides() {
		t.Error("it presides with an epoch open")
	}
}

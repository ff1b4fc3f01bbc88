package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// patience bounds every wait for something that should happen soon.
const patience = 30 * time.Second

// quietDecider decides nothing.
type quietDecider struct{}

func (quietDecider) GrabFor(_ *engine.Grab, _ engine.Time, to engine.Reply) {
	to.Decided(engine.Answer{}, 0, engine.ErrNotLeader)
}

func (quietDecider) AskFor(context.Context, []byte) (engine.Outcome, error) {
	return engine.Outcome{}, engine.ErrNotLeader
}

func (quietDecider) Refusals(string, string) engine.RefusalReport { return engine.RefusalReport{} }
func (quietDecider) Reports(engine.ReportsRequest) (engine.ReportsPage, error) {
	return engine.ReportsPage{}, nil
}

func (quietDecider) AboutSession(string, bool) ([]byte, error) { return nil, nil }

func (quietDecider) LookFor(_, _ []byte, _ engine.Time) (engine.Answer, bool, error) {
	return engine.Answer{}, false, engine.ErrNotLeader
}

// seat is a node of a trio, and what it was told.
type seat struct {
	*Node
	cfg   Config
	fatal chan error

	mu       sync.Mutex
	epoch    engine.Epoch
	sequence uint64
	blocked  bool
}

func (s *seat) EpochOpened(epoch engine.Epoch, _ engine.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch, s.sequence = epoch, 0
}

func (s *seat) EpochClosed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = 0
}

func (s *seat) Blocked(blocked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = blocked
}

func (s *seat) RaiseRules(uint32) {}

// tick proposes an empty batch of the open epoch.
func (s *seat) tick() (*engine.Effects, error) {
	s.mu.Lock()
	s.sequence++
	header := engine.BatchHeader{Epoch: s.epoch, Sequence: s.sequence, Time: engine.TimeOf(time.Now())}
	wait := s.Propose(engine.EncodeBatch(header))
	s.mu.Unlock()
	return wait()
}

// trio is a cluster in this process: two nodes in zone a, one in zone b.
type trio struct {
	t     *testing.T
	seats []*seat
}

// seating gives the configurations of a trio.
func seating(t *testing.T, zoneAck ZoneAck) []Config {
	t.Helper()
	var members []Member
	for _, m := range []struct{ id, zone string }{{"a1", "a"}, {"a2", "a"}, {"b1", "b"}} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, Member{ID: m.id, Zone: m.zone, Kind: KindVoter, Peer: ln.Addr().String()})
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var configs []Config
	for _, m := range members {
		cfg := quietConfig(t.TempDir())
		cfg.NodeID, cfg.Zone, cfg.ClusterID, cfg.Listen, cfg.Members, cfg.ZoneAck, cfg.Decider = m.ID, m.Zone, "shop",
			m.Peer, members, zoneAck, quietDecider{}
		configs = append(configs, cfg)
	}
	return configs
}

func openTrio(t *testing.T, zoneAck ZoneAck) *trio {
	t.Helper()
	c := &trio{t: t}
	for _, cfg := range seating(t, zoneAck) {
		c.seats = append(c.seats, openSeat(t, cfg))
	}
	c.leader()
	return c
}

// openSeat opens one node until the test ends.
func openSeat(t *testing.T, cfg Config) *seat {
	t.Helper()
	s := &seat{cfg: cfg, fatal: make(chan error, 1)}
	cfg.OnFatal = func(err error) { s.fatal <- err }
	n, err := Open(cfg, nobody{}, s)
	if err != nil {
		t.Fatal(err)
	}
	s.Node = n
	t.Cleanup(func() {
		if s.Node != nil {
			s.leave(t)
		}
	})
	return s
}

// leave closes the node.
func (s *seat) leave(t *testing.T) {
	t.Helper()
	if err := s.Node.Close(); err != nil {
		t.Error(err)
	}
	s.Node = nil
}

// leader waits until one node leads and all that are open agree.
func (c *trio) leader() (leader *seat) {
	c.t.Helper()
	c.eventually("nobody leads", func() bool {
		leader = nil
		for _, s := range c.seats {
			if s.Node != nil && s.Leads() {
				leader = s
			}
		}
		if leader == nil {
			return false
		}
		for _, s := range c.seats {
			if s.Node != nil && s.Ready() != nil {
				return false
			}
		}
		return true
	})
	return leader
}

func (c *trio) eventually(what string, holds func() bool) {
	c.t.Helper()
	eventually(c.t, what, holds)
}

// reopen opens a node again that was closed.
func (c *trio) reopen(s *seat) *seat {
	c.t.Helper()
	again := openSeat(c.t, s.cfg)
	c.seats[slices.Index(c.seats, s)] = again
	return again
}

// seat gives a node by id.
func (c *trio) seat(id string) *seat {
	for _, s := range c.seats {
		if s.cfg.NodeID == id {
			return s
		}
	}
	c.t.Fatal("no seat " + id)
	return nil
}

// leads makes a node of some id lead.
func (c *trio) leads(id string) *seat {
	c.t.Helper()
	c.eventually(id+" does not take over", func() bool {
		leader := c.leader()
		if leader.cfg.NodeID == id {
			return true
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		defer cancel()
		_, _ = leader.Operate(ctx, Operation{Name: OpTransfer, Node: id})
		return false
	})
	return c.leader()
}

// TestFailedTransferRestarts: after a transfer that failed Raft may refuse all
// writes (hashicorp/raft #696), so the node asks to be opened again.
func TestFailedTransferRestarts(t *testing.T) {
	c := openTrio(t, ZoneAckOff)
	leader := c.leader()
	other := leader.voters.Load().others[0]
	err := leader.transferTo(&Member{ID: other, Zone: "a", Kind: KindVoter, Peer: "127.0.0.1:1"}, true)
	if !errors.Is(err, ErrRestart) {
		t.Fatalf("got %v", err)
	}
	if err := <-leader.fatal; !errors.Is(err, ErrRestart) {
		t.Errorf("told %v", err)
	}
	leader.leave(t)
	c.reopen(leader)
	if _, err := c.leader().tick(); err != nil {
		t.Error(err)
	}
}

// TestTransferNeedsAllVoters: it is not begun while a voter is away.
func TestTransferNeedsAllVoters(t *testing.T) {
	c := openTrio(t, ZoneAckOff)
	leader := c.leader()
	var away, there string
	for _, s := range c.seats {
		if s == leader {
			continue
		}
		if away == "" {
			away = s.cfg.NodeID
			s.leave(t)
		} else {
			there = s.cfg.NodeID
		}
	}
	c.eventually("the voter's absence goes unnoticed", func() bool {
		return !leader.healthy(leader.raft.CurrentTerm(), away)
	})
	if _, err := leader.Operate(t.Context(), Operation{Name: OpTransfer, Node: there}); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	c.eventually("nobody leads afterwards", func() bool { _, err := c.leader().tick(); return err == nil })
}

// TestRequireHoldsBack: with require, what no voter of the other zone has on disk
// is not applied on any node, and nobody is told; when one comes back it is.
func TestRequireHoldsBack(t *testing.T) {
	c := openTrio(t, ZoneAckRequire)
	leader := c.leads("a1")
	if _, err := leader.tick(); err != nil {
		t.Fatal(err)
	}
	b1 := c.seat("b1")
	b1.leave(t)
	before := leader.applied.load()
	told := make(chan error, 1)
	go func() { _, err := leader.tick(); told <- err }()
	c.eventually("the leader's gates are not told", func() bool {
		leader.mu.Lock()
		defer leader.mu.Unlock()
		return leader.blocked
	})
	c.eventually("the entry is not committed",
		func() bool { return engine.LogIndex(leader.raft.CommitIndex()) > before })
	if state, _ := leader.zoneState(); state != ZoneBlocked {
		t.Errorf("state %s", state)
	}
	if leader.applied.load() != before || c.seat("a2").applied.load() > before {
		t.Error("applied in one zone only")
	}
	if err := leader.Snapshot(); err == nil {
		t.Error("a snapshot without what Raft believes applied")
	}
	select {
	case err := <-told:
		t.Fatalf("told: %v", err)
	default:
	}
	c.reopen(b1)
	if err := <-told; err != nil {
		t.Errorf("zone-acked at last: %v", err)
	}
	c.eventually("the gates stay shut", func() bool {
		leader.mu.Lock()
		defer leader.mu.Unlock()
		return !leader.blocked
	})
}

// TestSwitchToPrefer: an operator may say that what waits for another zone is to
// wait no longer.
func TestSwitchToPrefer(t *testing.T) {
	c := openTrio(t, ZoneAckRequire)
	leader := c.leads("a1")
	c.seat("b1").leave(t)
	told := make(chan error, 1)
	go func() { _, err := leader.tick(); told <- err }()
	if _, err := c.seat("a2").Operate(t.Context(), Operation{Name: OpZoneAck, Mode: ZoneAckPrefer,
		Operator: "ops"}); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err != nil {
		t.Errorf("got %v", err)
	}
	c.eventually("the leader does not call it degraded", func() bool {
		state, _ := leader.zoneState()
		return state == ZoneDegraded
	})
	c.eventually("the other node does not hear of the change", func() bool {
		r := c.seat("a2").Membership()
		return r.ZoneAck == ZoneAckPrefer && r.Operator == "ops"
	})
}

// TestLostDataDoesNotVote: a node that comes back under its id with an empty
// directory has forgotten what it acknowledged; the others turn it away.
func TestLostDataDoesNotVote(t *testing.T) {
	c := openTrio(t, ZoneAckOff)
	leader := c.leader()
	lost := c.seats[0]
	if lost == leader {
		lost = c.seats[1]
	}
	lost.leave(t)
	cfg := lost.cfg
	cfg.Dir = t.TempDir()
	forgetful := openSeat(t, cfg)
	c.eventually("it is let in", func() bool {
		for _, x := range forgetful.ClusterStatus().Nodes {
			if x.ID == leader.cfg.NodeID {
				return !x.Reachable && x.Error != ""
			}
		}
		return false
	})
	if forgetful.Ready() == nil {
		t.Error("it serves")
	}
}

// pretender is a node that is played by a test, as far as Raft goes.
type pretender struct {
	t      *testing.T
	hop    *raft.NetworkTransport
	header raft.RPCHeader
	to     Config
}

// pretend plays the node of from towards the one of to.
func pretend(t *testing.T, from, to Config) *pretender {
	t.Helper()
	n := &Node{cfg: from, logger: from.Logger}
	var err error
	if n.dir, err = claimDir(from.Dir, n.firstVersion()); err != nil {
		t.Fatal(err)
	}
	if n.memory, err = openMemory(from.Dir, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.dir.release() })
	n.fsm = newFSM(nobody{}, nil, from.Logger)
	network, err := n.openNetwork()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		network.stop()
		_ = network.port.Close()
	})
	hop := raft.NewNetworkTransportWithLogger(network.port.Raft(), 1, patience, n.raftLogger())
	t.Cleanup(func() { _ = hop.Close() })
	return &pretender{t, hop, raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(from.NodeID),
		Addr: []byte(from.Listen)}, to}
}

// try sends entries that follow the one at after; what they hold is for entry to
// say.
func (p *pretender) try(term, after, afterTerm, committed uint64, entries int, entry func(*raft.Log)) (bool, error) {
	args := &raft.AppendEntriesRequest{RPCHeader: p.header, Term: term, PrevLogEntry: after, PrevLogTerm: afterTerm,
		LeaderCommitIndex: committed}
	for i := range entries {
		e := &raft.Log{Index: after + 1 + uint64(i), Term: term, Type: raft.LogNoop}
		entry(e)
		args.Entries = append(args.Entries, e)
	}
	var resp raft.AppendEntriesResponse
	err := p.hop.AppendEntries(raft.ServerID(p.to.NodeID), raft.ServerAddress(p.to.Listen), args, &resp)
	return resp.Success, err
}

func noop(*raft.Log) {}

// install sends a snapshot of an empty state.
func (p *pretender) install(term, index uint64, configuration raft.Configuration) {
	p.t.Helper()
	var text snapshotText
	if err := errors.Join(writeHead(&text, snapshotHead{}),
		func() error { _, err := engine.NewState().Snapshot().WriteTo(&text); return err }()); err != nil {
		p.t.Fatal(err)
	}
	args := &raft.InstallSnapshotRequest{RPCHeader: p.header, SnapshotVersion: raft.SnapshotVersionMax, Term: term,
		LastLogIndex: index, LastLogTerm: term,
		Configuration: raft.EncodeConfiguration(configuration), ConfigurationIndex: 1, Size: int64(len(text))}
	var installed raft.InstallSnapshotResponse
	if err := p.hop.InstallSnapshot(raft.ServerID(p.to.NodeID), raft.ServerAddress(p.to.Listen), args, &installed,
		&text); err != nil || !installed.Success {
		p.t.Fatal(err, installed)
	}
}

// restarts waits until a node asks to be opened again, and opens it.
func (s *seat) restarts(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.fatal:
		if !errors.Is(err, ErrRestart) {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("it never notices")
	}
	s.leave(t)
	openSeat(t, s.cfg)
}

// TestLogBeyondSnapshot: a follower whose log reaches further than a snapshot
// that replaces it goes on believing in the log that is gone (hashicorp/raft
// 1.7.3, installSnapshot) and refuses what follows; it asks to be opened again,
// and then takes it.
func TestLogBeyondSnapshot(t *testing.T) {
	configs := seating(t, ZoneAckOff)
	follower := openSeat(t, configs[2])
	p := pretend(t, configs[0], configs[2])
	if ok, err := p.try(5, 1, 1, 0, 9, noop); !ok || err != nil { // up to index 10, never committed
		t.Fatal("entries refused", err)
	}
	p.install(6, 5, follower.firstConfiguration(nil))
	if ok, err := p.try(6, 5, 6, 0, 1, noop); err != nil {
		t.Fatal(err)
	} else if ok {
		t.Skip("this version of Raft has mended it")
	}
	follower.restarts(t)
	eventually(t, "what follows the snapshot is refused for ever", func() bool {
		ok, err := p.try(6, 5, 6, 0, 1,
			noop)
		return ok && err == nil
	})
}

// TestSnapshotOfThePast: a leader whose appends were answered too late begins again
// with the entry before them, which a follower that began with a snapshot has not,
// and so sends that snapshot again. The follower's state does not go back while
// somebody may look at it; the node opens itself again, and then takes what follows.
func TestSnapshotOfThePast(t *testing.T) {
	configs := seating(t, ZoneAckOff)
	follower := openSeat(t, configs[2])
	p := pretend(t, configs[0], configs[2])
	configuration := follower.firstConfiguration(nil)
	p.install(6, 5, configuration)
	command := func(e *raft.Log) {
		e.Type, e.Data = raft.LogCommand, engine.EncodeBatch(engine.BatchHeader{Epoch: 1, Sequence: e.Index, Time: 1},
			engine.Command{Kind: engine.CmdRaiseRules, RulesVersion: 1})
	}
	const last = 10
	append5 := func() (bool, error) { return p.try(6, 5, 6, last, last-5, command) }
	if ok, err := append5(); !ok || err != nil {
		t.Fatal("entries refused", err)
	}
	reached := func() (index engine.LogIndex) {
		follower.View(func(s *engine.State) { index = s.LogIndex() })
		return index
	}
	eventually(t, "what is committed is not applied", func() bool { return reached() == last })
	if ok, err := append5(); err != nil {
		t.Fatal(err)
	} else if ok {
		t.Skip("this version of Raft has mended it")
	}
	p.install(6, 5, configuration)
	if at := reached(); at != last {
		t.Errorf("the state went back from %d to %d", last, at)
	}
	follower.restarts(t)
	eventually(t, "what follows the snapshot is refused for ever", func() bool {
		ok, err := append5()
		return ok &&
			err == nil
	})
}

// snapshotText is a snapshot on its way.
type snapshotText []byte

func (b *snapshotText) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }

func (b *snapshotText) Read(p []byte) (int, error) {
	n := copy(p, *b)
	*b = (*b)[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestHeartbeatsQueue: heartbeats go the way of all entries (hashicorp/raft #695).
func TestHeartbeatsQueue(t *testing.T) {
	configs := seating(t, ZoneAckOff)
	n := &Node{cfg: configs[0], logger: configs[0].Logger, fsm: newFSM(nobody{}, nil, configs[0].Logger)}
	var err error
	if n.dir, err = claimDir(configs[0].Dir, n.firstVersion()); err != nil {
		t.Fatal(err)
	}
	if n.memory, err = openMemory(configs[0].Dir, false); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.dir.release() }()
	network, err := n.openNetwork()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		network.stop()
		_ = network.port.Close()
	}()
	var heard, answered engine.LogIndex
	hop := newTransport(network.port.Raft(), n.raftLogger(), newTracker(func(bool) {}), func() error { return nil },
		extent{own: func() engine.LogIndex { return 7 }, heard: func(index engine.LogIndex) { heard = index }})
	defer hop.Close()
	hop.SetHeartbeatHandler(func(raft.RPC) { t.Error("a heartbeat overtakes") })

	m := &Node{cfg: configs[1], logger: configs[1].Logger, fsm: newFSM(nobody{}, nil, configs[1].Logger)}
	if m.dir, err = claimDir(configs[1].Dir, m.firstVersion()); err != nil {
		t.Fatal(err)
	}
	if m.memory, err = openMemory(configs[1].Dir, false); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.dir.release() }()
	other, err := m.openNetwork()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.stop()
		_ = other.port.Close()
	}()
	from := newTransport(other.port.Raft(), m.raftLogger(), newTracker(func(bool) {}), func() error { return nil },
		extent{own: func() engine.LogIndex { return 9 },
			answered: func(_ string, index engine.LogIndex) { answered = index }})
	defer from.Close()
	if _, err := from.AppendEntriesPipeline("a1", raft.ServerAddress(configs[0].Listen)); !errors.Is(err,
		raft.ErrPipelineReplicationNotSupported) {
		t.Errorf("entries are pipelined (hashicorp/raft #612): %v", err)
	}
	done := make(chan error, 1)
	go func() {
		args := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax,
			Addr: from.EncodePeer("", "a2"), ID: []byte("a2")}, Term: 1}
		done <- from.AppendEntries("a1", raft.ServerAddress(configs[0].Listen), args, new(raft.AppendEntriesResponse))
	}()
	select {
	case rpc := <-hop.Consumer():
		if addr := hop.DecodePeer(rpc.Command.(*raft.AppendEntriesRequest).Addr); addr != "a2" || heard != 9 {
			t.Errorf("it comes from %q, which has applied %d", addr, heard)
		}
		header := raft.RPCHeader{Addr: hop.EncodePeer("", "a1")}
		rpc.Respond(&raft.AppendEntriesResponse{Term: 1, RPCHeader: header}, nil)
	case <-time.After(patience):
		t.Fatal("the heartbeat does not come by the queue")
	}
	if err := <-done; err != nil || answered != 7 {
		t.Errorf("the answer: %v, of a node that has applied %d", err, answered)
	}
	if addr := hop.DecodePeer([]byte("127.0.0.1:7000")); addr != "127.0.0.1:7000" || heard != 0 {
		t.Errorf("a bare address is read as %q, of a node that has applied %d", addr, heard)
	}
}

package cluster

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/cluster/peer"
	"doorbuster/cluster/rpc"
	"doorbuster/engine"
)

// network is this node's way to the others.
type network struct {
	node   *Node
	port   *peer.Port
	server *rpc.Server
	peers  *rpc.Peers

	ctx      context.Context
	cancel   context.CancelFunc
	learn    chan struct{}
	seen     atomic.Uint64                                   // see Seen
	slow     atomic.Pointer[rpc.Pulse]                       // what changes slowly of this node's own
	ahead    atomic.Pointer[map[raft.ServerID]time.Duration] // see Ahead, by node
	leader   raft.ServerAddress                              // at the last look; keepLeadership's
	recalled time.Time                                       // when Memory was looked up for pulses; keepLeadership's

	mu      sync.Mutex
	beyond  int       // see watchLog
	parted  time.Time // when a member was removed last
	follows map[string]*followed
}

func (n *Node) openNetwork() (*network, error) {
	net := &network{node: n, learn: make(chan struct{}, 1), follows: map[string]*followed{}}
	advertise := n.cfg.Advertise
	if self := n.cfg.self(); self != nil {
		advertise = self.Peer
	}
	n.net = net // callers find it
	var err error
	if net.port, err = peer.Listen(peer.Config{
		Listen: n.cfg.Listen, Advertise: advertise, TLS: n.cfg.TLS, Logger: n.logger,
		Identity: n.identity, Admit: n.admit, Refused: n.refusedBy, Whom: n.whoIsAt,
	}); err != nil {
		n.net = nil
		return nil, fmt.Errorf("listen for other nodes on %s: %w", n.cfg.Listen, err)
	}
	net.peers = rpc.NewPeers(net.port.DialRPC, n.logger, n.learnAcross)
	net.server = rpc.NewServer(rpc.ServerConfig{Handler: handler{n.cfg.Decider, n}, Logger: n.logger})
	net.ctx, net.cancel = context.WithCancel(context.Background())
	return net, nil
}

// startNetwork begins to answer and to ask; Raft is there.
func (n *Node) startNetwork() {
	n.lookAtSelf()
	n.running.Go(func() {
		if err := n.net.server.Serve(n.net.port.RPC()); err != nil && !n.stopping.Load() {
			n.fatal.fail(CauseNetwork, fmt.Errorf("serve other nodes: %w", err))
		}
	})
	n.running.Go(n.net.keepFollowing)
	n.running.Go(n.keepLeadership)
	n.running.Go(n.keepMembers)
	n.net.relearn()
}

func (net *network) stop() {
	net.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	net.server.Stop(ctx)
	net.peers.Close()
}

// leaderPeer gives the way to whom this node takes for the leader; nil if that
// is nobody, or this node.
func (n *Node) leaderPeer() *rpc.Peer {
	if n.net == nil {
		return nil
	}
	addr, id := n.raft.LeaderWithID()
	if addr == "" || string(id) == n.cfg.NodeID {
		return nil
	}
	return n.net.peers.Peer(string(addr))
}

// Grab has the leader decide a grab, and to told. Errors: engine.ErrNotLeader if it
// surely was not decided, engine.ErrOutcomeUnknown.
func (n *Node) Grab(q *engine.Grab, deadline engine.Time, to engine.Reply) {
	if p := n.leaderPeer(); p != nil {
		p.Grab(q, deadline, to)
	} else {
		to.Decided(engine.Answer{}, 0, engine.ErrNotLeader)
	}
}

// Ask has the leader take a command through the log.
func (n *Node) Ask(ctx context.Context, command []byte) (engine.Outcome, error) {
	p := n.leaderPeer()
	if p == nil {
		return engine.Outcome{}, engine.ErrNotLeader
	}
	asked, err := p.Ask(ctx, command)
	n.learnAcross(asked.Index)
	return asked, err
}

// Look asks the leader what became of a grab.
func (n *Node) Look(ctx context.Context, shopper, key []byte,
	deadline engine.Time) (engine.Answer, bool, engine.LogIndex, error) {
	p := n.leaderPeer()
	if p == nil {
		return engine.Answer{}, false, 0, engine.ErrNotLeader
	}
	a, found, applied, err := p.Look(ctx, shopper, key, deadline)
	n.learnAcross(applied)
	return a, found, applied, err
}

// handler answers the other nodes.
type handler struct {
	rpc.Decider
	n *Node
}

// Barrier names what this node has applied, and never more: others take it as zone-acked.
// It has what a door of this node has shown of the entry that is being applied.
func (h handler) Barrier(ctx context.Context) (engine.LogIndex, error) {
	if !h.n.vouches() {
		return 0, engine.ErrNotLeader
	}
	if h.n.applied.await(ctx, max(h.n.told(), engine.LogIndex(h.n.fsm.begun.Load()))) != nil {
		return 0, engine.ErrNotLeader
	}
	return h.n.applied.load(), nil
}

// Pulse is asked for often: what changes slowly is looked up by keepLeadership.
func (h handler) Pulse() rpc.Pulse {
	n, p := h.n, *h.n.net.slow.Load()
	p.Term, p.Leads = engine.Term(n.raft.CurrentTerm()), n.vouches()
	p.Applied, p.Commit, p.Ledger, p.Wall = n.applied.load(), engine.LogIndex(n.raft.CommitIndex()),
		n.ledger.Index(), n.cfg.Wall()
	return p
}

// slowPulse is what any pulse of this node tells.
func (n *Node) slowPulse() rpc.Pulse {
	s, v := n.Status(), n.dir.version()
	return rpc.Pulse{
		Node: s.NodeID, Zone: s.Zone, Role: s.Role, Version: n.cfg.Version, Leader: s.Leader,
		Last: s.LastIndex, First: s.FirstIndex,
		Rules: engine.RulesVersion, WALBytes: s.WALBytes, Generation: v.Generation, Life: v.Life,
		Applied: s.AppliedIndex, Ledger: n.ledger.Index(),
	}
}

// lookAtSelf renews what pulses tell and that changes slowly.
func (n *Node) lookAtSelf() {
	p := n.slowPulse()
	p.Detail = map[string]string{detailHears: n.whomItHears(time.Now()),
		detailOldest: strconv.FormatUint(uint64(n.oldestCopy()), 10)}
	if p.Role == "leader" { // who asks another node for the state of things sees it, too
		state, index := n.zoneState()
		p.Detail[detailZone], p.Detail[detailZoneIndex] = string(state), strconv.FormatUint(uint64(index), 10)
	}
	tellAlarms(n.Alarms(), p.Detail)
	if n.cfg.Tells != nil {
		p.Detail[detailTold] = n.cfg.Tells()
	}
	if n.cfg.Demand != nil {
		p.Demand = n.cfg.Demand.Tell(time.Now())
	}
	if was := n.net.slow.Load(); was != nil {
		p.Memory = was.Memory
	}
	if now := time.Now(); now.Sub(n.net.recalled) > memoryEvery {
		n.net.recalled = now
		p.Memory = n.memory.tells(n.cfg.NodeID, n.self())
	}
	n.net.slow.Store(&p)
}

func (h handler) Operate(ctx context.Context, name string, body []byte) ([]byte, error) {
	return h.n.operate(ctx, name, body)
}

// What a node tells in its pulse for status pages; of the zone, a leader only.
const (
	detailAlarm     = "alarm " // and its number
	detailZone      = "zone_state"
	detailZoneIndex = "zone_index"
	detailOldest    = "oldest"
	detailTold      = "told" // see Config.Tells
)

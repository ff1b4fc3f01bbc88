package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/status"

	"doorbuster/cluster/peer"
	"doorbuster/cluster/rpc"
	"doorbuster/engine"
)

// Desk decides, on the leader, what other nodes forward to it. Met by the
// command's adapter over the actors. Safe for concurrent use.
type Desk interface {
	Grab(q *engine.Grab, deadline engine.Time) (engine.Answer, error)
	Ask(ctx context.Context, command []byte) (rpc.Asked, error)
	Look(shopper, key []byte, deadline engine.Time) (answer engine.Answer, found bool, err error)
}

// network is this node's way to the others.
type network struct {
	node   *Node
	port   *peer.Port
	server *rpc.Server
	peers  *rpc.Peers

	ctx    context.Context
	cancel context.CancelFunc
	learn  chan struct{}
	seen   atomic.Uint64             // see Seen
	slow   atomic.Pointer[rpc.Pulse] // what changes slowly of this node's own
	leader raft.ServerAddress        // at the last look; keepLeadership's

	mu      sync.Mutex
	beyond  int       // see watchLog
	parted  time.Time // when a member was removed last
	follows map[string]*followed
}

// followed is what this node hears of another.
type followed struct {
	member Member
	cancel context.CancelFunc

	pulse  rpc.Pulse
	heard  time.Time // when the last ping that was answered was sent; zero: never
	offset time.Duration
	timed  bool
	came   time.Time // when it last came to this node
	ended  time.Time // when its process was found to have, last
	err    error
}

// followEvery is how often nodes ask each other how they are.
const followEvery = 100 * time.Millisecond

func (n *Node) openNetwork() (*network, error) {
	net := &network{node: n, learn: make(chan struct{}, 1), follows: map[string]*followed{}}
	advertise := n.cfg.Advertise
	if self := n.cfg.self(); self != nil {
		advertise = self.Peer
	}
	n.net = net // whoever comes finds it
	var err error
	if net.port, err = peer.Listen(peer.Config{
		Listen: n.cfg.Listen, Advertise: advertise, TLS: n.cfg.TLS, Logger: n.logger,
		Identity: n.identity, Admit: n.admit, Refused: n.refusedBy, Whom: n.whoIsAt,
	}); err != nil {
		n.net = nil
		return nil, fmt.Errorf("listen for other nodes on %s: %w", n.cfg.Listen, err)
	}
	net.peers = rpc.NewPeers(net.port.DialRPC, n.logger)
	net.server = rpc.NewServer(rpc.ServerConfig{Handler: handler{n}, Logger: n.logger})
	net.ctx, net.cancel = context.WithCancel(context.Background())
	return net, nil
}

// startNetwork begins to answer and to ask; Raft is there.
func (n *Node) startNetwork() {
	n.run(func() {
		if err := n.net.server.Serve(n.net.port.RPC()); err != nil && !n.stopping.Load() {
			n.fatal.fail(fmt.Errorf("serve other nodes: %w", err))
		}
	})
	n.run(n.net.keepFollowing)
	n.run(n.keepLeadership)
	n.run(n.keepMembers)
	n.net.relearn()
}

func (net *network) stop() {
	net.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	net.server.Stop(ctx)
	net.peers.Close()
}

// relearn asks for the members to be looked at again.
func (net *network) relearn() {
	select {
	case net.learn <- struct{}{}:
	default:
	}
}

// keepFollowing follows every other member's pulse.
func (net *network) keepFollowing() {
	var following sync.WaitGroup
	defer following.Wait()
	for {
		select {
		case <-net.ctx.Done():
			return
		case <-net.learn:
		}
		roster, parted := net.node.Roster(), false
		net.mu.Lock()
		for id, f := range net.follows {
			if m := roster.member(id); m == nil || *m != f.member && m.Peer != f.member.Peer {
				f.cancel()
				delete(net.follows, id)
				net.peers.Forget(f.member.Peer)
				net.parted = time.Now()
				parted = m == nil
			} else {
				f.member = *m
			}
		}
		for _, m := range roster.Members {
			if m.ID == net.node.cfg.NodeID || net.follows[m.ID] != nil {
				continue
			}
			ctx, cancel := context.WithCancel(net.ctx)
			f := &followed{member: m, cancel: cancel}
			net.follows[m.ID] = f
			following.Add(1)
			go func() {
				defer following.Done()
				net.peers.Peer(m.Peer).Follow(ctx, followEvery, func(p rpc.Pulse, sent time.Time) { net.heard(f, p, sent) }, func(err error) { net.gone(f, err) })
			}()
		}
		net.mu.Unlock()
		if parted {
			net.port.DropConnections() // also its own to this node; the others come again
		}
		net.node.forgetStrangers(roster)
	}
}

// heard takes in another node's pulse.
func (net *network) heard(f *followed, p rpc.Pulse, sent time.Time) {
	n, now := net.node, time.Now()
	net.mu.Lock()
	f.pulse, f.err = p, nil
	if !sent.IsZero() {
		f.heard = sent
		// The other's clock, read half way between the ping and its answer.
		local := n.cfg.Wall().Add(-now.Sub(sent) / 2)
		f.offset, f.timed = p.Wall.Sub(local), true
	}
	net.reckonSeen()
	net.mu.Unlock()
	n.learnAcross(p.Applied)
	if p.Leads && !sent.IsZero() && p.Term >= engine.Term(n.raft.CurrentTerm()) {
		n.fresh.heard(p.Applied, sent, n.applied.load())
	}
}

// hasEnded tells whether its process has ended, and it was not heard of since;
// net.mu is held.
func (f *followed) hasEnded() bool { return f.ended.After(f.heard) && f.ended.After(f.came) }

// silentFor is after what time without an answer a node can't be fresh any more,
// by a wide margin.
const silentFor = 4 * freshFor

// reckonSeen finds what every node that serves shoppers, and may be fresh, has
// applied; net.mu is held.
func (net *network) reckonSeen() {
	now, seen := time.Now(), ^uint64(0)
	// A node that this one does not hear may have been fresh by the leader before.
	settled := now.Sub(time.Unix(0, net.node.epochAt.Load())) > 2*freshFor
	if now.Sub(net.parted) < 2*freshFor { // so may one that has just been removed
		seen = 0
	}
	for _, f := range net.follows {
		if f.hasEnded() || settled && now.Sub(f.came) > silentFor && now.Sub(f.heard) > silentFor {
			continue
		}
		seen = min(seen, uint64(f.pulse.Applied))
	}
	net.seen.Store(seen)
}

// Seen gives the index that every node which may be fresh has applied. Cheap.
func (n *Node) Seen() engine.LogIndex { return engine.LogIndex(n.net.seen.Load()) }

// hears notes that a node has come to this one: it lives, whatever was believed.
func (n *Node) hears(id string) {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	if f := n.net.follows[id]; f != nil {
		f.came = time.Now()
		n.net.reckonSeen()
	}
}

func (net *network) gone(f *followed, err error) {
	net.mu.Lock()
	f.err = plainly(err)
	member := f.member
	net.mu.Unlock()
	if net.ctx.Err() == nil {
		go net.node.lookFor(f, member, time.Now())
	}
}

// lookFor finds out whether the process of a node that is gone has ended: its
// connections broke, and its machine refuses new ones.
func (n *Node) lookFor(f *followed, m Member, gone time.Time) {
	if !n.refused(m.Peer) {
		return
	}
	n.net.mu.Lock()
	f.ended = gone
	n.net.reckonSeen()
	n.net.mu.Unlock()
	if _, leader := n.raft.LeaderWithID(); string(leader) == m.ID {
		n.hurry(m, gone)
	}
}

// ended tells whether a node's process is known to have ended.
func (n *Node) ended(id string) bool {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	f := n.net.follows[id]
	return f != nil && f.hasEnded()
}

// plainly drops what gRPC wraps around the reason why a node can't be reached.
func plainly(err error) error {
	text := status.Convert(err).Message()
	if i := strings.LastIndex(text, "Error while dialing: "); i >= 0 {
		text = strings.Trim(text[i+len("Error while dialing: "):], `"\`)
	}
	return errors.New(text)
}

// heardAt gives when a node last answered a ping, by its send time.
func (n *Node) heardAt(id string) time.Time {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	if f := n.net.follows[id]; f != nil {
		return f.heard
	}
	return time.Time{}
}

// clockOffset gives how far another node's clock is ahead of this one's.
func (n *Node) clockOffset(id string) (offset time.Duration, known bool) {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	if f := n.net.follows[id]; f != nil {
		return f.offset, f.timed
	}
	return 0, false
}

// Ahead tells how far the leader's clock is ahead of this node's; 0 if that is
// not known. Cheap.
func (n *Node) Ahead() time.Duration {
	_, leader := n.raft.LeaderWithID()
	offset, _ := n.clockOffset(string(leader))
	return offset
}

func (n *Node) pulseOf(id string) (p rpc.Pulse, heard bool) {
	if n.net == nil {
		return p, false
	}
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	if f := n.net.follows[id]; f != nil && !f.heard.IsZero() {
		return f.pulse, true
	}
	return p, false
}

// whoIsAt gives the node that an address belongs to, "" if that is not known. What
// one node acknowledges must not count as another's because a name leads astray.
func (n *Node) whoIsAt(addr string) string {
	for _, m := range n.Roster().Members {
		if m.Peer == addr {
			return m.ID
		}
	}
	return ""
}

// identity is what this node says of itself in a handshake.
func (n *Node) identity() peer.Hello {
	v := n.dir.version()
	return peer.Hello{Cluster: v.Cluster, Node: v.Node, Generation: v.Generation, Incarnation: v.Incarnation}
}

// admit tells whether another node may talk to this one. It remembers with which
// directory a node was met first: one that comes with another has forgotten what
// it acknowledged, and its vote would count twice.
func (n *Node) admit(other peer.Hello) error {
	roster := n.fsm.roster.Load()
	if roster != nil && roster.member(other.Node) == nil {
		return &peer.Refusal{Code: "other", Detail: fmt.Sprintf("node %q is not of this cluster; take it in with 'doorbuster cluster join --id %s' on one that is", other.Node, other.Node)}
	}
	n.hears(other.Node)
	v := n.dir.version()
	switch met := v.Peers[other.Node]; {
	case met == "" || v.Generation == 0 && other.Generation > 0:
		return n.dir.update(func(v *dirVersion) {
			if v.Peers == nil {
				v.Peers = map[string]string{}
			}
			v.Peers[other.Node] = other.Incarnation
			if v.Generation == 0 {
				v.Generation = other.Generation
			}
		})
	case met != other.Incarnation:
		return &peer.Refusal{Code: "incarnation", Detail: fmt.Sprintf("node %q comes with another data directory than before: what it acknowledged is not in it. Remove the node, and join it from scratch under a new id", other.Node)}
	}
	return nil
}

// forgetStrangers forgets the directories of nodes that were removed.
func (n *Node) forgetStrangers(r *Roster) {
	if r.Version == 0 {
		return
	}
	v := n.dir.version()
	for id := range v.Peers {
		if r.member(id) != nil {
			continue
		}
		if err := n.dir.update(func(v *dirVersion) { delete(v.Peers, id) }); err != nil {
			n.fatal.fail(err)
		}
	}
}

// refusedBy hears that another node turned this one away.
func (n *Node) refusedBy(addr string, why *peer.Refusal) {
	mine := n.dir.version()
	if why.Generation <= mine.Generation || mine.Generation == 0 {
		return
	}
	// The cluster went on without this node. What it has may never have been
	// agreed on; it must tell nobody anything any more, now or after a restart.
	if err := n.dir.update(func(v *dirVersion) { v.Superseded = why.Generation }); err != nil {
		n.fatal.fail(err)
		return
	}
	n.fatal.fail(fmt.Errorf("cluster %q went on without this node, as generation %d (this node is of generation %d; says %s): keep its directory for the books, and join it from scratch under a new id with 'doorbuster cluster join'",
		mine.Cluster, why.Generation, mine.Generation, addr))
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

func (n *Node) askBarrier(ctx context.Context) (engine.LogIndex, error) {
	if p := n.leaderPeer(); p != nil {
		return p.Barrier(ctx)
	}
	return 0, engine.ErrNotLeader
}

// ForwardGrab has the leader decide a grab. Errors: engine.ErrNotLeader if it
// surely was not decided, engine.ErrOutcomeUnknown.
func (n *Node) ForwardGrab(q *engine.Grab, deadline engine.Time, patience time.Duration) (engine.Answer, engine.LogIndex, error) {
	p := n.leaderPeer()
	if p == nil {
		return engine.Answer{}, 0, engine.ErrNotLeader
	}
	a, applied, err := p.Grab(q, deadline, patience)
	n.learnAcross(applied)
	return a, applied, err
}

// ForwardAsk has the leader take a command through the log.
func (n *Node) ForwardAsk(ctx context.Context, command []byte) (rpc.Asked, error) {
	p := n.leaderPeer()
	if p == nil {
		return rpc.Asked{}, engine.ErrNotLeader
	}
	asked, err := p.Ask(ctx, command)
	n.learnAcross(asked.Index)
	return asked, err
}

// ForwardLook asks the leader what became of a grab.
func (n *Node) ForwardLook(ctx context.Context, shopper, key []byte, deadline engine.Time) (engine.Answer, bool, engine.LogIndex, error) {
	p := n.leaderPeer()
	if p == nil {
		return engine.Answer{}, false, 0, engine.ErrNotLeader
	}
	a, found, applied, err := p.Look(ctx, shopper, key, deadline)
	n.learnAcross(applied)
	return a, found, applied, err
}

// handler answers the other nodes.
type handler struct{ n *Node }

func (h handler) Grab(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
	return h.n.cfg.Desk.Grab(q, deadline)
}

func (h handler) Ask(ctx context.Context, command []byte) (rpc.Asked, error) {
	return h.n.cfg.Desk.Ask(ctx, command)
}

func (h handler) Look(shopper, key []byte, deadline engine.Time) (engine.Answer, bool, error) {
	return h.n.cfg.Desk.Look(shopper, key, deadline)
}

func (h handler) Barrier(context.Context) (engine.LogIndex, error) {
	if !h.n.leased() {
		return 0, engine.ErrNotLeader
	}
	return h.n.applied.load(), nil
}

func (h handler) Advanced(after engine.LogIndex) <-chan struct{} { return h.n.applied.beyond(after) }

// Pulse is asked for often: what changes slowly is looked up by keepLeadership.
func (h handler) Pulse() rpc.Pulse {
	n := h.n
	p := rpc.Pulse{Node: n.cfg.NodeID, Zone: n.cfg.Zone, Version: n.cfg.Version, Rules: engine.RulesVersion}
	if slow := n.net.slow.Load(); slow != nil {
		p = *slow
	}
	p.Term, p.Leads = engine.Term(n.raft.CurrentTerm()), n.leased()
	p.Applied, p.Commit, p.Wall = n.applied.load(), engine.LogIndex(n.raft.CommitIndex()), n.cfg.Wall()
	return p
}

// lookAtSelf renews what pulses tell and that changes slowly.
func (n *Node) lookAtSelf() {
	s := n.Status()
	p := &rpc.Pulse{
		Node: s.NodeID, Zone: s.Zone, Role: s.Role, Version: n.cfg.Version, Leader: s.Leader, Last: s.LastIndex, First: s.FirstIndex,
		Rules: engine.RulesVersion, WALBytes: s.WALBytes, Generation: n.dir.version().Generation,
	}
	if s.Role == "leader" { // who asks another node for the state of things sees it, too
		state, index := n.zoneState()
		p.Detail = map[string]string{detailZone: string(state), detailZoneIndex: strconv.FormatUint(uint64(index), 10)}
	}
	n.net.slow.Store(p)
}

func (h handler) Operate(ctx context.Context, name string, body []byte) ([]byte, error) {
	return h.n.operate(ctx, name, body)
}

// What a leader tells in its pulse for status pages.
const (
	detailZone      = "zone_state"
	detailZoneIndex = "zone_index"
)

// Names of operations.
const (
	OpJoin     = "join"
	OpRemove   = "remove"
	OpTransfer = "transfer"
	OpZoneAck  = "zone-ack"
	OpPrefer   = "prefer"
	OpDrain    = "drain"
)

// Operation is what an operator asks of the cluster.
type Operation struct {
	Name     string  `json:"name"`
	Operator string  `json:"operator"`
	Member   Member  `json:"member,omitzero"`
	Node     string  `json:"node,omitempty"`
	Zone     string  `json:"zone,omitempty"`
	On       bool    `json:"on,omitempty"`
	Mode     ZoneAck `json:"mode,omitempty"`
	Note     string  `json:"note,omitempty"`
}

// Operate does what an operator asks, on the leader, wherever it was asked. It
// gives the node that leads afterwards, for a transfer. Errors: ErrRefused,
// engine.ErrNotLeader, engine.ErrOutcomeUnknown.
func (n *Node) Operate(ctx context.Context, o Operation) (leader string, err error) {
	if n.alone() {
		return "", refuse("this node is alone; a cluster begins with a 'cluster' section in its configuration")
	}
	for {
		leader, err = n.operateOnce(ctx, o)
		if !errors.Is(err, engine.ErrNotLeader) {
			return leader, err
		}
		select {
		case <-ctx.Done():
			return "", engine.ErrNotLeader
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// operated is an operation's outcome, between nodes.
type operated struct {
	Leader  string `json:"leader,omitempty"`
	Refusal string `json:"refusal,omitempty"`
}

func (n *Node) operateOnce(ctx context.Context, o Operation) (string, error) {
	p := n.leaderPeer()
	if p == nil {
		return n.operateHere(ctx, o)
	}
	body, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	answer, err := p.Operate(ctx, o.Name, body)
	if err != nil {
		return "", err
	}
	var done operated
	if err := json.Unmarshal(answer, &done); err != nil {
		return "", fmt.Errorf("answer of the leader: %w", err)
	}
	if done.Refusal != "" {
		return "", refuse("%s", done.Refusal)
	}
	return done.Leader, nil
}

// operate is for other nodes.
func (n *Node) operate(ctx context.Context, name string, body []byte) ([]byte, error) {
	var o Operation
	if err := json.Unmarshal(body, &o); err != nil || o.Name != name {
		return nil, fmt.Errorf("operation %q: %w", name, engine.ErrMalformed)
	}
	leader, err := n.operateHere(ctx, o)
	if err != nil && !errors.Is(err, ErrRefused) {
		return nil, err
	}
	done := operated{Leader: leader}
	if err != nil {
		done.Refusal = RefusalText(err)
	}
	return json.Marshal(done)
}

func (n *Node) operateHere(ctx context.Context, o Operation) (leader string, err error) {
	n.logger.Info("operator", "asks", o.Name, "operator", o.Operator, "node", o.Node+o.Member.ID, "zone", o.Zone, "note", o.Note)
	switch o.Name {
	case OpJoin:
		return "", n.Join(o.Operator, o.Member)
	case OpRemove:
		return "", n.Remove(ctx, o.Operator, o.Node)
	case OpTransfer:
		return n.Transfer(ctx, o.Node)
	case OpZoneAck:
		return "", n.SetZoneAck(o.Operator, o.Mode, o.Note)
	case OpPrefer:
		return "", n.Prefer(o.Operator, o.Zone)
	case OpDrain:
		return "", n.Drain(o.Operator, o.Node, o.Zone, o.On)
	}
	return "", refuse("nobody knows the operation %q; are all nodes of the same build?", o.Name)
}

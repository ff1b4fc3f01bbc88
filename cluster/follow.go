package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/cluster/rpc"
	"doorbuster/engine"
)

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

// relearn asks for the members to be looked at again.
func (net *network) relearn() { wake(net.learn) }

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
		membership := net.node.Membership()
		var gone []string
		net.mu.Lock()
		for id, f := range net.follows {
			if m := membership.member(id); m == nil || m.Peer != f.member.Peer {
				f.cancel()
				delete(net.follows, id)
				net.peers.Forget(f.member.Peer)
				net.parted = time.Now()
				if m == nil {
					gone = append(gone, id)
				}
			} else {
				f.member = *m
			}
		}
		for _, m := range membership.Members {
			if m.ID == net.node.cfg.NodeID || net.follows[m.ID] != nil {
				continue
			}
			ctx, cancel := context.WithCancel(net.ctx)
			f := &followed{member: m, cancel: cancel}
			net.follows[m.ID] = f
			following.Go(func() {
				net.peers.Peer(m.Peer).Follow(ctx, followEvery,
					func(p rpc.Pulse, sent time.Time) { net.heard(f, p, sent) }, func(err error) { net.gone(f, err) })
			})
		}
		net.mu.Unlock()
		for _, id := range gone {
			net.port.DropNode(id) // also its own to this node
		}
		net.node.forgetStrangers(membership)
	}
}

// heard takes in another node's pulse.
func (net *network) heard(f *followed, p rpc.Pulse, sent time.Time) {
	n, now := net.node, time.Now()
	net.mu.Lock()
	f.pulse, f.err, f.heard = p, nil, sent
	// The other's clock, read half way between the ping and its answer.
	local := n.cfg.Wall().Add(-now.Sub(sent) / 2)
	f.offset, f.timed = p.Wall.Sub(local), true
	net.reckonSeen()
	id := f.member.ID
	ahead := map[raft.ServerID]time.Duration{}
	for id, other := range net.follows {
		ahead[raft.ServerID(id)] = other.offset
	}
	net.ahead.Store(&ahead)
	net.mu.Unlock()
	n.memory.hears(n.cfg.NodeID, p.Memory, n.stranger)
	if n.cfg.Demand != nil {
		n.cfg.Demand.Hear(id, p.Demand, now)
	}
	if p.Life != n.memory.get(id).Life {
		// Others know of another start of it, or this is one that they know to have
		// begun with too little: it is weighed anew when it comes again.
		net.port.DropConnections()
		return
	}
	n.learnAcross(p.Applied)
	if told := n.members.toldOut.Load(); told != nil && p.Leads && sent.After(*told) {
		n.members.toldOut.Store(nil) // who turned this node away knew an old membership
	}
	// A leader that does not know yet that there is another has its lease alone.
	if p.Leads && p.Term >= engine.Term(n.raft.CurrentTerm()) && n.raft.State() != raft.Leader {
		n.fresh.heard(p.Applied, sent, n.applied.load())
	}
}

// hasApplied takes in how far a node has applied, as it told this leader.
func (net *network) hasApplied(id string, index engine.LogIndex) {
	net.mu.Lock()
	defer net.mu.Unlock()
	if f := net.follows[id]; f != nil && index > f.pulse.Applied {
		f.pulse.Applied = index
		net.reckonSeen()
	}
}

// hasEnded reports whether its process has ended, and it was not heard of since;
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
	opened := net.node.epochAt.Load()
	settled := opened == nil || now.Sub(*opened) > 2*freshFor
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

// follow gives what is known of another node just now: nothing, if it is none.
func (n *Node) follow(id string) (f followed) {
	if n.net == nil {
		return f
	}
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	if known := n.net.follows[id]; known != nil {
		f = *known
	}
	return f
}

// livesAs gives the life of the process that goes by a node's id and was heard just
// now; "" if none was.
func (n *Node) livesAs(id string) string {
	if f := n.follow(id); f.err == nil && time.Since(f.heard) < reachableFor {
		return f.pulse.Life
	}
	return ""
}

// ended reports whether a node's process is known to have ended.
func (n *Node) ended(id string) bool {
	f := n.follow(id)
	return f.hasEnded()
}

// plainly says in plain words why a node can't be reached.
func plainly(err error) error { return errors.New(engine.PlainNetworkError(err)) }

// heardAt gives when a node last answered a ping, by its send time.
func (n *Node) heardAt(id string) time.Time { return n.follow(id).heard }

// clockOffset gives how far another node's clock is ahead of this one's.
func (n *Node) clockOffset(id string) (offset time.Duration, known bool) {
	f := n.follow(id)
	return f.offset, f.timed
}

// Ahead tells how far the leader's clock, as it was heard last, is ahead of this
// node's; 0 if that is not known. Cheap.
func (n *Node) Ahead() time.Duration {
	ahead := n.net.ahead.Load()
	if ahead == nil {
		return 0
	}
	_, leader := n.raft.LeaderWithID()
	return (*ahead)[leader]
}

func (n *Node) pulseOf(id string) (p rpc.Pulse, heard bool) {
	f := n.follow(id)
	return f.pulse, !f.heard.IsZero()
}

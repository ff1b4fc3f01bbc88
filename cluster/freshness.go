package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// freshFor is how long a follower's state counts as fresh after it has caught up
// with what the leader had at the beginning of it.
const freshFor = 500 * time.Millisecond

// freshness tells until when this node's state may be shown as that of the group:
// the leader's by its lease, a follower's by the leader's pulses. It goes by the
// monotonic clock, so that a process that was stopped notices.
type freshness struct {
	began time.Time
	until atomic.Int64 // since began; 0 never
	last  atomic.Int64 // the highest that until ever was

	mu   sync.Mutex      // taken to write, not to read the above
	want engine.LogIndex // to be reached for what was heard
	sent time.Time       // when that was asked; zero: nothing is wanted
}

// extend moves the end on; it never moves back by this.
func (f *freshness) extend(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.move(until)
}

// move is extend with f.mu held.
func (f *freshness) move(until time.Time) {
	to := int64(until.Sub(f.began))
	f.until.Store(max(f.until.Load(), to))
	f.last.Store(max(f.last.Load(), to))
}

// end ends it now.
func (f *freshness) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = time.Time{}
	f.until.Store(0)
}

func (f *freshness) holds() bool { return int64(time.Since(f.began)) < f.until.Load() }

// ever reports whether it has held since the start.
func (f *freshness) ever() bool { return f.last.Load() > 0 }

// lately reports whether it held at some time in the past d.
func (f *freshness) lately(d time.Duration) bool {
	last := f.last.Load()
	return last > 0 && time.Since(f.began) < time.Duration(last)+d
}

// heard notes that the leader had applied index when it was asked, at sent; this
// node has come to applied.
func (f *freshness) heard(index engine.LogIndex, sent time.Time, applied engine.LogIndex) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if applied >= index {
		f.move(sent.Add(freshFor))
	} else if f.sent.IsZero() { // else what is wanted already comes first
		f.want, f.sent = index, sent
	}
}

// reached notes how far this node has come.
func (f *freshness) reached(index engine.LogIndex) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.sent.IsZero() && index >= f.want {
		f.move(f.sent.Add(freshFor))
		f.sent = time.Time{}
	}
}

// renewLease extends the leader's lease from what followers have answered.
func (n *Node) renewLease() {
	term := n.raft.CurrentTerm()
	if n.epoch.Load() == 0 && n.presiding.Load() != term || n.lead.leaving.Load() {
		return
	}
	if at := n.tracker.quorumAt(term, n.voters.Load().others); !at.IsZero() && n.raft.State() == raft.Leader {
		n.fresh.extend(at.Add(lease))
	}
}

// Fresh reports whether the state of this node may be told as the group's: it has
// all that anybody was told half a second ago. Cheap.
func (n *Node) Fresh() bool { return n.alone() || n.fresh.holds() }

// Leads reports whether this node leads, sells, and nobody else can.
func (n *Node) Leads() bool {
	if n.epoch.Load() == 0 || n.raft.State() != raft.Leader {
		return false
	}
	return n.alone() || n.fresh.holds() && !n.lead.leaving.Load()
}

// vouches reports whether this node leads, and tells what it knows: a node that follows it
// is as fresh as it is.
func (n *Node) vouches() bool { return n.Leads() || n.presides() }

// told gives an index, of this leader's log, that has all that any node has told
// anybody so far.
//
// Under the zone rule nobody applies what the leader has not. Without it a
// follower applies what the leader says is committed, and may do so before the
// leader's own state machine has come round to it. What is committed and is no
// command changes no state; the state machine may never pass its index.
func (n *Node) told() engine.LogIndex {
	applied := n.applied.load()
	if n.zoned() {
		return applied
	}
	return max(applied, engine.LogIndex(min(n.raft.CommitIndex(), n.store.lastCommand.Load())))
}

// Current reports whether this node's state has all that any node has told anybody
// so far, because it leads, with an open epoch or without. Cheap.
func (n *Node) Current() bool { return n.alone() || n.vouches() && n.applied.load() >= n.told() }

// Sync waits until this node's state has all that any node has told anybody
// before the call. Errors: engine.ErrNotLeader when ctx ends first.
func (n *Node) Sync(ctx context.Context) error {
	if !n.until(ctx, 10*time.Millisecond, func() bool {
		if n.vouches() && n.applied.await(ctx, n.told()) == nil {
			return true
		}
		leader := n.leaderPeer()
		if leader == nil {
			return false
		}
		index, err := leader.Barrier(ctx)
		return err == nil && n.Await(ctx, index) == nil
	}) {
		return engine.ErrNotLeader
	}
	return nil
}

// Await waits until this node has applied index, which another node told of.
func (n *Node) Await(ctx context.Context, index engine.LogIndex) error {
	n.learnAcross(index)
	if err := n.applied.await(ctx, index); err != nil {
		return engine.ErrOutcomeUnknown
	}
	return nil
}

// learnAcross takes in that another node has applied up to index.
func (n *Node) learnAcross(index engine.LogIndex) {
	if n.known.raise(index) {
		n.fsm.look()
	}
}

// Ready is nil once this node serves: it leads and its epoch is open, or it presides,
// or it follows and is fresh.
func (n *Node) Ready() error {
	switch {
	case n.Removed():
		return errRemoved
	case n.Drained():
		return errors.New("drained by an operator: it serves what comes, and wants nobody new")
	case n.alone() && n.epoch.Load() != 0, !n.alone() && n.fresh.holds():
		return nil
	case n.alone():
		return errors.New("no epoch is open: recovering, or waiting for a leader")
	case len(n.voters.Load().configuration.Servers) == 0:
		return errors.New("this node is not of the cluster yet: 'doorbuster cluster join' on one that is")
	case n.zoneAcked.blocked.Load():
		return errors.New("zone ack is require, and no voter of another zone answers; bring one back, or " +
			"'doorbuster cluster zone-ack --mode prefer'")
	}
	if _, leader := n.raft.LeaderWithID(); leader == "" {
		return errors.New("no leader is known")
	}
	return errors.New("catching up with the leader")
}

// readyFor is how long a node that has become stale may get it over with before
// load balancers hear of it: a change of leader is done by then.
const readyFor = 3 * time.Second

// Inviting is nil while shoppers may be sent to this node: it is ready, or was
// just now. Without that a change of leader, in which all nodes are stale for a
// moment, would make a load balancer take out all of them, and answer everybody
// itself; the nodes keep who comes until they can tell.
func (n *Node) Inviting() error {
	err := n.Ready()
	if err != nil && !n.Drained() && !n.Removed() && n.fresh.lately(readyFor) {
		return nil
	}
	return err
}

// AwaitReady waits for Ready.
func (n *Node) AwaitReady(ctx context.Context) (err error) {
	n.until(ctx, 2*time.Millisecond, func() bool { err = n.Ready(); return err == nil })
	return err
}

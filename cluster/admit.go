package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"doorbuster/cluster/peer"
	"doorbuster/engine"
)

// whoIsAt gives the node that an address belongs to, "" if that is not known. What
// one node acknowledges must not count as another's because a name leads astray.
func (n *Node) whoIsAt(addr string) string {
	for _, m := range n.Membership().Members {
		if m.Peer == addr {
			return m.ID
		}
	}
	return ""
}

// identity is what this node says of itself in a handshake.
func (n *Node) identity() peer.Hello { return n.dir.version().Hello }

// admit reports whether another node may talk to this one. It remembers with which
// directory a node was met first: one that comes with another has forgotten what
// it acknowledged, and its vote would count twice.
//
// A node that has not caught up knows an old membership only, in which the present
// leader may be missing. It turns away whom it knows to have been removed, and
// nobody for being unknown: certificate, cluster and generation have been checked.
func (n *Node) admit(other peer.Hello) error {
	err := n.weigh(other)
	if err != nil {
		n.turned.Store(&turnedAway{time.Now(), err.Error()})
	}
	return err
}

func (n *Node) weigh(other peer.Hello) error {
	membership := n.fsm.membership.Load()
	switch {
	case membership == nil:
	case membership.removed(other.Node, other.Incarnation):
		return peer.Refuse(peer.CodeRemoved,
			"node %q was removed from this cluster; to take it in again, empty its directory and use 'doorbuster "+
				"cluster join'", other.Node)
	case membership.member(other.Node) == nil && n.fresh.holds():
		return peer.Refuse(peer.CodeOther,
			"node %q is not of this cluster; take it in with 'doorbuster cluster join --id %s' on one that is",
			other.Node, other.Node)
	}
	n.hears(other.Node)
	if n.dir.version().Generation == 0 && other.Generation > 0 {
		if err := n.dir.update(func(v *dirVersion) { v.Generation = max(v.Generation, other.Generation) }); err != nil {
			return err
		}
		if err := n.memory.forget(); err != nil { // of before it was of this cluster
			return err
		}
	}
	err := n.memory.meet(other, n.livesAs(other.Node))
	var why *peer.Refusal
	switch errors.As(err, &why); {
	case err == nil:
		n.alarms.end(engine.AlarmWrongDirectory, other.Node)
	case why != nil && (why.Code == peer.CodeOlderCopy || why.Code == peer.CodeTwice &&
		n.memory.keptOut(other.Node) > twiceFor):
		n.alarm(engine.AlarmWrongDirectory, other.Node, "N"+why.Detail[1:]+".")
	}
	return err
}

// forgetStrangers forgets the directories of nodes that were removed.
func (n *Node) forgetStrangers(r *Membership) {
	if r.Version == 0 {
		return
	}
	if err := n.memory.retain(r.Members, n.stranger); err != nil {
		n.fatal.fail(CauseDisk, err)
	}
	n.alarms.retain(func(a *engine.Alarm) bool {
		return a.About == "" || r.member(a.About) != nil || a.About == n.cfg.NodeID
	})
}

// refusedBy hears that another node turned this one away.
func (n *Node) refusedBy(addr string, why *peer.Refusal) {
	n.turned.Store(&turnedAway{time.Now(), why.Error()})
	if why.Code == peer.CodeRemoved {
		now := time.Now()
		if was := n.members.toldOut.Swap(&now); was == nil && !n.members.out.Load() {
			n.logger.Warn("another node says that this one was removed from the cluster: it serves nobody any more; "+
				"stop it", "node", why.Node)
		}
		return
	}
	switch why.Code {
	case peer.CodeOlderCopy:
		if err := n.dir.update(func(v *dirVersion) { v.OlderCopy = why.Detail }); err != nil {
			n.fatal.fail(CauseDisk, err)
			return
		}
		n.fatal.fail(CauseOlderCopy, fmt.Errorf("node %s turned this one away: %s", why.Node, why.Detail))
		return
	case peer.CodeTwice:
		now := time.Now()
		if n.twice.CompareAndSwap(nil, &now); now.Sub(*n.twice.Load()) > twiceFor {
			n.alarm(engine.AlarmWrongDirectory, n.cfg.NodeID, "N"+why.Detail[1:]+".")
		}
		return
	}
	mine := n.dir.version()
	if why.Generation <= mine.Generation || mine.Generation == 0 {
		return
	}
	// The cluster went on without this node. What it has may never have been
	// agreed on; it must tell nobody anything any more, now or after a restart.
	if err := n.dir.update(func(v *dirVersion) { v.Superseded = why.Generation }); err != nil {
		n.fatal.fail(CauseDisk, err)
		return
	}
	n.fatal.fail(CauseSuperseded, fmt.Errorf("cluster %q went on without this node, as generation %d (this node is "+
		"of generation %d; says %s)",
		mine.Cluster, why.Generation, mine.Generation, addr))
}

// musterPatience is how long a node that starts looks for the others before it takes
// part: those who do not answer by then it meets later.
const musterPatience = time.Second

// muster meets every node that can be reached before this one votes, or asks for
// votes: any of them may know that its directory is an older copy.
func (n *Node) muster() error {
	ctx, cancel := context.WithTimeout(context.Background(), musterPatience)
	defer cancel()
	addrs := n.memory.addresses()
	for _, m := range n.cfg.Members {
		if m.ID != n.cfg.NodeID {
			addrs = append(addrs, m.Peer)
		}
	}
	slices.Sort(addrs)
	var meeting sync.WaitGroup
	for _, addr := range slices.Compact(addrs) {
		meeting.Go(func() {
			if c, err := n.net.port.DialRPC(ctx, addr); err == nil {
				_ = c.Close()
			}
		})
	}
	meeting.Wait()
	if end := n.fatal.end.Load(); end != nil {
		return end
	}
	return nil
}

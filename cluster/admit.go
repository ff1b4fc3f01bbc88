package cluster

import (
	"fmt"
	"time"

	"doorbuster/cluster/peer"
)

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
//
// A node that has not caught up knows an old roster only, in which the present
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
	roster := n.fsm.roster.Load()
	switch {
	case roster == nil:
	case roster.removed(other.Node, other.Incarnation):
		return &peer.Refusal{Code: peer.CodeRemoved, Detail: fmt.Sprintf("node %q was removed from this cluster; to take it in again, empty its directory and use 'doorbuster cluster join'", other.Node)}
	case roster.member(other.Node) == nil && n.fresh.holds():
		return &peer.Refusal{Code: peer.CodeOther, Detail: fmt.Sprintf("node %q is not of this cluster; take it in with 'doorbuster cluster join --id %s' on one that is", other.Node, other.Node)}
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
			n.fatal.fail(CauseDisk, err)
		}
	}
}

// refusedBy hears that another node turned this one away.
func (n *Node) refusedBy(addr string, why *peer.Refusal) {
	n.turned.Store(&turnedAway{time.Now(), why.Error()})
	if why.Code == peer.CodeRemoved {
		now := time.Now()
		if was := n.members.toldOut.Swap(&now); was == nil && !n.members.out.Load() {
			n.logger.Warn("another node says that this one was removed from the cluster: it serves nobody any more; stop it", "node", why.Node)
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
	n.fatal.fail(CauseSuperseded, fmt.Errorf("cluster %q went on without this node, as generation %d (this node is of generation %d; says %s)",
		mine.Cluster, why.Generation, mine.Generation, addr))
}

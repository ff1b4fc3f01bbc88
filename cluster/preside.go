package cluster

import (
	"slices"

	"github.com/hashicorp/raft"
)

// A new leader whose epoch can't be zone-acked, because zone ack is require and no voter
// of another zone answers, can't sell. It can still tell what was: it presides. Its
// state must have all that anybody was told before, so it has to apply what the leader
// before it wrote, although nobody tells it any more how far that was zone-acked.

// watchEpochless looks whether this node, which leads without an epoch, presides.
func (n *Node) watchEpochless() {
	term := n.raft.CurrentTerm()
	if n.raft.State() != raft.Leader || n.epoch.Load() != 0 || !n.zoneAcked.blocked.Load() || n.lead.leaving.Load() {
		n.presiding.Store(0)
		return
	}
	n.learnAcross(n.fsm.writtenBy(n.wroteElsewhere(term)))
	// With an entry of its own term held, all before that term was applied.
	if held, _ := n.fsm.holding(); held != term || n.applied.load() == 0 {
		n.presiding.Store(0)
		return
	}
	if n.presiding.Load() != term {
		n.fresh.end() // what it knew as a follower says nothing about whether it leads
		n.presiding.Store(term)
		n.logger.Warn("this node leads, and shows and refuses as before; it can't sell until a voter of another "+
			"zone answers", "zone", n.cfg.Zone)
	}
	n.renewLease()
}

// smallGroup is how many voters there may be at most, so that two less are no majority.
const smallGroup = 4

// wroteElsewhere tells of a committed entry, by the node that wrote it and the term,
// whether it is zone-acked although nobody has said so. This node leads in term now.
//
// A leader has an entry on its disk before it sends it (raft.dispatchLogs), so one
// that a voter of another zone wrote, and that this node has, is in both zones, with
// all before it: unless a leader that lacked it has overwritten it there since, in a
// term between the two. From its election on such a leader has an entry of its own
// term, and the writer never votes for anybody whose log ends before that, so neither
// votes for a node that goes by the old entry. This node did, and was elected: so there
// was no term between, or there were more than two other voters to be a majority. Where
// there are four at most, two are none. That goes for voters who stay the same; a
// change of them is an entry, too, and counts here once something after it was applied.
// Whoever leads from now on has what is committed.
func (n *Node) wroteElsewhere(now uint64) func(node string, term uint64) bool {
	v := n.voters.Load()
	few := len(v.others) < smallGroup && v.index <= n.applied.load()
	return func(node string, term uint64) bool {
		return slices.Contains(v.elsewhere, node) && (few || term+1 == now)
	}
}

// presides reports whether this node leads without an epoch, nobody else can, and its
// state has all that any node has told anybody so far. It sells nothing.
func (n *Node) presides() bool {
	term := n.presiding.Load()
	return term != 0 && n.epoch.Load() == 0 && n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term &&
		!n.lead.leaving.Load() && n.fresh.holds()
}

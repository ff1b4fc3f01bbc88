package cluster

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// ownMembership is whether this node belongs to the cluster.
type ownMembership struct {
	changing sync.Mutex  // one change at a time
	out      atomic.Bool // the committed membership says that this node was removed
	// toldOut is when another node said so; nil if nobody did since a leader was heard.
	toldOut atomic.Pointer[time.Time]
}

// Removed reports whether this node was taken out of the cluster, as it has read in
// the log, or was told by a node that turned it away. Cheap.
func (n *Node) Removed() bool { return n.members.out.Load() || n.members.toldOut.Load() != nil }

// errRemoved is what a node that was removed says of itself.
var errRemoved = errors.New("this node was removed from the cluster; ask one that is of it")

// Membership gives what the cluster has agreed on about itself; before it has, what
// this node's configuration says (Version 0). It is shared: read only.
func (n *Node) Membership() *Membership {
	if r := n.fsm.membership.Load(); r != nil {
		return r
	}
	if n.alone() {
		alone := Member{ID: n.cfg.NodeID, Zone: n.cfg.Zone, Kind: KindVoter}
		return &Membership{ZoneAck: ZoneAckOff, Members: []Member{alone}}
	}
	return &Membership{ZoneAck: n.cfg.ZoneAck, Members: n.cfg.Members}
}

// membershipChanged is the fsm's: a new membership was committed.
func (n *Node) membershipChanged(r *Membership) {
	n.learnVoters()
	v := n.dir.version()
	out := r.removed(v.Node, v.Incarnation)
	if was := n.members.out.Swap(out); out && !was {
		n.logger.Warn("this node was removed from the cluster: it serves nobody any more; stop it", "operator",
			r.Operator)
	}
	if n.net != nil {
		n.net.relearn()
	}
	n.logger.Info("cluster changed", "version", r.Version, "zone_ack", string(r.ZoneAck), "nodes", len(r.Members),
		"operator", r.Operator, "note", r.Note)
}

func (m Member) server() raft.Server {
	s := raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(m.ID), Address: raft.ServerAddress(m.Peer)}
	if !m.Kind.votes() {
		s.Suffrage = raft.Nonvoter
	}
	return s
}

// firstMembership makes what the configuration says binding, once.
func (n *Node) firstMembership() error {
	if n.alone() || n.fsm.membership.Load() != nil {
		return nil
	}
	first := n.Membership().clone()
	first.Note = "as configured"
	err := n.proposeMembership(first)
	if errors.Is(err, errMembershipMoved) {
		return nil // it is there by now
	}
	return err
}

func (n *Node) proposeMembership(r *Membership) error {
	_, err := n.unlessStopped(n.Propose(encodeMembership(r)))
	return err
}

// changeMembership makes a new membership out of the present one, and again if that has
// changed meanwhile.
func (n *Node) changeMembership(operator, note string, change func(*Membership) error) error {
	for {
		// Before it has come to its own term a leader may not know what the last one
		// changed. Its epoch need not be open: what opens it may wait for this.
		term := n.fsm.term.Load()
		now := n.fsm.membership.Load()
		if n.raft.State() != raft.Leader || term != n.raft.CurrentTerm() || now == nil {
			return engine.ErrNotLeader
		}
		next := now.clone()
		next.Operator, next.Note = operator, note
		if err := change(next); err != nil {
			return err
		}
		if err := n.proposeMembership(next); !errors.Is(err, errMembershipMoved) {
			return err
		}
	}
}

// setZoneAck changes what acknowledgements wait for. It takes effect at once, on what
// waits, too.
func (r *Membership) setZoneAck(mode ZoneAck) error {
	if !mode.Valid() {
		return refuse("zone ack %q is none of off, prefer, require", mode)
	}
	r.ZoneAck = mode
	return nil
}

// prefer says which zone is to lead; "" is none.
func (r *Membership) prefer(zone string) error {
	if zone != "" && !slices.ContainsFunc(r.Members, func(m Member) bool {
		return m.Zone == zone &&
			m.Kind == KindVoter
	}) {
		return refuse("no voter stands in zone %q", zone)
	}
	r.Preferred = zone
	return nil
}

// drain takes a node, or with "" a whole zone, out of service, or back in.
func (r *Membership) drain(node, zone string, on bool) error {
	what, verb := "node "+node, "drain "
	if node == "" {
		what = "zone " + zone
	}
	if !on {
		verb = "undrain "
	}
	r.Note = verb + what
	found, serving := false, false
	for i := range r.Members {
		m := &r.Members[i]
		if node != "" && m.ID == node || node == "" && m.Zone == zone {
			found, m.Drained = true, on
		}
		serving = serving || !m.Drained && m.Kind != KindWitness
	}
	switch {
	case !found:
		return refuse("there is no %s; see 'doorbuster cluster status'", what)
	case !serving:
		return refuse("no node would be left to serve shoppers")
	}
	return nil
}

// joinPatience is how long a change of Raft's configuration may take.
const joinPatience = 5 * time.Second

// join takes a node in: as a non-voter first; one that is to vote does so once it
// has caught up.
func (n *Node) join(o Operation) error {
	m := o.Member
	if m.Kind == "" {
		m.Kind = KindVoter
	}
	if err := m.Validate(); err != nil {
		return refuse("%w", err)
	}
	n.members.changing.Lock()
	defer n.members.changing.Unlock()
	if err := n.changeMembership(o.Operator, "join "+m.ID, func(r *Membership) error {
		if len(r.Members) >= maxMembers {
			return refuse("the cluster has %d nodes already, the most that it takes", len(r.Members))
		}
		for _, other := range r.Members {
			if o.Again && other == m {
				return errDone
			}
			if other.ID == m.ID {
				return refuse("there is a node %q already (zone %s, at %s); a node that lost its data joins under a "+
					"new id", m.ID, other.Zone, other.Peer)
			}
			if other.Peer == m.Peer {
				return refuse("node %q is at %s already", other.ID, m.Peer)
			}
		}
		r.Members = append(r.Members, m)
		return nil
	}); err != nil && !errors.Is(err, errDone) {
		return err
	}
	n.alignMembers()
	return nil
}

// errDone: what is asked for again has been done.
var errDone = errors.New("done before")

// keepMembers makes Raft's configuration what the membership says, while this node
// leads and has applied every membership of before: it takes up what a leader before it
// left half done. A leader that only presides does so, too: without that the node that
// is to stand in for the last voter of another zone would never vote.
func (n *Node) keepMembers() {
	n.every(100*time.Millisecond, func() {
		leads := n.raft.State() == raft.Leader && n.epoch.Load() != 0 || n.presides()
		if leads && n.members.changing.TryLock() {
			n.alignMembers()
			n.members.changing.Unlock()
		}
	})
}

// alignMembers makes the next change of Raft's configuration that the membership asks for.
// The committed membership has decided: what does not come about now comes about later.
// n.members.changing is held.
func (n *Node) alignMembers() {
	if err := n.alignNext(n.fsm.membership.Load()); err != nil {
		n.logger.Warn("a change of the cluster's nodes waits", "error", err)
	}
	n.learnVoters()
}

func (n *Node) alignNext(membership *Membership) error {
	if membership == nil {
		return nil
	}
	servers := n.raft.GetConfiguration().Configuration().Servers
	for _, m := range membership.Members {
		i := slices.IndexFunc(servers, func(s raft.Server) bool { return string(s.ID) == m.ID })
		want := m.server()
		switch {
		case i < 0:
			return n.raft.AddNonvoter(want.ID, want.Address, 0, joinPatience).Error()
		case want.Suffrage == raft.Voter && servers[i].Suffrage != raft.Voter:
			if !n.caughtUp(m.ID) {
				continue
			}
			n.logger.Info("a node has caught up and votes from now on", "node", m.ID, "zone", m.Zone)
			return n.raft.AddVoter(want.ID, want.Address, 0, joinPatience).Error()
		}
	}
	for _, s := range servers {
		if membership.member(string(s.ID)) == nil {
			defer n.tracker.reset(string(s.ID))
			return n.raft.RemoveServer(s.ID, 0, joinPatience).Error()
		}
	}
	return nil
}

// remove takes a node out for good. It refuses what would cost the quorum, or
// the zone rule.
func (n *Node) remove(o Operation) error {
	if n.raft.State() != raft.Leader || n.epoch.Load() == 0 {
		return engine.ErrNotLeader
	}
	membership, id := n.Membership(), o.Node
	gone := membership.member(id)
	switch {
	case gone == nil && o.Again:
		return nil
	case gone == nil:
		return refuse("no node %q; see 'doorbuster cluster status'", id)
	}
	n.members.changing.Lock()
	defer n.members.changing.Unlock()
	term := n.raft.CurrentTerm()
	voters, alive := 0, 0
	zones := map[string]bool{}
	for _, m := range membership.Members {
		if m.ID == id || !m.Kind.votes() {
			continue
		}
		voters++
		zones[m.Zone] = true
		if m.ID == n.cfg.NodeID || n.healthy(term, m.ID) && !n.ended(m.ID) {
			alive++
		}
	}
	switch {
	case !gone.Kind.votes():
	case voters == 0:
		return refuse("%q is the last voter", id)
	case alive < voters/2+1:
		return refuse("of the %d voters that would be left only %d answer: there would be no quorum. Bring the "+
			"others back first, or promote the zone that survives", voters, alive)
	case membership.ZoneAck == ZoneAckRequire && len(zones) < 2 && n.voters.Load().zones > 1:
		return refuse("%q is the last voter of another zone, and zone ack is require; join another node of that "+
			"zone first, or 'doorbuster cluster zone-ack --mode prefer'", id)
	}
	if id == n.cfg.NodeID {
		return refuse("%q leads; 'doorbuster cluster transfer' first", id)
	}
	if err := n.changeMembership(o.Operator, "remove "+id, func(r *Membership) error {
		r.remove(Removed{id, n.memory.get(id).Incarnation})
		return nil
	}); err != nil {
		return err
	}
	n.alignMembers()
	return nil
}

// rulesEvery is how long a leader waits for rules that it has asked for before it
// asks again.
const rulesEvery = 2 * time.Second

// raiseRules raises the rules that the group runs by, if every node knows newer
// ones; it reports whether it asked for them. A lone node, which has nobody to wait for,
// does so with each epoch.
func (n *Node) raiseRules() bool {
	present := uint32(0)
	n.View(func(s *engine.State) { present = s.Rules() })
	lowest := uint32(engine.RulesVersion)
	for _, m := range n.others() {
		p, heard := n.pulseOf(m.ID)
		if !heard { // not since this node started
			return false
		}
		lowest = min(lowest, p.Rules)
	}
	if lowest <= present {
		return false
	}
	n.logger.Info("every node knows newer rules; the group goes over to them", "from", present, "to", lowest)
	n.leader.RaiseRules(lowest)
	return true
}

package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// PromotePlan is what promoting this node would do, and what it can't know.
type PromotePlan struct {
	Zone, Node                 string
	Generation, NextGeneration uint64
	Term                       engine.Term
	LastIndex, AppliedIndex    engine.LogIndex
	ZoneAck                    ZoneAck
	LeaderHeard                time.Time // zero: not since this node started
	Unreachable                []string
	Will, CannotKnow           []string
	Refusal                    string // why it can't be, "" if it can
	// after which the refusal is over, if nothing changes; 0: waiting is of no use
	Wait  time.Duration
	Token string // names this very plan
}

// quietFor is how long no leader must have been heard of before a promotion:
// longer than any election of those who are left.
const quietFor = 3 * time.Second

// PlanPromotion tells what Promote would do now. zone is the one that takes over:
// this node's.
func (n *Node) PlanPromotion(zone string) PromotePlan {
	v := n.dir.version()
	membership := n.Membership()
	p := PromotePlan{
		Zone: zone, Node: n.cfg.NodeID, Generation: v.Generation, NextGeneration: v.Generation + 1,
		LastIndex: engine.LogIndex(n.log.LastIndex()), AppliedIndex: n.applied.load(), ZoneAck: membership.ZoneAck,
	}
	s := n.ClusterStatus()
	p.Term = s.Term
	self := membership.member(n.cfg.NodeID)
	voters, reachable, further, joining := 0, 0, "", false
	var mayHaveMore []string // voters that can't be asked, outside of the one zone that is lost
	lost := map[string]bool{}
	for _, x := range s.Nodes {
		if x.ID != n.cfg.NodeID && !x.Reachable {
			p.Unreachable = append(p.Unreachable, x.ID)
			if x.Kind.votes() {
				lost[x.Zone] = true
				mayHaveMore = append(mayHaveMore, x.ID)
			}
		}
		joining = joining || x.ID == n.cfg.NodeID && x.Joining
		if !x.Kind.votes() {
			continue
		}
		voters++
		if x.Reachable {
			reachable++
			if x.ID != n.cfg.NodeID && x.Last > s.LastIndex {
				further = x.ID
			}
		}
	}
	contact, now := n.raft.LastContact(), time.Now()
	if n.raft.State() == raft.Leader {
		contact = now
	}
	p.LeaderHeard = contact
	switch {
	case n.alone():
		p.Refusal = "this node is alone; there is nothing to take over"
	case zone != n.cfg.Zone:
		p.Refusal = fmt.Sprintf("node %s stands in zone %s; ask a node of zone %s", n.cfg.NodeID, n.cfg.Zone, zone)
	case self == nil || self.Kind != KindVoter:
		p.Refusal = fmt.Sprintf("node %s is no voter that serves; ask one of zone %s", n.cfg.NodeID, zone)
	case joining:
		p.Refusal = fmt.Sprintf("node %s is still joining: it may lack what shoppers were told", n.cfg.NodeID)
	case reachable >= voters/2+1:
		p.Refusal = fmt.Sprintf("%d of %d voters answer: there is a quorum, and the cluster elects a leader by "+
			"itself. To move leadership use 'doorbuster cluster transfer', to take a zone out of service 'drain'",
			reachable, voters)
	case now.Sub(n.began) < quietFor:
		p.Wait = quietFor - now.Sub(n.began)
		p.Refusal = fmt.Sprintf("this node started %s ago; in %s it is certain who answers", seconds(now.Sub(n.began)),
			seconds(p.Wait))
	case !contact.IsZero() && now.Sub(contact) < quietFor:
		p.Wait = quietFor - now.Sub(contact)
		p.Refusal = fmt.Sprintf("a leader was heard %s ago; in %s, if none is heard again, it is certain that the "+
			"other "+
			"zone is gone", seconds(now.Sub(contact)), seconds(p.Wait))
	case further != "":
		p.Refusal = fmt.Sprintf("node %s has more of the log (this one ends at %d); promote there", further,
			s.LastIndex)
	}
	p.Will = []string{
		fmt.Sprintf("Node %s becomes the only voter of cluster %s, as generation %d, with everything in its log up "+
			"to index %d.", n.cfg.NodeID, n.cfg.ClusterID, p.NextGeneration, p.LastIndex),
		fmt.Sprintf("It leads and sells within seconds. Nodes of generation %d are turned away for good when they "+
			"come back: %s.", p.Generation, strings.Join(n.Others(), ", ")),
		"The number of an order that may be lost with the others is given to nobody else, and money for it goes " +
			"back; this node's log says from which order of each session on.",
		"New nodes are taken in with 'doorbuster cluster join', under new ids and with empty directories.",
	}
	switch {
	case membership.ZoneAck == ZoneAckRequire && (len(lost) == 0 || len(lost) == 1 && !lost[zone] &&
		voters-len(mayHaveMore) == 1):
		p.CannotKnow = []string{
			"Zone ack is require: everything that anybody was told under it is here. Nothing of that is lost, and " +
				"the other zone, should it live, can grant nothing.",
			"If zone ack was switched while this node could not hear of it, what was granted since is not here. " +
				"Nobody may switch it in the other zone now.",
		}
		if !n.fresh.ever() { // nobody has seen what the directory had before
			p.CannotKnow[0] = "Zone ack is require, but this node has not caught up with a leader since it started. " +
				"If its directory was put back to an older copy, " +
				"what was told after that copy was made is lost, and its units will be sold again; of those that " +
				"can be asked nobody would know. " +
				"If it is the directory that this node has always had, everything that anybody was told is here."
		}
	case membership.ZoneAck == ZoneAckRequire:
		p.CannotKnow = []string{
			fmt.Sprintf("Zone ack is require, but voters are away that are not all of one other zone (%s): what one "+
				"of them and the lost leader had together may not be here. Bring them back first if you can.",
				strings.Join(mayHaveMore, ", ")),
			"If the others live and are only cut off, they may go on selling. Make sure that they are off before " +
				"you go on.",
		}
	default:
		p.CannotKnow = []string{
			fmt.Sprintf("Zone ack is %s: what the other zone acknowledged while this node did not follow is not "+
				"here. Those orders are lost, and their units will be sold again.", membership.ZoneAck),
			"If the other zone lives and is only cut off, it goes on selling the same units. Make sure that it is " +
				"off before you go on.",
		}
	}
	p.CannotKnow = append(p.CannotKnow, n.knownBeyond()...)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %d %d %s %v", n.cfg.ClusterID, p.Node, p.Generation, p.LastIndex,
		p.Term, p.ZoneAck, p.Unreachable))
	p.Token = hex.EncodeToString(sum[:8])
	return p
}

// seconds gives d as a person reads it, rounded up: who waits so long waits enough.
func seconds(d time.Duration) string {
	const step = 100 * time.Millisecond
	return ((d + step - 1) / step * step).String()
}

// knownBeyond says which other nodes are remembered to have written more than this
// one has.
func (n *Node) knownBeyond() (sentences []string) {
	own := n.written()
	for _, id := range n.Others() {
		if had := n.memory.get(id).Wrote; own.before(had) {
			sentences = append(sentences,
				fmt.Sprintf("Node %s is known to have had the log up to index %d (term %d); this one ends at index "+
					"%d (term %d). What lies between is not here, and shoppers may have been told of it.",
					id, had.Index, had.Term, own.Index, own.Term))
		}
	}
	return sentences
}

// Promote makes this node the cluster, as the next generation. It is fenced
// first: from the moment that the new generation is on disk, no node of the old
// one gets through to this one. Then the node must be closed and opened again
// (ErrRestart, by OnFatal), and takes over while it opens; a crash at any step
// leaves that to the next start. token is the plan's, so that what was read is
// what is done; "" takes the present one. Errors: ErrRefused.
func (n *Node) Promote(_ context.Context, operator, zone, token string) (PromotePlan, error) {
	n.members.changing.Lock()
	defer n.members.changing.Unlock()
	p := n.PlanPromotion(zone)
	if p.Refusal != "" {
		return p, refuse("%s", p.Refusal)
	}
	if token != "" && token != p.Token {
		return p, refuse("things have changed since the plan was made; read the new one")
	}
	if err := n.dir.update(func(v *dirVersion) {
		v.Generation, v.Promoting = p.NextGeneration, true
	}); err != nil {
		return p, err
	}
	if err := n.memory.forget(); err != nil {
		return p, err
	}
	n.net.port.DropConnections()
	n.logger.Warn("ALARM: this zone takes over", "operator", operator, "zone", zone, "generation", p.NextGeneration,
		"last_index", uint64(p.LastIndex), "zone_ack", string(p.ZoneAck))
	n.fatal.fail(CauseRestart, fmt.Errorf("%w: promoted to generation %d", ErrRestart, p.NextGeneration))
	return p, nil
}

// finishPromotion makes this node the only voter, if that was begun. Raft's
// recovery applies what was not committed, too, on a state that is thrown away,
// and then cuts the whole log; it can be done again from the start.
func (n *Node) finishPromotion(config *raft.Config, stable raft.StableStore, snapshots raft.SnapshotStore,
	hop raft.Transport) error {
	if !n.dir.version().Promoting {
		return nil
	}
	// What this brings into the log counts: the ledger takes it, as it will not come
	// again. The ledger reads nothing yet.
	scratch := newFSM(n.ledger, n.fatal, n.logger)
	alone := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: config.LocalID,
		Address: hop.LocalAddr()}}}
	scratch.reduceTo = n.cfg.NodeID
	if err := raft.RecoverCluster(config, scratch, n.store, stable, snapshots, hop, alone); err != nil {
		return fmt.Errorf("take over alone: %w", err)
	}
	if scratch.halted != nil {
		return scratch.halted
	}
	if err := n.dir.update(func(v *dirVersion) { v.Promoting = false }); err != nil {
		return err
	}
	n.logger.Warn("this zone has taken over; " + horizon(scratch.state))
	return nil
}

// reduced is the membership with which a promoted node goes on: itself.
func (r *Membership) reduced(to string) *Membership {
	if r == nil {
		return nil
	}
	next := r.clone()
	next.Members = slices.DeleteFunc(next.Members, func(m Member) bool { return m.ID != to })
	next.Preferred, next.Note = "", "promoted"
	for i := range next.Members {
		next.Members[i].Drained = false
	}
	return next
}

// RefusalText is what a refusal says, without that it is one.
func RefusalText(err error) string {
	return strings.TrimPrefix(err.Error(), ErrRefused.Error()+": ")
}

// horizonSessions is how many sessions a horizon names.
const horizonSessions = 20

// horizon says how far a state knows of orders, for people who have lost what was
// granted after it: which numbers may be out there, and what becomes of them.
func horizon(s *engine.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "What was granted after log index %d (%s) is not here", s.LogIndex(),
		s.Now().Wall().UTC().Format(time.RFC3339))
	named, more := 0, 0
	for _, x := range s.Sessions() {
		switch {
		case x.State != engine.Published && x.State != engine.Open:
		case named == horizonSessions:
			more++
		default:
			fmt.Fprintf(&b, "%s of session %s from order %d on", []string{":", ","}[min(named, 1)], x.ID, x.Orders()+1)
			named++
		}
	}
	if more > 0 {
		fmt.Fprintf(&b, ", and of %d sessions more", more)
	}
	b.WriteString(". Shoppers may know the numbers of such orders. Nobody else is given them; a search for one (GET " +
		"/admin/v1/orders?order_no=…) says that it is lost; and money for one goes back.")
	return b.String()
}

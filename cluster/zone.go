package cluster

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// votes are who counts for the quorum, as this node last heard.
type votes struct {
	configuration raft.Configuration
	index         engine.LogIndex // of the entry that made it so
	others        []string        // voters besides this node
	elsewhere     []string        // voters of other zones than this node's
	zones         int             // how many zones have a voter
}

// has reports whether a node has a vote.
func (v *votes) has(id string) bool {
	return slices.ContainsFunc(v.configuration.Servers, func(s raft.Server) bool {
		return string(s.ID) == id &&
			s.Suffrage == raft.Voter
	})
}

// learnVoters takes in Raft's configuration, and where its servers stand.
func (n *Node) learnVoters() {
	if n.started.Load() {
		n.lookUpVoters()
	}
}

func (n *Node) lookUpVoters() {
	latest := n.raft.GetConfiguration()
	v := &votes{configuration: latest.Configuration(), index: engine.LogIndex(latest.Index())}
	membership, zones := n.Membership(), map[string]bool{}
	for _, s := range v.configuration.Servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		id := string(s.ID)
		zone := membership.zoneOf(id)
		if zone != "" {
			zones[zone] = true
		}
		if id == n.cfg.NodeID {
			continue
		}
		v.others = append(v.others, id)
		if zone != "" && zone != n.cfg.Zone {
			v.elsewhere = append(v.elsewhere, id)
		}
	}
	v.zones = len(zones)
	n.voters.Store(v)
	n.fsm.look()
}

// ZoneState says how the zone rule fares.
type ZoneState string

// States of the zone rule, as the leader sees them; a follower knows of off,
// single_zone and unknown only.
const (
	ZoneOff        ZoneState = "off"
	ZoneSingle     ZoneState = "single_zone" // no voter stands elsewhere
	ZoneHolding    ZoneState = "holding"
	ZoneDegraded   ZoneState = "degraded" // prefer goes on without
	ZoneBlocked    ZoneState = "blocked"  // require acknowledges nothing
	ZoneStateOther ZoneState = "unknown"  // this node does not lead
)

// ZoneStates lists them, for metrics with a fixed set of labels.
func ZoneStates() []ZoneState {
	return []ZoneState{ZoneOff, ZoneSingle, ZoneHolding, ZoneDegraded, ZoneBlocked, ZoneStateOther}
}

// zoneAcked keeps the zone rule: nothing derived from an entry leaves a node before
// a voter of another zone than the leader's has it on disk.
type zoneAcked struct {
	degraded atomic.Bool
	blocked  atomic.Bool

	commit engine.LogIndex // at the last look; keepLeadership's
}

// zoned reports whether the zone rule holds nodes back: there are voters in several
// zones, and it is not off. A node that is to join has no configuration yet, and
// no say in this.
func (n *Node) zoned() bool {
	if n.alone() || n.Membership().ZoneAck == ZoneAckOff {
		return false
	}
	v := n.voters.Load()
	return len(v.configuration.Servers) == 0 || v.zones > 1
}

// bound gives the highest index that this node may apply. It is the fsm's.
//
// The leader knows what the voters elsewhere have on disk. What any node has
// applied was zone-acked when it did, and stays so: so followers go by what others
// say that they have applied, and nobody's word is ever taken back.
func (n *Node) bound() engine.LogIndex {
	if !n.zoned() {
		return unbounded()
	}
	v, mode := n.voters.Load(), n.Membership().ZoneAck
	index := n.known.load()
	// Raft is asked last: while it leads in the tracker's term, all that was
	// committed is of this node's own log, which is what the tracker speaks of.
	if n.started.Load() && n.raft.State() == raft.Leader {
		if mode == ZoneAckPrefer && n.zoneAcked.degraded.Load() {
			return unbounded()
		}
		index = max(index, n.tracker.furthest(n.raft.CurrentTerm(), v.elsewhere))
	}
	return index
}

// passed takes in how far this node has applied.
func (n *Node) passed(index engine.LogIndex) {
	n.applied.raise(index)
	n.fresh.reached(index)
}

// heardFollower is the tracker's.
func (n *Node) heardFollower(further bool) {
	n.renewLease()
	if further {
		n.fsm.look()
	}
}

// coldStart is how long a node that has just started takes another zone to be
// there, although it has not heard of it.
const coldStart = 2 * time.Second

// watchZones sees whether other zones answer, while this node leads.
func (n *Node) watchZones(now time.Time) {
	a := &n.zoneAcked
	v, mode := n.voters.Load(), n.Membership().ZoneAck
	leads := n.raft.State() == raft.Leader
	if !leads || mode == ZoneAckOff || len(v.elsewhere) == 0 {
		n.setZone(false, false)
		return
	}
	term, timeout := n.raft.CurrentTerm(), n.cfg.ZoneTimeout
	heard := n.tracker.latest(term, v.elsewhere)
	// With prefer there is no use in waiting for a process that has ended; with
	// require shoppers rather wait a moment than hear that they missed it.
	ended := mode == ZoneAckPrefer
	for _, id := range v.elsewhere {
		ended = ended && n.ended(id)
		if at := n.heardAt(id); at.After(heard) {
			heard = at
		}
	}
	if assumed := n.began.Add(coldStart - timeout); assumed.After(heard) && now.Sub(n.began) < coldStart {
		heard = assumed
	}
	silent := now.Sub(heard) > timeout || ended
	held, since := n.fsm.holding()
	stuck := held != 0 && now.Sub(since) > timeout
	away := silent || stuck
	caughtUp := n.tracker.furthest(term, v.elsewhere) >= a.commit
	a.commit = engine.LogIndex(n.raft.CommitIndex())
	if !away && !caughtUp {
		away = a.degraded.Load() || a.blocked.Load()
	}
	n.setZone(away && mode == ZoneAckPrefer, away && mode == ZoneAckRequire)
}

func (n *Node) setZone(degraded, blocked bool) {
	a := &n.zoneAcked
	if was := a.degraded.Swap(degraded); was != degraded {
		if degraded {
			n.logger.Error("ALARM: no voter of another zone answers: what is acknowledged from now on is in one "+
				"zone only (zone ack prefer)", "zone", n.cfg.Zone)
		} else {
			n.logger.Warn("other zones have caught up, or this node does not lead: entries are zone-acked again")
		}
		n.fsm.look()
	}
	if was := a.blocked.Swap(blocked); was != blocked {
		if blocked {
			n.logger.Error("ALARM: no voter of another zone answers, and zone ack is require: nothing is granted "+
				"until one does, or until 'doorbuster cluster zone-ack --mode prefer'", "zone", n.cfg.Zone)
		} else {
			n.logger.Warn("grants are acknowledged again")
		}
		n.leader.Blocked(blocked)
	}
}

// zoneState gives the state in a word, and how far voters elsewhere have come.
func (n *Node) zoneState() (state ZoneState, index engine.LogIndex) {
	v, mode := n.voters.Load(), n.Membership().ZoneAck
	switch {
	case n.alone() || v.zones <= 1:
		return ZoneSingle, n.applied.load()
	case mode == ZoneAckOff:
		state = ZoneOff
	case n.raft.State() != raft.Leader:
		state = ZoneStateOther
	case n.zoneAcked.degraded.Load():
		state = ZoneDegraded
	case n.zoneAcked.blocked.Load():
		state = ZoneBlocked
	default:
		state = ZoneHolding
	}
	return state, max(min(n.tracker.furthest(n.raft.CurrentTerm(), v.elsewhere),
		engine.LogIndex(n.raft.CommitIndex())), n.known.load())
}

package cluster

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/cluster/rpc"
	"doorbuster/engine"
)

// Status is what this node knows of itself.
type Status struct {
	NodeID, Zone            string
	Leader                  string
	Role                    string // leader, follower, candidate, non_voter, stopped
	Term                    engine.Term
	Epoch                   engine.Epoch
	LastIndex, AppliedIndex engine.LogIndex
	FirstIndex              engine.LogIndex
	WALBytes                int64
	WALSegments             int
}

// Status tells how the node is.
func (n *Node) Status() Status {
	_, leader := n.raft.LeaderWithID()
	segments, bytes := n.log.Size()
	return Status{
		NodeID: n.cfg.NodeID, Zone: n.cfg.Zone, Leader: string(leader), Role: n.role(),
		Term: engine.Term(n.raft.CurrentTerm()), Epoch: engine.Epoch(n.epoch.Load()),
		LastIndex: engine.LogIndex(n.raft.LastIndex()), AppliedIndex: n.applied.load(),
		FirstIndex: engine.LogIndex(n.log.FirstIndex()), WALBytes: bytes, WALSegments: segments,
	}
}

// Stats are what a node counts of its share in the group.
type Stats struct {
	LeaderGained    int64 // how often it began to lead
	CommitIndex     engine.LogIndex
	LeaderSilent    time.Duration // since it heard of a leader; 0 on that, and before it has heard of one
	Held            int           // entries that are committed and wait for another zone
	HeldFor         time.Duration // the oldest of these
	AppendedEntries uint64        // to the log, since it started
	AppendedBytes   uint64        // without the log's own headers
	SinceSnapshot   int64         // bytes of entries applied since the last snapshot
}

// Stats gives them.
func (n *Node) Stats() Stats {
	s := Stats{LeaderGained: n.gains.Load(), CommitIndex: engine.LogIndex(n.raft.CommitIndex()),
		AppendedEntries: n.store.appendedEntries.Load(), AppendedBytes: n.store.appendedBytes.Load(),
		SinceSnapshot: n.fsm.written.Load()}
	if heard := n.raft.LastContact(); n.raft.State() != raft.Leader && !heard.IsZero() {
		s.LeaderSilent = time.Since(heard)
	}
	n.fsm.hold.Lock()
	defer n.fsm.hold.Unlock()
	if s.Held = len(n.fsm.held); s.Held > 0 {
		s.HeldFor = time.Since(n.fsm.held[0].since)
	}
	return s
}

func (n *Node) role() string {
	switch n.raft.State() {
	case raft.Leader:
		return "leader"
	case raft.Candidate:
		return "candidate"
	case raft.Shutdown:
		return "stopped"
	}
	if n.alone() || n.voters.Load().has(n.cfg.NodeID) {
		return "follower"
	}
	return "non_voter"
}

// ClusterStatus is what this node knows of the group.
type ClusterStatus struct {
	Status
	Cluster    string
	Generation uint64
	Rules      uint32
	ZoneAck    ZoneAck
	ZoneState  ZoneState
	ZoneIndex  engine.LogIndex
	Preferred  string
	Nodes      []NodeStatus   // by id; only this one, alone
	Alarms     []engine.Alarm // of all nodes that are heard
}

// NodeStatus is what this node knows of one node.
type NodeStatus struct {
	Member
	Role        string
	Reachable   bool
	Applied     engine.LogIndex
	First, Last engine.LogIndex
	// Oldest is the lowest index of which its disk may still have anything: an entry of the
	// log, dropped or not, or what a snapshot before it has. 0 if it is not known.
	Oldest      engine.LogIndex
	Ledger      engine.LogIndex // up to which its ledger is on its disk
	Durable     engine.LogIndex // on its disk, as the leader knows; 0 unless this node leads
	Version     string
	Rules       uint32
	Generation  uint64
	Joining     bool // it is to vote and does not yet
	ClockOffset time.Duration
	WALBytes    int64
	Error       string // why it can't be reached
	LastHeard   time.Time
	Told        string // what it tells by its Config.Tells; "" while it can't be reached
	voter       bool
}

// reachableFor is how old the last answered ping of a node may be.
const reachableFor = time.Second

// ClusterStatus tells how the group is, as far as this node knows.
func (n *Node) ClusterStatus() ClusterStatus {
	s := ClusterStatus{Status: n.Status(), Cluster: n.cfg.ClusterID, Generation: n.dir.version().Generation,
		Alarms: n.Alarms()}
	n.View(func(state *engine.State) { s.Rules = state.Rules() })
	membership := n.Membership()
	s.ZoneAck, s.Preferred = membership.ZoneAck, membership.Preferred
	s.ZoneState, s.ZoneIndex = n.zoneState()
	if p, heard := n.pulseOf(s.Leader); heard && s.ZoneState == ZoneStateOther {
		if state := ZoneState(p.Detail[detailZone]); slices.Contains(ZoneStates(), state) {
			s.ZoneState = state
		}
		if index, err := strconv.ParseUint(p.Detail[detailZoneIndex], 10, 64); err == nil {
			s.ZoneIndex = engine.LogIndex(index)
		}
		s.Epoch = engine.Epoch(0)
		n.View(func(state *engine.State) { s.Epoch, _, _ = state.Epoch() })
	}
	v := n.voters.Load()
	for _, m := range membership.Members {
		x := NodeStatus{Member: m, voter: v.has(m.ID)}
		x.Joining = m.Kind.votes() && !x.voter
		if m.ID == n.cfg.NodeID {
			x.Reachable, x.LastHeard, x.Durable = true, time.Now(), s.LastIndex
			x.says(n.slowPulse(), s.Role)
			x.Oldest = n.oldestCopy()
			if n.cfg.Tells != nil {
				x.Told = n.cfg.Tells()
			}
		} else {
			for _, a := range alarmsTold(n.tellOf(&x)) {
				if a.In(s.Alarms) < 0 {
					s.Alarms = append(s.Alarms, a)
				}
			}
		}
		s.Nodes = append(s.Nodes, x)
	}
	slices.SortFunc(s.Nodes, func(a, b NodeStatus) int { return strings.Compare(a.ID, b.ID) })
	return s
}

// oldestEvery is how often a node looks which copies its disk has.
const oldestEvery = time.Second

// oldestCopy gives the lowest index of which this node's disk may still have anything, as
// of a moment ago; 0 if that can't be said.
func (n *Node) oldestCopy() engine.LogIndex {
	if seen := n.oldest.Load(); seen != nil && time.Since(seen.at) < oldestEvery {
		return seen.index
	}
	index := engine.LogIndex(n.log.OldestIndex())
	found, err := n.snapshots.List()
	if err != nil {
		index = 0
	}
	for _, s := range found {
		if after := engine.LogIndex(s.Index) + 1; index == 0 && err == nil || after < index {
			index = after
		}
	}
	n.oldest.Store(&copySeen{index, time.Now()})
	return index
}

// copySeen is the oldest copy that was seen, and when.
type copySeen struct {
	index engine.LogIndex
	at    time.Time
}

// says fills in what a node says of itself.
func (x *NodeStatus) says(p rpc.Pulse, role string) {
	x.Role, x.Applied, x.First, x.Last, x.Ledger = role, p.Applied, p.First, p.Last, p.Ledger
	x.Version, x.Rules, x.Generation, x.WALBytes = p.Version, p.Rules, p.Generation, p.WALBytes
}

// tellOf fills in what is heard of another node, and gives its pulse's details if that
// is new enough.
func (n *Node) tellOf(x *NodeStatus) (detail map[string]string) {
	x.Role = "unknown"
	if n.raft.State() == raft.Leader {
		x.Durable = n.tracker.durableOf(n.raft.CurrentTerm(), x.ID)
	}
	f := n.follow(x.ID)
	if f.err != nil {
		x.Error = f.err.Error()
	}
	if f.heard.IsZero() {
		return nil
	}
	x.LastHeard, x.ClockOffset = f.heard, f.offset
	x.says(f.pulse, x.Role)
	if index, err := strconv.ParseUint(f.pulse.Detail[detailOldest], 10, 64); err == nil {
		x.Oldest = engine.LogIndex(index)
	}
	if time.Since(f.heard) >= reachableFor {
		return nil
	}
	x.Reachable, x.Role, x.Error, x.Told = true, f.pulse.Role, "", f.pulse.Detail[detailTold]
	return f.pulse.Detail
}

package cluster

import (
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/raft"

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
	stats := n.log.Stats()
	return Status{
		NodeID: n.cfg.NodeID, Zone: n.cfg.Zone, Leader: string(leader), Role: n.role(),
		Term: engine.Term(n.raft.CurrentTerm()), Epoch: engine.Epoch(n.epoch.Load()),
		LastIndex: engine.LogIndex(n.raft.LastIndex()), AppliedIndex: n.applied.load(),
		FirstIndex: engine.LogIndex(n.log.FirstIndex()), WALBytes: stats.Bytes, WALSegments: stats.Segments,
	}
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
	for _, s := range n.voters.Load().configuration.Servers {
		if string(s.ID) == n.cfg.NodeID && s.Suffrage == raft.Voter {
			return "follower"
		}
	}
	if n.alone() {
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
	Ledger      engine.LogIndex // up to which its ledger is on its disk
	Durable     engine.LogIndex // on its disk, as the leader knows; 0 unless this node leads
	Version     string
	Rules       uint32
	Generation  uint64
	Joining     bool // it is to vote and does not yet
	ClockOffset time.Duration
	WALBytes    int64
	Error       string // why it can't be reached, or what ails it
	LastHeard   time.Time
	voter       bool
}

// reachableFor is how old the last answered ping of a node may be.
const reachableFor = time.Second

// ClusterStatus tells how the group is, as far as this node knows.
func (n *Node) ClusterStatus() ClusterStatus {
	s := ClusterStatus{Status: n.Status(), Cluster: n.cfg.ClusterID, Generation: n.dir.version().Generation,
		Alarms: n.Alarms()}
	n.View(func(state *engine.State) { s.Rules = state.Rules() })
	roster := n.Roster()
	s.ZoneAck, s.Preferred = roster.ZoneAck, roster.Preferred
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
	configuration := n.voters.Load().configuration
	for _, m := range roster.Members {
		x := NodeStatus{Member: m}
		for _, server := range configuration.Servers {
			if string(server.ID) == m.ID {
				x.voter = server.Suffrage == raft.Voter
			}
		}
		x.Joining = m.Kind.votes() && !x.voter
		if m.ID == n.cfg.NodeID {
			x.Role, x.Reachable, x.Applied, x.First, x.Last = s.Role, true, s.AppliedIndex, s.FirstIndex, s.LastIndex
			x.Version, x.Rules, x.Generation, x.WALBytes, x.LastHeard = n.cfg.Version, engine.RulesVersion, s.Generation, s.WALBytes, time.Now()
			x.Durable, x.Ledger = s.LastIndex, n.ledger.Index()
		} else {
			n.tellOf(&x)
			if p, heard := n.pulseOf(m.ID); heard && x.Reachable {
				for _, a := range alarmsTold(p.Detail) {
					if a.In(s.Alarms) < 0 {
						s.Alarms = append(s.Alarms, a)
					}
				}
			}
		}
		s.Nodes = append(s.Nodes, x)
	}
	slices.SortFunc(s.Nodes, func(a, b NodeStatus) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return s
}

// tellOf fills in what is heard of another node.
func (n *Node) tellOf(x *NodeStatus) {
	x.Role = "unknown"
	if n.raft.State() == raft.Leader {
		x.Durable = n.tracker.durableOf(n.raft.CurrentTerm(), x.ID)
	}
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	f := n.net.follows[x.ID]
	if f == nil {
		return
	}
	if f.err != nil {
		x.Error = f.err.Error()
	}
	if f.heard.IsZero() {
		return
	}
	x.Reachable = time.Since(f.heard) < reachableFor
	x.LastHeard = f.heard
	p := f.pulse
	x.Applied, x.First, x.Last, x.Version, x.Rules, x.Generation, x.WALBytes = p.Applied, p.First, p.Last, p.Version, p.Rules, p.Generation, p.WALBytes
	x.Ledger = p.Ledger
	x.ClockOffset = f.offset
	if x.Reachable {
		x.Role = p.Role
		x.Error = ""
	}
}

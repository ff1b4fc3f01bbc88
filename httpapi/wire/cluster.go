package wire

import (
	"time"

	"doorbuster/engine"
)

// Cluster is the state of the group as the node that answers sees it.
type Cluster struct {
	Cluster      string    `json:"cluster,omitempty"` // The cluster's id; not there for a lone node.
	Generation   uint64    `json:"generation"`        // Raised by every promote.
	Leader       string    `json:"leader"`            // Node id; empty while none is known.
	Term         uint64    `json:"term"`
	Epoch        uint64    `json:"epoch"`
	RulesVersion uint32    `json:"rules_version"` // The version of the rules that the state is under.
	ZoneAck      ZoneAck   `json:"zone_ack"`
	Time         time.Time `json:"time"`     // What time it is to the sale.
	StateAt      time.Time `json:"state_at"` // Of the last change that the answering node has applied.
	FsyncMS      float64   `json:"fsync_ms"` // How long the last fsync of the answering node's log took.
	// How far the answering node's directory reached when the node was started; not there
	// if the directory was new.
	AsOf *AsOf `json:"as_of,omitempty"`
	// What somebody must see to, on all nodes that the one that answers hears;
	// as /admin/v1/alarms gives them.
	Alarms   []engine.Alarm `json:"alarms"`
	Nodes    []Node         `json:"nodes"`
	Answered string         `json:"answered_by,omitempty"` // The node that answers, as which this is seen.
}

// AsOf is the last entry that a data directory had.
type AsOf struct {
	LogIndex uint64    `json:"log_index"`
	Time     time.Time `json:"time"` // When the leader of then appended it, by its clock.
}

// Modes of zone ack.
const (
	ZoneAckOff     = "off"
	ZoneAckPrefer  = "prefer"
	ZoneAckRequire = "require"
)

// States of zone ack.
const (
	ZoneAckHolding    = "holding"
	ZoneAckDegraded   = "degraded"
	ZoneAckBlocked    = "blocked"
	ZoneAckUnknown    = "unknown"
	ZoneAckSingleZone = "single_zone"
)

// ZoneAck is whether another zone has on disk what shoppers are told. Mode and state are
// empty for a lone node.
type ZoneAck struct {
	Mode string `json:"mode" jsonschema:"enum=,enum=off,enum=prefer,enum=require"`
	// holding: another zone has all that was told. degraded: prefer goes on without one.
	// blocked: require grants nothing until one is back. unknown: a new leader has not heard
	// of one yet. single_zone: there is none.
	State     string `json:"state" jsonschema:"enum=zone_ack"`
	ZoneIndex uint64 `json:"zone_index"` // The last log index that a voter of another zone has on disk.
}

// Kinds of nodes.
const (
	KindVoter   = "voter"
	KindWitness = "witness" // votes, serves no shoppers
	KindEdge    = "edge"    // serves shoppers, does not vote
)

// Roles of nodes.
const (
	NodeLeader    = "leader"
	NodeFollower  = "follower"
	NodeCandidate = "candidate"
	NodeNonVoter  = "non_voter"
	NodeStopped   = "stopped"
	NodeUnknown   = "unknown"
)

// Node is one node of the group. What is not known of it is zero.
type Node struct {
	ID           string `json:"id"`
	Zone         string `json:"zone"`
	Kind         string `json:"kind,omitempty" jsonschema:"enum=voter,enum=witness,enum=edge"`
	Role         string `json:"role" jsonschema:"enum=role"`
	Reachable    bool   `json:"reachable"` // From the node that answers.
	AppliedIndex uint64 `json:"applied_index"`
	LastIndex    uint64 `json:"last_index"`
	FirstIndex   uint64 `json:"first_index"`
	// From which its disk may still have something: entries, dropped or not, or what a snapshot
	// before them has.
	OldestIndex  uint64 `json:"oldest_index"`
	DurableIndex uint64 `json:"durable_index"` // The last that is known to be on its disk.
	// Up to which its ledger is on its disk; 0 until it is known whose it is.
	LedgerIndex   uint64  `json:"ledger_index"`
	Lag           uint64  `json:"lag"`               // Entries that it applied fewer than the leader.
	Peer          string  `json:"peer,omitempty"`    // host:port.
	Version       string  `json:"version,omitempty"` // Of its build.
	RulesVersion  uint32  `json:"rules_version"`     // The newest that its build knows.
	Generation    uint64  `json:"generation"`
	Drained       bool    `json:"drained"`         // It takes no new shoppers.
	Joining       bool    `json:"joining"`         // It becomes a voter once it has caught up.
	Preferred     bool    `json:"preferred"`       // Its zone is the one that leadership is to be in.
	ClockOffsetMS float64 `json:"clock_offset_ms"` // How far its clock is ahead of the answering node's.
	WALBytes      int64   `json:"wal_bytes"`       // Bytes of log on its disk.
	// Looks and grabs that came to its own doors in the last minute (warnings.share_window), while
	// it was in service; and which part, 0 to 1, that is of what came to all nodes in service.
	Looks      uint64  `json:"looks"`
	Grabs      uint64  `json:"grabs"`
	LooksShare float64 `json:"looks_share"`
	GrabsShare float64 `json:"grabs_share"`
	Error      string  `json:"error,omitempty"` // Why it can't be reached.
}

// Member is a node that is to join.
type Member struct {
	ID   string `json:"id"`   // One that no node of the cluster had before.
	Zone string `json:"zone"` // Its failure domain.
	// A witness votes and serves no shoppers; an edge node serves shoppers and does not vote.
	Kind string `json:"kind" jsonschema:"enum=voter,enum=witness,enum=edge,default=voter"`
	Peer string `json:"peer"` // host:port that the other nodes reach it at.
}

// JoinRequest lets a node in.
type JoinRequest struct {
	Note
	ID   string `json:"id"`   // One that no node of the cluster had before.
	Zone string `json:"zone"` // Its failure domain.
	// A witness votes and serves no shoppers; an edge node serves shoppers and does not vote.
	Kind string `json:"kind,omitempty" jsonschema:"enum=voter,enum=witness,enum=edge,default=voter"`
	Peer string `json:"peer"` // host:port that the other nodes reach it at.
}

// RemoveRequest takes a node out for good.
type RemoveRequest struct {
	Note
	Node string `json:"node"` // The node to take out.
}

// Removed is a node that is out.
type Removed struct {
	Removed string `json:"removed"`
}

// TransferRequest hands leadership over.
type TransferRequest struct {
	Note
	To string `json:"to,omitempty"` // The node that is to lead. This or from must be there.
	// The node that is to lead no longer: the best of the others follows it. If another leads
	// already, nothing changes.
	From string `json:"from,omitempty"`
}

// Led is who leads now.
type Led struct {
	Leader string `json:"leader"`
}

// Snapshot is one that was taken.
type Snapshot struct {
	LogIndex uint64 `json:"log_index"` // What it holds the state at.
}

// ZoneAckRequest changes when another zone must have what shoppers are told.
type ZoneAckRequest struct {
	Note
	Mode string `json:"mode" jsonschema:"enum=off,enum=prefer,enum=require"`
}

// ZoneAckMode is the mode that is set.
type ZoneAckMode struct {
	Mode string `json:"mode"`
}

// PreferRequest names the zone that leadership is to be in.
type PreferRequest struct {
	Note
	Zone *string `json:"zone"` // The zone; "" for none.
}

// Preferred is the zone that is set.
type Preferred struct {
	Zone string `json:"zone"`
}

// DrainRequest names a node or a zone, exactly one of them.
type DrainRequest struct {
	Note
	Node string `json:"node,omitempty"` // The node; or name a zone.
	Zone string `json:"zone,omitempty"` // All nodes of this zone.
}

// Drain is a node or a zone, and whether shoppers are kept away from it.
type Drain struct {
	Node string `json:"node,omitempty"`
	Zone string `json:"zone,omitempty"`
	On   bool   `json:"drained"`
}

// PromoteRequest says one of dry_run, token and confirm.
type PromoteRequest struct {
	Note
	Zone   string `json:"zone"`              // The zone that is to take over: that of the node that answers.
	DryRun bool   `json:"dry_run,omitempty"` // Only give the plan; nothing is changed.
	// Of a plan that was read: it is carried out, or refused where things have changed since.
	Token   string `json:"token,omitempty" jsonschema:"maxLength=512"`
	Confirm bool   `json:"confirm,omitempty"` // Carry out whatever the plan is, unread.
}

// Promoted is a plan, and whether it was carried out.
type Promoted struct {
	Promoted bool `json:"promoted"` // It was carried out.
	PromotePlan
}

// PromotePlan is what a promote will do, made for an operator to read first.
type PromotePlan struct {
	Zone           string   `json:"zone"`
	Node           string   `json:"node"` // The one that is promoted.
	Generation     uint64   `json:"generation"`
	NextGeneration uint64   `json:"next_generation"`
	LastIndex      uint64   `json:"last_index"`
	AppliedIndex   uint64   `json:"applied_index"`
	Term           uint64   `json:"term"`
	ZoneAck        string   `json:"zone_ack"`         // The mode that the state was last under.
	LeaderHeardAgo string   `json:"leader_heard_ago"` // Such as 12s; empty if never.
	Unreachable    []string `json:"unreachable"`      // Node ids.
	Will           []string `json:"will"`             // What it will do, in sentences.
	CannotKnow     []string `json:"cannot_know"`      // What it can't know, and what may be lost or sold twice.
	Refusal        string   `json:"refusal"`          // Why it can't be done now; empty if it can.
	// Such as 1.2s: after that it is not refused any more, if nothing changes. Not there where
	// waiting is of no use.
	Wait  string `json:"wait,omitempty"`
	Token string `json:"token"` // Of this very plan.
}

// Live says that the process lives.
type Live struct {
	Live bool `json:"live"`
}

// Ready says that the node serves.
type Ready struct {
	Ready bool `json:"ready"`
}

package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"doorbuster/cluster/ledger"
	"doorbuster/cluster/peer"
	"doorbuster/cluster/rpc"
	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// Config of a Node. Start from DefaultConfig.
type Config struct {
	// Dir is the data directory. It is made if missing.
	Dir string
	// NodeID names the node in its cluster, forever. Zone is its machine room.
	NodeID, Zone string

	// ClusterID is "" for a lone node; then the rest of this block counts for
	// nothing.
	ClusterID string
	// Listen is the address of the peer port; Advertise is how others reach it.
	Listen, Advertise string
	// Members are those that a new cluster begins with, the same on all of them.
	// A node that is not among them waits to be joined.
	Members []Member
	// ZoneAck of a new cluster; later it is changed by SetZoneAck. Default prefer.
	ZoneAck ZoneAck
	// ZoneTimeout is how long a zone may be silent, or an entry may wait for it,
	// before prefer goes on without, and require tells the gates. Default 500 ms.
	// Less degrades at a hiccup; more lets shoppers wait.
	ZoneTimeout time.Duration
	// TLS are the certificates between nodes; nil is plain, for trying out only.
	TLS *peer.Files
	// Ledger says how the ledger is kept; its directory and logger are the node's.
	Ledger ledger.Config
	// Decider decides what other nodes forward to this one; required in a cluster.
	Decider rpc.Decider
	// Alarms gives those of the rooms beside the cluster's, for every node's status;
	// called often, so that it must be cheap. nil: none.
	Alarms func() []engine.Alarm
	// Tells gives what the status of every node has of this one (NodeStatus.Told), some
	// hundred bytes at most; called often, so that it must be cheap. nil: nothing.
	Tells func() string
	// Demand is told between nodes with their pulses; nil: nothing is.
	Demand Demand
	// Approving are the rules of approvals that the group goes by while this node leads.
	Approving engine.ApprovalRules
	// Version of the build, for people.
	Version string

	// SnapshotBytes of applied entries after which a snapshot is taken, or as many as the
	// last one has, if that is more. Default 256 MiB. Less makes restarts quicker and the disk busier.
	SnapshotBytes int64
	// TrailingBytes of entries that stay behind a snapshot for followers that
	// are a little late. Default 32 MiB.
	TrailingBytes int64
	// SegmentBytes of the log. Default 64 MiB.
	SegmentBytes int64
	// StallTimeout after which a hanging write or fsync stops the node. Default
	// 1.5 s: a leader whose disk hangs would stay leader (hashicorp/raft #503).
	StallTimeout time.Duration
	// ProposeTimeout bounds the wait for a place in Raft's queue. Default 5 s.
	ProposeTimeout time.Duration

	// FS is the file system of the log; nil is the operating system's.
	FS vfs.FS
	// Wall reads the wall clock. Default time.Now.
	Wall func() time.Time
	// OnFatal is called, once, with a *Fatal when the node can't go on. The process
	// should say so and exit, or open the node again (CauseRestart).
	OnFatal func(error)
	// ObserveSync is given the duration of each fsync of the log.
	ObserveSync func(time.Duration)
	Logger      *slog.Logger
}

// Demand is what nodes tell each other of how much is asked of them. Safe for
// concurrent use.
type Demand interface {
	// Tell gives what the others shall hear, a few KiB at most. It is called every
	// lookEvery, and told within a pulse's time of that (followEvery).
	Tell(now time.Time) []byte
	// Hear is given what another node told; nil with a pulse that tells nothing new.
	// It must be quick.
	Hear(node string, told []byte, now time.Time)
}

// DefaultConfig is a lone node's.
func DefaultConfig(dir string) Config {
	return Config{
		Dir: dir, NodeID: "n1", Zone: "z1",
		SnapshotBytes: 256 << 20, TrailingBytes: 32 << 20, SegmentBytes: wal.DefaultConfig(dir).SegmentBytes,
		StallTimeout: 1500 * time.Millisecond, ProposeTimeout: 5 * time.Second,
		ZoneAck: ZoneAckPrefer, ZoneTimeout: 500 * time.Millisecond,
		Ledger: ledger.DefaultConfig(LedgerDir(dir)),
		Wall:   time.Now, OnFatal: func(error) {}, Logger: slog.Default(),
	}
}

// Validate tells every field that is out of bounds.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Dir == "" {
		bad("no data directory")
	}
	errs = append(errs, peer.CheckID("node id", c.NodeID), peer.CheckID("zone", c.Zone))
	if c.SnapshotBytes < 1<<10 {
		bad("snapshot bytes %d are under 1024", c.SnapshotBytes)
	}
	if c.TrailingBytes < 0 {
		bad("trailing bytes %d are negative", c.TrailingBytes)
	}
	if c.StallTimeout < 0 || c.ProposeTimeout <= 0 {
		bad("timeouts must be over 0")
	}
	errs = append(errs, c.Ledger.Validate())
	if c.ClusterID != "" {
		errs = append(errs, c.validateCluster())
	}
	return errors.Join(errs...)
}

// maxMembers bounds a membership; Raft with more voters is slow, and edges are few.
const maxMembers = 64

func (c Config) validateCluster() error {
	errs := []error{peer.CheckID("cluster.id:", c.ClusterID)}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !c.ZoneAck.Valid() {
		bad("cluster.zone_ack: %q is none of off, prefer, require", c.ZoneAck)
	}
	if c.ZoneTimeout < 10*time.Millisecond || c.ZoneTimeout > time.Minute {
		bad("cluster.zone_timeout: %s is not between 10ms and 1m", c.ZoneTimeout)
	}
	if c.Decider == nil {
		bad("no decider")
	}
	if n := len(c.Members); n == 0 || n > maxMembers {
		bad("cluster.nodes: %d nodes; a cluster begins with 1 to %d", n, maxMembers)
	}
	ids, peers, voters := map[string]bool{}, map[string]bool{}, 0
	for i, m := range c.Members {
		if err := m.Validate(); err != nil {
			bad("cluster.nodes[%d]: %s", i, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		if ids[m.ID] {
			bad("cluster.nodes[%d]: the id %q is there twice", i, m.ID)
		}
		if peers[m.Peer] {
			bad("cluster.nodes[%d]: the peer address %q is there twice", i, m.Peer)
		}
		ids[m.ID], peers[m.Peer] = true, true
		if m.Kind == KindVoter {
			voters++
		}
		if m.ID == c.NodeID && m.Zone != c.Zone {
			bad("cluster.nodes: node %q is of zone %q, but this node says that it stands in %q", m.ID, m.Zone, c.Zone)
		}
	}
	if voters == 0 {
		bad("cluster.nodes: no voter among the nodes that can serve")
	}
	return errors.Join(errs...)
}

// self gives this node among the members that the cluster begins with, or nil.
func (c Config) self() *Member {
	r := Membership{Members: c.Members}
	return r.member(c.NodeID)
}

package cluster

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"doorbuster/cluster/ledger"
	"doorbuster/cluster/peer"
	"doorbuster/engine"
	"doorbuster/wal"
)

// Leader is told of this node's epochs, in order and one call at a time.
type Leader interface {
	// EpochOpened: this node leads; the state is as of the epoch's first entry,
	// and at was state time then.
	EpochOpened(epoch engine.Epoch, at engine.Time)
	// EpochClosed: it no longer does. Also called when it had not.
	EpochClosed()
	// Blocked reports whether what is proposed now would not be acknowledged,
	// because the zone that must have it does not answer.
	Blocked(bool)
	// RaiseRules asks that the group go over to a version of the rules that every
	// node knows. It must not block.
	RaiseRules(version uint32)
}

// Node is one node's share in one Raft group: its log, its state, its votes.
type Node struct {
	cfg    Config
	logger *slog.Logger
	leader Leader
	fsm    *fsm
	raft   *raft.Raft
	log    *wal.Log
	stable *stableStore
	dir    *directory
	fatal  *fatal
	store  *LogStore
	ledger *ledger.Ledger
	opened []func() error // closes what was opened, in that order

	snapshots raft.SnapshotStore
	oldest    atomic.Pointer[copySeen]

	gains   atomic.Int64 // how often leadership was gained
	epoch   atomic.Uint64
	epochAt atomic.Pointer[time.Time] // when it was opened, with a monotonic reading; nil before the first
	changed chan struct{}             // leadership, or the epoch, is to be looked at
	lost    atomic.Uint64             // an epoch to be replaced

	// presiding is the term in which this node may preside; 0: it may not. See preside.go.
	presiding atomic.Uint64

	tracker      *tracker
	applied      progress              // how far this node has applied
	known        progress              // how far any node is known to have applied: zone-acked for good
	voters       atomic.Pointer[votes] // of Raft's configuration
	zoneAcked    zoneAcked
	fresh        freshness
	lead         leadership
	members      ownMembership
	memory       *memory
	contradicted sync.Once
	twice        atomic.Pointer[time.Time] // since when others say that another process goes by this id
	alarms       alarms
	turned       atomic.Pointer[turnedAway]
	standing     standing // keepLeadership's
	net          *network // nil alone
	stop         chan struct{}
	began        time.Time
	started      atomic.Bool // raft is there
	stopping     atomic.Bool
	giveUp       sync.Once
	reloading    sync.Mutex    // see reload
	givingUp     chan struct{} // closed by GiveUp
	running      sync.WaitGroup
}

// Open claims the data directory, recovers what is in it and starts the node.
// observer and leader are called from then on. Errors: ErrDirectory,
// *wal.DamageError, and what the disk and the network say; nothing was changed
// then.
func Open(cfg Config, observer Observer, leader Leader) (_ *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, logger: cfg.Logger, leader: leader, fatal: &fatal{tell: cfg.OnFatal, alone: cfg.ClusterID == ""},
		changed: make(chan struct{}, 1), stop: make(chan struct{}), givingUp: make(chan struct{}),
	}
	n.fsm = newFSM(observer, n.fatal, cfg.Logger)
	n.fsm.alarm = n.alarm
	n.fsm.bound, n.fsm.membershipChanged, n.fsm.reconfigured, n.fsm.passed = n.bound, n.membershipChanged,
		n.learnVoters, n.passed
	n.tracker = newTracker(n.heardFollower)
	n.tracker.remember = func(id string, to mark) { n.memory.wrote(id, to) }
	n.began = time.Now()
	n.fresh.began = n.began
	n.voters.Store(&votes{})
	defer func() {
		if err != nil {
			err = errors.Join(err, n.closeFiles())
		}
	}()
	if n.dir, err = claimDir(cfg.Dir, n.firstVersion()); err != nil {
		return nil, err
	}
	n.opened = append(n.opened, n.dir.release)
	// What proves how far the log reached comes before the log.
	if err = n.openLedger(); err != nil {
		return nil, err
	}
	n.opened = append(n.opened, n.ledger.Close)
	if n.stable, err = openStable(cfg.Dir, n.fatal); err != nil {
		return nil, err
	}
	n.opened = append(n.opened, n.stable.Close)
	snapshots, err := n.openSnapshots()
	if err != nil {
		return nil, err
	}
	if err = n.openLog(snapshots); err != nil {
		return nil, err
	}
	if !n.alone() {
		if n.memory, err = openMemory(cfg.Dir, n.dir.version().Starts > 0); err != nil {
			return nil, err
		}
		if err = n.nextLife(crand.Text()); err != nil {
			return nil, err
		}
		network, err := n.openNetwork()
		if err != nil {
			return nil, err
		}
		n.opened = append(n.opened, network.port.Close)
		if err = n.muster(); err != nil {
			return nil, err
		}
	}
	if err := n.startRaft(n.weighed(snapshots)); err != nil {
		return nil, err
	}
	return n, nil
}

// loneTailBytes is how much of its newest log a node that is alone keeps in memory.
const loneTailBytes = 1 << 20

func (n *Node) alone() bool { return n.cfg.ClusterID == "" }

// firstVersion is what a new data directory records.
func (n *Node) firstVersion() dirVersion {
	v := dirVersion{Hello: peer.Hello{Node: n.cfg.NodeID, Past: peer.Past{Incarnation: crand.Text()}}}
	if !n.alone() {
		v.Cluster = n.cfg.ClusterID
		if v.Joins = n.cfg.self() == nil; !v.Joins {
			v.Generation = 1
		}
	}
	return v
}

// heartbeatTimeout after which a follower gives a leader up.
const heartbeatTimeout = 500 * time.Millisecond

// raftConfig: heartbeats queue behind a follower's writes (see transport), hence
// the patience; a lone node need not wait for anybody.
func (n *Node) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.cfg.NodeID)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = heartbeatTimeout, heartbeatTimeout, heartbeatTimeout/2
	if n.alone() {
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 30*time.Millisecond,
			30*time.Millisecond, 30*time.Millisecond
	}
	c.CommitTimeout = 5 * time.Millisecond
	c.MaxAppendEntries = 32
	c.BatchApplyCh = false
	c.ShutdownOnRemove = false
	c.Logger = n.raftLogger()
	// Raft counts entries, and ours are batches: snapshots are taken by bytes,
	// see keepSnapshots.
	c.SnapshotThreshold = 1 << 62
	c.SnapshotInterval = 24 * time.Hour
	return c
}

func (n *Node) raftLogger() hclog.Logger { return newRaftLogger(n.logger, n.alone()) }

func (n *Node) startRaft(snapshots raft.SnapshotStore) error {
	n.snapshots = snapshots
	config := n.raftConfig()
	stable := n.stable
	var hop raft.Transport = loneTransport()
	if n.net != nil {
		hop = newTransport(n.net.port.Raft(), config.Logger, n.tracker, n.maySolicit,
			extent{n.applied.load, n.learnAcross, n.net.hasApplied})
	}
	if err := n.boundLedger(snapshots); err != nil {
		return err
	}
	if err := n.finishPromotion(config, stable, snapshots, hop); err != nil {
		return err
	}
	exists, err := raft.HasExistingState(n.store, stable, snapshots)
	if err != nil {
		return fmt.Errorf("look for earlier state: %w", err)
	}
	if !exists && !n.dir.version().Joins {
		if err := raft.BootstrapCluster(config, n.store, stable, snapshots, hop,
			n.firstConfiguration(hop)); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	// Raft's main loop blocks on this channel: it is always read.
	notify := make(chan bool, 8)
	config.NotifyCh = notify
	if n.raft, err = raft.NewRaft(config, n.fsm, n.store, stable, snapshots, hop); err != nil {
		if n.fsm.outdated != nil {
			return n.fsm.outdated
		}
		return fmt.Errorf("start raft: %w", err)
	}
	if n.store.found.LogIndex == 0 { // it begins with a snapshot, or with nothing
		n.View(func(s *engine.State) { n.store.found = AsOf{s.LogIndex(), s.Now().Wall()} })
	}
	n.lookUpVoters() // before entries are bound by it
	n.started.Store(true)
	n.learnVoters()
	n.startLedger()
	n.running.Go(func() { n.watchLeadership(notify) })
	n.running.Go(n.keepEpoch)
	n.running.Go(n.keepSnapshots)
	if n.net != nil {
		n.running.Go(n.keepMemory)
		n.running.Go(func() { n.fsm.release(n.stop) })
		n.startNetwork()
	}
	return nil
}

// firstConfiguration is what a new cluster, or a lone node, begins with.
func (n *Node) firstConfiguration(hop raft.Transport) (c raft.Configuration) {
	if n.alone() {
		return raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(n.cfg.NodeID),
			Address: hop.LocalAddr()}}}
	}
	for _, m := range n.cfg.Members {
		c.Servers = append(c.Servers, m.server())
	}
	return c
}

func (n *Node) watchLeadership(notify <-chan bool) {
	for {
		select {
		case leads := <-notify:
			if leads {
				n.gains.Add(1)
			} else {
				n.fsm.abandon() // also what keeps keepEpoch waiting
			}
			n.look()
		case <-n.stop:
			return
		}
	}
}

func (n *Node) look() { wake(n.changed) }

// wake tells who waits on a channel for one to look again.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keepEpoch opens an epoch whenever this node has gained leadership, or has lost
// the epoch while leading.
func (n *Node) keepEpoch() {
	seen := int64(0)
	for {
		select {
		case <-n.changed:
		case <-n.stop:
			return
		}
		for {
			gains, epoch := n.gains.Load(), n.epoch.Load()
			leads := n.raft.State() == raft.Leader
			if leads && gains == seen && epoch != 0 && n.lost.Load() != epoch && n.mayLead() == nil {
				break
			}
			if epoch != 0 {
				n.epoch.Store(0)
			}
			n.leader.EpochClosed()
			if !leads {
				n.fsm.abandon()
				break
			}
			if err := n.mayLead(); err != nil {
				n.giveUpLeading(err)
				break
			}
			err := n.firstMembership()
			if err == nil {
				err = n.openEpoch()
			}
			if err != nil {
				n.logger.Warn("an epoch could not be opened", "error", err)
				if !n.pause(20 * time.Millisecond) {
					return
				}
				continue
			}
			seen = gains
		}
	}
}

// pause waits between attempts; false when the node is closing.
func (n *Node) pause(d time.Duration) bool {
	select {
	case <-n.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// until waits until something holds, which it looks at again after each pause; false
// when ctx ends first, or the node is closing.
func (n *Node) until(ctx context.Context, pause time.Duration, holds func() bool) bool {
	for !holds() {
		select {
		case <-ctx.Done():
			return false
		case <-n.stop:
			return false
		case <-time.After(pause):
		}
	}
	return true
}

// every does something again and again, until the node is closing.
func (n *Node) every(pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-n.stop:
			return
		case <-tick.C:
			do()
		}
	}
}

// reload changes what Raft takes changes of while it runs.
func (n *Node) reload(change func(*raft.ReloadableConfig)) error {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	c := n.raft.ReloadableConfig()
	change(&c)
	return n.raft.ReloadConfig(c)
}

func (n *Node) openEpoch() error {
	command := engine.Command{Kind: engine.CmdOpenEpoch, Node: n.cfg.NodeID, Approving: &n.cfg.Approving}
	var random [8]byte
	crand.Read(random[:])
	crand.Read(command.Secret[:])
	command.Nonce = binary.LittleEndian.Uint64(random[:])
	term := n.raft.CurrentTerm()
	var now engine.Time
	n.View(func(s *engine.State) { now = max(s.Now(), engine.TimeOf(n.cfg.Wall())) })
	effects, err := n.unlessStopped(n.Propose(engine.EncodeBatch(engine.BatchHeader{Time: now}, command)))
	if err != nil {
		return err
	}
	if n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		return engine.ErrNotLeader // it was held for as long as that took
	}
	epoch := engine.Epoch(effects.Index)
	n.lost.Store(0)
	opened := time.Now()
	n.epochAt.Store(&opened)
	n.fresh.end() // what it knew as a follower says nothing about whether it leads
	n.leader.EpochOpened(epoch, effects.Time)
	n.epoch.Store(uint64(epoch)) // ready, once the leader is
	n.renewLease()
	if n.alone() {
		n.raiseRules()
	}
	return nil
}

// unlessStopped is wait, until the node is closing: Raft never answers for an
// entry that it has queued for the state machine when it is shut down.
func (n *Node) unlessStopped(wait func() (*engine.Effects, error)) (*engine.Effects, error) {
	done := make(chan applied, 1)
	go func() {
		effects, err := wait()
		done <- applied{effects, err}
	}()
	select {
	case outcome := <-done:
		return outcome.effects, outcome.err
	case <-n.stop:
		return nil, engine.ErrOutcomeUnknown
	}
}

// Propose appends an entry; see the caller's interface. The entry must not be
// changed afterwards. Safe for concurrent use, but batches of an epoch must be
// proposed in the order of their sequence.
func (n *Node) Propose(entry []byte) func() (*engine.Effects, error) {
	n.ledger.AwaitRoom(n.stop)
	future := n.raft.Apply(entry, n.cfg.ProposeTimeout)
	return func() (*engine.Effects, error) {
		if err := future.Error(); err != nil {
			return nil, fmt.Errorf("%w: %w", engine.ErrOutcomeUnknown, err)
		}
		switch result := future.Response().(type) {
		case applied:
			return result.effects, result.err
		case *heldEntry:
			if n.raft.State() != raft.Leader {
				n.look() // so that it is abandoned: leadership went before it was held
			}
			select {
			case <-result.done:
				return result.effects, result.err
			case <-n.givingUp:
				return nil, engine.ErrOutcomeUnknown
			}
		}
		return nil, engine.ErrOutcomeUnknown
	}
}

// EpochLost asks for a new epoch in the place of epoch, if this node still leads.
func (n *Node) EpochLost(epoch engine.Epoch) {
	n.lost.Store(uint64(epoch))
	n.look()
}

// View calls read with the committed state under a reader's lock.
func (n *Node) View(read func(*engine.State)) { n.fsm.view(read) }

// keepSnapshots takes a snapshot whenever enough bytes were applied.
func (n *Node) keepSnapshots() {
	n.every(time.Second, func() {
		if written := n.fsm.written.Load(); written < n.cfg.SnapshotBytes || written < n.SnapshotAfter() {
			return
		}
		if err := n.Snapshot(); err != nil {
			n.logger.Error("a snapshot failed; the log stays longer than it should", "error", err)
		}
	})
}

// SnapshotAfter is after how many bytes of entries the next snapshot is taken: no fewer
// than the last one has, so that however large the state grows, what is written of it
// stays in proportion to the log.
func (n *Node) SnapshotAfter() int64 {
	found, err := n.snapshots.List()
	if err != nil || len(found) == 0 {
		return n.cfg.SnapshotBytes
	}
	return max(n.cfg.SnapshotBytes, found[0].Size)
}

// Snapshot takes a snapshot now and cuts the log behind it.
func (n *Node) Snapshot() error {
	written, entries := n.fsm.written.Load(), n.fsm.entries.Load()
	if entries > 0 {
		trailing := uint64(min(max(n.cfg.TrailingBytes*entries/max(written, 1), 64), 10_240))
		if err := n.reload(func(c *raft.ReloadableConfig) { c.TrailingLogs = trailing }); err != nil {
			return err
		}
	}
	start := time.Now()
	if err := n.raft.Snapshot().Error(); err != nil {
		if errors.Is(err, raft.ErrNothingNewToSnapshot) {
			return nil
		}
		return err
	}
	// Only now: after a failed one the next try comes at once.
	n.fsm.written.Add(-written)
	n.fsm.entries.Add(-entries)
	n.logger.Info("snapshot taken", "after_bytes", written, "took", time.Since(start))
	return nil
}

// GiveUp tells everybody who waits for an entry that another zone must have that nobody
// knows what will become of it. It is for a node that is about to close, and may
// otherwise wait for as long as that zone is away.
func (n *Node) GiveUp() { n.giveUp.Do(func() { close(n.givingUp) }) }

// Close stops the node: what was committed stays, what was not is unknown.
func (n *Node) Close() error {
	n.stopping.Store(true)
	n.GiveUp()
	close(n.stop)
	n.fsm.abandon()
	err := n.raft.Shutdown().Error()
	n.fsm.abandon()
	if n.net != nil {
		n.net.stop()
	}
	n.running.Wait()
	n.leader.EpochClosed()
	return errors.Join(err, n.closeFiles())
}

// closeFiles closes what was opened, the last first.
func (n *Node) closeFiles() (err error) {
	for _, c := range slices.Backward(n.opened) {
		err = errors.Join(err, c())
	}
	return err
}

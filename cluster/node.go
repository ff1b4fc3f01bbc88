package cluster

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

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
}

// Node is one node's share in one Raft group: its log, its state, its votes.
type Node struct {
	cfg    Config
	logger *slog.Logger
	leader Leader
	fsm    *fsm
	raft   *raft.Raft
	log    *wal.Log
	stable *raftboltdb.BoltStore
	stream raft.StreamLayer
	lock   *flock.Flock
	fatal  *fatal

	gains   atomic.Int64 // how often leadership was gained
	epoch   atomic.Uint64
	changed chan struct{} // leadership, or the epoch, is to be looked at
	lost    atomic.Uint64 // an epoch to be replaced
	stop    chan struct{}
	running sync.WaitGroup
}

// Open claims the data directory, recovers what is in it and starts the node.
// observer and leader are called from then on. Errors: ErrDirectory,
// *wal.DamageError, and what the disk says; nothing was changed then.
func Open(cfg Config, observer Observer, leader Leader) (_ *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, logger: cfg.Logger, leader: leader, fatal: &fatal{tell: cfg.OnFatal},
		changed: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	n.stream = newLoneStream()
	n.fsm = &fsm{observer: observer, fatal: n.fatal, logger: cfg.Logger, state: engine.NewState()}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.closeFiles())
		}
	}()
	if n.lock, err = claimDir(cfg.Dir, cfg.NodeID); err != nil {
		return nil, err
	}
	snapshots, err := n.openSnapshots()
	if err != nil {
		return nil, err
	}
	store, err := n.openLog(snapshots)
	if err != nil {
		return nil, err
	}
	if err := n.startRaft(store, snapshots); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Node) openSnapshots() (*raft.FileSnapshotStore, error) {
	// The store passes over what a crash left half written, and never removes it.
	found, err := os.ReadDir(SnapshotsDir(n.cfg.Dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", snapshotsDir, bare(err))
	}
	for _, entry := range found {
		if filepath.Ext(entry.Name()) != ".tmp" {
			continue
		}
		n.logger.Info("removing half a snapshot that a crash left", "name", entry.Name())
		if err := os.RemoveAll(filepath.Join(SnapshotsDir(n.cfg.Dir), entry.Name())); err != nil {
			return nil, fmt.Errorf("%s: %w", snapshotsDir, bare(err))
		}
	}
	// The store makes a "snapshots" folder of its own below the one it is given.
	s, err := raft.NewFileSnapshotStoreWithLogger(n.cfg.Dir, 2, n.raftLogger())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", snapshotsDir, bare(err))
	}
	return s, nil
}

func (n *Node) openLog(snapshots *raft.FileSnapshotStore) (*LogStore, error) {
	newest := uint64(0)
	found, err := snapshots.List()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", snapshotsDir, err)
	}
	if len(found) > 0 {
		newest = found[0].Index
	}
	w := wal.DefaultConfig(WALDir(n.cfg.Dir))
	w.FS, w.Logger, w.ObserveSync = n.cfg.FS, n.logger, n.cfg.ObserveSync
	w.SegmentBytes, w.StallTimeout = n.cfg.SegmentBytes, n.cfg.StallTimeout
	w.OnPoison, w.OnStall, w.OnDamage = n.fatal.fail, n.fatal.fail, n.fatal.fail
	// The log first: opening raft.db changes it, and a log that is refused must
	// leave everything as it was.
	if n.log, err = wal.Open(w); err != nil {
		return nil, err
	}
	if n.stable, err = raftboltdb.New(raftboltdb.Options{
		Path:        filepath.Join(n.cfg.Dir, stableFile),
		BoltOptions: &bbolt.Options{Timeout: time.Second},
	}); err != nil {
		return nil, fmt.Errorf("%s: %w", stableFile, bare(err))
	}
	if n.log.LastIndex() == 0 {
		if err := n.checkNeverUsed(); err != nil {
			return nil, err
		}
	}
	store := NewLogStore(n.log)
	return store, store.DropIfBehind(newest)
}

// termKey is where Raft keeps its term.
var termKey = []byte("CurrentTerm")

// checkNeverUsed refuses a node whose log is empty although it has voted: the
// log was taken away, and what was told with it. A term of 1 and no log is what
// a crash in the middle of the bootstrap leaves; that is taken back, or Raft
// would neither bootstrap nor elect anybody for ever.
func (n *Node) checkNeverUsed() error {
	term, err := n.stable.GetUint64(termKey)
	switch {
	case errors.Is(err, raftboltdb.ErrKeyNotFound), err == nil && term == 0:
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", stableFile, bare(err))
	case term == 1:
		return n.stable.SetUint64(termKey, 0)
	}
	return fmt.Errorf("%s is empty, but this node has voted in term %d: its log is gone; restore a backup of the whole directory", WALDir(n.cfg.Dir), term)
}

// raftConfig: heartbeats queue behind a follower's writes (see transport), hence
// the patience; a lone node need not wait for anybody.
func (n *Node) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.cfg.NodeID)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 500*time.Millisecond, 500*time.Millisecond, 250*time.Millisecond
	if _, alone := n.stream.(*loneStream); alone {
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 30*time.Millisecond, 30*time.Millisecond, 30*time.Millisecond
	}
	c.CommitTimeout = 5 * time.Millisecond
	c.MaxAppendEntries = 32
	c.BatchApplyCh = false
	c.Logger = n.raftLogger()
	// Raft counts entries, and ours are batches: snapshots are taken by bytes,
	// see keepSnapshots.
	c.SnapshotThreshold = 1 << 62
	c.SnapshotInterval = 24 * time.Hour
	return c
}

func (n *Node) raftLogger() hclog.Logger {
	_, alone := n.stream.(*loneStream)
	return newRaftLogger(n.logger, alone)
}

func (n *Node) startRaft(store *LogStore, snapshots raft.SnapshotStore) error {
	config := n.raftConfig()
	stable := &stableStore{n.stable, n.fatal}
	hop := newTransport(n.stream, config.Logger)
	exists, err := raft.HasExistingState(store, stable, snapshots)
	if err != nil {
		return fmt.Errorf("look for earlier state: %w", err)
	}
	if !exists {
		voters := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: config.LocalID, Address: hop.LocalAddr()}}}
		if err := raft.BootstrapCluster(config, store, stable, snapshots, hop, voters); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	// Raft's main loop blocks on this channel: it is always read.
	notify := make(chan bool, 8)
	config.NotifyCh = notify
	if n.raft, err = raft.NewRaft(config, n.fsm, store, stable, snapshots, hop); err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	n.running.Add(3)
	go n.watchLeadership(notify)
	go n.keepEpoch()
	go n.keepSnapshots()
	return nil
}

func (n *Node) watchLeadership(notify <-chan bool) {
	defer n.running.Done()
	for {
		select {
		case leads := <-notify:
			if leads {
				n.gains.Add(1)
			}
			n.look()
		case <-n.stop:
			return
		}
	}
}

func (n *Node) look() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// keepEpoch opens an epoch whenever this node has gained leadership, or has lost
// the epoch while leading.
func (n *Node) keepEpoch() {
	defer n.running.Done()
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
			if leads && gains == seen && epoch != 0 && n.lost.Load() != epoch {
				break
			}
			if epoch != 0 {
				n.epoch.Store(0)
			}
			n.leader.EpochClosed()
			if !leads {
				break
			}
			if err := n.openEpoch(); err != nil {
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

func (n *Node) openEpoch() error {
	command := engine.Command{Kind: engine.CmdOpenEpoch, Node: n.cfg.NodeID}
	var random [8]byte
	crand.Read(random[:])
	crand.Read(command.Secret[:])
	command.Nonce = binary.LittleEndian.Uint64(random[:])
	var now engine.Time
	n.View(func(s *engine.State) { now = max(s.Now(), engine.TimeOf(n.cfg.Wall())) })
	effects, err := n.unlessStopped(n.Propose(engine.EncodeBatch(engine.BatchHeader{Time: now}, command)))
	if err != nil {
		return err
	}
	epoch := engine.Epoch(effects.Index)
	n.lost.Store(0)
	n.leader.EpochOpened(epoch, effects.Time)
	n.epoch.Store(uint64(epoch)) // ready, once the leader is
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
	future := n.raft.Apply(entry, n.cfg.ProposeTimeout)
	return func() (*engine.Effects, error) {
		if err := future.Error(); err != nil {
			return nil, fmt.Errorf("%w: %w", engine.ErrOutcomeUnknown, err)
		}
		result := future.Response().(applied)
		return result.effects, result.err
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
	defer n.running.Done()
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-n.stop:
			return
		case <-every.C:
		}
		if n.fsm.written.Load() < n.cfg.SnapshotBytes {
			continue
		}
		if err := n.Snapshot(); err != nil {
			n.logger.Error("a snapshot failed; the log stays longer than it should", "error", err)
		}
	}
}

// Snapshot takes a snapshot now and cuts the log behind it.
func (n *Node) Snapshot() error {
	written, entries := n.fsm.written.Load(), n.fsm.entries.Load()
	if entries > 0 {
		reload := n.raft.ReloadableConfig()
		reload.TrailingLogs = uint64(min(max(n.cfg.TrailingBytes*entries/max(written, 1), 64), 10_240))
		if err := n.raft.ReloadConfig(reload); err != nil {
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

// Ready is nil once this node leads and its epoch is open.
func (n *Node) Ready() error {
	if n.epoch.Load() != 0 {
		return nil
	}
	return errors.New("no epoch is open: recovering, or waiting for a leader")
}

// AwaitReady waits for Ready.
func (n *Node) AwaitReady(ctx context.Context) error {
	for {
		err := n.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Status is what this node knows of its group.
type Status struct {
	NodeID, Zone            string
	Leader                  string
	Role                    string // leader, follower, candidate
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
	roles := map[raft.RaftState]string{raft.Leader: "leader", raft.Follower: "follower", raft.Candidate: "candidate", raft.Shutdown: "stopped"}
	return Status{
		NodeID: n.cfg.NodeID, Zone: n.cfg.Zone, Leader: string(leader), Role: roles[n.raft.State()],
		Term: engine.Term(n.raft.CurrentTerm()), Epoch: engine.Epoch(n.epoch.Load()),
		LastIndex: engine.LogIndex(n.raft.LastIndex()), AppliedIndex: engine.LogIndex(n.raft.AppliedIndex()),
		FirstIndex: engine.LogIndex(n.log.FirstIndex()), WALBytes: stats.Bytes, WALSegments: stats.Segments,
	}
}

// Recovery tells what opening the log had to repair.
func (n *Node) Recovery() wal.Recovery { return n.log.Recovery() }

// Close stops the node: what was committed stays, what was not is unknown.
func (n *Node) Close() error {
	close(n.stop)
	err := n.raft.Shutdown().Error()
	n.running.Wait()
	n.leader.EpochClosed()
	return errors.Join(err, n.closeFiles())
}

func (n *Node) closeFiles() error {
	var errs []error
	if n.stable != nil {
		errs = append(errs, n.stable.Close())
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Unlock())
	}
	return errors.Join(errs...)
}

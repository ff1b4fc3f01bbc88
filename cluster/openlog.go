package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
	"doorbuster/wal"
)

func (n *Node) openSnapshots() (*raft.FileSnapshotStore, error) {
	// The store passes over what a crash left half written, and never removes it.
	half, err := fs.Glob(os.DirFS(SnapshotsDir(n.cfg.Dir)), "*.tmp")
	for _, name := range half {
		n.logger.Info("removing half a snapshot that a crash left", "name", name)
		err = errors.Join(err, os.RemoveAll(filepath.Join(SnapshotsDir(n.cfg.Dir), name)))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", snapshotsDir, bare(err))
	}
	// The store makes a "snapshots" folder of its own below the one it is given.
	s, err := raft.NewFileSnapshotStoreWithLogger(n.cfg.Dir, 2, n.raftLogger())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", snapshotsDir, bare(err))
	}
	return s, nil
}

// snapshotsFound is what a data directory has of snapshots.
type snapshotsFound struct {
	newest  mark     // the end of the newest that is whole: Raft begins with it
	damaged []string // paths of those that should be newer, and why
	lost    uint64   // the highest log index of those
}

// findSnapshots reads the newest snapshots until one is whole.
func (n *Node) findSnapshots(store *raft.FileSnapshotStore) (s snapshotsFound, err error) {
	entries, err := os.ReadDir(SnapshotsDir(n.cfg.Dir))
	if err != nil {
		return s, fmt.Errorf("%s: %w", snapshotsDir, bare(err))
	}
	type named struct {
		term, index uint64
		name        string
	}
	var found []named
	for _, entry := range entries {
		x := named{name: entry.Name()}
		if _, err := fmt.Sscanf(x.name, "%d-%d-", &x.term, &x.index); err == nil && entry.IsDir() {
			found = append(found, x)
		}
	}
	slices.SortFunc(found, func(a, b named) int {
		return cmp.Or(cmp.Compare(b.term, a.term), cmp.Compare(b.index, a.index), strings.Compare(b.name, a.name))
	})
	for _, x := range found {
		path := filepath.Join(SnapshotsDir(n.cfg.Dir), x.name)
		meta, body, err := store.Open(x.name)
		if err == nil {
			err = body.Close()
		}
		if err != nil {
			s.damaged = append(s.damaged, fmt.Sprintf("%s: %v", path, err))
			s.lost = max(s.lost, x.index)
			continue
		}
		if meta.ID != x.name || meta.Term != x.term || meta.Index != x.index { // Raft would believe it
			return s, fmt.Errorf("the snapshot %s is damaged: it says that it is %s, of term %d and log index %d. %s",
				path, meta.ID, meta.Term, meta.Index, wal.Advice)
		}
		s.newest = mark{x.term, x.index}
		break
	}
	return s, nil
}

// openLog opens the log and holds it against what the rest of the directory proves:
// each of ledger, snapshots, log and term must have what the others come from.
func (n *Node) openLog(snapshots *raft.FileSnapshotStore) error {
	found, err := n.findSnapshots(snapshots)
	if err != nil {
		return err
	}
	_, missing := os.Stat(WALDir(n.cfg.Dir))
	w := wal.DefaultConfig(WALDir(n.cfg.Dir))
	w.FS, w.Logger, w.ObserveSync = n.cfg.FS, n.logger, n.cfg.ObserveSync
	w.SegmentBytes, w.StallTimeout = n.cfg.SegmentBytes, n.cfg.StallTimeout
	if n.alone() { // no follower asks for what is behind the newest entries
		w.TailCacheBytes = loneTailBytes
	}
	w.OnPoison, w.OnStall, w.OnDamage = n.fatal.as(CauseDisk), n.fatal.as(CauseStall), n.fatal.as(CauseDamage)
	// What a snapshot has may be missing from the log, what the ledger has beyond it not.
	if index := uint64(n.ledger.Proves()); index > found.newest.Index {
		w.Known = wal.Known{Index: index, By: "the node's ledger"}
	}
	if n.log, err = wal.Open(w); err != nil {
		return fmt.Errorf("%s: %w", WALDir(n.cfg.Dir), err)
	}
	n.opened = append(n.opened, n.log.Close)
	log := n.log
	confirmed := func() engine.LogIndex { return max(engine.LogIndex(log.LastIndex()), n.applied.load()) }
	n.fatal.confirmed.Store(&confirmed)
	n.store = NewLogStore(n.log)
	n.fsm.stored = n.store.storedAt
	n.store.cutting = n.cutting
	if err := n.store.lookAtEnd(found.newest); err != nil {
		return err
	}
	if err := n.fitsTogether(found, missing != nil); err != nil {
		return err
	}
	if err := n.stable.make(); err != nil {
		return err
	}
	return n.store.DropIfBehind(found.newest.Index)
}

// fitsTogether refuses a directory of which a part is gone, or older than the rest.
func (n *Node) fitsTogether(found snapshotsFound, logMissing bool) error {
	first, last := n.log.FirstIndex(), n.log.LastIndex()
	damaged := ""
	if len(found.damaged) > 0 {
		damaged = " (damaged: " + strings.Join(found.damaged, "; ") + ")"
	}
	switch {
	case last != 0 && first > found.newest.Index+1:
		return fmt.Errorf("no snapshot in %s reaches to where the log goes on, at log index %d%s. %s",
			SnapshotsDir(n.cfg.Dir), first, damaged, wal.Advice)
	case found.lost > last: // what came with it is nowhere else
		return fmt.Errorf("the newest snapshot can't be used%s, and the log ends before it, at log index %d. %s",
			damaged, last, wal.Advice)
	// One that has only a snapshot, or was only just joined, may have an empty log;
	// none at all it can't have.
	case last == 0 && (logMissing || found.newest.Index == 0 && !n.dir.version().Joins):
		return n.checkNeverUsed(found.newest.Index)
	}
	if damaged != "" {
		n.alarm(engine.AlarmSnapshotDamaged, n.cfg.NodeID,
			fmt.Sprintf("Node %s found damaged snapshots (%s); it began with an older one, of log index %d, and "+
				"read more of "+
				"its log. Remove what is damaged, check the disk, and start it again.",
				n.cfg.NodeID, strings.Join(found.damaged, ", "), found.newest.Index))
	}
	return n.stable.reaches(n.store.written().Term)
}

// checkNeverUsed refuses a node whose log is empty although it has voted, or has a
// snapshot: the log was taken away, and what was told with it. A term of 1 and no log
// is what a crash in the middle of the bootstrap leaves; that is taken back, or Raft
// would neither bootstrap nor elect anybody forever.
func (n *Node) checkNeverUsed(snapshot uint64) error {
	switch term := n.stable.term(); {
	case snapshot > 0 || term > 1:
		return fmt.Errorf("%s is empty, but this node has voted in term %d: its log is gone. %s",
			WALDir(n.cfg.Dir), term, wal.Advice)
	case term == 1:
		return n.stable.setTerm(0)
	default:
		return nil
	}
}

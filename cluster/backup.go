package cluster

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"doorbuster/engine"
)

// A backup is the state at one log index:
//
//	magic "DBBACKUP", u32 version 1, u32 length, BackupInfo as JSON,
//	the engine's snapshot, SHA-256 of all before it
//
// Numbers are little-endian. Who belonged to the cluster is told in the info, and
// not restored: a restored cluster has its own nodes.
var backupMagic = []byte("DBBACKUP")

const backupVersion = 1

// BackupInfo says what a backup is of.
type BackupInfo struct {
	Cluster    string          `json:"cluster"`
	Node       string          `json:"node"`
	Generation uint64          `json:"generation"`
	Term       engine.Term     `json:"term"`
	LogIndex   engine.LogIndex `json:"log_index"`
	Hash       string          `json:"hash"` // of the state, as 'cluster status' tells it
	Taken      time.Time       `json:"taken"`
	Version    string          `json:"version"` // of the build
	Roster     *Roster         `json:"roster,omitempty"`
}

// Backup writes the state as of now to w; the node sells on meanwhile. An error
// may come after parts were written.
func (n *Node) Backup(w io.Writer) error {
	n.fsm.mu.Lock() // freezing is a writer's business
	snapshot := n.fsm.state.Snapshot()
	index := n.fsm.state.LogIndex()
	n.fsm.mu.Unlock()
	sum := snapshot.Hash()
	info, err := json.Marshal(BackupInfo{
		Cluster: n.cfg.ClusterID, Node: n.cfg.NodeID, Generation: n.dir.version().Generation, Term: engine.Term(n.raft.CurrentTerm()),
		LogIndex: index, Hash: hex.EncodeToString(sum[:]), Taken: n.cfg.Wall().UTC(), Version: n.cfg.Version, Roster: n.fsm.roster.Load(),
	})
	if err != nil {
		return err
	}
	check := sha256.New()
	to := io.MultiWriter(w, check)
	head := binary.LittleEndian.AppendUint32(append([]byte(nil), backupMagic...), backupVersion)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(info)))
	if _, err := to.Write(append(head, info...)); err != nil {
		return err
	}
	if _, err := snapshot.WriteTo(to); err != nil {
		return err
	}
	_, err = w.Write(check.Sum(nil))
	return err
}

// ErrBackup: the file is no backup, or a damaged one.
var ErrBackup = errors.New("no usable backup")

// readBackup reads a backup whole: nothing of a damaged one is used.
func readBackup(path string) (info BackupInfo, state *engine.State, err error) {
	f, err := os.Open(path)
	if err != nil {
		return info, nil, err
	}
	defer f.Close()
	bad := func(format string, args ...any) (BackupInfo, *engine.State, error) {
		return info, nil, fmt.Errorf("%w: %s: %w", ErrBackup, path, fmt.Errorf(format, args...))
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return bad("%w", err)
	}
	if size < int64(len(backupMagic)+8+sha256.Size) {
		return bad("it has %d bytes, too few for one", size)
	}
	sum, err := checksum(f, size-sha256.Size)
	if err != nil {
		return bad("%w", err)
	}
	if _, err = f.Seek(0, io.SeekStart); err != nil {
		return bad("%w", err)
	}
	r := bufio.NewReader(io.LimitReader(f, size-sha256.Size))
	head := make([]byte, len(backupMagic)+8)
	if _, err := io.ReadFull(r, head); err != nil {
		return bad("%w", err)
	}
	if string(head[:len(backupMagic)]) != string(backupMagic) {
		return bad("it does not begin with %q; 'doorbuster cluster backup' writes such files", backupMagic)
	}
	if v := binary.LittleEndian.Uint32(head[len(backupMagic):]); v > backupVersion {
		return bad("it was written by a newer build (format %d, this build reads %d); upgrade doorbuster", v, backupVersion)
	}
	if !sum {
		return bad("its checksum does not fit: it is damaged or cut short; take another one")
	}
	length := binary.LittleEndian.Uint32(head[len(backupMagic)+4:])
	if length > maxRosterBytes {
		return bad("its head claims %d bytes", length)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return bad("%w", err)
	}
	if err := json.Unmarshal(text, &info); err != nil {
		return bad("its head: %w", err)
	}
	if state, err = engine.ReadState(r); err != nil {
		return bad("%w", err)
	}
	if got := state.Hash(); hex.EncodeToString(got[:]) != info.Hash || state.LogIndex() != info.LogIndex {
		return bad("its state is at log index %d with hash %x, not at %d with %s", state.LogIndex(), got, info.LogIndex, info.Hash)
	}
	return info, state, nil
}

// checksum tells whether the first n bytes of f have the SHA-256 that follows them.
func checksum(f *os.File, n int64) (bool, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	var h hash.Hash = sha256.New()
	if _, err := io.CopyN(h, f, n); err != nil {
		return false, err
	}
	want := make([]byte, sha256.Size)
	if _, err := io.ReadFull(f, want); err != nil {
		return false, err
	}
	return string(h.Sum(nil)) == string(want), nil
}

// Restore makes a new data directory that begins with the state of a backup. For
// a cluster, each node that it is to begin with is restored from the same file,
// before its first start. Errors: ErrBackup, ErrDirectory.
func Restore(cfg Config, path string) (info BackupInfo, err error) {
	if cfg.ClusterID != "" {
		cfg.Desk = noDesk{}
	}
	if err := cfg.Validate(); err != nil {
		return info, err
	}
	if cfg.ClusterID != "" && cfg.self() == nil {
		return info, fmt.Errorf("node %q is not among the nodes that the cluster begins with; it joins later, with an empty directory", cfg.NodeID)
	}
	info, state, err := readBackup(path)
	if err != nil {
		return info, err
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, versionFile)); err == nil {
		return info, fmt.Errorf("%w: %s: it holds a node's data already; a backup is restored into a new directory", ErrDirectory, cfg.Dir)
	}
	n := &Node{cfg: cfg, logger: cfg.Logger}
	first := n.firstVersion()
	first.Restoring = true
	if cfg.ClusterID != "" {
		// Nodes of it that were forgotten, and start empty, are not let in.
		first.Generation = max(info.Generation, 1) + 1
	}
	if n.dir, err = claimDir(cfg.Dir, first); err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, n.dir.release()) }()
	snapshots, err := n.openSnapshots()
	if err != nil {
		return info, err
	}
	if err := os.MkdirAll(WALDir(cfg.Dir), 0o700); err != nil {
		return info, err
	}
	stable, err := raftboltdb.NewBoltStore(filepath.Join(cfg.Dir, stableFile))
	if err != nil {
		return info, fmt.Errorf("%s: %w", stableFile, bare(err))
	}
	term := uint64(max(info.Term, 1))
	if err := errors.Join(stable.SetUint64(termKey, term), stable.Close()); err != nil {
		return info, err
	}
	hop := newTransport(newLoneStream(), n.raftLogger(), newTracker(func(bool) {}), func() error { return nil })
	defer hop.Close()
	sink, err := snapshots.Create(raft.SnapshotVersionMax, uint64(info.LogIndex), term, n.firstConfiguration(hop), 1, hop)
	if err != nil {
		return info, err
	}
	if err := (fsmSnapshot{state.Snapshot(), nil, func(engine.LogIndex) error { return nil }}).Persist(sink); err != nil {
		return info, err
	}
	return info, n.dir.update(func(v *dirVersion) { v.Restoring = false })
}

// noDesk is for a node that is not opened.
type noDesk struct{ Desk }

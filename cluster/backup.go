package cluster

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/cluster/ledger"
	"doorbuster/cluster/rpc"
	"doorbuster/engine"
)

// A backup is the state at one log index, and of the ledger what the state does not
// have: settled orders and the trail.
//
//	magic "DBSAVED1", u32 version 1, u32 bytes of the info, u64 of the snapshot,
//	BackupInfo as JSON, the engine's snapshot, SHA-256 of all before,
//	the ledger's part (cluster/ledger, part.go), which has a checksum of its own
//
// Numbers are little-endian. Who belonged to the cluster is told in the info, and
// not restored: a restored cluster has its own nodes.
const (
	backupMagic   = "DBSAVED1"
	backupVersion = 1
	backupHead    = 8 + 4 + 4 + 8
)

// BackupInfo says what a backup is of.
type BackupInfo struct {
	Cluster    string          `json:"cluster"`
	Node       string          `json:"node"`
	Generation uint64          `json:"generation"`
	Term       engine.Term     `json:"term"`
	LogIndex   engine.LogIndex `json:"log_index"`
	Hash       string          `json:"hash"` // of the state
	Taken      time.Time       `json:"taken"`
	Version    string          `json:"version"` // of the build
	Roster     *Membership     `json:"roster,omitempty"`
	StateOnly  bool            `json:"state_only,omitempty"` // there is no ledger's part

	// Horizon says, after a restore, which orders may have been told of and are lost.
	Horizon string `json:"-"`
	// Ledger is what the ledger's part was found to hold; nil: the backup has none.
	Ledger *ledger.Part `json:"-"`
}

// wholePatience is how long a backup waits for the ledger to reach the state.
const wholePatience = 15 * time.Second

// Backup writes the state as of now to w, and, unless it is to be the state alone,
// what the ledger has of before; the node sells on meanwhile. An error may come
// after parts were written. ErrRefused: the ledger is not whole; nothing was
// written then.
func (n *Node) Backup(ctx context.Context, w io.Writer, stateOnly bool) error {
	n.fsm.mu.Lock() // freezing is a writer's business
	snapshot := n.fsm.state.Snapshot()
	index := n.fsm.state.LogIndex()
	left := ledger.Left(n.fsm.state)
	n.fsm.mu.Unlock()
	if !stateOnly {
		if err := n.awaitLedger(ctx, index); err != nil {
			return err
		}
	}
	digest := sha256.New()
	size, err := snapshot.WriteTo(digest)
	if err != nil {
		return err
	}
	info, err := json.Marshal(BackupInfo{
		Cluster: n.cfg.ClusterID, Node: n.cfg.NodeID, Generation: n.dir.version().Generation,
		Term:     engine.Term(n.raft.CurrentTerm()),
		LogIndex: index, Hash: hex.EncodeToString(digest.Sum(nil)), Taken: n.cfg.Wall().UTC(), Version: n.cfg.Version,
		Roster:    n.fsm.membership.Load(),
		StateOnly: stateOnly,
	})
	if err != nil {
		return err
	}
	check := sha256.New()
	to := io.MultiWriter(w, check)
	head := binary.LittleEndian.AppendUint32([]byte(backupMagic), backupVersion)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(info)))
	head = binary.LittleEndian.AppendUint64(head, uint64(size))
	if _, err := to.Write(append(head, info...)); err != nil {
		return err
	}
	if _, err := snapshot.WriteTo(to); err != nil {
		return err
	}
	if _, err := w.Write(check.Sum(nil)); err != nil || stateOnly {
		return err
	}
	err = n.ledger.WritePart(ctx, w, index, left)
	if gaps := n.ledger.Stats().Gaps; err == nil && gaps > 0 {
		n.logger.Warn("a backup was written of a node whose trail has gaps: it has them, too", "gaps",
			gaps, "log_index", index)
	}
	return err
}

// awaitLedger waits until the ledger can give its part of a backup at index.
func (n *Node) awaitLedger(ctx context.Context, index engine.LogIndex) error {
	patient, cancel := context.WithTimeout(ctx, wholePatience)
	defer cancel()
	err := n.ledger.AwaitWhole(patient, index)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, ledger.ErrNotWhole) {
		return refuse("the backup would lack settled orders: %w. Try again in a while, ask another node, or save "+
			"the state alone", err)
	}
	return err
}

// ErrBackup: the file is no backup, or a damaged one.
var ErrBackup = errors.New("no usable backup")

// backupFile is an open backup whose state fits its checksum.
type backupFile struct {
	path  string
	f     *os.File
	info  BackupInfo
	state *io.SectionReader
	part  *io.SectionReader // the ledger's; nil: it has none
}

func (b *backupFile) bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", ErrBackup, b.path, fmt.Errorf(format, args...))
}

var errBackupDamaged = errors.New("its checksum does not fit: it is damaged or cut short; take another one")

// openBackup opens a backup and checks it up to the ledger's part.
func openBackup(path string) (*backupFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b := &backupFile{path: path, f: f}
	if err := b.check(); err != nil {
		_ = f.Close() // nothing was written
		return nil, b.bad("%w", err)
	}
	return b, nil
}

func (b *backupFile) check() error {
	stat, err := b.f.Stat()
	if err != nil {
		return err
	}
	size := stat.Size()
	if size < backupHead+sha256.Size {
		return fmt.Errorf("it has %d bytes, too few for one", size)
	}
	head := make([]byte, backupHead)
	if _, err := b.f.ReadAt(head, 0); err != nil {
		return err
	}
	switch string(head[:len(backupMagic)]) {
	case backupMagic:
	case "DBBACKUP":
		return fmt.Errorf("it was %w; nothing is restored", engine.ErrOlderFormat)
	default:
		return fmt.Errorf("it does not begin with %q; 'doorbuster backup' writes such files", backupMagic)
	}
	if version := binary.LittleEndian.Uint32(head[8:]); version > backupVersion {
		return fmt.Errorf("it was written by a newer build (format %d, this build reads %d); upgrade doorbuster",
			version, backupVersion)
	}
	infoBytes, stateBytes := int64(binary.LittleEndian.Uint32(head[12:])), binary.LittleEndian.Uint64(head[16:])
	begin := int64(backupHead) + infoBytes
	if most := size - sha256.Size - begin; most < 0 || stateBytes > uint64(most) || infoBytes > maxMembershipBytes {
		return errBackupDamaged
	}
	end := begin + int64(stateBytes)
	digest, behind := sha256.New(), make([]byte, sha256.Size)
	if _, err := io.Copy(digest, io.NewSectionReader(b.f, 0, end)); err != nil {
		return err
	}
	if _, err := b.f.ReadAt(behind, end); err != nil {
		return err
	}
	if !bytes.Equal(digest.Sum(nil), behind) {
		return errBackupDamaged
	}
	if err := json.NewDecoder(io.NewSectionReader(b.f, backupHead, infoBytes)).Decode(&b.info); err != nil {
		return fmt.Errorf("its head: %w", err)
	}
	b.state = io.NewSectionReader(b.f, begin, end-begin)
	if end += sha256.Size; !b.info.StateOnly {
		b.part = io.NewSectionReader(b.f, end, size-end)
	} else if size != end {
		return errBackupDamaged
	}
	return nil
}

// checkPart reads the ledger's part, if there is one, to its end.
func (b *backupFile) checkPart() error {
	if b.part == nil {
		return nil
	}
	p, err := ledger.CheckPart(b.part, b.part.Size())
	if err != nil {
		return b.bad("%w", err)
	}
	if p.Index != b.info.LogIndex {
		return b.bad("the ledger's part is of log index %d, the backup of %d", p.Index, b.info.LogIndex)
	}
	b.info.Ledger = &p
	_, err = b.part.Seek(0, io.SeekStart)
	return err
}

// readState decodes the state.
func (b *backupFile) readState() (*engine.State, error) {
	state, err := engine.ReadState(bufio.NewReader(b.state))
	if err != nil {
		return nil, b.bad("%w", err)
	}
	if got := state.Hash(); hex.EncodeToString(got[:]) != b.info.Hash || state.LogIndex() != b.info.LogIndex {
		return nil, b.bad("its state is at log index %d with hash %x, not at %d with %s", state.LogIndex(), got,
			b.info.LogIndex, b.info.Hash)
	}
	if b.info.Ledger != nil {
		if err := b.info.Ledger.Fits(state); err != nil {
			return nil, b.bad("%w", err)
		}
	}
	return state, nil
}

// CheckBackup tells what a backup is of, and whether it is as it was written, in
// memory that does not grow with it. Error: ErrBackup.
func CheckBackup(path string) (BackupInfo, error) {
	b, err := openBackup(path)
	if err != nil {
		return BackupInfo{}, err
	}
	defer b.f.Close()
	err = b.checkPart()
	return b.info, err
}

// Restore makes a new data directory that begins with the state of a backup, and
// with a ledger that reaches to it, if the backup has its part. For a cluster, each
// node that it is to begin with is restored from the same file, before its first
// start. Errors: ErrBackup, ErrDirectory.
func Restore(cfg Config, path string) (info BackupInfo, err error) {
	if cfg.ClusterID != "" {
		cfg.Decider = noDecider{}
	}
	if err := cfg.Validate(); err != nil {
		return info, err
	}
	if cfg.ClusterID != "" && cfg.self() == nil {
		return info, fmt.Errorf("node %q is not among the nodes that the cluster begins with; it joins later, with "+
			"an empty directory", cfg.NodeID)
	}
	// All of it is read before anything is written: nothing of a damaged one is used.
	b, err := openBackup(path)
	if err != nil {
		return info, err
	}
	defer b.f.Close()
	if err := b.checkPart(); err != nil {
		return info, err
	}
	state, err := b.readState()
	if err != nil {
		return info, err
	}
	info = b.info
	info.Horizon = horizon(state)
	if _, err := os.Stat(filepath.Join(cfg.Dir, versionFile)); err == nil {
		return info, fmt.Errorf("%w: %s: it holds a node's data already; a backup is restored into a new directory",
			ErrDirectory, cfg.Dir)
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
	stable, err := openStable(cfg.Dir, nil)
	if err != nil {
		return info, err
	}
	term := uint64(max(info.Term, 1))
	if err := errors.Join(stable.setTerm(term), stable.Close()); err != nil {
		return info, err
	}
	hop := loneTransport()
	sink, err := snapshots.Create(raft.SnapshotVersionMax, uint64(info.LogIndex), term,
		n.firstConfiguration(hop), 1, hop)
	if err != nil {
		return info, err
	}
	if err := (fsmSnapshot{state.Snapshot(), snapshotHead{},
		func(engine.LogIndex) error { return nil }}).Persist(sink); err != nil {
		return info, err
	}
	if b.part != nil {
		c := n.ledgerConfig()
		err := ledger.Restore(context.Background(), c, b.part, b.part.Size())
		if err == nil {
			err = syncDir(c.Dir)
		}
		if err != nil {
			return info, fmt.Errorf("restore the ledger: %w", err)
		}
	}
	return info, n.dir.update(func(v *dirVersion) { v.Restoring = false })
}

// noDecider is for a node that is not opened.
type noDecider struct{ rpc.Decider }

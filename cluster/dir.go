package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/gofrs/flock"

	"doorbuster/cluster/peer"
	"doorbuster/engine"
)

// dirFormat is the version of a data directory's layout; the magic tells it from
// those of builds before version 1 of the formats.
const (
	dirFormat = 1
	dirMagic  = "DBNODE01"
)

const (
	versionFile  = "VERSION"
	lockFile     = "LOCK"
	walDir       = "wal"
	stableFile   = "raft.db"
	sumFile      = "raft.sum"
	snapshotsDir = "snapshots"
	ledgerDir    = "ledger"
)

// ErrDirectory: the data directory can't be used; nothing in it was touched.
var ErrDirectory = errors.New("the data directory can't be used")

// dirVersion is what VERSION holds.
type dirVersion struct {
	Magic  string `json:"magic"`
	Format int    `json:"format"`
	// Hello is what the node says of itself. A lone node's has no cluster, and counts no
	// starts.
	peer.Hello

	// Joins: it was not among the nodes that the cluster began with.
	Joins bool `json:"joins,omitempty"`
	// Cut is where the log ended when a leader had entries cut off it, as seen from
	// that leader's term: no reason to take the log for an older copy.
	Cut mark `json:"cut,omitzero"`
	// OlderCopy says why another node took it for one; "": none did.
	OlderCopy string `json:"older_copy,omitempty"`
	// Superseded is the generation that went on without this node; 0: none.
	Superseded uint64 `json:"superseded,omitempty"`
	// Restoring: a backup is being put into it, and is not whole yet.
	Restoring bool `json:"restoring,omitempty"`
	// Promoting: this node is about to take over alone, as Generation.
	Promoting bool `json:"promoting,omitempty"`
}

// WALDir is where a data directory keeps its log.
func WALDir(dir string) string { return filepath.Join(dir, walDir) }

// SnapshotsDir is where a data directory keeps its snapshots. Those that are
// being written end in ".tmp".
func SnapshotsDir(dir string) string { return filepath.Join(dir, snapshotsDir) }

// LedgerDir is where a data directory keeps its ledger.
func LedgerDir(dir string) string { return filepath.Join(dir, ledgerDir) }

// directory is a claimed data directory. Safe for concurrent use.
type directory struct {
	path string
	lock *flock.Flock

	mu sync.Mutex
	v  dirVersion
}

// version gives what VERSION holds; its slice is shared and only read.
func (d *directory) version() dirVersion {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.v
}

// update changes VERSION on disk, and then in memory.
func (d *directory) update(change func(*dirVersion)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.v
	change(&next)
	b, _ := json.Marshal(next)
	if err := writeDurably(filepath.Join(d.path, versionFile), append(b, '\n')); err != nil {
		return fmt.Errorf("%s: %w", versionFile, bare(err))
	}
	d.v = next
	return nil
}

// release lets others claim the directory.
func (d *directory) release() error { return d.lock.Unlock() }

// InUse refuses a data directory that another process has claimed, before anything
// else is tried that it would be in the way of. Nothing is claimed by asking. Error:
// ErrDirectory.
func InUse(dir string) error {
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetFlag(os.O_RDONLY))
	held, err := lock.TryLock()
	if err != nil {
		return nil // there is none yet, or it can't be looked at: who claims it says so
	}
	if !held {
		return fmt.Errorf("%w: %s: %s", ErrDirectory, dir, usedBy(lock.Path()))
	}
	return lock.Unlock()
}

// usedBy says who has locked a directory.
func usedBy(lock string) string {
	pid := "unknown"
	if b, err := os.ReadFile(lock); err == nil && len(b) > 0 {
		pid = strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("another process uses it (pid %s); stop that one first, or name another directory", pid)
}

// claimDir checks a data directory, makes it if missing, and locks it. It
// changes nothing in a directory that it refuses. first is what a new one
// records; of one that is there, node and cluster must be the same.
func claimDir(dir string, first dirVersion) (*directory, error) {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s: %s", ErrDirectory, dir, fmt.Sprintf(format, args...))
	}
	first.Magic, first.Format = dirMagic, dirFormat
	d := &directory{path: dir, v: first, lock: flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))}
	if _, err := d.look(first); err != nil {
		return nil, refuse("%v", bare(err))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, refuse("%v", bare(err))
	}
	held, err := d.lock.TryLock()
	if err != nil {
		return nil, refuse("it can't be locked: %v", bare(err))
	}
	if !held {
		return nil, refuse("%s", usedBy(d.lock.Path()))
	}
	fresh, err := d.look(first) // whoever had it until now may have written it since
	if err == nil {
		err = os.WriteFile(d.lock.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	}
	if err == nil && fresh {
		err = d.update(func(*dirVersion) {})
	}
	if err != nil {
		d.lock.Unlock()
		return nil, refuse("%v", bare(err))
	}
	return d, nil
}

// look reads VERSION, and reports whether the directory is a new one.
func (d *directory) look(want dirVersion) (fresh bool, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		return false, err
	}
	version, err := os.ReadFile(filepath.Join(d.path, versionFile))
	if !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = d.read(version, want)
		}
		return false, err
	}
	for _, e := range entries {
		// A first start that was cut short leaves the version half written.
		if e.Name() != lockFile && e.Name() != versionFile+temporarySuffix && e.Name() != "lost+found" {
			return false, fmt.Errorf("it has %q in it but no %s: it is no data directory of a node; name an empty "+
				"or a new one", e.Name(), versionFile)
		}
	}
	return true, nil
}

// read takes in the VERSION of a directory that is there.
func (d *directory) read(version []byte, want dirVersion) error {
	var v dirVersion
	if err := json.Unmarshal(version, &v); err != nil {
		return fmt.Errorf("%s is damaged: %v", versionFile, err)
	}
	switch {
	case v.Magic != dirMagic:
		return fmt.Errorf("it was %w: begin with an empty directory", engine.ErrOlderFormat)
	case v.Format > dirFormat:
		return fmt.Errorf("it was written by a newer build (format %d, this build knows %d); upgrade doorbuster",
			v.Format, dirFormat)
	case v.Node != want.Node:
		return fmt.Errorf("it belongs to node %q, this is node %q; name this node's own directory", v.Node, want.Node)
	case v.Cluster == "" && want.Cluster != "":
		return fmt.Errorf("it belongs to a node without a cluster, this one is of cluster %q; start the cluster "+
			"with new directories, and bring a backup of this one into it with 'doorbuster restore'", want.Cluster)
	case v.Cluster != want.Cluster:
		return fmt.Errorf("it belongs to a node of cluster %q; this one's configuration says %q",
			v.Cluster, want.Cluster)
	}
	if err := v.usable(); err != nil {
		return err
	}
	d.v = v
	return nil
}

// usable tells what became of the directory that makes it one not to start from.
func (v *dirVersion) usable() error {
	switch {
	case v.Restoring:
		return errors.New("a backup was being put into it, and that was cut short; empty the directory and restore " +
			"again")
	case v.OlderCopy != "":
		return fmt.Errorf("it is an older copy of itself: %s", v.OlderCopy)
	case v.Superseded > 0:
		return fmt.Errorf("cluster %q went on without this node, as generation %d (this is generation %d): what it "+
			"holds may never have been agreed on. Keep the directory for the books, and join the node from scratch: "+
			"a new id, an empty directory, 'doorbuster cluster join'", v.Cluster, v.Superseded, v.Generation)
	}
	return nil
}

// bare drops the path from an error that will be told with one, and says what
// helps where that is known.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = fmt.Errorf("%s %s: %w", path.Op, filepath.Base(path.Path), path.Err)
	}
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; mount it for writing and start again", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w; free some space and start again", err)
	}
	return err
}

// temporarySuffix ends the name of a file that is not whole yet.
const temporarySuffix = ".new"

// writeDurably writes a file whole or not at all.
func writeDurably(path string, b []byte) (err error) {
	temporary := path + temporarySuffix
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

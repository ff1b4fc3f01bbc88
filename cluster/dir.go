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

	"github.com/gofrs/flock"
)

// dirFormat is the version of a data directory's layout.
const dirFormat = 1

const (
	versionFile  = "VERSION"
	lockFile     = "LOCK"
	walDir       = "wal"
	stableFile   = "raft.db"
	snapshotsDir = "snapshots"
)

// ErrDirectory: the data directory can't be used; nothing in it was touched.
var ErrDirectory = errors.New("the data directory can't be used")

type dirVersion struct {
	Format int    `json:"format"`
	Node   string `json:"node"`
}

// WALDir is where a data directory keeps its log.
func WALDir(dir string) string { return filepath.Join(dir, walDir) }

// SnapshotsDir is where a data directory keeps its snapshots. Those that are
// being written end in ".tmp".
func SnapshotsDir(dir string) string { return filepath.Join(dir, snapshotsDir) }

// claimDir checks a data directory, makes it if missing, and locks it. It
// changes nothing in a directory that it refuses.
func claimDir(dir, node string) (*flock.Flock, error) {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s: %s", ErrDirectory, dir, fmt.Sprintf(format, args...))
	}
	fresh := false
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fresh = true
	case err != nil:
		return nil, refuse("%v", bare(err))
	}
	version, err := os.ReadFile(filepath.Join(dir, versionFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, e := range entries {
			// A first start that was cut short leaves the version half written.
			if e.Name() != lockFile && e.Name() != versionFile+temporarySuffix && e.Name() != "lost+found" {
				return nil, refuse("it has %q in it but no %s: it is no data directory of a node; name an empty or a new one", e.Name(), versionFile)
			}
		}
		fresh = true
	case err != nil:
		return nil, refuse("%v", bare(err))
	default:
		var v dirVersion
		if err := json.Unmarshal(version, &v); err != nil {
			return nil, refuse("%s is damaged: %v", versionFile, err)
		}
		if v.Format > dirFormat {
			return nil, refuse("it was written by a newer build (format %d, this build knows %d); upgrade doorbuster", v.Format, dirFormat)
		}
		if v.Node != node {
			return nil, refuse("it belongs to node %q, this is node %q", v.Node, node)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, refuse("%v", bare(err))
	}
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, refuse("it can't be locked: %v", bare(err))
	}
	if !held {
		pid := "unknown"
		if b, err := os.ReadFile(lock.Path()); err == nil && len(b) > 0 {
			pid = strings.TrimSpace(string(b))
		}
		return nil, refuse("another process uses it (pid %s); stop that one first, or name another directory", pid)
	}
	if err := os.WriteFile(lock.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		lock.Unlock()
		return nil, refuse("%v", bare(err))
	}
	if fresh {
		b, _ := json.Marshal(dirVersion{Format: dirFormat, Node: node})
		if err := writeDurably(filepath.Join(dir, versionFile), append(b, '\n')); err != nil {
			lock.Unlock()
			return nil, refuse("%v", bare(err))
		}
	}
	return lock, nil
}

// bare drops the path from an error that will be told with one.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s %s: %w", path.Op, filepath.Base(path.Path), path.Err)
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

package cluster

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// TestHalfSnapshotsGo: what a node leaves that is killed while it writes a
// snapshot is removed at the next start; whole snapshots stay.
func TestHalfSnapshotsGo(t *testing.T) {
	dir := t.TempDir()
	half := filepath.Join(SnapshotsDir(dir), "2-1000-1795308160144.tmp")
	whole := filepath.Join(SnapshotsDir(dir), "2-900-1795308150000")
	for _, snapshot := range []string{half, whole} {
		if err := os.MkdirAll(snapshot, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(snapshot, "state.bin"), []byte("some of it"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := &Node{cfg: DefaultConfig(dir), logger: slog.New(slog.DiscardHandler)}
	if _, err := n.openSnapshots(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a snapshot: %v", err)
	}
	if _, err := os.Stat(whole); err != nil {
		t.Errorf("a whole snapshot: %v", err)
	}
}

// sized is a store with one snapshot of some size.
type sized struct {
	raft.SnapshotStore
	bytes int64
}

func (s sized) List() ([]*raft.SnapshotMeta, error) {
	return []*raft.SnapshotMeta{{Size: s.bytes}}, nil
}

// TestSnapshotsInProportion: the larger the last one, the more log comes before the next.
func TestSnapshotsInProportion(t *testing.T) {
	for last, after := range map[int64]int64{10: 1000, 1000: 1000, 5000: 5000} {
		n := &Node{cfg: Config{SnapshotBytes: 1000}, snapshots: sized{bytes: last}}
		if got := n.SnapshotAfter(); got != after {
			t.Errorf("after one of %d bytes the next comes after %d of log, want %d", last, got, after)
		}
	}
}

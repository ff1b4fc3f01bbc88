package cluster

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
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

package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// TestLedgerProvesTheLog: without a mark a log whose last batch was cut off looks
// whole, but the node's own ledger knows better. It is not damaged, and stays.
func TestLedgerProvesTheLog(t *testing.T) {
	dir := t.TempDir()
	openReady(t, dir)
	var last wal.Entry
	if _, err := wal.Dump(vfs.OS(), WALDir(dir), wal.Known{}, func(e wal.Entry) error {
		last = e
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(WALDir(dir), "MARK")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(WALDir(dir), last.Segment), last.Offset); err != nil {
		t.Fatal(err)
	}
	openRefused(t, dir, last.Segment, "the node's ledger proves that it held record")
	if damaged, _ := filepath.Glob(filepath.Join(LedgerDir(dir), "*", "*.damaged*")); len(damaged) > 0 {
		t.Error("the ledger was quarantined")
	}
	// Another node's, which reaches further, proves nothing.
	other := t.TempDir()
	openReady(t, other)
	openReady(t, other)
	if err := errors.Join(os.RemoveAll(LedgerDir(dir)),
		os.CopyFS(LedgerDir(dir), os.DirFS(LedgerDir(other)))); err != nil {
		t.Fatal(err)
	}
	openReady(t, dir)
}

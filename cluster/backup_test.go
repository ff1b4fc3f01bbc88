package cluster

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestBackupSamples: kept backups of each format are read, and restored. Both are
// of one shop: three orders of a settled session, and a hold in an open one; the
// first, of the state only, has only the hold. -update writes them anew.
func TestBackupSamples(t *testing.T) {
	if *update {
		writeSamples(t)
	}
	for _, c := range []struct {
		file    string
		index   engine.LogIndex
		ledger  bool
		settled int64
	}{{"sample-v1-state.backup", 14, false, 0}, {"sample-v1.backup", 14, true, 3}} {
		t.Run(c.file, func(t *testing.T) {
			file := filepath.Join("testdata", c.file)
			info, err := CheckBackup(file)
			if err != nil || info.LogIndex != c.index || (info.Ledger != nil) != c.ledger {
				t.Fatalf("%+v, %v", info, err)
			}
			if c.ledger && info.Ledger.Orders() != c.settled {
				t.Errorf("%d orders", info.Ledger.Orders())
			}
			cfg := quietConfig(t.TempDir())
			if _, err := Restore(cfg, file); err != nil {
				t.Fatal(err)
			}
			n := openAlone(t, cfg)
			first := engine.OrderRef{Session: 1, Ordinal: 1}
			o, found, err := n.Ledger().Order(first)
			if (err == nil) != c.ledger || found != c.ledger || found &&
				(o.Shopper != "ann" || o.State != engine.Paid) {
				t.Errorf("the settled order: %+v, %v, %v", o, found, err)
			}
			var whole bytes.Buffer
			err = n.Backup(t.Context(), &whole, false)
			if c.ledger != (err == nil) || err != nil && (!errors.Is(err, ErrRefused) || whole.Len() > 0) {
				t.Errorf("a backup of it: %d bytes, %v", whole.Len(), err)
			}
			var state bytes.Buffer
			if err := n.Backup(t.Context(), &state, true); err != nil {
				t.Error(err)
			}
			path := filepath.Join(t.TempDir(), "state.backup")
			if err := os.WriteFile(path, state.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if info, err := CheckBackup(path); err != nil || info.Ledger != nil {
				t.Errorf("the state only: %+v, %v", info, err)
			}
		})
	}
}

// openAlone opens a node that is alone, until the test ends, and waits until it and
// its ledger have all there is.
func openAlone(t *testing.T, cfg Config) *Node {
	t.Helper()
	n, err := Open(cfg, nobody{}, anyLeader{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := n.AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if err := n.Ledger().Await(ctx, n.applied.load()); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBackupBrokenOff: nobody is kept waiting by a ledger for whoever has gone.
func TestBackupBrokenOff(t *testing.T) {
	n := openAlone(t, quietConfig(t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var to bytes.Buffer
	if err := n.Backup(ctx, &to, false); !errors.Is(err, context.Canceled) || to.Len() > 0 {
		t.Errorf("%d bytes, %v", to.Len(), err)
	}
}

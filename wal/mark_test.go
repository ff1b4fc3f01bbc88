package wal_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"doorbuster/wal"
	"doorbuster/wal/waltest"
)

// A moment without appends makes the mark outlast a loss of power: what rots then, or
// is cut off, is refused, however much it looks like the trace of a crash.
func TestQuietMomentKeepsTheMark(t *testing.T) {
	disk := waltest.NewDisk(1)
	cfg := crashConfig(disk)
	cfg.MarkAfter = time.Millisecond
	l := open(t, cfg)
	synced := make(chan struct{}, 1)
	disk.Inject(func(op waltest.Op) error {
		if op.Kind == waltest.Sync && op.Name == "MARK" {
			synced <- struct{}{}
		}
		return nil
	})
	mustAppend(t, l, makeBatch(1, 3, 1))
	<-synced // nothing but a quiet moment does that
	// A poisoned log syncs no more, and Close waits for what is under way.
	disk.Inject(func(op waltest.Op) error {
		if op.Kind == waltest.Write {
			return syscall.EIO
		}
		return nil
	})
	if err := l.Append(makeBatch(4, 1, 1)); !errors.Is(err, wal.ErrPoisoned) {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		after := disk.Restart(seed)
		name := path("00000000000000000001.wal")
		b := after.Bytes(name)
		clear(b[32:])
		after.SetBytes(name, b)
		if _, err := wal.Verify(after, "data/wal", wal.Known{}); err == nil {
			t.Fatalf("seed %d: the batch is gone without a word", seed)
		}
	}
}

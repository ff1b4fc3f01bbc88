package walbench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	raftwal "github.com/hashicorp/raft-wal"

	"doorbuster/cluster"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// Each store is as its Open leaves it where nothing is set, and syncs each batch.
var stores = []struct {
	name string
	open func(dir string) (store, error)
}{
	{"doorbuster", openOurs},
	{"raft-wal", func(dir string) (store, error) {
		return raftwal.Open(dir, raftwal.WithLogger(hclog.NewNullLogger()))
	}},
	{"raft-boltdb", func(dir string) (store, error) {
		return raftboltdb.NewBoltStore(filepath.Join(dir, "raft.db"))
	}},
	{"bare", openBare}, // no store, but what any of them can reach
}

// store is what the measurement needs of a raft.LogStore.
type store interface {
	StoreLogs(entries []*raft.Log) error
	io.Closer
}

// BenchmarkStoreLogs: a grab's command has some 64 bytes. One, 64 (the most that Raft
// sends to a follower at once) and 1,024 of them, each an entry of its own; and as a
// rush makes them, all in one entry.
func BenchmarkStoreLogs(b *testing.B) {
	for _, batch := range []struct{ entries, bytes int }{
		{1, 64}, {64, 64}, {1024, 64}, {1, 16 << 10}, {1, 64 << 10}, {1, 200 << 10},
	} {
		for _, i := range rand.Perm(len(stores)) { // what one leaves behind disturbs each of the others alike
			s := stores[i]
			b.Run(fmt.Sprintf("entries=%d/bytes=%d/store=%s", batch.entries, batch.bytes, s.name), func(b *testing.B) {
				opened, err := s.open(b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				measure(b, opened, batch.entries, batch.bytes)
				if err := opened.Close(); err != nil {
					b.Error(err)
				}
			})
		}
	}
}

// warmUp batches come before what is measured: buffers have grown, and files have begun.
const warmUp = 100

func measure(b *testing.B, s store, entries, bytes int) {
	logs := make([]*raft.Log, entries)
	for i := range logs {
		logs[i] = &raft.Log{Term: 1, Data: noise(bytes), AppendedAt: time.Now()}
	}
	index := uint64(0)
	batch := func() {
		for _, e := range logs {
			index++
			e.Index = index
		}
		if err := s.StoreLogs(logs); err != nil {
			b.Fatal(err)
		}
	}
	for range warmUp {
		batch()
	}
	syscall.Sync() // what was removed before is gone
	b.SetBytes(int64(entries * bytes))
	b.ReportAllocs()
	for b.Loop() {
		batch()
	}
}

// noise is what nothing on the way can make smaller.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// TestStoresKeep: what is compared keeps what it is given.
func TestStoresKeep(t *testing.T) {
	for _, s := range stores {
		opened, err := s.open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		want := &raft.Log{Index: 1, Term: 1, Data: noise(64), AppendedAt: time.Now()}
		if err := opened.StoreLogs([]*raft.Log{want}); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if kept, ok := opened.(raft.LogStore); ok {
			var got raft.Log
			if err := kept.GetLog(1, &got); err != nil || !bytes.Equal(got.Data, want.Data) {
				t.Errorf("%s: another entry than was stored, or %v", s.name, err)
			}
		}
		if err := opened.Close(); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

// ours is the log as a node has it.
type ours struct {
	*cluster.LogStore
	log *wal.Log
}

func openOurs(dir string) (store, error) {
	log, err := wal.Open(wal.DefaultConfig(dir))
	if err != nil {
		return nil, err
	}
	return ours{cluster.NewLogStore(log), log}, nil
}

func (o ours) Close() error { return o.log.Close() }

// bare writes as many blocks as the log does for the same entries, again and again over
// the same space, and does nothing else.
type bare struct {
	*os.File
	blocks []byte
	at     int64
}

const bareBytes = 64 << 20

func openBare(dir string) (store, error) {
	path := filepath.Join(dir, "bare")
	f, err := vfs.OS().Create(path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Preallocate(bareBytes), f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	direct, err := os.OpenFile(path, os.O_WRONLY|syscall.O_DIRECT|syscall.O_DSYNC, 0)
	return &bare{File: direct}, err
}

func (w *bare) StoreLogs(entries []*raft.Log) error {
	if w.blocks == nil {
		recs := make([]wal.Record, len(entries))
		for i, e := range entries {
			recs[i] = wal.Record{Index: e.Index, Meta: make([]byte, 10), Data: e.Data}
		}
		frames := wal.AppendBatch(nil, recs)
		w.blocks = vfs.Blocks(len(frames))[:(len(frames)+vfs.BlockBytes-1)/vfs.BlockBytes*vfs.BlockBytes]
		copy(w.blocks, frames)
	}
	if w.at+int64(len(w.blocks)) > bareBytes {
		w.at = 0
	}
	_, err := w.WriteAt(w.blocks, w.at)
	w.at += int64(len(w.blocks))
	return err
}

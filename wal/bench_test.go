package wal_test

import (
	"fmt"
	"testing"

	"doorbuster/wal"
)

// The three shapes that matter: a lone small entry, one entry that carries a
// batch of commands, and a follower catching up.
func BenchmarkAppend(b *testing.B) {
	for _, shape := range []struct{ records, bytes int }{{1, 100}, {1, 64 << 10}, {64, 1 << 10}} {
		b.Run(fmt.Sprintf("%dx%d", shape.records, shape.bytes), func(b *testing.B) {
			l := open(b, wal.DefaultConfig(b.TempDir()))
			recs := make([]wal.Record, shape.records)
			for i := range recs {
				recs[i] = wal.Record{Term: 1, Meta: make([]byte, 10), Data: make([]byte, shape.bytes)}
			}
			next := uint64(1)
			b.SetBytes(int64(shape.records * shape.bytes))
			b.ReportAllocs()
			for b.Loop() {
				for i := range recs {
					recs[i].Index = next
					next++
				}
				if err := l.Append(recs); err != nil {
					b.Fatal(err)
				}
				if next%(1<<14) == 0 { // keep the disk from filling up
					if err := l.TruncatePrefix(next - 1000); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, cached := range []bool{true, false} {
		b.Run(fmt.Sprintf("cached=%v", cached), func(b *testing.B) {
			cfg := wal.DefaultConfig(b.TempDir())
			if !cached {
				cfg.TailCacheBytes = 0
			}
			l := open(b, cfg)
			const n = 64
			for i := range uint64(n) {
				if err := l.Append([]wal.Record{{Index: i + 1, Data: make([]byte, 64<<10)}}); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				if _, err := l.Read(i%n + 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	cfg := wal.DefaultConfig(b.TempDir())
	l := open(b, cfg)
	for i := range uint64(2000) {
		if err := l.Append([]wal.Record{{Index: i + 1, Data: make([]byte, 64<<10)}}); err != nil {
			b.Fatal(err)
		}
	}
	l.Close()
	b.SetBytes(2000 * 64 << 10)
	for b.Loop() {
		l, err := wal.Open(cfg)
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}

// TestAppendAllocatesNothing: what an append needs is kept for the next, but for what
// grows with the log.
func TestAppendAllocatesNothing(t *testing.T) {
	l := open(t, wal.DefaultConfig(t.TempDir()))
	recs := []wal.Record{{Term: 1, Meta: make([]byte, 10), Data: make([]byte, 64<<10)}}
	if n := testing.AllocsPerRun(300, func() {
		recs[0].Index++
		if err := l.Append(recs); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("an append allocates %v times", n)
	}
}

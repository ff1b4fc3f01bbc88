package engine

import (
	"io"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// grabEntries gives entries of 256 grabs each, all by new shoppers with ids of
// about 12 bytes.
func grabEntries(g *group, l ListingHandle, first, grabs int) [][]byte {
	var entries [][]byte
	var commands []byte
	var shopper []byte
	n := 0
	flush := func() {
		g.sequence++
		h := BatchHeader{Epoch: g.epoch, Sequence: g.sequence, Time: g.clock, Commands: n}
		entries = append(entries, append(AppendBatchHeader(nil, h), commands...))
		commands, n = commands[:0], 0
	}
	for i := range grabs {
		shopper = strconv.AppendInt(append(shopper[:0], "u-"...), int64(1_000_000_000+first+i), 10)
		key := g.state.KeyOf(shopper)
		commands = AppendPlaceHold(commands, l, shopper, &key, 1, g.clock.Add(time.Second))
		if n++; n == 256 {
			flush()
		}
	}
	if n > 0 {
		flush()
	}
	return entries
}

func bigSession(tb testing.TB) (*group, ListingHandle) {
	g := newGroup(tb)
	x := g.session("s", nil, ListingSpec{Stock: MaxStock, LimitPerShopper: 1})
	return g, x.Listings[0]
}

// BenchmarkApplyPlaceHold grants batches of 256 to new shoppers; ns/command is
// what a budget can be held against.
func BenchmarkApplyPlaceHold(b *testing.B) {
	const round = 1024 // batches a state takes before the next one begins
	var g *group
	var entries [][]byte
	index := LogIndex(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%round == 0 {
			b.StopTimer()
			var l ListingHandle
			g, l = bigSession(b)
			entries = grabEntries(g, l, 0, round*256)
			index = g.state.LogIndex()
			runtime.GC()
			b.StartTimer()
		}
		index++
		if err := g.state.Apply(index, entries[i%round], &g.effects); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/command")
}

// BenchmarkMillionHolds reports what a live hold costs in heap, how long a freeze
// of a million takes, and how long encoding them and reading them back.
func BenchmarkMillionHolds(b *testing.B) {
	const holds = 1_000_000
	for b.Loop() {
		g, l := bigSession(b)
		entries := grabEntries(g, l, 0, holds)
		index := g.state.LogIndex()
		before := heapBytes()
		for _, entry := range entries {
			index++
			if err := g.state.Apply(index, entry, &g.effects); err != nil {
				b.Fatal(err)
			}
		}
		held := heapBytes() - before
		runtime.KeepAlive(entries)
		b.ReportMetric(float64(held)/holds, "B/hold")
		start := time.Now()
		snap := g.state.Snapshot()
		b.ReportMetric(float64(time.Since(start).Microseconds()), "freeze-µs")
		start = time.Now()
		n, err := snap.WriteTo(io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "encode-ms")
		b.ReportMetric(float64(n)/holds, "snapshot-B/hold")
		data := encoded(b, snap)
		start = time.Now()
		copied(b, g.state)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "copy-ms")
		runtime.KeepAlive(data)
	}
}

func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

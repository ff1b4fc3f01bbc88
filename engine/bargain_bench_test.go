package engine

import (
	"bytes"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// bargainEntries gives entries in which so many shoppers with ids of 12 bytes start a
// bargain each.
func bargainEntries(g *group, l ListingHandle, bargains int) (entries [][]byte) {
	const batch = 256
	for first := 0; first < bargains; first += batch {
		var commands []Command
		for i := first; i < min(first+batch, bargains); i++ {
			commands = append(commands, Command{Kind: CmdStartBargain, Listing: l,
				Shopper: strconv.AppendInt([]byte("u-"), int64(1_000_000_000+i), 10)})
		}
		g.sequence++
		entries = append(entries, EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: g.sequence, Time: g.clock},
			commands...))
	}
	return entries
}

// idleBargains gives a group with so many bargains that nobody helps, each with a unit set
// aside, and what one takes in heap.
func idleBargains(tb testing.TB, bargains int) (g *group, each float64) {
	g = newGroup(tb)
	l := g.plays("s", bargainPlay(func(p *Play) { p.Cut.TakeStock = true }), int64(bargains), nil)
	entries := bargainEntries(g, l.Handle, bargains)
	index, before := g.state.LogIndex(), heapBytes()
	for _, entry := range entries {
		index++
		if err := g.state.Apply(index, entry, &g.effects); err != nil {
			tb.Fatal(err)
		}
	}
	each = float64(heapBytes()-before) / float64(bargains)
	runtime.KeepAlive(entries)
	if l.Bargains != int64(bargains) || l.Held != l.Bargains {
		tb.Fatalf("%d bargains, %d units set aside", l.Bargains, l.Held)
	}
	return g, each
}

// bargainBytes is the most that an idle bargain may take in heap, its shopper included.
const bargainBytes = 300

func TestIdleBargainsTakeFewBytes(t *testing.T) {
	g, each := idleBargains(t, 50_000)
	t.Logf("%.0f bytes each", each)
	if each > bargainBytes {
		t.Errorf("%.0f bytes each, over %d", each, bargainBytes)
	}
	data := encoded(t, g.state.Snapshot())
	g.state = nil
	before := heapBytes()
	restored := mustRead(t, data)
	if each := float64(heapBytes()-before) / 50_000; each > bargainBytes {
		t.Errorf("%.0f bytes each after a restore, over %d", each, bargainBytes)
	}
	runtime.KeepAlive(restored)
	runtime.KeepAlive(data)
}

// BenchmarkMillionBargains reports what an idle bargain takes in heap, and how long a
// snapshot with a million of them takes to be read.
func BenchmarkMillionBargains(b *testing.B) {
	const bargains = 1_000_000
	for b.Loop() {
		g, each := idleBargains(b, bargains)
		b.ReportMetric(each, "B/bargain")
		data := encoded(b, g.state.Snapshot())
		b.ReportMetric(float64(len(data))/bargains, "snapshot-B/bargain")
		g.state = nil
		runtime.GC()
		start := time.Now()
		s, err := ReadState(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "read-ms")
		runtime.KeepAlive(s)
	}
}

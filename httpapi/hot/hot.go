package hot

import (
	"bytes"
	"cmp"
	"context"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxID is the longest id that is seen, in bytes; others are none of ours.
	MaxID = 64
	// Seconds is how long the window is.
	Seconds = 5
	// sampled: one in so many is looked at. At 1,000 a second that is 156 a window, which tells
	// the rate to some 8%. Less would be felt by who is refused: BenchmarkWatchedRefusedGrab.
	sampled = 32
	// slots of the ring: samples between two times that it is emptied. 4096 in 10 ms are
	// 13,000,000 ids a second.
	slots = 4096
	// counters of a second: with 1,000,000 ids a second, all different, an id with 150 is seen.
	counters   = 8192
	emptyEvery = 10 * time.Millisecond
)

// Of a slot.
const (
	slotFree uint32 = iota
	slotBusy
	slotFull
)

type slot struct {
	state atomic.Uint32
	n     uint8
	id    [MaxID]byte
}

// Watch sees ids. Its methods are safe for concurrent use.
type Watch struct {
	ring    [slots]slot
	next    atomic.Uint32
	dropped atomic.Uint64

	mu      sync.Mutex // the rest: not of Saw
	seed    maphash.Seed
	seconds [Seconds + 1]summary // the last is the one that fills
	at      int
	emptied uint32 // next when the ring was emptied last
	busy    bool   // there was something then
}

// Count is an id, and how often a second it is asked for in the window.
type Count struct {
	ID        string
	PerSecond float64
}

// New makes a Watch; Run empties it.
func New() *Watch {
	w := &Watch{seed: maphash.MakeSeed()}
	for i := range w.seconds {
		w.seconds[i].at = make(map[uint64]int32, counters)
	}
	return w
}

// Saw notes that somebody asks for an id, which it copies; of a path, for its last part.
func (w *Watch) Saw(id []byte) {
	if rand.Uint32()%sampled != 0 {
		return
	}
	w.note(id)
}

func (w *Watch) note(id []byte) {
	id = id[bytes.LastIndexByte(id, '/')+1:]
	if len(id) == 0 || len(id) > MaxID {
		return
	}
	s := &w.ring[w.next.Add(1)%slots]
	if !s.state.CompareAndSwap(slotFree, slotBusy) {
		w.dropped.Add(1)
		return
	}
	s.n = uint8(copy(s.id[:], id))
	s.state.Store(slotFull)
}

// Dropped is how many samples found no room, since the start.
func (w *Watch) Dropped() uint64 { return w.dropped.Load() }

// Run empties the ring until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	empty, second := time.NewTicker(emptyEvery), time.NewTicker(time.Second)
	defer empty.Stop()
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-empty.C:
			w.empty()
		case <-second.C:
			w.turn()
		}
	}
}

func (w *Watch) empty() {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.next.Load()
	if next == w.emptied && !w.busy {
		return
	}
	// One that has a place may still be writing: it is looked for once more.
	w.busy, w.emptied = next != w.emptied, next
	into := &w.seconds[w.at]
	for i := range w.ring {
		s := &w.ring[i]
		if s.state.Load() != slotFull {
			continue
		}
		into.add(maphash.Bytes(w.seed, s.id[:s.n]), s)
		s.state.Store(slotFree)
	}
}

// turn begins another second, in the place of the oldest.
func (w *Watch) turn() {
	w.empty()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = (w.at + 1) % len(w.seconds)
	w.seconds[w.at].reset()
}

// Top gives the ids that are asked for most, at most n, from a rate on; the most first.
func (w *Watch) Top(n int, least float64) (top []Count) {
	w.mu.Lock()
	total := map[string]uint64{}
	for i := range w.seconds {
		if i == w.at {
			continue // it is not over
		}
		for j := range w.seconds[i].heap {
			if c := &w.seconds[i].heap[j]; c.count > c.others {
				total[string(c.id[:c.n])] += uint64(c.count - c.others)
			}
		}
	}
	w.mu.Unlock()
	for id, count := range total {
		if rate := float64(count) * sampled / Seconds; rate >= least {
			top = append(top, Count{id, rate})
		}
	}
	slices.SortFunc(top, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(a.ID, b.ID))
	})
	return top[:min(n, len(top))]
}

// summary is Space-Saving: the counters, as a heap with the least first.
type summary struct {
	heap []counter
	at   map[uint64]int32 // by hash of the id
}

type counter struct {
	hash          uint64
	count, others uint32 // others: of count, may be of ids that had the counter before
	n             uint8
	id            [MaxID]byte
}

func (s *summary) reset() {
	s.heap = s.heap[:0]
	clear(s.at)
}

// add counts an id.
func (s *summary) add(hash uint64, from *slot) {
	at, known := s.at[hash]
	switch {
	case known:
	case len(s.heap) < counters:
		s.heap = append(s.heap, counter{})
		at = int32(len(s.heap) - 1)
		s.take(at, hash, 0, from)
		for at > 0 && s.heap[at].count < s.heap[(at-1)/2].count {
			at = s.swap(at, (at-1)/2)
		}
	default:
		at = 0
		delete(s.at, s.heap[0].hash)
		s.take(0, hash, s.heap[0].count, from)
	}
	s.heap[at].count++
	for {
		least := at
		for child := 2*at + 1; child <= 2*at+2 && int(child) < len(s.heap); child++ {
			if s.heap[child].count < s.heap[least].count {
				least = child
			}
		}
		if least == at {
			return
		}
		at = s.swap(at, least)
	}
}

// take gives a counter to another id.
func (s *summary) take(at int32, hash uint64, count uint32, from *slot) {
	c := &s.heap[at]
	c.hash, c.count, c.others, c.n, c.id = hash, count, count, from.n, from.id
	s.at[hash] = at
}

func (s *summary) swap(a, b int32) int32 {
	s.heap[a], s.heap[b] = s.heap[b], s.heap[a]
	s.at[s.heap[a].hash], s.at[s.heap[b].hash] = a, b
	return b
}

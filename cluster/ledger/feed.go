package ledger

import (
	"sync"

	"doorbuster/engine"
)

// feed is the queue between the goroutine that applies and the ledger's own. Who
// adds never waits: what there is no room for is lost, and gets noticed.
type feed struct {
	most int // events

	mu      sync.Mutex
	entries []*engine.Effects
	events  int
	lost    bool            // something is missing; nothing more is taken in until reset
	last    engine.LogIndex // of the entries since the reset
	leaving map[engine.SessionHandle]*engine.Leaving
	wake    chan struct{}
	room    chan struct{} // closed, and replaced, whenever there may be room again
}

func newFeed(most int) *feed {
	return &feed{most: most, leaving: map[engine.SessionHandle]*engine.Leaving{}, wake: make(chan struct{}, 1), room: make(chan struct{})}
}

// full gives a channel to wait on while so much waits that nothing should be added,
// else nil. What is added anyway has as much room again. A feed that has lost
// something is not full: waiting brings nothing back.
func (f *feed) full() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost || f.events <= f.most/2 {
		return nil
	}
	return f.room
}

// drained wakes who waits for room; f.mu is held.
func (f *feed) drained() {
	close(f.room)
	f.room = make(chan struct{})
}

// add appends what an entry did.
func (f *feed) add(e *engine.Effects) {
	f.mu.Lock()
	size := len(e.Primary) + len(e.Derived) + 1
	switch {
	case f.lost:
	case f.events+size > f.most && f.events > 0:
		f.lose()
	default:
		f.entries = append(f.entries, e)
		f.events += size
		f.last = e.Index
		for _, l := range e.Leaving {
			f.leaving[l.Session] = l
		}
	}
	f.mu.Unlock()
	f.signal()
}

// lose drops everything; f.mu is held.
func (f *feed) lose() {
	f.lost, f.entries, f.events, f.last = true, nil, 0, 0
	f.drained()
	clear(f.leaving)
}

// miss notes that something did not come by the queue.
func (f *feed) miss() {
	f.mu.Lock()
	f.lose()
	f.mu.Unlock()
	f.signal()
}

// reached tells whether everything up to index came by the queue, or was before it.
func (f *feed) reached(index engine.LogIndex) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.lost && f.last >= index
}

// reset begins anew, with what comes from now on.
func (f *feed) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose()
	f.lost = false
}

func (f *feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// take gives entries with up to most events, or at least one entry, if there are any.
func (f *feed) take(most int) (entries []*engine.Effects, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, events := 0, 0
	for n < len(f.entries) && (n == 0 || events < most) {
		e := f.entries[n]
		events += len(e.Primary) + len(e.Derived) + 1
		n++
	}
	entries = f.entries[:n:n]
	if f.entries = f.entries[n:]; len(f.entries) == 0 {
		f.entries = nil
	}
	f.events -= events
	if n > 0 {
		f.drained()
	}
	return entries, f.lost
}

// gone gives the orders of a session that has left the state and is not on disk yet.
func (f *feed) gone(x engine.SessionHandle) *engine.Leaving {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leaving[x]
}

// kept forgets orders that are on disk.
func (f *feed) kept(of []*engine.Leaving) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range of {
		if f.leaving[l.Session] == l {
			delete(f.leaving, l.Session)
		}
	}
}

// waiting tells how many events wait, and since what state time.
func (f *feed) waiting() (events int, since engine.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.entries) > 0 {
		since = f.entries[0].Time
	}
	return f.events, since
}

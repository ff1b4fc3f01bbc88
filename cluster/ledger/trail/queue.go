package trail

import (
	"sync"

	"doorbuster/engine"
)

// item is an entry that waits, and after which index it comes: nothing between the
// two did anything. Without effects it is a snapshot at that index.
type item struct {
	effects *engine.Effects
	after   entry
}

func (i *item) events() int {
	if i.effects == nil {
		return 0
	}
	return len(i.effects.Primary) + len(i.effects.Derived)
}

// quiet: the item only moves the index.
func (i *item) quiet() bool { return i.effects != nil && i.events() == 0 }

func entryOfEffects(e *engine.Effects) entry {
	return entry{e.Index, e.Time, e.Header.Epoch, e.Header.Sequence}
}

// queue stands between the goroutine that applies and the one that writes. Who adds
// never waits.
type queue struct {
	most int // events

	mu      sync.Mutex
	items   []item
	events  int
	seen    entry           // the last that was told of
	reached engine.LogIndex // the trail has, or waits to have, or lost, all up to here
	lost    int64           // entries that there was no room for
	gap     *entry          // the last of them, if nothing was added since
	wake    chan struct{}
	urgent  chan struct{} // signalled while much waits
	room    chan struct{} // closed, and replaced, whenever there may be room again
}

func newQueue(most int) *queue {
	return &queue{most: most, wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), room: make(chan struct{})}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add takes in what an entry did. first: it is the first that is lost.
func (q *queue) add(e *engine.Effects) (first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	after := q.seen
	if after.index < q.reached {
		after = entry{index: q.reached}
	}
	q.seen = entryOfEffects(e)
	if e.Index <= q.reached {
		return false
	}
	q.reached = e.Index
	i := item{e, after}
	if n := len(q.items); i.quiet() && n > 0 && q.items[n-1].quiet() && q.items[n-1].effects.Index == after.index {
		q.items[n-1].effects = e
		return false
	}
	size := i.events() + 1
	if q.events+size > q.most && len(q.items) > 0 {
		q.lost++
		gap := q.seen
		q.gap = &gap
		return q.lost == 1
	}
	q.push(i, size)
	return false
}

func (q *queue) push(i item, size int) {
	q.items, q.gap = append(q.items, i), nil
	q.events += size
	signal(q.wake)
	if q.events > q.most/4 {
		signal(q.urgent)
	}
}

// restored takes in that the state was replaced by that of an index.
func (q *queue) restored(at entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.seen = at; at.index > q.reached {
		q.reached = at.index
		q.push(item{after: at}, 1)
	}
}

// reset forgets what waits; the trail reaches to an index.
func (q *queue) reset(reached engine.LogIndex) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items, q.events, q.reached, q.gap = nil, 0, reached, nil
	q.drained()
}

// take gives items with up to most events, or at least one, if there are any. One
// that only moves the index stays, unless due.
func (q *queue) take(most int, due bool) (items []item, events int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 1 && q.items[0].quiet() && !due {
		return nil, 0
	}
	if len(q.items) == 0 && q.gap != nil { // nobody waits for ever for what is lost
		q.push(item{after: *q.gap}, 1)
	}
	n := 0
	for ; n < len(q.items) && (n == 0 || events < most); n++ {
		events += q.items[n].events()
	}
	items = q.items[:n:n]
	if q.items = q.items[n:]; len(q.items) == 0 {
		q.items = nil
	}
	return items, events
}

// done makes room: so many events and entries are written.
func (q *queue) done(size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = max(q.events-size, 0)
	q.drained()
}

// drained wakes who waits for room; mu is held.
func (q *queue) drained() {
	close(q.room)
	q.room = make(chan struct{})
}

// full gives a channel to wait on while more than half the queue is full, else nil.
func (q *queue) full() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.events <= q.most/2 {
		return nil
	}
	return q.room
}

// waiting tells how many events wait, and since what state time.
func (q *queue) waiting() (events int, since engine.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) > 0 && q.items[0].effects != nil {
		since = q.items[0].effects.Time
	}
	return q.events, since
}

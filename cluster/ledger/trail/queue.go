package trail

import (
	"sync"
	"time"

	"doorbuster/engine"
)

// item is an entry that waits. Without effects nothing is known of it: it was lost, or a
// snapshot's.
type item struct {
	effects *engine.Effects
	seen    entry // the one that was told of before, or is meant
}

// size is what the item takes of the queue's room, 1 if it only moves the index.
func (i *item) size() int {
	if i.effects == nil {
		return 1
	}
	return len(i.effects.Primary) + len(i.effects.Derived) + 1
}

// queue stands between the goroutine that applies and the one that writes. Who adds
// never waits.
type queue struct {
	most int // events

	mu      sync.Mutex
	items   []item
	size    int             // of items
	seen    entry           // the last that was told of
	reached engine.LogIndex // the trail has, or waits to have, all up to here that it will
	lost    int64           // entries that there was no room for
	wake    chan struct{}   // signalled when there is something to do
	room    chan struct{}   // closed, and replaced, whenever there may be room again
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
	i := item{e, q.seen}
	if q.seen = entryOfEffects(e); e.Index <= q.reached {
		return false
	}
	if q.size+i.size() > q.most && len(q.items) > 0 {
		q.lost++
		return q.lost == 1
	}
	q.push(i, e.Index)
	return false
}

func (q *queue) push(i item, reached engine.LogIndex) {
	q.reached = reached
	quiet := q.size == len(q.items) // what waits did nothing, and waits for company
	q.items = append(q.items, i)
	if q.size += i.size(); quiet || q.size > q.most/4 {
		signal(q.wake)
	}
}

// restored takes in that the state was replaced by that of an index.
func (q *queue) restored(at entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seen = at
	signal(q.wake)
}

// reset forgets what waits: the trail reaches to an index, and will go on behind what was
// told of.
func (q *queue) reset(reached engine.LogIndex) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items, q.size, q.reached = nil, 0, reached
	q.drained()
}

// due reports whether something waits that is worth writing; idle: anything is.
func (q *queue) due(idle bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 && q.seen.index > q.reached { // nobody waits forever for what is lost
		q.push(item{seen: q.seen}, q.seen.index)
	}
	return q.size > len(q.items) || len(q.items) > 0 && (idle || q.items[0].effects == nil)
}

// first gives the first items, about most events, up to where coverage breaks off: before
// one that comes behind another than the one before it. They stay until done.
func (q *queue) first(most int) (items []item, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.items) && (n == 0 || size < most && q.items[n].effects != nil &&
		q.items[n-1].effects != nil && q.items[n].seen.index == q.items[n-1].effects.Index) {
		size += q.items[n].size()
		n++
	}
	return q.items[:n:n], size
}

// done lets the first n items go, which is room for so much.
func (q *queue) done(n, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.items = q.items[n:]; len(q.items) == 0 {
		q.items = nil
	}
	q.size -= size
	q.drained()
}

// drained wakes who waits for room; mu is held.
func (q *queue) drained() {
	close(q.room)
	q.room = make(chan struct{})
}

// fuller gives a channel to wait on while more than a part of the queue is full, else nil.
func (q *queue) fuller(than int) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size <= than {
		return nil
	}
	return q.room
}

// waiting tells how many events wait, and since when the first does; zero if none does.
func (q *queue) waiting() (events int, since time.Time, lost int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) > 0 && q.items[0].effects != nil {
		since = q.items[0].effects.Times.Committed
	}
	return q.size, since, q.lost
}

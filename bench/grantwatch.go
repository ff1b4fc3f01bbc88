package bench

import (
	"maps"
	"sync"
	"time"
)

// grantWatch measures how long nothing is granted. Times are of the run. Safe for
// concurrent use.
type grantWatch struct {
	mu sync.Mutex

	last       time.Duration // when a grant was last heard; 0 before the first
	longest    time.Duration // between two grants, since the start
	windowGap  time.Duration // between two grants, since arm
	armed      bool          // between arm and disarm
	struckAt   time.Duration
	eligible   time.Duration // grabs sent before this may have been decided before the strike
	changed    chan struct{} // closed when first grows
	firstHeard map[string]time.Duration
}

func newGrantWatch() *grantWatch { return &grantWatch{changed: make(chan struct{})} }

// arm begins a window: a node is about to be struck.
func (w *grantWatch) arm(at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed, w.struckAt, w.eligible, w.windowGap = true, at, surely, 0
	w.firstHeard = make(map[string]time.Duration)
}

// countFrom says from when on a grab that is sent can't have been decided before
// the strike.
func (w *grantWatch) countFrom(at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.eligible = at
}

// heard notes a grant said by the node at addr. fresh: its shopper had asked for
// nothing before, so that it was decided after it was sent.
func (w *grantWatch) heard(addr string, q ask, fresh bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last > 0 && q.heardAt > w.last {
		gap := q.heardAt - w.last
		w.longest = max(w.longest, gap)
		w.windowGap = max(w.windowGap, gap)
	}
	w.last = max(w.last, q.heardAt)
	if !w.armed || !fresh || q.sentAt < w.eligible {
		return
	}
	if _, already := w.firstHeard[addr]; !already {
		w.firstHeard[addr] = q.heardAt - w.struckAt
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

// granting gives how long after the strike each node first granted a unit that
// was asked for after it, and a channel that is closed when there is more.
func (w *grantWatch) granting() (byNode map[string]time.Duration, more <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.firstHeard), w.changed
}

// urgent reports whether a strike's first grant is still to come from addr.
func (w *grantWatch) urgent(addr string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, heard := w.firstHeard[addr]
	return w.armed && !heard
}

// gap gives the window's longest gap between two grants, so far.
func (w *grantWatch) gap() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.windowGap
}

// disarm ends the window and gives its longest gap between two grants.
func (w *grantWatch) disarm() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	return w.windowGap
}

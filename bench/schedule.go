package bench

import (
	"container/heap"
	"sync"
	"time"
)

// deed is what a worker is to do for a shopper.
type deed uint8

const (
	deedGrab   deed = iota // ask for units
	deedPoll               // ask what became of a grab
	deedPay                // send the cashier's callback
	deedCancel             // give the hold back
)

// task is one deed with its time.
type task struct {
	due     time.Duration // from the start of the run
	deed    deed
	shopper int
	listing int   // index into the run's listings
	click   click // which of the shopper's keys
	first   bool  // an arrival: the shopper's very first click
	probe   bool  // the only click of a shopper who is no part of the crowd
	tries   int   // grabs: how often they came back; pay, cancel: how often tried
	order   *told // pay and cancel only
	// polls only: the grab asked after
	sentAt   time.Duration
	giveUp   time.Duration
	deadline string // that it was told; "" before
}

// schedule hands out tasks as they fall due: the arrivals, which are not stored,
// and what follows from them. A follow-up that is due goes before an arrival.
// It is finished when nothing is left and no worker has a task in hand that
// could still add one.
//
// Safe for concurrent use. Invariant: inHand is the number of takes whose task
// has not been handed back by the same worker's next take.
type schedule struct {
	now  func() time.Duration // time since the start of the run
	pace pace

	mu       sync.Mutex
	wake     *sync.Cond
	arrivals int // not beyond this many
	next     int // the next arrival
	later    taskHeap
	inHand   int
	idle     int // workers waiting in take
	stopped  bool
}

func newSchedule(now func() time.Duration, p pace, arrivals int) *schedule {
	a := &schedule{now: now, pace: p, arrivals: arrivals}
	a.wake = sync.NewCond(&a.mu)
	return a
}

// take waits for the next task. finished says that the caller hands back the
// one it took before. It returns false once all is done.
func (a *schedule) take(finished bool) (task, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if finished {
		a.inHand--
	}
	for {
		now := a.now()
		if len(a.later) > 0 && a.later[0].due <= now {
			t := heap.Pop(&a.later).(task)
			a.inHand++
			a.passOn(now)
			return t, true
		}
		if a.next < a.arrivals {
			if a.pace.due(a.next) <= now {
				a.inHand++
				return a.arrival(), true
			}
		} else if len(a.later) == 0 && a.inHand == 0 {
			a.wake.Broadcast()
			return task{}, false
		}
		a.idle++
		a.wake.Wait()
		a.idle--
	}
}

// arrival is the next. The caller holds the lock and has seen that there is one.
func (a *schedule) arrival() task {
	t := task{due: a.pace.due(a.next), deed: deedGrab, shopper: a.next, first: true}
	a.next++
	return t
}

// arrive gives the next arrival whenever it is due, for who has no use for anything else
// and hands nothing back; false if all have come.
func (a *schedule) arrive() (task, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next >= a.arrivals {
		return task{}, false
	}
	return a.arrival(), true
}

// add puts a follow-up on the schedule. After stop only questions about grabs
// already sent are taken on; it reports whether t was.
func (a *schedule) add(t task) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped && t.deed != deedPoll {
		return false
	}
	heap.Push(&a.later, t)
	return true
}

// stop drops all arrivals and follow-ups that were not begun, except questions
// about grabs already sent: their outcome is still owed to somebody.
func (a *schedule) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	a.arrivals = a.next
	kept := a.later[:0]
	for _, t := range a.later {
		if t.deed == deedPoll {
			kept = append(kept, t)
		}
	}
	a.later = kept
	heap.Init(&a.later)
	a.wake.Broadcast()
}

// passOn wakes another worker if there is a follow-up for it, too: a crowd
// coming back at once would otherwise wait for the next rouse, or wake all.
func (a *schedule) passOn(now time.Duration) {
	if a.idle > 0 && len(a.later) > 0 && a.later[0].due <= now {
		a.wake.Signal()
	}
}

// rouse wakes waiting workers for the tasks that are due, and says how long
// until the next one is (at most longest).
func (a *schedule) rouse(longest time.Duration) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, until, due := a.now(), longest, 0
	if len(a.later) > 0 {
		if d := a.later[0].due - now; d <= 0 {
			due++ // it passes that on
		} else {
			until = min(until, d)
		}
	}
	if a.next < a.arrivals {
		ready := min(a.pace.count(now), a.arrivals) - a.next
		due += ready
		if ready <= 0 {
			until = min(until, a.pace.due(a.next)-now)
		}
	}
	for range min(due, a.idle) {
		a.wake.Signal()
	}
	return until
}

// keepTime rouses workers until done is closed. A timer a worker would cost
// more than the work.
func (a *schedule) keepTime(done <-chan struct{}) {
	const (
		shortest = 200 * time.Microsecond // waking more often takes the shop's time
		longest  = 2 * time.Millisecond   // a follow-up added meanwhile is no later than this
	)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-timer.C:
			timer.Reset(max(shortest, a.rouse(longest)))
		}
	}
}

// taskHeap orders tasks by when they are due.
type taskHeap []task

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h taskHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *taskHeap) Push(x any)        { *h = append(*h, x.(task)) }
func (h *taskHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = task{}
	*h = old[:len(old)-1]
	return t
}

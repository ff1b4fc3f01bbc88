package engine

import "container/heap"

// timer is something that time will do to a hold or a session.
type timer struct {
	at  Time
	who uint32 // an ordinal or a session handle; breaks ties, so that every node agrees
}

// timerHeap is a min-heap by time, then by who.
type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].who < h[j].who
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func (h *timerHeap) add(d timer) { heap.Push(h, d) }
func (h *timerHeap) drop()       { heap.Pop(h) }

// timers know which session time has something to do for first. It holds at
// most one current entry a session; entries that a session's newer one has
// overtaken are dropped when they come up.
type timers struct {
	heap    timerHeap
	current []Time // by session handle - 1; Never if nothing is due
}

// set tells when session has its next due.
func (a *timers) set(session SessionHandle, at Time) {
	for len(a.current) < int(session) {
		a.current = append(a.current, Never)
	}
	if a.current[session-1] == at {
		return
	}
	a.current[session-1] = at
	if at != Never {
		a.heap.add(timer{at, uint32(session)})
	}
	if len(a.heap) > 2*len(a.current)+64 {
		a.compact()
	}
}

// compact drops what newer entries have overtaken: shoppers who grab and let go
// would else leave an entry each until its time comes.
func (a *timers) compact() {
	a.heap = a.heap[:0]
	for i, at := range a.current {
		if at != Never {
			a.heap = append(a.heap, timer{at, uint32(i) + 1})
		}
	}
	heap.Init(&a.heap)
}

// next gives the session with the earliest due, and when; 0 and Never if none.
func (a *timers) next() (SessionHandle, Time) {
	for len(a.heap) > 0 {
		top := a.heap[0]
		if a.current[top.who-1] == top.at {
			return SessionHandle(top.who), top.at
		}
		a.heap.drop()
	}
	return 0, Never
}

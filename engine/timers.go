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

// schedule tells the timers when a session has something to do next. Whatever
// changes that calls it at once: the timers' next time must be exact, because a
// node restored from a snapshot builds it anew and must do the same things in the
// same batch as the others.
func (s *State) schedule(x *Session) { s.timers.set(x.Handle, s.nextTimer(x)) }

func (s *State) nextTimer(x *Session) Time {
	at := Never
	switch x.State {
	case Published:
		at = x.Start
	case Open:
		at = x.End
		if len(x.draws) > 0 {
			at = min(at, s.DrawAt(s.listings[x.draws[0]-1]))
		}
		if !x.Paused {
			at = min(at, s.nextAside(x))
		}
	}
	at = min(at, s.nextBargain(x))
	if _, due := s.nextParcel(x); due < at {
		at = due
	}
	if len(x.restless) > 0 {
		at = 0 // at once, and before all else that is due
	}
	if ref := s.nextInSequence(x); !ref.IsZero() {
		at = min(at, s.Order(ref).Due())
	}
	if ref := s.nextExceptional(x); !ref.IsZero() {
		at = min(at, s.Order(ref).Due())
	}
	return at
}

// nextInSequence moves past holds that are over and gives the first that is not.
func (s *State) nextInSequence(x *Session) OrderRef {
	for int(x.expired) < x.orders.len() {
		if o := x.orders.at(int(x.expired)); o.State == Held && o.inSequence && !s.listings[o.Listing-1].Frozen {
			return OrderRef{x.Handle, x.expired + 1}
		}
		x.expired++
	}
	return OrderRef{}
}

func (s *State) nextExceptional(x *Session) OrderRef {
	for len(x.exceptional) > 0 {
		top := x.exceptional[0]
		o := x.orders.at(int(top.who) - 1)
		if o.State == Held && !o.inSequence && o.Due() == top.at && !s.listings[o.Listing-1].Frozen {
			return OrderRef{x.Handle, top.who}
		}
		x.exceptional.drop()
	}
	return OrderRef{}
}

// nextAside gives when the first time is over that something is set aside for; Never if
// nothing is.
func (s *State) nextAside(x *Session) Time {
	for len(x.asides) > 0 {
		if l := s.listings[x.asides[0].who-1]; l.Aside == x.asides[0].at && !l.Frozen {
			return l.Aside
		}
		x.asides.drop()
	}
	return Never
}

// runTimers does what is due at state time, up to the batch's share; the rest comes
// with the next batch, and until then overdue holds are treated as expired
// wherever somebody asks.
func (s *State) runTimers() {
	for s.timersLeft > 0 {
		h, at := s.timers.next()
		if h == 0 || at > s.now {
			return
		}
		s.timersLeft--
		s.runSession(s.sessions[h-1])
	}
}

// runSession does one due thing in a session, the earliest.
func (s *State) runSession(x *Session) {
	var ref OrderRef
	at := Never
	if first := s.nextInSequence(x); !first.IsZero() {
		ref, at = first, s.Order(first).Due()
	}
	if first := s.nextExceptional(x); !first.IsZero() && s.Order(first).Due() < at {
		ref, at = first, s.Order(first).Due()
	}
	if len(x.restless) > 0 { // left over from the batch before: before all that is new
		if l := s.listings[x.restless[0]-1]; s.workWaitlist(l) {
			s.calm(l)
		}
		return
	}
	if s.nextBargain(x) <= min(at, s.now) {
		s.expireBargain(x)
		return
	}
	if ref, due := s.nextParcel(x); due <= min(at, s.now) {
		s.derive(s.passParcel(x, ref))
		return
	}
	if x.State == Open && !x.Paused && s.nextAside(x) <= min(at, s.now) {
		s.touch(ListingHandle(x.asides[0].who)) // its waitlist goes on when all else of the batch is done
		x.asides.drop()
		s.schedule(x)
		return
	}
	if x.State == Open && len(x.draws) > 0 {
		if closes := s.DrawAt(s.listings[x.draws[0]-1]); closes <= s.now && closes <= at {
			s.derive(s.closeDraw(x))
			return
		}
	}
	switch {
	case x.State == Published && x.Start <= s.now && x.Start <= at:
		s.derive(s.openSession(x))
	case x.State == Open && x.End <= s.now && x.End <= at:
		s.derive(s.endSession(x))
	case at <= s.now:
		s.derive(s.release(ref, Expired, ReasonExpired))
	}
}

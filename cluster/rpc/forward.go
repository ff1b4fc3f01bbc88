package rpc

import (
	"slices"
	"time"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// Grab forwards q and blocks until it is answered, or until patience is over
// (engine.ErrOutcomeUnknown, at most some ten milliseconds late). Nothing of q is
// kept. deadline, in state time, goes with it. applied is the other node's
// applied index when it answered, which has all that the answer tells.
//
// With MaxPending grabs waiting already it is engine.ErrOutcomeUnknown at once.
func (r *Peer) Grab(q *engine.Grab, deadline engine.Time, patience time.Duration) (a engine.Answer, applied engine.LogIndex, err error) {
	switch { // no listing has such a name, and no rule allows as many
	case len(q.Listing) == 0 || len(q.Listing) > maxListingBytes:
		return engine.Answer{Reason: engine.ReasonUnknown}, 0, nil
	case q.Quantity > engine.MaxQuantity:
		return engine.Answer{Reason: engine.ReasonQuantity, Limit: engine.MaxQuantity}, 0, nil
	}
	if err := checkGrab(q); err != nil {
		return engine.Answer{}, 0, err
	}
	w, err := r.enqueue(q, deadline, r.peers.now()+patience)
	if err != nil {
		return engine.Answer{}, 0, err
	}
	if !w.await(r.peers.now) {
		return engine.Answer{}, 0, engine.ErrOutcomeUnknown
	}
	a, applied, err = w.answer, w.applied, w.err
	r.mu.Lock()
	r.putBack(w)
	r.mu.Unlock()
	return a, applied, err
}

// GiveUp ends the stream of grabs, for when the other node is known to lead no
// longer but may never say so: its machine is gone, or cut off. What waits there
// is answered at once, as if the connection had broken; later grabs try anew.
func (r *Peer) GiveUp() {
	r.mu.Lock()
	s := r.stream
	r.mu.Unlock()
	if s != nil {
		s.cancel()
	}
}

func (r *Peer) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// enqueue adds a grab to what goes out next.
func (r *Peer) enqueue(q *engine.Grab, deadline engine.Time, expires time.Duration) (*waiter, error) {
	r.start.Do(func() { go r.run() })
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, errNotReached("forgotten")
	}
	var w *waiter
	if n := len(r.free); n > 0 {
		w, r.free[n-1], r.free = r.free[n-1], nil, r.free[:n-1]
	} else if len(r.all) < MaxPending {
		w = &waiter{wake: make(chan struct{}, 1), place: uint32(len(r.all))}
		r.all = append(r.all, w)
	} else {
		r.mu.Unlock()
		return nil, engine.ErrOutcomeUnknown
	}
	w.at = len(r.lent)
	r.lent = append(r.lent, w)
	first := len(r.queue) == 0
	addGrab(r.gathering(), w.begin(expires), q, deadline)
	r.mu.Unlock()
	if first {
		r.signal()
	}
	return w, nil
}

// gathering gives a batch with room; r.mu is held.
func (r *Peer) gathering() *peerpb.GrabBatch {
	if n := len(r.queue); n > 0 && len(r.queue[n-1].Ids) < maxBatch {
		return r.queue[n-1]
	}
	m := new(peerpb.GrabBatch)
	if n := len(r.spare); n > 0 {
		m, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	r.queue = append(r.queue, m)
	return m
}

// next takes the batch that is to be sent, nil if there is none, and gives back
// the one that was sent before. What has been taken counts as sent.
func (r *Peer) next(sent *peerpb.GrabBatch) *peerpb.GrabBatch {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recycle(sent)
	if len(r.queue) == 0 {
		return nil
	}
	m := r.queue[0]
	n := copy(r.queue, r.queue[1:])
	r.queue[n], r.queue = nil, r.queue[:n]
	return m
}

// recycle keeps the memory of a batch, of a few; r.mu is held.
func (r *Peer) recycle(m *peerpb.GrabBatch) {
	if m != nil && len(r.spare) < 4 {
		emptyGrabs(m)
		r.spare = append(r.spare, m)
	}
}

// finish completes a waiter that the caller is the completer of; r.mu is held.
func (r *Peer) finish(w *waiter, err error) {
	w.err = err
	if !w.complete() {
		r.putBack(w)
	}
}

// putBack frees a waiter; r.mu is held.
func (r *Peer) putBack(w *waiter) {
	w.end()
	last := r.lent[len(r.lent)-1]
	r.lent[w.at], last.at = last, w.at
	r.lent = r.lent[:len(r.lent)-1]
	r.free = append(r.free, w)
}

// failQueued answers what has not been sent.
func (r *Peer) failQueued(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failQueue(err)
}

func (r *Peer) failQueue(err error) {
	for _, m := range r.queue {
		for _, id := range m.Ids {
			if w := r.all[id&placeMask]; w.waits(id) {
				r.finish(w, err)
			}
		}
		r.recycle(m)
	}
	clear(r.queue)
	r.queue = r.queue[:0]
}

// failAll answers everything once a stream has ended and its receiver with it.
func (r *Peer) failAll(unsent, sent error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream = nil
	r.failQueue(unsent)
	for _, w := range slices.Clone(r.lent) {
		if use := w.use.Load(); w.waits(use >> phaseBits << placeBits) {
			r.finish(w, sent)
		}
	}
}

// look wakes those whose patience is over, and sees to a stream that is silent.
func (r *Peer) look(now time.Duration) {
	r.mu.Lock()
	r.looked = append(r.looked[:0], r.lent...) // so that nobody waits for the look; who has gone meanwhile is not pending
	s := r.stream
	r.mu.Unlock()
	if len(r.looked) == 0 {
		return
	}
	for _, w := range r.looked {
		if w.use.Load()&phaseMask == phasePending && w.expires.Load() <= int64(now) {
			w.signal()
		}
	}
	if s != nil {
		s.listen(now)
	}
}

package rpc

import (
	"fmt"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// An id names a use of a place in a Peer's table: the place below, the use's number
// above. A number comes again only after 2^48 uses of the same place.
const (
	placeBits = 16
	placeMask = 1<<placeBits - 1
)

// asked is a grab that an answer is owed for. Who takes it off the table tells reply,
// once: the stream's receiver, and once that has ended, who clears up after the stream.
type asked struct {
	id    uint64
	reply engine.Reply // nil: the place is free
}

// batch is what goes out as one message.
type batch struct {
	m   peerpb.GrabBatch
	ids []uint64
}

// Grab forwards q and has reply told what came of it, with the other node's applied
// index then, which has all that the answer tells. It does not wait, and nothing of q is
// kept. deadline, in state time, goes with it.
//
// With MaxPending grabs under way already it is engine.ErrOutcomeUnknown at once.
func (r *Peer) Grab(q *engine.Grab, deadline engine.Time, reply engine.Reply) {
	err := error(nil)
	switch { // no listing has such a name, and no rule allows as many
	case len(q.Listing) == 0 || len(q.Listing) > maxListingBytes:
		reply.Decided(engine.Answer{Reason: engine.ReasonUnknown}, 0, nil)
		return
	case q.Quantity > engine.MaxQuantity:
		reply.Decided(engine.Answer{Reason: engine.ReasonQuantity, Limit: engine.MaxQuantity}, 0, nil)
		return
	default:
		err = checkGrab(q)
	}
	if err == nil {
		err = r.enqueue(q, deadline, reply)
	}
	if err != nil {
		reply.Decided(engine.Answer{}, 0, err)
	}
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
func (r *Peer) enqueue(q *engine.Grab, deadline engine.Time, reply engine.Reply) error {
	r.start.Do(func() { go r.run() })
	r.mu.Lock()
	defer r.mu.Unlock()
	place := uint32(len(r.table))
	switch n := len(r.free); {
	case r.closed:
		return errNotReached("forgotten")
	case n > 0:
		place, r.free = r.free[n-1], r.free[:n-1]
	case place == MaxPending:
		return engine.ErrOutcomeUnknown
	default:
		r.table = append(r.table, asked{id: uint64(place)})
	}
	a := &r.table[place]
	a.id, a.reply = a.id+1<<placeBits, reply
	b := r.gathering()
	b.ids = append(b.ids, a.id)
	b.m.Grabs, b.m.Packed = b.m.Grabs+1, appendGrab(b.m.Packed, a.id, q, deadline)
	if len(r.queue) == 1 && len(b.ids) == 1 {
		r.signal()
	}
	return nil
}

// gathering gives a batch with room; r.mu is held.
func (r *Peer) gathering() *batch {
	if n := len(r.queue); n > 0 && len(r.queue[n-1].ids) < maxBatch {
		return r.queue[n-1]
	}
	b := new(batch)
	if n := len(r.spare); n > 0 {
		b, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	r.queue = append(r.queue, b)
	return b
}

// next takes the batch that is to be sent, nil if there is none, and gives back
// the one that was sent before. What has been taken counts as sent.
func (r *Peer) next(sent *batch) *batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recycle(sent)
	if len(r.queue) == 0 {
		return nil
	}
	b := r.queue[0]
	n := copy(r.queue, r.queue[1:])
	r.queue[n], r.queue = nil, r.queue[:n]
	return b
}

// recycle keeps the memory of a batch, of a few; r.mu is held.
func (r *Peer) recycle(b *batch) {
	if b != nil && len(r.spare) < 4 {
		b.m.Grabs, b.m.Packed, b.ids = 0, b.m.Packed[:0], b.ids[:0]
		r.spare = append(r.spare, b)
	}
}

// take takes a grab off the table; nil if no answer is owed for it. r.mu is held.
func (r *Peer) take(id uint64) (reply engine.Reply) {
	place := id & placeMask
	if place >= uint64(len(r.table)) || r.table[place].id != id {
		return nil
	}
	if reply, r.table[place].reply = r.table[place].reply, nil; reply != nil {
		r.free = append(r.free, uint32(place))
	}
	return reply
}

// answered tells what came.
func (r *Peer) answered(got []decided, applied engine.LogIndex) error {
	r.peers.applied(applied)
	for i := range got {
		d := &got[i]
		r.mu.Lock()
		reply := r.take(d.id)
		r.mu.Unlock()
		if reply == nil {
			return fmt.Errorf("an answer to grab %#x, which nobody asked", d.id)
		}
		reply.Decided(d.answer, applied, d.err)
	}
	return nil
}

// waiting counts the grabs that an answer is owed for.
func (r *Peer) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.table) - len(r.free)
}

// failQueued answers what has not been sent.
func (r *Peer) failQueued(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failQueue(err)
}

func (r *Peer) failQueue(err error) {
	for _, b := range r.queue {
		r.fail(err, b.ids...)
		r.recycle(b)
	}
	clear(r.queue)
	r.queue = r.queue[:0]
}

func (r *Peer) fail(err error, ids ...uint64) {
	for _, id := range ids {
		if reply := r.take(id); reply != nil {
			reply.Decided(engine.Answer{}, 0, err)
		}
	}
}

// failAll answers everything once a stream has ended and its receiver with it.
func (r *Peer) failAll(unsent, sent error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream = nil
	r.failQueue(unsent)
	for i := range r.table {
		r.fail(sent, r.table[i].id)
	}
}

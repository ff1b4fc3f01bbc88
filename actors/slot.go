package actors

import (
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// slot carries one grab to its actor and the answer back. The front that took it
// from the pool waits on it; whoever completes it writes the answer first. If the
// front gives up (its deadline), the slot is abandoned, and only its completer
// returns it to the pool: otherwise answers would cross shoppers.
type slot struct {
	state  atomic.Uint32
	done   chan struct{} // one place: the completer never blocks
	answer engine.Answer
	timer  *time.Timer

	gate        *gate
	shopper     []byte // in shopperRoom
	key         engine.Key
	quantity    uint32
	deadline    engine.Time
	fingerprint uint64
	shopperRoom [engine.MaxShopperBytes]byte
}

const (
	slotPending uint32 = iota
	slotDone
	slotAbandoned
)

type slotPool struct{ pool sync.Pool }

func newSlotPool() *slotPool {
	return &slotPool{sync.Pool{New: func() any {
		timer := time.NewTimer(time.Hour)
		timer.Stop()
		return &slot{done: make(chan struct{}, 1), timer: timer}
	}}}
}

// take gives a pending slot that holds a copy of what the grab says.
func (p *slotPool) take(g *gate, shopper []byte, fingerprint uint64, key engine.Key, quantity uint32, deadline engine.Time) *slot {
	s := p.pool.Get().(*slot)
	s.state.Store(slotPending)
	s.gate, s.fingerprint, s.key, s.quantity, s.deadline = g, fingerprint, key, quantity, deadline
	s.shopper = append(s.shopperRoom[:0], shopper...)
	return s
}

func (p *slotPool) put(s *slot) {
	s.gate = nil
	p.pool.Put(s)
}

// complete hands the answer to who waits. The caller must not touch s afterwards.
func (p *slotPool) complete(s *slot, a engine.Answer) {
	s.answer = a
	s.gate.waiting.Add(-1)
	if s.state.CompareAndSwap(slotPending, slotDone) {
		s.done <- struct{}{}
		return
	}
	p.put(s)
}

// abandoned tells a holder of s, who has not completed it, that nobody waits.
func (s *slot) abandoned() bool { return s.state.Load() == slotAbandoned }

// wait gives the answer, or false when patience ran out; then s is no longer the
// caller's.
func (p *slotPool) wait(s *slot, patience time.Duration) (engine.Answer, bool) {
	select {
	case <-s.done:
		return p.finish(s), true
	default:
	}
	s.timer.Reset(patience)
	select {
	case <-s.done:
		s.timer.Stop()
		return p.finish(s), true
	case <-s.timer.C:
		if s.state.CompareAndSwap(slotPending, slotAbandoned) {
			return engine.Answer{}, false
		}
		<-s.done // completed in the same instant
		return p.finish(s), true
	}
}

func (p *slotPool) finish(s *slot) engine.Answer {
	a := s.answer
	p.put(s)
	return a
}

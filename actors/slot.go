package actors

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// slot carries one grab to its actor, or to the node that leads, and the answer back.
// The front that took it from the pool waits on it; whoever completes it writes the
// answer first. If the front gives up (its deadline), the slot is abandoned, and only
// its completer returns it to the pool: otherwise answers would cross shoppers. Where a
// reply is to be told instead, nobody waits and nobody gives up.
type slot struct {
	pool  *slotPool
	state atomic.Uint32
	// wake says "look at the state", nothing more: a spurious one, even one
	// meant for the slot's use before, does no harm.
	wake    chan struct{} // one place; nobody blocks on sending
	expires atomic.Int64  // when to wake the front if nobody has, in ns of the pool's clock
	place   int           // among those that are lent; the pool's
	answer  engine.Answer
	index   engine.LogIndex // what the node had applied that decided elsewhere
	reply   engine.Reply    // nil: a front waits

	gate         *gate  // nil: it is decided elsewhere
	shopper      []byte // in shopperBytes
	key          engine.Key
	quantity     uint32
	waitlist     bool   // would rather join the waitlist
	ticket       uint64 // 0 without
	transaction  engine.Transaction
	deadline     engine.Time
	fingerprint  uint64
	shopperBytes [engine.MaxShopperBytes]byte
}

const (
	slotFree uint32 = iota
	slotPending
	slotCompleting // its answer is being written
	slotDone
	slotAbandoned
)

// expiryTick is how exactly a front's patience is kept. One goroutine looks
// after all slots: a timer for each would cost more than the grab itself.
const expiryTick = 10 * time.Millisecond

// slotPool lends slots. Safe for concurrent use.
type slotPool struct {
	began     time.Time
	stop      chan struct{}
	undecided undecided // also those whose fronts have left

	mu   sync.Mutex
	free []*slot
	lent []*slot // in no order
}

func newSlotPool() *slotPool {
	p := &slotPool{began: time.Now(), stop: make(chan struct{})}
	go p.watch()
	return p
}

func (p *slotPool) close() { close(p.stop) }

// now is monotonic.
func (p *slotPool) now() time.Duration { return time.Since(p.began) }

// watch wakes fronts whose patience has run out.
func (p *slotPool) watch() {
	tick := time.NewTicker(expiryTick)
	defer tick.Stop()
	var look []*slot // a copy, so that nobody waits for the look; who has gone meanwhile is not pending
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		look = append(look[:0], p.lent...)
		p.mu.Unlock()
		now := int64(p.now())
		for _, s := range look {
			if s.state.Load() == slotPending && s.expires.Load() <= now {
				s.signal()
			}
		}
	}
}

func (s *slot) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // a token that is still there makes the front look as well
	}
}

// lend gives a pending slot for x, for a front that waits as long as x may, or a reply.
func (p *slotPool) lend(x *passing, gate *gate) *slot {
	p.mu.Lock()
	var s *slot
	if n := len(p.free); n > 0 {
		s, p.free = p.free[n-1], p.free[:n-1]
	} else {
		s = &slot{pool: p, wake: make(chan struct{}, 1)}
	}
	s.place = len(p.lent)
	p.lent = append(p.lent, s)
	p.mu.Unlock()
	s.gate, s.fingerprint, s.key, s.deadline, s.reply = gate, x.fingerprint, x.key, x.deadline, x.reply
	s.quantity, s.waitlist, s.ticket, s.transaction = x.Quantity, x.Waitlist, x.Ticket, x.Transaction
	s.shopper = append(s.shopperBytes[:0], x.Shopper...)
	s.expires.Store(int64(x.expires))
	p.undecided.enter(x.fingerprint)
	s.state.Store(slotPending)
	return s
}

func (p *slotPool) put(s *slot) {
	s.gate, s.reply = nil, nil
	s.state.Store(slotFree)
	p.mu.Lock()
	last := len(p.lent) - 1
	p.lent[s.place], p.lent[last].place = p.lent[last], s.place
	p.lent = p.lent[:last] // what lies behind is free, and kept
	p.free = append(p.free, s)
	p.mu.Unlock()
}

// complete hands the answer to who waits. The caller must not touch s afterwards:
// a slot has one holder at a time, and only that one completes it. Completing it
// again does nothing.
func (p *slotPool) complete(s *slot, a engine.Answer) { s.complete(a, 0) }

func (s *slot) complete(a engine.Answer, index engine.LogIndex) {
	waits := s.state.CompareAndSwap(slotPending, slotCompleting)
	if !waits && !s.state.CompareAndSwap(slotAbandoned, slotCompleting) {
		return
	}
	if s.gate != nil {
		s.gate.waiting.Add(-1)
	}
	s.pool.undecided.leave(s.fingerprint)
	switch reply := s.reply; {
	case reply != nil:
		s.pool.put(s)
		tell(reply, a)
	case waits:
		s.answer, s.index = a, index
		s.state.Store(slotDone)
		s.signal()
	default:
		s.pool.put(s)
	}
}

// tell gives a reply what came of a grab here.
func tell(reply engine.Reply, a engine.Answer) {
	err := error(nil)
	if a == unknown {
		err = engine.ErrOutcomeUnknown
	}
	reply.Decided(a, 0, err)
}

// Decided is engine.Reply's, of the node that was asked.
func (s *slot) Decided(a engine.Answer, index engine.LogIndex, err error) {
	switch {
	case errors.Is(err, engine.ErrNotLeader):
		a = unasked
	case err != nil:
		a = unknown
	}
	s.complete(a, index)
}

// abandoned tells a holder of s, who has not completed it, that nobody waits.
func (s *slot) abandoned() bool { return s.state.Load() == slotAbandoned }

// wait gives the answer, or false when patience ran out; then s is no longer the
// caller's.
func (p *slotPool) wait(s *slot) (a engine.Answer, index engine.LogIndex, answered bool) {
	for range s.wake {
		if s.state.Load() == slotDone {
			a, index = s.answer, s.index
			p.put(s)
			return a, index, true
		}
		if int64(p.now()) >= s.expires.Load() && s.state.CompareAndSwap(slotPending, slotAbandoned) {
			break
		}
	}
	return a, 0, false
}

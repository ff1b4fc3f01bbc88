package actors

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// slot carries one grab to its actor, or to the node that leads, and tells its reply what
// came of it. Whoever holds it completes it, once. Where its time is over before, the
// reply is told that, the slot is abandoned, and its holder only gives it back: otherwise
// answers would cross shoppers.
type slot struct {
	pool    *slotPool
	state   atomic.Uint32 // how it stands, below, and above that how often it was lent
	expires time.Duration // by the pool's clock; guarded by state
	place   int           // among those that are lent; the pool's
	reply   engine.Reply

	gate         *gate  // nil: it is decided elsewhere
	shopper      []byte // in shopperBytes
	key          engine.Key
	quantity     uint32
	waitlist     bool   // would rather join the waitlist
	ticket       uint64 // 0 without
	bargain      uint32 // to buy by; 0 without
	priced       bool   // price is what the play's expression says
	price        int64
	transaction  engine.Transaction
	trace        engine.Trace
	deadline     engine.Time
	fingerprint  uint64
	shopperBytes [engine.MaxShopperBytes]byte
}

const (
	slotFree    uint32 = iota
	slotHanding        // to another node: what its grab points to is still read, so it does not expire
	slotPending
	slotAbandoned

	slotStates = 3 // mask
	slotUse    = 4 // one more
)

// expiryTick is how exactly the patience of a grab is kept. One goroutine looks
// after all slots: a timer for each would cost more than the grab itself.
const expiryTick = 10 * time.Millisecond

// slotPool lends slots. Safe for concurrent use.
type slotPool struct {
	began     time.Time
	patience  time.Duration // that grabs of this node come with
	stop      chan struct{}
	undecided undecided // also those whose time is over

	mu   sync.Mutex
	free []*slot
	lent []*slot       // in no order
	next time.Duration // none that is lent expires sooner
}

func newSlotPool(patience time.Duration) *slotPool {
	p := &slotPool{patience: patience, began: time.Now(), stop: make(chan struct{}), next: math.MaxInt64}
	go p.watch()
	return p
}

func (p *slotPool) close() { close(p.stop) }

// now is monotonic.
func (p *slotPool) now() time.Duration { return time.Since(p.began) }

// watch tells those whose time is over.
func (p *slotPool) watch() {
	tick := time.NewTicker(expiryTick)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		for _, late := range p.expired(p.now()) {
			late.Decided(engine.Answer{}, 0, errExpired)
		}
	}
}

// expired abandons the slots whose time is over, and gives who is to be told.
func (p *slotPool) expired(now time.Duration) (late []engine.Reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next > now {
		return nil
	}
	p.next = math.MaxInt64
	for _, s := range p.lent {
		switch state := s.state.Load(); {
		case state&slotStates == slotAbandoned:
		case s.expires <= now && state&slotStates == slotPending &&
			s.state.CompareAndSwap(state, state+slotAbandoned-slotPending):
			late = append(late, s.reply)
		default: // also if it is just being lent, or given back
			p.next = min(p.next, s.expires)
		}
	}
	return late
}

// lend gives a slot for x, whose reply is told in any case: a pending one, or (no gate) one
// that is to be handed.
func (p *slotPool) lend(x *passing, gate *gate) *slot {
	p.mu.Lock()
	var s *slot
	if n := len(p.free); n > 0 {
		s, p.free = p.free[n-1], p.free[:n-1]
	} else {
		s = &slot{pool: p}
	}
	s.place, s.expires, s.reply = len(p.lent), x.expires, x.reply
	p.lent = append(p.lent, s)
	p.next = min(p.next, x.expires)
	p.mu.Unlock()
	s.gate, s.fingerprint, s.key, s.deadline = gate, x.fingerprint, x.key, x.deadline
	s.quantity, s.waitlist, s.ticket, s.transaction = x.Quantity, x.Waitlist, x.Ticket, x.Transaction
	s.bargain, s.priced, s.trace = x.Bargain, false, x.Trace
	s.shopper = append(s.shopperBytes[:0], x.Shopper...)
	p.undecided.enter(x.fingerprint)
	stands := slotPending
	if gate == nil {
		stands = slotHanding
	}
	s.state.Add(stands)
	return s
}

// handed has a slot expire from now on that state was lent in. It may have been completed
// meanwhile, and lent to another.
func (s *slot) handed(state uint32) { s.state.CompareAndSwap(state, state+slotPending-slotHanding) }

func (p *slotPool) put(s *slot) {
	s.state.Add(slotUse)
	p.mu.Lock()
	s.gate, s.reply, s.trace = nil, nil, nil
	last := len(p.lent) - 1
	p.lent[s.place], p.lent[last].place = p.lent[last], s.place
	p.lent = p.lent[:last] // what lies behind is free, and kept
	p.free = append(p.free, s)
	p.mu.Unlock()
}

// Decided completes s: it is engine.Reply's, of the node or the actor that was asked. The
// caller must not touch s afterwards.
func (s *slot) Decided(a engine.Answer, index engine.LogIndex, err error) {
	state, reply := s.state.Load(), s.reply
	for !s.state.CompareAndSwap(state, state&^slotStates) { // it is just handed, or expires
		state = s.state.Load()
	}
	if s.gate != nil {
		s.gate.waiting.Add(-1)
	}
	s.pool.undecided.leave(s.fingerprint)
	s.pool.put(s)
	if state&slotStates != slotAbandoned {
		reply.Decided(a, index, err)
	}
}

// handedAt gives when the grab of s was handed on, if it came to this node; else zero.
func (s *slot) handedAt() time.Time {
	if s.expires == math.MaxInt64 {
		return time.Time{}
	}
	return s.pool.began.Add(s.expires - s.pool.patience)
}

// abandoned tells a holder of s, who has not completed it, that nobody waits.
func (s *slot) abandoned() bool { return s.state.Load()&slotStates == slotAbandoned }

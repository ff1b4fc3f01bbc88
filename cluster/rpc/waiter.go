package rpc

import (
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// waiter is where a front waits for the answer to a forwarded grab. Whoever
// completes it writes the answer first. If the front gives up, the waiter is
// abandoned, and only its completer makes it free again: otherwise answers would
// cross shoppers. There is one completer at a time: the stream's receiver, and
// once that has ended, who clears up after the stream.
type waiter struct {
	// use is the number of this use, shifted by phaseBits, and its phase.
	use atomic.Uint64
	// wake says "look at the phase", nothing more: a spurious one, even one
	// meant for the use before, does no harm.
	wake    chan struct{} // one place; nobody blocks on sending
	expires atomic.Int64  // when patience is over, in ns of the clock of Peers
	place   uint32        // in its peer's table
	at      int           // in its peer's lent

	answer  engine.Answer
	applied engine.LogIndex
	err     error
}

const (
	phaseFree uint64 = iota
	phasePending
	phaseDone
	phaseAbandoned
	phaseBits = 2
	phaseMask = 1<<phaseBits - 1
)

// An id names a use of a waiter: its place below, the use's number above. A
// number comes again only after 2^48 uses of the same waiter.
const (
	placeBits = 16
	placeMask = 1<<placeBits - 1
)

func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // a token that is still there makes the front look as well
	}
}

// begin starts the next use, and gives its id.
func (w *waiter) begin(expires time.Duration) (id uint64) {
	w.expires.Store(int64(expires))
	use := w.use.Load()>>phaseBits + 1
	w.use.Store(use<<phaseBits | phasePending)
	return use<<placeBits | uint64(w.place)
}

// end makes it free; by the front that has the answer, or the completer of an
// abandoned one.
func (w *waiter) end() {
	w.answer, w.err = engine.Answer{}, nil
	w.use.Store(w.use.Load() &^ phaseMask)
}

// waits tells whether the use that id names has not been completed.
func (w *waiter) waits(id uint64) bool {
	use := w.use.Load()
	phase := use & phaseMask
	return (phase == phasePending || phase == phaseAbandoned) && use>>phaseBits == id>>placeBits
}

// complete hands over what has been written to w, or gives false if nobody waits.
func (w *waiter) complete() bool {
	use := w.use.Load()
	if use&phaseMask == phasePending && w.use.CompareAndSwap(use, use&^phaseMask|phaseDone) {
		w.signal()
		return true
	}
	return false
}

// await waits for the answer; false when patience has run out, and then w is no
// longer the caller's.
func (w *waiter) await(now func() time.Duration) bool {
	for range w.wake {
		use := w.use.Load()
		if use&phaseMask == phaseDone {
			return true
		}
		if int64(now()) >= w.expires.Load() && w.use.CompareAndSwap(use, use&^phaseMask|phaseAbandoned) {
			return false
		}
	}
	return false
}

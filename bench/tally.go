package bench

import (
	"sync"
	"sync/atomic"
	"time"
)

// tally counts what was asked and answered. Safe for concurrent use.
type tally struct {
	all, yes, no *latency // of the first answer to a grab, by its code
	lag          *latency // open loop: how late grabs were sent

	shoppers    atomic.Int64 // who sent their first grab
	asks        atomic.Int64 // grabs sent, second clicks and returns too
	processing  atomic.Int64 // grabs first answered "processing"
	lookedUp    atomic.Int64 // orders read for the verdict
	lastArrival atomic.Int64 // ns of the run
	polls       atomic.Int64
	granted     atomic.Int64 // distinct orders told

	soldOut, missed, errors  atomic.Int64 // running counts for the progress
	paid, payRefused         atomic.Int64 // orders
	cancelled, cancelRefused atomic.Int64
	orderUnknown             atomic.Int64 // payments and cancellations answered 404
	mu                       sync.Mutex
	outcomes                 map[string]int64 // by final code
}

func newTally() *tally {
	return &tally{
		all: newLatency(), yes: newLatency(), no: newLatency(), lag: newLatency(),
		outcomes: make(map[string]int64),
	}
}

// asked notes the first answer to a grab.
func (t *tally) asked(worker int, code string, took time.Duration) {
	t.asks.Add(1)
	switch code {
	case outcomeUnknown, outcomeNotSent:
		return // nothing was answered, so nothing was measured
	case codeProcessing:
		t.processing.Add(1)
	case codeGranted, codeWaitlisted, codeEntered:
		t.yes.record(worker, took)
	default:
		t.no.record(worker, took)
	}
	t.all.record(worker, took)
}

// arrived notes that a shopper's first grab left at sent.
func (t *tally) arrived(sent time.Duration) {
	t.shoppers.Add(1)
	for last := t.lastArrival.Load(); int64(sent) > last; last = t.lastArrival.Load() {
		if t.lastArrival.CompareAndSwap(last, int64(sent)) {
			return
		}
	}
}

// outcome notes what finally came of a grab.
func (t *tally) outcome(code string) {
	switch {
	case code == codeSoldOut:
		t.soldOut.Add(1)
	case code == codeMissed:
		t.missed.Add(1)
	case knownCode([]byte(code)) == "":
		t.errors.Add(1)
	}
	t.mu.Lock()
	t.outcomes[code]++
	t.mu.Unlock()
}

// settled notes the answer to a payment or a cancellation.
func (t *tally) settled(done, refused *atomic.Int64, status int, news bool) {
	if status == 404 {
		t.orderUnknown.Add(1)
	}
	switch {
	case status == 200 && news:
		done.Add(1)
	case status >= 400 && status < 500:
		refused.Add(1)
	}
}

package bench

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Totals count what was asked and answered. While the crowd is there, they are for
// atomic use.
type Totals struct {
	Shoppers      int64 `json:"shoppers"`       // who came
	Grabs         int64 `json:"grabs"`          // asks: second clicks, tabs and returns too
	Polls         int64 `json:"polls"`          // questions what became of a grab
	Processing    int64 `json:"processing"`     // grabs first told "processing"
	Orders        int64 `json:"orders"`         // distinct orders told
	Paid          int64 `json:"paid"`           // payments confirmed, or taken by the cashier
	PayRefused    int64 `json:"pay_refused"`    // payments answered 4xx
	Cancelled     int64 `json:"cancelled"`      // cancellations confirmed
	CancelRefused int64 `json:"cancel_refused"` // cancellations answered 4xx
}

// tally is all that is counted and timed of a crowd. Safe for concurrent use.
type tally struct {
	Totals
	all, yes, no *latency // of the first answer to a grab, by its code
	lag          *latency // open loop: how late grabs were sent

	lookedUp     atomic.Int64 // orders read for the verdict
	lastArrival  atomic.Int64 // ns of the run
	orderUnknown atomic.Int64 // payments and cancellations answered 404

	mu       sync.Mutex
	outcomes map[string]int64 // by final code
}

func newTally() *tally {
	return &tally{
		all: newLatency(), yes: newLatency(), no: newLatency(), lag: newLatency(),
		outcomes: make(map[string]int64),
	}
}

// asked notes the first answer to a grab.
func (t *tally) asked(worker int, code string, took time.Duration) {
	atomic.AddInt64(&t.Grabs, 1)
	switch code {
	case outcomeUnknown, outcomeNotSent:
		return // nothing was answered, so nothing was measured
	case codeProcessing:
		atomic.AddInt64(&t.Processing, 1)
	case codeGranted, codeWaitlisted, codeEntered:
		t.yes.record(worker, took)
	default:
		t.no.record(worker, took)
	}
	t.all.record(worker, took)
}

// arrived notes that a shopper's first grab left at sent.
func (t *tally) arrived(sent time.Duration) {
	atomic.AddInt64(&t.Shoppers, 1)
	for last := t.lastArrival.Load(); int64(sent) > last; last = t.lastArrival.Load() {
		if t.lastArrival.CompareAndSwap(last, int64(sent)) {
			return
		}
	}
}

// outcome notes what finally came of a grab.
func (t *tally) outcome(code string) {
	t.mu.Lock()
	t.outcomes[code]++
	t.mu.Unlock()
}

// soFar gives the outcomes until now.
func (t *tally) soFar() map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.outcomes)
}

// carriedOut notes the answer to a payment or a cancellation.
func (t *tally) carriedOut(done, refused *int64, status int, news bool) {
	if status == 404 {
		t.orderUnknown.Add(1)
	}
	switch {
	case status == 200 && news:
		atomic.AddInt64(done, 1)
	case status >= 400 && status < 500:
		atomic.AddInt64(refused, 1)
	}
}

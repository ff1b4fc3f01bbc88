package wal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// watchdog tells about a call that does not come back. A goroutine stuck in
// the kernel can't be interrupted; all that can be done is to say so from
// another one, while it hangs.
//
// A process that was stopped, or whose machine was, finds every call overdue
// when it goes on. So a call is told of only if it still hangs a while after it
// was first found overdue.
type watchdog struct {
	timeout time.Duration
	tell    func(error)
	told    sync.Once
	began   time.Time
	timer   *time.Timer   // nil when off
	doing   atomic.Int32  // a task, or taskNone
	since   atomic.Int64  // when it began, in ns after began
	call    atomic.Uint64 // counts calls
	suspect uint64        // the call found overdue; the timer's own
}

// task is what a watched call does.
type task int32

const (
	taskNone task = iota
	taskWrite
	taskAllocate
	taskSegment
	taskFloor
	taskRemove
	taskTrim
	taskMark
)

var taskNames = [...]string{
	taskWrite:    "write and sync a batch",
	taskAllocate: "allocate space",
	taskSegment:  "begin a segment",
	taskFloor:    "write the floor",
	taskRemove:   "remove segments",
	taskTrim:     "trim a segment",
	taskMark:     "write the mark",
}

// secondLook is the part of the timeout after which an overdue call is looked at
// again.
const secondLook = 8

// newWatchdog calls tell at most once, on its own goroutine.
func newWatchdog(timeout time.Duration, tell func(error)) *watchdog {
	w := &watchdog{timeout: timeout, tell: tell, began: time.Now()}
	if timeout > 0 {
		w.timer = time.AfterFunc(timeout, w.look)
		w.timer.Stop()
	}
	return w
}

func (w *watchdog) look() {
	doing, call := task(w.doing.Load()), w.call.Load()
	taken := time.Since(w.began) - time.Duration(w.since.Load())
	switch {
	case doing == taskNone:
	case taken < w.timeout: // another call than the one that the timer was set for
		w.timer.Reset(w.timeout - taken)
	case call != w.suspect:
		w.suspect = call
		w.timer.Reset(w.timeout/secondLook + time.Millisecond)
	default:
		w.told.Do(func() {
			w.tell(fmt.Errorf("%w: to %s has taken more than %v", ErrStalled, taskNames[doing], w.timeout))
		})
	}
}

// begin starts the clock; the calls between begin and end are one goroutine's.
func (w *watchdog) begin(doing task) {
	if w.timer == nil {
		return
	}
	w.since.Store(int64(time.Since(w.began)))
	w.call.Add(1)
	w.doing.Store(int32(doing))
	w.timer.Reset(w.timeout)
}

func (w *watchdog) end() {
	if w.timer == nil {
		return
	}
	w.timer.Stop()
	w.doing.Store(int32(taskNone))
}

package wal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// watchdog tells about a call that does not come back. A goroutine stuck in
// the kernel can't be interrupted; all that can be done is to say so from
// another one, while it hangs. This is the only use of time in the package.
type watchdog struct {
	timeout time.Duration
	timer   *time.Timer  // nil when off
	doing   atomic.Int32 // a task, or taskNone
}

// task is what a watched call does.
type task int32

const (
	taskNone task = iota
	taskWrite
	taskSync
	taskAllocate
	taskSegment
	taskFloor
	taskRemove
	taskTrim
)

var taskNames = [...]string{
	taskWrite:    "write a batch",
	taskSync:     "sync a batch",
	taskAllocate: "allocate space",
	taskSegment:  "begin a segment",
	taskFloor:    "write the floor",
	taskRemove:   "remove segments",
	taskTrim:     "trim a segment",
}

// newWatchdog calls tell at most once, on its own goroutine.
func newWatchdog(timeout time.Duration, tell func(error)) *watchdog {
	w := &watchdog{timeout: timeout}
	if timeout == 0 {
		return w
	}
	var once sync.Once
	w.timer = time.AfterFunc(timeout, func() {
		doing := task(w.doing.Load())
		if doing == taskNone {
			return
		}
		once.Do(func() { tell(fmt.Errorf("%w: to %s has taken more than %v", ErrStalled, taskNames[doing], timeout)) })
	})
	w.timer.Stop()
	return w
}

// begin starts the clock; the calls between begin and end are one goroutine's.
func (w *watchdog) begin(doing task) {
	if w.timer == nil {
		return
	}
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

func (w *watchdog) stop() { w.end() }

package wal

import (
	"errors"
	"testing"
	"time"
)

// TestWatchdogLooksTwice: an overdue call alone proves nothing, for the process
// may have been stopped; the same call overdue at a second look does.
func TestWatchdogLooksTwice(t *testing.T) {
	var told []error
	w := newWatchdog(time.Hour, func(err error) { told = append(told, err) })
	defer w.end()
	overdue := func() { w.since.Add(-int64(2 * time.Hour)) }
	w.begin(taskAllocate)
	w.look()
	overdue()
	w.look()
	w.end()
	w.look()
	w.begin(taskWrite)
	overdue()
	w.look()
	if len(told) != 0 {
		t.Fatal("told of calls that came back: ", told)
	}
	w.look()
	w.look()
	if len(told) != 1 || !errors.Is(told[0], ErrStalled) {
		t.Fatal("told: ", told)
	}
}

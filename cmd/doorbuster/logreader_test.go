package main

import (
	"io"
	"testing"
)

// hung is a writer that takes one write and never returns from it.
type hung chan struct{}

func (h hung) Write([]byte) (int, error) {
	<-h
	return 0, io.ErrClosedPipe
}

// A reader of the log that stops reading holds up nobody who logs.
func TestLogReaderHangs(t *testing.T) {
	reader := make(hung)
	sink := newLogSink(reader)
	const lines = 2 * queuedLogLines
	for range lines {
		sink.Write([]byte("a line\n"))
	}
	close(reader) // all that was queued fails now
	sink.flush()
	if lost := sink.lost.Load(); lost != lines {
		t.Errorf("%d lines of %d were counted as lost", lost, lines)
	}
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// queuedLogLines is how many lines wait for a reader of the log that is slow.
// At some 200 bytes a line that is 800 KiB.
const queuedLogLines = 4096

// logSink writes log lines on a goroutine of its own, so that a reader of the log
// that stops reading holds up nobody, and one that goes away ends nothing: lines
// that find the queue full, or can't be written, are counted as lost. Write may be
// called concurrently.
type logSink struct {
	to    io.Writer
	lines chan []byte // nil asks the goroutine to end
	ended chan struct{}
	lost  atomic.Uint64
	at    atomic.Int64 // when the last was lost, in milliseconds since 1970
}

func newLogSink(to io.Writer) *logSink {
	s := &logSink{to: to, lines: make(chan []byte, queuedLogLines), ended: make(chan struct{})}
	go s.run()
	return s
}

func (s *logSink) run() {
	defer close(s.ended)
	for line := range s.lines {
		if line == nil {
			return
		}
		if _, err := s.to.Write(line); err != nil {
			s.lose()
		}
	}
}

func (s *logSink) lose() {
	s.lost.Add(1)
	s.at.Store(time.Now().UnixMilli())
}

// lostFor is how long lines that were lost are an alarm.
const lostFor = 10 * time.Minute

// alarms is whether lines of the log were lost of late.
func (s *logSink) alarms(now time.Time) []engine.Alarm {
	if now.Sub(time.UnixMilli(s.at.Load())) > lostFor {
		return nil
	}
	return []engine.Alarm{{Name: engine.AlarmLogLinesLost,
		Detail: fmt.Sprintf("Lines of the log that its reader did not take: %d.", s.lost.Load()),
		Advice: "Look at what reads the log: it is slow, or gone."}}
}

// Write queues a line. It never fails and never waits.
func (s *logSink) Write(line []byte) (int, error) {
	select {
	case s.lines <- bytes.Clone(line):
	default:
		s.lose()
	}
	return len(line), nil
}

// lastWords is how long a process that ends waits for a reader of its log.
const lastWords = time.Second

// flush waits until all lines have been written, for lastWords at most. Nothing is
// to be written after it.
func (s *logSink) flush() {
	patience := time.NewTimer(lastWords)
	defer patience.Stop()
	select {
	case s.lines <- nil:
	case <-patience.C:
		return
	}
	select {
	case <-s.ended:
	case <-patience.C:
	}
}

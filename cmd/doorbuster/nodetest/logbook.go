package nodetest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// LogBook keeps what a node says, line by line, and wakes who waits for a line.
type LogBook struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // closed with each write
}

func NewLogBook() *LogBook { return &LogBook{wrote: make(chan struct{})} }

func (l *LogBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.wrote)
	l.wrote = make(chan struct{})
	return l.text.Write(p)
}

func (l *LogBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Find gives the first line that has one of parts in it.
func (l *LogBook) Find(parts ...string) (line string, next <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range strings.SplitAfter(l.text.String(), "\n") {
		for _, part := range parts {
			if strings.Contains(line, part) && strings.HasSuffix(line, "\n") {
				return line, nil
			}
		}
	}
	return "", l.wrote
}

// Await waits for what find finds, unless the node ends before.
func (l *LogBook) Await(t *testing.T, exit <-chan int, parts ...string) string {
	t.Helper()
	tooLate := time.After(Patience)
	for {
		line, next := l.Find(parts...)
		if line != "" {
			return line
		}
		select {
		case <-next:
		case status := <-exit:
			t.Fatalf("the node ended with status %d before it said %q:\n%s", status, parts, l)
		case <-tooLate:
			t.Fatalf("the node never said %q:\n%s", parts, l)
		}
	}
}

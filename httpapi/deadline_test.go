package httpapi

import (
	"io"
	"net"
	"testing"
	"time"
)

// A deadline that moves on costs nothing until it comes, and then holds: no call
// waits beyond the one wanted last, none is cut off before it.
func TestLazyDeadline(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := newLingeringConn(near, new(door), func() {})
	defer c.Close()
	sets := 0
	count := func(at time.Time) error {
		sets++
		return near.SetReadDeadline(at)
	}
	now := time.Now()
	for i := range 1000 {
		if err := c.reading.move(now.Add(time.Hour+time.Duration(i)), count); err != nil {
			t.Fatal(err)
		}
	}
	if sets != 1 {
		t.Errorf("set %d times for 1000 requests", sets)
	}
	// Closer: at once. What is overdue then is cut off, and stays so.
	if err := c.SetReadDeadline(now.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !timedOut(err) {
		t.Errorf("a read past its deadline: %v", err)
	}
	// The deadline set has passed, the one wanted has not: the read goes on.
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	go far.Write([]byte("x"))
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("a read within its deadline: %d, %v", n, err)
	}
	// The same for writing, also in the middle of a text.
	if err := c.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("late")); !timedOut(err) {
		t.Errorf("a write past its deadline: %v", err)
	}
	if err := c.SetWriteDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() {
		b := make([]byte, 5)
		io.ReadFull(far, b)
		read <- string(b)
	}()
	if n, err := c.Write([]byte("hello")); n != 5 || err != nil || <-read != "hello" {
		t.Errorf("a write within its deadline: %d, %v", n, err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if c.reading.wanted.Load() != 0 || c.writing.set.Load() != 0 {
		t.Error("a deadline was left")
	}
}

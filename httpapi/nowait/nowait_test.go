package nowait

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// TestWrite takes no more than fits, without waiting, and what went arrives.
func TestWrite(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	reader, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	w := To(c)
	if w == nil {
		t.Skip("this system has no way to write without waiting")
	}
	sent, piece := 0, bytes.Repeat([]byte("x"), 1<<20)
	for n := len(piece); n == len(piece); sent += n {
		if n = w.Write(piece); sent > 1<<30 {
			t.Fatal("a connection that nobody reads from took a gigabyte")
		}
	}
	if err := c.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := w.Write(piece); n != 0 {
		t.Errorf("%d bytes after the deadline", n)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := w.Write(piece); n != 0 {
		t.Errorf("%d bytes to a closed connection", n)
	}
	if got, err := io.Copy(io.Discard, reader); err != nil || got != int64(sent) {
		t.Errorf("%d bytes of %d arrived: %v", got, sent, err)
	}
	if near, far := net.Pipe(); To(near) != nil {
		t.Error("a pipe can be written to without waiting", far)
	}
}

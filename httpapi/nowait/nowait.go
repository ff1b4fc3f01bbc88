// Package nowait writes to a connection as much as it takes at once, and never waits for
// its reader.
package nowait

import "net"

// Writer is of one connection. It is not safe for concurrent use.
type Writer struct {
	write func(b []byte) (n int)
}

// To gives a writer to c, or nil where a system or a connection (TLS) has no way to write
// without waiting.
func To(c net.Conn) *Writer {
	if tcp, ok := c.(*net.TCPConn); ok {
		return to(tcp)
	}
	return nil
}

// Write writes what goes at once, and tells how much that was. Why it was not all is told
// by the next ordinary Write.
func (w *Writer) Write(b []byte) (n int) { return w.write(b) }

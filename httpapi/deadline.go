package httpapi

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// lazyDeadline is a deadline that fasthttp moves on with every request, at a
// price of half a microsecond each time. It is moved on only when it comes: then
// whoever waits looks whether a later one is wanted by now. A deadline is never
// missed by this, and one that moves closer is set at once.
type lazyDeadline struct {
	wanted, set atomic.Int64 // Unix nanoseconds; 0 is none
}

// move notes that t is wanted, and calls apply if that can't wait.
func (d *lazyDeadline) move(t time.Time, apply func(time.Time) error) error {
	if t.IsZero() {
		d.wanted.Store(0)
		d.set.Store(0)
		return apply(t)
	}
	at := t.UnixNano()
	d.wanted.Store(at)
	if set := d.set.Load(); set != 0 && at >= set {
		return nil
	}
	d.set.Store(at)
	return apply(t)
}

// passed tells, after a call timed out, whether that is final. If a later
// deadline is wanted it is set, and the call may be made again.
func (d *lazyDeadline) passed(apply func(time.Time) error) bool {
	wanted := d.wanted.Load()
	if wanted != 0 && wanted <= time.Now().UnixNano() {
		return true
	}
	d.set.Store(wanted)
	if wanted == 0 {
		return apply(time.Time{}) != nil
	}
	return apply(time.Unix(0, wanted)) != nil
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func (c *lingeringConn) SetReadDeadline(t time.Time) error {
	return c.reading.move(t, c.Conn.SetReadDeadline)
}

func (c *lingeringConn) SetWriteDeadline(t time.Time) error {
	return c.writing.move(t, c.Conn.SetWriteDeadline)
}

func (c *lingeringConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *lingeringConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err == nil || n > 0 || !timedOut(err) || c.reading.passed(c.Conn.SetReadDeadline) {
			return n, err
		}
	}
}

func (c *lingeringConn) write(b []byte) (written int, err error) {
	for {
		n, err := c.Conn.Write(b[written:])
		written += n
		if err == nil || !timedOut(err) || c.writing.passed(c.Conn.SetWriteDeadline) {
			return written, err
		}
	}
}

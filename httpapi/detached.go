package httpapi

import (
	"bytes"
	"crypto/rand"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/httpapi/nowait"
)

// A connection's detached answer is one that comes later than its handler returns: no
// goroutine waits for the commit. fasthttp then writes a placeholder, which the connection
// keeps back, and goes on to read; whoever decides the grab writes the answer in its place,
// without ever waiting for a reader. There is one at a time: what is read meanwhile on the
// same connection waits for it before it is handled, so that answers keep their order.
type detached struct {
	owed   atomic.Bool // state is not attached; set by who serves the connection alone
	mu     sync.Mutex
	turned sync.Cond // of mu: the state is another
	state  detachedState
	call   *grabCall // of the present one, once its answer is there
	held   []byte    // of what fasthttp wrote: from before a placeholder that was not whole
	closed bool      // whoever writes the answer closes the connection

	writer *nowait.Writer // nil: what is written may have to wait
	looked bool           // for a writer
}

type detachedState uint8

const (
	attached  detachedState = iota
	unflushed               // the placeholder is on its way here
	awaited                 // it was kept back: the answer is to be written
	ready                   // the answer was there before the placeholder
	writing                 // somebody writes the answer
)

// placeholder begins what stands for a detached answer, and nobody else can know it.
var placeholder = []byte("HTTP/1.1 200 " + rand.Text() + "\r\n")

// placeholderMessage is its status message.
var placeholderMessage = placeholder[len("HTTP/1.1 200 ") : len(placeholder)-2]

var endOfHeaders = []byte("\r\n\r\n")

// detach has an answer come later; false if another is still to come.
func (c *lingeringConn) detach() bool {
	d := &c.detached
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state != attached || d.closed {
		return false
	}
	d.state = unflushed
	d.owed.Store(true)
	c.door.owed.Add(1)
	return true
}

// attach takes detach back.
func (c *lingeringConn) attach() {
	c.detached.mu.Lock()
	c.settle()
	c.detached.mu.Unlock()
}

// settle ends a detached answer; d.mu is held.
func (c *lingeringConn) settle() {
	d := &c.detached
	if d.call != nil {
		d.call.server.done(d.call)
	}
	d.state, d.call = attached, nil
	d.owed.Store(false)
	c.door.owed.Add(-1)
	d.turned.Broadcast()
}

// awaitAnswer waits until a detached answer is there: nothing that follows it may be
// answered before.
func (c *lingeringConn) awaitAnswer() {
	d := &c.detached
	if !d.owed.Load() {
		return
	}
	d.mu.Lock()
	for d.state != attached && d.state != ready {
		d.turned.Wait()
	}
	d.mu.Unlock()
}

// answerLater writes call's detached answer, or keeps it for the placeholder, and gives
// call back. It does not wait for the reader.
func (c *lingeringConn) answerLater(call *grabCall) {
	d := &c.detached
	d.mu.Lock()
	d.call = call
	if d.state == unflushed {
		if d.state = ready; d.closed { // its placeholder can't come any more
			c.settle()
		}
		d.turned.Broadcast()
		d.mu.Unlock()
		return
	}
	if !d.looked {
		d.writer, d.looked = nowait.To(c.Conn), true
	}
	rest := call.sheet.sent
	if d.writer != nil {
		rest = rest[d.writer.Write(rest):]
	}
	if len(rest) == 0 {
		c.answered()
		return
	}
	d.state = writing
	d.mu.Unlock()
	go func() { // the reader is slow, or not known
		// What fasthttp set is older than the answer.
		err := c.SetWriteDeadline(time.Now().Add(c.door.limits.WriteTimeout))
		if err == nil {
			_, err = c.write(rest)
		}
		if err != nil {
			_ = c.close() // before anything else is written, which would be taken for the rest
		}
		d.mu.Lock()
		c.answered()
	}()
}

// answered ends the answer that was written; d.mu is held, and let go.
func (c *lingeringConn) answered() {
	c.settle()
	closed := c.detached.closed
	c.detached.mu.Unlock()
	if closed {
		_ = c.close()
	}
}

// Write writes what fasthttp has to say, with a detached answer in its place.
func (c *lingeringConn) Write(b []byte) (int, error) {
	d := &c.detached
	if !d.owed.Load() {
		return c.write(b)
	}
	d.mu.Lock()
	switch {
	case d.state == attached:
		d.mu.Unlock()
		return c.write(b)
	case d.state == awaited || d.state == writing:
		for d.state != attached {
			d.turned.Wait()
		}
		d.mu.Unlock()
		return c.write(b)
	case d.state == unflushed && len(d.held) == 0 && isPlaceholder(b):
		d.state = awaited
		d.mu.Unlock()
		return len(b), nil
	}
	d.held = append(d.held, b...)
	at := bytes.Index(d.held, placeholder)
	end := -1
	if at >= 0 {
		end = bytes.Index(d.held[at:], endOfHeaders)
	}
	if end < 0 { // the rest will come
		d.mu.Unlock()
		return len(b), nil
	}
	for d.state == unflushed {
		d.turned.Wait()
	}
	if d.state == attached { // closed meanwhile
		d.mu.Unlock()
		return 0, net.ErrClosed
	}
	rest := d.held[at+end+len(endOfHeaders):]
	all := append(append(append([]byte(nil), d.held[:at]...), d.call.sheet.sent...), rest...)
	d.held = d.held[:0]
	c.settle()
	d.mu.Unlock()
	if _, err := c.write(all); err != nil {
		return 0, err
	}
	return len(b), nil
}

// isPlaceholder reports whether b is one and nothing else.
func isPlaceholder(b []byte) bool {
	return bytes.HasPrefix(b, placeholder) && bytes.Index(b, endOfHeaders) == len(b)-len(endOfHeaders)
}

// Close closes the connection, once a detached answer is written whose placeholder came.
// Otherwise what fasthttp had to say before it did not come either, and the answer would be
// taken for that.
func (c *lingeringConn) Close() error {
	d := &c.detached
	d.mu.Lock()
	if d.state == awaited || d.state == writing {
		d.closed = true
		d.mu.Unlock()
		return nil
	}
	d.mu.Unlock()
	err := c.close() // first: once the answer is settled, a late placeholder would be written
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed = true; d.state == ready {
		c.settle()
	}
	return err
}

// awaitOwed waits until every detached answer is written, or until done is closed.
func (d *door) awaitOwed(done <-chan struct{}) bool {
	for tick := time.NewTicker(time.Millisecond); ; {
		if d.owed.Load() == 0 {
			tick.Stop()
			return true
		}
		select {
		case <-done:
			tick.Stop()
			return false
		case <-tick.C:
		}
	}
}

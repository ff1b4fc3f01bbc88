package httpapi

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// How long and how much a refused sender may still send before the connection
// is closed under them.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// lingeringListener makes connections that can be closed gently. A connection
// closed with unread bytes in it is reset, and a reset can overtake the answer:
// whoever sends too large a body would see a broken connection and never the 413.
// And it turns away who has too many open already. An error ends it only once it is
// closed: fasthttp would end the door for any other, such as no descriptor being left.
type lingeringListener struct {
	net.Listener
	door *door
}

func (l lingeringListener) Accept() (net.Conn, error) {
	for pause := time.Duration(0); ; {
		c, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil {
			pause = min(max(2*pause, shortestPause), longestPause)
			l.door.acceptFailed(err)
			time.Sleep(pause)
			continue
		}
		pause = 0
		l.door.accepted()
		leave, full := l.door.from.enter(c)
		if leave != nil {
			return newLingeringConn(c, l.door, leave), nil
		}
		l.door.turnAway(c, full)
	}
}

// Pauses after a connection could not be accepted. A door that is shut down
// meanwhile waits for one at most.
const (
	shortestPause = 5 * time.Millisecond
	longestPause  = 200 * time.Millisecond
)

// acceptFailed notes that a connection could not be accepted. It is logged once,
// until one is accepted again.
func (d *door) acceptFailed(err error) {
	d.acceptFailures.Inc()
	if d.failing.Swap(&acceptFailure{time.Now(), engine.PlainNetworkError(err)}) == nil {
		d.log.Error("ALARM: connections can't be accepted; trying again", "api", d.name, "error", err)
	}
}

// acceptFailure is the last one of a door that fails.
type acceptFailure struct {
	at  time.Time
	why string
}

// alarms is what somebody must see to at the door.
func (d *door) alarms() (all []engine.Alarm) {
	if f := d.failing.Load(); f != nil && time.Since(f.at) < 10*longestPause { // else nobody has come since it was over
		all = append(all, engine.Alarm{Name: engine.AlarmAcceptFails, About: d.name,
			Detail: "Connections of the " + d.name + " API can't be accepted: " + f.why + ".",
			Advice: "Raise the limit of open files, or lower --connections."})
	}
	return all
}

func (d *door) accepted() {
	if d.failing.Load() != nil {
		d.failing.Store(nil)
		d.log.Warn("connections are accepted again", "api", d.name)
	}
}

type lingeringConn struct {
	net.Conn
	door             *door
	detached         detached
	left             func() // told, once or more, when it is closed
	lingers          atomic.Bool
	reading, writing lazyDeadline
}

func newLingeringConn(c net.Conn, at *door, left func()) *lingeringConn {
	l := &lingeringConn{Conn: c, door: at, left: left}
	l.detached.turned.L = &l.detached.mu
	return l
}

// linger makes c, if it can, read on for a moment when it is closed.
func linger(c net.Conn) {
	if l, ok := c.(*lingeringConn); ok {
		l.lingers.Store(true)
	}
}

// close closes the connection. One that lingers first says that nothing more
// will come, then drops what still comes in, within bounds.
func (c *lingeringConn) close() error {
	defer c.left()
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.lingers.Swap(false) {
		if half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			// The outcome is of no interest: the connection is closed in any case.
			_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
		}
	}
	return c.Conn.Close()
}

// The rest of *net.TCPConn that fasthttp looks for.

func (c *lingeringConn) SetKeepAlive(keepalive bool) error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetKeepAlive(keepalive)
	}
	return nil
}

func (c *lingeringConn) SetKeepAlivePeriod(d time.Duration) error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetKeepAlivePeriod(d)
	}
	return nil
}

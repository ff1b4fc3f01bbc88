package peer

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// maxWaiting connections are welcome and not yet accepted, of each kind.
const maxWaiting = 64

// inlet is where the connections of one kind are accepted.
type inlet struct {
	addr   net.Addr
	queue  chan net.Conn
	closed context.Context
	close  context.CancelFunc
}

var _ net.Listener = (*inlet)(nil)

func newInlet(addr net.Addr) *inlet {
	l := &inlet{addr: addr, queue: make(chan net.Conn, maxWaiting)}
	l.closed, l.close = context.WithCancel(context.Background())
	return l
}

// offer hands a connection over; false, so that it is to be closed, if nobody takes any.
func (l *inlet) offer(c net.Conn) bool {
	select {
	case l.queue <- c:
		return !l.isClosed()
	default:
		return false
	}
}

func (l *inlet) isClosed() bool { return l.closed.Err() != nil }

// Accept gives the next connection whose handshake succeeded; net.ErrClosed after
// Close.
func (l *inlet) Accept() (net.Conn, error) {
	select {
	case <-l.closed.Done():
	case c := <-l.queue:
		if !l.isClosed() {
			return c, nil
		}
		c.Close()
	}
	return nil, net.ErrClosed
}

// Close makes Accept return, for good, and peers who call be refused. Connections that
// were accepted are their owner's; those that were not are the port's to close.
func (l *inlet) Close() error {
	l.close()
	return nil
}

// Addr is where connections of this kind come in.
func (l *inlet) Addr() net.Addr { return l.addr }

// Stream carries Raft's connections; it is a raft.StreamLayer. Raft's transport leaves
// connections behind when it is shut down: they end with the port. Safe for concurrent
// use.
type Stream struct {
	*inlet
	port *Port
}

var _ raft.StreamLayer = (*Stream)(nil)

// Dial connects to the node at address. The handshake is part of timeout; 0 is 5
// s. A peer that turns this node away, or is turned away, makes it a *Refusal (for
// errors.As).
func (s *Stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	c, err := s.port.dial(ctx, string(address), kindRaft)
	if err != nil {
		return nil, err
	}
	return s.port.measured(c), nil
}

// address is one as it is advertised.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// raftConn is one of Raft's connections, measured as it is read.
type raftConn struct {
	*conn
	meter  meter // of the one who reads
	failed error
	// A snapshot is a connection's last request; Raft's own transport never sends
	// another. Once it is answered there is no more to read.
	snapshot, answered atomic.Bool
}

func (p *Port) measured(c *conn) *raftConn {
	r := &raftConn{conn: c, meter: meter{bounds: answerBounds}}
	if c.inbound {
		r.meter = meter{bounds: requestBounds, requests: true}
	}
	return r
}

// Read gives nothing of what is out of bounds: the codec would make room for it.
func (r *raftConn) Read(to []byte) (int, error) {
	if r.failed != nil {
		return 0, r.failed
	}
	if r.answered.Load() {
		return 0, io.EOF
	}
	n, err := r.conn.Read(to)
	if bad := r.meter.take(to[:n]); bad != nil {
		r.failed = bad
		r.port.reports.warn(r.host, "bounds",
			"a peer broke the bounds of Raft's messages; its connection is closed", "error", bad)
		r.Close()
		return 0, bad
	}
	if r.meter.snapshot {
		r.snapshot.Store(true)
	}
	return n, err
}

func (r *raftConn) Write(from []byte) (int, error) {
	if r.snapshot.Load() {
		r.answered.Store(true)
	}
	return r.conn.Write(from)
}

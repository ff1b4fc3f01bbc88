package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// Peer asks one other node. Safe for concurrent use.
//
// Errors of all its methods: engine.ErrNotLeader where the other node does not
// lead or was not reached, so that asking again, there or elsewhere, is safe;
// engine.ErrOutcomeUnknown where an answer was lost, joined by the context's
// error where that was the reason; what the other node's handler said.
type Peer struct {
	addr   string
	peers  *Peers
	conn   *grpc.ClientConn // nil: closed before it was made
	client peerpb.PeerClient
	ctx    context.Context // ends with close
	cancel context.CancelFunc
	start  sync.Once     // of run
	wake   chan struct{} // one place: something is to be sent
	looked []*waiter     // of look

	mu     sync.Mutex
	closed bool
	all    []*waiter // by place; only grows, to MaxPending
	free   []*waiter
	lent   []*waiter           // the others of all, in no order
	queue  []*peerpb.GrabBatch // to be sent, the last still gathering
	spare  []*peerpb.GrabBatch
	stream *outgoing // nil: none is open
}

func newPeer(p *Peers, addr string) *Peer {
	r := &Peer{addr: addr, peers: p, wake: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			c, err := p.dial(ctx, addr)
			if err != nil {
				return nil, err
			}
			return &quietConn{c}, nil
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: backoffLeast, Multiplier: 2, Jitter: 0.2, MaxDelay: backoffMost},
			MinConnectTimeout: connectPatience,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithStaticStreamWindowSize(windowBytes), grpc.WithStaticConnWindowSize(connWindowBytes),
		grpc.WithMaxHeaderListSize(maxHeaderBytes), grpc.WithIdleTimeout(0), grpc.WithNoProxy(),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithAuthority("peer"),
	)
	if err != nil {
		p.logger.Error("another node can't be asked", "peer", addr, "error", err)
		r.closed = true
		return r
	}
	r.conn, r.client = conn, peerpb.NewPeerClient(conn)
	return r
}

// close fails all that is under way, and lets nothing more begin.
func (r *Peer) close() {
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	if !closed {
		r.conn.Close()
	}
	r.signal()
}

// quietConn breaks when nothing at all has come for long: a server pings after a
// second without traffic, so that silence means a dead machine or a cut wire.
type quietConn struct{ net.Conn }

func (c *quietConn) Read(b []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(connSilence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// ErrOlderBuild: the other node's build does not know what it was asked.
var ErrOlderBuild = errors.New("its build does not know it")

// errNotReached is of what never left.
func errNotReached(why string) error {
	return fmt.Errorf("%w: not reached: %s", engine.ErrNotLeader, why)
}

// errLost is of what left and was not answered.
func errLost(why error) error { return fmt.Errorf("%w: %w", engine.ErrOutcomeUnknown, why) }

// call makes a single call; ask gives the fault in the reply.
func (r *Peer) call(ctx context.Context, ask func(ctx context.Context, via grpc.CallOption) (*peerpb.Fault, error)) error {
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return errNotReached("forgotten")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrNotLeader, err)
	}
	var via peer.Peer
	fault, err := ask(ctx, grpc.Peer(&via))
	if err == nil {
		err := errorOf(fault)
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return errLost(err) // the handler gave up, who knows where
		}
		return err
	}
	s := status.Convert(err)
	why := errors.New(s.Message())
	_, limited := ctx.Deadline()
	switch {
	case ctx.Err() != nil:
		why = ctx.Err()
	case limited && r.ctx.Err() == nil && (s.Code() == codes.Canceled || s.Code() == codes.DeadlineExceeded):
		why = context.DeadlineExceeded // the other end keeps the same deadline, and was first to notice
	case s.Code() == codes.Unimplemented:
		return fmt.Errorf("node %s refused the request: %w: %s", r.addr, ErrOlderBuild, s.Message())
	case s.Code() == codes.InvalidArgument:
		return fmt.Errorf("node %s refused the request: %s", r.addr, s.Message())
	}
	// gRPC fills in who answers once it has a connection to send on.
	if via.Addr == nil {
		return fmt.Errorf("%w: not reached: %w", engine.ErrNotLeader, why)
	}
	return errLost(why)
}

// Ask takes an encoded engine.Command (1 to engine.MaxEntryBytes) through the
// log. An error of the other node's comes with what it told besides.
func (r *Peer) Ask(ctx context.Context, command []byte) (asked engine.Outcome, err error) {
	if n := len(command); n == 0 || n > engine.MaxEntryBytes {
		return asked, fmt.Errorf("a command of %d bytes, not 1 to %d", n, engine.MaxEntryBytes)
	}
	bad := error(nil)
	err = r.call(ctx, func(ctx context.Context, via grpc.CallOption) (*peerpb.Fault, error) {
		m, err := r.client.Ask(ctx, &peerpb.AskRequest{Command: command}, via)
		if err == nil {
			asked, bad = askedFromWire(m)
		}
		return m.GetFault(), err
	})
	if bad != nil {
		return engine.Outcome{}, errLost(bad)
	}
	return asked, err
}

// Look tells what became of a grab, as the other node knows, and its applied
// index then. deadline is in state time; 0: an unknown key is not found.
func (r *Peer) Look(ctx context.Context, shopper, key []byte, deadline engine.Time) (a engine.Answer, found bool, applied engine.LogIndex, err error) {
	if !engine.ValidShopper(shopper) || !engine.ValidKey(key) {
		return a, false, 0, errors.New("a shopper's id or a key that is not printable ASCII, or too long")
	}
	bad := error(nil)
	err = r.call(ctx, func(ctx context.Context, via grpc.CallOption) (*peerpb.Fault, error) {
		m, err := r.client.Look(ctx, &peerpb.LookRequest{Shopper: shopper, Key: key, Deadline: int64(deadline)}, via)
		if err == nil {
			a, bad = answerFromWire(m.GetAnswer())
			found, applied = m.GetFound(), engine.LogIndex(m.GetApplied())
		}
		return m.GetFault(), err
	})
	if err == nil && bad != nil {
		err = errLost(bad)
	}
	if err != nil {
		return engine.Answer{}, false, 0, err
	}
	return a, found, applied, nil
}

// Barrier gives an index that has everything that any node had told anybody
// when it was called.
func (r *Peer) Barrier(ctx context.Context) (index engine.LogIndex, err error) {
	err = r.call(ctx, func(ctx context.Context, via grpc.CallOption) (*peerpb.Fault, error) {
		m, err := r.client.Barrier(ctx, &peerpb.BarrierRequest{}, via)
		index = engine.LogIndex(m.GetIndex())
		return m.GetFault(), err
	})
	if err != nil {
		return 0, err
	}
	return index, nil
}

// Operate carries an operator's request: a name (1 to 256 bytes) and JSON of at
// most MaxBodyBytes.
func (r *Peer) Operate(ctx context.Context, name string, body []byte) (answer []byte, err error) {
	if err := checkOperation(name, body); err != nil {
		return nil, err
	}
	err = r.call(ctx, func(ctx context.Context, via grpc.CallOption) (*peerpb.Fault, error) {
		m, err := r.client.Operate(ctx, &peerpb.OperateRequest{Name: name, Body: body}, via)
		answer = m.GetBody()
		return m.GetFault(), err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

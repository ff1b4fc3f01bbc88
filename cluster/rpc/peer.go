package rpc

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"doorbuster/cluster/rpc/peerpb"
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

	mu     sync.Mutex
	closed bool
	table  []asked  // by place; only grows, to MaxPending
	free   []uint32 // places
	queue  []*batch // to be sent, the last still gathering
	spare  []*batch
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
			Backoff: backoff.Config{BaseDelay: backoffLeast, Multiplier: 2,
				Jitter: 0.2, MaxDelay: backoffMost},
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

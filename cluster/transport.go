package cluster

import (
	"errors"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// transport is Raft's network transport without the fast path of heartbeats:
// handled on the transport's goroutine they can overtake the log and break its
// matching (hashicorp/raft #695). So heartbeats queue behind a follower's
// writes, which the timeouts allow for.
type transport struct{ *raft.NetworkTransport }

// SetHeartbeatHandler does nothing: heartbeats go to the consumer channel.
func (transport) SetHeartbeatHandler(func(raft.RPC)) {}

var (
	_ raft.Transport   = transport{}
	_ raft.WithPreVote = transport{}
	_ raft.WithClose   = transport{}
)

func newTransport(stream raft.StreamLayer, logger hclog.Logger) transport {
	return transport{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  stream,
		MaxPool: 3,
		Timeout: 2 * time.Second,
		// Pipelining can wedge a follower (hashicorp/raft #612).
		MaxRPCsInFlight: 1,
		Logger:          logger,
	})}
}

// loneStream is the network of a node without peers: nobody calls, nobody can be
// called.
type loneStream struct{ closed chan struct{} }

func newLoneStream() *loneStream { return &loneStream{make(chan struct{})} }

func (s *loneStream) Accept() (net.Conn, error) {
	<-s.closed
	return nil, net.ErrClosed
}

func (s *loneStream) Close() error {
	close(s.closed)
	return nil
}

func (s *loneStream) Addr() net.Addr { return loneAddr{} }

func (s *loneStream) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, errors.New("cluster: this node has no peers")
}

type loneAddr struct{}

func (loneAddr) Network() string { return "none" }
func (loneAddr) String() string  { return "alone" }

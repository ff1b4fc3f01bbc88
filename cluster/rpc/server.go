package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// ServerConfig says what answers, and how much at a time.
type ServerConfig struct {
	Handler Handler
	Logger  *slog.Logger // nil: silence
	// MaxConcurrentGrabs is how many grabs of one stream may be undecided; those
	// beyond are answered with engine.ErrOutcomeUnknown. 0 is MaxPending.
	MaxConcurrentGrabs int
}

// Server answers other nodes. Safe for concurrent use.
type Server struct {
	peerpb.UnimplementedPeerServer
	handler Handler
	logger  *slog.Logger
	most    int
	grpc    *grpc.Server
	crew    *crew
	closing chan struct{} // closed when the server begins to stop
	stop    sync.Once
}

// NewServer makes a server that Serve starts.
func NewServer(cfg ServerConfig) *Server {
	s := &Server{handler: cfg.Handler, logger: cfg.Logger, most: cfg.MaxConcurrentGrabs, closing: make(chan struct{})}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.most <= 0 {
		s.most = MaxPending
	}
	s.crew = newCrew()
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessageBytes), grpc.MaxSendMsgSize(maxMessageBytes), grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxStreams), grpc.ConnectionTimeout(connectPatience),
		grpc.StaticStreamWindowSize(windowBytes), grpc.StaticConnWindowSize(connWindowBytes),
		// A client reads something of a live server at least this often, see quietConn.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveAfter, Timeout: silenceLimit}),
		grpc.UnaryInterceptor(s.recoverUnary), grpc.StreamInterceptor(s.recoverStream),
	)
	peerpb.RegisterPeerServer(s.grpc, s)
	return s
}

// Serve answers on ln's connections until Stop; nil then. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.grpc.Serve(ln); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// Stop takes no new work, lets what has come in be decided and answered, and
// ends; what is not done when ctx ends is cut off. It may be called again.
func (s *Server) Stop(ctx context.Context) {
	s.stop.Do(func() { close(s.closing) })
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
	s.crew.dismiss()
}

func (s *Server) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (reply any, err error) {
	defer s.recovered(info.FullMethod, &err)
	return next(ctx, req)
}

func (s *Server) recoverStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer s.recovered(info.FullMethod, &err)
	return next(srv, stream)
}

func (s *Server) recovered(method string, err *error) {
	if r := recover(); r != nil {
		s.logger.Error("answering another node panicked", "method", method, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "the node failed while answering")
	}
}

// refuse is for what no node of this program sends; the caller is told, and the log.
func (s *Server) refuse(method string, err error) error {
	s.logger.Warn("refused a malformed request of another node", "method", method, "error", err)
	return status.Error(codes.InvalidArgument, err.Error())
}

// Ask answers Peer.Ask.
func (s *Server) Ask(ctx context.Context, m *peerpb.AskRequest) (*peerpb.AskReply, error) {
	if n := len(m.GetCommand()); n == 0 || n > engine.MaxEntryBytes {
		return nil, s.refuse("Ask", fmt.Errorf("a command of %d bytes, not 1 to %d", n, engine.MaxEntryBytes))
	}
	asked, err := s.handler.Ask(ctx, m.GetCommand())
	reply := askedToWire(&asked)
	reply.Fault = faultOf(err)
	return reply, nil
}

// Look answers Peer.Look.
func (s *Server) Look(_ context.Context, m *peerpb.LookRequest) (*peerpb.LookReply, error) {
	if !engine.ValidShopper(m.GetShopper()) || !engine.ValidKey(m.GetKey()) {
		return nil, s.refuse("Look", fmt.Errorf("a shopper's id of %d bytes or a key of %d that is not printable ASCII of 1 to %d, and 1 to %d",
			len(m.GetShopper()), len(m.GetKey()), engine.MaxShopperBytes, engine.MaxKeyBytes))
	}
	a, found, err := s.handler.Look(m.GetShopper(), m.GetKey(), engine.Time(m.GetDeadline()))
	return &peerpb.LookReply{Fault: faultOf(err), Found: found, Answer: answerToWire(&a), Applied: uint64(s.handler.Pulse().Applied)}, nil
}

// Barrier answers Peer.Barrier.
func (s *Server) Barrier(ctx context.Context, _ *peerpb.BarrierRequest) (*peerpb.BarrierReply, error) {
	index, err := s.handler.Barrier(ctx)
	return &peerpb.BarrierReply{Fault: faultOf(err), Index: uint64(index)}, nil
}

// Operate answers Peer.Operate.
func (s *Server) Operate(ctx context.Context, m *peerpb.OperateRequest) (*peerpb.OperateReply, error) {
	if err := checkOperation(m.GetName(), m.GetBody()); err != nil {
		return nil, s.refuse("Operate", err)
	}
	body, err := s.handler.Operate(ctx, m.GetName(), m.GetBody())
	if err == nil && len(body) > MaxBodyBytes {
		err = fmt.Errorf("the answer to %s has %d bytes, over %d; ask for less", m.GetName(), len(body), MaxBodyBytes)
	}
	if err != nil {
		body = nil
	}
	return &peerpb.OperateReply{Fault: faultOf(err), Body: body}, nil
}

func checkOperation(name string, body []byte) error {
	switch {
	case name == "" || len(name) > maxNameBytes || !utf8.ValidString(name):
		return fmt.Errorf("an operation's name of %d bytes that is not 1 to %d of UTF-8", len(name), maxNameBytes)
	case len(body) > MaxBodyBytes:
		return fmt.Errorf("an operation's body of %d bytes, over %d", len(body), MaxBodyBytes)
	}
	return nil
}

// accept tells the other end that its stream is open.
func accept(stream grpc.ServerStream) error { return stream.SendHeader(metadata.MD{}) }

package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"doorbuster/cluster/rpc/peerpb"
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
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessageBytes), grpc.MaxSendMsgSize(maxMessageBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxStreams), grpc.ConnectionTimeout(connectPatience),
		grpc.StaticStreamWindowSize(windowBytes), grpc.StaticConnWindowSize(connWindowBytes),
		// A client reads something of a live server at least this often, see quietConn.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveAfter, Timeout: silenceLimit}),
		grpc.StreamInterceptor(s.recoverStream),
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
}

func (s *Server) recoverStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo,
	next grpc.StreamHandler) (err error) {
	defer s.recovered(info.FullMethod, &err)
	return next(srv, stream)
}

func (s *Server) recovered(method string, err *error) {
	if r := recover(); r != nil {
		s.logger.Error("answering another node panicked", "method", method, "panic", fmt.Sprint(r),
			"stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "the node failed while answering")
	}
}

// refuse is for what no node of this program sends; the caller is told, and the log.
func (s *Server) refuse(method string, err error) error {
	s.logger.Warn("refused a malformed request of another node", "method", method, "error", err)
	return status.Error(codes.InvalidArgument, err.Error())
}

// accept tells the other end that its stream is open.
func accept(stream grpc.ServerStream) error { return stream.SendHeader(metadata.MD{}) }

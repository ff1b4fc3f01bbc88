package rpc

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// Grabs has a peer's forwarded grabs decided; the answers gather while those before
// them are being sent.
func (s *Server) Grabs(stream grpc.BidiStreamingServer[peerpb.GrabBatch, peerpb.AnswerBatch]) error {
	if err := accept(stream); err != nil {
		return err
	}
	g := &grabStream{server: s, wake: make(chan struct{}, 1)}
	// Neither runs on this goroutine: each may be blocked while the other ends
	// the stream, and returning is what frees it.
	ended := make(chan error, 2)
	go func() {
		if err := g.receive(stream); err != nil {
			ended <- err
		}
	}()
	go func() { ended <- g.send(stream) }()
	return <-ended
}

// grabStream is the serving end of a stream of grabs.
type grabStream struct {
	server *Server
	wake   chan struct{} // one place: look at the rest

	mu        sync.Mutex
	done      []decided
	undecided int  // taken in and not yet in done
	unsent    int  // taken in and not yet answered
	probed    bool // an answer is due even if there is nothing to tell
	complete  bool // the peer has sent its last
}

// errBusy answers a grab that was not even begun. The outcome is called
// unknown all the same, so that whoever asked waits instead of coming back at once.
var errBusy = fmt.Errorf("%w: too many grabs at once", engine.ErrOutcomeUnknown)

// errFailed answers a grab during which the handler panicked.
var errFailed = fmt.Errorf("%w: the node failed while deciding", engine.ErrOutcomeUnknown)

// receive takes grabs in until the peer has sent its last (nil), or the stream breaks.
func (g *grabStream) receive(stream grpc.BidiStreamingServer[peerpb.GrabBatch, peerpb.AnswerBatch]) error {
	for {
		// Grabs lie in the batch that they came in, so each batch is a new one.
		m := new(peerpb.GrabBatch)
		switch err := stream.RecvMsg(m); {
		case errors.Is(err, io.EOF):
			g.mu.Lock()
			g.complete = true
			g.mu.Unlock()
			g.signal()
			return nil
		case status.Code(err) == codes.ResourceExhausted: // a message over the limit
			return g.server.refuse("Grabs", err)
		case err != nil:
			return err
		}
		grabs, err := readGrabs(m)
		n := 0
		if err == nil {
			n, err = g.admit(grabs)
		}
		if err != nil {
			return g.server.refuse("Grabs", err)
		}
		for grabs = grabs[:n]; len(grabs) > 0; {
			grabs = grabs[g.decide(grabs):]
		}
	}
}

// admit takes in as many as may be undecided at a time, and answers the rest. An
// error is for a peer that sends grabs and does not read the answers.
func (g *grabStream) admit(grabs []forwarded) (n int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.unsent > maxUnsent {
		return 0, fmt.Errorf("more grabs, with %d answers not read; at most %d may wait", g.unsent, MaxPending)
	}
	n = min(len(grabs), max(0, g.server.most-g.undecided))
	g.undecided += n
	g.unsent += len(grabs)
	for i := n; i < len(grabs); i++ {
		g.done = append(g.done, decided{id: grabs[i].id, err: errBusy})
	}
	g.probed = g.probed || len(grabs) == 0
	if n < len(grabs) || g.probed {
		g.signal()
	}
	return n, nil
}

func (g *grabStream) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// decide has the handler decide grabs, and gives how many: one over which it panics
// is the last.
func (g *grabStream) decide(grabs []forwarded) (n int) {
	defer func() {
		if r := recover(); r != nil {
			g.server.logger.Error("deciding a forwarded grab panicked", "panic", fmt.Sprint(r),
				"stack", string(debug.Stack()))
			grabs[n].Decided(engine.Answer{}, 0, errFailed)
			n++
		}
	}()
	for ; n < len(grabs); n++ {
		f := &grabs[n]
		f.stream = g
		g.server.handler.GrabFor(&f.Grab, f.deadline, f)
	}
	return n
}

// forwarded is a grab as it came in, and what its answer is told to. Its slices lie in
// the batch.
type forwarded struct {
	engine.Grab
	id       uint64
	deadline engine.Time
	stream   *grabStream
	decided  bool // under the stream's lock: a handler may answer, and panic then
}

// Decided is engine.Reply's.
func (f *forwarded) Decided(a engine.Answer, _ engine.LogIndex, err error) {
	g := f.stream
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.decided {
		return
	}
	f.decided = true
	g.undecided--
	g.done = append(g.done, decided{f.id, a, err})
	if len(g.done) == 1 {
		g.signal()
	}
}

// send sends what has been decided, until the peer has sent its last and has been
// answered all (nil), or the stream breaks.
func (g *grabStream) send(stream grpc.BidiStreamingServer[peerpb.GrabBatch, peerpb.AnswerBatch]) (err error) {
	defer g.server.recovered("Grabs", &err)
	var batch []decided
	m := new(peerpb.AnswerBatch)
	closing := g.server.closing
	for {
		select {
		case <-g.wake:
		case <-closing:
			closing = nil
			if err := stream.Send(&peerpb.AnswerBatch{Closing: true}); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
		// Whoever else is ready to run has an answer more for this batch, likely.
		runtime.Gosched()
		g.mu.Lock()
		batch, g.done = g.done, batch[:0]
		probed := g.probed
		g.probed = false
		g.mu.Unlock()
		if len(batch) > 0 || probed {
			if err := g.answer(stream, m, batch); err != nil {
				return err
			}
		}
		if g.settled(len(batch)) {
			return nil
		}
		clear(batch)
	}
}

// settled counts n as answered, and reports whether the peer has sent its last
// grab and has been answered all.
func (g *grabStream) settled(n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unsent -= n
	return g.complete && g.unsent == 0
}

// answer sends a batch in as many messages as it takes; an empty one in one.
func (g *grabStream) answer(stream grpc.BidiStreamingServer[peerpb.GrabBatch, peerpb.AnswerBatch],
	m *peerpb.AnswerBatch, batch []decided) error {
	// Read after all of these were decided, so that it covers them.
	applied := uint64(g.server.handler.Pulse().Applied)
	for first := true; first || len(batch) > 0; first = false {
		packed, n := m.Packed[:0], 0
		for ; n < len(batch) && n < maxBatch && len(packed) < maxMessageBytes/2; n++ {
			packed = appendAnswer(packed, &batch[n])
		}
		m.Applied, m.Answers, m.Packed = applied, uint32(n), packed
		if err := stream.Send(m); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

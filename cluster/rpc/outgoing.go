package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// outgoing is the asking end of an open stream of grabs.
type outgoing struct {
	peer   *Peer
	stream grpc.BidiStreamingClient[peerpb.GrabBatch, peerpb.AnswerBatch]
	cancel context.CancelFunc

	heard   atomic.Int64 // when something came last, in ns of the clock of Peers
	probed  atomic.Int64 // when a probe was asked for since then; 0: not
	probe   atomic.Bool  // send one
	closing atomic.Bool  // the other node takes no more
	silent  atomic.Bool  // given up for saying nothing
}

// run keeps a stream open while there is something to send on it.
func (r *Peer) run() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	told := false // that the peer can't be reached
	for {
		select {
		case <-r.wake:
		case <-r.ctx.Done():
			r.failQueued(errNotReached("forgotten"))
			return
		}
		r.mu.Lock()
		empty := len(r.queue) == 0
		r.mu.Unlock()
		if empty {
			continue
		}
		s, err := r.open()
		if err == nil {
			told = false
			err = s.serve()
			if r.ctx.Err() == nil {
				r.peers.logger.Info("the stream of grabs to another node ended", "peer", r.addr, "error", err)
			}
			r.failAll(errNotReached("the stream broke"), errLost(err))
			continue
		}
		if !told && r.ctx.Err() == nil {
			told = true
			r.peers.logger.Info("another node can't be reached", "peer", r.addr, "error", err)
		}
		r.failQueued(errNotReached(err.Error()))
		// gRPC dials at its own pace; grabs that come meanwhile wait, so that
		// fronts which ask again at once don't spin.
		pause.Reset(backoffLeast)
		select {
		case <-pause.C:
		case <-r.ctx.Done():
		}
	}
}

// open opens a stream that the other end has accepted: until then nothing is
// sent on it.
func (r *Peer) open() (*outgoing, error) {
	ctx, cancel := context.WithCancel(r.ctx)
	patience := time.AfterFunc(connectPatience, cancel)
	defer patience.Stop()
	s := &outgoing{peer: r, cancel: cancel}
	r.mu.Lock()
	r.stream = s // so that GiveUp ends the attempt, too
	r.mu.Unlock()
	s.touch()
	stream, err := r.client.Grabs(ctx)
	if err == nil {
		var header map[string][]string
		if header, err = stream.Header(); err == nil && header == nil {
			err = stream.RecvMsg(new(peerpb.AnswerBatch)) // trailers only: a refusal
		}
		if err == nil && !patience.Stop() {
			err = context.DeadlineExceeded
		}
	}
	if err != nil {
		cancel()
		r.mu.Lock()
		r.stream = nil
		r.mu.Unlock()
		return nil, err
	}
	s.stream = stream
	s.touch()
	return s, nil
}

func (s *outgoing) touch() {
	s.heard.Store(int64(s.peer.peers.now()))
	s.probed.Store(0)
}

// listen asks a peer that owes answers and is silent for a sign of life, and ends the
// stream without one.
func (s *outgoing) listen() {
	tick := time.NewTicker(listenEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stream.Context().Done():
			return
		case <-tick.C:
		}
		now, probed := s.peer.peers.now(), time.Duration(s.probed.Load())
		switch {
		case s.peer.waiting() == 0:
		case probed == 0 && now-time.Duration(s.heard.Load()) > probeAfter:
			s.probed.Store(int64(now))
			s.probe.Store(true)
			s.peer.signal()
		case probed != 0 && now-probed > silenceLimit:
			s.silent.Store(true)
			s.cancel()
		}
	}
}

// serve sends and receives until the stream ends, and tells why it did. Nothing
// is received any more then.
func (s *outgoing) serve() error {
	received := make(chan error, 1)
	go s.listen()
	go func() {
		err := s.receive()
		s.cancel()
		received <- err
	}()
	s.send()
	err := <-received
	switch {
	case s.silent.Load():
		return fmt.Errorf("nothing heard for %s", silenceLimit+probeAfter)
	case s.closing.Load():
		return errors.New("the other node is stopping")
	}
	return err
}

// send sends what gathers until the stream has ended.
func (s *outgoing) send() {
	ctx, r := s.stream.Context(), s.peer
	var b *batch
	for halfClosed := false; ; {
		switch {
		case s.closing.Load():
			if !halfClosed {
				halfClosed = true
				s.stream.CloseSend()
			}
			r.failQueued(errNotReached("the other node is stopping"))
		default:
			// What has been taken is sent, whatever the other end says meanwhile.
			for !s.closing.Load() {
				if b = r.next(b); b == nil {
					break
				}
				if err := s.stream.Send(&b.m); err != nil {
					return // the receiver learns why
				}
			}
			if s.probe.Swap(false) {
				if err := s.stream.Send(&peerpb.GrabBatch{}); err != nil {
					return
				}
			}
		}
		select {
		case <-r.wake:
			// Whoever else is ready to run has a grab more for this batch, likely.
			runtime.Gosched()
		case <-ctx.Done():
			return
		}
	}
}

// receive hands out answers until the stream ends.
func (s *outgoing) receive() error {
	m, got := new(peerpb.AnswerBatch), []decided(nil)
	for {
		err := s.stream.RecvMsg(m)
		if err != nil {
			return err
		}
		s.touch()
		if m.GetClosing() {
			s.closing.Store(true)
			s.peer.signal()
		}
		if got, err = readAnswers(m, got); err == nil {
			err = s.peer.answered(got, engine.LogIndex(m.GetApplied()))
		}
		if err != nil {
			s.peer.peers.logger.Warn("another node answered what makes no sense", "peer", s.peer.addr, "error", err)
			return err
		}
	}
}

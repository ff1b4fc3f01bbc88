package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	"doorbuster/cluster/rpc/peerpb"
)

// unansweredPings is how many pings may wait for their pulses; an older one's
// pulse would be of no use.
const unansweredPings = 256

// Follow keeps a stream of pulses open to the other node until ctx ends or the
// Peer is forgotten. It pings every interval (more than 0) and calls heard with
// each pulse and the local time, with its monotonic reading, at which the ping
// that it answers was sent: so a pulse that the network delayed never counts as
// fresh. It is the zero time for a pulse that answers no ping; such come when
// the applied index advanced, at most one in 5 ms.
//
// gone is called when the stream breaks, or can't be opened; then not again
// before a pulse has been heard. heard and gone are called one at a time.
func (r *Peer) Follow(ctx context.Context, interval time.Duration, heard func(p Pulse, sent time.Time), gone func(error)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	for there, wait := true, backoffLeast; ; {
		err := r.followOnce(ctx, interval, func(p Pulse, sent time.Time) {
			there, wait = true, backoffLeast
			heard(p, sent)
		})
		if ctx.Err() != nil {
			return
		}
		if there {
			there = false
			gone(err)
		}
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		wait = min(2*wait, backoffMost)
	}
}

// sentPings are the pings that have not been answered.
type sentPings struct {
	mu    sync.Mutex
	first uint64 // the sequence of at[0]
	at    []time.Time
}

// add takes the time of a ping that is about to be sent, and gives its sequence.
func (s *sentPings) add(at time.Time) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.at) == unansweredPings {
		s.drop(1)
	}
	s.at = append(s.at, at)
	return s.first + uint64(len(s.at)) - 1
}

func (s *sentPings) drop(n int) {
	s.first += uint64(n)
	s.at = s.at[:copy(s.at, s.at[n:])]
}

// answered gives when the ping was sent, and forgets those before it as well. An
// error for one that was never sent; the zero time for one that is forgotten.
func (s *sentPings) answered(sequence uint64) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case sequence >= s.first+uint64(len(s.at)):
		return time.Time{}, fmt.Errorf("a pulse for ping %d, which was not sent", sequence)
	case sequence < s.first:
		return time.Time{}, nil
	}
	at := s.at[sequence-s.first]
	s.drop(int(sequence-s.first) + 1)
	return at, nil
}

// followOnce follows on one stream until it breaks.
func (r *Peer) followOnce(ctx context.Context, interval time.Duration, heard func(Pulse, time.Time)) error {
	if r.conn == nil {
		return errNotReached("forgotten")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	patience := time.AfterFunc(connectPatience, cancel)
	defer patience.Stop()
	stream, err := r.client.Follow(ctx)
	if err != nil {
		return err
	}
	if header, err := stream.Header(); err != nil {
		return err
	} else if header == nil {
		_, err := stream.Recv()
		return err
	}
	if !patience.Stop() {
		return errors.New("the stream was not accepted in time")
	}
	pings := &sentPings{first: 1}
	pinging := make(chan struct{})
	go func() {
		defer close(pinging)
		ping(ctx, stream, pings, interval)
	}()
	defer func() {
		cancel()
		<-pinging
	}()
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		sent := time.Time{}
		if m.GetAnswers() != 0 {
			if sent, err = pings.answered(m.GetAnswers()); err != nil {
				r.peers.logger.Warn("another node answered what makes no sense", "peer", r.addr, "error", err)
				return err
			}
		}
		heard(pulseFromWire(m), sent)
	}
}

// ping sends a ping at once and every interval until ctx ends.
func ping(ctx context.Context, stream grpc.BidiStreamingClient[peerpb.Ping, peerpb.Pulse], pings *sentPings, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		sequence := pings.add(time.Now())
		if stream.Send(&peerpb.Ping{Sequence: sequence}) != nil {
			return // the receiver learns why
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

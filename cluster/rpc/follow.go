package rpc

import (
	"bytes"
	"context"
	"encoding/json"
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
		var p Pulse
		if err := json.Unmarshal(m.GetJson(), &p); err != nil {
			return fmt.Errorf("a pulse: %w", err)
		}
		heard(p, sent)
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

// Follow answers a peer's pings with this node's pulse, and tells it of its own
// accord when the applied index has advanced.
func (s *Server) Follow(stream grpc.BidiStreamingServer[peerpb.Ping, peerpb.Pulse]) error {
	if err := accept(stream); err != nil {
		return err
	}
	pings, ended := make(chan uint64, 1), make(chan error, 1)
	go func() {
		for {
			ping, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			// Only the newest is worth an answer.
			select {
			case <-pings:
			default:
			}
			pings <- ping.GetSequence()
		}
	}()
	p := s.handler.Pulse()
	advanced := s.handler.Advanced(p.Applied)
	spaced := time.NewTimer(pulseSpacing)
	defer spaced.Stop()
	var memory, demand []byte   // told last
	var rested <-chan time.Time // while it is too soon for another unasked one
	for {
		answers := uint64(0)
		select {
		case <-ended:
			return nil // the stream's context says why
		case <-s.closing:
			return nil
		case answers = <-pings:
		case <-rested:
			rested, advanced = nil, s.handler.Advanced(p.Applied)
			continue
		case <-advanced:
		}
		p = s.handler.Pulse()
		p.Memory, p.Demand = news(&memory, p.Memory), news(&demand, p.Demand)
		if answers == 0 {
			spaced.Reset(pulseSpacing)
			rested, advanced = spaced.C, nil
		} else if advanced != nil {
			advanced = s.handler.Advanced(p.Applied)
		}
		told, _ := json.Marshal(&p) // of plain values: it never fails
		if err := stream.Send(&peerpb.Pulse{Answers: answers, Json: told}); err != nil {
			return err
		}
	}
}

// news gives what is to be told; nil if that was told before.
func news(told *[]byte, now []byte) []byte {
	if bytes.Equal(now, *told) {
		return nil
	}
	*told = now
	return now
}

package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"doorbuster/cluster/rpc/peerpb"
)

// Follow keeps a stream of pulses open to the other node until ctx ends or the
// Peer is forgotten. It pings every interval (more than 0) and calls heard with
// each pulse and the local time, with its monotonic reading, at which the ping
// that it answers was sent: so a pulse that the network delayed never counts as
// fresh.
//
// gone is called when the stream breaks, or can't be opened; then not again
// before a pulse has been heard. heard and gone are called one at a time.
func (r *Peer) Follow(ctx context.Context, interval time.Duration,
	heard func(p Pulse, sent time.Time), gone func(error)) {
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
	// A ping's sequence is when it was sent, in ns since then.
	began, last := time.Now(), new(atomic.Uint64)
	pinging := make(chan struct{})
	go func() {
		defer close(pinging)
		ping(ctx, stream, began, last, interval)
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
		answers := m.GetAnswers()
		if answers == 0 || answers > last.Load() {
			r.peers.logger.Warn("another node answered what makes no sense: a ping which was not sent", "peer", r.addr)
			return errors.New("a pulse for a ping which was not sent")
		}
		var p Pulse
		if err := json.Unmarshal(m.GetJson(), &p); err != nil {
			return fmt.Errorf("a pulse: %w", err)
		}
		heard(p, began.Add(time.Duration(answers)))
	}
}

// ping sends a ping at once and every interval until ctx ends; last is the newest one.
func ping(ctx context.Context, stream grpc.BidiStreamingClient[peerpb.Ping, peerpb.Pulse], began time.Time,
	last *atomic.Uint64, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		sequence := uint64(max(time.Since(began), 1))
		last.Store(sequence)
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

// Follow answers a peer's pings with this node's pulse.
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
	var memory, demand []byte // told last
	for {
		answers := uint64(0)
		select {
		case <-ended:
			return nil // the stream's context says why
		case <-s.closing:
			return nil
		case answers = <-pings:
		}
		p := s.handler.Pulse()
		p.Memory, p.Demand = news(&memory, p.Memory), news(&demand, p.Demand)
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

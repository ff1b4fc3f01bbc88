package rpc

import (
	"bytes"
	"time"

	"google.golang.org/grpc"

	"doorbuster/cluster/rpc/peerpb"
)

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
		if err := stream.Send(pulseToWire(&p, answers)); err != nil {
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

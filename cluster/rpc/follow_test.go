package rpc

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"doorbuster/cluster/rpc/peerpb"

	"google.golang.org/grpc"
)

type heardPulse struct {
	Pulse
	sent, at time.Time
}

// follow follows r until the test ends.
func follow(t *testing.T, r *Peer, interval time.Duration) (heard chan heardPulse, gone chan error, stop func()) {
	t.Helper()
	heard, gone = make(chan heardPulse, 10_000), make(chan error, 10_000)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Follow(ctx, interval, func(p Pulse, sent time.Time) { heard <- heardPulse{p, sent, time.Now()} },
			func(err error) { gone <- err })
	}()
	stop = func() {
		cancel()
		receive(t, "Follow to return", ended)
	}
	t.Cleanup(stop)
	return heard, gone, stop
}

// TestPulsesOfPings: each tells when its ping was sent.
func TestPulsesOfPings(t *testing.T) {
	began := time.Now()
	_, r := pair(t, newFake())
	heard, _, _ := follow(t, r, time.Millisecond)
	last := began
	for range 20 {
		p := receive(t, "a pulse", heard)
		if p.sent.Before(last) || p.sent.After(p.at) {
			t.Fatalf("sent %s and heard %s after the beginning, the one before sent %s after", p.sent.Sub(began),
				p.at.Sub(began), last.Sub(began))
		}
		last = p.sent
	}
}

// slowPulse makes pulses that take until they are let go.
type slowPulse struct {
	*fake
	asked chan struct{}
	leave chan struct{}
}

func (f *slowPulse) Pulse() Pulse {
	select {
	case f.asked <- struct{}{}:
	default:
	}
	<-f.leave
	return f.fake.Pulse()
}

// TestLatePulse: one that was held up counts from when its ping was sent.
func TestLatePulse(t *testing.T) {
	f := &slowPulse{newFake(), make(chan struct{}, 1), make(chan struct{})}
	_, r := pair(t, f)
	heard, _, _ := follow(t, r, time.Hour)
	receive(t, "the ping", f.asked)
	late := time.Now()
	close(f.leave)
	if p := receive(t, "a pulse", heard); p.sent.IsZero() || p.sent.After(late) {
		t.Errorf("sent %s after it was answered", p.sent.Sub(late))
	}
}

// TestGoneAndBack: gone is told once, and the server that comes back is found.
func TestGoneAndBack(t *testing.T) {
	f := newFake()
	s, r := pair(t, f)
	heard, gone, stop := follow(t, r, 5*time.Millisecond)
	for range 3 {
		receive(t, "a pulse", heard)
		s.kill()
		if err := receive(t, "gone", gone); err == nil {
			t.Error("gone without a reason")
		}
		for len(heard) > 0 {
			<-heard
		}
		s = serve(t, f, s.addr, 0)
		receive(t, "a pulse of the new server", heard)
		if len(gone) > 0 {
			t.Errorf("gone again: %v", <-gone)
		}
	}
	stop()
	if len(gone) > 0 {
		t.Errorf("gone at the end: %v", <-gone)
	}
}

// TestNeverThere: a node that can't be reached is gone from the start, and once.
func TestNeverThere(t *testing.T) {
	s := serve(t, newFake(), "", 0)
	s.kill()
	p, _ := peers(t, dialTCP)
	r := p.Peer(s.addr)
	_, gone, _ := follow(t, r, time.Millisecond)
	receive(t, "gone", gone)
	ended := make(chan struct{})
	go func() {
		r.Follow(context.Background(), time.Hour, func(Pulse, time.Time) {}, func(error) {})
		close(ended)
	}()
	p.Forget(s.addr)
	receive(t, "Follow of a forgotten peer to return", ended)
	if len(gone) > 0 {
		t.Errorf("gone again: %v", <-gone)
	}
}

// TestGracefulStopEndsPulses at once, though nobody asks.
func TestGracefulStopEndsPulses(t *testing.T) {
	s, r := pair(t, newFake())
	heard, gone, _ := follow(t, r, time.Hour)
	receive(t, "a pulse", heard)
	s.Stop(context.Background())
	receive(t, "gone", gone)
}

// liar answers a ping that was not sent.
type liar struct {
	peerpb.UnimplementedPeerServer
	answers uint64
}

func (l liar) Follow(stream grpc.BidiStreamingServer[peerpb.Ping, peerpb.Pulse]) error {
	return errors.Join(accept(stream), stream.Send(&peerpb.Pulse{Answers: l.answers}))
}

func TestPulseOfNoPing(t *testing.T) {
	for _, answers := range []uint64{0, math.MaxUint64} {
		p, log := peers(t, dialTCP)
		heard, gone, _ := follow(t, p.Peer(pretend(t, liar{answers: answers})), time.Hour)
		receive(t, "gone", gone)
		if len(heard) > 0 || log.count("makes no sense") == 0 {
			t.Errorf("ping %d: %d pulses heard; logged %q", answers, len(heard), log.text.String())
		}
	}
}

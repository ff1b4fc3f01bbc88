package rpc

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestCallsThatFail: what surely never left is told apart from what may have
// been executed.
func TestCallsThatFail(t *testing.T) {
	f := newFake()
	inside := make(chan struct{}, 100)
	f.ask = func(ctx context.Context, _ []byte) (engine.Outcome, error) {
		inside <- struct{}{}
		<-ctx.Done()
		return engine.Outcome{}, ctx.Err()
	}
	s, r := pair(t, f)
	ask := func(ctx context.Context) chan error {
		errs := make(chan error, 1)
		go func() {
			_, err := r.Ask(ctx, []byte{1})
			errs <- err
		}()
		return errs
	}
	is := func(what string, err, want, not error) {
		t.Helper()
		if !errors.Is(err, want) || not != nil && errors.Is(err, not) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}

	over, cancel := context.WithCancel(t.Context())
	cancel()
	err := receive(t, "an error", ask(over))
	is("over before it began", err, context.Canceled, engine.ErrOutcomeUnknown)
	is("over before it began", err, engine.ErrNotLeader, nil)

	for patience, arrived := 20*time.Millisecond, false; !arrived; patience *= 2 {
		soon, cancel := context.WithTimeout(t.Context(), patience)
		err = receive(t, "an error", ask(soon))
		cancel()
		is("over in the middle", err, context.DeadlineExceeded, nil)
		select {
		case <-inside:
			arrived = true
			is("over in the middle", err, engine.ErrOutcomeUnknown, engine.ErrNotLeader)
		default: // it may be on its way still, or never have left
		}
	}

	errs := ask(t.Context())
	receive(t, "the command", inside)
	s.kill()
	is("killed in the middle", receive(t, "an error", errs), engine.ErrOutcomeUnknown, engine.ErrNotLeader)

	is("nobody there", receive(t, "an error", ask(t.Context())), engine.ErrNotLeader, engine.ErrOutcomeUnknown)

	f2 := newFake()
	f2.ask = func(context.Context, []byte) (engine.Outcome, error) { return engine.Outcome{Index: 5}, nil }
	serve(t, f2, s.addr, 0)
	await(t, "the new server", func() bool {
		a, err := r.Ask(t.Context(), []byte{1})
		if err != nil {
			is("until it is there", err, engine.ErrNotLeader, engine.ErrOutcomeUnknown)
		}
		return a.Index == 5
	})
}

// TestUndialable: dialing that fails, or hangs, never makes an outcome unknown
// and never outlasts a front's patience.
func TestUndialable(t *testing.T) {
	t.Parallel()
	p, log := peers(t, func(ctx context.Context, addr string) (net.Conn, error) {
		if addr == "hangs:1" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, errors.New("no such host")
	})
	for range 3 {
		if _, _, err := p.Peer("fails:1").grab(grabOf("l", "s", "k"), 0,
			time.Hour); !errors.Is(err, engine.ErrNotLeader) {
			t.Errorf("got %v, want not leader", err)
		}
	}
	if n := log.count("can't be reached"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if _, _, err := p.Peer("hangs:1").grab(grabOf("l", "s", "k"), 0, 20*time.Millisecond); !errors.Is(err,
		engine.ErrOutcomeUnknown) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
	if _, _, err := p.Peer("hangs:1").grab(grabOf("l", "s", "k"), 0, time.Hour); !errors.Is(err, engine.ErrNotLeader) {
		t.Errorf("got %v, want not leader", err)
	}
}

// TestOddAddresses are an error of asking, not of having them.
func TestOddAddresses(t *testing.T) {
	p, _ := peers(t, func(context.Context, string) (net.Conn, error) { return nil, errors.New("no such host") })
	for _, addr := range []string{"", "%zz", "a b", "::::", "x/y?z#"} {
		r := p.Peer(addr)
		if _, _, err := r.grab(grabOf("l", "s", "k"), 0, time.Hour); !errors.Is(err, engine.ErrNotLeader) {
			t.Errorf("%q: got %v, want not leader", addr, err)
		}
		if _, err := r.Barrier(t.Context()); !errors.Is(err, engine.ErrNotLeader) {
			t.Errorf("%q: got %v, want not leader", addr, err)
		}
		p.Forget(addr)
	}
}

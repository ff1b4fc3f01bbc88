package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestAnswersFindTheirGrabs: many at a time, both ways, in any order of answering.
func TestAnswersFindTheirGrabs(t *testing.T) {
	const callers, each = 256, 40
	nodes := [2]*fake{newFake(), newFake()}
	var ends [2]*Peer
	for i, f := range nodes {
		f.pulse.Applied = 7
		f.onGrab(func(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
			if q.Quantity%5 == 0 {
				time.Sleep(time.Duration(q.Quantity) * time.Microsecond) // answers overtake each other
			}
			if q.Quantity%7 == 0 {
				return engine.Answer{}, &engine.Refusal{Reason: engine.Reason(q.Quantity % 20), State: engine.Paid}
			}
			return derived(q, deadline), nil
		})
		_, ends[i] = pair(t, f)
	}
	var running sync.WaitGroup
	for c := range callers {
		running.Go(func() {
			listing, shopper, key := make([]byte, 0, 300), make([]byte, 0, 300), make([]byte, 0, 300)
			for n := range each {
				listing = fmt.Appendf(listing[:0], "s%d/skus/%d", c%7, n%11)
				shopper = fmt.Appendf(shopper[:0], "shopper-%d", c)
				key = fmt.Appendf(key[:0], "key-%d-%d", c, n)
				q := engine.Grab{Listing: listing, Shopper: shopper, IdempotencyKey: key, Quantity: uint32(c*each + n)}
				deadline := engine.Time(c)<<32 | engine.Time(n)
				want := derived(&q, deadline)
				got, applied, err := ends[c%2].grab(&q, deadline, patience)
				if q.Quantity%7 == 0 {
					var r *engine.Refusal
					if !errors.As(err, &r) || r.Reason != engine.Reason(q.Quantity%20) || r.State != engine.Paid {
						t.Errorf("grab %s: got error %v", key, err)
					}
				} else if err != nil || got != want || applied != 7 {
					t.Errorf("grab %s: got %+v at %d, %v; want %+v at 7", key, got, applied, err, want)
				}
				// Nothing of it is kept: the next grab overwrites it.
			}
		})
	}
	running.Wait()
	for _, r := range ends {
		if n := r.waiting(); n != 0 {
			t.Errorf("%d answers are owed still", n)
		}
	}
}

// TestBrokenStream: what is in flight is unknown at once, and the next grab
// finds the server that has taken the place of the old one.
func TestBrokenStream(t *testing.T) {
	f := newFake()
	var inside atomic.Int64
	hold := make(chan struct{})
	defer close(hold)
	f.onGrab(func(*engine.Grab, engine.Time) (engine.Answer, error) {
		inside.Add(1)
		<-hold
		return engine.Answer{}, nil
	})
	s, r := pair(t, f)
	const n = 300
	errs := make(chan error, n)
	for i := range n {
		go func() {
			_, _, err := r.grab(grabOf("s/skus/a", "someone", fmt.Sprint("k", i)), 0, time.Hour)
			errs <- err
		}()
	}
	await(t, "all to be inside", func() bool { return inside.Load() == n })
	s.kill()
	for range n {
		if err := receive(t, "an answer", errs); !errors.Is(err, engine.ErrOutcomeUnknown) {
			t.Fatalf("got %v, want an unknown outcome", err)
		}
	}
	q := grabOf("s/skus/a", "someone", "k")
	if _, _, err := r.grab(q, 0, time.Hour); !errors.Is(err, engine.ErrNotLeader) ||
		errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Fatalf("a grab that can't have left: got %v, want not leader", err)
	}
	serve(t, newFake(), s.addr, 0)
	await(t, "the new server", func() bool {
		a, _, err := r.grab(q, 3, time.Hour)
		if err != nil && !errors.Is(err, engine.ErrNotLeader) {
			t.Fatalf("got %v", err)
		}
		return err == nil && a == derived(q, 3)
	})
}

// TestPatience: a front that leaves is told so in time, and the answer that
// comes later reaches nobody else.
func TestPatience(t *testing.T) {
	f := newFake()
	late := make(chan struct{})
	f.onGrab(func(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
		if q.Shopper[0] == 'l' {
			<-late
		}
		return derived(q, deadline), nil
	})
	_, r := pair(t, f)
	const n = 64
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			if _, _, err := r.grab(grabOf("s/skus/a", "late", fmt.Sprint("k", i)), 0,
				20*time.Millisecond); !errors.Is(err, engine.ErrOutcomeUnknown) {
				t.Errorf("got %v, want an unknown outcome", err)
			}
		})
	}
	running.Wait()
	if got := r.waiting(); got != n {
		t.Fatalf("%d answers are owed, want the %d late ones", got, n)
	}
	ask := func(key string) {
		q := grabOf("s/skus/a", "prompt", key)
		if a, _, err := r.grab(q, 5, patience); err != nil || a != derived(q, 5) {
			t.Errorf("got %+v, %v", a, err)
		}
	}
	for i := range n {
		running.Go(func() { ask(fmt.Sprint("before", i)) })
	}
	running.Wait()
	close(late)
	for i := range n {
		running.Go(func() { ask(fmt.Sprint("after", i)) })
	}
	running.Wait()
	await(t, "the late answers", func() bool { return r.waiting() == 0 })
}

// TestChurn: impatient fronts, broken streams and given-up ones all at once; an
// answer is right, or there is none.
func TestChurn(t *testing.T) {
	f := newFake()
	f.onGrab(func(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
		time.Sleep(time.Duration(q.Quantity) * time.Microsecond)
		return derived(q, deadline), nil
	})
	s, r := pair(t, f)
	stop := make(chan struct{})
	var running sync.WaitGroup
	var answered atomic.Int64
	for c := range 64 {
		running.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(c)))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				q := grabOf("s/skus/a", fmt.Sprint("shopper", c), fmt.Sprint("k", n))
				q.Quantity = random.Uint32N(20_000)
				a, _, err := r.grab(q, engine.Time(n), time.Duration(random.IntN(40))*time.Millisecond)
				switch {
				case err == nil && a != derived(q, engine.Time(n)):
					t.Errorf("got another's answer: %+v", a)
				case err == nil:
					answered.Add(1)
				case !errors.Is(err, engine.ErrOutcomeUnknown) && !errors.Is(err, engine.ErrNotLeader):
					t.Errorf("got %v", err)
				}
			}
		})
	}
	for round := range 12 {
		before := answered.Load()
		await(t, "answers", func() bool { return answered.Load() > before+50 })
		if round%3 == 2 {
			s.kill()
			s = serve(t, f, s.addr, 0)
		} else {
			r.GiveUp()
		}
	}
	close(stop)
	running.Wait()
	await(t, "all to be answered", func() bool { return r.waiting() == 0 })
}

// TestPanickingHandler answers that nobody knows, and goes on.
func TestPanickingHandler(t *testing.T) {
	f := newFake()
	f.onGrab(func(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
		return derived(q, deadline), nil
	})
	f.ask = func(context.Context, []byte) (engine.Outcome, error) { panic("another bug") }
	s, r := pair(t, f)
	if _, _, err := r.grab(grabOf("s/skus/a", "poison", "k"), 0, patience); !errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
	if _, err := r.Ask(t.Context(), []byte{1}); !errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
	q := grabOf("s/skus/a", "fine", "k")
	if a, _, err := r.grab(q, 1, patience); err != nil || a != derived(q, 1) {
		t.Errorf("got %+v, %v", a, err)
	}
	if s.log.count("panicked") != 2 {
		t.Errorf("%d panics logged, want 2", s.log.count("panicked"))
	}
}

// TestNoHandler: a server without one knows nothing, and says so.
func TestNoHandler(t *testing.T) {
	_, r := pair(t, nil)
	if _, _, err := r.grab(grabOf("s/skus/a", "b", "k"), 0, patience); !errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
	if _, err := r.Barrier(t.Context()); !errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
}

// TestCrowd: beyond the bounds of either end, the answer comes at once.
func TestCrowd(t *testing.T) {
	f := newFake()
	hold := make(chan struct{})
	f.onGrab(func(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
		<-hold
		return derived(q, deadline), nil
	})
	s := serve(t, f, "", 10)
	p, _ := peers(t, dialTCP)
	r := p.Peer(s.addr)
	errs := make(chan error, 30)
	for i := range 30 {
		go func() {
			_, _, err := r.grab(grabOf("s/skus/a", "b", fmt.Sprint("k", i)), 0, time.Hour)
			errs <- err
		}()
	}
	for range 20 {
		if err := receive(t, "an answer", errs); !errors.Is(err, engine.ErrOutcomeUnknown) ||
			!strings.Contains(err.Error(), "too many") {
			t.Errorf("got %v, want too many", err)
		}
	}
	close(hold)
	for range 10 {
		if err := receive(t, "an answer", errs); err != nil {
			t.Errorf("got %v", err)
		}
	}

	// The asking end's own bound.
	r.mu.Lock()
	r.table, r.free = make([]asked, MaxPending), nil
	r.mu.Unlock()
	if _, _, err := r.grab(grabOf("s/skus/a", "b", "k"), 0, time.Hour); err != engine.ErrOutcomeUnknown {
		t.Errorf("got %v, want an unknown outcome", err)
	}
}

// TestWrongGrabs are answered without asking anybody.
func TestWrongGrabs(t *testing.T) {
	p, _ := peers(t, func(context.Context, string) (net.Conn, error) {
		t.Error("somebody was asked")
		return nil, errors.New("no")
	})
	r := p.Peer("nobody:1")
	long := strings.Repeat("x", 257)
	for _, c := range []struct {
		name string
		grab *engine.Grab
		want engine.Answer
		err  string
	}{
		{"no listing", grabOf("", "s", "k"), engine.Answer{Reason: engine.ReasonUnknown}, ""},
		{"long listing", grabOf(long, "s", "k"), engine.Answer{Reason: engine.ReasonUnknown}, ""},
		{"too many units", &engine.Grab{Listing: []byte("l"), Shopper: []byte("s"), IdempotencyKey: []byte("k"),
			Quantity: engine.MaxQuantity + 1},
			engine.Answer{Reason: engine.ReasonQuantity, Limit: engine.MaxQuantity}, ""},
		{"no shopper", grabOf("l", "", "k"), engine.Answer{}, "a shopper's id of 0 bytes"},
		{"long shopper", grabOf("l", long, "k"), engine.Answer{}, "a shopper's id of 257 bytes"},
		{"odd shopper", grabOf("l", "a b", "k"), engine.Answer{}, "printable"},
		{"no key", grabOf("l", "s", ""), engine.Answer{}, "an idempotency key of 0 bytes"},
		{"long key", grabOf("l", "s", long), engine.Answer{}, "an idempotency key of 257 bytes"},
	} {
		a, _, err := r.grab(c.grab, 0, time.Hour)
		if a != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %+v, %v; want %+v, %q", c.name, a, err, c.want, c.err)
		}
	}
}

// TestForget: a forgotten peer fails what is under way and asks nobody again.
func TestForget(t *testing.T) {
	f := newFake()
	inside := make(chan struct{}, 1)
	hold := make(chan struct{})
	defer close(hold)
	f.onGrab(func(*engine.Grab, engine.Time) (engine.Answer, error) {
		inside <- struct{}{}
		<-hold
		return engine.Answer{}, nil
	})
	s := serve(t, f, "", 0)
	p, _ := peers(t, dialTCP)
	r := p.Peer(s.addr)
	if p.Peer(s.addr) != r {
		t.Error("the same address gave another peer")
	}
	errs := make(chan error, 1)
	go func() {
		_, _, err := r.grab(grabOf("l", "s", "k"), 0, time.Hour)
		errs <- err
	}()
	receive(t, "the grab", inside)
	p.Forget(s.addr)
	if err := receive(t, "an answer", errs); !errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
	again := p.Peer(s.addr)
	if again == r {
		t.Error("the forgotten peer came back")
	}
	p.Close()
	for _, closed := range []*Peer{r, again, p.Peer(s.addr)} {
		if _, _, err := closed.grab(grabOf("l", "s", "k"), 0, time.Hour); !errors.Is(err, engine.ErrNotLeader) {
			t.Errorf("got %v, want not leader", err)
		}
		if _, err := closed.Barrier(t.Context()); !errors.Is(err, engine.ErrNotLeader) {
			t.Errorf("got %v, want not leader", err)
		}
	}
}

// TestGracefulStop: what has been sent is decided and answered; what has not is
// told that it never left.
func TestGracefulStop(t *testing.T) {
	f := newFake()
	var inside atomic.Int64
	hold := make(chan struct{})
	f.onGrab(func(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
		inside.Add(1)
		<-hold
		return derived(q, deadline), nil
	})
	s, r := pair(t, f)
	const n = 100
	errs := make(chan error, n)
	for i := range n {
		go func() {
			q := grabOf("l", "s", fmt.Sprint("k", i))
			a, _, err := r.grab(q, 0, time.Hour)
			if err == nil && a != derived(q, 0) {
				err = errors.New("another's answer")
			}
			errs <- err
		}()
	}
	await(t, "all to be inside", func() bool { return inside.Load() == n })
	stopped := make(chan struct{})
	go func() {
		s.Stop(context.Background())
		close(stopped)
	}()
	// The peer is told to send no more; until it knows, grabs are taken in.
	await(t, "a grab to be turned away", func() bool {
		_, _, err := r.grab(grabOf("l", "s", "more"), 0, 5*time.Millisecond)
		return errors.Is(err, engine.ErrNotLeader)
	})
	select {
	case <-stopped:
		t.Fatal("stopped before everything was answered")
	default:
	}
	close(hold)
	for range n {
		if err := receive(t, "an answer", errs); err != nil {
			t.Errorf("got %v", err)
		}
	}
	receive(t, "the server to stop", stopped)
	if err := receive(t, "Serve", s.done); err != nil {
		t.Errorf("Serve gave %v", err)
	}
}

// TestNoFailureAcrossStop: under load, a graceful stop makes no outcome unknown.
func TestNoFailureAcrossStop(t *testing.T) {
	f := newFake()
	s, r := pair(t, f)
	stop := make(chan struct{})
	var running sync.WaitGroup
	var answered, turnedAway atomic.Int64
	for c := range 64 {
		running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				switch _, _, err := r.grab(grabOf("l", "s", fmt.Sprint(c, "-", n)), 0, time.Hour); {
				case err == nil:
					answered.Add(1)
				case errors.Is(err, engine.ErrNotLeader):
					turnedAway.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			}
		})
	}
	for range 3 {
		before := answered.Load()
		await(t, "answers", func() bool { return answered.Load() > before+500 })
		s.Stop(context.Background())
		before = turnedAway.Load()
		await(t, "grabs to be turned away", func() bool { return turnedAway.Load() > before })
		s = serve(t, f, s.addr, 0)
	}
	close(stop)
	running.Wait()
}

// TestHardStop: a handler that hangs does not keep the server.
func TestHardStop(t *testing.T) {
	f := newFake()
	inside := make(chan struct{}, 1)
	hold := make(chan struct{})
	defer close(hold)
	f.onGrab(func(*engine.Grab, engine.Time) (engine.Answer, error) {
		inside <- struct{}{}
		<-hold
		return engine.Answer{}, nil
	})
	s, r := pair(t, f)
	errs := make(chan error, 1)
	go func() {
		_, _, err := r.grab(grabOf("l", "s", "k"), 0, time.Hour)
		errs <- err
	}()
	receive(t, "the grab", inside)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.Stop(ctx)
	if err := receive(t, "an answer", errs); !errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
}

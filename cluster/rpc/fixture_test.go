package rpc

import (
	"bytes"
	"context"
	"hash/fnv"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/cluster/ledger/trail"
	"doorbuster/engine"
)

// patience bounds waiting for what must come.
const patience = 30 * time.Second

// fake is a node that answers as it is told.
type fake struct {
	grab    atomic.Pointer[func(q *engine.Grab, deadline engine.Time) (engine.Answer, error)]
	ask     func(ctx context.Context, command []byte) (engine.Outcome, error)
	look    func(shopper, key []byte, deadline engine.Time) (engine.Answer, bool, error)
	barrier func(ctx context.Context) (engine.LogIndex, error)
	operate func(ctx context.Context, name string, body []byte) ([]byte, error)
	refused func(shopper, session string) engine.RefusalReport
	reports func(q engine.ReportsRequest) (engine.ReportsPage, error)

	mu    sync.Mutex
	pulse Pulse
}

func newFake() *fake { return new(fake) }

func (f *fake) onGrab(do func(q *engine.Grab, deadline engine.Time) (engine.Answer, error)) {
	f.grab.Store(&do)
}

// GrabFor answers at once, or from a goroutine of its own what may take a while.
func (f *fake) GrabFor(q *engine.Grab, deadline engine.Time, to engine.Reply) {
	do := f.grab.Load()
	if do == nil {
		to.Decided(derived(q, deadline), 0, nil)
		return
	}
	if string(q.Shopper) == "poison" {
		panic("a bug")
	}
	go func() {
		a, err := (*do)(q, deadline)
		to.Decided(a, 0, err)
	}()
}

func (f *fake) AskFor(ctx context.Context, command []byte) (engine.Outcome, error) {
	return f.ask(ctx, command)
}
func (f *fake) LookFor(shopper, key []byte, deadline engine.Time) (engine.Answer, bool, error) {
	return f.look(shopper, key, deadline)
}
func (f *fake) Barrier(ctx context.Context) (engine.LogIndex, error) { return f.barrier(ctx) }
func (f *fake) Operate(ctx context.Context, name string, body []byte) ([]byte, error) {
	return f.operate(ctx, name, body)
}
func (f *fake) Refusals(shopper, session string) engine.RefusalReport {
	return f.refused(shopper, session)
}

func (f *fake) Trail(after, upto engine.LogIndex, deeds bool) (trail.Page, error) {
	if after == 404 {
		return trail.Page{}, engine.ErrOutcomeUnknown
	}
	return trail.Page{Group: [16]byte{1, 2}, Dropped: 3, After: after, Upto: upto, Time: 5,
		Frames: []byte("frames")}, nil
}

func (f *fake) Orders(h engine.SessionHandle, offset int64) ([]byte, int64, error) {
	if h == 404 {
		return nil, 0, engine.ErrOutcomeUnknown
	}
	return []byte{byte(h)}, offset + 1, nil
}

func (f *fake) Reports(q engine.ReportsRequest) (engine.ReportsPage, error) { return f.reports(q) }

func (f *fake) AboutSession(session string, kept bool) ([]byte, error) {
	if session == "unknown" {
		return nil, engine.ErrOutcomeUnknown
	}
	if kept {
		session += " kept"
	}
	return []byte(session), nil
}

func (f *fake) Pulse() Pulse {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pulse
}

// derived is an answer that only this grab can have: any mix-up shows.
func derived(q *engine.Grab, deadline engine.Time) engine.Answer {
	h := fnv.New64a()
	for _, part := range [][]byte{q.Listing, {0}, q.Shopper, {0}, q.IdempotencyKey} {
		h.Write(part)
	}
	n := h.Sum64()
	a := engine.Answer{Code: engine.Code(n % 12), Reason: engine.Reason(n % 25), Session: engine.SessionHandle(n >> 32)}
	if n%3 > 0 {
		a.State, a.Order = engine.Held, engine.OrderRef{Session: engine.SessionHandle(n >> 32), Ordinal: uint32(n)}
		a.Listing, a.Quantity, a.Amount, a.PayBy = engine.ListingHandle(n>>8), q.Quantity, -int64(n>>1), deadline+1
	}
	if n%2 > 0 {
		a.Count, a.Limit, a.Start, a.Deadline = uint32(n>>16), uint32(n>>24), engine.Time(n>>1), deadline
	}
	return a
}

// served is a server on loopback.
type served struct {
	*Server
	addr string
	ln   net.Listener
	log  *record
	done chan error
}

// serve starts a server at addr, or anywhere if that is "".
func serve(t testing.TB, h Handler, addr string, most int) *served {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var ln net.Listener
	await(t, "the address to be free", func() (ok bool) {
		var err error
		ln, err = net.Listen("tcp", addr)
		return err == nil
	})
	s := &served{addr: ln.Addr().String(), ln: ln, log: &record{}, done: make(chan error, 1)}
	s.Server = NewServer(ServerConfig{Handler: h, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
		MaxConcurrentGrabs: most})
	go func() { s.done <- s.Serve(ln) }()
	t.Cleanup(s.kill)
	return s
}

// kill stops it without manners.
func (s *served) kill() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Stop(ctx)
}

// record is a log that can be looked at.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *record) count(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Count(r.text.Bytes(), []byte(what))
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

func peers(t testing.TB, dial Dial) (*Peers, *record) {
	t.Helper()
	log := &record{}
	p := NewPeers(dial, slog.New(slog.NewTextHandler(log, nil)), nil)
	t.Cleanup(p.Close)
	return p, log
}

func pair(t testing.TB, h Handler) (*served, *Peer) {
	t.Helper()
	s := serve(t, h, "", 0)
	p, _ := peers(t, dialTCP)
	return s, p.Peer(s.addr)
}

// await polls for what must become true.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

func grabOf(listing, shopper, key string) *engine.Grab {
	return &engine.Grab{Listing: []byte(listing), Shopper: []byte(shopper), IdempotencyKey: []byte(key), Quantity: 1}
}

// hearing is told what became of one grab at a time.
type hearing chan heardOf

type heardOf struct {
	answer  engine.Answer
	applied engine.LogIndex
	err     error
}

func (h hearing) Decided(a engine.Answer, applied engine.LogIndex, err error) {
	select {
	case h <- heardOf{a, applied, err}:
	default:
		panic("told twice")
	}
}

// grab waits for what becomes of a grab, as a front does.
func (r *Peer) grab(q *engine.Grab, deadline engine.Time,
	patience time.Duration) (engine.Answer, engine.LogIndex, error) {
	told := make(hearing, 1)
	r.Grab(q, deadline, told)
	select {
	case h := <-told:
		return h.answer, h.applied, h.err
	case <-time.After(patience):
		return engine.Answer{}, 0, engine.ErrOutcomeUnknown
	}
}

package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// pretend serves something else than a Server, and gives its address.
func pretend(t *testing.T, other peerpb.PeerServer) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	peerpb.RegisterPeerServer(s, other)
	go s.Serve(ln)
	t.Cleanup(s.Stop)
	return ln.Addr().String()
}

// TestMalformedRequests end their stream, are logged once, and harm nobody else.
func TestMalformedRequests(t *testing.T) {
	s, r := pair(t, newFake())
	ctx := t.Context()
	grabs := func(m *peerpb.GrabBatch) func() error {
		return func() error {
			stream, err := r.client.Grabs(ctx)
			if err != nil {
				return err
			}
			if err := stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			_, err = stream.Recv()
			return err
		}
	}
	asks := func(name, json string, raw []byte) func() error {
		return func() error {
			_, err := r.client.Call(ctx, &peerpb.Question{Name: name, Json: []byte(json), Raw: raw})
			return err
		}
	}
	for _, c := range []struct {
		name string
		send func() error
		want string
	}{
		{"a batch that is too long", grabs(&peerpb.GrabBatch{Grabs: 5000}), "a batch of 5000 grabs"},
		{"a message that is too long", grabs(&peerpb.GrabBatch{Packed: make([]byte, maxMessageBytes-50)}),
			"more than its 0 grabs"},
		{"a message over the limit", func() error {
			stream, err := r.client.Grabs(ctx, grpc.MaxCallSendMsgSize(64<<20))
			if err != nil {
				return err
			}
			if err := stream.Send(&peerpb.GrabBatch{Packed: make([]byte, 16<<20)}); err != nil &&
				!errors.Is(err, io.EOF) {
				return err
			}
			_, err = stream.Recv()
			return err
		}, "larger than max"},
		{"a shopper that is none", grabs(batchOf(grabOf("l", "s h", "k"))), "printable"},
		{"no command", asks("ask", `{}`, nil), "a command of 0 bytes"},
		{"a long command", asks("ask", `{}`, make([]byte, engine.MaxEntryBytes+1)), "a command of"},
		{"no key", asks("look", `{"Shopper":"cw=="}`, nil), "a key of 0"},
		{"garbage", asks("look", `{"Shopper":`, nil), "JSON"},
		{"a shopper that is a number", asks("look", `{"Shopper":7}`, nil), "number"},
		{"nobody refused", asks("refusals", `{}`, nil), "a shopper's id of 0"},
		{"a session that is none", asks("refusals", `{"Shopper":"s","Session":"a/b"}`, nil), "a session that is no id"},
		{"a report that is none", asks("reports", `{"ID":"../VERSION"}`, nil), "a report that is no id"},
		{"orders of before the beginning", asks("orders", `{"Offset":-1}`, nil), "from byte -1"},
		{"no operation", asks("operate", `""`, nil), "an operation's name"},
	} {
		before := s.log.count("malformed")
		if err := c.send(); status.Code(err) != codes.InvalidArgument &&
			status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		// The answer may be here before the line is.
		await(t, c.name+" is logged", func() bool { return s.log.count("malformed") > before })
		if n := s.log.count("malformed") - before; n != 1 {
			t.Errorf("%s: logged %d times", c.name, n)
		}
	}
	q := grabOf("l", "s", "k")
	if a, _, err := r.grab(q, 1, patience); err != nil || a != derived(q, 1) {
		t.Errorf("a grab beside them: got %+v, %v", a, err)
	}
}

// TestGarbage on the port, and frames that claim to be huge.
func TestGarbage(t *testing.T) {
	t.Parallel()
	s, r := pair(t, newFake())
	huge := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0)
	var message [5]byte
	binary.BigEndian.PutUint32(message[1:], 1<<30)
	for _, garbage := range [][]byte{
		bytes.Repeat([]byte{0xff}, 1<<16), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), huge, message[:],
	} {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(garbage)
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%.20q: the connection stays open", garbage)
		}
		conn.Close()
	}
	q := grabOf("l", "s", "k")
	if a, _, err := r.grab(q, 1, patience); err != nil || a != derived(q, 1) {
		t.Errorf("a grab beside them: got %+v, %v", a, err)
	}
}

// charlatan answers the first batch with what it is told.
type charlatan struct {
	peerpb.UnimplementedPeerServer
	answer func(*peerpb.GrabBatch) *peerpb.AnswerBatch
}

func (c charlatan) Grabs(stream grpc.BidiStreamingServer[peerpb.GrabBatch, peerpb.AnswerBatch]) error {
	if err := accept(stream); err != nil {
		return err
	}
	m, err := stream.Recv()
	if err != nil {
		return err
	}
	if err := stream.Send(c.answer(m)); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// answers are one each to the grabs with these ids, the sessions counted from 1.
func answers(ids ...uint64) *peerpb.AnswerBatch {
	m := &peerpb.AnswerBatch{Answers: uint32(len(ids))}
	for i, id := range ids {
		m.Packed = appendAnswer(m.Packed, &decided{id: id, answer: engine.Answer{Session: engine.SessionHandle(i + 1)}})
	}
	return m
}

func idOf(m *peerpb.GrabBatch) uint64 {
	grabs, err := readGrabs(m)
	if err != nil {
		panic(err)
	}
	return grabs[0].id
}

// TestSenselessAnswers break the stream; nobody is answered by them.
func TestSenselessAnswers(t *testing.T) {
	for name, answer := range map[string]func(*peerpb.GrabBatch) *peerpb.AnswerBatch{
		"to another": func(m *peerpb.GrabBatch) *peerpb.AnswerBatch { return answers(idOf(m) + 1) },
		"to an earlier use": func(m *peerpb.GrabBatch) *peerpb.AnswerBatch {
			return answers(idOf(m) - 1<<placeBits)
		},
		"one that is cut short": func(m *peerpb.GrabBatch) *peerpb.AnswerBatch {
			a := answers(idOf(m), idOf(m))
			a.Packed = a.Packed[:len(a.Packed)-1]
			return a
		},
		"long": func(m *peerpb.GrabBatch) *peerpb.AnswerBatch {
			return answers(make([]uint64, maxBatch+1)...)
		},
	} {
		p, log := peers(t, dialTCP)
		r := p.Peer(pretend(t, charlatan{answer: answer}))
		if _, _, err := r.grab(grabOf("l", "s", "k"), 0, patience); !errors.Is(err, engine.ErrOutcomeUnknown) {
			t.Errorf("%s: got %v, want an unknown outcome", name, err)
		}
		if n := log.count("stream of grabs"); n != 1 {
			t.Errorf("%s: logged %d times", name, n)
		}
	}
	// Twice the same: the first is as good as any, the second breaks the stream.
	p, _ := peers(t, dialTCP)
	r := p.Peer(pretend(t, charlatan{answer: func(m *peerpb.GrabBatch) *peerpb.AnswerBatch {
		return answers(idOf(m), idOf(m))
	}}))
	if a, _, err := r.grab(grabOf("l", "s", "k"), 0, patience); err != nil || a.Session != 1 {
		t.Errorf("twice: got %+v, %v", a, err)
	}
}

// TestUnacceptedStream: a server that refuses grabs has taken none in.
func TestUnacceptedStream(t *testing.T) {
	p, _ := peers(t, dialTCP)
	r := p.Peer(pretend(t, peerpb.UnimplementedPeerServer{}))
	if _, _, err := r.grab(grabOf("l", "s", "k"), 0, patience); !errors.Is(err, engine.ErrNotLeader) {
		t.Errorf("got %v, want not leader", err)
	}
}

// mute takes grabs in and never says anything.
type mute struct {
	peerpb.UnimplementedPeerServer
}

func (mute) Grabs(stream grpc.BidiStreamingServer[peerpb.GrabBatch, peerpb.AnswerBatch]) error {
	if err := accept(stream); err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

// TestMutePeer: one that says nothing for long is given up, not waited for.
func TestMutePeer(t *testing.T) {
	t.Parallel()
	p, log := peers(t, dialTCP)
	r := p.Peer(pretend(t, mute{}))
	errs := make(chan error, 1)
	go func() {
		_, _, err := r.grab(grabOf("l", "s", "k"), 0, time.Hour)
		errs <- err
	}()
	if err := receive(t, "an answer", errs); !errors.Is(err, engine.ErrOutcomeUnknown) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
	if log.count("nothing heard") != 1 {
		t.Errorf("logged %q", log.text.String())
	}
}

// TestSlowHandler: a node that decides slowly but is there is waited for.
func TestSlowHandler(t *testing.T) {
	t.Parallel()
	f := newFake()
	hold := make(chan struct{})
	f.onGrab(func(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
		<-hold
		return derived(q, deadline), nil
	})
	_, r := pair(t, f)
	q := grabOf("l", "s", "k")
	errs := make(chan error, 1)
	go func() {
		a, _, err := r.grab(q, 1, time.Hour)
		if err == nil && a != derived(q, 1) {
			err = errors.New("another's answer")
		}
		errs <- err
	}()
	heard, last := 0, int64(0) // signs of life, one for each probe
	await(t, "signs of life for longer than silence is borne", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.stream != nil && r.stream.heard.Load() != last {
			last = r.stream.heard.Load()
			heard++
		}
		return time.Duration(heard-2)*probeAfter > silenceLimit+probeAfter
	})
	close(hold)
	if err := receive(t, "an answer", errs); err != nil {
		t.Errorf("got %v", err)
	}
}

// TestUnreadAnswers: a peer that asks on and on and reads nothing is cut off.
func TestUnreadAnswers(t *testing.T) {
	s, r := pair(t, newFake())
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := r.client.Grabs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		m := new(peerpb.GrabBatch)
		for i := range maxBatch {
			m.Grabs, m.Packed = m.Grabs+1, appendGrab(m.Packed, uint64(i), grabOf("l", "s", "k"), 0)
		}
		for stream.Send(m) == nil {
		}
	}()
	await(t, "it to be cut off", func() bool { return s.log.count("answers not read") == 1 })
	cancel()
	receive(t, "the end of asking", asking)
}

// pinged counts what is read of a connection.
type pinged struct {
	net.Conn
	reads *atomic.Int64
}

func (c pinged) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.reads.Add(1)
	return n, err
}

// TestIdleWire: a server shows that it lives although nobody says anything.
func TestIdleWire(t *testing.T) {
	t.Parallel()
	s := serve(t, newFake(), "", 0)
	var reads atomic.Int64
	p, _ := peers(t, func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := dialTCP(ctx, addr)
		reads.Store(0)
		return pinged{conn, &reads}, err
	})
	heard, _, _ := follow(t, p.Peer(s.addr), time.Hour)
	receive(t, "a pulse", heard)
	idle := reads.Load()
	await(t, "signs of life", func() bool { return reads.Load() > idle+3 })
}

// deaf is a connection that can be cut without either end being told.
type deaf struct {
	net.Conn
	cut *atomic.Bool
}

func (c deaf) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.cut.Load() {
			return n, err
		}
	}
}

// TestCutWire: all kinds of waiting end when nothing comes any more.
func TestCutWire(t *testing.T) {
	t.Parallel()
	f := newFake()
	inside := make(chan struct{}, 2)
	hold := make(chan struct{})
	defer close(hold)
	f.onGrab(func(*engine.Grab, engine.Time) (engine.Answer, error) {
		inside <- struct{}{}
		<-hold
		return engine.Answer{}, nil
	})
	f.barrier = func(context.Context) (engine.LogIndex, error) {
		inside <- struct{}{}
		<-hold
		return 0, nil
	}
	s := serve(t, f, "", 0)
	var cut atomic.Bool
	p, _ := peers(t, func(ctx context.Context, addr string) (net.Conn, error) {
		if cut.Load() {
			return nil, errors.New("no route")
		}
		conn, err := dialTCP(ctx, addr)
		return deaf{conn, &cut}, err
	})
	r := p.Peer(s.addr)
	heard, gone, _ := follow(t, r, 10*time.Millisecond)
	errs := make(chan error, 2)
	go func() {
		_, _, err := r.grab(grabOf("l", "s", "k"), 0, time.Hour)
		errs <- err
	}()
	go func() {
		_, err := r.Barrier(context.Background())
		errs <- err
	}()
	receive(t, "a pulse", heard)
	for range 2 {
		receive(t, "the calls", inside)
	}
	cut.Store(true)
	for range 2 {
		if err := receive(t, "an answer", errs); !errors.Is(err, engine.ErrOutcomeUnknown) {
			t.Errorf("got %v, want an unknown outcome", err)
		}
	}
	receive(t, "gone", gone)
}

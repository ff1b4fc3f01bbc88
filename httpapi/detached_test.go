package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/engine"
)

// lateSeller grants what it is asked when it is told to, from goroutines of its own; the
// amount is the length of the key, so that each answer says whose it is.
type lateSeller struct {
	fakeSeller
	mu      sync.Mutex
	waiting []func()
	came    chan struct{}             // one place; nil unless always
	at      func(g *engine.Grab) bool // decided at once; nil: never
}

func (f *lateSeller) Decide(g *engine.Grab, to engine.Asker) (engine.Answer, bool) {
	a := granted()
	a.Amount = int64(len(g.IdempotencyKey))
	if f.at != nil && f.at(g) {
		return a, true
	}
	to.Keep()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, func() { to.Decided(a, 0, nil) })
	select {
	case f.came <- struct{}{}:
	default:
	}
	return engine.Answer{}, false
}

func (f *lateSeller) undecided() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting)
}

// decide decides all that waits.
func (f *lateSeller) decide() {
	f.mu.Lock()
	now := f.waiting
	f.waiting = nil
	f.mu.Unlock()
	for _, decide := range now {
		decide()
	}
}

// always decides as soon as something comes, until the test ends.
func (f *lateSeller) always(t *testing.T) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	f.came = make(chan struct{}, 1)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-f.came:
				f.decide()
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
}

func rawGrabWith(key, more string) string {
	return rawGrab + "Idempotency-Key: " + key + "\r\n" + more + "\r\n"
}

// amountOf is whose answer a body is.
func amountOf(t *testing.T, body string) (n int) {
	t.Helper()
	_, rest, found := strings.Cut(body, `"amount":`)
	if _, err := fmt.Sscan(rest, &n); err != nil || !found {
		t.Errorf("%v: %s", err, body)
	}
	return n
}

// TestDetachedAnswerIsTheSame: to the byte, whether the handler waited for it or not.
func TestDetachedAnswerIsTheSame(t *testing.T) {
	late := &lateSeller{}
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(late), Dev: true})
	for _, more := range []string{"", "Connection: close\r\n", "Accept-Language: zh-CN\r\n"} {
		heard := [2]string{}
		for i, at := range []func(*engine.Grab) bool{nil, func(*engine.Grab) bool { return true }} {
			late.at = at
			c := dial(t, addr)
			c.send(t, rawGrabWith("k", more))
			if at == nil {
				within(t, func() bool { return late.undecided() == 1 })
				late.decide()
			}
			r, err := http.ReadResponse(c.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Del("Date")
			var b bytes.Buffer
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			heard[i] = b.String()
			if strings.HasPrefix(more, "Connection") {
				if _, err := c.in.ReadByte(); err != io.EOF {
					t.Errorf("not closed: %v", err)
				}
			}
		}
		if heard[0] != heard[1] {
			t.Errorf("detached:\n%s\nat once:\n%s", heard[0], heard[1])
		}
	}
}

// TestManyGrabsAtOnce: pipelined, in pieces, with looks and garbage between, by callers
// who take their answers late: each request has one answer, in order.
func TestManyGrabsAtOnce(t *testing.T) {
	late := &lateSeller{}
	late.at = func(g *engine.Grab) bool { return len(g.IdempotencyKey)%5 == 0 }
	late.always(t)
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(late), Dev: true})
	const callers, requests = 8, 125
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			c := dial(t, addr)
			go func() {
				var out bytes.Buffer
				for n := range requests {
					if random.IntN(4) == 0 {
						fmt.Fprintf(&out, "GET /v1/time HTTP/1.1\r\nHost: shop\r\n\r\n")
					}
					out.WriteString(rawGrabWith(strings.Repeat("k", 1+n), ""))
				}
				out.WriteString("garbage\r\n\r\n")
				for out.Len() > 0 {
					_, _ = c.Write(out.Next(1 + random.IntN(1500)))
				}
			}()
			for n := 0; n < requests; {
				status, _, body := c.receive(t)
				if status != 200 {
					t.Errorf("%d: %s", status, body)
					return
				}
				if strings.Contains(body, `"unix_ms"`) {
					continue
				}
				if n++; amountOf(t, body) != n {
					t.Errorf("answer %d is another's: %s", n, body)
					return
				}
			}
			for {
				r, err := http.ReadResponse(c.in, nil)
				if err != nil {
					t.Errorf("no word on the garbage: %v", err)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				if r.StatusCode == 400 {
					return
				}
			}
		})
	}
	all.Wait()
}

// TestWhoLeavesEarly: one who closes, or has nothing more to send, keeps nothing waiting;
// who still listens hears.
func TestWhoLeavesEarly(t *testing.T) {
	late := &lateSeller{}
	s, addr := serveShopper(t, ShopperConfig{Seller: selling(late), Dev: true})
	gone, half := dial(t, addr), dial(t, addr)
	for _, c := range []*caller{gone, half} {
		c.send(t, rawGrabWith("k", ""))
	}
	within(t, func() bool { return late.undecided() == 2 })
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	if err := half.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	within(t, func() bool { return s.front.http.GetOpenConnectionsCount() == 0 }) // fasthttp is done with both
	late.decide()
	if status, _, body := half.receive(t); status != 200 || amountOf(t, body) != 1 {
		t.Errorf("%d: %s", status, body)
	}
	if _, err := half.in.ReadByte(); err != io.EOF {
		t.Errorf("not closed behind the answer: %v", err)
	}
	within(t, func() bool { return s.front.owed.Load() == 0 && opened(s) == 0 })
}

func opened(s *ShopperServer) int {
	s.front.from.mu.Lock()
	defer s.front.from.mu.Unlock()
	return s.front.from.count
}

// TestWhoNeverReads: neither others nor who decides wait for them.
func TestWhoNeverReads(t *testing.T) {
	late := &lateSeller{}
	late.always(t)
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(late), Dev: true,
		Limits: Limits{WriteTimeout: 200 * time.Millisecond}})
	deaf := dial(t, addr)
	if err := deaf.Conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, err := io.WriteString(deaf, rawGrabWith("deaf", "")); err == nil; {
			_, err = io.WriteString(deaf, rawGrabWith("deaf", ""))
		}
	}()
	c := dial(t, addr)
	for range 1000 {
		c.send(t, rawGrabWith("kk", ""))
		if status, _, body := c.receive(t); status != 200 || amountOf(t, body) != 2 {
			t.Fatalf("%d: %s", status, body)
		}
	}
	<-ended // they are cut off in the end
}

// TestShutdownOwesNothing: it waits for answers that are still to come.
func TestShutdownOwesNothing(t *testing.T) {
	late := &lateSeller{}
	s, addr := serveShopper(t, ShopperConfig{Seller: selling(late), Dev: true})
	c := dial(t, addr)
	c.send(t, rawGrabWith("k", ""))
	within(t, func() bool { return late.undecided() == 1 })
	over, expired := context.WithCancel(t.Context())
	expired()
	if err := s.Shutdown(over); err == nil {
		t.Error("shut down with an answer owed")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	within(t, func() bool { return s.front.leaving.Load() })
	late.decide()
	status, header, body := c.receive(t)
	if status != 200 || amountOf(t, body) != 1 || header.Get("Connection") == "keep-alive" {
		t.Errorf("%d %v: %s", status, header, body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestDetachedUnderTLS: a connection that can't be written to without waiting.
func TestDetachedUnderTLS(t *testing.T) {
	late := &lateSeller{}
	late.always(t)
	some := httptest.NewTLSServer(nil) // for its certificate
	defer some.Close()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: some.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	serveShopperAt(t, ShopperConfig{Seller: selling(late), Dev: true}, ln)
	c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	caller := &caller{c, bufio.NewReader(c)}
	for n := range 100 {
		caller.send(t, rawGrabWith(strings.Repeat("k", n+1), ""))
		if status, _, body := caller.receive(t); status != 200 || amountOf(t, body) != n+1 {
			t.Fatalf("%d: %s", status, body)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestPanicWithADetachedAnswer: it is answered, too, and ends nothing but it.
func TestPanicWithADetachedAnswer(t *testing.T) {
	late := &panicking{}
	late.always(t)
	s, addr := serveShopper(t, ShopperConfig{Seller: selling(late), Dev: true})
	c := dial(t, addr)
	late.panics.Store(true)
	c.send(t, rawGrabWith("k", ""))
	if status, _, body := c.receive(t); status != 500 || !strings.Contains(body, "internal") {
		t.Errorf("%d: %s", status, body)
	}
	late.panics.Store(false)
	c.send(t, rawGrabWith("kk", ""))
	if status, _, body := c.receive(t); status != 200 || amountOf(t, body) != 2 {
		t.Errorf("%d: %s", status, body)
	}
	if n := s.front.metrics.panicked.Load(); n != 1 {
		t.Errorf("%d panics counted", n)
	}
}

// panicking has nothing to say of its listings.
type panicking struct {
	lateSeller
	panics atomic.Bool
}

func (f *panicking) ListingOf(h engine.ListingHandle) (string, string, string) {
	if f.panics.Load() {
		panic("made to")
	}
	return f.lateSeller.ListingOf(h)
}

// TestBehindAGrab: whatever comes behind a look and a grab, and be it broken off, these are
// answered in their order, or not at all; and what comes is answered as it would be alone.
func TestBehindAGrab(t *testing.T) {
	look := "GET /v1/time HTTP/1.1\r\nHost: shop\r\n\r\n"
	with := func(more string) string { return rawGrabWith("kk", more) }
	old := func(grab string) string { return strings.Replace(grab, "HTTP/1.1", "HTTP/1.0", 1) }
	for _, c := range []struct {
		name, behind string
		heard        []int // the statuses, and for grabs whose answer it is
	}{
		{"broken off in a header", "GET /v1/time HTTP/1.1\r\nHo", []int{200, 1, 400}},
		{"broken off in a body", with("Content-Length: 10\r\n") + "{", []int{200, 1, 400}},
		{"broken off before a chunk", with("Transfer-Encoding: chunked\r\n"), nil}, // fasthttp says nothing
		{"broken off in a chunk", with("Transfer-Encoding: chunked\r\n") + "5\r\n{", []int{200, 1, 400}},
		{"expected and broken off", with("Expect: 100-continue\r\nContent-Length: 2\r\n"), []int{200, 1, 100, 400}},
		{"expected", with("Expect: 100-continue\r\nContent-Length: 2\r\n") + "{}", []int{200, 1, 100, 2}},
		{"of HTTP/1.0", old(with("")) + look, []int{200, 1, 2}},
		{"of HTTP/1.0, kept alive", old(with("Connection: keep-alive\r\n")) + look, []int{200, 1, 2, 200}},
		{"the last", with("Connection: close\r\n") + look, []int{200, 1, 2}},
		{"of no route", "CONNECT a:80 HTTP/1.1\r\nHost: shop\r\n\r\n" + with(""), []int{200, 1, 404, 2}},
		{"a length and chunks", with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + look,
			[]int{200, 1, 400}},
		{"too large", with("Content-Length: 10000000\r\n"), []int{200, 1, 413}},
		{"nothing readable", "\x00\x00", []int{200, 1, 400}},
	} {
		t.Run(c.name, func(t *testing.T) {
			late := &lateSeller{}
			late.always(t)
			s, addr := serveShopper(t, ShopperConfig{Seller: selling(late), Dev: true})
			caller := dial(t, addr)
			caller.send(t, look+rawGrabWith("k", "")+c.behind)
			if err := caller.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			var heard []int
			for {
				r, err := http.ReadResponse(caller.in, nil)
				if err != nil {
					break
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Fatal(err)
				}
				what := r.StatusCode
				if bytes.Contains(body, []byte("amount")) {
					what = amountOf(t, string(body))
				}
				heard = append(heard, what)
			}
			if !slices.Equal(heard, c.heard) {
				t.Errorf("heard %v, want %v", heard, c.heard)
			}
			within(t, func() bool { return s.front.owed.Load() == 0 && opened(s) == 0 })
		})
	}
}

// awaiting gives a connection with a placeholder kept back, its call, and the other end.
func awaiting(t *testing.T, as func(net.Conn) net.Conn) (c *lingeringConn, call *grabCall, other net.Conn) {
	t.Helper()
	s, err := NewShopper(ShopperConfig{Seller: selling(&lateSeller{}), Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if other, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = other.Close(), near.Close() })
	if err := other.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c = newLingeringConn(as(near), s.front, func() {})
	if !c.detach() {
		t.Fatal("not detached")
	}
	if _, err := c.Write(append(bytes.Clone(placeholder), "\r\n"...)); err != nil {
		t.Fatal(err)
	}
	call = s.calls.Get().(*grabCall)
	call.server, call.sheet = s, &sheet{sent: []byte("granted")}
	return c, call, other
}

// TestDetachedAnswerHasItsOwnTime: the time that an answer has to leave begins when it is
// there, however long that took.
func TestDetachedAnswerHasItsOwnTime(t *testing.T) {
	c, call, other := awaiting(t, func(near net.Conn) net.Conn { return near })
	if err := c.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	c.answerLater(call)
	heard := make([]byte, len("granted"))
	if _, err := io.ReadFull(other, heard); err != nil || string(heard) != "granted" {
		t.Errorf("%v: %q", err, heard)
	}
}

// TestNothingFollowsABrokenAnswer: it would be taken for the answer, or for its rest.
func TestNothingFollowsABrokenAnswer(t *testing.T) {
	c, call, other := awaiting(t, func(near net.Conn) net.Conn { return &stumbling{Conn: near} })
	c.answerLater(call)
	c.awaitAnswer()
	if _, err := io.WriteString(c, "the next answer"); err == nil {
		t.Error("the next answer was written")
	}
	if heard, err := io.ReadAll(other); err != nil || string(heard) != "gr" {
		t.Errorf("%v: %q", err, heard)
	}
}

// stumbling writes two bytes the first time, and fails.
type stumbling struct {
	net.Conn
	stumbled bool
}

func (c *stumbling) Write(b []byte) (int, error) {
	if c.stumbled {
		return c.Conn.Write(b)
	}
	c.stumbled = true
	n, _ := c.Conn.Write(b[:2])
	return n, io.ErrClosedPipe
}

// FuzzConnection: whatever is sent after and between grabs, in whatever pieces, each whole
// grab before it has its own answer, in order, and the placeholder is seen by nobody.
func FuzzConnection(f *testing.F) {
	f.Add(uint8(3), []byte("x"), []byte("POST / HTTP/1.1\r\n"), uint16(7))
	f.Add(uint8(1), []byte{}, []byte("\r\n\r\n"), uint16(1))
	f.Add(uint8(9), []byte("GET /v1/time HTTP/1.1\r\nHost: s\r\n\r\n"), []byte("\n"), uint16(300))
	f.Add(uint8(2), []byte(rawGrab+"Content-Length: 20\r\n\r\n"), []byte("Expect: 100-continue\r\n\r\n"), uint16(90))
	f.Fuzz(func(t *testing.T, grabs uint8, between, after []byte, piece uint16) {
		late := &lateSeller{}
		late.always(t)
		_, addr := serveShopper(t, ShopperConfig{Seller: selling(late), Dev: true})
		c := dial(t, addr)
		var out bytes.Buffer
		for n := range int(grabs % 16) {
			out.WriteString(rawGrabWith(strings.Repeat("k", n+1), ""))
		}
		sure := int(grabs % 16)
		out.Write(between)
		out.WriteString(rawGrabWith("again", ""))
		out.Write(after)
		go func() {
			for out.Len() > 0 {
				if _, err := c.Write(out.Next(int(piece)%2000 + 1)); err != nil {
					return
				}
			}
			_ = c.Conn.(*net.TCPConn).CloseWrite()
		}()
		heard, err := io.ReadAll(c.in)
		if err != nil && len(heard) == 0 && sure > 0 {
			t.Fatal(err)
		}
		if bytes.Contains(heard, placeholderMessage) {
			t.Fatalf("a placeholder was sent: %q", heard)
		}
		in := bufio.NewReader(bytes.NewReader(heard))
		for n := range sure {
			r, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("answer %d: %v: %q", n, err, heard)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || amountOf(t, string(body)) != n+1 {
				t.Fatalf("answer %d is another's: %v: %q", n, err, body)
			}
		}
	})
}

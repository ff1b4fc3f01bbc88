package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
)

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

// serveShopper serves cfg on a loopback port and checks at the end that it
// shuts down.
func serveShopper(t *testing.T, cfg ShopperConfig) (s *ShopperServer, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveShopperAt(t, cfg, ln), ln.Addr().String()
}

// serveShopperAt is serveShopper for another listener.
func serveShopperAt(t *testing.T, cfg ShopperConfig, ln net.Listener) *ShopperServer {
	t.Helper()
	s, err := NewShopper(cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-served; err != nil && !errors.Is(err, ErrServerStopped) {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

// caller is a client that sends bytes as they are.
type caller struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *caller {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &caller{c, bufio.NewReader(c)}
}

func (c *caller) send(t *testing.T, raw string) {
	t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
}

func (c *caller) receive(t *testing.T) (status int, header http.Header, body string) {
	t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("the answer broke off: %v", err)
	}
	return r.StatusCode, r.Header, string(b)
}

const rawGrab = "POST " + grabPath + " HTTP/1.1\r\nHost: shop.test\r\nX-Shopper-Id: ada\r\n"

// TestRawRequests puts bytes on the wire that no client library would send.
func TestRawRequests(t *testing.T) {
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(
		&fakeSeller{answer: engine.Answer{Code: engine.CodeSoldOut}}), Dev: true})
	withBody := func(body string) string {
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", rawGrab, len(body), body)
	}
	for name, c := range map[string]struct {
		raw    string
		status int
		says   string
	}{
		"a good one":       {rawGrab + "\r\n", 200, "sold_out"},
		"broken JSON":      {withBody(`{"quantity":1,}`), 400, "at byte"},
		"quantity 0":       {withBody(`{"quantity":0}`), 400, "1 to 1000000"},
		"quantity -1":      {withBody(`{"quantity":-1}`), 400, "1 to 1000000"},
		"quantity 1e9":     {withBody(`{"quantity":1e9}`), 400, "quantity"},
		"key of 256 bytes": {rawGrab + "Idempotency-Key: " + strings.Repeat("k", 256) + "\r\n\r\n", 400, "255"},
		"control in the path": {"POST /v1/sessions/a\x01b/skus/x/grab HTTP/1.1\r\nHost: s\r\nX-Shopper-Id: " +
			"ada\r\n\r\n", 400, "malformed"},
		"NUL in a header": {rawGrab + "Idempotency-Key: a\x00b\r\n\r\n", 400, "malformed"},
		"escaped NUL": {"POST /v1/sessions/a%00b/skus/x/grab HTTP/1.1\r\nHost: s\r\nX-Shopper-Id: " +
			"ada\r\n\r\n", 404, "not-found"},
		"escaped dots":  {"GET /v1/%2e%2e/time HTTP/1.1\r\nHost: s\r\n\r\n", 404, "not-found"},
		"broken escape": {"GET /v1/sessions/%/skus/%zz HTTP/1.1\r\nHost: s\r\n\r\n", 404, "not-found"},
		"wrong method":  {"PATCH " + grabPath + " HTTP/1.1\r\nHost: s\r\n\r\n", 405, "method"},
		"no HTTP":       {"hello there\r\n\r\n", 400, "malformed"},
		"two lengths":   {rawGrab + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400, "malformed"},
		"a length and chunks": {rawGrab + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
			"Transfer-Encoding"},
		"chunks and a length": {rawGrab + "Transfer-Encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n", 400,
			"Transfer-Encoding"},
		"length below 0": {rawGrab + "Content-Length: -1\r\n\r\n", 400, "malformed"},
		"chunks too large": {rawGrab + "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n" +
			strings.Repeat("x", 1000), 413, "too-large"},
		"headers too large": {rawGrab + "X: " + strings.Repeat("x", 20_000) + "\r\n\r\n", 431,
			"headers-too-large"},
		"path too long": {"GET /v1/" + strings.Repeat("x", 20_000) + " HTTP/1.1\r\nHost: s\r\n\r\n", 431,
			"headers-too-large"},
		"10 MB said, nothing sent": {rawGrab + "Content-Length: 10485760\r\n\r\n", 413, "16384 bytes"},
		"10 MB, asking first":      {rawGrab + "Content-Length: 10485760\r\nExpect: 100-continue\r\n\r\n", 100, ""},
	} {
		t.Run(name, func(t *testing.T) {
			line := dial(t, addr)
			line.send(t, c.raw)
			status, header, body := line.receive(t)
			if status == 100 && c.status == 100 {
				status, header, body = line.receive(t)
				c.status, c.says = 413, "too-large"
			}
			if status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("status %d: %s; want %d and %q", status, body, c.status, c.says)
			}
			if status >= 400 && header.Get("Content-Type") != problemType {
				t.Errorf("content type %q", header.Get("Content-Type"))
			}
			if server := header.Get("Server"); server != "" {
				t.Errorf("it says what it is: %q", server)
			}
		})
	}
}

// TestLargeBodyIsNotRead: 10 MB are refused while they are being sent, and the
// sender still hears the 413.
func TestLargeBodyIsNotRead(t *testing.T) {
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(&fakeSeller{}), Dev: true})
	line := dial(t, addr)
	line.send(t, rawGrab+"Content-Length: 10485760\r\n\r\n")
	sent := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(line, io.LimitReader(zeros{}, 10<<20)) // the refusal breaks it off
		sent <- n
	}()
	if status, _, body := line.receive(t); status != 413 {
		t.Errorf("status %d: %s", status, body)
	}
	if n := <-sent; n >= 10<<20 {
		t.Errorf("all %d bytes were taken", n)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestPipelining: requests sent at once are answered in their sequence, on one
// connection, the bad among them too.
func TestPipelining(t *testing.T) {
	f := &fakeSeller{answer: engine.Answer{Code: engine.CodeSoldOut}}
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(f), Dev: true})
	line := dial(t, addr)
	const rounds = 20
	line.send(t, strings.Repeat(rawGrab+"\r\n"+"GET /v1/nothing HTTP/1.1\r\nHost: s\r\n\r\n"+
		rawGrab+"Content-Length: 14\r\n\r\n{\"quantity\":0}"+"GET /v1/time HTTP/1.1\r\nHost: s\r\n\r\n", rounds))
	for round := range rounds {
		for i, want := range []int{200, 404, 400, 200} {
			if status, _, body := line.receive(t); status != want {
				t.Fatalf("round %d, request %d: status %d: %s; want %d", round, i, status, body, want)
			}
		}
	}
}

// TestBuffersDieWithTheHandler: one connection's grabs never see each other's
// bytes, and what an answer shows is its own.
func TestBuffersDieWithTheHandler(t *testing.T) {
	f := &fakeSeller{answer: engine.Answer{Code: engine.CodeProcessing, Deadline: 5}}
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(f), Dev: true})
	var wait sync.WaitGroup
	for c := range 8 {
		line := dial(t, addr)
		wait.Go(func() {
			for i := range 100 {
				key := fmt.Sprintf("key-%d-%d", c, i)
				if _, err := io.WriteString(line, rawGrab+"Idempotency-Key: "+key+"\r\n\r\n"); err != nil {
					t.Error(err)
					return
				}
				r, err := http.ReadResponse(line.in, nil)
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(r.Body)
				if want := "/v1/grabs/" + key + "?deadline=5"; r.Header.Get("Location") != want ||
					!bytes.Contains(body, []byte(`"`+want+`"`)) {
					t.Errorf("grab %s was told %s: %s", key, r.Header.Get("Location"), body)
					return
				}
			}
		})
	}
	wait.Wait()
}

// TestPanicIsOneRequests: it is answered 500, counted, logged, and the
// connection goes on.
func TestPanicIsOneRequests(t *testing.T) {
	var logged lockedBuffer
	f := &fakeSeller{answer: engine.Answer{Code: engine.CodeSoldOut}, onGrab: func(g *engine.Grab) {
		if string(g.IdempotencyKey) == "bad" {
			panic("a bug")
		}
	}}
	registry := prometheus.NewPedanticRegistry()
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(f), Dev: true, Registerer: registry,
		Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	line := dial(t, addr)
	line.send(t, rawGrab+"Idempotency-Key: bad\r\n\r\n")
	if status, header, body := line.receive(t); status != 500 || header.Get("Content-Type") != problemType ||
		strings.Contains(body, "a bug") {
		t.Errorf("status %d: %s", status, body)
	}
	line.send(t, rawGrab+"Idempotency-Key: good\r\n\r\n")
	if status, _, body := line.receive(t); status != 200 {
		t.Errorf("afterwards: status %d: %s", status, body)
	}
	if got := logged.String(); strings.Count(got, "a bug") != 1 || !strings.Contains(got, "grab_test.go") &&
		!strings.Contains(got, "wire_test.go") {
		t.Errorf("logged: %s", got)
	}
	if got := gathered(t, registry)[`doorbuster_http_panics_total{api="shopper"}`]; got != 1 {
		t.Errorf("%v panics counted", got)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestShutdownFinishesWhatIsInFlight: a grab that waits for its commit is
// answered; nobody new is let in.
func TestShutdownFinishesWhatIsInFlight(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	f := &fakeSeller{answer: granted(), onGrab: func(*engine.Grab) { close(entered); <-release }}
	s, addr := serveShopper(t, ShopperConfig{Seller: selling(f), Dev: true})
	idle, line := dial(t, addr), dial(t, addr)
	idle.send(t, "GET /v1/time HTTP/1.1\r\nHost: s\r\n\r\n")
	idle.receive(t)
	line.send(t, rawGrab+"\r\n")
	<-entered
	down := make(chan error, 1)
	go func() {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		down <- s.Shutdown(ctx)
	}()
	if _, err := idle.in.ReadByte(); !errors.Is(err, io.EOF) { // the shutdown has begun
		t.Errorf("an idle connection was not closed: %v", err)
	}
	select {
	case err := <-down:
		t.Errorf("the shutdown did not wait: %v", err)
	default:
	}
	close(release)
	if status, _, body := line.receive(t); status != 200 || !strings.Contains(body, "granted") {
		t.Errorf("status %d: %s", status, body)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("somebody was let in afterwards")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(ln); !errors.Is(err, ErrServerStopped) {
		t.Errorf("serve again: %v", err)
	}
}

// TestSlowSenderIsCutOff: half a request does not hold a connection for ever.
func TestSlowSenderIsCutOff(t *testing.T) {
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(&fakeSeller{}), Dev: true,
		Limits: Limits{ReadTimeout: 50 * time.Millisecond}})
	for name, raw := range map[string]string{"headers": rawGrab, "body": rawGrab + "Content-Length: 10\r\n\r\n{"} {
		t.Run(name, func(t *testing.T) {
			line := dial(t, addr)
			line.send(t, raw)
			if status, _, body := line.receive(t); status != 408 {
				t.Errorf("status %d: %s", status, body)
			}
			if _, err := line.in.ReadByte(); err == nil {
				t.Error("the connection stays open")
			}
		})
	}
}

// TestHeadHasNoBody: HEAD is answered like GET.
func TestHeadHasNoBody(t *testing.T) {
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(&fakeSeller{sessions: fakeSessions()}), Dev: true})
	r, err := http.Head("http://" + addr + "/v1/sessions")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != 200 || r.ContentLength <= 0 {
		t.Errorf("status %d, length %d", r.StatusCode, r.ContentLength)
	}
	http.DefaultClient.CloseIdleConnections()
}

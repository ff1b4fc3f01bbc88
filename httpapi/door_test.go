package httpapi

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// askDisplay is ask at the display's own door.
func askDisplay(s *ShopperServer, method, path string, headers map[string]string) *fasthttp.Response {
	ctx := newGrab(method, path, headers, "")
	s.handleAtDisplay(ctx)
	return &ctx.Response
}

// TestTwoDoors: each answers what it is there for and sends the rest to the other,
// unless both are to serve everything.
func TestTwoDoors(t *testing.T) {
	var shared atomic.Bool
	registry := prometheus.NewPedanticRegistry()
	s, err := NewShopper(ShopperConfig{Seller: selling(&fakeSeller{sessions: fakeSessions(), order: heldOrder(),
		answer: granted(), bargain: openBargain()}), Dev: true,
		Display: &Limits{}, DisplayShared: shared.Load, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	const everywhere, front, display = 0, 1, 2
	requests := []struct {
		method, path string
		at           int
	}{
		{"GET", "/v1/time", everywhere}, {"HEAD", "/v1/time", everywhere},
		{"GET", "/v1/sessions", display}, {"GET", "/v1/sessions?near=1,2", display},
		{"HEAD", "/v1/sessions/fans-day-10/skus/mask-50", display},
		{"POST", grabPath, front}, {"GET", "/v1/orders", front}, {"GET", "/v1/orders/" + fakeOrderNo, front},
		{"GET", "/v1/grabs/k", front}, {"GET", bargainPath, everywhere}, {"POST", startPath, front},
		{"POST", cutPath, front}, {"POST", buyPath, front},
	}
	for _, r := range requests {
		for door, response := range map[int]*fasthttp.Response{front: ask(s, r.method, r.path, ada, ""),
			display: askDisplay(s, r.method, r.path, ada)} {
			if r.at == everywhere || r.at == door {
				if response.StatusCode() == 404 && r.path != "/v1/grabs/k" {
					t.Errorf("%s %s at door %d: %s", r.method, r.path, door, response.Body())
				}
				continue
			}
			wantProblem(t, response, 404, "elsewhere")
		}
	}
	counted := gathered(t, registry)
	if a, b := counted[`doorbuster_http_problems_total{api="shopper",kind="elsewhere",status="404"}`],
		counted[`doorbuster_http_problems_total{api="display",kind="elsewhere",status="404"}`]; a != 3 || b != 7 {
		t.Errorf("%v counted at the front, %v at the display", a, b)
	}
	if r := askDisplay(s, "GET", "/v1/nothing", nil); r.StatusCode() != 404 ||
		gathered(t, registry)[`doorbuster_http_problems_total{api="display",kind="not-found",status="404"}`] != 1 {
		t.Errorf("no such path: %s", r.Body())
	}
	shared.Store(true)
	for _, r := range requests {
		one, other := ask(s, r.method, r.path, ada, ""), askDisplay(s, r.method, r.path, ada)
		if one.StatusCode() != other.StatusCode() || string(one.Body()) != string(other.Body()) ||
			one.StatusCode() == 404 && r.path != "/v1/grabs/k" {
			t.Errorf("%s %s, shared: %d and %d: %s", r.method, r.path, one.StatusCode(), other.StatusCode(),
				other.Body())
		}
	}
}

// TestDisplayHasItsOwnListener: it is served and shut down with the other, and not
// to be had where it is not apart.
func TestDisplayHasItsOwnListener(t *testing.T) {
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	s, _ := serveShopper(t, ShopperConfig{Seller: selling(&fakeSeller{sessions: fakeSessions()}), Dev: true,
		Display: &Limits{ConnectionsPerIP: 1}})
	ln := listen()
	served := make(chan error, 1)
	go func() { served <- s.ServeDisplay(ln) }()
	line := dial(t, ln.Addr().String())
	line.send(t, "GET /v1/sessions HTTP/1.1\r\nHost: s\r\n\r\n")
	if status, _, body := line.receive(t); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	second := dial(t, ln.Addr().String())
	second.send(t, "GET /v1/sessions HTTP/1.1\r\nHost: s\r\n\r\n")
	if status, header, body := second.receive(t); status != 429 || header.Get("Content-Type") != problemType ||
		!strings.Contains(body, "connections") {
		t.Errorf("a second connection from one address: %d %s", status, body)
	}
	line.Close() // then there is room for another
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		third := dial(t, ln.Addr().String())
		third.send(t, "GET /v1/sessions HTTP/1.1\r\nHost: s\r\n\r\n")
		status, _, body := third.receive(t)
		if status == 200 {
			break
		}
		if third.Close(); status != 429 || time.Now().After(deadline) {
			t.Fatalf("after the first has gone: %d %s", status, body)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := s.ServeDisplay(listen()); !errors.Is(err, ErrServerStopped) {
		t.Errorf("serve again: %v", err)
	}
	whole := newTestShopper(t, &fakeSeller{})
	if err := whole.ServeDisplay(listen()); err == nil {
		t.Error("a display that is not apart was served apart")
	}
	if _, err := NewShopper(ShopperConfig{Seller: selling(&fakeSeller{}), Dev: true,
		Display: &Limits{Connections: -1}}); err == nil {
		t.Error("bad limits of the display were taken")
	}
}

// comingFrom is a connection from an address.
type comingFrom struct {
	net.Conn
	addr net.Addr
}

func (c comingFrom) RemoteAddr() net.Addr { return c.addr }

// TestConnectionsOfAnAddress: those of one are counted together, in IPv6 those of
// one network, and forgotten when they leave.
func TestConnectionsOfAnAddress(t *testing.T) {
	p := perAddress{most: 2, inAll: 7}
	enter := func(ip string) (func(), bool) {
		leave, full := p.enter(comingFrom{addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 4711}})
		if full {
			t.Errorf("%s comes where no more may be open at all", ip)
		}
		return leave, leave != nil
	}
	must := func(ip string) func() {
		t.Helper()
		leave, ok := enter(ip)
		if !ok {
			t.Errorf("%s was turned away", ip)
		}
		return leave
	}
	first, second, third := must("192.0.2.1"), must("::ffff:192.0.2.1"), must("192.0.2.2")
	if _, ok := enter("192.0.2.1"); ok {
		t.Error("a third of one address was let in")
	}
	a, b, c := must("2001:db8::1"), must("2001:db8::ffff:1"), must("2001:db8:0:1::1")
	if _, ok := enter("2001:db8::2"); ok {
		t.Error("a third of one network was let in")
	}
	first()
	first() // closed twice
	first = must("192.0.2.1")
	if _, ok := enter("192.0.2.1"); ok {
		t.Error("one that left was counted off twice")
	}
	unix := comingFrom{addr: &net.UnixAddr{Name: "x"}}
	d, _ := p.enter(unix)
	if d == nil {
		t.Fatal("one from no network was turned away")
	}
	if leave, full := p.enter(unix); leave != nil || !full {
		t.Error("an eighth was let in")
	}
	for _, leave := range []func(){first, second, third, a, b, c, d} {
		leave()
	}
	if len(p.open) != 0 || p.count != 0 {
		t.Errorf("%v, %d in all, are left", p.open, p.count)
	}
}

package httpapi

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/ratelimit"
	"doorbuster/httpapi/risk"
)

// guarded is a seller whose gate lets everybody in, so that the guard decides.
type guarded struct {
	fakeSeller
	guard    *Guard
	rules    engine.DoorRules
	level    engine.Level
	visited  engine.Visitor
	switches engine.Switches
	secret   [32]byte
	ticket   uint64 // of the last grab
}

func newGuarded(t testing.TB, cfg GuardConfig) (*guarded, *ShopperServer) {
	t.Helper()
	return newGuardedServer(t, ShopperConfig{Dev: true, Guard: cfg})
}

func newGuardedServer(t testing.TB, cfg ShopperConfig) (*guarded, *ShopperServer) {
	t.Helper()
	g := &guarded{rules: engine.DoorRules{Session: 1, Listing: 1, State: engine.ListingOpen},
		switches: engine.NormalSwitches(), secret: [32]byte{1}}
	cfg.Seller = selling(g)
	s, err := NewShopper(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.guard = s.Guard()
	return g, s
}

func (g *guarded) Decide(q *engine.Grab, _ engine.Asker) (engine.Answer, bool) {
	if why := g.guard.Check(q, g.rules); why != engine.ReasonNone {
		return engine.Answer{Code: engine.CodeOf(why), Reason: why}, true
	}
	g.ticket = q.Ticket
	return engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonSoldOut}, true // let in
}

func (g *guarded) DoorRules([]byte) engine.DoorRules        { return g.rules }
func (g *guarded) Risk(v *engine.Visitor) engine.Level      { g.visited = *v; return g.level }
func (g *guarded) Switches() *engine.Switches               { return &g.switches }
func (g *guarded) TicketSecret() (secret [32]byte, ok bool) { return g.secret, true }

// come makes a request of a shopper at an address.
func come(shopper, from, body string, headers ...string) *fasthttp.RequestCtx {
	var req fasthttp.Request
	req.Header.SetMethod("POST")
	req.SetRequestURI(grabPath)
	req.Header.SetHost("shop.test")
	req.Header.Set("X-Shopper-Id", shopper)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	req.SetBodyString(body)
	ctx := &fasthttp.RequestCtx{}
	ctx.Init(&req, &net.TCPAddr{IP: net.ParseIP(from), Port: 1}, nil)
	ctx.Response.Header.SetNoDefaultContentType(true)
	return ctx
}

// codeIn gives the code of an answer.
func codeIn(ctx *fasthttp.RequestCtx) string {
	_, rest, _ := strings.Cut(string(ctx.Response.Body()), `{"code":"`)
	code, _, _ := strings.Cut(rest, `"`)
	return code
}

// ticketFor gets a ticket in the way that a shopper does.
func ticketFor(t testing.TB, s *ShopperServer, shopper string) string {
	t.Helper()
	return ticketOf(t, s, map[string]string{"X-Shopper-Id": shopper})
}

func ticketOf(t testing.TB, s *ShopperServer, who map[string]string) string {
	t.Helper()
	r := ask(s, "POST", strings.TrimSuffix(grabPath, "grab")+"ticket", who, "")
	_, rest, ok := strings.Cut(string(r.Body()), `{"ticket":"`)
	if !ok {
		t.Fatalf("no ticket: %s", r.Body())
	}
	ticket, _, _ := strings.Cut(rest, `"`)
	return ticket
}

// What the risk lists say, by level, and what turns it off.
func TestGuardGoesByRiskLists(t *testing.T) {
	for name, c := range map[string]struct {
		level  engine.Level
		ticket bool
		turn   engine.Switch
		to     int64
		want   string
	}{
		"nobody knows them":         {engine.LevelNone, false, 0, 1, "sold_out"},
		"watched":                   {engine.LevelListed, false, 0, 1, "sold_out"},
		"blocked":                   {engine.LevelBlock, false, 0, 1, "missed"},
		"to solve something":        {engine.LevelChallenge, false, 0, 1, "ticket_required"},
		"has solved nothing":        {engine.LevelChallenge, true, 0, 1, "ticket_required"},
		"challenges are turned off": {engine.LevelChallenge, false, engine.SwitchChallenge, 0, "sold_out"},
		"tickets are turned off":    {engine.LevelChallenge, false, engine.SwitchTickets, 0, "sold_out"},
	} {
		t.Run(name, func(t *testing.T) {
			g, s := newGuarded(t, GuardConfig{})
			body := ""
			if c.ticket {
				body = `{"ticket":"` + ticketFor(t, s, "ada") + `"}`
			}
			g.level, g.switches[c.turn] = c.level, c.to
			ctx := come("ada", "198.51.100.7", body, "X-Shopper-Phone", "+8613800138000", "X-Forwarded-For",
				"203.0.113.9")
			s.handle(ctx)
			if got := codeIn(ctx); got != c.want {
				t.Errorf("%s; want %s", ctx.Response.Body(), c.want)
			}
			if g.visited.Addr != netip.MustParseAddr("198.51.100.7") || g.visited.Phone != "+8613800138000" {
				t.Errorf("the lists were asked about %+v", g.visited)
			}
		})
	}
}

// newRuled is a server with every rule on, and a crowd that comes with tokens, tickets
// and addresses of their own.
func newRuled(t testing.TB, crowd int) (*guarded, *ShopperServer, []ruledShopper) {
	t.Helper()
	proxies, err := ratelimit.ParseTrusted([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	rate := ratelimit.Config{PerSecond: 1e6, Burst: 1e6}
	g, s := newGuardedServer(t, ShopperConfig{Tokens: auth.Keys{Secret: testSecret},
		Guard: GuardConfig{ShopperRate: rate, AddressRate: rate, Proxies: proxies, TicketTTL: time.Hour}})
	g.rules.Ticket = true
	all := make([]ruledShopper, crowd)
	for i := range all {
		token, err := auth.Claims{Audience: auth.Shoppers, Subject: fmt.Sprintf("shopper-%06d", i),
			TTL: time.Hour}.Sign(testSecret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		all[i] = ruledShopper{bearer: "Bearer " + token, from: fmt.Sprintf("fd00:0:0:%04x::1, 10.0.0.2", i)}
		all[i].ticket = ticketOf(t, s, map[string]string{"Authorization": all[i].bearer})
	}
	return g, s, all
}

type ruledShopper struct{ bearer, ticket, from string }

// With every rule on, a no allocates nothing, and neither does letting in.
func TestGuardAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("with the race detector pools forget")
	}
	g, s, crowd := newRuled(t, 1)
	ticket := crowd[0].ticket
	for name, body := range map[string]string{
		"good ticket": `{"quantity": 1, "ticket": "` + ticket + `", "waitlist": true}`, "bad ticket": `{"ticket": "` +
			strings.Repeat("x", len(ticket)) + `"}`, "no ticket": "",
	} {
		t.Run(name, func(t *testing.T) {
			ctx := come("", "10.0.0.1", body, "X-Forwarded-For", crowd[0].from, "Authorization", crowd[0].bearer)
			if n := testing.AllocsPerRun(200, func() {
				ctx.Response.Reset()
				s.handle(ctx)
			}); n != 0 {
				t.Errorf("%v allocations: %s", n, ctx.Response.Body())
			}
		})
	}
	if g.ticket == 0 {
		t.Error("the good ticket's id was not handed on")
	}
}

// BenchmarkRuledGrab is what a grab of one of a crowd costs in this package with every
// rule on, besides reading the request.
func BenchmarkRuledGrab(b *testing.B) {
	_, s, crowd := newRuled(b, 60_000)
	ctx := come("", "10.0.0.1", "")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		who := &crowd[i*7919%len(crowd)]
		ctx.Request.Header.Set("Authorization", who.bearer)
		ctx.Request.Header.Set("X-Forwarded-For", who.from)
		ctx.Request.SetBodyString(`{"ticket":"`)
		ctx.Request.AppendBodyString(who.ticket)
		ctx.Request.AppendBodyString(`"}`)
		ctx.Response.Reset()
		s.handle(ctx)
	}
	if codeIn(ctx) != "sold_out" {
		b.Fatalf("%s", ctx.Response.Body())
	}
}

// A new secret, as a node that comes by a state has it, is taken up at once: what
// another group gave out is forged here.
func TestGuardTakesUpTheSecret(t *testing.T) {
	g, s := newGuarded(t, GuardConfig{})
	g.rules.Ticket = true
	old := ticketFor(t, s, "ada")
	g.secret = [32]byte{2}
	for want, ticket := range map[string]string{"missed": old, "sold_out": ticketFor(t, s, "ada")} {
		ctx := come("ada", "198.51.100.7", `{"ticket":"`+ticket+`"}`)
		if s.handle(ctx); codeIn(ctx) != want {
			t.Errorf("%s; want %s", ctx.Response.Body(), want)
		}
	}
}

// A switch turns the rates, in percent, at once.
func TestGuardRatesTurn(t *testing.T) {
	rate := ratelimit.Config{PerSecond: 0.001, Burst: 10}
	g, s := newGuarded(t, GuardConfig{ShopperRate: rate})
	passed := func(shopper string) (n int) {
		for range 30 {
			ctx := come(shopper, "198.51.100.7", "")
			if s.handle(ctx); codeIn(ctx) == "sold_out" {
				n++
			}
		}
		return n
	}
	for percent, want := range map[int64]int{100: 10, 50: 5, 0: 30, 200: 20, 1: 1} {
		g.switches[engine.SwitchRates] = percent
		if n := passed(fmt.Sprint("shopper", percent)); n != want {
			t.Errorf("at %d percent %d passed, want %d", percent, n, want)
		}
	}
}

// A crowd without end from one address is turned away, and what is remembered of
// it stays within bounds.
func TestGuardForgetsACrowd(t *testing.T) {
	crowd := 1_000_000
	if testing.Short() || raceDetector {
		crowd = 100_000
	}
	const keys = 1 << 14
	_, s := newGuarded(t, GuardConfig{ShopperRate: ratelimit.Config{PerSecond: 1, Burst: 1, Keys: keys},
		AddressRate: ratelimit.Config{PerSecond: 0.001, Burst: 100_000_0, Keys: keys}})
	ctx := come("ada", "198.51.100.7", "")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range crowd {
		ctx.Request.Header.Set("X-Shopper-Id", fmt.Sprint("s", i))
		ctx.Response.Reset()
		s.handle(ctx)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := s.guard.shopper.Len(); n > keys {
		t.Errorf("%d shoppers are remembered, at most %d may be", n, keys)
	}
	if n := s.guard.address.Len(); n != 1 {
		t.Errorf("%d addresses are remembered", n)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > keys*512 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

// The levels of the service are those of the lists.
func TestRiskLevelsAreTheSame(t *testing.T) {
	for level := risk.Watch; level <= risk.Block; level++ {
		if engine.Level(level).String() != level.String() {
			t.Errorf("%s is %s in lists", level, engine.Level(level))
		}
	}
}

func TestGuardConfigIsChecked(t *testing.T) {
	_, err := NewShopper(ShopperConfig{Seller: selling(&fakeSeller{}), Dev: true, Streams: -1, Guard: GuardConfig{
		TicketTTL: time.Millisecond, ShopperRate: ratelimit.Config{PerSecond: 1},
		AddressRate: ratelimit.Config{PerSecond: -1, Burst: 1}}})
	for _, want := range []string{"TicketTTL is 1ms", "shopper: rate limit: Burst is 0",
		"address: rate limit: PerSecond is -1", "-1 event streams"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// TestShoppersWritesHaveARate: what may go into the log other than a grab is bounded
// for each shopper, and nothing else is.
// TestShoppersWritesOfOneThingAreBounded: who changes one order to and fro is stopped
// though they keep to the rate, and may change another meanwhile.
func TestShoppersWritesOfOneThingAreBounded(t *testing.T) {
	seller := &fakeSeller{order: heldOrder()}
	s, err := NewShopper(ShopperConfig{Seller: selling(seller), Dev: true,
		Guard: GuardConfig{WriteRate: ratelimit.Config{PerSecond: 1e6, Burst: 20}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.guard.turns.init(ratelimit.Config{PerSecond: 0.05, Burst: 4}); err != nil {
		t.Fatal(err)
	}
	change := func(path string) *fasthttp.Response { return ask(s, "POST", path+"/reservation", ada, "") }
	for range 4 {
		if a := change("/v1/sessions/a/skus/b"); a.StatusCode() >= 300 {
			t.Errorf("%d %s", a.StatusCode(), a.Body())
		}
	}
	a := change("/v1/sessions/a/skus/b")
	wantProblem(t, a, 429, "rate")
	if got := string(a.Header.Peek("Retry-After")); got != "20" {
		t.Errorf("Retry-After: %s", got)
	}
	if a := change("/v1/sessions/a/skus/c"); a.StatusCode() >= 300 {
		t.Errorf("another: %d %s", a.StatusCode(), a.Body())
	}
}

func TestShoppersWritesHaveARate(t *testing.T) {
	for r, to := range shopperRoutes {
		path := strings.NewReplacer("{session}", "a", "{sku}", "b", "{order_no}", fakeOrderNo, "{key}",
			"k").Replace(to.template)
		if !to.writes {
			continue
		}
		seller := &fakeSeller{order: heldOrder()}
		s, err := NewShopper(ShopperConfig{Seller: selling(seller), Personal: testVault(seller), Dev: true,
			Guard: GuardConfig{WriteRate: ratelimit.Config{PerSecond: 0.001, Burst: 3}}})
		if err != nil {
			t.Fatal(err)
		}
		body := ""
		if route(r) == routeReceiver {
			body = `{"name":"A","phone":"1","street":"B"}`
		}
		for i := range 6 {
			a := ask(s, to.method, path, ada, body)
			if i < 3 && a.StatusCode() >= 300 {
				t.Errorf("%s %s: %d %s", to.method, path, a.StatusCode(), a.Body())
			}
			if i >= 3 {
				wantProblem(t, a, 429, "rate")
				if len(a.Header.Peek("Retry-After")) == 0 {
					t.Errorf("%s: no Retry-After", path)
				}
			}
		}
		if a := ask(s, to.method, path, map[string]string{"X-Shopper-Id": "bob"}, body); a.StatusCode() >= 300 {
			t.Errorf("%s %s of another shopper: %d", to.method, path, a.StatusCode())
		}
		if a := ask(s, "GET", "/v1/orders/"+fakeOrderNo, ada, ""); a.StatusCode() != 200 {
			t.Errorf("a look: %d", a.StatusCode())
		}
	}
}

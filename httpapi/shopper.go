package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"golang.org/x/time/rate"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/hot"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/personal"
	"doorbuster/httpapi/report"
	"doorbuster/httpapi/storefront"
	"doorbuster/httpapi/traces"
)

// ShopperConfig says how the shopper API is served.
type ShopperConfig struct {
	// Hot sees what shoppers look at and grab; nil: nobody does.
	Hot *hot.Watch

	// Tallies count what is done of each session, for its report; nil: nobody does.
	Tallies *report.Tallies

	// Seller answers; required.
	Seller Seller

	// Dev trusts the X-Shopper-Id header, and lets anybody say that an order was
	// paid. For loopback addresses only; whoever listens sees to that.
	Dev bool
	// Tokens are the keys that shoppers' tokens are checked with; required
	// without Dev, and of no use with it.
	Tokens auth.Keys
	// TokenBytes bounds a token; it must fit into the headers, too. Default
	// auth.DefaultBytes, 256 to 64 KiB.
	TokenBytes int
	// TokenCache bounds the checked tokens that are remembered until they
	// expire. Default 100,000, some 300 bytes each. Fewer: more signatures to
	// check in a rush.
	TokenCache int

	// Limits bound what a connection may cost. Zero fields take DefaultLimits.
	Limits Limits

	// Leaving reports whether shoppers had better go to another node: then their
	// connections are closed after each answer, so that a load balancer may move
	// them. It must be cheap. Default: never.
	Leaving func() bool
	// Removed reports whether this node is not of its cluster any more: then it knows
	// nothing that it may tell, answers everything with a 503 that says so, and
	// closes the connection. It must be cheap. Default: never.
	Removed func() bool

	// Display gives whoever looks a listener of their own (ServeDisplay) with these
	// limits: a storm of looks takes no connection from those who buy. Each
	// listener then answers only what it is there for. nil (the default): one
	// listener serves all. Zero fields take DefaultLimits.
	Display *Limits
	// DisplayShared reports whether for now both listeners serve everything. It must
	// be cheap. Default: never.
	DisplayShared func() bool
	// DisplayAge is how long caches may keep what is on display: whole seconds up
	// to a minute, under one not at all. A cache shows what was; longer takes more
	// looks off this node, and lets a shopper see older stock. It must be cheap.
	// Default: a second.
	DisplayAge func() time.Duration

	// Personal seals and opens receivers. Default: none is taken, and none opened.
	Personal *personal.Vault

	// Guard says how the crowd is held back.
	Guard GuardConfig
	// Storefront is the page that is served at /shop. nil (the default): none.
	Storefront *storefront.Site
	// Streams bounds the streams of events. Default 10,000, 1 to 1,000,000; some
	// 60 KB each.
	Streams int

	// PayKeys sign what shoppers carry to the cashier. Without them a held order has
	// no pay_token; but with Dev it has one by a key of the group's own secret.
	PayKeys *payment.Keys
	// Cashier is who calls back. Without one nobody may; but with Dev everybody.
	Cashier *payment.Secrets

	// Logger hears of faults, never of single requests. Default: nowhere.
	Logger *slog.Logger
	// Took is told how long the door and the gate took, of one grab in 64. It must not
	// block. Default: nobody is.
	Took func(engine.Stage, time.Duration)
	// Tracer traces grabs. nil (the default): none is.
	Tracer *traces.Tracer
	// Exemplars keeps transactions of grabs as examples of how long grabs take.
	Exemplars bool
	// Registerer takes the metrics. Default: nobody does.
	Registerer prometheus.Registerer
}

// Limits bound what one connection or request of a shopper may cost.
type Limits struct {
	// ReadTimeout is for a whole request to arrive. Default 10 s. Longer: slow
	// senders hold connections; shorter: bad mobile networks fail.
	ReadTimeout time.Duration
	// WriteTimeout is for a whole answer to leave. Default 10 s.
	WriteTimeout time.Duration
	// IdleTimeout is how long a connection may wait for its next request.
	// Default 75 s. Longer saves handshakes, and costs memory.
	IdleTimeout time.Duration
	// CommandTimeout bounds cancelling, receivers and payments. Default 5 s.
	CommandTimeout time.Duration
	// Connections at most, in all. Default 100,000; each has a goroutine and
	// about 16 KiB of buffers. One more is answered 503 and closed.
	Connections int
	// ConnectionsPerIP at most; 0 (the default) is no bound, since whole towns
	// share an address behind some carriers. An IPv6 network of 64 bits counts as
	// one address; GuardConfig.Proxies do not count. One more is answered 429 and
	// closed.
	ConnectionsPerIP int
	// HeaderBytes at most of a request's headers. Default 8 KiB; beyond: 431.
	HeaderBytes int
	// BodyBytes at most of a request's body. Default 16 KiB; beyond: 413.
	BodyBytes int
}

// DefaultLimits are the limits of a server of which nothing else is said.
func DefaultLimits() Limits {
	return Limits{
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second,
		CommandTimeout: 5 * time.Second, Connections: 100_000, HeaderBytes: 8 << 10, BodyBytes: 16 << 10,
	}
}

// withDefaults fills in zero fields.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	fill(&l.ReadTimeout, d.ReadTimeout)
	fill(&l.WriteTimeout, d.WriteTimeout)
	fill(&l.IdleTimeout, d.IdleTimeout)
	fill(&l.CommandTimeout, d.CommandTimeout)
	fill(&l.Connections, d.Connections)
	fill(&l.HeaderBytes, d.HeaderBytes)
	fill(&l.BodyBytes, d.BodyBytes)
	return l
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports every field that is out of bounds. Zero fields are the defaults.
func (l Limits) Validate() error {
	var errs []error
	l = l.withDefaults()
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"ReadTimeout", l.ReadTimeout}, {"WriteTimeout", l.WriteTimeout}, {"IdleTimeout", l.IdleTimeout},
		{"CommandTimeout", l.CommandTimeout}} {
		if d.value < time.Millisecond || d.value > time.Hour {
			errs = append(errs, fmt.Errorf("%s is %s; it must be 1ms to 1h", d.name, d.value))
		}
	}
	for _, n := range []struct {
		name               string
		value, least, most int
	}{
		{"Connections", l.Connections, 1, 10_000_000}, {"ConnectionsPerIP", l.ConnectionsPerIP, 0, 10_000_000},
		{"HeaderBytes", l.HeaderBytes, 1 << 10, 1 << 20}, {"BodyBytes", l.BodyBytes, 1 << 10, 1 << 20},
	} {
		if n.value < n.least || n.value > n.most {
			errs = append(errs, fmt.Errorf("%s is %d; it must be %d to %d", n.name, n.value, n.least, n.most))
		}
	}
	return errors.Join(errs...)
}

// ShopperServer serves the shopper API. Its methods are safe for concurrent use.
type ShopperServer struct {
	seller  Seller
	dev     bool
	limits  Limits
	leaves  func() bool
	removed func() bool
	log     *slog.Logger
	faults  rate.Sometimes // the log of faults that shoppers may be able to repeat at will

	tokens *auth.Checker // nil with dev
	shop   *wording
	own    few[uint64, *wording] // of sales, by the versions that Seller gives
	zones  few[string, *time.Location]
	spoken few[string, language] // by Accept-Language

	displayAge func() time.Duration
	pages      [languages]atomic.Pointer[page] // of all sessions, as last built

	grabs    *grabMetrics
	bargains *bargainMetrics
	calls    sync.Pool // of *grabCall
	guard    *Guard
	hot      *hot.Watch // nil: nobody looks
	took     func(engine.Stage, time.Duration)
	tracer   *traces.Tracer // nil: nobody is traced
	tallies  *report.Tallies
	looks    atomic.Uint64 // see Asked
	streams  *streams
	pay      *payDesk
	vault    *personal.Vault

	storefront *storefront.Site // nil where it is not served

	front, show *door // show is nil where the display is not apart
	shared      func() bool
}

// ErrServerStopped: Serve was called on a server that had been shut down.
var ErrServerStopped = errors.New("the server has been shut down")

// NewShopper makes a server of the shopper API, or reports everything that is
// wrong with cfg.
func NewShopper(cfg ShopperConfig) (*ShopperServer, error) {
	var errs []error
	if cfg.Seller == (Seller{}) {
		errs = append(errs, errors.New("no Seller"))
	}
	if cfg.Personal == nil {
		cfg.Personal = personal.Closed()
	}
	if err := cfg.Limits.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("limits: %w", err))
	}
	fill(&cfg.TokenCache, 100_000)
	fill(&cfg.Streams, defaultStreams)
	if cfg.Streams < 1 || cfg.Streams > maxStreams {
		errs = append(errs, fmt.Errorf("%d event streams are not between 1 and %d", cfg.Streams, maxStreams))
	}
	guard, err := newGuard(cfg.Guard, cfg.Seller, cfg.Personal)
	if err != nil {
		errs = append(errs, err)
	} else {
		guard.tallies = cfg.Tallies
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Leaving == nil {
		cfg.Leaving = func() bool { return false }
	}
	if cfg.Removed == nil {
		cfg.Removed = func() bool { return false }
	}
	if cfg.Display != nil {
		if err := cfg.Display.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("limits of the display: %w", err))
		}
	}
	if cfg.DisplayShared == nil {
		cfg.DisplayShared = func() bool { return false }
	}
	if cfg.Took == nil {
		cfg.Took = func(engine.Stage, time.Duration) {}
	}
	if cfg.DisplayAge == nil {
		cfg.DisplayAge = func() time.Duration { return defaultDisplayAge }
	}
	s := &ShopperServer{own: few[uint64, *wording]{most: maxOwnWordings}, zones: few[string,
		*time.Location]{most: maxZones}, spoken: few[string, language]{most: maxLanguages},
		displayAge: cfg.DisplayAge,
		seller:     cfg.Seller, leaves: cfg.Leaving, removed: cfg.Removed, dev: cfg.Dev,
		limits: cfg.Limits.withDefaults(), log: cfg.Logger,
		faults: rate.Sometimes{First: 10, Interval: time.Second},
		grabs:  newGrabMetrics(), bargains: newBargainMetrics(), shared: cfg.DisplayShared,
		calls: sync.Pool{New: func() any { return newGrabCall() }},
		guard: guard, hot: cfg.Hot, tallies: cfg.Tallies, took: cfg.Took, tracer: cfg.Tracer, vault: cfg.Personal,
		storefront: cfg.Storefront,
		streams:    newStreams(cfg.Streams, cfg.Leaving),
	}
	if cfg.Exemplars {
		s.grabs.exemplars = new([grabClasses][len(grabBuckets) + 1]exemplar)
	}
	if !cfg.Dev {
		checks := auth.Config{Audience: auth.Shoppers, Keys: cfg.Tokens, MaxBytes: cfg.TokenBytes,
			Remember: cfg.TokenCache, Log: cfg.Logger}
		if guard != nil {
			checks.Know = guard.know
		}
		tokens, err := auth.NewChecker(checks)
		if err != nil {
			errs = append(errs, fmt.Errorf("tokens: %w", err))
		}
		s.tokens = tokens
	}
	pay, err := newPayDesk(&cfg)
	if err != nil {
		errs = append(errs, err)
	}
	s.pay = pay
	shop, err := shopWording()
	if err != nil {
		errs = append(errs, err)
	}
	s.shop = shop
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("shopper API: %w", err)
	}
	s.front = s.newDoor("shopper", s.limits, s.handle)
	if cfg.Display != nil {
		s.show = s.newDoor("display", cfg.Display.withDefaults(), s.handleAtDisplay)
	}
	if cfg.Registerer != nil {
		collectors := append(s.front.collectors(), s.grabs, s.bargains, s.guard.counts, s.streams, &s.pay.counts)
		if s.tracer != nil {
			collectors = append(collectors, s.tracer)
		}
		if s.show != nil {
			collectors = append(collectors, s.show.collectors()...)
		}
		if s.tokens != nil {
			collectors = append(collectors, s.tokens)
		}
		for _, c := range collectors {
			if err := cfg.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("shopper API: register metrics: %w", err)
			}
		}
	}
	return s, nil
}

// SetTokens checks tokens with other keys from now on. After an error nothing has
// changed. With Dev there are none.
func (s *ShopperServer) SetTokens(keys auth.Keys) error {
	if s.tokens == nil {
		return nil
	}
	return s.tokens.Replace(keys)
}

// Guard is to be asked about every grab that the gate would let in; the grabs'
// Door is the server's own.
func (s *ShopperServer) Guard() *Guard { return s.guard }

// Refused counts the grabs answered so far by engine.Reason; granted ones are under none.
func (s *ShopperServer) Refused() []uint64 {
	_, reasons := s.grabs.sums()
	return reasons
}

// Felt gives how many grabs ended in a fault that the shopper felt, of how many, since the
// start: those whose outcome was not known in time, and whatever else was answered with 5xx.
func (s *ShopperServer) Felt() (faults, grabs uint64) {
	undecided, grabs := s.grabs.felt()
	failed := s.front.metrics.faults()
	return undecided + failed, grabs + failed
}

// Asked gives how many looks at what is on display, and how many grabs, came to these doors
// since the start.
func (s *ShopperServer) Asked() (looks, grabs uint64) {
	_, grabs = s.grabs.felt()
	return s.looks.Load(), grabs
}

// Alarms is what somebody must see to at the doors and what is asked for them.
func (s *ShopperServer) Alarms() []engine.Alarm {
	all := s.front.alarms()
	if s.show != nil {
		all = append(all, s.show.alarms()...)
	}
	all = append(all, s.guard.alarms()...)
	if r := s.guard.risk; r != nil && r.LeftAlone() {
		all = append(all, engine.Alarm{Name: engine.AlarmRiskServiceFails,
			Detail: "The outside risk service fails, and is not asked.",
			Advice: "Look at the service, and at risk.when_down: shoppers are judged by it meanwhile."})
	}
	return all
}

// Serve answers what comes in at ln until Shutdown, and then gives nil. It
// closes ln. A listener that fails for good ends it with that error.
func (s *ShopperServer) Serve(ln net.Listener) error { return s.front.serve(ln) }

// ServeDisplay is Serve for whoever looks; with ShopperConfig.Display only.
func (s *ShopperServer) ServeDisplay(ln net.Listener) error {
	if s.show == nil {
		_ = ln.Close()
		return errors.New("the display is not apart: ShopperConfig.Display is nil")
	}
	return s.show.serve(ln)
}

// Shutdown takes no more connections, ends the streams of events, and waits until the requests in flight
// have been answered, or until ctx ends, whose error it then gives.
func (s *ShopperServer) Shutdown(ctx context.Context) error {
	s.streams.close()
	if s.show == nil {
		return s.front.shutdown(ctx)
	}
	shown := make(chan error, 1)
	go func() { shown <- s.show.shutdown(ctx) }()
	return errors.Join(s.front.shutdown(ctx), <-shown)
}

// handle answers one request. A panic is answered too, and ends nothing but it:
// fasthttp itself would let it end the process.
func (s *ShopperServer) handle(ctx *fasthttp.RequestCtx) { s.answerAt(s.front, ctx) }

func (s *ShopperServer) answerAt(d *door, ctx *fasthttp.RequestCtx) {
	defer func() {
		if p := recover(); p != nil {
			s.panicked(ctx, p)
		}
	}()
	if conn, ok := ctx.Conn().(*lingeringConn); ok {
		conn.awaitAnswer()
	}
	if s.leaves() {
		ctx.Response.SetConnectionClose()
	}
	if s.removed() {
		ctx.Response.SetConnectionClose()
		s.problem(ctx, unavailable, "This node was removed from its cluster. Ask again: another node will answer.")
		return
	}
	path, asked := pathOf(ctx)
	r, m := match(path)
	if ctx.IsDelete() {
		r = r.deletes()
	}
	switch {
	case lengthAndChunks(ctx.Request.Header.RawHeaders()):
		ctx.Response.SetConnectionClose()
		s.problem(ctx, malformed, "Both Content-Length and Transfer-Encoding: give one of them.")
	case r == routeNone, r.ofStorefront() && s.storefront == nil:
		s.problem(ctx, notFound, "No route has this path.")
	case s.show != nil && s.servedElsewhere(d, r):
		s.elsewhere(ctx, r)
	case !shopperRoutes[r].allows(ctx.Method()):
		ctx.Response.Header.Set("Allow", shopperRoutes[r].allow)
		s.problem(ctx, wrongMethod, "Use "+shopperRoutes[r].allow+".")
	case len(asked) > 0 && shopperRoutes[r].query == nil && !r.ofStorefront():
		s.problem(ctx, malformed, shopperRoutes[r].query.read(string(asked), reflect.Value{}))
	case len(ctx.Request.Header.PeekCanonical(headerEncoding)) > 0 && coded(ctx):
		s.problem(ctx, wrongMediaType, uncoded)
	case r == routeGrab:
		if s.hot != nil {
			s.hot.Saw(m.listing)
		}
		s.grab(ctx, m.listing)
	default:
		s.serve(ctx, r, m)
	}
}

// pathOf gives the path as it was sent, and what is asked behind its question mark,
// without making fasthttp take the whole URI apart for it.
func pathOf(ctx *fasthttp.RequestCtx) (path, asked []byte) {
	uri := ctx.Request.Header.RequestURI()
	if len(uri) == 0 || uri[0] != '/' || len(uri) > 1 && uri[1] == '/' { // with a host in it
		return ctx.URI().PathOriginal(), ctx.URI().QueryString()
	}
	if i := bytes.IndexByte(uri, '#'); i >= 0 {
		uri = uri[:i]
	}
	if i := bytes.IndexByte(uri, '?'); i >= 0 {
		return uri[:i], uri[i+1:]
	}
	return uri, nil
}

// askedFor puts what is asked after the path of r into q, or answers what is wrong
// with it itself and gives false.
func askedFor[Q any](s *ShopperServer, ctx *fasthttp.RequestCtx, r route, q *Q) bool {
	_, asked := pathOf(ctx)
	if wrong := shopperRoutes[r].query.read(string(asked), reflect.ValueOf(q).Elem()); wrong != "" {
		s.problem(ctx, malformed, wrong)
		return false
	}
	return true
}

// coded reports whether a body was sent in a coding, as gzip.
func coded(ctx *fasthttp.RequestCtx) bool {
	coding := ctx.Request.Header.PeekCanonical(headerEncoding)
	return len(ctx.Request.Body()) > 0 && !bytes.EqualFold(coding, []byte("identity"))
}

// lengthAndChunks reports whether raw headers have both a Content-Length and a
// Transfer-Encoding. That is how requests are smuggled past a proxy (RFC 9112,
// 6.1); fasthttp would take the chunks and go on.
func lengthAndChunks(headers []byte) bool {
	length, chunks := false, false
	for len(headers) > 0 {
		line := headers
		if end := bytes.IndexByte(headers, '\n'); end >= 0 {
			line, headers = headers[:end], headers[end+1:]
		} else {
			headers = nil
		}
		switch {
		case named(line, "content-length"):
			length = true
		case named(line, "transfer-encoding"):
			chunks = true
		}
	}
	return length && chunks
}

// named reports whether a header line has this name, given in lower case.
func named(line []byte, name string) bool {
	return len(line) > len(name) && line[0]|0x20 == name[0] && line[len(name)] == ':' &&
		strings.EqualFold(string(line[:len(name)]), name)
}

func (s *ShopperServer) panicked(ctx *fasthttp.RequestCtx, p any) {
	s.metricsOf(ctx).panicked.Add(1)
	s.fault(ctx.URI().PathOriginal(), p)
	ctx.Response.Reset()
	s.problem(ctx, internalFault, panicWords)
}

const panicWords = "It was noted. Asking again may help."

// fault notes a panic.
func (s *ShopperServer) fault(path []byte, p any) {
	s.faults.Do(func() {
		s.log.Error("shopper handler panicked", "path", string(path), "panic", fmt.Sprint(p),
			"stack", string(debug.Stack()))
	})
}

// transportLog takes what fasthttp has to say of single connections: whoever
// connects can cause it, so it is for debugging only.
type transportLog struct{ *slog.Logger }

func (l transportLog) Printf(format string, args ...any) {
	l.Debug("shopper connection", "event", fmt.Sprintf(format, args...))
}

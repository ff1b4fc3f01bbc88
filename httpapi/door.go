package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// door is a listener's side of the shopper API: its limits, and what goes wrong
// at it. Safe for concurrent use.
type door struct {
	name    string // in metrics and errors
	limits  Limits
	metrics *apiMetrics
	http    *fasthttp.Server
	from    perAddress
	log     *slog.Logger
	failing atomic.Pointer[acceptFailure] // nil while connections can be accepted
	owed    atomic.Int64                  // detached answers that were not written yet
	leaving atomic.Bool                   // shutdown has begun

	acceptFailures prometheus.Counter

	mu        sync.Mutex
	listeners []net.Listener // open until shutdown
	stopped   bool
}

func (s *ShopperServer) newDoor(name string, limits Limits, handle fasthttp.RequestHandler) *door {
	d := &door{name: name, limits: limits, metrics: newAPIMetrics(name), log: s.log,
		from: perAddress{most: limits.ConnectionsPerIP, inAll: limits.Connections, proxies: s.guard.proxies}}
	d.acceptFailures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "doorbuster_accept_failures_total", Help: "Connections that could not be accepted.",
		ConstLabels: prometheus.Labels{"api": name},
	})
	d.http = &fasthttp.Server{
		Handler:            handle,
		ErrorHandler:       d.unreadable,
		Logger:             transportLog{s.log},
		Concurrency:        math.MaxInt32, // counted by from, whose no is a problem like others
		ReadTimeout:        limits.ReadTimeout,
		WriteTimeout:       limits.WriteTimeout,
		IdleTimeout:        limits.IdleTimeout,
		ReadBufferSize:     limits.HeaderBytes,
		MaxRequestBodySize: limits.BodyBytes,
		TCPKeepalive:       true,
		// Bodies are small and bounded: read whole before the handler, so that a
		// slow sender waits in fasthttp and not in a grab.
		StreamRequestBody:            false,
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		CloseOnShutdown:              true,
		SecureErrorLogMessage:        true,
	}
	return d
}

// collectors gives what is counted at the door.
func (d *door) collectors() []prometheus.Collector {
	return []prometheus.Collector{d.metrics, d.acceptFailures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "doorbuster_http_connections", Help: "Open connections.", ConstLabels: prometheus.Labels{"api": d.name},
	}, func() float64 { return float64(d.http.GetOpenConnectionsCount()) })}
}

// serve is ShopperServer.Serve for one door.
func (d *door) serve(ln net.Listener) error {
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		_ = ln.Close()
		return ErrServerStopped
	}
	d.listeners = append(d.listeners, ln)
	d.mu.Unlock()
	if err := d.http.Serve(lingeringListener{ln, d}); err != nil {
		return fmt.Errorf("serve the %s API at %s: %w", d.name, ln.Addr(), err)
	}
	return nil
}

// shutdown is ShopperServer.Shutdown for one door.
func (d *door) shutdown(ctx context.Context) error {
	d.leaving.Store(true)
	d.mu.Lock()
	d.stopped = true
	for _, ln := range d.listeners {
		// A listener that serve has not handed to fasthttp yet would stay open.
		_ = ln.Close()
	}
	d.listeners = nil
	d.mu.Unlock()
	if err := d.http.ShutdownWithContext(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("shut down the %s API: %w", d.name, err)
	}
	if !d.awaitOwed(ctx.Done()) {
		return fmt.Errorf("shut down the %s API: %w", d.name, ctx.Err())
	}
	return nil
}

// unreadable answers what never became a request. fasthttp closes the connection.
func (d *door) unreadable(ctx *fasthttp.RequestCtx, err error) {
	kind, detail := malformed, "This can't be read as an HTTP request."
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		kind, detail = tooLarge, fmt.Sprintf("A body may have %d bytes.", d.limits.BodyBytes)
	case errors.As(err, &small):
		kind, detail = headersTooLarge, fmt.Sprintf("Headers may have %d bytes.", d.limits.HeaderBytes)
	case errors.Is(err, fasthttp.ErrTimeout), errors.As(err, &network) && network.Timeout():
		kind, detail = tooSlow, fmt.Sprintf("A request has %s to arrive.", d.limits.ReadTimeout)
	}
	if kind != tooSlow {
		linger(ctx.Conn())
	}
	d.metrics.problem(kind)
	ctx.Response.Reset()
	// Of a request that could not be read not even the path is to be trusted.
	setProblem(&ctx.Response, kind, append(appendProblem(nil, kind, detail, ""), '}'))
}

// atDisplay marks a request that came in at the display's own door.
type atDisplay struct{}

func (s *ShopperServer) handleAtDisplay(ctx *fasthttp.RequestCtx) {
	ctx.SetUserValue(atDisplay{}, true)
	s.answerAt(s.show, ctx)
}

// metricsOf gives the counters of the door at which a request came in.
func (s *ShopperServer) metricsOf(ctx *fasthttp.RequestCtx) *apiMetrics {
	if s.show != nil && ctx.UserValue(atDisplay{}) != nil {
		return s.show.metrics
	}
	return s.front.metrics
}

// servedElsewhere reports whether, with two doors, a route is the other one's.
func (s *ShopperServer) servedElsewhere(d *door, r route) bool {
	switch r {
	case routeTime, routeBargain, // a bargain is shown to all, and more of it to some
		routeStorefront, routeStorefrontFile:
		return false
	case routeSessions, routeListing, routeDraw:
		return d != s.show && !s.shared()
	}
	return d == s.show && !s.shared()
}

// elsewhere answers a request that came in at the wrong door.
func (s *ShopperServer) elsewhere(ctx *fasthttp.RequestCtx, r route) {
	if r == routeSessions || r == routeListing || r == routeDraw {
		s.problem(ctx, wrongDoor,
			"The display is served at another address. This one takes grabs, orders and payments.")
		return
	}
	s.problem(ctx, wrongDoor, "Grabs, orders and payments are taken at another address. This one is for the display.")
}

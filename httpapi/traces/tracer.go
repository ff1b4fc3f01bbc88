package traces

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"doorbuster/engine"
	"doorbuster/httpapi/hidden"
)

// Config says what is traced, and where traces go.
type Config struct {
	// Endpoint is the collector's URL, http or https, for OTLP over HTTP; required. Without a
	// path it is /v1/traces. The SDK takes the rest from its own environment variables:
	// OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_RESOURCE_ATTRIBUTES, …
	Endpoint string
	// Ratio is how many of all grabs are traced, 0 to 1. Each takes some 3 KB, and has up to 9
	// spans.
	Ratio float64
	// Token is sent as a bearer's; "" for none.
	Token string
	// Node, Zone and Version say whose spans they are.
	Node, Zone, Version string
	// Timeout bounds how long one request may take, with its repetitions. Default 10 s.
	Timeout time.Duration
	// Every is how long spans gather at most. Default 1 s.
	Every time.Duration
	// Logger hears of failures, seldom. Default: nowhere.
	Logger *slog.Logger
}

const (
	queued    = 2048        // grabs that wait to be sent; at 10 s for a request that is 200 a second
	grabsSent = 128         // that make a request, which no collector finds too large
	lastWord  = time.Second // for what is left when a node stops: Tracer.patience
)

// ValidateEndpoint reports what is wrong with a collector's URL.
func ValidateEndpoint(text string) error {
	_, err := endpoint(text)
	return err
}

func endpoint(text string) (string, error) {
	const want = "it must be like https://collector.example:4318, without user, query and fragment"
	u, err := url.Parse(text)
	switch {
	case err != nil: // its text would show what is in the URL, perhaps a password
		return "", fmt.Errorf("it is no URL; %s", want)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" ||
		u.RawQuery != "" || u.ForceQuery:
		return "", fmt.Errorf("%q: %s", hidden.URL(text).String(), want)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// Tracer traces grabs. Its methods are safe for concurrent use.
type Tracer struct {
	cfg   Config
	queue chan *Grab
	spans trace.Tracer
	ended collected
	// patience is how long what is left may take once Run is to end.
	patience time.Duration
	grabs    uint64 // whose spans these are; Run's
	log      rate.Sometimes

	mu   sync.Mutex
	sink *otlptrace.Exporter

	sent, failed, dropped atomic.Uint64
}

// New makes a Tracer that sends nothing until Run.
func New(cfg Config) (*Tracer, error) {
	var err error
	if cfg.Endpoint, err = endpoint(cfg.Endpoint); err != nil {
		return nil, fmt.Errorf("traces: endpoint: %w", err)
	}
	if !(cfg.Ratio >= 0 && cfg.Ratio <= 1) {
		return nil, fmt.Errorf("traces: the ratio %v is not between 0 and 1", cfg.Ratio)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	of, err := resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "doorbuster"), attribute.String("service.version", cfg.Version),
		attribute.String("service.instance.id", cfg.Node), attribute.String("doorbuster.zone", cfg.Zone)),
		resource.WithFromEnv()) // last: it wins
	if err != nil {
		return nil, fmt.Errorf("traces: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t := &Tracer{cfg: cfg, patience: lastWord, queue: make(chan *Grab, queued),
		log: rate.Sometimes{First: 1, Interval: time.Minute}}
	t.spans = sdk.NewTracerProvider(sdk.WithSampler(sdk.AlwaysSample()), sdk.WithResource(of),
		sdk.WithSpanProcessor(&t.ended)).Tracer("doorbuster")
	if err := t.SetToken(cfg.Token); err != nil {
		return nil, err
	}
	return t, nil
}

// SetToken has another token sent from now on.
func (t *Tracer) SetToken(token string) error {
	options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(t.cfg.Endpoint),
		otlptracehttp.WithTimeout(t.cfg.Timeout)}
	if token != "" {
		if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return errors.New("traces: a token is printable ASCII without spaces")
		}
		options = append(options, otlptracehttp.WithHeaders(map[string]string{"Authorization": "Bearer " + token}))
	}
	sink, err := otlptracehttp.New(context.Background(), options...)
	if err != nil {
		return fmt.Errorf("traces: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sink = sink
	return nil
}

// Sample draws whether a grab is traced.
func (t *Tracer) Sample() bool { return rand.Float64() < t.cfg.Ratio }

// End takes a grab that has been answered. It does not wait, and keeps nothing of q and a.
func (t *Tracer) End(g *Grab, q *engine.Grab, a *engine.Answer) {
	g.listing, g.answer = strings.ToValidUTF8(string(q.Listing), "?"), *a
	g.transaction = cmp.Or(a.Transaction, q.Transaction)
	select {
	case t.queue <- g:
	default:
		t.dropped.Add(1)
	}
}

// Run sends what is traced until ctx ends, and then for a second what is left.
func (t *Tracer) Run(ctx context.Context) {
	tick := time.NewTicker(t.cfg.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case g := <-t.queue:
			t.take(ctx, g)
		case <-tick.C:
			t.send(ctx)
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.patience)
	defer cancel()
	for range len(t.queue) {
		t.take(last, <-t.queue)
	}
	t.send(last)
}

// take takes a grab in, and sends what has gathered if that is enough.
func (t *Tracer) take(ctx context.Context, g *Grab) {
	t.record(g)
	if t.grabs++; t.grabs == grabsSent {
		t.send(ctx)
	}
}

// send sends the spans that have gathered.
func (t *Tracer) send(ctx context.Context) {
	all, grabs := t.ended.take(), t.grabs
	if t.grabs = 0; grabs == 0 {
		return
	}
	t.mu.Lock()
	sink := t.sink
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	if err := sink.ExportSpans(ctx, all); err != nil {
		t.failed.Add(grabs)
		t.log.Do(func() {
			t.cfg.Logger.Warn("traces could not be sent", "error", shortened(engine.PlainNetworkError(err)))
		})
		return
	}
	t.sent.Add(grabs)
}

// shortened bounds what a collector may have us log.
func shortened(text string) string {
	const most = 300
	text = strings.ToValidUTF8(text, "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// collected has the spans that have ended. One goroutine ends and takes them: Run's.
type collected struct{ all []sdk.ReadOnlySpan }

func (c *collected) take() []sdk.ReadOnlySpan {
	all := c.all
	c.all = nil
	return all
}

// OnStart implements sdk.SpanProcessor.
func (*collected) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd implements sdk.SpanProcessor.
func (c *collected) OnEnd(s sdk.ReadOnlySpan) { c.all = append(c.all, s) }

// ForceFlush implements sdk.SpanProcessor.
func (*collected) ForceFlush(context.Context) error { return nil }

// Shutdown implements sdk.SpanProcessor.
func (*collected) Shutdown(context.Context) error { return nil }

var (
	grabsDesc = prometheus.NewDesc("doorbuster_traces_total",
		"Traces of grabs: sent, failed (the collector did not take them), or dropped (they would have had to wait).",
		[]string{"outcome"}, nil)
	waitingDesc = prometheus.NewDesc("doorbuster_traces_waiting", "Traces of grabs that wait to be sent.", nil, nil)
)

// Describe implements prometheus.Collector.
func (t *Tracer) Describe(ch chan<- *prometheus.Desc) {
	ch <- grabsDesc
	ch <- waitingDesc
}

// Collect implements prometheus.Collector.
func (t *Tracer) Collect(ch chan<- prometheus.Metric) {
	for outcome, n := range map[string]*atomic.Uint64{"sent": &t.sent, "failed": &t.failed, "dropped": &t.dropped} {
		ch <- prometheus.MustNewConstMetric(grabsDesc, prometheus.CounterValue, float64(n.Load()), outcome)
	}
	ch <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(len(t.queue)))
}

package risk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"
)

// Question is who wants what. Its strings are kept for as long as the answer is,
// and the address is a valid one.
type Question struct {
	Shopper string
	Address netip.Addr
	Session string
	SKU     string
	Phone   string // empty where it is not known
}

// Verdict is what to do with a shopper, and who said so.
type Verdict struct {
	Level  Level
	Source Source
}

// Counters count since the start, for metrics.
type Counters struct {
	Asked    atomic.Uint64 // questions sent to the service
	Answered atomic.Uint64 // of these, those with a good answer
	Cached   atomic.Uint64 // verdicts from memory
	Down     atomic.Uint64 // verdicts of Config.WhenDown: no answer, no good one, too late, too many in flight
	Open     atomic.Uint64 // verdicts of Config.WhenDown while the service was left alone
}

// Client asks the risk service. Its methods are safe for concurrent use.
type Client struct {
	cfg     Config
	token   atomic.Pointer[string]
	now     func() time.Time
	http    *http.Client
	slots   chan struct{} // one for each question in flight
	breaker *gobreaker.CircuitBreaker[Level]
	flights singleflight.Group

	// Answers that are too old are still here until they are pushed out:
	// dropping them in time would take a goroutine that nothing stops.
	remembered *lru.Cache[subject, answer]

	counters Counters
	failure  atomic.Pointer[error] // the latest
}

// subject is what answers are remembered by.
type subject struct {
	shopper string
	address netip.Addr
}

type answer struct {
	level   Level
	expires time.Time
}

var errBusy = errors.New("too many questions are in flight")

// New makes a Client, or says all that is wrong with cfg. It connects to nothing
// until it is asked.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("risk service: %w", err)
	}
	cfg = cfg.withDefaults()
	remembered, err := lru.New[subject, answer](cfg.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("risk service: %w", err)
	}
	c := &Client{cfg: cfg, now: time.Now, http: newHTTP(cfg), slots: make(chan struct{}, cfg.MaxInFlight),
		remembered: remembered}
	c.token.Store(&cfg.Token)
	c.breaker = gobreaker.NewCircuitBreaker[Level](gobreaker.Settings{
		MaxRequests: uint32(cfg.Breaker.Probes), Timeout: cfg.Breaker.OpenFor,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return counts.ConsecutiveFailures >= uint32(cfg.Breaker.Failures)
		},
		OnStateChange: c.logBreaker,
	})
	return c, nil
}

// SetToken asks with another token from now on; what was answered is remembered on.
// After an error nothing has changed.
func (c *Client) SetToken(token string) error {
	if err := validateToken(token); err != nil {
		return fmt.Errorf("risk service: %w", err)
	}
	c.token.Store(&token)
	return nil
}

// newHTTP makes what the service is asked with: few connections, kept for the
// next question, and small headers.
func newHTTP(cfg Config) *http.Client {
	// Connecting may take longer than a question: who asked has gone by then, and
	// the next one finds the connection made.
	const connectTimeout = 5 * time.Second
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSClientConfig:     cfg.TLS,
		TLSHandshakeTimeout: connectTimeout,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // answers are tiny, and what unpacks may grow
		MaxConnsPerHost:     cfg.MaxInFlight,
		MaxIdleConns:        cfg.MaxInFlight,
		MaxIdleConnsPerHost: cfg.MaxInFlight,
		IdleConnTimeout:     90 * time.Second,

		MaxResponseHeaderBytes: 16 << 10,
	}
	if cfg.ProxyFromEnvironment {
		transport.Proxy = http.ProxyFromEnvironment
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Judge tells what to do with whoever asks. It waits for the service until
// Config.Timeout or the end of ctx, whichever comes first, and always has an
// answer. Questions about the same shopper and address share one call; one that
// is left by ctx goes on for the others, and for memory.
func (c *Client) Judge(ctx context.Context, q Question) Verdict {
	of := subject{q.Shopper, q.Address}
	if level, ok := c.recall(of); ok {
		c.counters.Cached.Add(1)
		return Verdict{level, FromMemory}
	}
	if c.LeftAlone() {
		c.counters.Open.Add(1)
		return Verdict{c.cfg.WhenDown, FromConfig}
	}
	// No shopper has a zero byte in their name, nor an address: no two subjects
	// share a key.
	shared := c.flights.DoChan(q.Shopper+"\x00"+q.Address.String(), func() (any, error) {
		return c.ask(context.WithoutCancel(ctx), of, q)
	})
	select {
	case result := <-shared:
		if result.Err == nil {
			return Verdict{result.Val.(Level), FromService}
		}
		if errors.Is(result.Err, gobreaker.ErrOpenState) || errors.Is(result.Err, gobreaker.ErrTooManyRequests) {
			c.counters.Open.Add(1)
			return Verdict{c.cfg.WhenDown, FromConfig}
		}
	case <-ctx.Done():
	}
	c.counters.Down.Add(1)
	return Verdict{c.cfg.WhenDown, FromConfig}
}

// ask asks the service, unless somebody just did or it is left alone.
func (c *Client) ask(ctx context.Context, of subject, q Question) (Level, error) {
	if level, ok := c.recall(of); ok {
		return level, nil
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	default:
		return 0, errBusy
	}
	return c.breaker.Execute(func() (Level, error) {
		ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
		c.counters.Asked.Add(1)
		level, err := c.exchange(ctx, q)
		if err != nil {
			c.failure.Store(&err)
			return 0, err
		}
		c.counters.Answered.Add(1)
		c.remembered.Add(of, answer{level, c.now().Add(c.cfg.CacheTTL)})
		return level, nil
	})
}

func (c *Client) recall(of subject) (Level, bool) {
	known, ok := c.remembered.Get(of)
	return known.level, ok && c.now().Before(known.expires)
}

// LeftAlone reports whether the service has failed so often that it is not asked
// for the moment.
func (c *Client) LeftAlone() bool { return c.breaker.State() == gobreaker.StateOpen }

// Counters are the client's own: they go on counting.
func (c *Client) Counters() *Counters { return &c.counters }

// Close drops the connections that are not in use. The client may still be
// asked.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) logBreaker(_ string, from, to gobreaker.State) {
	switch {
	case to == gobreaker.StateOpen && from == gobreaker.StateClosed:
		why := "unknown"
		if err := c.failure.Load(); err != nil {
			why = (*err).Error()
		}
		c.cfg.Logger.Warn("the risk service fails; it is left alone for a while", slog.String("error", why),
			slog.Duration("open_for", c.cfg.Breaker.OpenFor), slog.String("verdict", c.cfg.WhenDown.String()))
	case to == gobreaker.StateClosed:
		c.cfg.Logger.Info("the risk service answers again")
	}
}

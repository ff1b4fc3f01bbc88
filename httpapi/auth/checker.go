package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/recall"
)

// Audience is whom a token is for: it says which API the token opens.
type Audience string

// Audiences.
const (
	Shoppers  Audience = "doorbuster-shopper"
	Operators Audience = "doorbuster-ops"
)

// Bounds of tokens, besides those of the headers that they stand in.
const (
	DefaultBytes = 4 << 10
	minBytes     = 256
	maxBytes     = 64 << 10
)

// leeway is how far the clock of who made a token may be ahead of ours: a token
// is taken so long before its nbf. Its exp is kept to the second, for what was begun
// with it ends then.
const leeway = 60 // seconds

// Bearer is who a checked token says it is. It is shared: read only.
type Bearer struct {
	Subject []byte
	Role    Role // of an operator
	// Supplier is whose products the role Supplier is for; "" with other roles.
	Supplier string
	Phone    string // "" where the token does not say
	Address  string

	// ListedPhone and ListedAddress are the two as lists have them; "" also where they
	// can't be made out. Config.Know fills them in.
	ListedPhone, ListedAddress engine.Canonical
	// PhoneHash and AddressHash are by what lists find the two; zero where there are none.
	PhoneHash, AddressHash engine.Blind

	expires int64 // Unix seconds
	key     *key  // nil where nobody had to prove anything
}

// ErrAuthorityOver is why something long that was begun with a token has ended.
var ErrAuthorityOver = errors.New("the token has expired meanwhile, or its key was withdrawn")

// Over reports whether the token has expired or its key was withdrawn.
func (b *Bearer) Over() bool {
	return b.key != nil && (b.key.gone.Load() || time.Now().Unix() >= b.expires)
}

// Expires is when the token does; zero where nobody had to prove anything.
func (b *Bearer) Expires() time.Time {
	if b.key == nil {
		return time.Time{}
	}
	return time.Unix(b.expires, 0)
}

// Within gives a context that ends with ctx, and before it, with ErrAuthorityOver for
// a cause, when the token expires or its key is withdrawn. All that is not done in a
// moment goes by it. The function ends it at once, and is to be called.
func (b *Bearer) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	if b.key == nil {
		return ctx, func() { end(nil) }
	}
	over := func() { end(ErrAuthorityOver) }
	late := time.AfterFunc(time.Until(time.Unix(b.expires, 0)), over)
	forget := context.AfterFunc(b.key.lasts, over)
	return ctx, func() {
		late.Stop()
		forget()
		end(nil)
	}
}

// Fault is what is wrong with a token, or with how it was sent.
type Fault uint8

const (
	faultMissing Fault = iota
	faultTwice
	faultLong
	faultMalformed
	faultCritical
	faultAlgorithm
	faultSignature
	faultExpired
	faultEarly
	faultAudience
	faultIssuer
	faultSubject
	faultRole
	faultSupplier
	faultKinds
)

// faults says of each fault how metrics and the log call it, and what who
// sent the token hears. Before the signature has passed they hear little: the rest
// would help only a forger.
var faults = [faultKinds]struct{ slug, says string }{
	faultMissing:   {"missing", "Send Authorization: Bearer and a token."},
	faultTwice:     {"twice", "Send one Authorization header, not several."},
	faultLong:      {"too_long", "The token is longer than is taken here. The setting token_bytes bounds it."},
	faultMalformed: {"malformed", badToken},
	faultCritical:  {"crit", badToken},
	faultAlgorithm: {"alg", badToken},
	faultSignature: {"signature", badToken},
	faultExpired:   {"exp", "The token has expired, or does not say when it does. Get a new one."},
	faultEarly:     {"nbf", "The token is not good yet. Are the clocks right?"},
	faultAudience:  {"aud", "The token is for another audience."},
	faultIssuer:    {"iss", "The token is of another issuer than is asked for here."},
	faultSubject: {"sub", fmt.Sprintf("The token's subject must be 1 to %d printable ASCII characters without spaces, "+
		"or a whole number.", engine.MaxShopperBytes)},
	faultRole: {"role", "The token's role must be viewer, operator, admin or supplier."},
	faultSupplier: {"supplier", "A token with the role supplier must name its supplier in the claim supplier, an id; " +
		"and no other may."},
}

const badToken = "The token is not valid, or not any more. Get a new one."

// Error says what who sent the token hears.
func (f Fault) Error() string { return faults[f].says }

// Checker checks tokens and remembers those that passed, so that a shopper
// who asks again costs a hash and no signature. Safe for concurrent use.
type Checker struct {
	audience Audience
	keys     atomic.Pointer[keyring]
	now      func() time.Time
	know     func(*Bearer) // looks at who passed, once; nil for nobody
	most     int           // bytes of a token
	log      *slog.Logger

	replacing sync.Mutex
	passed    *recall.Table[Bearer] // by their tokens, of which it keeps but a keyed hash

	refused     [faultKinds]atomic.Uint64
	refusedDesc *prometheus.Desc
}

// Config is what a Checker is made of.
type Config struct {
	Audience Audience
	Keys     Keys
	// MaxBytes bounds a token. 0 is DefaultBytes; else 256 to 64 KiB.
	MaxBytes int
	// Remember is how many checked tokens are remembered, 1 to 10,000,000.
	Remember int
	// Know looks at who passed, once, before anybody else does; nil for nobody.
	Know func(*Bearer)
	Log  *slog.Logger // says, at debug level, why tokens are refused
}

// NewChecker makes a Checker, or says what of cfg can't be.
func NewChecker(cfg Config) (*Checker, error) {
	most := cfg.MaxBytes
	if most == 0 {
		most = DefaultBytes
	}
	if most < minBytes || most > maxBytes {
		return nil, fmt.Errorf("tokens of %d bytes; they may have %d to %d", most, minBytes, maxBytes)
	}
	if cfg.Remember < 1 || cfg.Remember > 10_000_000 {
		return nil, fmt.Errorf("the token cache has %d places; it must have 1 to 10000000", cfg.Remember)
	}
	c := &Checker{audience: cfg.Audience, now: time.Now, know: cfg.Know, most: most, log: cfg.Log,
		passed: recall.New[Bearer](cfg.Remember)}
	api := map[Audience]string{Shoppers: "shopper", Operators: "admin"}[c.audience]
	c.refusedDesc = prometheus.NewDesc("doorbuster_tokens_refused_total",
		"Requests refused for their token, by what was wrong with it.", []string{"reason"},
		prometheus.Labels{"api": api})
	return c, c.Replace(cfg.Keys)
}

// Authorize tells who asks by an Authorization header, the first of so many, or what
// is wrong, a Fault, which it counts.
func Authorize[T string | []byte](c *Checker, header T, headers int) (*Bearer, error) {
	err := error(faultMissing)
	if headers > 1 {
		err = faultTwice
	} else if token, ok := bearerToken(header); ok {
		var b *Bearer
		if b, err = c.check([]byte(token)); err == nil {
			return b, nil
		}
	}
	fault := err.(Fault)
	c.refused[fault].Add(1)
	if c.log.Enabled(context.Background(), slog.LevelDebug) {
		c.log.Debug("token refused", "audience", string(c.audience), "reason", faults[fault].slug)
	}
	return nil, err
}

// bearerToken takes the token out of an Authorization header.
func bearerToken[T string | []byte](header T) (token T, ok bool) {
	const scheme = "bearer "
	if len(header) <= len(scheme) {
		return token, false
	}
	for i := range len(scheme) {
		c := header[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != scheme[i] {
			return token, false
		}
	}
	return header[len(scheme):], true
}

// Challenge is a WWW-Authenticate header that asks for a token, after what Authorize
// found wrong.
func Challenge(realm string, fault error) string {
	if fault == faultMissing {
		return `Bearer realm="` + realm + `"`
	}
	return `Bearer realm="` + realm + `", error="invalid_token"`
}

// check tells whose token it is, or gives a Fault. token is not kept.
func (c *Checker) check(token []byte) (*Bearer, error) {
	if len(token) > c.most {
		return nil, faultLong
	}
	key, now := c.passed.Key(token), c.now().Unix()
	if b := c.passed.Get(key); b != nil && !b.key.gone.Load() {
		if now < b.expires {
			return b, nil
		}
		return nil, faultExpired
	}
	b, err := c.keys.Load().verify(token, c.audience, now)
	if err != nil {
		return nil, err
	}
	if c.know != nil {
		c.know(b)
	}
	return c.passed.Put(key, *b), nil
}

// Describe implements prometheus.Collector.
func (c *Checker) Describe(ch chan<- *prometheus.Desc) { ch <- c.refusedDesc }

// Collect implements prometheus.Collector.
func (c *Checker) Collect(ch chan<- prometheus.Metric) {
	for fault := range c.refused {
		n := float64(c.refused[fault].Load())
		ch <- prometheus.MustNewConstMetric(c.refusedDesc, prometheus.CounterValue, n, faults[fault].slug)
	}
}

package risk

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"doorbuster/httpapi/hidden"
)

// Config says which service is asked, and how far it is trusted. Zero fields
// take what DefaultConfig has.
type Config struct {
	// URL of the service, http or https; required.
	URL string
	// Token, where set, goes along as Authorization: Bearer. At most 4096
	// printable ASCII characters.
	Token string
	// Timeout is for a question, connecting included. Default 100 ms, 10 ms to
	// 5 s. Longer: a grab waits longer while the service is slow; shorter: it
	// counts as down more often.
	Timeout time.Duration
	// WhenDown is the verdict where the service gives none: Allow (the default),
	// Challenge or Block. Stricter keeps more bots out, and with Block everybody,
	// as long as the service is down.
	WhenDown Level
	// CacheTTL is how long an answer is remembered for the same shopper and
	// address. Default 60 s, 1 s to 1 h. Longer asks less, and hears of a change
	// later.
	CacheTTL time.Duration
	// CacheSize is how many answers are remembered. Default 100,000, 1 to
	// 10,000,000; some 300 bytes each.
	CacheSize int
	// MaxInFlight is how many questions wait for the service at once, and how
	// many connections it sees. Default 256, 1 to 10,000. One more is answered by
	// WhenDown at once.
	MaxInFlight int
	// Breaker says when the service is left alone.
	Breaker Breaker

	// ProxyFromEnvironment goes through the proxy that HTTPS_PROXY and its like
	// name. Without it they are ignored.
	ProxyFromEnvironment bool
	// TLS, where set, is how the service is spoken to over https. Default: with
	// the system's roots.
	TLS *tls.Config
	// Logger hears when the service is left alone, and when it is asked again.
	// Default: nowhere.
	Logger *slog.Logger
}

// Breaker says when a failing service is left alone, and when it is tried again.
type Breaker struct {
	// Failures in a row until it is left alone. Default 5, 1 to 1000. Fewer: a
	// hiccup costs more answers; more: a dead service costs more waiting.
	Failures int
	// OpenFor is how long it is left alone. Default 5 s, 10 ms to 5 min.
	OpenFor time.Duration
	// Probes is how many good answers in a row it then has to give. Default 1, 1
	// to 100.
	Probes int
}

// DefaultConfig is complete but for the URL.
func DefaultConfig() Config {
	return Config{
		Timeout: 100 * time.Millisecond, CacheTTL: time.Minute, CacheSize: 100_000, MaxInFlight: 256,
		Breaker: Breaker{Failures: 5, OpenFor: 5 * time.Second, Probes: 1}, Logger: slog.New(slog.DiscardHandler),
	}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	or(&c.Timeout, d.Timeout)
	or(&c.CacheTTL, d.CacheTTL)
	or(&c.CacheSize, d.CacheSize)
	or(&c.MaxInFlight, d.MaxInFlight)
	or(&c.Breaker.Failures, d.Breaker.Failures)
	or(&c.Breaker.OpenFor, d.Breaker.OpenFor)
	or(&c.Breaker.Probes, d.Breaker.Probes)
	or(&c.Logger, d.Logger)
	return c
}

// or sets a field that is not set.
func or[T comparable](field *T, unset T) {
	var zero T
	if *field == zero {
		*field = unset
	}
}

const maxTokenBytes = 4096

func validateToken(token string) error {
	if len(token) > maxTokenBytes || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s has %d characters; it must have at most %d, all of printable ASCII without space",
			"Token", len(token), maxTokenBytes)
	}
	return nil
}

// Validate reports every value that is out of its bounds. It never shows the
// token.
func (c Config) Validate() error {
	c = c.withDefaults()
	errs := []error{validateURL(c.URL)}
	errs = append(errs, validateToken(c.Token))
	if c.WhenDown != Allow && c.WhenDown != Challenge && c.WhenDown != Block {
		errs = append(errs, fmt.Errorf("%s is %s; it must be allow, challenge or block", "WhenDown", c.WhenDown))
	}
	for _, d := range []struct {
		name               string
		value, least, most time.Duration
	}{
		{"Timeout", c.Timeout, 10 * time.Millisecond, 5 * time.Second},
		{"CacheTTL", c.CacheTTL, time.Second, time.Hour},
		{"Breaker.OpenFor", c.Breaker.OpenFor, 10 * time.Millisecond, 5 * time.Minute},
	} {
		if d.value < d.least || d.value > d.most {
			errs = append(errs, fmt.Errorf("%s is %s; it must be %s to %s", d.name, d.value, d.least, d.most))
		}
	}
	for _, n := range []struct {
		name               string
		value, least, most int
	}{
		{"CacheSize", c.CacheSize, 1, 10_000_000}, {"MaxInFlight", c.MaxInFlight, 1, 10_000},
		{"Breaker.Failures", c.Breaker.Failures, 1, 1000}, {"Breaker.Probes", c.Breaker.Probes, 1, 100},
	} {
		if n.value < n.least || n.value > n.most {
			errs = append(errs, fmt.Errorf("%s is %d; it must be %d to %d", n.name, n.value, n.least, n.most))
		}
	}
	return errors.Join(errs...)
}

func validateURL(text string) error {
	const want = "it must be like https://risk.example/judge, without user and fragment"
	u, err := url.Parse(text)
	switch {
	case err != nil: // its text would show what is in the URL, perhaps a password
		return fmt.Errorf("%s is no URL; %s", "URL", want)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%s is %q; %s", "URL", hidden.URL(text).String(), want)
	}
	return nil
}

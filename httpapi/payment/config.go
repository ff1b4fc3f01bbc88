package payment

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
)

// Config says where the cashier is, and how much it is asked. Zero fields take
// what DefaultConfig has.
type Config struct {
	// URL of the cashier, http or https; required. "/refunds" and
	// "/orders/{order_no}/close" are appended to its path.
	URL string
	// Secrets sign; nil sends requests unsigned.
	Secrets *Secrets
	// Timeout is for one request, connecting included. Default 5 s, 10 ms to 1 min.
	// Longer: one that hangs takes a place for longer; shorter: a slow one is asked
	// again for nothing.
	Timeout time.Duration
	// InFlight is how many refunds, and as many closes, are asked for at once.
	// Default 8, 1 to 256. More is faster after an outage, and more for the cashier
	// to bear.
	InFlight int
	// Every is how often it is looked whether there is something to ask. Default
	// 250 ms, 1 ms to 1 min.
	Every time.Duration
	// RetryFirst and RetryMost are how long after a failure the same is asked
	// again: at first, and after doubling; each is varied by a fifth. Default 500 ms
	// and 1 min, 1 ms to 1 h.
	RetryFirst, RetryMost time.Duration
	// Logger hears of refunds made and of failures. Default: nowhere.
	Logger *slog.Logger
}

// DefaultConfig is complete but for the URL.
func DefaultConfig() Config {
	return Config{Timeout: 5 * time.Second, InFlight: 8, Every: 250 * time.Millisecond,
		RetryFirst: 500 * time.Millisecond, RetryMost: time.Minute, Logger: slog.New(slog.DiscardHandler)}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	or(&c.Timeout, d.Timeout)
	or(&c.InFlight, d.InFlight)
	or(&c.Every, d.Every)
	or(&c.RetryFirst, d.RetryFirst)
	or(&c.RetryMost, d.RetryMost)
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

// Validate reports every value that is out of its bounds.
func (c Config) Validate() error {
	c = c.withDefaults()
	errs := []error{validateURL(c.URL)}
	for _, d := range []struct {
		name               string
		value, least, most time.Duration
	}{
		{"Timeout", c.Timeout, 10 * time.Millisecond, time.Minute}, {"Every", c.Every, time.Millisecond, time.Minute},
		{"RetryFirst", c.RetryFirst, time.Millisecond, time.Hour}, {"RetryMost", c.RetryMost, c.RetryFirst, time.Hour},
	} {
		if d.value < d.least || d.value > d.most {
			errs = append(errs, fmt.Errorf("%s is %s; it must be %s to %s", d.name, d.value, d.least, d.most))
		}
	}
	if c.InFlight < 1 || c.InFlight > 256 {
		errs = append(errs, fmt.Errorf("InFlight is %d; it must be 1 to 256", c.InFlight))
	}
	return errors.Join(errs...)
}

func validateURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("URL must be like https://cashier.example/api, without a query")
	}
	return nil
}

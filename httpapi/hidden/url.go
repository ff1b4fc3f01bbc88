// Package hidden keeps out of logs and messages what addresses have in them besides
// where they lead: user, password and query, which are often secrets.
package hidden

import (
	"errors"
	"log/slog"
	"net/url"
)

// URL is an address that is printed, logged and quoted without user, password, query
// and fragment. Convert it to a string to use it.
type URL string

// String gives scheme, host and path.
func (u URL) String() string {
	parsed, err := url.Parse(string(u))
	if err != nil || parsed.Host == "" {
		return "(an address that can't be read)"
	}
	shown := url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: parsed.Path}
	return shown.String()
}

// GoString is String.
func (u URL) GoString() string { return u.String() }

// MarshalText is String.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue is String.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// Cause gives an error of net/http or net/url without the address that it quotes.
func Cause(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

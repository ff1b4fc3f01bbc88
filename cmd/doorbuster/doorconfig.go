package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"doorbuster/httpapi"
	"doorbuster/httpapi/auth"
)

// addDoorFlags declares what a connection and a token may cost.
func addDoorFlags(f *pflag.FlagSet) {
	d := httpapi.DefaultLimits()
	f.Int("connections", d.Connections, "connections at --http at most; each takes some 8 KiB and --header-bytes")
	f.Int("connections-per-ip", 0, "shoppers' connections from one address at most, trusted proxies aside; 0 = no bound")
	f.Int("display-connections", d.Connections, "connections at --display at most")
	f.Int("display-connections-per-ip", 0, "connections at --display from one address at most, trusted proxies aside; 0 = no bound")
	f.Duration("idle-timeout", d.IdleTimeout, "how long a connection, of whomever, may wait for its next request; more than the load balancer's own (Google's: over 600s)")
	f.Int("header-bytes", d.HeaderBytes, "a request's headers at most; operators' have 16384 at least")
	f.Duration("read-timeout", d.ReadTimeout, "how long a shopper's request may take to arrive")
	f.Duration("write-timeout", d.WriteTimeout, "how long an answer to a shopper may take to leave")
	f.Int("token-bytes", auth.DefaultBytes, "a token at most; it must fit into the headers")
	f.String("shopper-issuer", "", "issuer (`iss`) that shoppers' tokens must have; without it any does")
	f.String("ops-issuer", "", "issuer (`iss`) that operators' tokens must have; without it any does")
}

// validateDoors reports every setting of these that can't be.
func (c Config) validateDoors() error {
	var errs []error
	for _, n := range []struct {
		key                string
		value, least, most int
	}{
		{"connections", c.Connections, 1, mostConnections}, {"connections_per_ip", c.ConnectionsPerIP, 0, mostConnections},
		{"display_connections", c.DisplayConnections, 1, mostConnections}, {"display_connections_per_ip", c.DisplayConnectionsPerIP, 0, mostConnections},
		{"header_bytes", c.HeaderBytes, 1 << 10, 1 << 20}, {"token_bytes", c.TokenBytes, 256, 64 << 10},
	} {
		if n.value < n.least || n.value > n.most {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", n.key, n.value, n.least, n.most))
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"idle_timeout", c.IdleTimeout}, {"read_timeout", c.ReadTimeout}, {"write_timeout", c.WriteTimeout}} {
		if d.value < time.Second || d.value > time.Hour {
			errs = append(errs, fmt.Errorf("%s: %s is not between 1s and 1h", d.key, d.value))
		}
	}
	if c.TokenBytes >= c.HeaderBytes && c.TokenBytes <= 64<<10 {
		errs = append(errs, fmt.Errorf("token_bytes: a token of %d bytes does not fit into header_bytes, %d", c.TokenBytes, c.HeaderBytes))
	}
	return errors.Join(errs...)
}

// mostConnections is httpapi's own bound.
const mostConnections = 10_000_000

// limits are the limits of the shoppers' address.
func (c Config) limits() httpapi.Limits {
	return httpapi.Limits{
		Connections: c.Connections, ConnectionsPerIP: c.ConnectionsPerIP,
		ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout, IdleTimeout: c.IdleTimeout, HeaderBytes: c.HeaderBytes,
	}
}

// displayLimits are the limits of the display's own address; nil without one.
func (c Config) displayLimits() *httpapi.Limits {
	if c.Display == "" {
		return nil
	}
	l := c.limits()
	l.Connections, l.ConnectionsPerIP = c.DisplayConnections, c.DisplayConnectionsPerIP
	return &l
}

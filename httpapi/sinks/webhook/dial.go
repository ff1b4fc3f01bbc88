package webhook

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// decodeSecret gives the bytes of a secret, or says what is wrong with it.
func decodeSecret(line string) (key []byte, wrong string) {
	encoded, marked := strings.CutPrefix(line, "whsec_")
	if !marked {
		return nil, "it must begin with whsec_, and go on in base64"
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, "what follows whsec_ is not base64"
	}
	if len(key) < leastSecret || len(key) > mostSecret {
		return nil, fmt.Sprintf("it has %d bytes; it must have %d to %d", len(key), leastSecret, mostSecret)
	}
	return key, ""
}

// inner are addresses that lead into a network of one's own, to the machine itself, or to
// nobody: whoever may say where changes are posted must not reach those behind the doors.
var inner = func() (all []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
		"240.0.0.0/4", // IANA's registry of special addresses
		"::/96", "100::/64", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "2001:db8::/32",
		"64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", // they lead on to IPv4, any
	} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}()

// Inner reports whether an address is an inner one.
func Inner(a netip.Addr) bool { return in(a.Unmap().WithZone(""), inner) }

func in(a netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// errInner is the error for a host none of whose addresses may be posted to.
var errInner = errors.New("the host leads to an inner address, and that is not among allow_addresses")

// dialer connects to hosts by addresses that were checked: a name that leads elsewhere the
// next time it is looked up leads nowhere here.
type dialer struct {
	net.Dialer
	allow  []netip.Prefix
	lookUp func(ctx context.Context, host string) ([]netip.Addr, error)
}

func (d *dialer) dial(ctx context.Context, network, hostPort string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	addrs, err := d.lookUp(ctx, host)
	if err != nil {
		return nil, err
	}
	failed := errInner
	for _, a := range addrs {
		a = a.Unmap()
		if Inner(a) && !in(a.WithZone(""), d.allow) {
			continue
		}
		conn, err := d.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}

// lookUp gives a host's addresses.
func lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

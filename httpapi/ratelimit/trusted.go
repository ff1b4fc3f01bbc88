package ratelimit

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unsafe"
)

// Bounds of what is believed, and read.
const (
	maxTrusted  = 256
	maxHops     = 32
	maxHopBytes = 64 // an address with a port, and some space around it
)

// Trusted are the proxies whose word on a client's address counts. The zero
// value trusts nobody. It is not changed after it was made, so all may use it.
type Trusted struct{ prefixes []netip.Prefix }

// ParseTrusted reads proxies' addresses and prefixes ("10.1.0.0/16"), 256 at
// most, or says all that is wrong with them.
func ParseTrusted(proxies []string) (Trusted, error) {
	var t Trusted
	var errs []error
	if len(proxies) > maxTrusted {
		return Trusted{}, fmt.Errorf("%d trusted proxies are too many; give at most %d prefixes", len(proxies),
			maxTrusted)
	}
	for _, proxy := range proxies {
		prefix, err := parsePrefix(proxy)
		if err != nil {
			errs = append(errs, fmt.Errorf("trusted proxy %q: %w", proxy, err))
		}
		t.prefixes = append(t.prefixes, prefix)
	}
	if err := errors.Join(errs...); err != nil {
		return Trusted{}, err
	}
	return t, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, errors.New("not an address or a prefix such as 10.1.0.0/16")
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("not an address or a prefix such as 10.1.0.0/16")
	}
	if prefix.Bits() == 0 {
		return netip.Prefix{}, errors.New("this trusts everybody, and anybody could give any address; name the proxies")
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() <= 96 {
			return netip.Prefix{}, errors.New("this trusts every IPv4 address; name the proxies")
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("there is more of the address than its length says; write %s, or the "+
			"address alone", prefix.Masked())
	}
	return prefix, nil
}

// Contains reports whether addr is a trusted proxy's.
func (t Trusted) Contains(addr netip.Addr) bool {
	for _, prefix := range t.prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// ClientAddr tells whose request it is that came over a connection from remote
// with these lines of X-Forwarded-For. All lines must be given, in the order in
// which they came: some proxies add a line of their own after the client's.
//
// It walks from the right, since each proxy adds whom it heard from on the
// right, for as long as it meets trusted proxies; the first address that is none
// is the client's. What stands further left was written by that client, and
// means nothing. What is no address, and what comes after 32 hops, ends the walk
// at the last address that was good. An address may have a port, which is
// dropped, and never has a zone. IPv4 addresses come out as such.
//
// Lines that trusted proxies wrote cost no allocation.
func (t Trusted) ClientAddr(remote netip.Addr, forwardedFor ...[]byte) netip.Addr {
	client := remote.Unmap().WithZone("")
	hops := 0
	for i := len(forwardedFor) - 1; i >= 0; i-- {
		line, more := forwardedFor[i], true
		for more {
			if hops == maxHops || !t.Contains(client) {
				return client
			}
			var hop []byte
			line, hop, more = lastHop(line)
			addr, ok := parseHop(hop)
			if !ok {
				return client
			}
			client = addr
			hops++
		}
	}
	return client
}

// lastHop cuts off what stands behind the last comma, and reports whether there
// was one. What is too long for a hop comes out whole, however long.
func lastHop(line []byte) (before, hop []byte, more bool) {
	tail := line[max(0, len(line)-maxHopBytes-1):]
	comma := bytes.LastIndexByte(tail, ',')
	if comma < 0 {
		return nil, line, false
	}
	return line[:len(line)-len(tail)+comma], tail[comma+1:], true
}

// parseHop reads an address: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1]
// or [2001:db8::1]:80.
func parseHop(hop []byte) (netip.Addr, bool) {
	if len(hop) > maxHopBytes {
		return netip.Addr{}, false
	}
	hop = bytes.Trim(hop, " \t")
	if len(hop) > 0 && hop[0] == '[' {
		end := bytes.IndexByte(hop, ']')
		if end < 0 || !portOrNothing(hop[end+1:]) || bytes.IndexByte(hop[:end], ':') < 0 {
			return netip.Addr{}, false
		}
		hop = hop[1:end]
	} else if colon := bytes.IndexByte(hop, ':'); colon >= 0 && colon == bytes.LastIndexByte(hop, ':') {
		if !portOrNothing(hop[colon:]) {
			return netip.Addr{}, false
		}
		hop = hop[:colon]
	}
	if len(hop) == 0 {
		return netip.Addr{}, false
	}
	for _, c := range hop {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F', c == ':', c == '.':
		default:
			return netip.Addr{}, false
		}
	}
	// Nothing keeps these bytes: there is no zone in them, and the error, which
	// would quote them, is dropped. A string of its own would cost an allocation.
	addr, err := netip.ParseAddr(unsafe.String(&hop[0], len(hop)))
	if err != nil || addr.IsUnspecified() {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// portOrNothing reports whether text is ":" with one to five digits, or empty.
func portOrNothing(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	if text[0] != ':' || len(text) < 2 || len(text) > 6 {
		return false
	}
	for _, c := range text[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

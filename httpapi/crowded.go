package httpapi

import (
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"doorbuster/httpapi/ratelimit"
)

// perAddress counts the open connections of each address, an IPv6 network of 64
// bits counting as one: that is what one customer has. It is kept here and not by
// fasthttp, whose counted connections know no IPv6, and are taken apart under
// their reader when a server is shut down. Safe for concurrent use.
type perAddress struct {
	most    int               // 0: no bound
	proxies ratelimit.Trusted // bring many, each with a connection of its own

	mu   sync.Mutex
	open map[netip.Addr]int // of addresses with any
}

// enter counts a connection; false if its address has as many as it may. leave
// is to be called once for each that entered.
func (p *perAddress) enter(c net.Conn) (leave func(), ok bool) {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if p.most == 0 || !ok {
		return func() {}, true
	}
	from := tcp.AddrPort().Addr().Unmap().WithZone("")
	if p.proxies.Contains(from) {
		return func() {}, true
	}
	if from = networkOf(from); !from.IsValid() {
		return func() {}, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[from] >= p.most {
		return nil, false
	}
	if p.open == nil {
		p.open = map[netip.Addr]int{}
	}
	p.open[from]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.open[from]--; p.open[from] == 0 {
			delete(p.open, from)
		}
	}), true
}

// networkOf gives whom an address counts for.
func networkOf(from netip.Addr) netip.Addr {
	if from.Is6() {
		network, err := from.Prefix(64)
		if err != nil {
			return netip.Addr{}
		}
		return network.Addr()
	}
	return from
}

// turnAway answers a connection that is one too many, whatever it was to ask, and
// closes it.
func (d *door) turnAway(c net.Conn) {
	d.metrics.problem(tooManyConnections)
	body := append(appendProblem(nil, tooManyConnections, "This address has as many connections open as it may. Close some, or use them for more requests.", ""), '}')
	answer := append([]byte("HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Type: "+problemType+"\r\nContent-Length: "), strconv.Itoa(len(body))...)
	// It fits into the connection's buffer: nobody is waited for, and nobody is
	// left to be told of an error.
	_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	_, _ = c.Write(append(append(answer, "\r\n\r\n"...), body...))
	_ = c.Close()
}

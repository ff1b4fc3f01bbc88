package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
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
	inAll   int               // of all addresses together; 0: no bound
	proxies ratelimit.Trusted // bring many, each with a connection of its own

	mu    sync.Mutex
	count int
	open  map[netip.Addr]int // of addresses with any
}

// enter counts a connection; full is true if there are as many as there may be in all,
// and leave is nil if it or its address has as many. leave is to be called once for each
// that entered.
func (p *perAddress) enter(c net.Conn) (leave func(), full bool) {
	var from netip.Addr // invalid: counted among all only
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok && p.most > 0 {
		from = tcp.AddrPort().Addr().Unmap().WithZone("")
		if p.proxies.Contains(from) {
			from = netip.Addr{}
		}
		from = networkOf(from)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if full = p.inAll > 0 && p.count >= p.inAll; full || from.IsValid() && p.open[from] >= p.most {
		return nil, full
	}
	if p.open == nil {
		p.open = map[netip.Addr]int{}
	}
	p.count++
	if from.IsValid() {
		p.open[from]++
	}
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.count--
		if p.open[from]--; p.open[from] <= 0 {
			delete(p.open, from)
		}
	}), false
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

// turnAway answers a connection that is one too many, of all or of its address, whatever
// it was to ask, and closes it.
func (d *door) turnAway(c net.Conn, full bool) {
	kind, detail := tooManyConnections, "This address has as many connections open as it may. Close some, or use "+
		"them for more requests."
	if full {
		kind, detail = unavailable, "As many connections are open as there may be. Try again in a moment."
	}
	d.metrics.problem(kind)
	body := append(appendProblem(nil, kind, detail, ""), '}')
	answer := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Type: "+
		"%s\r\nContent-Length: %d\r\n\r\n%s",
		problemTable[kind].status, http.StatusText(problemTable[kind].status), problemType, len(body), body)
	// It fits into the connection's buffer: nobody is waited for, and nobody is
	// left to be told of an error.
	_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	_, _ = c.Write(answer)
	_ = c.Close()
}

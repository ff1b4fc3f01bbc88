package peer

import (
	"crypto/x509"
	"errors"
	"net"
	"time"
)

// conn is a connection that the port keeps an eye on, from the moment it exists:
// so one whose handshake is still under way is dropped with the others.
type conn struct {
	net.Conn // encrypted, under TLS
	raw      *net.TCPConn
	port     *Port
	host     string // at the other end
	inbound  bool
	met      bool   // the handshake is over; kept for inbound ones
	node     string // at the other end, as it says itself; "" before it did
	chain    []*x509.Certificate
	roots    *x509.CertPool // that the chain was last held against
}

// Close closes the connection at once. It does not stay to say so under TLS: that
// could take seconds when a peer has stopped reading, and what is carried has an
// end of its own.
func (c *conn) Close() error {
	c.port.note(func() { delete(c.port.conns, c) })
	return c.raw.Close()
}

// errCrowd: a host has too many handshakes, or all peers have too many connections.
var errCrowd = errors.New("too many connections")

// enter registers a connection that has just been made, or closes it.
func (p *Port) enter(raw *net.TCPConn, inbound bool) (*conn, error) {
	c := &conn{Conn: raw, raw: raw, port: p, host: hostOf(raw.RemoteAddr()), inbound: inbound}
	if err := p.register(c); err != nil {
		raw.Close()
		return nil, err
	}
	// A peer that is cut off must not go unnoticed for long.
	err := errors.Join(
		raw.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3}),
		boundSilence(raw, silence))
	if err != nil && !errors.Is(err, net.ErrClosed) {
		p.reports.warn(c.host, "tcp", "a connection's timeouts could not be set", "error", err)
	}
	return c, nil
}

func (p *Port) register(c *conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending.Err() != nil {
		return net.ErrClosed
	}
	all, beginning := 0, 0
	for o := range p.conns {
		if o.inbound {
			all++
			if !o.met && o.host == c.host {
				beginning++
			}
		}
	}
	if c.inbound && (all >= maxInbound || beginning >= maxHandshakesOfAHost) {
		return errCrowd
	}
	p.conns[c] = struct{}{}
	return nil
}

// note changes what is known of a connection.
func (p *Port) note(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// watchCAs closes connections with whoever proved themselves by a CA that is not
// trusted any more, as soon as the files say so: a node that was kept out only by its
// next handshake could stay forever. That a certificate has expired meanwhile ends
// nothing: a cluster must not come apart by the calendar.
func (p *Port) watchCAs() {
	tick := time.NewTicker(p.tuning.lookAtFiles)
	defer tick.Stop()
	for {
		select {
		case <-p.ending.Done():
			return
		case <-tick.C:
		}
		roots := p.credentials.current().roots
		p.drop(func(c *conn) bool {
			if len(c.chain) == 0 || c.roots == roots {
				return false
			}
			c.roots = roots
			return verify(c.chain, roots, x509.ExtKeyUsageAny, c.chain[0].NotAfter) != nil
		})
	}
}

// drop closes the connections that which picks. It does not wait for anybody.
func (p *Port) drop(which func(*conn) bool) {
	p.mu.Lock()
	var dropped []*conn
	for c := range p.conns {
		if which(c) {
			dropped = append(dropped, c)
		}
	}
	p.mu.Unlock()
	for _, c := range dropped {
		c.Close()
	}
}

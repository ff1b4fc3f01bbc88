package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// handshakePatience bounds a handshake, on both sides, TLS and all.
	handshakePatience = 5 * time.Second
	// maxHandshakes of peers that call go on at a time; more wait.
	// One host has at most half of them: the rest of its connections are closed.
	maxHandshakes        = 64
	maxHandshakesOfAHost = maxHandshakes / 2
	// maxInbound connections of peers are open at a time. Each node needs about
	// five.
	maxInbound = 256
	// silence after which a peer that acknowledges nothing is given up.
	silence = 3 * time.Second
	// acceptPause lies between attempts to accept once one has failed.
	acceptPause = 100 * time.Millisecond
	// lookAtFiles is how often certificate files are looked at, at most.
	lookAtFiles = time.Second
)

// tuning is what only tests change.
type tuning struct {
	patience    time.Duration
	lookAtFiles time.Duration
	now         func() time.Time // for certificates
}

// Port is a node's place in the network of its cluster. Safe for concurrent use.
type Port struct {
	cfg         Config
	tuning      tuning
	listener    *net.TCPListener
	credentials *credentials // nil without TLS
	reports     *reports
	raft        *Stream
	rpc         *inlet
	ending      context.Context
	end         context.CancelFunc
	closing     sync.Once
	running     sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// Listen opens the port. Peers are welcome from then on; they wait for Raft().Accept
// and RPC().Accept. Errors: everything that is wrong with cfg, certificates that
// are not good or not this node's, and what the network says.
func Listen(cfg Config) (*Port, error) {
	return listen(cfg, tuning{patience: handshakePatience, lookAtFiles: lookAtFiles, now: time.Now})
}

func listen(cfg Config, t tuning) (*Port, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	p := &Port{
		cfg: cfg, tuning: t, reports: newReports(cfg.Logger),
		conns: map[*conn]struct{}{},
	}
	if cfg.TLS != nil {
		var err error
		if p.credentials, err = newCredentials(*cfg.TLS, cfg.Identity, t.now, t.lookAtFiles, cfg.Logger); err != nil {
			return nil, fmt.Errorf("peer: %w", err)
		}
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	p.listener = listener.(*net.TCPListener)
	if p.cfg.Advertise == "" {
		p.cfg.Advertise = listener.Addr().String()
		if err := checkAddress(p.cfg.Advertise, true); err != nil {
			return nil, errors.Join(fmt.Errorf("peer: advertise: %w", err), listener.Close())
		}
	}
	p.ending, p.end = context.WithCancel(context.Background())
	p.raft, p.rpc = &Stream{inlet: newInlet(address(p.cfg.Advertise)), port: p}, newInlet(listener.Addr())
	p.running.Go(p.accept)
	if p.credentials != nil && t.lookAtFiles > 0 {
		p.running.Go(p.watchCAs)
	}
	return p, nil
}

// Addr is where the port listens.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// Raft gives Raft's connections: always the same stream.
func (p *Port) Raft() *Stream { return p.raft }

// RPC gives the RPC connections of peers: always the same listener.
func (p *Port) RPC() net.Listener { return p.rpc }

// inlet is where connections of kind k go.
func (p *Port) inlet(k kind) *inlet {
	if k == kindRaft {
		return p.raft.inlet
	}
	return p.rpc
}

// DialRPC connects to the RPC of the node at addr, until ctx ends, 5 s at most. A
// peer that turns this node away, or is turned away, makes it a *Refusal (for
// errors.As).
func (p *Port) DialRPC(ctx context.Context, addr string) (net.Conn, error) {
	return p.dial(ctx, addr, kindRPC)
}

// DropConnections closes every connection, both kinds, both ways, also those whose
// handshake is under way. Those made afterwards say what Identity says by now.
func (p *Port) DropConnections() { p.drop(func(*conn) bool { return true }) }

// DropNode closes every connection with one node, both kinds, both ways. A
// handshake with it that is under way meets what Admit says by now.
func (p *Port) DropNode(id string) { p.drop(func(c *conn) bool { return c.node == id }) }

// Close closes the port and everything on it, and waits until nothing of it runs.
// It is not to be called from within Admit, Identity or Refused.
func (p *Port) Close() (err error) {
	p.closing.Do(func() {
		p.end()
		err = p.listener.Close()
		p.raft.inlet.Close()
		p.rpc.Close()
		p.DropConnections()
	})
	p.running.Wait()
	return err
}

// accept takes connections until the port closes, whatever goes wrong with some.
func (p *Port) accept() {
	var handshakes errgroup.Group
	defer handshakes.Wait()
	handshakes.SetLimit(maxHandshakes)
	for fails := false; ; {
		raw, err := p.listener.AcceptTCP()
		if err == nil {
			fails = false
			handshakes.Go(func() error { p.receive(raw); return nil })
			continue
		}
		if p.ending.Err() != nil {
			return
		}
		if !fails { // said once until it works again
			p.cfg.Logger.Error("connections of peers can't be accepted; trying again", "error", err)
		}
		fails = true
		select {
		case <-time.After(acceptPause):
		case <-p.ending.Done():
		}
	}
}

// receive does the handshake with a peer that calls.
func (p *Port) receive(raw *net.TCPConn) {
	c, err := p.enter(raw, true)
	if errors.Is(err, errCrowd) {
		p.reports.warn(hostOf(raw.RemoteAddr()), "crowd",
			"a peer has too many connections, or too many of them in their handshake; the rest is closed")
	}
	if err != nil {
		return
	}
	raw.SetDeadline(time.Now().Add(p.tuning.patience))
	k, reply, err := p.hear(c)
	// It is logged before the peer knows, so that what it does next comes after.
	switch {
	case err == nil:
		p.reports.good(c.host)
	case p.ending.Err() == nil:
		p.complain(c, err)
	}
	if reply != nil {
		if _, failed := c.Conn.Write(reply); failed != nil && err == nil {
			p.complain(c, failed)
			err = failed
		}
	}
	if err != nil {
		linger(raw)
		c.Close()
		return
	}
	p.note(func() { c.met = true })
	raw.SetDeadline(time.Time{})
	var ready net.Conn = c
	if k == kindRaft {
		ready = p.measured(c)
	}
	if !p.inlet(k).offer(ready) {
		c.Close()
		p.reports.warn(c.host, "unwanted", "a peer's connections are not taken at the moment", "kind", k.String())
	}
}

// secure begins TLS, if this node has it, and gives what the other end showed.
func (p *Port) secure(c *conn) (*x509.Certificate, error) {
	if p.credentials == nil {
		return nil, nil
	}
	begin := tls.Client
	if c.inbound {
		begin = tls.Server
	}
	s := begin(c.raw, p.credentials.config())
	err := s.Handshake()
	var record tls.RecordHeaderError
	switch foreign := errors.As(err, &record); {
	case foreign && string(record.RecordHeader[:len(magic)]) == magic && c.inbound:
		return nil, unencrypted
	case foreign && string(record.RecordHeader[:len(magic)]) == magic:
		return nil, Refuse(CodeMalformed,
			"it speaks without TLS and this node with it: give both certificates, or neither")
	case foreign && c.inbound:
		return nil, malformed("what it sends is not TLS")
	case err != nil:
		return nil, err
	}
	chain := s.ConnectionState().PeerCertificates
	p.note(func() { c.chain = chain })
	c.Conn = s
	return chain[0], nil
}

// unencrypted is for our own handshake that came instead of TLS.
var unencrypted = Refuse(CodeMalformed,
	"the caller speaks without TLS and the one who is called with it: give both certificates, or neither")

// hear does the handshake up to the answer, which is reply; nil if the peer is not
// worth one. It is welcome if there is no error.
func (p *Port) hear(c *conn) (k kind, reply []byte, err error) {
	certificate, err := p.secure(c)
	if err != nil {
		if err == error(unencrypted) { // answered in words that it understands, and without a name
			reply, _ = appendFrame(nil, refused, unencrypted)
		}
		return 0, reply, err
	}
	own := p.cfg.Identity()
	k, peer, err := readPreamble(c.Conn)
	if err != nil {
		var why *Refusal
		if errors.As(err, &why) {
			reply, _ = appendFrame(nil, refused, asRefusal(why, own))
		}
		return 0, reply, err
	}
	why := p.meet(c, c.RemoteAddr().String(), own, peer, certificate)
	if why == nil && p.inlet(k).isClosed() {
		why = asRefusal(Refuse(CodeOther,
			"node %s takes no %s connections at the moment: it is starting or stopping", own.Node, k), own)
	}
	if why != nil {
		if reply, err = appendFrame(nil, refused, why); err != nil {
			return 0, nil, err
		}
		return 0, reply, why
	}
	reply, err = appendFrame(nil, welcome, own)
	return k, reply, err
}

// meet notes who is at the other end, and judges that.
func (p *Port) meet(c *conn, addr string, own, peer Hello, certificate *x509.Certificate) *Refusal {
	p.note(func() { c.node = peer.Node })
	err := p.judge(own, peer, certificate)
	if err == nil {
		return nil
	}
	why := asRefusal(err, own)
	if why.Code == CodeSuperseded { // this node is the old one
		p.toldOff(addr, &Refusal{Code: CodeSuperseded, Detail: why.Detail, Node: peer.Node,
			Generation: peer.Generation})
	}
	return why
}

// linger lets the peer read why it was turned away: closing with something unread
// would take back what was said.
func linger(raw *net.TCPConn) {
	raw.CloseWrite()
	raw.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
	io.CopyN(io.Discard, raw, 4*maxHelloBytes)
}

// complain logs what was wrong with a peer that called.
func (p *Port) complain(c *conn, err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return // it said nothing at all: somebody looks whether the port is open
	}
	code, err := p.explain(err)
	var why *Refusal
	detail := err.Error()
	if errors.As(err, &why) {
		detail = why.Detail
	}
	p.reports.warn(c.host, code, "a peer was turned away", "node", c.node, "detail", oneLine(detail, maxDetailBytes))
}

// explain says why a handshake came to nothing.
func (p *Port) explain(err error) (code string, _ error) {
	var why *Refusal
	var remote *net.OpError
	var unverified *tls.CertificateVerificationError
	switch {
	case errors.As(err, &why):
		return why.Code, err
	case errors.As(err, &unverified):
		return "certificate", fmt.Errorf("its certificate is not good: %w", err)
	case errors.As(err, &remote) && remote.Op == "remote error":
		return "certificate", fmt.Errorf("it does not take this node's certificate %s: %w", p.cfg.TLS.Cert, err)
	case isTimeout(err):
		return "slow", fmt.Errorf("the handshake was not finished within %s: %w", p.tuning.patience, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "handshake", fmt.Errorf("it hung up in the middle of the handshake: %w", err)
	}
	return "handshake", err
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.As(err, &timed) && timed.Timeout()
}

// toldOff tells the owner that this node was turned away, or is the old one.
func (p *Port) toldOff(addr string, why *Refusal) {
	if p.cfg.Refused != nil {
		p.cfg.Refused(addr, why)
	}
}

// dial connects to the node at addr and does the handshake.
func (p *Port) dial(ctx context.Context, addr string, k kind) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.tuning.patience)
	defer cancel()
	defer context.AfterFunc(p.ending, cancel)()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			p.reports.warn(addr, "unreachable", "a peer can't be reached", "error", err)
		}
		return nil, fmt.Errorf("peer %s: %w", addr, err)
	}
	c, err := p.enter(raw.(*net.TCPConn), false)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	raw.SetDeadline(deadline)
	// A deadline that has passed is what wakes the handshake when ctx ends early.
	interrupted := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	err = p.call(ctx, c, addr, k)
	if err == nil && !interrupted() {
		err = context.Cause(ctx)
	}
	if err != nil {
		interrupted()
		c.Close()
		return nil, fmt.Errorf("peer %s: %w", addr, err)
	}
	raw.SetDeadline(time.Time{})
	p.reports.good(addr)
	return c, nil
}

// call does the caller's part of the handshake.
func (p *Port) call(ctx context.Context, c *conn, addr string, k kind) error {
	own := p.cfg.Identity()
	if p.cfg.Whom != nil {
		own.To = p.cfg.Whom(addr)
	}
	var peer Hello
	var told *Refusal
	certificate, err := p.secure(c)
	if err == nil {
		peer, told, err = exchange(c.Conn, own, k)
	}
	switch {
	case err != nil:
		return p.failed(ctx, addr, err)
	case told != nil:
		p.reports.warn(addr, told.Code, "a peer turned this node away", "node", told.Node, "detail", told.Detail)
		if p.credible(own, told, certificate) {
			p.toldOff(addr, told)
		}
		return told
	}
	why := p.meet(c, addr, own, peer, certificate)
	if why == nil && own.To != "" && peer.Node != own.To {
		why = asRefusal(Refuse(CodeIdentity,
			"node %s was to be at %s, and node %s is: check the peers' addresses in the configs",
			own.To, addr, peer.Node), own)
	}
	if why == nil {
		return nil
	}
	p.reports.warn(addr, why.Code, "a peer that was called is not one to talk to", "node",
		peer.Node, "detail", why.Detail)
	return why
}

// exchange sends the preamble and reads the answer.
func exchange(c net.Conn, own Hello, k kind) (Hello, *Refusal, error) {
	preamble, err := appendFrame(nil, byte(k), own)
	if err == nil {
		_, err = c.Write(preamble)
	}
	if err != nil {
		return Hello{}, nil, err
	}
	return readAnswer(c)
}

// credible reports whether a refusal is passed on to the owner. One that would stop
// this node must come from a newer generation, or say that it was removed or has an
// older copy of its directory, and be from who it says it is. That a peer is the old one is the peer's affair.
func (p *Port) credible(own Hello, told *Refusal, certificate *x509.Certificate) bool {
	switch told.Code {
	case CodeSuperseded:
		return false
	case CodeGeneration:
		return told.Generation > own.Generation && (certificate == nil || proves(certificate, own.Cluster, told.Node))
	case CodeRemoved, CodeOlderCopy:
		return certificate == nil || proves(certificate, own.Cluster, told.Node)
	}
	return true
}

// failed explains a handshake that came to nothing.
func (p *Port) failed(ctx context.Context, addr string, err error) error {
	switch {
	case p.ending.Err() != nil:
		return net.ErrClosed
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.Is(err, net.ErrClosed): // by DropConnections
		return err
	}
	code, err := p.explain(err)
	p.reports.warn(addr, code, "the handshake with a peer that was called failed", "error", err)
	return err
}

// hostOf is the host of an address, without the port.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

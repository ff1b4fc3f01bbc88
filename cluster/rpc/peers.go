package rpc

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"doorbuster/engine"
)

// Dial opens a connection to another node, encrypted and authenticated. It may
// be called at any time, by several at once; ctx bounds it.
type Dial func(ctx context.Context, addr string) (net.Conn, error)

// Peers are the other nodes, by address. Safe for concurrent use.
type Peers struct {
	dial    Dial
	logger  *slog.Logger
	began   time.Time
	applied func(engine.LogIndex)

	mu     sync.Mutex
	closed bool
	byAddr map[string]*Peer
}

// NewPeers knows nobody yet. logger nil is silence. applied is told what a node had
// applied when it answered grabs; nil: nobody is.
func NewPeers(dial Dial, logger *slog.Logger, applied func(engine.LogIndex)) *Peers {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if applied == nil {
		applied = func(engine.LogIndex) {}
	}
	return &Peers{dial: dial, logger: logger, began: time.Now(), applied: applied, byAddr: map[string]*Peer{}}
}

// Peer gives the node at addr, the same one each time. It connects when first
// asked, and again whenever the connection breaks.
func (p *Peers) Peer(addr string) *Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.byAddr[addr]
	if r == nil {
		r = newPeer(p, addr)
		if p.closed {
			r.close()
			return r
		}
		p.byAddr[addr] = r
	}
	return r
}

// Forget ends what is under way with the node at addr, as if its connection had
// broken. A Peer that somebody still has asks nobody any more; Peer makes a new one.
func (p *Peers) Forget(addr string) {
	p.mu.Lock()
	r := p.byAddr[addr]
	delete(p.byAddr, addr)
	p.mu.Unlock()
	if r != nil {
		r.close()
	}
}

// Close forgets all, for good.
func (p *Peers) Close() {
	p.mu.Lock()
	p.closed = true
	all := p.byAddr
	p.byAddr = map[string]*Peer{}
	p.mu.Unlock()
	for _, r := range all {
		r.close()
	}
}

// now is monotonic.
func (p *Peers) now() time.Duration { return time.Since(p.began) }

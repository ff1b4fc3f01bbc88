package cluster

import (
	"context"
	"sync"
	"sync/atomic"

	"doorbuster/engine"
)

// progress is an index that only grows and that can be waited for.
type progress struct {
	at atomic.Uint64

	mu      sync.Mutex
	changed chan struct{} // nil while nobody waits
}

func (p *progress) load() engine.LogIndex { return engine.LogIndex(p.at.Load()) }

// raise moves it to index, if that is further.
func (p *progress) raise(index engine.LogIndex) (moved bool) {
	if index <= p.load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if index <= p.load() {
		return false
	}
	p.at.Store(uint64(index))
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
	return true
}

// beyond gives a channel that is closed once it has moved past after; it may be
// closed already.
func (p *progress) beyond(after engine.LogIndex) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	c := p.changed
	if p.load() > after {
		close(c)
		p.changed = nil
	}
	return c
}

// await waits until it has reached index.
func (p *progress) await(ctx context.Context, index engine.LogIndex) error {
	for p.load() < index {
		select {
		case <-p.beyond(index - 1):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

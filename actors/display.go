package actors

import (
	"context"
	"sync"
	"time"

	"doorbuster/engine"
)

// displayPatience is how long whoever looks waits for what is certain. Then
// they are told to look again: an old figure could be higher than one they have seen.
const displayPatience = 500 * time.Millisecond

// AwaitShown waits until what this node shows has all that any node has shown
// anybody before the call: the stock on display only ever falls, so a shopper who
// goes from node to node never sees it rise. A lone node is certain once it has
// recovered; a leader, of what it has applied; any other asks the leader, once
// for all who look meanwhile. With that switched off one that is fresh asks
// nobody, and may show what is half a second old. Error: engine.ErrNotLeader.
func (g *Group) AwaitShown() error {
	switch {
	case g.certain(), (g.others == nil || !g.switches.Load().On(engine.SwitchDisplaySync)) && g.Fresh():
		return nil
	case g.others != nil:
		return g.rounds.await(g.sync)
	case g.leadsWithin(g.cfg.GrabTimeout):
		return nil
	}
	return engine.ErrNotLeader
}

// AwaitKnown waits a while until this node is fresh, before operators are shown
// the catalogue. What they are shown may be old all the same; it decides nothing.
func (g *Group) AwaitKnown() {
	if !g.Fresh() {
		_ = g.catchUp(context.Background(), g.cfg.GrabTimeout)
	}
}

// rounds let all who come while something is asked share the next asking: what
// was asked before somebody came says nothing about what was told just before
// they came. So a storm of looks costs one question a round trip, and not one a look.
type rounds struct {
	mu      sync.Mutex
	next    *round // not begun; nil if nobody waits for it
	running bool
}

type round struct {
	deadline time.Time // of whoever came first
	done     chan struct{}
	err      error // once done
}

// await has ask answered by a call that begins after this one, and waits for it,
// for displayPatience at most. Error: ask's.
func (r *rounds) await(ask func(context.Context) error) error {
	r.mu.Lock()
	mine := r.next
	if mine == nil {
		mine = &round{deadline: time.Now().Add(displayPatience), done: make(chan struct{})}
		r.next = mine
	}
	if !r.running {
		r.running = true
		go r.run(ask)
	}
	r.mu.Unlock()
	<-mine.done // a round ends by its deadline, and the one before by its own
	return mine.err
}

// run asks until nobody waits.
func (r *rounds) run(ask func(context.Context) error) {
	for {
		r.mu.Lock()
		now := r.next
		r.next = nil
		r.running = now != nil
		r.mu.Unlock()
		if now == nil {
			return
		}
		ctx, cancel := context.WithDeadline(context.Background(), now.deadline)
		now.err = ask(ctx)
		cancel()
		close(now.done)
	}
}

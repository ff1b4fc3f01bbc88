package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"doorbuster/engine"
)

// settleEvery is how often the leader looks for sessions to settle, and
// settleSeldom how long it leaves one alone, at most, that could not be: each try
// reads all of its orders.
const (
	settleEvery  = time.Second
	settleSeldom = time.Minute
)

// settling is the goroutine that settles sessions, on whichever node leads.
type settling struct {
	mu      sync.Mutex
	stop    context.CancelFunc
	running sync.WaitGroup

	inVain map[string]vainTry // by session; settleDue's own
}

// vainTry is how long a session that could not be settled is left alone.
type vainTry struct {
	wait  time.Duration
	until engine.Time
}

// again is the next one after a further try at now: twice as long.
func (v vainTry) again(now engine.Time) vainTry {
	wait := min(max(settleEvery, 2*v.wait), settleSeldom)
	return vainTry{wait, now.Add(wait)}
}

func (w *settling) end() {
	w.mu.Lock()
	if w.stop != nil {
		w.stop()
	}
	w.mu.Unlock()
	w.running.Wait()
}

// KeepSettling has ended sessions settled once after has passed since their end, by
// the node that leads, until Close. Call it once, after Connect and SetLedger.
func (g *Group) KeepSettling(after time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	g.settling.mu.Lock()
	g.settling.stop = stop
	g.settling.mu.Unlock()
	g.settling.running.Go(func() {
		tick := time.NewTicker(settleEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if g.leads.Load() {
				g.settleDue(ctx, g.clock.read(), after)
			} else {
				g.settling.inVain = nil
			}
		}
	})
}

// settleDue settles sessions that at now are due and may be.
func (g *Group) settleDue(ctx context.Context, now engine.Time, after time.Duration) {
	var due []string
	left := map[string]vainTry{}
	g.view.View(func(s *engine.State) {
		if s.Rules() < 3 {
			return
		}
		for _, x := range s.Sessions() {
			if x.State != engine.Ended || x.EndedAt.Add(after) > now {
				continue
			}
			v := g.settling.inVain[x.ID]
			if left[x.ID] = v; v.until <= now {
				due = append(due, x.ID)
			}
		}
	})
	g.settling.inVain = left
	for _, id := range due {
		err := g.settle(ctx, engine.By{}, id, "ended "+after.String()+" ago")
		var refused *engine.Refusal
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			g.logger.Info("session settled: its orders have left the state", "session", id)
			continue
		case !errors.As(err, &refused): // else something is in the way that may well go on
			g.logger.Warn("a session could not be settled; it is tried again", "session", id, "error", err)
		}
		left[id] = left[id].again(now)
	}
}

// Settle has a session's orders leave the state, whether or not it is due.
func (g *Group) Settle(ctx context.Context, by engine.By, session, note string) (v engine.SessionView, err error) {
	if err := g.awaitCaughtUp(ctx); err != nil {
		return v, err
	}
	if len(g.awaitRules(ctx, 3)) > 0 {
		return v, refusal(engine.ReasonRules)
	}
	if err := g.settle(ctx, by, session, note); err != nil {
		return v, err
	}
	for _, x := range g.sessions(func(x *engine.SessionView) bool { return x.ID == session }) {
		v = x
	}
	return v, nil
}

// settle settles a session if its orders may leave the state and the ledgers of all
// voters have them on disk. A refusal says what is in the way.
func (g *Group) settle(ctx context.Context, by engine.By, session, note string) error {
	var h engine.SessionHandle
	var index engine.LogIndex
	why, settled := engine.ReasonUnknown, false
	g.view.View(func(s *engine.State) {
		if x := s.Session(session); x != nil {
			h, index, why, settled = x.Handle, s.LogIndex(), s.MaySettle(x), x.State == engine.Settled
		}
	})
	switch {
	case h == 0:
		return refusal(engine.ReasonUnknown)
	case settled:
		return nil
	case why == engine.ReasonNotOpen:
		return inTheWay("It has not ended yet; end it first.")
	case why != engine.ReasonNone:
		return inTheWay("Somebody still holds a unit or waits for one, money is on its way back, or a listing is frozen.")
	}
	if err := g.awaitLedgers(ctx, index); err != nil {
		return err
	}
	c := engine.Command{Kind: engine.CmdSettleSession, Session: h, Note: note}
	if err := g.sign(ctx, &c, by); err != nil {
		return err
	}
	_, err := g.ask(ctx, c)
	var refused *engine.Refusal
	if errors.As(err, &refused) && refused.Reason != engine.ReasonRules { // something has happened meanwhile
		return inTheWay("Something of it has just changed; look again.")
	}
	return err
}

func inTheWay(detail string) error {
	return &engine.Refusal{Reason: engine.ReasonConflict, Detail: detail}
}

// ledgersPatience is how long the ledgers of the voters have to catch up.
const ledgersPatience = 5 * time.Second

// awaitLedgers waits until the ledgers of all voters have everything up to index.
func (g *Group) awaitLedgers(ctx context.Context, index engine.LogIndex) error {
	if g.ledger == nil {
		return inTheWay("This node keeps no ledger.")
	}
	ctx, cancel := context.WithTimeout(ctx, ledgersPatience)
	defer cancel()
	if err := g.ledger.Await(ctx, index); err != nil {
		return inTheWay("This node's ledger has not caught up: " + err.Error() + ".")
	}
	for {
		recorded, unknown := g.ledger.Recorded()
		if len(unknown) == 0 && recorded >= index {
			return nil
		}
		select {
		case <-ctx.Done():
			if len(unknown) > 0 {
				return inTheWay("The ledger of every voter must have its orders on disk, and these don't answer: " + strings.Join(unknown, ", ") + ".")
			}
			return inTheWay(fmt.Sprintf("The ledger of every voter must have its orders on disk; one reaches to log index %d only, and not to %d.", recorded, index))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

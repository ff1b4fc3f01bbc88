package actors

import (
	"context"
	"errors"

	"doorbuster/engine"
)

// Ask takes a command through the log, on whichever node leads; when it comes
// back, this node has applied it. One that was never proposed, because the epoch
// ended first, waits for the next. Errors: an engine.Refusal, an engine.Awaits,
// engine.ErrNotLeader, engine.ErrOutcomeUnknown.
func (g *Group) Ask(ctx context.Context, c engine.Command) (o engine.Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.CommandTimeout)
	defer cancel()
	for {
		switch {
		case g.others == nil || g.leads.Load():
			if g.others == nil {
				err = g.awaitEpoch(ctx)
			}
			if err == nil {
				o, err = g.askHere(ctx, c)
			}
		case !g.hasState(): // it could not be told what came of it
			err = engine.ErrNotLeader
		default:
			if o, err = g.others.Ask(ctx, engine.EncodeBatch(engine.BatchHeader{}, c)); err == nil {
				err = g.others.Await(ctx, o.Index) // so that this node has seen what it did
			}
		}
		switch {
		case errors.Is(err, engine.ErrNotLeader) && (g.leads.Load() && ctx.Err() == nil || Pause(ctx)):
			err = nil
		case err != nil:
			return o, err
		case o.Event.Kind == engine.CommandRefused:
			return o, &engine.Refusal{Reason: o.Event.Reason, State: o.Event.State}
		case o.Event.Kind == engine.ApprovalAsked || o.Event.Kind == engine.IntentRepeated && o.Event.Amount != 0:
			return o, &engine.Awaits{Approval: engine.ApprovalNo(o.Event.Amount)}
		default:
			return o, nil
		}
	}
}

// askHere takes a command through the log of this node, which leads.
func (g *Group) askHere(ctx context.Context, c engine.Command) (o engine.Outcome, err error) {
	a := &ask{command: c, done: make(chan struct{})}
	if !g.batcher.addAsk(a) {
		return o, engine.ErrNotLeader
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return o, engine.ErrOutcomeUnknown
	}
	return a.outcome, a.err
}

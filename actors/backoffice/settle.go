package backoffice

import (
	"context"
	"errors"
	"time"

	"doorbuster/engine"
)

// settleEvery is how often the leader looks for sessions to settle or to clear.
const settleEvery = time.Second

// KeepSettling has ended sessions settled once after has passed since their end, and
// cleared once the ledgers of all voters have their orders, by the node that leads,
// until Close. Call it once, after Connect and SetLedger.
func (bo *Office) KeepSettling(after time.Duration) {
	bo.settling.Go(func() {
		ctx := bo.closing
		tick := time.NewTicker(settleEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if bo.Leads() {
				bo.settleDue(ctx, bo.Now(), after)
				bo.clearSettled(ctx)
			}
		}
	})
}

// settleDue settles sessions that at now are due and may be.
func (bo *Office) settleDue(ctx context.Context, now engine.Time, after time.Duration) {
	var due []string
	bo.View(func(s *engine.State) {
		for _, x := range s.Sessions() {
			if x.State == engine.Ended && x.EndedAt.Add(after) <= now && s.MaySettle(x) == engine.ReasonNone {
				due = append(due, x.ID)
			}
		}
	})
	for _, id := range due {
		err := bo.settle(ctx, engine.By{}, id, "ended "+after.String()+" ago")
		var refused *engine.Refusal
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			bo.logger.Info("session settled: its orders leave the state once the ledgers of all voters have them",
				"session", id)
		case !errors.As(err, &refused): // else something has come in the way meanwhile
			bo.logger.Warn("a session could not be settled; it is tried again", "session", id, "error", err)
		}
	}
}

// clearSettled has the orders of settled sessions leave the state, of those that the
// ledgers of all voters have.
func (bo *Office) clearSettled(ctx context.Context) {
	if !bo.Records().Kept() {
		return
	}
	recorded, unknown := bo.Records().Recorded()
	if len(unknown) > 0 {
		return
	}
	var ready []engine.SessionHandle
	bo.View(func(s *engine.State) {
		for _, x := range s.Sessions() {
			if x.State == engine.Settled && !x.Left() && x.Sealed <= recorded {
				ready = append(ready, x.Handle)
			}
		}
	})
	for _, h := range ready {
		_, err := bo.Ask(ctx, engine.Command{Kind: engine.CmdClearSession, Session: h})
		if err != nil && ctx.Err() == nil {
			bo.logger.Warn("the orders of a settled session could not leave the state; it is tried again",
				"session", uint32(h), "error", err)
			return
		}
	}
}

// Settle settles a session, whether or not it is due. Its orders leave the state a
// little later.
func (bo *Office) Settle(ctx context.Context, by engine.By, session, note string) (v engine.SessionView, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return v, err
	}
	if err := bo.settle(ctx, by, session, note); err != nil {
		return v, err
	}
	return bo.session(session), nil
}

// settle settles a session. A refusal says what is in the way.
func (bo *Office) settle(ctx context.Context, by engine.By, session, note string) error {
	if !bo.Records().Kept() {
		return inTheWay("This node keeps no ledger.")
	}
	var h engine.SessionHandle
	why := engine.ReasonUnknown
	bo.View(func(s *engine.State) {
		if x := s.Session(session); x != nil {
			h, why = x.Handle, s.MaySettle(x)
		}
	})
	switch why {
	case engine.ReasonNone:
	case engine.ReasonUnknown:
		return refusal(why)
	case engine.ReasonSettled:
		return nil
	case engine.ReasonNotOpen:
		return inTheWay("It has not ended yet; end it first.")
	case engine.ReasonUndelivered:
		return inTheWay("Paid orders of it are not delivered yet: each is to be completed, or paid back.")
	default:
		return inTheWay("Somebody still holds a unit or waits for one, money is on its way back, or a listing is " +
			"frozen.")
	}
	err := bo.askBy(ctx, by, engine.Command{Kind: engine.CmdSettleSession, Session: h, Note: note})
	var refused *engine.Refusal
	if errors.As(err, &refused) { // something has happened meanwhile
		return inTheWay("Something of it has just changed; look again.")
	}
	return err
}

func inTheWay(detail string) error {
	return &engine.Refusal{Reason: engine.ReasonConflict, Detail: detail}
}

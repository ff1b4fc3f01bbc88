package backoffice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"doorbuster/engine"
)

// Approvals gives those that are kept, the newest first, and the rules that ask for them.
func (bo *Office) Approvals() (all []engine.ApprovalView, rules engine.ApprovalRules, err error) {
	if err := bo.Current(); err != nil {
		return nil, rules, err
	}
	bo.View(func(s *engine.State) { all, rules = s.ViewApprovals(), s.ApprovalRules() })
	return all, rules, nil
}

// Approval gives one, with what it would change now; known is false if it is not kept.
func (bo *Office) Approval(no engine.ApprovalNo) (v engine.ApprovalView, known bool, err error) {
	if err := bo.Current(); err != nil {
		return v, false, err
	}
	bo.View(func(s *engine.State) {
		if a := s.Approval(no); a != nil {
			v, known = s.ViewApproval(a), true
		}
	})
	return v, known, nil
}

// DecideApproval approves a change, which is made then, or rejects it. With problems in what it would
// change today it is neither.
func (bo *Office) DecideApproval(
	ctx context.Context, by engine.By, d engine.Decision, note string,
) (v engine.ApprovalView, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return v, err
	}
	c := engine.Command{Kind: engine.CmdDecideApproval, Decision: &d, Note: note}
	if err := bo.sign(ctx, &c, by); err != nil {
		return v, err
	}
	o, err := bo.Ask(ctx, c)
	known := false
	bo.View(func(s *engine.State) {
		if a := s.Approval(d.Approval); a != nil {
			v, known = s.ViewApproval(a), true
		}
	})
	var no *engine.Refusal
	switch {
	case errors.As(err, &no) && no.Reason == engine.ReasonApprovalOver && known:
		return v, &engine.Refusal{Reason: no.Reason, Detail: over(&v)}
	case err != nil:
		return v, err
	case !known:
		return v, refusal(engine.ReasonUnknown) // over a while ago, and dropped since
	}
	v.Today.Problems = o.Problems
	if len(o.Changes) > 0 {
		v.Today.Changes, v.LeftOut = o.Changes, 0
	}
	return v, nil
}

// over says why nobody can decide about an approval any more, and what to do.
func over(v *engine.ApprovalView) string {
	at := v.Decided.Wall().Format(time.RFC3339)
	if v.State == engine.ApprovalExpired {
		return fmt.Sprintf("It expired at %s. Have it asked for again.", v.Expires.Wall().Format(time.RFC3339))
	}
	return fmt.Sprintf("%s has %s it at %s.", v.DecidedBy, v.State, at)
}

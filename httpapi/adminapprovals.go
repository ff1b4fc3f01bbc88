package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/wire"
)

// approvalsQuery is which approvals are asked for.
type approvalsQuery struct {
	State string `query:"state"` // Of this state alone: pending, approved, rejected or expired.
}

func (s *AdminServer) approvals(r *http.Request, q *approvalsQuery) (j wire.Approvals, err error) {
	state, known := engine.ParseApprovalState(q.State)
	if !known && q.State != "" {
		return j, refuse(malformed, "The state may be pending, approved, rejected or expired.")
	}
	all, rules, err := s.operator.Approvals()
	j.Rules = wire.ApprovalRules{PlanUnits: rules.PlanUnits, PlanListings: rules.PlanListings, Words: rules.Words,
		EndSession: rules.EndSession}
	j.Approvals = []wire.Approval{}
	for i := range all {
		if v := &all[i]; !known || v.State == state {
			j.Approvals = append(j.Approvals, approvalOf(v, r))
		}
	}
	return j, err
}

// approvalOf gives an approval, without its diff, as whoever asks sees it.
func approvalOf(v *engine.ApprovalView, r *http.Request) wire.Approval {
	j := wire.Approval{ID: uint32(v.No), Kind: v.Kind.String(), State: v.State.String(), What: v.What, Why: v.Why,
		By: v.By, Note: v.Note, At: rfc3339(v.At), Expires: rfc3339(v.Expires), Session: v.SessionID,
		DecidedBy: v.DecidedBy, DecisionNote: v.Said}
	if v.DecidedBy != "" {
		j.DecidedAt = rfc3339(v.Decided)
	}
	j.MayApprove = v.State == engine.ApprovalPending && roleOf(r).Covers(auth.Operator) &&
		engine.MayApprove(v.By, operatorOf(r))
	return j
}

// wholeApproval is approvalOf with the diff.
func wholeApproval(v *engine.ApprovalView, r *http.Request) wire.Approval {
	j := approvalOf(v, r)
	j.BaseChanged, j.Problems = v.Changed, placesOf(v.Today.Problems)
	changes, left := v.Today.Changes, uint32(0)
	if len(changes) == 0 || v.State != engine.ApprovalPending {
		left = v.LeftOut
	}
	if len(changes) == 0 {
		changes = v.Changes // as it was asked for
	}
	j.Changes = listOf(changes, func(c *engine.Change) wire.PlanChange { return wire.PlanChange(*c) })
	j.LeftOut = left
	return j
}

var noSuchApproval = refuse(notFound, "No approval has this number, or it is over and kept no more. Those that are "+
	"kept are listed at /admin/v1/approvals.")

func approvalNo(r *http.Request) (engine.ApprovalNo, error) {
	no, err := strconv.ParseUint(r.PathValue("approval"), 10, 32)
	if err != nil {
		return 0, noSuchApproval
	}
	return engine.ApprovalNo(no), nil
}

func (s *AdminServer) approval(r *http.Request) (j wire.Approval, err error) {
	no, err := approvalNo(r)
	if err != nil {
		return j, err
	}
	v, known, err := s.operator.Approval(no)
	switch {
	case err != nil:
		return j, err
	case !known:
		return j, noSuchApproval
	}
	return wholeApproval(&v, r), nil
}

// awaitsApproval answers that a change was not made yet.
func (s *AdminServer) awaitsApproval(w http.ResponseWriter, r *http.Request, no engine.ApprovalNo) error {
	v, known, err := s.operator.Approval(no)
	switch {
	case err != nil:
		return err
	case !known: // asked for again with its key, long after
		return refuse(conflict, fmt.Sprintf("It was not done: approval %d, which it had to wait for, is over and kept "+
			"no more. The audit trail says what has become of it.", no))
	}
	w.Header().Set("Location", fmt.Sprintf("/admin/v1/approvals/%d", no))
	return s.replyWith(w, http.StatusAccepted, wholeApproval(&v, r))
}

// decides makes the handler of a decision.
func decides(approve bool) adminHandler {
	return makes(func(s *AdminServer, r *http.Request, b *wire.Note) (j wire.Approval, err error) {
		no, err := approvalNo(r)
		if err != nil {
			return j, err
		}
		log := s.log.With("approval", uint32(no), "approve", approve, "operator", operatorOf(r), "note", b.Note)
		decision := engine.Decision{Approval: no, Approve: approve}
		v, err := s.operator.DecideApproval(r.Context(), byOf(r), decision, b.Note)
		var refusal *engine.Refusal
		switch {
		case errors.As(err, &refusal) && refusal.Reason == engine.ReasonUnknown:
			err = noSuchApproval
		case err == nil && len(v.Today.Problems) > 0:
			err = refuse(badPlan, "Nothing was changed: it can't be made any more, by what there is now. Reject it, "+
				"and have another one asked for.", placesOf(v.Today.Problems)...)
		}
		if err != nil {
			log.Info("nothing was decided about an approval", "error", err)
			return j, err
		}
		log.Info("decided about an approval", "by", v.By)
		return wholeApproval(&v, r), nil
	})
}

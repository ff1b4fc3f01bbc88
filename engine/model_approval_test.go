package engine

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// modelApproval is what the model knows of an approval: not what would be changed.
type modelApproval struct {
	kind        ApprovalKind
	by          string
	x           *modelSession // ApprovalEnd
	before      SessionState  // of x
	at, expires Time
	state       ApprovalState
	decidedBy   string
	decided     Time
}

// endsSooner reports whether a plan has a session end sooner than it would.
func (m *model) endsSooner(p *Plan) bool {
	for _, s := range p.Sales {
		for _, spec := range s.Sessions {
			if x := m.session(spec.ID); x != nil && x.state < Ended && x.Start+spec.End-spec.Start < x.End {
				return true
			}
		}
	}
	return false
}

// ask puts a change off. No two plans of the simulation are the same operator's.
func (m *model) ask(kind ApprovalKind, by string, x *modelSession) Event {
	e := Event{Kind: ApprovalAsked}
	if x != nil {
		e.Session = x.handle
	}
	m.expireApprovals()
	pending, oldest := 0, 0
	for no, a := range m.approvals {
		if a == nil || a.state != ApprovalPending {
			continue
		}
		if kind == ApprovalEnd && a.kind == kind && a.by == by && a.x == x && a.before == x.state {
			e.Amount = int64(no) + 1
			return e
		}
		pending++
	}
	if pending == MaxPending {
		return Event{Kind: CommandRefused, Reason: ReasonTooMany}
	}
	kept := 0
	for no, a := range slices.Backward(m.approvals) {
		if a == nil {
			continue
		}
		kept++
		if a.state != ApprovalPending {
			oldest = no
		}
	}
	if kept == MaxApprovals {
		m.approvals[oldest] = nil
	}
	a := &modelApproval{kind: kind, by: by, x: x, at: m.now, expires: m.now.Add(ApprovalLife), state: ApprovalPending}
	if x != nil {
		a.before = x.state
	}
	m.approvals = append(m.approvals, a)
	e.Amount = int64(len(m.approvals))
	return e
}

func (m *model) expireApprovals() {
	for _, a := range m.approvals {
		if a != nil && a.state == ApprovalPending && m.now >= a.expires {
			a.state = ApprovalExpired
		}
	}
}

// decide knows the decisions that the simulation takes: it approves no plan.
func (m *model) decide(c *Command) Event {
	m.expireApprovals()
	if c.Decision.Approval == 0 || int(c.Decision.Approval) > len(m.approvals) {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	a, to := m.approvals[c.Decision.Approval-1], ApprovalRejected
	if c.Decision.Approve {
		to = ApprovalApproved
	}
	e := Event{Kind: CommandRefused}
	if a == nil {
		e.Reason = ReasonUnknown
		return e
	}
	if a.x != nil {
		e.Session = a.x.handle
	}
	switch {
	case a.state == to && a.decidedBy == c.Operator:
		e.Kind = ApprovalUnchanged
		return e
	case a.state != ApprovalPending:
		e.Reason = ReasonApprovalOver
		return e
	case c.Operator == "":
		return Event{Kind: CommandRefused, Reason: ReasonOwnApproval}
	case to == ApprovalRejected:
		e.Kind = ApprovalWasRejected
	case c.Operator == a.by || a.by == "":
		e.Reason = ReasonOwnApproval
		return e
	case a.x.state != a.before:
		e.Reason = ReasonBaseChanged
		return e
	default:
		e = m.endSession(a.x)
		e.Command = 0
		m.pass()
	}
	a.state, a.decidedBy, a.decided = to, c.Operator, m.now
	return e
}

// approvalsDiffer says how a state's approvals are not what the model says.
func (m *model) approvalsDiffer(s *State) string {
	kept := 0
	for i, want := range m.approvals {
		a := s.Approval(ApprovalNo(i + 1))
		if (a != nil) != (want != nil) {
			return fmt.Sprintf("approval %d is %v, the model has %v", i+1, a, want)
		}
		if a == nil {
			continue
		}
		kept++
		got := modelApproval{a.Kind, a.By, want.x, want.before, a.At, a.Expires, a.StateAt(m.now), a.DecidedBy,
			a.Decided}
		is := *want
		if is.state == ApprovalPending && m.now >= is.expires {
			is.state = ApprovalExpired
		}
		if got.state == ApprovalExpired {
			got.decided = 0
		}
		if got != is {
			return fmt.Sprintf("approval %d is %+v, the model has %+v", i+1, got, is)
		}
	}
	if len(s.approvals) != kept {
		return fmt.Sprintf("%d approvals, the model has %d", len(s.approvals), kept)
	}
	return ""
}

// decision decides about the end of a session, or rejects something.
func (s *simulation) decision() Command {
	d := Decision{Approval: ApprovalNo(rapid.IntRange(0, int(s.group.state.lastApproval)+1).Draw(s.t, "approval"))}
	// One that is not there yet may be asked for in the same batch, and be a plan's.
	if a := s.group.state.Approval(d.Approval); d.Approval == 0 || a != nil && a.Kind == ApprovalEnd {
		d.Approve = rapid.IntRange(0, 3).Draw(s.t, "approve") > 0
	}
	return Command{Kind: CmdDecideApproval, Decision: &d, Operator: s.operator(), Note: "why"}
}

func (s *simulation) operator() string {
	return rapid.SampledFrom([]string{"ann", "ann", "bo", "bo", ""}).Draw(s.t, "operator")
}

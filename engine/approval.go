package engine

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ApprovalRules say which changes of operators a second one must approve. The zero value
// is none. They are state: each epoch begins with those of the node that opens it, so that
// every node's door, and the log itself, goes by the leader's.
type ApprovalRules struct {
	// PlanUnits and PlanListings: a plan that makes or changes so many listings, or listings
	// of so many units in all; 0 = whatever its size.
	PlanUnits    int64
	PlanListings int64
	Words        bool          // what changes the words of a sale
	EndSession   bool          // what ends a session, or has it end sooner
	Within       time.Duration // for how long an approval waits; 0 = ApprovalLife
}

// Bounds of approvals.
const (
	ApprovalLife     = 24 * time.Hour // unless the rules say another
	MaxPending       = 64             // approvals that wait
	MaxApprovals     = 128            // that are kept, those that are over among them
	maxPendingBytes  = 8 << 20        // of the changes that wait
	keptChangesBytes = 16 << 10       // of what is kept of a diff, for people
	MaxApprovalLife  = 30 * 24 * time.Hour
)

// MayApprove is the rule of two: whoever asked for a change is not who approves it,
// however their name is written.
func MayApprove(asked, approver string) bool {
	return asked != "" && approver != "" && !strings.EqualFold(asked, approver)
}

// ApprovalNo numbers approvals from 1. 0 is none.
type ApprovalNo uint32

// ApprovalKind is what kind of a change waits.
type ApprovalKind uint8

// Kinds. Their numbers are on disk.
const (
	ApprovalPlan ApprovalKind = iota + 1
	ApprovalWords
	ApprovalEnd
	ApprovalBack // the last plan is taken back
	approvalKindEnd
)

var approvalKinds = [...]string{"", "plan", "words", "end_session", "plan_back"}

func (k ApprovalKind) String() string { return nameOf(approvalKinds[:], int(k)) }

// ApprovalState is what has become of an approval.
type ApprovalState uint8

// States. Their numbers are on disk.
const (
	ApprovalPending ApprovalState = iota + 1
	ApprovalApproved
	ApprovalRejected
	ApprovalExpired
	approvalStateEnd
)

var approvalStates = [...]string{"", "pending", "approved", "rejected", "expired"}

func (a ApprovalState) String() string { return nameOf(approvalStates[:], int(a)) }

// ParseApprovalState reads the name of one.
func ParseApprovalState(name string) (ApprovalState, bool) {
	return parse[ApprovalState](approvalStates[:], name)
}

// Approval is a change that an operator has asked for and a second one must approve. One
// that the state has given out never changes.
type Approval struct {
	No          ApprovalNo
	Kind        ApprovalKind
	By, Note    string   // who asked for the change, and why
	What        string   // a sentence for people
	Why         []string // which rules ask for a second operator
	At, Expires Time
	Session     SessionHandle // ApprovalEnd
	Back        LogIndex      // ApprovalBack: of the entry of the plan
	// Base is a hash of what the change would have changed when it was asked for: once it
	// would change something else, it is not what its approver is asked about.
	Base    [sha256.Size]byte
	Changes []Change // those, as far as there is room; LeftOut are the rest
	LeftOut uint32

	State     ApprovalState // as of the last decision: see StateAt
	DecidedBy string
	Decided   Time
	Said      string // by who decided

	plan    *Plan // of an ApprovalPlan or ApprovalWords; nil once nobody can approve it any more
	entropy [32]byte
	size    int // of the plan as it is written
}

// StateAt is the state of an approval at a time: one that nobody has decided about expires.
func (a *Approval) StateAt(now Time) ApprovalState {
	if a.State == ApprovalPending && now >= a.Expires {
		return ApprovalExpired
	}
	return a.State
}

// Decision is what a DecideApproval says.
type Decision struct {
	Approval ApprovalNo
	Approve  bool // else it is rejected
	// given is the approval of a command that is done because of it, by by; in no entry.
	given *Approval
	by    string
}

func (d *Decision) fields(c *coder) { c.all((*uint32)(&d.Approval), &d.Approve) }

// approval is why c is done although a second operator must approve it; nil: it is not.
func (c *Command) approval() *Approval {
	if c.Decision == nil {
		return nil
	}
	return c.Decision.given
}

func (a *Approval) fields(c *coder) {
	c.all((*uint32)(&a.No))
	oneOf(c, &a.Kind, approvalKindEnd, "an unknown kind of approval")
	c.all(&a.By, &a.Note, &a.What, &a.Why, &a.At, &a.Expires, &a.Session, &a.Back, &a.Base, &a.Changes, &a.LeftOut)
	oneOf(c, &a.State, approvalStateEnd, "an unknown state of an approval")
	c.all(&a.DecidedBy, &a.Decided, &a.Said, &a.plan, &a.entropy)
	c.check(a.Kind > 0 && a.State > 0 && (a.plan != nil) == (a.State == ApprovalPending && a.Kind <= ApprovalWords),
		"an approval that can't be")
	if c.reads && a.plan != nil {
		a.size = len(written(a.plan))
	}
}

// readApproval reads an approval, which stands behind all before it by number.
func (s *State) readApproval(c *coder) {
	a := new(Approval)
	a.fields(c)
	last := len(s.approvals)
	c.check(last < MaxApprovals && a.No > 0 && a.No <= s.lastApproval && a.At <= s.now &&
		(last == 0 || s.approvals[last-1].No < a.No), "an approval there twice, or one too many")
	s.approvals = append(s.approvals, a)
}

// ApprovalRules gives those that the group goes by.
func (s *State) ApprovalRules() ApprovalRules { return s.approving }

// ApprovalView is an approval as operators see it.
type ApprovalView struct {
	Approval              // State is as of now
	SessionID string      // of Session
	Today     PlanOutcome // what approving it would change now, or why it can't be
	Changed   bool        // that is not what it would have changed when it was asked for
}

// ViewApproval gives one with what it would change now.
func (s *State) ViewApproval(a *Approval) ApprovalView {
	v := s.glanceApproval(a)
	var same bool
	v.Today, same = s.CompareApproval(a)
	v.Changed = !same
	return v
}

// glanceApproval gives one without what it would change now.
func (s *State) glanceApproval(a *Approval) ApprovalView {
	v := ApprovalView{Approval: *a}
	v.State = a.StateAt(s.now)
	if x := s.SessionOf(a.Session); x != nil {
		v.SessionID = x.ID
	}
	return v
}

// ViewApprovals gives all that are kept, the newest first, without what they would change.
func (s *State) ViewApprovals() []ApprovalView {
	views := make([]ApprovalView, 0, len(s.approvals))
	for _, a := range slices.Backward(s.approvals) {
		views = append(views, s.glanceApproval(a))
	}
	return views
}

// Approval gives one by its number, or nil. Read only.
func (s *State) Approval(no ApprovalNo) *Approval {
	if i, found := s.approvalAt(no); found {
		return s.approvals[i]
	}
	return nil
}

func (s *State) approvalAt(no ApprovalNo) (int, bool) {
	return slices.BinarySearchFunc(s.approvals, no, func(a *Approval, no ApprovalNo) int {
		return int(a.No) - int(no)
	})
}

// CompareApproval tells what approving a at this moment would change, as ComparePlan does
// of a plan. same is false if that is not what its change would have changed when it was
// asked for. Of one that is over it tells what is kept.
func (s *State) CompareApproval(a *Approval) (o PlanOutcome, same bool) {
	if a.StateAt(s.now) != ApprovalPending {
		return PlanOutcome{Changes: a.Changes}, true
	}
	switch a.Kind {
	case ApprovalEnd:
		o.Changes = s.compareEnd(a.Session)
	case ApprovalBack:
		if s.LastPlan().Of != a.Back {
			return PlanOutcome{}, false
		}
		o = s.CompareBack()
	default:
		o = s.ComparePlan(a.plan)
	}
	return o, baseOf(o.Changes) == a.Base
}

// compareEnd tells what the end of a session changes: nothing once it has ended.
func (s *State) compareEnd(h SessionHandle) []Change {
	x := s.SessionOf(h)
	if x == nil || x.State >= Ended {
		return nil
	}
	return []Change{{"sales[" + x.Sale + "].sessions[" + x.ID + "].state", x.State.String(), Ended.String()}}
}

func baseOf(changes []Change) [sha256.Size]byte { return sha256.Sum256(written(&changes)) }

// keptOf gives the first changes that fit into most bytes, and how many are left.
func keptOf(changes []Change, most int) (kept []Change, left uint32) {
	size := 0
	for i, c := range changes {
		n := len(c.Path) + len(c.Before) + len(c.After)
		if size += n; size > most || n > maxString {
			return kept, uint32(len(changes) - i)
		}
		kept = append(kept, c)
	}
	return kept, 0
}

// planWhy says which rules have a second operator approve a plan.
func (r *ApprovalRules) planWhy(o *PlanOutcome) (why []string) {
	if r.PlanUnits > 0 && o.size.units >= r.PlanUnits {
		why = append(why, fmt.Sprintf("it changes listings of %d units in all, from %d on (approvals.plan_units)",
			o.size.units, r.PlanUnits))
	}
	if r.PlanListings > 0 && o.size.listings >= r.PlanListings {
		why = append(why, fmt.Sprintf("it changes %d listings, from %d on (approvals.plan_listings)", o.size.listings,
			r.PlanListings))
	}
	if r.Words && o.size.words > 0 {
		why = append(why, "it changes what shoppers are told (approvals.words)")
	}
	if r.EndSession && o.size.ends > 0 {
		why = append(why, "it has a session end sooner (approvals.end_session)")
	}
	return why
}

// planAwaits puts a plan off if a second operator must approve it.
func (s *State) planAwaits(c *Command, o *PlanOutcome) (e Event, awaits bool) {
	if c.approval() != nil || len(o.Approval) == 0 {
		return e, false
	}
	a := Approval{Kind: ApprovalPlan, Why: o.Approval, What: fmt.Sprintf(
		"a plan of %d changes, to %d listings of %d units", len(o.Changes), o.size.listings, o.size.units)}
	if c.Plan.ByHand {
		a.Kind, a.What = ApprovalWords, fmt.Sprintf("words of the sale %s", c.Plan.Sales[0].ID)
	}
	plan := *c.Plan
	plan.Now = 0 // its starts are those that the approver is shown
	a.plan, a.entropy, a.size = &plan, c.Entropy, len(written(&plan))
	return s.putOff(c, a, o.Changes), true
}

// backAwaits puts off that the last plan is taken back, if a second operator must approve it.
func (s *State) backAwaits(c *Command, o *PlanOutcome) (e Event, awaits bool) {
	if c.approval() != nil || len(o.Approval) == 0 {
		return e, false
	}
	a := Approval{Kind: ApprovalBack, Why: o.Approval, What: s.describeBack(), Back: s.undo.Of, entropy: c.Entropy}
	return s.putOff(c, a, o.Changes), true
}

// endAwaits puts the end of a session off if a second operator must approve it.
func (s *State) endAwaits(c *Command, x *Session) (e Event, awaits bool) {
	if c.approval() != nil || !s.approving.EndSession {
		return e, false
	}
	a := Approval{Kind: ApprovalEnd, Session: x.Handle, What: "the end of the session " + x.ID,
		Why: []string{"it ends a session (approvals.end_session)"}}
	return s.putOff(c, a, s.compareEnd(x.Handle)), true
}

// putOff has what c asks for wait until another operator approves it. The same change that
// its operator has asked for already waits once.
func (s *State) putOff(c *Command, a Approval, changes []Change) Event {
	s.forgetApprovals()
	a.Base = baseOf(changes)
	pending, size := 0, 0
	for _, other := range s.approvals {
		if other.State != ApprovalPending {
			continue
		}
		if other.By == c.Operator && other.Kind == a.Kind && other.Base == a.Base {
			return Event{Kind: ApprovalAsked, Session: a.Session, Amount: int64(other.No)}
		}
		pending, size = pending+1, size+other.size
	}
	if pending == MaxPending || size+a.size > maxPendingBytes {
		return refused(ReasonTooMany)
	}
	within := s.approving.Within
	if within == 0 {
		within = ApprovalLife
	}
	s.lastApproval++
	a.No, a.By, a.Note, a.State = s.lastApproval, c.Operator, c.Note, ApprovalPending
	a.At, a.Expires = s.now, s.now.Add(within)
	a.Changes, a.LeftOut = keptOf(changes, keptChangesBytes)
	for len(s.approvals) >= MaxApprovals {
		s.dropApproval()
	}
	s.approvals = append(slices.Clone(s.approvals), &a) // a snapshot may hold the old ones
	return Event{Kind: ApprovalAsked, Session: a.Session, Amount: int64(a.No)}
}

// end has nobody decide about a copy of an approval any more.
func (a *Approval) end(to ApprovalState, at Time) {
	a.State, a.Decided, a.plan, a.entropy, a.size = to, at, nil, [32]byte{}, 0
}

// forgetApprovals lets go of what nobody can approve any more.
func (s *State) forgetApprovals() {
	var kept []*Approval
	for i, a := range s.approvals {
		if a.State != ApprovalPending || s.now < a.Expires {
			continue
		}
		if kept == nil {
			kept = slices.Clone(s.approvals)
		}
		over := *a
		over.end(ApprovalExpired, a.Expires)
		kept[i] = &over
	}
	if kept != nil {
		s.approvals = kept
	}
}

// dropApproval drops the oldest one that is over.
func (s *State) dropApproval() {
	at := slices.IndexFunc(s.approvals, func(a *Approval) bool { return a.State != ApprovalPending })
	s.approvals = slices.Delete(slices.Clone(s.approvals), at, at+1) // more are kept than may wait
}

// decideApproval approves a change, and makes it then, or rejects it. Whoever asked for it
// may take it back.
func (s *State) decideApproval(c *Command) Event {
	s.forgetApprovals()
	if c.Decision == nil {
		return refused(ReasonRefused)
	}
	at, found := s.approvalAt(c.Decision.Approval)
	if !found {
		return refused(ReasonUnknown)
	}
	a, to := s.approvals[at], ApprovalRejected
	if c.Decision.Approve {
		to = ApprovalApproved
	}
	told := Event{Kind: ApprovalUnchanged, Session: a.Session}
	switch {
	case a.State == to && a.DecidedBy == c.Operator:
		return told
	case a.State != ApprovalPending:
		return Event{Kind: CommandRefused, Reason: ReasonApprovalOver, Session: a.Session}
	case c.Operator == "":
		return refused(ReasonOwnApproval)
	}
	if c.Decision.Approve {
		if told = s.makeApproved(c, a); told.Kind == CommandRefused || told.Kind == PlanRefused {
			return told
		}
	} else {
		told.Kind = ApprovalWasRejected
	}
	decided := *a
	decided.end(to, s.now)
	decided.DecidedBy, decided.Said = c.Operator, c.Note
	s.approvals = slices.Clone(s.approvals)
	s.approvals[at] = &decided
	return told
}

// makeApproved makes a change as it was asked for, by today's state, unless that has become
// another change.
func (s *State) makeApproved(c *Command, a *Approval) Event {
	if !MayApprove(a.By, c.Operator) {
		return Event{Kind: CommandRefused, Reason: ReasonOwnApproval, Session: a.Session}
	}
	if a.plan != nil {
		s.settlePlanned(a.plan)
	}
	if o, same := s.CompareApproval(a); len(o.Problems) == 0 && !same {
		return Event{Kind: CommandRefused, Reason: ReasonBaseChanged, Session: a.Session}
	}
	asked := Command{Kind: CmdApplyPlan, Operator: a.By, Note: a.Note, Plan: a.plan, Entropy: a.entropy,
		Decision: &Decision{given: a, by: c.Operator}}
	switch a.Kind {
	case ApprovalPlan, ApprovalWords:
		return s.applyPlan(&asked)
	case ApprovalBack:
		asked.Kind, asked.Back = CmdPlanBack, a.Back
		return s.planBack(&asked)
	}
	asked.Kind, asked.Session, asked.Action = CmdSteerSession, a.Session, SessionEnd
	return s.steerSession(&asked)
}

// describeDecision names what is decided about, and who had asked for it.
func (s *State) describeDecision(d *Decision) string {
	if d == nil {
		return ""
	}
	verb := "reject"
	if d.Approve {
		verb = "approve"
	}
	a := s.Approval(d.Approval)
	if a == nil {
		return fmt.Sprintf("%s approval %d; before: unknown", verb, d.Approval)
	}
	return fmt.Sprintf("%s approval %d, %s, asked for by %s; before: %s", verb, a.No, a.What, a.By, a.StateAt(s.now))
}

package engine

import (
	"errors"
	"fmt"
)

// Errors that cross rooms.
var (
	// ErrNotLeader: this node does not lead, or has lost its epoch; the outcome
	// of what was under way is unknown and may be asked for again.
	ErrNotLeader = errors.New("this node does not lead")

	// ErrOutcomeUnknown: the command may or may not have been committed; asking
	// again, or looking, will tell.
	ErrOutcomeUnknown = errors.New("the outcome is not known yet")

	// ErrStaleEpoch: the batch belongs to another epoch or leaves a gap in its
	// own; nothing of it was applied.
	ErrStaleEpoch = errors.New("batch of another epoch")

	// ErrRulesTooNew: the log asks for rules that this build does not know. The
	// node must stop and be upgraded.
	ErrRulesTooNew = errors.New("the log needs a newer build")

	// ErrMalformed: bytes that are not what the format says.
	ErrMalformed = errors.New("malformed")

	// ErrNewerFormat: a format version that this build does not read.
	ErrNewerFormat = errors.New("written by a newer build")

	// ErrOlderFormat: a format from before version 1, which had another magic.
	ErrOlderFormat = errors.New("written by a build before version 1 of the formats, which this build can't read")
)

// Refusal is a command that the state machine said no to.
type Refusal struct {
	Reason Reason
	State  OrderState // of the order concerned, where there is one
	Detail string     // sentences for operators, where the reason is not all; may be ""
}

func (r *Refusal) Error() string {
	if r.State != 0 {
		return "refused: " + r.Reason.String() + " (the order is " + r.State.String() + ")"
	}
	return "refused: " + r.Reason.String()
}

// Awaits is a change that was not made: a second operator must approve it first.
type Awaits struct{ Approval ApprovalNo }

func (a *Awaits) Error() string {
	return fmt.Sprintf("it awaits approval %d by another operator", a.Approval)
}

// ErrNoRecords: what is kept of settled sessions can't be read on this node now, or is
// not all there. It is an ErrNotLeader, too: ask again, or elsewhere.
var ErrNoRecords error = notNow("the records of settled sessions can't be read here now")

type notNow string

func (e notNow) Error() string      { return string(e) }
func (notNow) Is(target error) bool { return target == ErrNotLeader }

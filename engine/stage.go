package engine

import "time"

// Stage is a part of the way of a grab, as ARCHITECTURE.md draws it.
type Stage uint8

// Stages, in order. What a gate refuses has the first two alone; the rest are of what is
// decided by the log, and measured where it leads.
const (
	StageDoor   Stage = iota // until the gate is asked
	StageGate                // until it has answered, or let the grab in
	StageActor               // until the listing's actor has put it into a batch
	StageBatch               // until the batch is proposed
	StageLog                 // until it is on the leader's disk
	StageQuorum              // until a quorum has it, and another zone where that is asked for
	StageApply               // until the state has it
	StageAnswer              // until it is answered
	stages
)

var stageNames = [stages]string{"door", "gate", "actor", "batch", "log", "quorum", "apply", "answer"}

func (s Stage) String() string { return stageNames[s] }

// Stages gives the names of all stages, in order.
func Stages() []string { return stageNames[:] }

// Times say when an entry got where on the node that leads. Who applies an entry fills them
// in; what is not known is zero.
type Times struct{ Stored, Committed, Applied time.Time }

// Trace takes down when the stages of one grab ended. Safe for concurrent use, and for as
// long as anybody has it.
type Trace interface {
	Ended(stage Stage, at time.Time)
}

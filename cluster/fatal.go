package cluster

import (
	"fmt"
	"sync/atomic"

	"doorbuster/engine"
)

// Cause is why a node ends by itself.
type Cause uint8

// Causes of an end.
const (
	CauseRestart       Cause = iota // it must be opened again: ErrRestart
	CauseDisk                       // a write, sync or rename failed
	CauseStall                      // a write or sync hangs
	CauseDamage                     // a record can't be read back
	CauseSuperseded                 // the cluster went on without this node
	CauseOlderCopy                  // its directory was put back to an older copy
	CauseContradiction              // it has applied what the others do not have
	CauseOutdated                   // this build does not know what the group has gone over to
	CauseNetwork                    // other nodes can't be served
	causes
)

// Ends of nodes: what is known of what the node told shoppers, and what to do, in a
// cluster and alone. Nothing is claimed here that the cause does not prove.
const (
	toldIsInLog = "What this node told is in its log"
	startAgain  = "start the node again"
)

var ends = [causes]struct{ known, do, alone string }{
	CauseRestart: {known: toldIsInLog, do: "look above for why, and " + startAgain +
		"; if it goes on, remove the node and join it under a new id with an empty directory",
		alone: "look above for why, and " + startAgain},
	CauseDisk: {known: toldIsInLog, do: "mend the disk, or make room on it, and " + startAgain},
	CauseStall: {known: toldIsInLog + "; what it was writing was not told by it, and may be there or not",
		do: "see why the disk hangs, and " + startAgain + "; a larger stall_timeout allows for longer pauses"},
	CauseDamage: {known: "This node's log does not prove any more what it told",
		do: "check the disk, remove the node, and join it under a new id with an empty directory: it gets from " +
			"the others what they agreed on",
		alone: "check the disk, see with 'doorbuster wal verify' what is damaged, and keep the directory for the " +
			"books before a backup is restored"},
	CauseSuperseded: {known: "Orders that it told and that the promoted node did not have are not in the cluster, " +
		"and their units may have been sold again",
		do: "keep its directory for the books, and join the node from scratch under a new id with 'doorbuster " +
			"cluster join'"},
	CauseOlderCopy: {known: "What this node acknowledged since that copy was made is not in it, and the others have it",
		do: "keep the directory for the books if you like, remove the node, and join it under a new id with an " +
			"empty directory"},
	CauseContradiction: {known: "This node has applied, and may have told, what the others do not have; nothing of " +
		"it was overwritten",
		do: "stop the other nodes before they sell more, and find out which of them was put back to an older copy " +
			"or lost its disk. Keep all directories. " +
			"Then either promote this node, start the others no more and join new ones, and what they sold " +
			"meanwhile is lost; " +
			"or remove this node and join it under a new id with an empty directory, and what only it has is lost"},
	CauseOutdated: {known: toldIsInLog, do: "upgrade doorbuster on this node"},
	CauseNetwork:  {known: toldIsInLog, do: "mend what the network says, and " + startAgain},
}

// Fatal is why a node can't go on. Its text says what is known and what to do.
type Fatal struct {
	Cause Cause
	// Confirmed is the log index up to which the disk has confirmed everything; 0 if
	// the log was not open yet.
	Confirmed engine.LogIndex
	Alone     bool
	Err       error
}

func (f *Fatal) Error() string {
	end := ends[f.Cause]
	do, confirmed := end.do, ""
	if f.Alone && end.alone != "" {
		do = end.alone
	}
	if f.Confirmed > 0 {
		confirmed = fmt.Sprintf("; the disk has confirmed everything up to index %d", f.Confirmed)
	}
	return fmt.Sprintf("%v. %s%s. What to do: %s", f.Err, end.known, confirmed, do)
}

func (f *Fatal) Unwrap() error { return f.Err }

// fatal tells once that the node can't go on.
type fatal struct {
	end   atomic.Pointer[Fatal] // what was told, without Confirmed
	tell  func(error)
	alone bool
	// confirmed gives Fatal.Confirmed without waiting for the disk; nil before the
	// log is open.
	confirmed atomic.Pointer[func() engine.LogIndex]
}

func (f *fatal) fail(cause Cause, err error) {
	end := Fatal{Cause: cause, Alone: f.alone, Err: err}
	if !f.end.CompareAndSwap(nil, &end) {
		return
	}
	go func() {
		told := end
		if confirmed := f.confirmed.Load(); confirmed != nil {
			told.Confirmed = (*confirmed)()
		}
		f.tell(&told)
	}()
}

// as is fail for who knows only one cause.
func (f *fatal) as(cause Cause) func(error) { return func(err error) { f.fail(cause, err) } }

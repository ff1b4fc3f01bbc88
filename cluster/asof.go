package cluster

import (
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// AsOf tells how far what a data directory holds reaches. Nothing in a directory
// that was replaced by an older copy of itself can tell that it was; who reads the
// time can.
type AsOf struct {
	LogIndex engine.LogIndex // of the last entry; 0: there was none
	Time     time.Time       // when its leader appended it, by that node's clock, in UTC
}

// AsOf is of the directory as Open found it.
func (n *Node) AsOf() AsOf { return n.asOf }

// lastStored is of the log; the zero AsOf if it is empty.
func (n *Node) lastStored() AsOf {
	last := n.log.LastIndex()
	var e raft.Log
	if last == 0 || n.store.GetLog(last, &e) != nil { // Raft reads it next, and says why it can't
		return AsOf{}
	}
	return AsOf{engine.LogIndex(last), e.AppendedAt.UTC()}
}

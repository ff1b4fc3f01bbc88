package cluster

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/hashicorp/raft"
)

// history is in which terms commands came into the log: where each term that had
// any began, in order, the last maxHistory of them. Two logs with the same term at an
// index are the same up to there; so a snapshot, which has no entries, can be held
// against a log by it.
type history []mark

const maxHistory = 256

// add takes in a command.
func (h history) add(m mark) history {
	if len(h) > 0 && h[len(h)-1].Term == m.Term {
		return h
	}
	h = append(slices.Clone(h), m) // who has the shorter one may be reading it
	return h[max(0, len(h)-maxHistory):]
}

// at gives the term of the last command up to an index; 0 if that is not known.
func (h history) at(index uint64) (term uint64) {
	for _, m := range h {
		if m.Index > index {
			break
		}
		term = m.Term
	}
	return term
}

// floor is up to which index this node has applied everything, now or before: that
// is agreed on for good. It is a lower bound.
func (n *Node) floor() uint64 {
	return uint64(max(n.applied.load(), n.ledger.TrailIndex(), n.memory.floor))
}

// termHere gives the term of a command of this node's own; 0 if it is not known.
func (n *Node) termHere(index uint64) uint64 {
	var e raft.Log
	if n.store.GetLog(index, &e) == nil {
		return e.Term
	}
	return n.fsm.terms().at(index)
}

// weighSnapshot refuses a snapshot that has another history than what this node has
// applied: the leader that sends it comes of nodes that have forgotten that.
func (n *Node) weighSnapshot(end mark, terms history) error {
	floor, theirs := n.floor(), end.Term
	if floor == 0 {
		return nil
	}
	if end.Index >= floor {
		theirs = terms.at(floor)
	}
	at := min(floor, end.Index)
	if ours := n.termHere(at); ours == 0 || theirs == 0 || ours == theirs {
		return nil
	}
	return n.contradicts(fmt.Sprintf("A snapshot of index %d is to overwrite the log of node %s, which has applied "+
		"other entries up to index %d (of term %d there, and %d here)",
		end.Index, n.cfg.NodeID, at, theirs, n.termHere(at)))
}

// snapshotStore keeps snapshots as Raft's does, and finishes none that weighSnapshot
// refuses: a finished one would be what the next start begins with.
type snapshotStore struct {
	*raft.FileSnapshotStore
	weigh func(end mark, terms history) error
}

// weighed gives the store that Raft is to use.
func (n *Node) weighed(s *raft.FileSnapshotStore) raft.SnapshotStore {
	if n.alone() {
		return s
	}
	return snapshotStore{s, n.weighSnapshot}
}

// Create is Raft's.
func (s snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, servers raft.Configuration,
	since uint64, hop raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.FileSnapshotStore.Create(version, index, term, servers, since, hop)
	if err != nil {
		return nil, err
	}
	return &weighedSink{SnapshotSink: sink, end: mark{term, index}, weigh: s.weigh}, nil
}

// weighedSink keeps the head of a snapshot, to be weighed before it is finished.
type weighedSink struct {
	raft.SnapshotSink
	end   mark
	head  bytes.Buffer
	weigh func(end mark, terms history) error
}

func (s *weighedSink) Write(b []byte) (int, error) {
	s.head.Write(b[:min(len(b), maxHeadBytes-s.head.Len())])
	return s.SnapshotSink.Write(b)
}

func (s *weighedSink) Close() error {
	head, err := readHead(bytes.NewReader(s.head.Bytes()))
	if err == nil || err == io.EOF { // what is no snapshot shows when it is read
		err = s.weigh(s.end, head.Terms)
	}
	if err != nil {
		_ = s.Cancel()
		return err
	}
	return s.SnapshotSink.Close()
}

var _ raft.SnapshotStore = snapshotStore{}

// terms gives the history of what was committed here.
func (f *fsm) terms() history {
	f.hold.Lock()
	defer f.hold.Unlock()
	return f.history
}

// snapshotHead is what a snapshot has in front of the engine's state.
type snapshotHead struct {
	Roster *Membership `json:"roster,omitempty"`
	Terms  history     `json:"terms,omitempty"`
}

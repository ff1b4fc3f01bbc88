package cluster

import (
	"slices"
	"sync"
	"time"

	"doorbuster/engine"
)

// lease is how long after it was sent an answered heartbeat still says that this
// node leads. Nobody votes for another within 250 ms of hearing from a leader
// (hurried; usually 500), so no other leader can have told anybody anything yet.
const lease = 240 * time.Millisecond

// tracker knows what the followers of this node, while it leads, have on disk
// and when they answered. Raft keeps the same to itself. Safe for concurrent use.
type tracker struct {
	heard func(further bool) // a follower answered; further: more is durable there
	// remember is told how far a follower is known to have written. May be nil.
	remember func(node string, to mark)

	mu      sync.Mutex
	term    uint64
	durable map[string]uint64    // by node: its log up to here is this leader's, and on disk
	contact map[string]time.Time // by node: when the last RPC that it answered was sent
}

func newTracker(heard func(further bool)) *tracker {
	return &tracker{heard: heard, durable: map[string]uint64{}, contact: map[string]time.Time{}}
}

// answered notes that a follower has answered an RPC of a term, sent when said,
// and has the log on disk up to durable; a zero mark if that is not known from it.
func (t *tracker) answered(node string, term uint64, upTo mark, sent time.Time) {
	durable := upTo.Index
	if durable > 0 && t.remember != nil {
		t.remember(node, upTo)
	}
	t.mu.Lock()
	if term > t.term {
		t.term = term
		clear(t.durable)
		clear(t.contact)
	}
	if term < t.term {
		t.mu.Unlock()
		return
	}
	if sent.After(t.contact[node]) {
		t.contact[node] = sent
	}
	further := durable > t.durable[node]
	if further {
		t.durable[node] = durable
	}
	t.mu.Unlock()
	t.heard(further)
}

// reset forgets a node that has left: one that comes back is another.
func (t *tracker) reset(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.durable, node)
	delete(t.contact, node)
}

// furthest gives the highest index that any of nodes has on disk, as far as the
// leader of term knows.
func (t *tracker) furthest(term uint64, nodes []string) (index engine.LogIndex) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if term != t.term {
		return 0
	}
	for _, node := range nodes {
		index = max(index, engine.LogIndex(t.durable[node]))
	}
	return index
}

// durableOf gives what one node has on disk, as far as the leader of term knows.
func (t *tracker) durableOf(term uint64, node string) engine.LogIndex {
	return t.furthest(term, []string{node})
}

// latest gives when the last RPC was sent that any of nodes answered in term.
func (t *tracker) latest(term uint64, nodes []string) (at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if term != t.term {
		return at
	}
	for _, node := range nodes {
		if c := t.contact[node]; c.After(at) {
			at = c
		}
	}
	return at
}

// quorumAt gives the time at which a quorum, of this node and others, was last
// known to follow it in term: the send time of the RPC that completed it. others
// are the voters besides this node.
func (t *tracker) quorumAt(term uint64, others []string) time.Time {
	if len(others) == 0 {
		return time.Now()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if term != t.term {
		return time.Time{}
	}
	at := make([]time.Time, 0, len(others))
	for _, node := range others {
		at = append(at, t.contact[node])
	}
	slices.SortFunc(at, func(a, b time.Time) int { return b.Compare(a) })
	needed := (len(others) + 1) / 2 // a majority, less this node itself
	return at[needed-1]
}

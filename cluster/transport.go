package cluster

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// transport is Raft's network transport with four things of ours.
//
// It has no fast path for heartbeats: handled on the transport's goroutine they
// can overtake the log and break its matching (hashicorp/raft #695). So
// heartbeats queue behind a follower's writes, which the timeouts allow for.
//
// It sees what followers answer, and so knows what each has on disk and when the
// quorum last said that this node leads (tracker).
//
// It asks for no votes while this node is not to lead (mayLead): a node whose
// clock is off, that is drained, or a witness while others can.
//
// Its messages and answers say how far their sender has applied (extent): they come
// with every entry anyway, and at least every 10 ms, so that nothing else has to be
// sent for it.
type transport struct {
	*raft.NetworkTransport
	tracker *tracker
	mayLead func() error
	extent  extent
}

// extent is how far nodes have applied.
type extent struct {
	own      func() engine.LogIndex
	heard    func(engine.LogIndex)              // some node's, by a message of its own
	answered func(id string, _ engine.LogIndex) // another node's
}

// appliedBytes are a zero, which no address has, and a log index.
const appliedBytes = 1 + 8

// EncodePeer is Raft's: each message, and each answer, begins with its sender's address.
// How far the sender has applied stands behind that.
func (t transport) EncodePeer(_ raft.ServerID, own raft.ServerAddress) []byte {
	b := append(make([]byte, 0, len(own)+appliedBytes), own...)
	return binary.BigEndian.AppendUint64(append(b, 0), uint64(t.extent.own()))
}

// DecodePeer is Raft's, of whoever sent a message.
func (t transport) DecodePeer(b []byte) raft.ServerAddress {
	addr, applied := cutApplied(b)
	t.extent.heard(applied)
	return raft.ServerAddress(addr)
}

// cutApplied takes apart what EncodePeer made.
func cutApplied(b []byte) (addr []byte, applied engine.LogIndex) {
	if at := len(b) - appliedBytes; at >= 0 && b[at] == 0 {
		return b[:at], engine.LogIndex(binary.BigEndian.Uint64(b[at+1:]))
	}
	return b, 0
}

// SetHeartbeatHandler does nothing: heartbeats go to the consumer channel.
func (transport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntries is Raft's.
func (t transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	sent := time.Now()
	err := t.NetworkTransport.AppendEntries(id, target, args, resp)
	if err == nil && resp.Term <= args.Term {
		durable := mark{}
		// A heartbeat that matches nothing says nothing about the disk.
		if resp.Success && (args.PrevLogEntry > 0 || len(args.Entries) > 0) {
			durable = mark{args.PrevLogTerm, args.PrevLogEntry}
			if n := len(args.Entries); n > 0 {
				durable = mark{args.Entries[n-1].Term, args.Entries[n-1].Index}
			}
		}
		t.tracker.answered(string(id), args.Term, durable, sent)
		_, applied := cutApplied(resp.Addr)
		t.extent.answered(string(id), applied)
	}
	return err
}

// InstallSnapshot is Raft's.
func (t transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	sent := time.Now()
	err := t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
	if err == nil && resp.Success && resp.Term <= args.Term {
		t.tracker.answered(string(id), args.Term, mark{args.LastLogTerm, args.LastLogIndex}, sent)
	}
	return err
}

// RequestPreVote is Raft's.
func (t transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) error {
	if err := t.mayLead(); err != nil {
		return err
	}
	return t.NetworkTransport.RequestPreVote(id, target, args, resp)
}

// RequestVote is Raft's.
func (t transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse) error {
	if err := t.mayLead(); err != nil {
		return err
	}
	// Whom it votes for, a node keeps by these bytes.
	candidate := *args
	candidate.Addr, _ = cutApplied(args.Addr)
	return t.NetworkTransport.RequestVote(id, target, &candidate, resp)
}

var (
	_ raft.Transport   = transport{}
	_ raft.WithPreVote = transport{}
	_ raft.WithClose   = transport{}
)

func newTransport(stream raft.StreamLayer, logger hclog.Logger, tracker *tracker, mayLead func() error,
	extent extent) transport {
	return transport{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  stream,
		MaxPool: 3,
		Timeout: 2 * time.Second,
		// Pipelining can wedge a follower (hashicorp/raft #612).
		MaxRPCsInFlight: 1,
		Logger:          logger,
	}), tracker, mayLead, extent}
}

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

// loneTransport is that of a node without peers: nobody calls, nobody can be called.
func loneTransport() *raft.InmemTransport {
	_, hop := raft.NewInmemTransport("alone")
	return hop
}

package cluster

import (
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// transport is Raft's network transport with three things of ours.
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
type transport struct {
	*raft.NetworkTransport
	tracker *tracker
	mayLead func() error
}

// SetHeartbeatHandler does nothing: heartbeats go to the consumer channel.
func (transport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntries is Raft's.
func (t transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
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
	}
	return err
}

// InstallSnapshot is Raft's.
func (t transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	sent := time.Now()
	err := t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
	if err == nil && resp.Success && resp.Term <= args.Term {
		t.tracker.answered(string(id), args.Term, mark{args.LastLogTerm, args.LastLogIndex}, sent)
	}
	return err
}

// RequestPreVote is Raft's.
func (t transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := t.mayLead(); err != nil {
		return err
	}
	return t.NetworkTransport.RequestPreVote(id, target, args, resp)
}

// RequestVote is Raft's.
func (t transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := t.mayLead(); err != nil {
		return err
	}
	return t.NetworkTransport.RequestVote(id, target, args, resp)
}

var (
	_ raft.Transport   = transport{}
	_ raft.WithPreVote = transport{}
	_ raft.WithClose   = transport{}
)

func newTransport(stream raft.StreamLayer, logger hclog.Logger, tracker *tracker, mayLead func() error) transport {
	return transport{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  stream,
		MaxPool: 3,
		Timeout: 2 * time.Second,
		// Pipelining can wedge a follower (hashicorp/raft #612).
		MaxRPCsInFlight: 1,
		Logger:          logger,
	}), tracker, mayLead}
}

// loneTransport is that of a node without peers: nobody calls, nobody can be called.
func loneTransport() *raft.InmemTransport {
	_, hop := raft.NewInmemTransport("alone")
	return hop
}

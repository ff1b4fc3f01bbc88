package rpc

import (
	"context"
	"time"

	"doorbuster/cluster/ledger/trail"
	"doorbuster/engine"
)

// Decider decides, on the leader, what other nodes forward to it, and tells on any
// node what they ask it. Safe for concurrent use.
type Decider interface {
	// GrabFor has a forwarded grab decided as the leader. It does not wait: to is told,
	// at once or later, and once; of engine.ErrNotLeader where this node does not lead.
	// q and its slices are only valid during the call; they are well-formed, the
	// listing need not exist.
	GrabFor(q *engine.Grab, deadline engine.Time, to engine.Reply)
	// AskFor takes an encoded engine.Command, at most engine.MaxEntryBytes that have
	// not been looked at, through the log. Of more changes or problems than one
	// message takes, the last one says how many were left out.
	AskFor(ctx context.Context, command []byte) (engine.Outcome, error)
	// LookFor tells what became of a grab, as the leader knows.
	LookFor(shopper, key []byte, deadline engine.Time) (answer engine.Answer, found bool, err error)
	// Refusals tells why this node refused a shopper, in one session or ("") in all.
	Refusals(shopper, session string) engine.RefusalReport
	// Reports lists the reports of reconciliations that this node keeps, or gives a
	// piece of one, of engine.MaxReportPieceBytes and less only at the end.
	Reports(r engine.ReportsRequest) (engine.ReportsPage, error)
	// AboutSession gives what this node's doors have counted of a session, or the report of
	// it that this node keeps, of MaxBodyBytes at most.
	AboutSession(session string, kept bool) ([]byte, error)
}

// Handler is what a node answers the others with. Safe for concurrent use. A
// panic is answered as an outcome that nobody knows, and logged.
type Handler interface {
	Decider
	// Barrier gives an index that has everything that any node has told anybody so far.
	Barrier(ctx context.Context) (engine.LogIndex, error)
	// Pulse tells what this node knows of itself, cheaply: it is asked with every
	// batch of answers.
	Pulse() Pulse
	// Operate carries an operator's request: a name and JSON in, JSON out, each
	// at most MaxBodyBytes.
	Operate(ctx context.Context, name string, body []byte) ([]byte, error)
	// Trail gives a page of this node's trail, about 2 MiB at most.
	Trail(after, upto engine.LogIndex, deeds bool) (trail.Page, error)
	// Orders gives a piece of this node's file of a settled session, a MiB at most, and
	// how many bytes the file has.
	Orders(h engine.SessionHandle, offset int64) (chunk []byte, total int64, err error)
}

// Pulse is what a node knows of itself.
type Pulse struct {
	Node, Zone, Role, Version    string // Role: leader, follower, candidate...
	Leader                       string // whom it takes for the leader
	Leads                        bool   // an epoch is open and its lease holds
	Term                         engine.Term
	Applied, Commit, Last, First engine.LogIndex
	Wall                         time.Time // its wall clock when the pulse was made
	Rules                        uint32    // newest rules version that its build knows
	WALBytes                     int64
	Generation                   uint64
	Ledger                       engine.LogIndex   // up to which its ledger is on disk
	Detail                       map[string]string `json:",omitempty"` // for status pages, small
	Life                         string            // random, of its present start
	// what it remembers of other nodes, for package cluster; sent when it has changed
	Memory []byte `json:",omitempty"`
	// for cluster.Config.Demand; sent when it has changed
	Demand []byte `json:",omitempty"`
}

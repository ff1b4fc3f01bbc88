package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"doorbuster/engine"
)

// Names of operations.
const (
	OpJoin     = "join"
	OpRemove   = "remove"
	OpTransfer = "transfer"
	OpZoneAck  = "zone-ack"
	OpPrefer   = "prefer"
	OpDrain    = "drain"
	OpAlarm    = "alarm" // of a node that stops, to the others
)

// Operation is what an operator asks of the cluster.
type Operation struct {
	Name     string  `json:"name"`
	Operator string  `json:"operator"`
	Member   Member  `json:"member,omitzero"`
	Node     string  `json:"node,omitempty"`
	From     string  `json:"from,omitempty"` // of a transfer: who leads no longer; empty for whoever does
	Zone     string  `json:"zone,omitempty"`
	On       bool    `json:"on,omitempty"`
	Mode     ZoneAck `json:"mode,omitempty"`
	Note     string  `json:"note,omitempty"`
	// Again: it was asked for before, and nobody knows whether it was done.
	Again bool `json:"again,omitempty"`
}

// Operate does what an operator asks, on the leader, wherever it was asked. It
// gives the node that leads afterwards, for a transfer. Where an answer was lost it
// asks again, so that what came of it is known unless ctx ends first. Errors:
// ErrRefused, engine.ErrNotLeader, engine.ErrOutcomeUnknown.
func (n *Node) Operate(ctx context.Context, o Operation) (leader string, err error) {
	if n.alone() {
		return "", refuse("this node is alone; a cluster begins with a 'cluster' section in its configuration")
	}
	known := n.until(ctx, 20*time.Millisecond, func() bool {
		switch {
		case !n.Removed():
			leader, err = n.operateOnce(ctx, o)
		case o.Name == OpRemove && o.Node == n.cfg.NodeID:
			leader, err = "", nil
		default:
			leader, err = "", refuse("%w", errRemoved)
		}
		lost := errors.Is(err, engine.ErrOutcomeUnknown)
		o.Again = o.Again || lost
		return !lost && !errors.Is(err, engine.ErrNotLeader)
	})
	switch {
	case known:
		return leader, err
	case o.Again:
		return "", engine.ErrOutcomeUnknown
	}
	return "", engine.ErrNotLeader
}

// operated is an operation's outcome, between nodes.
type operated struct {
	Leader  string `json:"leader,omitempty"`
	Refusal string `json:"refusal,omitempty"`
}

func (n *Node) operateOnce(ctx context.Context, o Operation) (string, error) {
	p := n.leaderPeer()
	if p == nil {
		return n.operateHere(ctx, o)
	}
	body, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	answer, err := p.Operate(ctx, o.Name, body)
	if err != nil {
		return "", err
	}
	var done operated
	if err := json.Unmarshal(answer, &done); err != nil {
		return "", fmt.Errorf("answer of the leader: %w", err)
	}
	if done.Refusal != "" {
		return "", refuse("%s", done.Refusal)
	}
	return done.Leader, nil
}

// operate is for other nodes.
func (n *Node) operate(ctx context.Context, name string, body []byte) ([]byte, error) {
	var o Operation
	if err := json.Unmarshal(body, &o); err != nil || o.Name != name {
		return nil, fmt.Errorf("operation %q: %w", name, engine.ErrMalformed)
	}
	leader, err := n.operateHere(ctx, o)
	if err != nil && !errors.Is(err, ErrRefused) {
		return nil, err
	}
	done := operated{Leader: leader}
	if err != nil {
		done.Refusal = RefusalText(err)
	}
	return json.Marshal(done)
}

func (n *Node) operateHere(ctx context.Context, o Operation) (leader string, err error) {
	n.logger.Info("operator", "asks", o.Name, "operator", o.Operator, "node", o.Node+o.Member.ID,
		"zone", o.Zone, "note", o.Note)
	switch o.Name {
	case OpJoin:
		return "", n.join(o)
	case OpRemove:
		return "", n.remove(o)
	case OpTransfer:
		return n.Transfer(ctx, o.From, o.Node)
	case OpZoneAck:
		return "", n.changeMembership(o.Operator, cmp.Or(o.Note, "zone ack "+string(o.Mode)),
			func(r *Membership) error { return r.setZoneAck(o.Mode) })
	case OpPrefer:
		return "", n.changeMembership(o.Operator, "preferred zone "+o.Zone,
			func(r *Membership) error { return r.prefer(o.Zone) })
	case OpDrain:
		return "", n.changeMembership(o.Operator, "", func(r *Membership) error {
			return r.drain(o.Node, o.Zone, o.On)
		})
	case OpAlarm:
		n.alarm(engine.AlarmContradiction, o.Node, o.Note)
		return "", nil
	}
	return "", refuse("nobody knows the operation %q; are all nodes of the same build?", o.Name)
}

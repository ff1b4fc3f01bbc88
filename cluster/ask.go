package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"doorbuster/cluster/rpc"
	"doorbuster/engine"
)

// others gives the other members, by id; none on a lone node.
func (n *Node) others() (others []Member) {
	for _, m := range n.Membership().Members {
		if m.ID != n.cfg.NodeID {
			others = append(others, m)
		}
	}
	slices.SortFunc(others, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return others
}

// Others gives the ids of the other nodes, sorted; none on a lone node.
func (n *Node) Others() (ids []string) {
	for _, m := range n.others() {
		ids = append(ids, m.ID)
	}
	return ids
}

// NodeRefusals is what one node has of a shopper, or why it could not be asked.
type NodeRefusals struct {
	Node   string
	Report engine.RefusalReport
	Err    error
}

// refusalsPatience is how long a node has to say whom it refused: long for one
// that is well, short for who waits on the telephone.
const refusalsPatience = time.Second

// AskRefusals asks every other node that serves shoppers, all at once, why it
// refused a shopper (engine.ValidShopper), in one session or ("") in all. Each
// has a second. By node id.
func (n *Node) AskRefusals(ctx context.Context, shopper, session string) []NodeRefusals {
	others := slices.DeleteFunc(n.others(), func(m Member) bool { return m.Kind == KindWitness })
	told := make([]NodeRefusals, len(others))
	var asking sync.WaitGroup
	for i, m := range others {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, refusalsPatience)
			defer cancel()
			report, err := n.net.peers.Peer(m.Peer).Refusals(ctx, shopper, session)
			told[i] = NodeRefusals{m.ID, report, unanswered(err, refusalsPatience)}
		})
	}
	asking.Wait()
	return told
}

// SessionTold is what one node tells of a session, or why it could not be asked.
type SessionTold struct {
	Node string
	Told []byte
	Err  error
}

// AskAboutSession asks every other node that serves shoppers, all at once, what its doors have
// counted of a session, or for the report of it that it keeps. Each has a second. By node id.
func (n *Node) AskAboutSession(ctx context.Context, session string, kept bool) []SessionTold {
	others := slices.DeleteFunc(n.others(), func(m Member) bool { return m.Kind == KindWitness })
	told := make([]SessionTold, len(others))
	var asking sync.WaitGroup
	for i, m := range others {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, refusalsPatience)
			defer cancel()
			back, err := n.net.peers.Peer(m.Peer).AboutSession(ctx, session, kept)
			told[i] = SessionTold{m.ID, back, unanswered(err, refusalsPatience)}
		})
	}
	asking.Wait()
	return told
}

// errOlder is for people who look for a report.
var errOlder = errors.New("its build is older and gives reports to no other node; it still shows them itself")

// AskReports asks one of the others for the list of its reports, or for a piece of
// one; patience bounds the wait. The error says why in words.
func (n *Node) AskReports(ctx context.Context, node string, q engine.ReportsRequest,
	patience time.Duration) (engine.ReportsPage, error) {
	m := n.Membership().member(node)
	if m == nil || n.net == nil {
		return engine.ReportsPage{}, errors.New("no node of the cluster any more")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, err := n.net.peers.Peer(m.Peer).Reports(ctx, q)
	if errors.Is(err, rpc.ErrOlderBuild) {
		return p, errOlder
	}
	return p, unanswered(err, patience)
}

// unanswered says in words why a node that had so long did not answer well.
func unanswered(err error, patience time.Duration) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", patience)
	case err != nil:
		return plainly(err)
	}
	return nil
}

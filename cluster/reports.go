package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"doorbuster/cluster/rpc"
)

// Others gives the ids of the other nodes, sorted; none on a lone node.
func (n *Node) Others() (ids []string) {
	if n.net == nil {
		return nil
	}
	for _, m := range n.Roster().Members {
		if m.ID != n.cfg.NodeID {
			ids = append(ids, m.ID)
		}
	}
	slices.SortFunc(ids, strings.Compare)
	return ids
}

// errOlder is for people who look for a report.
var errOlder = errors.New("its build is older and gives reports to no other node; it still shows them itself")

// AskReports asks one of the others for the list of its reports, or for a piece of
// one; patience bounds the wait. The error says why in words.
func (n *Node) AskReports(ctx context.Context, node string, q rpc.ReportsRequest, patience time.Duration) (rpc.ReportsPage, error) {
	m := n.Roster().member(node)
	if m == nil || n.net == nil {
		return rpc.ReportsPage{}, errors.New("no node of the cluster any more")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, err := n.net.peers.Peer(m.Peer).Reports(ctx, q)
	switch {
	case errors.Is(err, rpc.ErrOlderBuild):
		err = errOlder
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer within %s", patience)
	case err != nil:
		err = plainly(err)
	}
	return p, err
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"doorbuster/engine"
)

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
	if n.net == nil {
		return nil
	}
	var others []Member
	for _, m := range n.Roster().Members {
		if m.ID != n.cfg.NodeID && m.Kind != KindWitness {
			others = append(others, m)
		}
	}
	slices.SortFunc(others, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	told := make([]NodeRefusals, len(others))
	var asking sync.WaitGroup
	for i, m := range others {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, refusalsPatience)
			defer cancel()
			report, err := n.net.peers.Peer(m.Peer).Refusals(ctx, shopper, session)
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				err = fmt.Errorf("no answer within %s", refusalsPatience)
			case err != nil:
				err = plainly(err)
			}
			told[i] = NodeRefusals{m.ID, report, err}
		})
	}
	asking.Wait()
	return told
}

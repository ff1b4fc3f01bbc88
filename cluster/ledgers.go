package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/cluster/ledger"
	"doorbuster/cluster/ledger/trail"
	"doorbuster/cluster/rpc"
	"doorbuster/engine"
)

// recordPatience is how long a snapshot waits for the trail before it is written. One
// that waits longer is put off: without it there would be a gap after a restart.
const recordPatience = 30 * time.Second

func (n *Node) ledgerConfig() ledger.Config {
	c := n.cfg.Ledger
	c.Dir, c.Logger, c.Owner = LedgerDir(n.cfg.Dir), n.logger, n.dir.version().Incarnation
	return c
}

func (n *Node) openLedger() (err error) {
	if n.ledger, err = ledger.Open(n.ledgerConfig()); err != nil {
		return err
	}
	n.fsm.observer = observers{n.fsm.observer, n.ledger}
	n.fsm.recorded = func(index engine.LogIndex) error {
		ctx, cancel := context.WithTimeout(context.Background(), recordPatience)
		defer cancel()
		go func() {
			select {
			case <-n.stop:
				cancel()
			case <-ctx.Done():
			}
		}()
		return n.ledger.AwaitTrail(ctx, index)
	}
	return nil
}

// boundLedger tells the ledger where the log ends: what it has was in there first.
func (n *Node) boundLedger(snapshots raft.SnapshotStore) error {
	last, err := n.store.LastIndex()
	if err != nil {
		return err
	}
	found, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("%s: %w", snapshotsDir, err)
	}
	if len(found) > 0 {
		last = max(last, found[0].Index)
	}
	n.ledger.Bound(engine.LogIndex(last))
	return nil
}

// startLedger has the ledger written; the state can be read.
func (n *Node) startLedger() {
	if n.alone() {
		n.ledger.Start(n, nil)
		return
	}
	n.ledger.Start(n, otherLedgers{n})
}

// Ledger gives the node's ledger.
func (n *Node) Ledger() *ledger.Ledger { return n.ledger }

// observers are told one after the other.
type observers []Observer

func (all observers) Applied(s *engine.State, e *engine.Effects) {
	for _, o := range all {
		o.Applied(s, e)
	}
}

func (all observers) Restored(s *engine.State) {
	for _, o := range all {
		o.Restored(s)
	}
}

// Recorded gives the index up to which the ledgers of all voters have everything on
// disk, as far as is known here, and the voters of which nothing is known now.
func (n *Node) Recorded() (index engine.LogIndex, unknown []string) {
	index = n.ledger.Index()
	for _, id := range n.voters.Load().others {
		p, heard := n.pulseOf(id)
		if !heard || time.Since(n.heardAt(id)) > reachableFor {
			unknown = append(unknown, id)
			continue
		}
		index = min(index, p.Ledger)
	}
	return index, unknown
}

// otherLedgers asks whichever node has what is asked for.
type otherLedgers struct{ n *Node }

var errNoLedger = errors.New("no other node that can be reached has it")

// copyTimeout bounds the wait for one page.
const copyTimeout = 10 * time.Second

// each asks the other nodes whose ledgers reach to least, or further, until one has
// answered well.
func (o otherLedgers) each(ctx context.Context, least engine.LogIndex,
	ask func(context.Context, *rpc.Peer) (done bool, err error)) error {
	err := errNoLedger
	for _, m := range o.n.Membership().Members {
		if p, heard := o.n.pulseOf(m.ID); m.ID == o.n.cfg.NodeID || !heard || p.Ledger < least {
			continue
		}
		patient, cancel := context.WithTimeout(ctx, copyTimeout)
		done, why := ask(patient, o.n.net.peers.Peer(m.Peer))
		cancel()
		if done {
			return nil
		}
		if why != nil {
			err = fmt.Errorf("node %s: %w", m.ID, plainly(why))
		}
	}
	return err
}

// Entries is trail.Peers': the page of whoever has the most.
func (o otherLedgers) Entries(ctx context.Context, after, upto engine.LogIndex,
	deeds bool) (best trail.Page, err error) {
	answered := false
	err = o.each(ctx, after+1, func(ctx context.Context, peer *rpc.Peer) (bool, error) {
		p, err := peer.Trail(ctx, after, upto, deeds)
		if err != nil {
			return false, err
		}
		if !answered || p.Upto-p.After > best.Upto-best.After {
			best, answered = p, true
		}
		return p.After == after && p.Upto > after, nil
	})
	if answered {
		return best, nil
	}
	return best, err
}

// SessionChunk is settled.Peers'.
func (o otherLedgers) SessionChunk(ctx context.Context, h engine.SessionHandle,
	offset int64) (chunk []byte, total int64, err error) {
	err = o.each(ctx, 0, func(ctx context.Context, peer *rpc.Peer) (done bool, err error) {
		chunk, total, err = peer.Orders(ctx, h, offset)
		return err == nil, err
	})
	return chunk, total, err
}

// Trail gives another node a page of this one's trail.
func (h handler) Trail(after, upto engine.LogIndex, deeds bool) (trail.Page, error) {
	return h.n.ledger.Page(after, upto, deeds)
}

// Orders gives another node a piece of a settled session's file.
func (h handler) Orders(x engine.SessionHandle, offset int64) ([]byte, int64, error) {
	return h.n.ledger.ReadChunk(x, offset)
}

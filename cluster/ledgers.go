package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/cluster/ledger"
	"doorbuster/cluster/rpc"
	"doorbuster/engine"
)

// recordPatience is how long a finished snapshot waits for the ledger. One that
// waits longer is put off: without it there would be a hole after a restart.
const recordPatience = 30 * time.Second

func (n *Node) ledgerConfig() ledger.Config {
	c := n.cfg.Ledger
	c.Dir, c.Logger, c.Archive, c.Owner = LedgerDir(n.cfg.Dir), n.logger, n.alone(), n.dir.version().Incarnation
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
		return n.ledger.Await(ctx, index)
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

// otherLedgers copies from whichever node has what is asked for.
type otherLedgers struct{ n *Node }

var errNoLedger = errors.New("no other node that can be reached has it")

func (o otherLedgers) Copy(ctx context.Context, least engine.LogIndex, r ledger.CopyRequest) (ledger.CopyPage, error) {
	err := errNoLedger
	for _, m := range o.n.Roster().Members {
		if m.ID == o.n.cfg.NodeID {
			continue
		}
		p, heard := o.n.pulseOf(m.ID)
		if !heard || p.Ledger < least {
			continue
		}
		page, why := o.n.copyFrom(ctx, m, r)
		if why == nil && page.Index < least {
			why = fmt.Errorf("node %s reaches to %d only", m.ID, page.Index)
		}
		if why == nil {
			return page, nil
		}
		err = fmt.Errorf("node %s: %w", m.ID, plainly(why))
	}
	return ledger.CopyPage{}, err
}

// copyTimeout bounds the wait for one page.
const copyTimeout = 10 * time.Second

func (n *Node) copyFrom(ctx context.Context, m Member, r ledger.CopyRequest) (p ledger.CopyPage, err error) {
	ctx, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	told, err := n.net.peers.Peer(m.Peer).Records(ctx, rpc.RecordsRequest{Session: r.Session, From: r.From, After: r.After})
	if err != nil {
		return p, err
	}
	p = ledger.CopyPage{Group: told.Group, Index: told.Index, First: told.First, More: told.More}
	for _, row := range told.Rows {
		p.Rows = append(p.Rows, ledger.CopyRow(row))
	}
	return p, nil
}

// Records gives another node a page of this one's ledger.
func (h handler) Records(r rpc.RecordsRequest) (rpc.RecordsPage, error) {
	p, err := h.n.ledger.Page(ledger.CopyRequest{Session: r.Session, From: r.From, After: r.After})
	if err != nil {
		return rpc.RecordsPage{}, err
	}
	told := rpc.RecordsPage{Group: p.Group, Index: p.Index, First: p.First, More: p.More, Rows: make([]rpc.Record, len(p.Rows))}
	for i, row := range p.Rows {
		told.Rows[i] = rpc.Record(row)
	}
	return told, nil
}

// Package bare is what the shop's decisions stand on, and nothing above that: Raft, the
// log, and batches of the same commands, with a state machine that only counts them.
package bare

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"doorbuster/cluster"
	"doorbuster/engine"
	"doorbuster/wal"
)

// Config says which node this is.
type Config struct {
	// Dir is where the log goes, and made if missing. Votes are not kept.
	Dir string
	// Peers are the addresses of all nodes; none: it is alone. At is this node's place
	// among them; the first leads.
	Peers []string
	At    int
}

// The most that one entry takes, as in package actors.
const (
	batchCommands = 8192
	batchBytes    = engine.MaxEntryBytes - 4096
	headerBytes   = 4 // how many commands follow
)

const (
	electsWithin = 500 * time.Millisecond // the first; the others leave it that
	patience     = 30 * time.Second
)

// Node is one node.
type Node struct {
	raft    *raft.Raft
	log     *wal.Log
	hop     io.Closer // nil alone
	leads   bool
	counted counter

	wake    chan struct{}
	stop    chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex
	taken sync.Cond // signalled when the gathering was taken
	next  gathering
	spare []chan error // of one that was applied, emptied, to be used again
	hold  engine.Command
}

// gathering is what will be the next entry.
type gathering struct {
	entry   []byte
	waiting []chan error
}

// Open starts a node; the first is ready when the others are there.
func Open(cfg Config) (_ *Node, err error) {
	n := &Node{wake: make(chan struct{}, 1), stop: make(chan struct{}), leads: cfg.At == 0}
	n.taken.L = &n.mu
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	w := wal.DefaultConfig(cfg.Dir)
	if len(cfg.Peers) == 0 {
		w.TailCacheBytes = 1 << 20 // nobody asks for what is behind the newest entries
	}
	if n.log, err = wal.Open(w); err != nil {
		return nil, err
	}
	// As the shop's nodes have it: see cluster.Node.
	c := raft.DefaultConfig()
	c.CommitTimeout = 5 * time.Millisecond
	c.MaxAppendEntries = 32
	c.SnapshotThreshold, c.SnapshotInterval = 1<<62, 24*time.Hour
	c.Logger = hclog.NewNullLogger()
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = electsWithin, electsWithin, electsWithin/2
	if !n.leads {
		c.HeartbeatTimeout, c.ElectionTimeout = patience, patience
	}
	hop, members, err := n.network(cfg, c.Logger)
	if err != nil {
		return nil, err
	}
	c.LocalID = raft.ServerID(hop.LocalAddr())
	store, stable, snapshots := cluster.NewLogStore(n.log), raft.NewInmemStore(), raft.NewDiscardSnapshotStore()
	if err = raft.BootstrapCluster(c, store, stable, snapshots, hop, members); err != nil {
		return nil, err
	}
	if n.raft, err = raft.NewRaft(c, &n.counted, store, stable, snapshots, hop); err != nil {
		return nil, err
	}
	if n.leads {
		n.running.Go(n.propose)
	}
	return n, nil
}

// network joins the nodes as the shop's are, less certificates.
func (n *Node) network(cfg Config, logger hclog.Logger) (hop raft.Transport, all raft.Configuration, err error) {
	peers := cfg.Peers
	if len(peers) == 0 {
		_, hop = raft.NewInmemTransport("alone")
		peers = []string{string(hop.LocalAddr())}
	} else {
		ln, err := net.Listen("tcp", peers[cfg.At])
		if err != nil {
			return nil, all, err
		}
		t := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: stream{ln}, MaxPool: 3,
			Timeout: 2 * time.Second, MaxRPCsInFlight: 1, Logger: logger})
		n.hop, hop = t, t
	}
	for _, addr := range peers {
		all.Servers = append(all.Servers, raft.Server{ID: raft.ServerID(addr), Address: raft.ServerAddress(addr)})
	}
	return hop, all, nil
}

// stream is TCP, for Raft's transport.
type stream struct{ net.Listener }

func (stream) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", string(addr), timeout)
}

// AwaitReady waits until the first node leads.
func (n *Node) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for n.raft.State() != raft.Leader {
		select {
		case <-ctx.Done():
			return fmt.Errorf("no leader: %w", ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	return n.raft.Barrier(patience).Error()
}

// Counted is how many commands this node has applied.
func (n *Node) Counted() int64 { return n.counted.commands.Load() }

// Grab waits until a grab's command is applied, which is all that becomes of it.
func (n *Node) Grab(_ context.Context, _, _, shopper, key string, quantity int) (code string, err error) {
	done := waits.Get().(chan error)
	defer waits.Put(done)
	n.gather(shopper, key, quantity, done)
	if err := <-done; err != nil {
		return "", err
	}
	return engine.CodeGranted.String(), nil
}

var waits = sync.Pool{New: func() any { return make(chan error, 1) }}

// gather adds a command to the next entry, once there is room.
func (n *Node) gather(shopper, key string, quantity int, done chan error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.next.waiting) == batchCommands || len(n.next.entry) >= batchBytes {
		n.taken.Wait()
	}
	c := &n.hold
	c.Kind, c.Listing, c.Quantity = engine.CmdPlaceHold, 1, uint32(quantity)
	c.Shopper = append(c.Shopper[:0], shopper...)
	copy(c.Key[:], key)
	if len(n.next.waiting) == 0 {
		n.next.entry = append(n.next.entry, make([]byte, headerBytes)...)
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
	n.next.entry = engine.AppendCommand(n.next.entry, c)
	n.next.waiting = append(n.next.waiting, done)
}

// propose makes one entry after another of all that has gathered meanwhile.
func (n *Node) propose() {
	for {
		select {
		case <-n.wake:
		case <-n.stop:
			return
		}
		n.mu.Lock()
		g := n.next
		// The entry's bytes are the log's from now on.
		n.next = gathering{entry: make([]byte, 0, len(g.entry))}
		n.next.waiting, n.spare = n.spare, nil
		n.taken.Broadcast()
		n.mu.Unlock()
		binary.LittleEndian.PutUint32(g.entry, uint32(len(g.waiting)))
		err := n.raft.Apply(g.entry, patience).Error()
		for _, done := range g.waiting {
			done <- err
		}
		n.mu.Lock()
		n.spare = g.waiting[:0]
		n.mu.Unlock()
	}
}

// Close stops the node. Nobody may grab any more.
func (n *Node) Close() error {
	close(n.stop)
	n.running.Wait()
	var errs []error
	if n.raft != nil {
		errs = append(errs, n.raft.Shutdown().Error())
	}
	if n.hop != nil {
		errs = append(errs, n.hop.Close())
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	return errors.Join(errs...)
}

// counter is the state machine.
type counter struct{ commands atomic.Int64 }

func (c *counter) Apply(entry *raft.Log) any {
	c.commands.Add(int64(binary.LittleEndian.Uint32(entry.Data)))
	return nil
}

func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("it keeps no state") }
func (c *counter) Restore(io.ReadCloser) error         { return errors.New("it keeps no state") }

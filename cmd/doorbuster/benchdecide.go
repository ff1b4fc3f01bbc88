package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/bench/bare"
	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
)

func newBenchDecideCommand() *cobra.Command {
	cfg := bench.DefaultDecideConfig()
	var dataDir, profile string
	withBare := false
	c := workload(&cobra.Command{
		Use:   "decide",
		Short: "Measure durable decisions a second, without HTTP",
		Long: `Measure durable decisions a second in process, without HTTP: callers who each wait
for one yes after another. With --nodes 3 the process leads a cluster whose other
nodes are processes of this program, in zones a and b of this machine.

With --bare, beside it in the same rounds: the same Raft, log and batches on as many
nodes, with a state machine that only counts the grabs. The ratio says what deciding
costs.`,
	}, cfg.Settings(), func(c *cobra.Command, tell teller) error {
		return inScratch(dataDir, "bench", func(dir string) (err error) {
			useProcessors()
			cfg.Listings = []bench.Listing{{Session: "bench", SKU: "unit", Weight: 1}}
			cfg.DataDir, cfg.Progress = dir, c.ErrOrStderr()
			if cfg.Nodes != 1 && cfg.Nodes < 3 {
				return cli.Usage(fmt.Errorf("--nodes %d: want 1, or 3 to 7", cfg.Nodes))
			}
			cfg.Submit = submitter{} // to be checked with the rest, before anything starts
			if err := cfg.Validate(); err != nil {
				return cli.Usage(err)
			}
			n, stop, err := openLeader(c.Context(), filepath.Join(dir, "shop"), cfg.Nodes, c.ErrOrStderr(),
				[]byte(rushPlan(cfg.Listings, engine.MaxStock, time.Hour, 1)))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, stop()) }()
			cfg.Submit = submitter{n}
			if withBare {
				b, stop, err := startBare(c.Context(), filepath.Join(dir, "bare"), cfg.Nodes)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, stop()) }()
				cfg.Bare = b
			}
			endProfile, err := startProfile(profile)
			if err != nil {
				return err
			}
			defer endProfile()
			report, err := bench.Decide(c.Context(), cfg)
			if err != nil {
				return err
			}
			if !n.cluster.Leads() {
				return errors.New("another node leads by now: the figures mean nothing")
			}
			fmt.Fprintln(c.OutOrStdout(), "heap per order, bytes:", heapPerOrder(n))
			return tell(report, notMeasured)
		}, neverKept)
	})
	c.Flags().BoolVar(&withBare, "bare", false, "measure the bare log beside it")
	c.Flags().StringVar(&profile, "cpu-profile", "", "write a CPU profile to `FILE`")
	c.Flags().StringVar(&dataDir, "data-dir", "",
		"`folder` on the disk to measure (default: the system's temporary one)")
	return c
}

// openLeader runs a node of this process with a plan applied; with more than one node,
// it leads a cluster of them, whose others are processes of this program.
func openLeader(ctx context.Context, dir string, nodes int, log io.Writer, plan []byte) (n *node, stop func() error,
	err error) {
	if nodes == 1 {
		n, err := openTemporary(ctx, dir, log, plan)
		return n, func() error { return n.close(context.Background()) }, err
	}
	f := newTrioFleet(nodes)
	if err := f.prepare(dir); err != nil {
		return nil, nil, err
	}
	own := f.victims[0]
	cfg, err := fileConfig(own.config, own.data, own.http, own.admin, true)
	if err != nil {
		return nil, nil, err
	}
	var others []bench.HTTPServer
	stop = func() error {
		err := n.close(context.Background()) // first: it is the one who waits for others
		for _, s := range others {
			err = errors.Join(err, s.Close())
		}
		return err
	}
	if n, err = openNode(cfg, cfg.newLogger(log)); err != nil {
		return nil, nil, err
	}
	if others, err = f.serve(1, ""); err == nil { // they are ready once this node is
		err = n.takePlan(ctx, nil)
	}
	if err == nil {
		err = n.takeLead(ctx)
	}
	if err == nil {
		err = n.takePlan(ctx, plan)
	}
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return n, stop, nil
}

// takeLead has this node lead its cluster.
func (n *node) takeLead(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for !n.cluster.Leads() {
		// Refused until this node has caught up.
		_, err = n.cluster.Operate(ctx, cluster.Operation{Name: cluster.OpTransfer, Operator: "bench",
			Node: n.cfg.Node})
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %s does not come to lead: %w", n.cfg.Node, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// startBare runs the first bare node in this process, and the others as processes.
func startBare(ctx context.Context, dir string, nodes int) (n *bare.Node, stop func() error, err error) {
	cfg := bare.Config{Dir: filepath.Join(dir, "0")}
	var others []bench.HTTPServer
	stop = func() error {
		var errs []error
		for _, s := range others {
			errs = append(errs, s.Close())
		}
		if n != nil {
			errs = append(errs, n.Close())
		}
		return errors.Join(errs...)
	}
	if nodes > 1 {
		if cfg.Peers, err = quietAddrs(nodes); err != nil {
			return nil, nil, err
		}
		for i := 1; i < nodes; i++ {
			s, err := startChild(bench.Listing{}, "bench", "hello", "--bare", strings.Join(cfg.Peers, ","), "--at",
				strconv.Itoa(i), "--data", filepath.Join(dir, strconv.Itoa(i)))
			if err != nil {
				return nil, nil, errors.Join(err, stop())
			}
			others = append(others, s)
		}
	}
	if n, err = bare.Open(cfg); err == nil {
		err = n.AwaitReady(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return n, stop, nil
}

// serveBare runs a bare node that follows, until ended.
func serveBare(out io.Writer, cfg bare.Config, ended <-chan struct{}) error {
	n, err := bare.Open(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, cfg.Peers[cfg.At])
	<-ended
	return n.Close()
}

// heapPerOrder is the live heap of the process by the orders in it.
func heapPerOrder(n *node) int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	orders := 0
	n.cluster.View(func(s *engine.State) {
		for _, x := range s.Sessions() {
			orders += x.Orders()
		}
	})
	return int64(m.HeapAlloc) / int64(max(orders, 1))
}

// submitter lets bench decide without HTTP.
type submitter struct{ node *node }

func (s submitter) Grab(_ context.Context, session, sku, shopper, key string, quantity int) (string, error) {
	a := s.node.office.Grab(&engine.Grab{Listing: []byte(session + "/skus/" + sku), Shopper: []byte(shopper),
		IdempotencyKey: []byte(key), Quantity: uint32(quantity)})
	if a.Code == engine.CodeProcessing {
		return "", errors.New("processing until " + strconv.FormatInt(int64(a.Deadline), 10))
	}
	return a.Code.String(), nil
}

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
)

func newBenchGrowthCommand() *cobra.Command {
	cfg := bench.DefaultGrowthConfig()
	var dataDir, profile string
	c := workload(&cobra.Command{
		Use:   "growth",
		Short: "Measure what becomes of speed and memory as a shop grows",
		Long: `Measure, on nodes in this process and without HTTP: granted grabs with many listings
against one, and with many live holds against few; the heap of a live hold; how long
a node takes to come back to many of them, from a snapshot and the log's end, as a
process of its own; and the second half of a long load at full speed against the
first. Each figure stands beside what it must be. Exit status 1 if the answers were
not what was measured, not if a figure falls short.`,
	}, cfg.Settings(), func(c *cobra.Command, tell teller) error {
		return inScratch(dataDir, "growth", func(dir string) error {
			useProcessors()
			cfg.DataDir, cfg.Progress = dir, c.ErrOrStderr()
			cfg.Open = func(ctx context.Context, dir string, listings []bench.Listing) (bench.GrowthShop, error) {
				return openGrowthShop(ctx, dir, listings, c.ErrOrStderr())
			}
			cfg.Restart = func(dir string) (time.Duration, error) {
				began := time.Now()
				s, err := startChild(bench.Listing{}, "bench", "hello", "--node", "--data", dir)
				took := time.Since(began)
				if err != nil {
					return 0, err
				}
				return took, s.Close()
			}
			if err := cfg.Validate(); err != nil {
				return cli.Usage(err)
			}
			stop, err := startProfile(profile)
			if err != nil {
				return err
			}
			defer stop()
			report, err := bench.Growth(c.Context(), cfg)
			if err != nil {
				return err
			}
			return tell(report, notMeasured)
		}, neverKept)
	})
	c.Flags().StringVar(&profile, "cpu-profile", "", "write a CPU profile to `FILE`")
	c.Flags().StringVar(&dataDir, "data-dir", "",
		"`folder` on the disk to measure (default: the system's temporary one)")
	return c
}

// openGrowthShop opens a node of this process with listings, which come in sessions that
// a plan each has room for.
func openGrowthShop(ctx context.Context, dir string, listings []bench.Listing, log io.Writer) (s bench.GrowthShop,
	err error) {
	n, err := openTemporary(ctx, dir, log, nil)
	if err != nil {
		return s, err
	}
	s = bench.GrowthShop{Submit: submitter{n}, Snapshot: n.cluster.Snapshot, Rest: n.rest,
		Close: func() error { return n.close(context.Background()) }}
	for begin := 0; begin < len(listings) && err == nil; {
		end := begin + 1
		for end < len(listings) && listings[end].Session == listings[begin].Session {
			end++
		}
		err = n.takePlan(ctx, []byte(rushPlan(listings[begin:end], engine.MaxStock, time.Hour, 1)))
		begin = end
	}
	if err != nil {
		return s, fmt.Errorf("%w, and closed: %v", err, s.Close())
	}
	return s, nil
}

// rest waits until the ledger has all that was applied.
func (n *node) rest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		recorded, _ := n.cluster.Recorded()
		applied := n.cluster.Status().AppliedIndex
		if recorded >= applied {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the ledger is at log index %d of %d: %w", recorded, applied, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

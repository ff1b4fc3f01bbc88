package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
)

func newBenchFanDayCommand() *cobra.Command {
	return newSaleCommand(bench.KindFanDay, &cobra.Command{
		Short: "A minute of 10,000 shoppers a second on three nodes: how long they wait",
		Long: `Send shoppers at three nodes that share this machine, 10,000 a second in the open
loop for a minute: for four listings, whose units two of a hundred get, with second
clicks, payments, cancellations and shoppers who come back. The like of that crowd meets a bare fasthttp handler before and
after it. What counts is how long 99 and 999 of 1,000 grabs waited, from when they were
due, and that everybody was answered, and exactly; see 'bench rush' for the verdict.
Exit status 1 if that is bad, not if a figure falls short.`,
	})
}

func newBenchMaskCommand() *cobra.Command {
	return newSaleCommand(bench.KindMask, &cobra.Command{
		Short: "3,000,000 shoppers for 50,000 units of one listing: as fast as a bare handler",
		Long: `Send three million shoppers for 50,000 units of one listing, each with one grab, as
fast as their connections carry them, and the like of that crowd at a bare fasthttp
handler before and after it. One thread sends them all: the generator takes its share
of the same cores. What counts is how many are served a second, of what the bare handler
serves, and that everybody was answered, and exactly; see 'bench rush' for the verdict.
Exit status 1 if that is bad, not if a figure falls short.`,
	})
}

// newSaleCommand completes the command of a kind of sale.
func newSaleCommand(kind string, c *cobra.Command) *cobra.Command {
	cfg := bench.DefaultSaleConfig(kind)
	var dataDir, profile string
	c.Use = kind
	c = workload(c, cfg.Settings(), func(c *cobra.Command, tell teller) error {
		return inScratch(dataDir, kind, func(dir string) error {
			cfg.DataDir, cfg.Progress = dir, c.ErrOrStderr()
			cfg.StartHello = func() (bench.HTTPServer, error) { return startKind(dir, bench.KindHello, "") }
			cfg.StartShop = func(ctx context.Context) (s bench.Shop, err error) {
				trio := &benchTrio{dir: dir, profile: profile}
				plan := rushPlan(cfg.Rush.Listings, cfg.Units, 15*time.Minute, cfg.Rush.LimitPerSession)
				if err := trio.start(ctx, cfg.Nodes, plan); err != nil {
					return s, errors.Join(err, trio.stop())
				}
				s.Addrs, s.Admin = trio.fleet.addrs()
				s.Close = trio.stop
				return s, nil
			}
			if err := cfg.Validate(); err != nil {
				return cli.Usage(err)
			}
			report, err := bench.Sale(c.Context(), cfg)
			if err != nil {
				return err
			}
			return tell(report, "the verdict is bad, or the bare handler's answers were not its own: see above")
		}, neverKept)
	})
	c.Flags().StringVar(&profile, "cpu-profile", "", "write the nodes' CPU profiles to `FILE`.NODE")
	c.Flags().StringVar(&dataDir, "data-dir", "",
		"`folder` on the disk to measure (default: the system's temporary one)")
	return c
}

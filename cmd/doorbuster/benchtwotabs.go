package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/cmd/doorbuster/operate"
)

func newTwoTabsCommand() *cobra.Command {
	cfg := bench.DefaultTwoTabsConfig()
	nodes := 3
	c := workload(&cobra.Command{
		Use:   "twotabs",
		Short: "Everybody asks for two listings at once through two nodes; each may have one unit",
		Long: `Run a cluster of this program's nodes as child processes and send everybody for
both listings of a session at the same instant, one grab through one node and one
through another, with a limit of one unit across the session. Every unit must go
to a shopper of its own: a unit that a refused second grab frees goes to one who
waits. Exit status 1 if one is sold twice to the same shopper, or is left.`,
	}, cfg.Settings(), func(c *cobra.Command, tell teller) error {
		if nodes < 3 || nodes > 7 {
			return cli.Usage(fmt.Errorf("--nodes %d: want 3 to 7", nodes))
		}
		cfg.Progress = c.ErrOrStderr()
		if err := cfg.Validate(); err != nil {
			return cli.Usage(err)
		}
		return inScratch("", "twotabs", func(dir string) (err error) {
			f := fleet{zoneAck: "prefer", snapshotBytes: 256 << 20}
			f.ids, f.zones = twoRooms(nodes)
			if err := f.prepare(filepath.Join(dir, "nodes")); err != nil {
				return err
			}
			stop, err := f.startAll(c.Context())
			defer func() { err = errors.Join(err, stop()) }()
			if err != nil {
				return fmt.Errorf("%w\nthe nodes' last words:\n%s", err, f.lastWords())
			}
			cfg.Addrs, cfg.Admin = f.addrs()
			cfg.ApplyPlan = func(ctx context.Context, listings []bench.Listing, stock int64) error {
				return operate.ApplyPlan(ctx, f.victims[0].admin, []byte(rushPlan(listings, stock, 15*time.Minute, 1)))
			}
			report, err := bench.TwoTabs(c.Context(), cfg)
			if err != nil {
				return fmt.Errorf("%w\nthe nodes' last words:\n%s", err, f.lastWords())
			}
			return tell(report, "not every unit went to a shopper of its own: see above")
		}, neverKept)
	})
	c.Flags().IntVar(&nodes, "nodes", nodes, "how many nodes, 3 to 7")
	return c
}

// startAll starts all nodes and waits until they serve. stop is to be called
// after an error, too.
func (f *fleet) startAll(ctx context.Context) (stop func() error, err error) {
	var stops []func() error
	stop = func() error {
		var errs []error
		for _, stop := range stops {
			errs = append(errs, stop())
		}
		return errors.Join(errs...)
	}
	for n := range f.victims {
		node, err := f.start(ctx, n)
		if err != nil {
			return stop, err
		}
		stops = append(stops, node.Stop)
	}
	for _, v := range f.victims {
		if err := v.awaitReady(ctx); err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// addrs gives where shoppers find the nodes, and operators, the latter separated
// by commas.
func (f *fleet) addrs() (http []string, admin string) {
	var admins []string
	for _, v := range f.victims {
		http, admins = append(http, v.http), append(admins, v.admin)
	}
	return http, strings.Join(admins, ",")
}

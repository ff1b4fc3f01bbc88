package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
)

func newBenchOverloadCommand() *cobra.Command {
	cfg := bench.DefaultOverloadConfig()
	var dataDir, profile string
	c := workload(&cobra.Command{
		Use:   "overload",
		Short: "Send a node ten times what it can take, and see it come back",
		Long: `Find what a node can grant a second over some hundred connections that wait for
their answers; then send half of that, ten times that, and half of it again, in the
open loop: shoppers come when they are due, over many more connections, and who finds
none of them free is turned away. What counts is what is granted in time, that nothing
of the node's process grows without bound, and how soon half the peak is served as
before. The node has all cores but the last, the load has that one.`,
	}, cfg.Settings(), func(c *cobra.Command, tell teller) error {
		return inScratch(dataDir, "overload", func(dir string) error {
			cfg.DataDir, cfg.Progress = dir, c.ErrOrStderr()
			cfg.StartServer = func(context.Context) (bench.HTTPServer, string, error) {
				return startOverloaded(dir, profile)
			}
			if err := cfg.Validate(); err != nil {
				return cli.Usage(err)
			}
			report, err := bench.Overload(c.Context(), cfg)
			if err != nil {
				return err
			}
			return tell(report, notMeasured)
		}, neverKept)
	})
	c.Flags().StringVar(&profile, "cpu-profile", "", "write the node's CPU profile to `FILE`")
	c.Flags().StringVar(&dataDir, "data-dir", "",
		"`folder` on the disk to measure (default: the system's temporary one)")
	return c
}

// startOverloaded runs this program as a node whose operators' address is known.
func startOverloaded(dir, profile string) (s bench.HTTPServer, admin string, err error) {
	addrs, err := quietAddrs(2)
	if err != nil {
		return s, "", err
	}
	config, plan := filepath.Join(dir, "node.yaml"), filepath.Join(dir, "plan.yaml")
	text := []byte(rushPlan([]bench.Listing{trioGranted}, engine.MaxStock, time.Hour, 1))
	if err := errors.Join(os.WriteFile(config, nil, 0o600), os.WriteFile(plan, text, 0o600)); err != nil {
		return s, "", err
	}
	args := []string{"bench", "hello", "--node", "--config", config, "--data", filepath.Join(dir, "data"), "--http",
		addrs[0], "--admin", addrs[1], "--plan", plan}
	if profile != "" {
		args = append(args, "--cpu-profile", profile)
	}
	s, err = startChild(trioGranted, args...)
	return s, addrs[1], err
}

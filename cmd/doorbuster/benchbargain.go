package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/cmd/doorbuster/operate"
)

func newBenchBargainCommand() *cobra.Command {
	cfg := bench.DefaultBargainConfig()
	nodes := 3
	var dataDir string
	c := workload(&cobra.Command{
		Use:   "bargain",
		Short: "Bargains, their friends and their buyers on nodes whose leader is killed, and a verdict",
		Long: `Run this program's nodes as child processes. Shoppers start bargains on two listings,
friends cut them, once, twice and at once, for themselves, too late and by forged codes,
and shoppers buy: at the floor, early, or never. The leader is killed (SIGKILL) while they
are at it, and started again. In the end the session is ended, so that its seeds are
told, and every answer is held against the record: each price is the start less its
cuts, each cut is drawn again, each order is of the price reached, all nodes have the
same state. The numbers of friends are held against the distribution of the rule. Exit
status 1 if that verdict is bad, not if a figure falls short.

With --idle, that many bargains are started before; random ones of them are cut at
--idle-rate for --idle-for, and a node is started again with them.`,
		Example: `  doorbuster bench bargain --bargains 10000 --helps 200000 --kills 2
  doorbuster bench bargain --bargains 100 --helps 2000 --kills 0 --nodes 1 --idle 1000000`,
	}, cfg.Settings(), func(c *cobra.Command, tell teller) error {
		cfg.Progress = c.ErrOrStderr()
		f := fleet{zoneAck: "prefer", snapshotBytes: 256 << 20}
		f.ids, f.zones = twoRooms(nodes)
		cfg.Nodes, cfg.StartNode, cfg.ApplyPlan = f.ids, f.start, operate.ApplyPlan
		if err := cfg.Validate(); err != nil {
			return cli.Usage(err)
		}
		at := ""
		return inScratch(dataDir, "bargain", func(dir string) error {
			at = dir
			if err := f.prepare(filepath.Join(dir, "nodes")); err != nil {
				return err
			}
			report, err := bench.Bargain(c.Context(), cfg)
			if err != nil {
				return fmt.Errorf("%w\nthe nodes' last words:\n%s", err, f.lastWords())
			}
			return tell(report, "the verdict is bad: see the checks above; the nodes' directories and logs are in "+dir)
		}, func(err error) bool { return kept(c, err != nil, at) })
	})
	c.Flags().IntVar(&nodes, "nodes", nodes, "how many nodes, 1 to 7")
	c.Flags().StringVar(&dataDir, "data-dir", "",
		"`folder` on the disk to use (default: the system's temporary one)")
	return c
}

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/cmd/doorbuster/operate"
)

func newRestoreCommand() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use:   "restore",
		Short: "Begin a node's new data directory with a backup",
		Long: `Make the data directory of a node that is to begin with the state of a backup
(see 'doorbuster backup'). The node must be stopped, and its directory
new. A new cluster is restored on each of the nodes in its cluster.nodes, from
the same file, before any of them is started; then they are started as ever.

The backup may be of another cluster, or of a node that was alone. Orders,
stock and limits are as they were at its log index, settled orders and the trail
of events among them; what was told after that is not in it. All of the file is
checked before anything is written. One of the state only is
restored without settled orders.`,
		Example: `  doorbuster restore --from shop.backup --config a1.yaml
  doorbuster restore --from shop.backup --dev --data /tmp/shop`,
		Args: cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if from == "" {
				return cli.Usage(fmt.Errorf("say which backup with --from FILE"))
			}
			cfg, err := loadConfig(c.Flags())
			if err != nil {
				return err
			}
			cc := cluster.DefaultConfig(cfg.Data)
			cfg.clusterInto(&cc)
			cc.Logger = cfg.newLogger(c.ErrOrStderr())
			info, err := cluster.Restore(cc, from)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "restored %s for node %s: state of cluster %q at log index %d, taken %s, "+
				"%s\nhash %s\n%s\n",
				cfg.Data, cfg.Node, info.Cluster, info.LogIndex, info.Taken.Format("2006-01-02 15:04:05 MST"),
				operate.LedgerText(info), info.Hash, info.Horizon)
			return nil
		},
	}
	addConfigFlags(c.Flags())
	c.Flags().StringVar(&from, "from", "", "the backup `file` (required)")
	return c
}

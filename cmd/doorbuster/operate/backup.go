package operate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
)

func newBackupCommand() *cobra.Command {
	var o nodeOptions
	var file string
	var stateOnly bool
	c := o.command(&cobra.Command{
		Use:   "backup --out FILE --admin ADDR",
		Short: "Save the whole shop at one log index, while selling",
		Long: `Save the whole shop at one log index into a file that only you may read, while
the cluster sells on: the state, the orders of settled sessions, and the trail of
events as far as it is kept. FILE is there only once it has been checked and is on
disk; until then it is FILE.part. It holds shoppers' names and addresses: keep it
as safe as the nodes' own disks. --timeout is how long the node may be silent.

A node whose ledger is behind or lacks orders refuses: try again in a while, or
ask another node. --state-only saves the state alone, without
settled orders. Reports of reconciliations are not in a backup.`,
		Example: `  doorbuster cluster backup --out shop-20260920.backup --admin 127.0.0.1:8081`,
	}, func() error {
		if file == "" {
			return errors.New("no file: say where the backup goes with --out FILE")
		}
		return nil
	}, func(c *cobra.Command) error {
		size, info, err := o.saveBackup(c, file, stateOnly)
		if err != nil {
			return fmt.Errorf("backup to %s: %w", file, err)
		}
		if o.output == "json" {
			saved := map[string]any{"file": file, "bytes": size, "log_index": info.LogIndex,
				"ledger": info.Ledger != nil}
			if p := info.Ledger; p != nil {
				saved["settled_orders"], saved["trail_gaps"] = p.Orders(), p.Gaps
			}
			return cli.PrintJSON(c.OutOrStdout(), saved)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s, log index %d, %s\n", file, cli.BinaryBytes(size), info.LogIndex,
			LedgerText(info))
		return err
	})
	c.Flags().StringVar(&file, "out", "", "the `file` to write; it must not exist yet")
	c.Flags().BoolVar(&stateOnly, "state-only", false, "without settled orders and the trail")
	return c
}

// LedgerText says what a backup has of the ledger.
func LedgerText(info cluster.BackupInfo) string {
	if info.Ledger == nil {
		return "without settled orders"
	}
	text := fmt.Sprintf("with settled orders (%d) and the trail", info.Ledger.Orders())
	if gaps := info.Ledger.Gaps; gaps > 0 {
		text += ", which has " + engine.Counted(int64(gaps), "gap")
	}
	return text
}

// saveBackup writes a backup from the node to file, or leaves nothing behind.
func (o *nodeOptions) saveBackup(c *cobra.Command, file string, stateOnly bool) (size int64, info cluster.BackupInfo,
	err error) {
	if _, err := os.Lstat(file); err == nil {
		return 0, info, errors.New("the file is there already; name another, or move it away")
	} else if !errors.Is(err, os.ErrNotExist) {
		return 0, info, err
	}
	node, err := o.asks()
	if err != nil {
		return 0, info, err
	}
	// The file before the request: a node should not do in vain what has no place.
	part := file + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return 0, info, fmt.Errorf("%s is there: another backup is being written, or one broke off and it can be "+
			"deleted", part)
	}
	if err != nil {
		return 0, info, err
	}
	whole := false
	defer func() {
		if !whole {
			f.Close()
			err = errors.Join(err, os.Remove(part))
		}
	}()
	stderr := c.ErrOrStderr()
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(stderr), progressbar.OptionShowBytes(true),
		progressbar.OptionSetVisibility(cli.IsTerminal(stderr)), progressbar.OptionClearOnFinish())
	size, err = node.Backup(c.Context(), io.MultiWriter(f, bar), stateOnly)
	_ = bar.Finish() // progress is a courtesy: it may fail
	switch {
	case err != nil:
		return 0, info, err
	case size == 0:
		return 0, info, fmt.Errorf("%s sent nothing", o.admin)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return 0, info, err
	}
	if info, err = cluster.CheckBackup(part); err != nil {
		return 0, info, fmt.Errorf("what %s sent: %w", o.admin, err)
	}
	if err := os.Rename(part, file); err != nil {
		return 0, info, err
	}
	whole = true
	return size, info, syncFolder(filepath.Dir(file))
}

// syncFolder makes a rename in dir last.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

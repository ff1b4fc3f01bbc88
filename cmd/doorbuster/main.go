// Command doorbuster runs a node that sells a fixed number of units to a crowd,
// exactly, and the tools around it: plans, load, logs, tokens.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/cmd/doorbuster/operate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for the process: 0 only on success, 2 for wrong
// usage, 1 for everything else that has no status of its own. Diagnostics go to stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage cli.UsageError
	status, exit := 1, cli.ExitError{}
	if errors.As(err, &exit) {
		status = exit.Status
	}
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "doorbuster: %v\nTry '%s --help'.\n", err, commandPath(root, args))
		return 2
	case errors.Is(err, cli.ErrQuiet):
		return 1
	}
	fmt.Fprintf(stderr, "doorbuster: %v\n", err)
	return status
}

func commandPath(root *cobra.Command, args []string) string {
	if found, _, err := root.Find(args); err == nil {
		return found.CommandPath()
	}
	return root.CommandPath()
}

func newRootCommand() *cobra.Command {
	root := cli.Group(&cobra.Command{
		Use:   "doorbuster",
		Short: "Sell a fixed number of units to a crowd, exactly",
		Long: `Doorbuster runs flash sales: each listing's stock is kept in memory by an actor,
every yes is on disk before the shopper hears it, and a no costs next to nothing.

Try it:
  doorbuster serve --dev --data /tmp/shop &
  doorbuster wait 127.0.0.1:8081
  doorbuster apply -f examples/fans-day.yaml --admin 127.0.0.1:8081
  curl -X POST -H 'X-Shopper-Id: alice' \
    http://127.0.0.1:8080/v1/sessions/fans-day-10/skus/mask-50/grab`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}, append(operate.Commands(newCertsCommand(), newRestoreCommand()), newServeCommand(), newBenchCommand(),
		newWALCommand(), newTokenCommand(), newCashierCommand(), newRestoreCommand(), newVersionCommand(),
		newPersonalKeysCommand())...)
	root.SetFlagErrorFunc(cli.BadFlag)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return cli.NoTimeBelowZero(c.Flags()) }
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpCommand(newHelpCommand(root))
	return root
}

// newHelpCommand replaces cobra's, to which an unknown topic is no error.
func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return cli.Usage(fmt.Errorf("there is no command %q", strings.Join(args, " ")))
			}
			return found.Help()
		},
	}
}

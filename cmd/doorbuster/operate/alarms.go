package operate

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newAlarmsCommand() *cobra.Command {
	var o nodeOptions
	return o.command(&cobra.Command{
		Use:   "alarms --admin ADDR",
		Short: "Show what needs seeing to, on all nodes",
		Long: `Show what needs seeing to, since when, and what to do: nodes, ledgers, listings, the
cashier and refunds, statements, doors, keys, logs and disks, of the node that is asked
and of all that it hears.`,
		Example: `  doorbuster alarms --admin 127.0.0.1:8081
  doorbuster alarms --admin 127.0.0.1:8081 --json | jq -r '.alarms[].name'`,
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Alarms, error) {
		return node.Alarms(ctx)
	}, func(w io.Writer, list *wire.Alarms) error {
		if len(list.Alarms) == 0 {
			_, err := fmt.Fprintln(w, "No alarms.")
			return err
		}
		_, err := io.WriteString(w, alarmLines(list.Alarms, cli.PaintFor(w)))
		return err
	}))
}

// alarmLines gives alarms as a person reads them, one a line.
func alarmLines(alarms []engine.Alarm, paint func(colour int, line string) string) string {
	var b strings.Builder
	for i := range alarms {
		a := &alarms[i]
		text := a.String()
		if !a.Since.IsZero() {
			text += " Since " + a.Since.UTC().Format(time.RFC3339) + "."
		}
		b.WriteString(paint(cli.Red, fmt.Sprintf("%-9s %s", "ALARM", cli.Shown(text))) + "\n")
	}
	return b.String()
}

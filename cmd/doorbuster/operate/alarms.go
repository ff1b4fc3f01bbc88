package operate

import (
	"cmp"
	"context"
	"errors"
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
	c := o.command(&cobra.Command{
		Use:   "alarms --admin ADDR [command]",
		Short: "Show what needs seeing to, on all nodes",
		Long: `Show what needs seeing to, since when, and what to do: nodes, ledgers, listings, the
cashier and refunds, statements, doors, keys, logs and disks, of the node that is asked
and of all that it hears. Each says whether it can wait (tell) or somebody should be woken
(wake); docs/reference/alarms.md has what to do about each.`,
		Example: `  doorbuster alarms --admin 127.0.0.1:8081
  doorbuster alarms --admin 127.0.0.1:8081 --json | jq -r '.alarms[].name'
  doorbuster alarms ack node_unreachable --note "on my way" --admin 127.0.0.1:8081
  doorbuster alarms silence statement_lacking --for 8h --note "the bank has a holiday" --admin 127.0.0.1:8081`,
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Alarms, error) {
		return node.Alarms(ctx)
	}, func(w io.Writer, list *wire.Alarms) error {
		if len(list.Alarms) == 0 {
			_, err := fmt.Fprintln(w, "No alarms.")
			return err
		}
		_, err := io.WriteString(w, alarmLines(list.Alarms, cli.PaintFor(w))+seenTo(list))
		return err
	}))
	c.AddCommand(newAlarmsAckCommand(), newAlarmsSilenceCommand())
	return c
}

// seenTo says who has acknowledged or silenced what is on.
func seenTo(list *wire.Alarms) string {
	var b strings.Builder
	for i := range list.SeenTo {
		for j := range list.Alarms {
			if n := &list.SeenTo[i]; n.Name == string(list.Alarms[j].Name) {
				b.WriteString(cli.Shown(sayNote(n)) + "\n")
				break
			}
		}
	}
	return b.String()
}

func sayNote(n *wire.AlarmNote) string {
	var said []string
	if n.AcknowledgedBy != "" {
		said = append(said, fmt.Sprintf("acknowledged by %s at %s", n.AcknowledgedBy, n.AcknowledgedAt))
	}
	if until, err := time.Parse(time.RFC3339, n.SilentUntil); err == nil && until.After(time.Now()) {
		said = append(said, fmt.Sprintf("silenced by %s until %s", n.SilencedBy, n.SilentUntil))
	}
	return fmt.Sprintf("%s: %s.", n.Name, cmp.Or(strings.Join(said, ", "), "not silent"))
}

// ofAlarm has a command take an alarm's name.
func ofAlarm(c *cobra.Command, name *string) *cobra.Command {
	return cli.WithArguments(c, func(args []string) error {
		if len(args) != 1 || !engine.ValidID(args[0]) {
			return errors.New("name one alarm; 'doorbuster alarms' lists those that are on")
		}
		*name = args[0]
		return nil
	})
}

func newAlarmsAckCommand() *cobra.Command {
	o := nodeOptions{look: "alarms"}
	name := ""
	return ofAlarm(o.change(&cobra.Command{
		Use:   "ack ALARM --admin ADDR",
		Short: "Acknowledge the alarms of a name that are on: nobody is woken for them any more",
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.AlarmNote, error) {
		return node.AcknowledgeAlarm(ctx, name, o.note)
	}, line(sayNote))), &name)
}

func newAlarmsSilenceCommand() *cobra.Command {
	o := nodeOptions{look: "alarms"}
	name, d := "", 2*time.Hour
	c := o.change(&cobra.Command{
		Use:   "silence ALARM --admin ADDR",
		Short: "Have nobody told of alarms of a name for a while; they stay in the list",
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.AlarmNote, error) {
		return node.SilenceAlarm(ctx, name, d, o.note)
	}, line(sayNote)))
	c.Flags().DurationVar(&d, "for", d, "how long, 720h at most; 0s ends a silence")
	return ofAlarm(c, &name)
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
		hurry := cmp.Or(string(a.Severity), string(engine.SeverityWake)) // an older node says none
		b.WriteString(paint(cli.Red, fmt.Sprintf("%-9s %s %s", "ALARM", hurry, cli.Shown(text))) + "\n")
	}
	return b.String()
}

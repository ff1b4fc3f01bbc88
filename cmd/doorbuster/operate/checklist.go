package operate

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newSessionCheckCommand() *cobra.Command {
	o := nodeOptions{}
	session := ""
	var told *wire.Checklist
	look := asking(&o, func(ctx context.Context, node *client.Client) (_ *wire.Checklist, err error) {
		told, err = node.Checklist(ctx, session)
		return told, err
	}, printChecklist)
	return oneSession(o.command(&cobra.Command{
		Use:   "check SESSION --admin ADDR",
		Short: "Look at all that a session needs, before it opens",
		Long: `Look at all that a session needs before it opens: that it is published and its stock is up,
that suppliers have what is put up, that words are there in both languages and the lists it
names have somebody on them, that keys and a cashier are configured and nothing that was
asked of the cashier fails, that clocks agree, that a quorum answers with voters in each
zone, and that no alarm is on.

Each is ok, warn (it may go wrong) or bad (it will), with what to do. The exit status is 3
if anything is bad. Keys and settings are those of the node that is asked: ask each.`,
		Example: `  doorbuster sessions check fans-day-10 --admin 127.0.0.1:8081`,
	}, nil, func(c *cobra.Command) error {
		if err := look(c); err != nil {
			return err
		}
		if told.State == wire.CheckBad {
			return cli.Exit(3, fmt.Errorf("the session %s is not ready", cli.Shown(session)))
		}
		return nil
	}), &session)
}

func printChecklist(w io.Writer, c *wire.Checklist) error {
	fmt.Fprintf(w, "%s, opens %s: %s\n\n", cli.Shown(c.Session), c.Opens, c.State)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range c.Checks {
		x := &c.Checks[i]
		what := x.Name
		if x.About != "" {
			what += " " + x.About
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", x.State, cli.Shown(what), cli.Shown(x.Says))
		if x.Do != "" {
			fmt.Fprintf(t, "\t\t→ %s\n", cli.Shown(x.Do))
		}
	}
	return t.Flush()
}

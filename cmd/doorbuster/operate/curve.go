package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

// oneSession has a command take one session by its id.
func oneSession(c *cobra.Command, to *string) *cobra.Command {
	return cli.WithArguments(c, func(args []string) error {
		if len(args) != 1 || !engine.ValidID(args[0]) {
			return errors.New("name one session by its id")
		}
		*to = args[0]
		return nil
	})
}

func newSessionCurveCommand() *cobra.Command {
	o := nodeOptions{}
	session, last, follow := "", time.Duration(0), false
	c := o.command(&cobra.Command{
		Use:   "curve SESSION --admin ADDR",
		Short: "Show how a session sells, second by second",
		Long: `Show how a session sells: of each listing, the units granted in the time that is asked for,
and what is free, held, paid and waited for now; and how many grabs were refused, by the
true reason. With --follow, again each second.

Each node keeps the last hour in memory, for the busiest 100 listings of sessions that are
open or have ended in the last hour. Units are the group's, as the node that answers has
applied them; refusals are what this node answered itself, for all listings together. With
--json, all points of each second are there.`,
		Example: `  doorbuster sessions curve fans-day-10 --admin 127.0.0.1:8081
  doorbuster sessions curve fans-day-10 --follow --admin 127.0.0.1:8081`,
	}, func() error {
		if last < time.Second || last > time.Hour {
			return fmt.Errorf("--last %s is not between 1s and 1h", last)
		}
		return nil
	}, func(c *cobra.Command) error {
		after := time.Now().Add(-last).Unix()
		if !follow {
			return asking(&o, func(ctx context.Context, node *client.Client) (*wire.Curve, error) {
				return node.Curve(ctx, session, after)
			}, printCurve)(c)
		}
		node, err := o.asks()
		if err != nil {
			return err
		}
		return node.FollowCurve(c.Context(), session, after, func(told *wire.Curve) error {
			if o.output == "json" {
				return cli.PrintJSON(c.OutOrStdout(), told)
			}
			return printCurve(c.OutOrStdout(), told)
		})
	})
	c.Flags().DurationVar(&last, "last", time.Minute, "of how long, up to 1h")
	c.Flags().BoolVar(&follow, "follow", false, "go on, each second")
	return oneSession(c, &session)
}

// printCurve prints what a curve comes to.
func printCurve(w io.Writer, c *wire.Curve) error {
	at := "nothing is known yet"
	if c.Last > 0 {
		at = time.Unix(c.Last, 0).UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(w, "%s  %s\n", cli.Shown(c.Session), at)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "listing\tgranted\tstock\tfree\theld\tpaid\tin line\n")
	for i := range c.Listings {
		l, granted := &c.Listings[i], int64(0)
		if len(l.Granted) == 0 {
			continue
		}
		for _, n := range l.Granted {
			granted += int64(n)
		}
		now := len(l.Granted) - 1
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", cli.Shown(l.SKU), granted, l.Stock[now], l.Available[now],
			l.Held[now], l.Paid[now], l.Waiting[now])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	sums := map[string]uint64{}
	for why, counts := range c.Refusals.Reasons {
		for _, n := range counts {
			sums[why] += uint64(n)
		}
	}
	reasons := slices.SortedFunc(maps.Keys(sums), func(a, b string) int {
		return cmp.Or(cmp.Compare(sums[b], sums[a]), strings.Compare(a, b))
	})
	said := make([]string, len(reasons))
	for i, why := range reasons {
		said[i] = fmt.Sprintf("%s %d", why, sums[why])
	}
	if len(said) == 0 {
		said = []string{"nobody"}
	}
	_, err := fmt.Fprintf(w, "refused by this node: %s\n", strings.Join(said, ", "))
	return err
}

package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newRefusalsCommand() *cobra.Command {
	var o nodeOptions
	var shopper, session string
	c := o.command(&cobra.Command{
		Use:   "refusals --shopper ID --admin ADDR",
		Short: "Tell why a shopper was refused",
		Long: `Tell why a shopper was refused: what they were told, the true reason, when and how
often. Any node can be asked; it asks the others. Each node remembers in memory
what it refused itself, the oldest overwritten first, so that the answer ends
with what it is worth.`,
		Example: `  doorbuster refusals --shopper alice --admin 127.0.0.1:8081
  doorbuster refusals --shopper alice --session fans-day-10 --admin 127.0.0.1:8081 --json | jq .complete`,
	}, func() error {
		var errs []error
		if !engine.ValidShopper(shopper) {
			errs = append(errs, fmt.Errorf("--shopper %q: say whose, in "+engine.ShopperForm, shopper))
		}
		if session != "" && !engine.ValidID(session) {
			errs = append(errs, fmt.Errorf("--session %q is no session's id", session))
		}
		return errors.Join(errs...)
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Refusals, error) {
		return node.Refusals(ctx, shopper, session)
	}, printRefusals))
	flags := c.Flags()
	flags.StringVar(&shopper, "shopper", "", "`id` of the shopper")
	flags.StringVar(&session, "session", "", "`id` of a session; all if not given")
	return c
}

// printRefusals writes what customer service reads out, and below it what that
// is worth.
func printRefusals(w io.Writer, told *wire.Refusals) error {
	var b strings.Builder
	if len(told.Refusals) == 0 {
		fmt.Fprintf(&b, "No refusal of %s is remembered.\n", cli.Shown(told.Shopper))
	} else {
		t := cli.NewTable(&b, "LAST", "FIRST", "TIMES", "SESSION", "SKU", "TOLD", "REASON", "NODE")
		for _, x := range told.Refusals {
			times := strconv.FormatUint(uint64(x.Count), 10)
			if x.Count >= engine.MaxRefusedCount {
				times += "+"
			}
			t.Row(x.Last, x.First, times, x.Session, x.SKU, x.Code, x.Reason, x.Node)
		}
		t.Flush()
	}
	b.WriteByte('\n')
	t := cli.NewTable(&b, "NODE", "SINCE", "ENTRIES", "LOST", "NOTES")
	for _, n := range told.Nodes {
		switch {
		case !n.Answered:
			t.Row(n.Node, "", "", "", "no answer: "+n.Error)
			continue
		case n.Capacity == 0:
			t.Row(n.Node, "", "", "", "no journal")
			continue
		}
		notes := ""
		if !n.Noting {
			notes = "turned off"
		}
		t.Row(n.Node, n.Since, fmt.Sprintf("%d of %d", n.Entries, n.Capacity), n.Lost, notes)
	}
	t.Flush()
	fmt.Fprintf(&b, "\n%s\n", cli.Shown(told.Note))
	_, err := io.WriteString(w, b.String())
	return err
}

package operate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newPlanCommand() *cobra.Command {
	return cli.Group(&cobra.Command{Use: "plan", Short: "Export the plan as it is, or take the last one back",
		Long: `Export the plan as it is: products, plays, sales, sessions and listings, as the file that
'doorbuster apply' takes; or take the last plan that was applied back.`,
		Example: `  doorbuster plan export --admin 127.0.0.1:8081 > plan.yaml
  doorbuster plan back --dry-run --admin 127.0.0.1:8081`}, newPlanExportCommand(), newPlanBackCommand())
}

func newPlanBackCommand() *cobra.Command {
	o := nodeOptions{look: "history"}
	dry, of := false, uint64(0)
	c := o.change(&cobra.Command{
		Use:   "back --admin ADDR",
		Short: "Take the last plan back",
		Long: `Take the last plan that was applied back, whole or not at all: what it changed is as it was
just before, and what it made is deleted. A listing that it put into a session which there
was stays listed, with nothing to sell. Where something can't be as it was (stock under what
is sold, a session that has opened) it says so, and changes nothing.

It is one step: the plan before it can't be taken back then. What operators have changed of
the same since is in the diff of the dry run, too.`,
		Example: `  # See what it would do, and which plan it takes back; then take that one back
  doorbuster plan back --dry-run --admin 127.0.0.1:8081
  doorbuster plan back --of 4711 --note "wrong prices" --admin 127.0.0.1:8081`,
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.PlanBack, error) {
		return node.PlanBack(ctx, of, o.note, dry)
	}, func(w io.Writer, b *wire.PlanBack) error {
		for _, n := range b.Notes {
			if _, err := fmt.Fprintln(w, cli.Shown("note: "+n.Path+": "+n.Message)); err != nil {
				return err
			}
		}
		if b.Plan.Index > 0 {
			if _, err := fmt.Fprintln(w, cli.Shown(fmt.Sprintf("back from the plan of %s by %s (--of %d)", b.Plan.At,
				b.Plan.By, b.Plan.Index))); err != nil {
				return err
			}
		}
		return printChanges(w, &b.PlanChanges)
	}))
	c.Flags().BoolVar(&dry, "dry-run", false, "only tell what would change")
	c.Flags().Uint64Var(&of, "of", 0, "log `index` of the plan that is meant, as the dry run tells it; refused if "+
		"another was applied since")
	return c
}

// planExportOptions are the flags of plan export.
type planExportOptions struct {
	nodeOptions
	client.PlanWanted
	out string
}

func newPlanExportCommand() *cobra.Command {
	o := planExportOptions{}
	c := o.command(&cobra.Command{
		Use:   "export --admin ADDR",
		Short: "Write the plan as it is, as a file that can be applied again",
		Long: `Write the plan as it is, as a file that 'doorbuster apply' takes. Applied to the same shop
it changes nothing; applied to another one it makes the same plan there. Change it and
apply it to change the shop.

It has what a plan file can say and what the last plans said of it. Where operators have
changed something since (stock, words, publishing), the plan's value is in the file, so
that it stays theirs, and a comment says what there is now. A start such as now stays as it
was written, with a comment that says when that was. Each day of a daily session is a
session of its own.

Left out are sessions that have ended and what is in the archive (--over has them), and
products that no session offers (--all-products has them). What a plan file can't say, such
as lists, switches, suppliers' figures and orders, is not in it: 'doorbuster backup' has all.`,
		Example: `  # Change what is there
  doorbuster plan export --admin 127.0.0.1:8081 --out plan.yaml
  "${EDITOR:-vi}" plan.yaml
  doorbuster apply -f plan.yaml --admin 127.0.0.1:8081 --dry-run

  # One sale, for a shop to try it in
  doorbuster plan export --sale fans-day --admin 127.0.0.1:8081 | doorbuster apply -f - --admin 127.0.0.1:9081`,
	}, func() error {
		switch {
		case o.Sale != "" && !engine.ValidID(o.Sale):
			return fmt.Errorf("--sale %q is no id of a sale", o.Sale)
		case o.output == "json" || o.asJSON:
			return errors.New("a plan is exported as YAML; leave --json and --output out")
		}
		return nil
	}, o.run)
	flags := c.Flags()
	flags.StringVar(&o.Sale, "sale", "", "`id` of the sale to export alone, with its plays and products")
	flags.BoolVar(&o.Over, "over", false, "also sessions that have ended, and what is in the archive")
	flags.BoolVar(&o.AllProducts, "all-products", false, "also products that no session offers")
	flags.StringVar(&o.out, "out", "", "`file` to write, which must not be there yet (else standard output)")
	return c
}

func (o *planExportOptions) run(c *cobra.Command) error {
	node, err := o.asks()
	if err != nil {
		return err
	}
	text, err := node.ExportPlan(c.Context(), o.PlanWanted)
	if err != nil {
		return err
	}
	return intoNewFile(o.out, c.OutOrStdout(), func(to io.Writer) error {
		_, err := to.Write(text)
		return err
	})
}

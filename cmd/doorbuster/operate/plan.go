package operate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
)

func newPlanCommand() *cobra.Command {
	return cli.Group(&cobra.Command{Use: "plan", Short: "Export the plan as it is",
		Long: `Export the plan as it is: products, plays, sales, sessions and listings, as the file that
'doorbuster apply' takes.`,
		Example: `  doorbuster plan export --admin 127.0.0.1:8081 > plan.yaml`}, newPlanExportCommand())
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
	return writeNew(o.out, text, c.OutOrStdout())
}

// writeNew writes a file that is not there yet, or with the name "" to out.
func writeNew(name string, text []byte, out io.Writer) error {
	if name == "" {
		_, err := out.Write(text)
		return err
	}
	f, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the plan: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

// Kinds of what is reconciled.
const (
	kindPayments = "payments"
	kindStock    = "stock"
)

const mostShownDifferences = 50

// checkStock says what is wrong with the flags of --kind stock.
func (o *reconcileOptions) checkStock() error {
	o.stock.format = o.format
	_, err := o.stock.query()
	if !engine.ValidID(o.supplier) {
		err = errors.Join(fmt.Errorf("--supplier %q: name the supplier whose figures these are, by its id",
			o.supplier), err)
	}
	if o.dryRun || o.from != "" || o.to != "" || len(o.reading.Kinds)+len(o.reading.OrderPrefixes) > 0 {
		err = errors.Join(errors.New("--dry-run, --from, --to, --ignore-kind and --order-prefix are for --kind "+
			"payments"),
			err)
	}
	return err
}

// runStock holds a supplier's figures against ours.
func (o *reconcileOptions) runStock(c *cobra.Command) error {
	o.breaks = "nothing is changed: run it again"
	query, _ := o.stock.query()
	var report *wire.StockReport
	err := o.sendCatalogue(c, o.statement, func(send client.SendProducts) error {
		send.Query = query
		return asking(&o.nodeOptions, func(ctx context.Context, node *client.Client) (_ *wire.StockReport, err error) {
			report, err = node.ReconcileStock(ctx, o.supplier, send)
			return report, err
		}, printStockReport)(c)
	})
	if err != nil {
		return err
	}
	all := 0
	for kind, n := range report.Counts {
		if kind != "time" {
			all += n
		}
	}
	switch {
	case all == 1:
		return errors.New("the figures differ: 1 difference")
	case all > 0:
		return fmt.Errorf("the figures differ: %d differences", all)
	}
	return nil
}

func printStockReport(w io.Writer, r *wire.StockReport) error {
	var b strings.Builder
	if len(r.Differences) > 0 {
		t := cli.NewTable(&b, "LINE", "PRODUCT", "WHAT", "THEIRS", "OURS", "EXPECTED", "PUT UP", "HELD", "PAID")
		for i := range r.Differences[:min(len(r.Differences), mostShownDifferences)] {
			d := &r.Differences[i]
			at, expected := "", ""
			if d.Line > 0 {
				at = fmt.Sprint(d.Line)
			}
			if d.Expected != nil {
				expected = fmt.Sprint(*d.Expected)
			}
			use := wire.ProductUse{}
			if d.Use != nil {
				use = *d.Use
			}
			t.Row(at, d.Product, strings.ReplaceAll(d.Kind, "_", " "), stockText(d.Theirs), stockText(d.Ours), expected,
				use.PutUp, use.Held, use.Paid)
		}
		t.Flush()
		if more := len(r.Differences) - mostShownDifferences; more > 0 {
			fmt.Fprintf(&b, "and %d more: --json has them\n", more)
		}
	}
	b.WriteString(cli.Shown(r.Verdict) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

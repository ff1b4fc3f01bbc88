package operate

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newHotCommand() *cobra.Command {
	var o nodeOptions
	return o.command(&cobra.Command{
		Use:   "hot --admin ADDR",
		Short: "List the products that a node is asked for most, planned or not",
		Long: `List the products that shoppers look at and grab most at the node that is asked, in the
last five seconds, whether they are on a plan or not. Other nodes have their own.`,
		Example: `  doorbuster hot --admin 127.0.0.1:8081
  doorbuster hot --admin 127.0.0.1:8081 --json | jq -r '.products[] | select(.planned | not) | .sku'`,
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Hot, error) {
		return node.Hot(ctx)
	}, printHot))
}

func printHot(w io.Writer, all *wire.Hot) error {
	var b strings.Builder
	if len(all.Products) == 0 {
		b.WriteString("No product is asked for more than now and then.\n")
	} else {
		t := cli.NewTable(&b, "PRODUCT", "A SECOND", "PLANNED", "STOCK", "AVAILABLE")
		for _, p := range all.Products {
			planned := "no"
			if p.Planned {
				planned = "yes"
			}
			t.Row(p.SKU, fmt.Sprintf("%.0f", p.PerSecond), planned, p.Stock, p.Available)
		}
		t.Flush()
	}
	_, err := io.WriteString(w, b.String())
	return err
}

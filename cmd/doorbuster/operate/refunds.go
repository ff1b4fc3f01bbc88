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

func newRefundsCommand() *cobra.Command {
	var o nodeOptions
	var cursor string
	c := o.command(&cobra.Command{
		Use:   "refunds --admin ADDR",
		Short: "List what money has to go back, why, and what came of asking for it",
		Long: `List the refunds that are due, the oldest first: why each is, how often the cashier
was asked in vain, what went wrong the last time, and when it is asked for again. The
node that leads asks; the others don't know of tries.`,
		Example: `  doorbuster refunds --admin 127.0.0.1:8081
  doorbuster refunds --admin 127.0.0.1:8081 --json | jq '.refunds[].last_error'`,
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Refunds, error) {
		return node.Refunds(ctx, cursor)
	}, printRefunds))
	c.Flags().StringVar(&cursor, "cursor", "", "where to go on, as the page before says")
	return c
}

func printRefunds(w io.Writer, page *wire.Refunds) error {
	var b strings.Builder
	if len(page.Refunds) == 0 {
		b.WriteString("No refund is due.\n")
	} else {
		t := cli.NewTable(&b, "NUMBER", "DUE SINCE", "ORDER", "PAYMENT", "AMOUNT", "WHY", "TRIES", "NEXT TRY",
			"LAST ERROR")
		for _, r := range page.Refunds {
			t.Row(r.RefundNo, r.DueAt, r.OrderNo, r.PaymentID, fmt.Sprintf("%d %s", r.Amount, r.Currency), r.Reason,
				r.Tries,
				r.NextTryAt, r.LastError)
		}
		t.Flush()
	}
	if page.Cursor != "" {
		fmt.Fprintf(&b, "There are more: --cursor %s\n", page.Cursor)
	}
	if !page.Asking {
		b.WriteString("This node does not ask the cashier: the one that leads knows of tries, where a cashier_url is " +
			"set.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

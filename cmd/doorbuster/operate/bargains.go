package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newBargainsCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "bargains",
		Short: "Find bargains, look into one, or end it",
		Example: `  doorbuster bargains list --session fans-day-10 --state open --admin 127.0.0.1:8081
  doorbuster bargains show CODE --admin 127.0.0.1:8081 --json | jq '.cuts_made[].friend'
  doorbuster bargains end CODE --note "sold on to strangers" --admin 127.0.0.1:8081`,
	}, newBargainsListCommand(), newBargainsShowCommand(), newBargainsEndCommand())
}

func newBargainsListCommand() *cobra.Command {
	var o nodeOptions
	var session, sku, shopper, state, cursor string
	c := o.command(&cobra.Command{
		Use:   "list --admin ADDR",
		Short: "Find bargains by session, SKU, shopper and state",
		Long:  "Find bargains. Those of settled sessions are gone; their orders and the trail stay.",
	}, func() error {
		var errs []error
		for _, id := range [...]struct{ flag, is string }{{"--session", session}, {"--sku", sku}} {
			if id.is != "" && !engine.ValidID(id.is) {
				errs = append(errs, fmt.Errorf("%s %q is no id", id.flag, id.is))
			}
		}
		if shopper != "" && !engine.ValidShopper(shopper) {
			errs = append(errs, fmt.Errorf("--shopper %q is not "+engine.ShopperForm, shopper))
		}
		if known, ok := engine.ParseBargainState(state); state != "" && (!ok || known == 0) {
			errs = append(errs, fmt.Errorf("--state %q is not open, bought, expired or ended", state))
		}
		return errors.Join(errs...)
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.OpsBargains, error) {
		query := url.Values{}
		for name, is := range map[string]string{"session": session, "sku": sku, "shopper": shopper, "state": state,
			"cursor": cursor} {
			if is != "" {
				query.Set(name, is)
			}
		}
		return node.Bargains(ctx, query)
	}, printBargains))
	flags := c.Flags()
	flags.StringVar(&session, "session", "", "`id` of a session; all if not given")
	flags.StringVar(&sku, "sku", "", "`id` of an SKU; all if not given")
	flags.StringVar(&shopper, "shopper", "", "`id` of who started them; all if not given")
	flags.StringVar(&state, "state", "", "open, bought, expired or ended; all if not given")
	flags.StringVar(&cursor, "cursor", "", "where to go on, as the page before says")
	return c
}

func printBargains(w io.Writer, page *wire.OpsBargains) error {
	var b strings.Builder
	if len(page.Bargains) == 0 {
		b.WriteString("No such bargain.\n")
	} else {
		t := cli.NewTable(&b, "CODE", "SESSION", "SKU", "SHOPPER", "STATE", "PRICE", "FROM", "FLOOR", "CUTS", "EXPIRES",
			"ORDER")
		for i := range page.Bargains {
			x := &page.Bargains[i]
			t.Row(x.Code, x.Session, x.SKU, x.Shopper, x.State, fmt.Sprintf("%d %s", x.Price, x.Currency), x.StartPrice,
				x.Floor, x.Cuts, x.ExpiresAt, x.OrderNo)
		}
		t.Flush()
	}
	if page.Cursor != "" {
		fmt.Fprintf(&b, "There are more: --cursor %s\n", page.Cursor)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ofBargain has a command take a bargain's code.
func ofBargain(c *cobra.Command, code *string) *cobra.Command {
	return cli.WithArguments(c, func(args []string) error {
		if len(args) != 1 || len(args[0]) != engine.BargainCodeBytes {
			return fmt.Errorf("name one bargain by its code, of %d letters and digits", engine.BargainCodeBytes)
		}
		*code = args[0]
		return nil
	})
}

func newBargainsShowCommand() *cobra.Command {
	var o nodeOptions
	var code, cursor string
	c := o.command(&cobra.Command{
		Use:   "show CODE --admin ADDR",
		Short: "Show a bargain with every cut: who, how much, by which weight",
	}, func() error {
		if _, err := strconv.ParseUint(cursor, 10, 32); cursor != "" && err != nil {
			return fmt.Errorf("--cursor %q is none that was given out", cursor)
		}
		return nil
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.OpsBargain, error) {
		return node.Bargain(ctx, code, cursor)
	}, printBargain))
	c.Flags().StringVar(&cursor, "cursor", "", "where to go on, as the page before says")
	return ofBargain(c, &code)
}

func printBargain(w io.Writer, x *wire.OpsBargain) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Bargain %s of %s on %s/%s: %s, %d of %d %s, floor %d, until %s.\n", x.Code, cli.Shown(x.Shopper),
		x.Session, x.SKU, x.State, x.Price, x.StartPrice, x.Currency, x.Floor, x.ExpiresAt)
	if x.OrderNo != "" {
		fmt.Fprintf(&b, "Order %s was bought by it.\n", x.OrderNo)
	}
	fmt.Fprintf(&b, "Commitment %s\n", x.Commitment)
	if x.Seed != "" {
		fmt.Fprintf(&b, "Seed       %s\n", x.Seed)
	}
	if len(x.CutsMade) == 0 {
		b.WriteString("No friend has helped.\n")
	} else {
		t := cli.NewTable(&b, "CUT", "AT", "FRIEND", "AMOUNT", "WEIGHT", "NEW")
		for _, cut := range x.CutsMade {
			t.Row(cut.Number, cut.At, cut.Friend, cut.Amount, fmt.Sprintf("%d%%", cut.Weight), cut.New)
		}
		t.Flush()
	}
	if x.Cursor != "" {
		fmt.Fprintf(&b, "There are more: --cursor %s\n", x.Cursor)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newBargainsEndCommand() *cobra.Command {
	o := nodeOptions{look: "bargains show"}
	code := ""
	return ofBargain(o.change(&cobra.Command{
		Use:   "end CODE --admin ADDR",
		Short: "End an open bargain: nobody cuts it or buys by it any more",
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.OpsBargain, error) {
		return node.EndBargain(ctx, code, o.note)
	}, line(func(x *wire.OpsBargain) string {
		return fmt.Sprintf("Bargain %s of %s is %s, after %d cuts.", x.Code, cli.Shown(x.Shopper), x.State, x.Cuts)
	}))), &code)
}

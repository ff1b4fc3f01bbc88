package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/shipping"
	"doorbuster/httpapi/wire"
)

// shippingPatience is how long a node may take by default: a look at many orders asks a
// service about each.
const shippingPatience = 10 * time.Minute

func newShippingCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "shipping",
		Short: "Look at a session's paid orders again, export, ship and complete them",
		Long: `Once a session has ended: take the second look at its paid orders, export what
passed for the warehouse, take in the carriers' tracking numbers, and which orders have
arrived. It is for listings whose plan has a delivery other than none.`,
		Example: `  doorbuster shipping status fans-day-10 --admin 127.0.0.1:8081
  doorbuster shipping review fans-day-10 --admin 127.0.0.1:8081
  doorbuster shipping export fans-day-10 --out orders.csv --admin 127.0.0.1:8081
  doorbuster shipping import fans-day-10 parcels.csv --admin 127.0.0.1:8081
  doorbuster shipping received fans-day-10 arrived.txt --admin 127.0.0.1:8081`,
	}, newShippingStatusCommand(), newReviewCommand(), newExportCommand(), newParcelsCommand(), newReceivedCommand())
}

// ofSession has the first argument name a session; rest checks what is behind it, and may
// be nil where nothing may be.
func ofSession(c *cobra.Command, o *nodeOptions, session *string, rest func(args []string) error) *cobra.Command {
	o.timeout = shippingPatience
	c.Flags().Lookup("timeout").DefValue = shippingPatience.String()
	return cli.WithArguments(c, func(args []string) error {
		switch {
		case len(args) == 0 || !engine.ValidID(args[0]):
			return errors.New("name a session")
		case rest == nil && len(args) > 1:
			return fmt.Errorf("%q is one argument too many", args[1])
		}
		if *session = args[0]; rest == nil {
			return nil
		}
		return rest(args[1:])
	})
}

func newShippingStatusCommand() *cobra.Command {
	var o nodeOptions
	var session string
	c := o.command(&cobra.Command{Use: "status SESSION --admin ADDR",
		Short: "Tell where a session's paid orders are on their way"}, nil,
		asking(&o, func(ctx context.Context, node *client.Client) (*wire.Shipping, error) {
			return node.Shipping(ctx, session)
		}, printShipping))
	return ofSession(c, &o, &session, nil)
}

func printShipping(w io.Writer, s *wire.Shipping) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Session %s is %s. Its orders:\n", cli.Shown(s.Session), cli.Shown(s.State))
	t := cli.NewTable(&b)
	for _, row := range [...]struct {
		what string
		n    int
		hint string
	}{
		{"paid, not looked at", s.Unreviewed, "shipping review"},
		{"held", s.Held, "shipping review SESSION ORDER... --verdict pass, or reject"},
		{"passed, without receiver", s.NoReceiver, "wait for the shopper, or reject"},
		{"passed", s.Passed, "shipping export"},
		{"exported", s.Exported, "shipping import"},
		{"shipped", s.Shipped, ""}, {"received", s.Received, ""}, {"completed", s.Completed, ""},
		{"rejected", s.Rejected, ""}, {"to be paid back", s.RefundDue, "refunds"}, {"paid back", s.Refunded, ""},
	} {
		if row.n == 0 {
			row.hint = ""
		}
		t.Row("  "+row.what, row.n, row.hint)
	}
	t.Flush()
	for _, x := range s.Exports {
		fmt.Fprintf(&b, "Export %d: %s, of which %d wait for a tracking number\n", x.Export,
			engine.Counted(int64(x.Orders), "order"), x.Waiting)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newReviewCommand() *cobra.Command {
	o := nodeOptions{look: "shipping status SESSION"}
	var session string
	var r wire.ReviewRequest
	shared := 2
	c := o.change(&cobra.Command{
		Use:   "review SESSION [ORDER...] --admin ADDR",
		Short: "Take the second look at paid orders, or decide about some by hand",
		Long: `Take the second look at all paid orders of a session that nobody has looked at yet:
by the risk lists as they are now, by who else has orders sent to the same phone or
address, and by the outside risk service. What a list blocks is rejected, and its money
goes back; --dry-run tells what would be.

With ORDER... decide about those by hand: --verdict pass, hold or reject. That stands
until the next word by hand, and no other look changes it.`,
		Example: `  doorbuster shipping review fans-day-10 --dry-run --admin 127.0.0.1:8081
  doorbuster shipping review fans-day-10 0123456789ABCDEFGHJKMNPQ --verdict pass --note "a family" \
    --admin 127.0.0.1:8081`,
	}, func() error {
		switch {
		case len(r.Orders) == 0 && r.Verdict != "":
			return errors.New("--verdict is for orders that are named")
		case len(r.Orders) > 0 && r.Verdict == "":
			return errors.New("say with --verdict what becomes of the orders: pass, hold or reject")
		case len(r.Orders) > 0 && r.Again:
			return errors.New("--again is for a look at all orders")
		}
		if _, known := shipping.VerdictNamed(r.Verdict); r.Verdict != "" && !known {
			return fmt.Errorf("--verdict %q is none of pass, hold, reject", r.Verdict)
		}
		if shared < 0 || shared == 1 {
			return fmt.Errorf("--shared %d is neither 0 nor 2 or more", shared)
		}
		return nil
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Review, error) {
		r.Note = wire.Note{Note: o.note}
		if len(r.Orders) == 0 {
			r.Shared = &shared
		}
		return node.Review(ctx, session, r)
	}, printReview))
	f := c.Flags()
	f.BoolVar(&r.DryRun, "dry-run", false, "only tell what would come of it")
	f.BoolVar(&r.Again, "again", false, "look at orders that are held, too: lists may have changed")
	f.IntVar(&shared, "shared", shared, "hold orders that so many `shoppers` or more have sent to one phone or "+
		"address; 0 for none")
	f.StringVar(&r.Verdict, "verdict", "", "of the orders that are named: pass, hold or reject")
	return ofSession(c, &o, &session, func(args []string) error {
		for _, no := range args {
			if !engine.ValidID(no) {
				return fmt.Errorf("%q is no order number", no)
			}
		}
		r.Orders = args
		return nil
	})
}

func printReview(w io.Writer, r *wire.Review) error {
	var b strings.Builder
	if r.DryRun {
		b.WriteString("Nothing was changed. ")
	}
	fmt.Fprintf(&b, "%s looked at: %d passed, %d held, %d rejected\n", engine.Counted(int64(r.Looked), "order"),
		r.Passed, r.Held, r.Rejected)
	for _, x := range r.Reasons {
		fmt.Fprintf(&b, "  %s  %s: %s\n", cli.Shown(x.Verdict), engine.Counted(int64(x.Orders), "order"),
			cli.Shown(x.Why))
	}
	if len(r.Orders) > 0 {
		t := cli.NewTable(&b, "ORDER", "SHOPPER", "VERDICT", "WHY")
		for _, x := range r.Orders {
			t.Row(x.OrderNo, x.Shopper, x.Verdict, x.Why)
		}
		t.Flush()
	}
	if more := r.Held + r.Rejected - len(r.Orders); more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	if r.Changed > 0 {
		fmt.Fprintf(&b, "%s changed meanwhile, and stayed as they became\n", engine.Counted(int64(r.Changed), "order"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// exportOptions are the flags of shipping export.
type exportOptions struct {
	nodeOptions
	session, file, format string
	export                uint32
}

func newExportCommand() *cobra.Command {
	o := exportOptions{nodeOptions: nodeOptions{look: "shipping status SESSION"}}
	c := o.change(&cobra.Command{
		Use:   "export SESSION --admin ADDR",
		Short: "Export what has passed for the warehouse",
		Long: `Have all paid orders of a session that passed the second look go out, under the next
number, and write them to standard output or a new file. They are out from then on, and
in no later export. What stays is told: orders without a receiver, and those that are
held or were not looked at. An export is written again by its number (--export), as
often as it takes.`,
		Example: `  doorbuster shipping export fans-day-10 --out orders.csv --admin 127.0.0.1:8081
  doorbuster shipping export fans-day-10 --export 1 --format ndjson --admin 127.0.0.1:8081`,
	}, func() error {
		if o.format != "csv" && o.format != "ndjson" {
			return fmt.Errorf("--format %q is neither csv nor ndjson", o.format)
		}
		if o.output == "json" && o.file == "" {
			return errors.New("--json tells of the export, and --out says where it goes")
		}
		if o.file != "" {
			if _, err := os.Lstat(o.file); err == nil {
				return fmt.Errorf("%s is there already; name another, or move it away", o.file)
			}
		}
		return nil
	}, func(c *cobra.Command) error { return o.run(c) })
	f := c.Flags()
	f.StringVar(&o.format, "format", "csv", "csv or ndjson")
	f.StringVar(&o.file, "out", "", "the `file` to write; it must not exist yet (else standard output)")
	f.Uint32Var(&o.export, "export", 0, "the `number` of an export that there is, to write it again")
	return ofSession(c, &o.nodeOptions, &o.session, nil)
}

func (o *exportOptions) run(c *cobra.Command) error {
	node, err := o.asks()
	if err != nil {
		return err
	}
	number := o.export
	if number == 0 || o.output == "json" {
		done, err := node.ExportOrders(c.Context(), o.session, wire.ExportRequest{Note: wire.Note{Note: o.note},
			Export: number})
		if err != nil {
			return err
		}
		if number = done.Export; o.output == "json" {
			err = cli.PrintJSON(c.OutOrStdout(), done)
		} else {
			_, err = io.WriteString(c.ErrOrStderr(), exportText(done))
		}
		if err != nil || number == 0 {
			return err
		}
	}
	err = intoNewFile(o.file, c.OutOrStdout(), func(to io.Writer) error {
		return node.Export(c.Context(), o.session, number, o.format, to)
	})
	if err != nil {
		return fmt.Errorf("%w; export %d is made: write it with --export %d", err, number, number)
	}
	return nil
}

// exportText is what came of an export, as a person reads it.
func exportText(x *wire.Export) string {
	var b strings.Builder
	if x.Export == 0 {
		b.WriteString("Nothing is left to go out.")
	} else {
		fmt.Fprintf(&b, "Export %d has %s.", x.Export, engine.Counted(int64(x.Orders), "order"))
	}
	for _, stays := range [...]struct {
		n   int
		why string
	}{{x.NoReceiver, "have no receiver"}, {x.Held, "are held"}, {x.Unreviewed, "nobody has looked at"}} {
		if stays.n > 0 {
			fmt.Fprintf(&b, " %d stay that %s.", stays.n, stays.why)
		}
	}
	b.WriteByte('\n')
	for _, no := range x.NoReceiverOrders {
		fmt.Fprintf(&b, "  %s has no receiver\n", cli.Shown(no))
	}
	return b.String()
}

func newParcelsCommand() *cobra.Command {
	return newRowsCommand("import SESSION FILE --admin ADDR", "Take in the carriers' tracking numbers",
		`Take in which carrier has which order. FILE is CSV whose first line names the columns
order_no, carrier and tracking (others may stand beside them, such as those of the
export), or has an object with these members a line; - is standard input. It is taken
whole or not at all: every bad row is told by its line.`,
		(*client.Client).ShipOrders, "shipped")
}

func newReceivedCommand() *cobra.Command {
	return newRowsCommand("received SESSION FILE --admin ADDR", "Take in which orders have arrived",
		`Take in which orders have arrived. FILE is CSV with a column order_no, has an object
with that member a line, or an order number a line; - is standard input. It is taken
whole or not at all: every bad row is told by its line.`,
		(*client.Client).ReceiveOrders, "received")
}

func newRowsCommand(use, short, long string,
	send func(*client.Client, context.Context, string, client.ParcelFile) (*wire.ParcelsTaken, error),
	became string) *cobra.Command {
	o := nodeOptions{look: "shipping status SESSION"}
	var session, file, format string
	c := o.change(&cobra.Command{Use: use, Short: short, Long: long}, func() error {
		if _, known := listMedia[format]; !known && format != "" {
			return fmt.Errorf("--format %q is none of csv, ndjson, lines", format)
		}
		return nil
	}, func(c *cobra.Command) error {
		in, closed, err := openFile(c, file, "file of orders", shipping.MaxBytes)
		if err != nil {
			return err
		}
		defer closed()
		f := client.ParcelFile{Body: in, Size: sizeOf(in), Note: o.note}
		if format == "" {
			format, f.Body = formatOfFile(file, in)
			if format == "lines" && became == "shipped" {
				format = "csv"
			}
		}
		f.Type = listMedia[format]
		return asking(&o, func(ctx context.Context, node *client.Client) (*wire.ParcelsTaken, error) {
			return send(node, ctx, session, f)
		}, line(func(r *wire.ParcelsTaken) string {
			return fmt.Sprintf("%s: %d %s now, %d were already", engine.Counted(int64(r.Rows), "row"), r.Changed,
				became, r.Unchanged)
		}))(c)
	})
	c.Flags().StringVar(&format, "format", "",
		"csv, ndjson or lines (else by the file's name and its first character)")
	return ofSession(c, &o, &session, func(args []string) error {
		if len(args) != 1 {
			return errors.New("name one file, or - for standard input")
		}
		file = args[0]
		return nil
	})
}

package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/catalogue"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/wire"
)

func newProductsCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "products",
		Short: "Look at the catalogue, and take suppliers' products in",
		Long: `Look at the catalogue, take suppliers' products in, and delete or retire them, through
the admin API of any node. A token with the role supplier does for its own products with
--supplier.`,
		Example: `  doorbuster products import acme catalogue.csv --currency CNY --admin 127.0.0.1:8081
  doorbuster products list --supplier acme --admin 127.0.0.1:8081
  doorbuster products show mask-50 --admin 127.0.0.1:8081
  doorbuster products retire mask-50 --note "recalled" --admin 127.0.0.1:8081`,
	}, newProductsListCommand(), newProductsShowCommand(), newProductsImportCommand(), newProductsPullCommand(),
		newSuppliersCommand(),
		discarding{"products", "product", "delete", "Delete a product that no session offers",
			`Delete a product that no session offers. While one does, or did, retire the product instead.
Its id is free then: a plan or a supplier may bring a product of that id again.`, "mask-50"}.command(),
		discarding{"products", "product", "retire", "Have no session list a product any more",
			`Have no session list a product any more. Listings that there are go on: to stop those, pause or
end their sessions. The supplier can't take it back; 'products revive' does. Doing it again
changes nothing.`, `mask-50 --note "recalled"`}.command(),
		discarding{"products", "product", "revive", "Let sessions list a retired product again",
			`Let sessions list a product again that the shop or its supplier has retired. Doing it again
changes nothing.`,
			"mask-50"}.command())
}

func newSalesCommand() *cobra.Command {
	return cli.Group(&cobra.Command{Use: "sales", Short: "Delete sales, or put them into the archive",
		Long: `Delete sales that nobody has ordered from, or put those that are over into the archive. Sales
are made and changed by a plan: see 'doorbuster apply'.`,
		Example: `  doorbuster sales archive fans-day --admin 127.0.0.1:8081
  doorbuster sales recall fans-day --admin 127.0.0.1:8081`},
		discarding{"sales", "sale", "delete", "Delete a sale with its sessions, if nobody has ordered from any",
			`Delete a sale with all its sessions, if nobody has ordered from any of them. Not while one
is open, nor once one is settled: then archive it. It can't be undone, but for applying the
plan again.`, "fans-day"}.command(),
		discarding{"sales", "sale", "archive", "Hide a sale whose sessions are over, and them",
			`Hide a sale whose sessions are over, and them: lists have them only where they are asked for
(?archived=true). Nothing is lost: orders and reports are found as before. A plan that adds a
session to the sale takes it out of the archive, as 'sales recall' does.`, "fans-day"}.command(),
		discarding{"sales", "sale", "recall", "Take a sale and its sessions from the archive",
			`Take a sale and all its sessions from the archive, so that lists have them again.`,
			"fans-day"}.command())
}

func newSessionsCommand() *cobra.Command {
	return cli.Group(&cobra.Command{Use: "sessions", Short: "Check sessions, see how they sell and what came of them",
		Long: `Check sessions before they open, see how they sell and what came of them; delete those that
nobody has ordered from, or put those that are over into the archive. Sessions are made and
changed by a plan: see 'doorbuster apply'.`,
		Example: `  doorbuster sessions check fans-day-10 --admin 127.0.0.1:8081
  doorbuster sessions curve fans-day-10 --follow --admin 127.0.0.1:8081
  doorbuster sessions report fans-day-10 --admin 127.0.0.1:8081
  doorbuster sessions profile fans-day-10 rush --admin 127.0.0.1:8081
  doorbuster sessions archive fans-day-10 --admin 127.0.0.1:8081
  doorbuster sessions recall fans-day-10 --admin 127.0.0.1:8081`},
		newSessionCheckCommand(), newSessionCurveCommand(), newSessionReportCommand(), newSessionProfileCommand(),
		discarding{"sessions", "session", "delete", "Delete a session that nobody has ordered from",
			`Delete a session that nobody has ordered from. Not while it is open, nor once it is settled:
then archive it. Its reservations go with it. It can't be undone, but for applying the plan
again.`, "fans-day-10"}.command(),
		discarding{"sessions", "session", "archive", "Hide a session that is over",
			`Hide a session that is over: lists have it only where it is asked for (?archived=true).
Nothing is lost: orders and reports are found as before.`, "fans-day-10"}.command(),
		discarding{"sessions", "session", "recall", "Take a session from the archive",
			`Take a session from the archive, so that lists have it again.`, "fans-day-10"}.command())
}

// discarding is a command that takes one thing out of sight, or back.
type discarding struct{ kind, one, action, short, long, example string }

func (x discarding) command() *cobra.Command {
	o := nodeOptions{}
	if x.kind == "products" {
		o.look = "products show"
	}
	id := ""
	done := map[string]string{"delete": "deleted", "retire": "retired", "revive": "on offer again",
		"archive": "in the archive", "recall": "out of the archive"}[x.action]
	c := o.change(&cobra.Command{Use: x.action + " ID --admin ADDR", Short: x.short, Long: x.long,
		Example: "  doorbuster " + x.kind + " " + x.action + " " + x.example + " --admin 127.0.0.1:8081"}, nil,
		asking(&o, func(ctx context.Context, node *client.Client) (*wire.Discarded, error) {
			return node.Discard(ctx, x.kind, id, x.action, o.note)
		}, line(func(d *wire.Discarded) string { return x.one + " " + cli.Shown(d.ID) + " is " + done })))
	return cli.WithArguments(c, func(args []string) error {
		if len(args) != 1 || !engine.ValidID(args[0]) {
			return fmt.Errorf("name one %s by its id", x.one)
		}
		id = args[0]
		return nil
	})
}

func newProductsListCommand() *cobra.Command {
	o := nodeOptions{}
	q := struct {
		supplier, prefix, cursor string
		retired                  bool
		limit                    int
	}{}
	c := o.command(&cobra.Command{Use: "list --admin ADDR", Short: "List products, by pages"}, func() error {
		if q.supplier != "" && !engine.ValidID(q.supplier) {
			return fmt.Errorf("--supplier: %q is no id of a supplier", q.supplier)
		}
		if q.limit < 1 || q.limit > 1000 {
			return fmt.Errorf("--limit %d is not 1 to 1000", q.limit)
		}
		return nil
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Products, error) {
		query := url.Values{"limit": {strconv.Itoa(q.limit)}}
		for name, value := range map[string]string{"prefix": q.prefix, "cursor": q.cursor} {
			if value != "" {
				query.Set(name, value)
			}
		}
		if q.retired {
			query.Set("retired", "true")
		}
		if q.supplier != "" {
			return node.SupplierProducts(ctx, q.supplier, query)
		}
		return node.Products(ctx, query)
	}, printProducts))
	flags := c.Flags()
	flags.StringVar(&q.supplier, "supplier", "", "only this supplier's, by `id`")
	flags.StringVar(&q.prefix, "prefix", "", "only those whose id begins with this `text`")
	flags.BoolVar(&q.retired, "retired", false, "those that are retired, too")
	flags.IntVar(&q.limit, "limit", 100, "products a page")
	flags.StringVar(&q.cursor, "cursor", "", "where to go on, as the page before says")
	return c
}

func printProducts(w io.Writer, page *wire.Products) error {
	var b strings.Builder
	if len(page.Products) == 0 {
		b.WriteString("No such product.\n")
	} else {
		t := cli.NewTable(&b, "ID", "NAME", "SUPPLIER", "LIST PRICE", "STOCK", "PUT UP", "HELD", "PAID", "STATE")
		for i := range page.Products {
			p := &page.Products[i]
			state := ""
			if p.Retired {
				state = "retired"
			}
			use := cmp.Or(p.Use, &wire.ProductUse{})
			if use.Over > 0 {
				state = strings.TrimSpace(fmt.Sprintf("%s over by %d", state, use.Over))
			}
			t.Row(p.ID, inEnglish(p.Name), p.Supplier, fmt.Sprintf("%d %s", p.ListPrice, p.Currency),
				stockText(p.Stock),
				use.PutUp, use.Held, use.Paid, state)
		}
		t.Flush()
	}
	if page.Cursor != "" {
		fmt.Fprintf(&b, "There are more: --cursor %s\n", page.Cursor)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// inEnglish gives a text in English, or in the first language that there is.
func inEnglish(t wire.Text) string {
	if english, there := t["en"]; there {
		return english
	}
	first := ""
	for language := range t {
		if first == "" || language < first {
			first = language
		}
	}
	return t[first]
}

// stockText is what a supplier has, as a person reads it.
func stockText(s *wire.SupplierStock) string {
	switch {
	case s == nil:
		return ""
	case s.Total != nil:
		return strconv.FormatInt(*s.Total, 10) + " in all"
	case s.Remaining != nil:
		return fmt.Sprintf("%d left at %s", *s.Remaining, s.AsOf)
	}
	return ""
}

func newProductsShowCommand() *cobra.Command {
	o := nodeOptions{}
	id, supplier := "", ""
	c := o.command(&cobra.Command{Use: "show ID --admin ADDR", Short: "Show one product, and what sessions make of it"},
		nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Product, error) {
			return node.Product(ctx, supplier, id)
		}, printProduct))
	c.Flags().StringVar(&supplier, "supplier", "", "whose it must be, by `id`: what a supplier's token may ask")
	return cli.WithArguments(c, func(args []string) error {
		if len(args) != 1 || !engine.ValidID(args[0]) {
			return errors.New("name one product by its id")
		}
		id = args[0]
		return nil
	})
}

func printProduct(w io.Writer, p *wire.Product) error {
	var b strings.Builder
	t := cli.NewTable(&b)
	t.Row("id", p.ID)
	languages := make([]string, 0, len(p.Name))
	for language := range p.Name {
		languages = append(languages, language)
	}
	slices.Sort(languages)
	for _, language := range languages {
		t.Row("name "+language, p.Name[language])
	}
	t.Row("supplier", p.Supplier)
	t.Row("list price", fmt.Sprintf("%d %s", p.ListPrice, p.Currency))
	t.Row("image", p.Image)
	if p.Place != nil {
		t.Row("place", fmt.Sprintf("%g,%g", p.Place.Latitude, p.Place.Longitude))
	}
	if p.Retired {
		t.Row("retired", map[bool]string{true: "by the shop", false: "by its supplier"}[p.RetiredByShop])
	}
	t.Row("supplier's stock", stockText(p.Stock))
	if u := p.Use; u != nil {
		t.Row("put up", fmt.Sprintf("%d, of which %d held and %d paid", u.PutUp, u.Held, u.Paid))
		if u.Allowance != nil {
			t.Row("may be put up", *u.Allowance)
		}
		if u.Over > 0 {
			t.Row("OVER BY", fmt.Sprintf("%d: held or paid, and the supplier does not have them", u.Over))
		}
	}
	t.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}

func newSuppliersCommand() *cobra.Command {
	o := nodeOptions{}
	return o.command(&cobra.Command{Use: "suppliers --admin ADDR",
		Short: "List suppliers, and how many products each has"},
		nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Suppliers, error) {
			return node.Suppliers(ctx)
		}, func(w io.Writer, all *wire.Suppliers) error {
			var b strings.Builder
			t := cli.NewTable(&b, "SUPPLIER", "PRODUCTS", "RETIRED")
			for _, x := range all.Suppliers {
				t.Row(cmp.Or(x.ID, "(the shop)"), x.Products, x.Retired)
			}
			t.Flush()
			_, err := io.WriteString(w, b.String())
			return err
		}))
}

// readingFlags are how a catalogue is written.
type readingFlags struct{ format, currency, language, stock, asOf string }

func (f *readingFlags) add(c *cobra.Command) {
	flags := c.Flags()
	if flags.Lookup("format") == nil {
		flags.StringVar(&f.format, "format", string(catalogue.Auto), "`format` of the catalogue: "+
			strings.Join(catalogue.Formats(), ", "))
	}
	flags.StringVar(&f.currency, "currency", "", "ISO 4217 `code`, of rows that name none, as those of shop systems")
	flags.StringVar(&f.language, "language", "", "`language` of names that don't say theirs (en unless said)")
	f.addStock(c)
}

// addStock declares what only matters of stock.
func (f *readingFlags) addStock(c *cobra.Command) {
	c.Flags().StringVar(&f.stock, "stock", "", "what figures count that don't say so, as those of shop systems: "+
		"remaining (unless said), total, or none")
	c.Flags().StringVar(&f.asOf, "as-of", "", "when what is remaining was counted, of rows that don't say (RFC 3339)")
}

// query is what is asked of a node, or what is wrong with it.
func (f *readingFlags) query() (url.Values, error) {
	cfg := catalogue.Config{Format: catalogue.Format(f.format), Currency: f.currency, Language: f.language,
		Stock: catalogue.StockKind(f.stock)}
	errs := []error{cfg.Validate()}
	if f.asOf != "" {
		if _, err := input.Time(f.asOf); err != nil {
			errs = append(errs, fmt.Errorf("as-of: %w", err))
		}
	}
	q := url.Values{}
	for name, value := range map[string]string{"format": f.format, "currency": f.currency, "language": f.language,
		"stock": f.stock, "as_of": f.asOf} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q, errors.Join(errs...)
}

func newProductsImportCommand() *cobra.Command {
	o := nodeOptions{look: "products list"}
	reading := readingFlags{}
	supplier, file := "", ""
	replace, yes := false, false
	c := o.change(&cobra.Command{
		Use:   "import SUPPLIER FILE --admin ADDR",
		Short: "Take a supplier's products in: on top of what there is, or with --replace instead of it",
		Long: `Take a supplier's products in, - for standard input. A file is CSV with columns of ours,
NDJSON, JSON, or the CSV that Shopify, WooCommerce or Magento exports, recognised by its
header. Columns of ours are id, name, name_LANGUAGE, list_price (minor units) or price
(49.00), currency, image, latitude, longitude, total or remaining and as_of, retired.
A row says all of its product, or only how much there is of one that is there.

Every row is checked before anything is changed; a bad one is told by its line. With
--replace, products that the file lacks are deleted, or retired where a session offers
them. --timeout is how long the node may be silent.`,
	}, func() error {
		_, err := reading.query()
		if yes && !replace {
			err = errors.Join(err, errors.New("--yes is for --replace"))
		}
		return err
	}, func(c *cobra.Command) error {
		q, _ := reading.query()
		for name, value := range map[string]string{"note": o.note, "replace": yesText(replace), "sure": yesText(yes)} {
			if value != "" {
				q.Set(name, value)
			}
		}
		return o.sendCatalogue(c, file, func(send client.SendProducts) error {
			send.Query = q
			began := time.Now()
			return asking(&o, func(ctx context.Context, node *client.Client) (*wire.ProductsImport, error) {
				return node.SendProducts(ctx, supplier, send)
			}, func(w io.Writer, r *wire.ProductsImport) error {
				_, err := fmt.Fprintf(w, "%s in %s\n", productsText(r), time.Since(began).Round(time.Millisecond))
				return err
			})(c)
		})
	})
	reading.add(c)
	c.Flags().BoolVar(&replace, "replace", false, "the file takes the place of all that the supplier has")
	c.Flags().BoolVar(&yes, "yes", false, "with --replace: it is meant, although fewer than half of the supplier's "+
		"products are left")
	return cli.WithArguments(c, func(args []string) error {
		if len(args) != 2 || !engine.ValidID(args[0]) {
			return errors.New("name one supplier by its id, and one file, - for standard input")
		}
		supplier, file = args[0], args[1]
		return nil
	})
}

func yesText(yes bool) string {
	if yes {
		return "true"
	}
	return ""
}

// productsText is what came of an import, as a person reads it.
func productsText(r *wire.ProductsImport) string {
	text := fmt.Sprintf("%s: %d rows, %d products new, %d changed", cli.Shown(r.Supplier), r.Rows, r.New, r.Changed)
	if r.Action == "replace" {
		text += fmt.Sprintf(", %d gone", r.Gone)
	}
	return text + fmt.Sprintf("; it has %d now", r.Count)
}

// sendCatalogue opens a file and has it sent, with bars where somebody looks.
func (o *nodeOptions) sendCatalogue(c *cobra.Command, file string, do func(client.SendProducts) error) error {
	in, closed, err := openFile(c, file, "catalogue", catalogue.MaxBytes)
	if err != nil {
		return err
	}
	defer closed()
	send := client.SendProducts{Body: in, Size: sizeOf(in), Type: catalogueType(file)}
	b := newBars(c, send.Size)
	send.Sent, send.Progress = b.sending, b.committed
	defer b.finish()
	return do(send)
}

// catalogueType is the media type of a file by its name.
func catalogueType(file string) string {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".ndjson", ".jsonl":
		return "application/x-ndjson"
	case ".json":
		return "application/json"
	}
	return "application/octet-stream" // its beginning tells
}

func newProductsPullCommand() *cobra.Command {
	o := nodeOptions{look: "products list"}
	supplier, yes := "", false
	c := o.change(&cobra.Command{
		Use:   "pull SUPPLIER --admin ADDR",
		Short: "Fetch a supplier's catalogue now, from the URL in the configuration of the node that is asked",
		Long: `Fetch a supplier's catalogue now, from the URL that the setting catalogue.pulls of the
node that is asked has for it. With --yes also one that leaves fewer than half of the
supplier's products, which is refused else.`,
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.ProductsImport, error) {
		return node.PullCatalogue(ctx, supplier, o.note, yes)
	}, line(productsText)))
	c.Flags().BoolVar(&yes, "yes", false, "it is meant, although fewer than half of the supplier's products are left")
	return cli.WithArguments(c, func(args []string) error {
		if len(args) != 1 || !engine.ValidID(args[0]) {
			return errors.New("name one supplier by its id")
		}
		supplier = args[0]
		return nil
	})
}

package operate

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/draw"
	"doorbuster/httpapi/wire"
)

func newDrawCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "draw",
		Short: "Download a listing's draw, and check it",
		Long: `Download a listing's draw, and check it. The seed was committed to before anybody
entered, and is told once the draw has closed; anybody can do the sum again.`,
		Example: `  doorbuster draw show spirits-evening/rice-spirit-500 --addr https://shop.example.com \
    --out draw.ndjson
  doorbuster draw verify draw.ndjson --commitment HEX
  doorbuster draw verify spirits-evening/rice-spirit-500 --addr https://shop.example.com \
    --order 0123456789ABCDEFGHJKMNPQ`,
	}, newDrawShowCommand(), newDrawVerifyCommand())
}

// drawOptions say where a draw is to be had.
type drawOptions struct {
	nodeOptions
	addr         string // of the shoppers' API; "" for the operators'
	session, sku string
}

// flags adds those that say where a draw is.
func (o *drawOptions) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&o.addr, "addr", "", "`address` of the shop, as shoppers have it: no token is needed")
	flags.StringVar(&o.admin, "admin", "", "`address` of a node's admin API, with the true reasons")
	flags.StringVar(&o.tokenFile, "token-file", "", "`file` with the ops token, with --admin (else $DOORBUSTER_TOKEN)")
	flags.DurationVar(&o.timeout, "timeout", 40*time.Second, "how long to wait for each answer")
}

// source checks the flags that say where a draw is.
func (o *drawOptions) source(listing string) (err error) {
	var given bool
	o.session, o.sku, given = strings.Cut(listing, "/")
	if !given || !engine.ValidID(o.session) || !engine.ValidID(o.sku) {
		err = fmt.Errorf("%q is no listing: name it as SESSION/SKU", listing)
	}
	if (o.addr == "") == (o.admin == "") {
		return errors.Join(err, errors.New("say where the draw is, with --addr (as shoppers see it) or --admin"))
	}
	if o.output = "text"; o.addr != "" {
		o.admin, o.adminFlag = o.addr, "--addr"
	}
	return errors.Join(err, o.validate())
}

// pageEntries is how many entries are asked for at a time.
const pageEntries = 5000

// page fetches one: the operators' has the true reasons, the shoppers' what was told.
func (o *drawOptions) page(ctx context.Context, cursor string) (h draw.Header, entries []draw.Entry, next string,
	err error) {
	node, err := o.asks()
	if err != nil {
		return h, nil, "", err
	}
	if o.addr == "" {
		p, err := node.Draw(ctx, o.session, o.sku, cursor, pageEntries)
		if err != nil {
			return h, nil, "", err
		}
		h, err = o.header(&p.Draw, p.Stock)
		return h, p.Entries, p.Cursor, err
	}
	p, err := node.ShownDraw(ctx, o.session, o.sku, cursor, pageEntries)
	if err != nil {
		return h, nil, "", err
	}
	h, err = o.header(&p.Draw, p.Stock)
	return h, p.Entries, p.Cursor, err
}

// header makes the first line of a draw's file, or says that it has not closed.
func (o *drawOptions) header(d *wire.Draw, stock int64) (h draw.Header, err error) {
	if d.Seed == "" {
		return h, fmt.Errorf("the draw of %s/%s has not closed: its seed and who entered are told once it has; it is "+
			"committed to by %s", o.session, o.sku, cli.Shown(d.Commitment))
	}
	h = draw.Header{Version: draw.Version, Session: o.session, SKU: o.sku, Stock: stock, State: d.State,
		Commitment: d.Commitment, Seed: d.Seed}
	h.DrawAt, err = time.Parse(time.RFC3339, d.DrawAt)
	return h, err
}

// fetch reads all of a draw, some entries at a time.
func (o *drawOptions) fetch(ctx context.Context, begin func(draw.Header) error, each func(draw.Entry) error) error {
	for cursor, first := "", true; first || cursor != ""; first = false {
		header, entries, next, err := o.page(ctx, cursor)
		if err == nil && first {
			err = begin(header)
		}
		for i := 0; i < len(entries) && err == nil; i++ {
			err = each(entries[i])
		}
		if err != nil {
			return err
		}
		cursor = next
	}
	return nil
}

func newDrawShowCommand() *cobra.Command {
	var o drawOptions
	file := ""
	c := cli.WithArguments(&cobra.Command{
		Use:   "show SESSION/SKU (--addr URL | --admin ADDR)",
		Short: "Download a draw into a file: commitment, seed, every entry",
		RunE: func(c *cobra.Command, _ []string) error {
			return intoNewFile(file, c.OutOrStdout(), func(to io.Writer) error {
				var w *draw.Writer
				begin := func(h draw.Header) (err error) {
					w, err = draw.NewWriter(to, h)
					return err
				}
				if err := o.fetch(c.Context(), begin, func(e draw.Entry) error { return w.Add(e) }); err != nil {
					return err
				}
				return w.Close()
			})
		},
	}, func(args []string) error {
		if len(args) != 1 {
			return errors.New("name one listing, as SESSION/SKU")
		}
		return o.source(args[0])
	})
	o.flags(c)
	c.Flags().StringVar(&file, "out", "", "the `file` to write; it must not exist yet (else standard output)")
	return c
}

func newDrawVerifyCommand() *cobra.Command {
	var o drawOptions
	var file, commitment, order string
	asJSON := false
	c := cli.WithArguments(&cobra.Command{
		Use:   "verify (FILE | SESSION/SKU (--addr URL | --admin ADDR))",
		Short: "Do the sum of a draw again: seed, ranks, order, outcomes",
		Long: `Do the sum of a draw again: the seed's commitment, everybody's rank, the order,
and that the units went in that order. Exit status 0 only if all of it holds.

What a draw can't show of itself is that nobody who entered is missing: whoever
entered finds themselves in it with --order and the number that they were told. With
--commitment the seed is held against what was told beforehand, and not against
what the draw now says was told.`,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := o.read(c, file)
			if err != nil {
				return err
			}
			r := draw.Verify(d, commitment)
			if order != "" {
				r.Find(d, order)
			}
			if asJSON {
				err = cli.PrintJSON(c.OutOrStdout(), map[string]any{"holds": r.Holds(), "checked": r.Checked,
					"problems": append([]string{}, r.Problems...), "entrants": r.Entrants, "got": r.Got})
			} else {
				err = printDrawReport(c.OutOrStdout(), d, r)
			}
			if err == nil && !r.Holds() {
				err = cli.ErrQuiet
			}
			return err
		},
	}, func(args []string) (err error) {
		switch {
		case len(args) != 1:
			return errors.New("name one file, or one listing as SESSION/SKU")
		case o.addr == "" && o.admin == "":
			file = args[0]
		default:
			err = o.source(args[0])
		}
		if raw, wrong := hex.DecodeString(commitment); wrong != nil || commitment != "" && len(raw) != 32 {
			err = errors.Join(err, fmt.Errorf("--commitment %q is not 32 bytes in hex", commitment))
		}
		return err
	})
	o.flags(c)
	c.Flags().StringVar(&commitment, "commitment", "", "what was told of the seed beforehand, in `hex`")
	c.Flags().StringVar(&order, "order", "", "the `number` of an entry that must be in it")
	c.Flags().BoolVar(&asJSON, "json", false, "the report as JSON")
	return c
}

// read reads a draw from a file, or from where the flags say.
func (o *drawOptions) read(c *cobra.Command, file string) (*draw.Draw, error) {
	if file == "" {
		d := &draw.Draw{}
		return d, o.fetch(c.Context(), func(h draw.Header) error { d.Header = h; return nil },
			func(e draw.Entry) error {
				if len(d.Entries) == engine.MaxEntrants {
					return fmt.Errorf("the draw has more than %d entries", engine.MaxEntrants)
				}
				d.Entries = append(d.Entries, e)
				return nil
			})
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the draw: %w; a listing is read with --addr or --admin", err)
	}
	defer f.Close()
	d, err := draw.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

// printDrawReport says what was checked, and the verdict.
func printDrawReport(w io.Writer, d *draw.Draw, r *draw.Report) error {
	var b strings.Builder
	paint := cli.PaintFor(w)
	fmt.Fprintf(&b, "Draw of %s/%s, %d units.\n", cli.Shown(d.Session), cli.Shown(d.SKU), d.Stock)
	for _, line := range r.Checked {
		fmt.Fprintf(&b, "  checked: %s\n", cli.Shown(line))
	}
	for _, line := range r.Problems {
		b.WriteString(paint(cli.Red, "  WRONG: "+cli.Shown(line)) + "\n")
	}
	if r.Holds() {
		b.WriteString(paint(cli.Green, "The draw holds: it went by the seed that was committed to.") + "\n")
	} else {
		b.WriteString(paint(cli.Red, "The draw does NOT hold.") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

package operate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

// listPath reads the name of a list.
type listPath func(name string) (client.List, error)

// pathOfList is for risk and allow lists.
func pathOfList(name string) (client.List, error) {
	kind, rest, _ := strings.Cut(name, "/")
	switch {
	case kind == "risk":
		switch rest {
		case "shoppers", "phones", "addresses", "ips":
			return client.List(name), nil
		}
		return "", fmt.Errorf("%q is no list: risk lists are risk/shoppers, risk/phones, risk/addresses, risk/ips",
			name)
	case kind == "allowlists" && engine.ValidID(rest):
		return client.List(name), nil
	}
	return "", fmt.Errorf("%q is no list: name one such as risk/shoppers or allowlists/vips", name)
}

// pathOfReservations is for the reservations of a listing.
func pathOfReservations(name string) (client.List, error) {
	session, sku, _ := strings.Cut(name, "/")
	if !engine.ValidID(session) || !engine.ValidID(sku) {
		return "", fmt.Errorf("%q is no listing: name it as SESSION/SKU", name)
	}
	return client.List("sessions/" + session + "/skus/" + sku + "/reservations"), nil
}

func newListsCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "lists",
		Short: "Import, export and change risk lists and allow lists",
		Long: `Import, export and change risk lists and allow lists, through the admin API of any
node; all nodes go by them within a second.

Lists are risk/shoppers, risk/phones, risk/addresses and risk/ips, each row with a
level (watch, challenge, block), and allowlists/NAME. A file has an id a line, with
a comma and a level behind it if it has one; or is CSV with the columns id and
level; or has an object a line, such as {"id":"ann","level":"block"}. It is taken
whole or not at all: a bad line is told by its number, and so are names of columns
anywhere but on the first line of CSV, id first.`,
		Example: `  doorbuster lists import risk/shoppers bots.csv --replace --admin 127.0.0.1:8081
  doorbuster lists add risk/ips 203.0.113.0/24 --level block --note "farm" --admin 127.0.0.1:8081
  doorbuster lists show risk/ips 203.0.113.7 --admin 127.0.0.1:8081
  doorbuster lists export allowlists/vips --out vips.csv --admin 127.0.0.1:8081`,
	}, newListsShowCommand(), newListImportCommand("LIST", pathOfList), newListExportCommand("LIST", pathOfList),
		newListChangeCommand("add", "LIST", pathOfList), newListChangeCommand("remove", "LIST", pathOfList),
		newListForgetCommand())
}

func newReservationsCommand() *cobra.Command {
	const name = "SESSION/SKU"
	return cli.Group(&cobra.Command{
		Use:   "reservations",
		Short: "Look at and import who has reserved a listing",
		Long: `Look at and import who has reserved a listing, before its session starts. A file
has a shopper's id a line, or is CSV, or has an object such as {"id":"ann"} a line.
It is taken whole or not at all: a bad line is told by its number.`,
		Example: `  doorbuster reservations import spirits-evening/rice-spirit-500 reserved.txt --admin 127.0.0.1:8081
  doorbuster reservations show spirits-evening/rice-spirit-500 --admin 127.0.0.1:8081`,
	}, newListShowCommand(name, pathOfReservations), newListImportCommand(name, pathOfReservations),
		newListExportCommand(name, pathOfReservations),
		newListChangeCommand("add", name, pathOfReservations), newListChangeCommand("remove", name, pathOfReservations))
}

// newListsShowCommand also shows, with no argument, which lists there are.
func newListsShowCommand() *cobra.Command {
	return newListShowCommand("[LIST", pathOfList)
}

func newListShowCommand(what string, pathOf listPath) *cobra.Command {
	o := nodeOptions{}
	var list client.List
	id := ""
	use := "show " + what + " [ID] --admin ADDR"
	if strings.HasPrefix(what, "[") {
		use = "show " + what + " [ID]] --admin ADDR"
	}
	short := "Show the newest figures of a list, its first rows, or what it says of one id"
	c := o.command(&cobra.Command{Use: use, Short: short}, nil, func(c *cobra.Command) error {
		switch {
		case list == "":
			return asking(&o, readLists, printLists)(c)
		case id != "":
			return asking(&o, func(ctx context.Context, node *client.Client) (*wire.ListRow, error) {
				return node.ListRow(ctx, list, id)
			}, func(w io.Writer, row *wire.ListRow) error {
				return printRows(w, &wire.ListPage{Rows: []wire.ListRow{*row}})
			})(c)
		}
		return asking(&o, func(ctx context.Context, node *client.Client) (*wire.ListPage, error) {
			return node.List(ctx, list)
		}, printRows)(c)
	})
	return cli.WithArguments(c, func(args []string) (err error) {
		switch {
		case len(args) == 0 && strings.HasPrefix(what, "["):
			return nil
		case len(args) == 0 || len(args) > 2:
			return fmt.Errorf("name one %s, and one id at most", strings.Trim(what, "["))
		case len(args) == 2:
			id = args[1]
		}
		list, err = pathOf(args[0])
		return err
	})
}

func printRows(w io.Writer, page *wire.ListPage) error {
	var b strings.Builder
	t := cli.NewTable(&b)
	for _, row := range page.Rows {
		t.Row(row.ID, row.Level, "since "+row.Since)
	}
	t.Flush()
	if page.List != "" {
		fmt.Fprintf(&b, "%s: %d", cli.Shown(page.List), page.Count)
		if page.Cursor != "" {
			fmt.Fprintf(&b, ", of which %d are shown; export gives all", len(page.Rows))
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// readLists tells which lists there are, and how many each names.
func readLists(ctx context.Context, node *client.Client) (*map[string]int64, error) {
	risk, err := node.RiskLists(ctx)
	if err != nil {
		return nil, err
	}
	allow, err := node.AllowLists(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	for _, x := range risk.Risk {
		all["risk/"+x.List] = x.Count
	}
	for _, x := range allow.AllowLists {
		all["allowlists/"+x.List] = x.Count
	}
	return &all, nil
}

func printLists(w io.Writer, all *map[string]int64) error {
	var b strings.Builder
	t := cli.NewTable(&b)
	names := slices.Sorted(maps.Keys(*all))
	slices.SortStableFunc(names, func(a, b string) int { return -cmp.Compare(a[:1], b[:1]) }) // risk lists first
	for _, name := range names {
		t.Row(name, (*all)[name])
	}
	t.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}

// listMedia are the formats of lists, by the name that --format has for them.
var listMedia = map[string]string{"lines": "text/plain", "csv": "text/csv", "ndjson": "application/x-ndjson"}

// sureUsage is what --yes says of a change.
const sureUsage = "it is meant, although it bars a good part of the last shoppers or of all addresses"

func newListImportCommand(what string, pathOf listPath) *cobra.Command {
	o := nodeOptions{look: strings.ToLower(map[bool]string{true: "lists", false: "reservations"}[what == "LIST"]) +
		" show"}
	var list client.List
	var file, format string
	var send client.SendList
	c := o.change(&cobra.Command{
		Use:   "import " + what + " FILE --admin ADDR",
		Short: "Take a file in: on top of what there is, or with --replace instead of it",
		Long: `Take a file in, - for standard input: on top of what there is, or with --replace
instead of it, in one step. Every line is checked before anything is changed.
--timeout is how long the node may be silent.`,
	}, func() error {
		if _, known := listMedia[format]; !known && format != "" {
			return fmt.Errorf("--format %q is none of lines, csv, ndjson", format)
		}
		if send.Empty && !send.Replace {
			return errors.New("--empty is for --replace")
		}
		return nil
	}, func(c *cobra.Command) error {
		in, closed, err := openFile(c, file, "list", httpapi.MaxListBytes)
		if err != nil {
			return err
		}
		defer closed()
		text := in
		if format == "" {
			format, text = formatOfFile(file, in)
		}
		send.Body, send.Size, send.Type = text, sizeOf(in), listMedia[format]
		return o.sendList(c, list, send)
	})
	flags := c.Flags()
	flags.BoolVar(&send.Replace, "replace", false, "the file takes the place of all there is")
	flags.BoolVar(&send.Empty, "empty", false, "with --replace: the file may be empty, which takes everybody off")
	flags.StringVar(&format, "format", "", "lines, csv or ndjson (else by the file's name and its first character)")
	flags.BoolVar(&send.Sure, "yes", false, sureUsage)
	if what == "LIST" {
		flags.StringVar(&send.Level, "level", "", "of rows of a risk list that name none: watch, challenge, block "+
			"(the default)")
	}
	return cli.WithArguments(c, func(args []string) (err error) {
		if len(args) != 2 {
			return fmt.Errorf("name one %s and one file, - for standard input", what)
		}
		file = args[1]
		list, err = pathOf(args[0])
		return err
	})
}

// sendList sends a list and tells how it goes, and what came of it.
func (o *nodeOptions) sendList(c *cobra.Command, list client.List, send client.SendList) error {
	b := newBars(c, send.Size)
	send.Sent, send.Note, send.Progress = b.sending, o.note, b.committed
	began := time.Now()
	return asking(o, func(ctx context.Context, node *client.Client) (*wire.ListImport, error) {
		done, err := node.SendList(ctx, list, send)
		b.finish()
		return done, err
	}, func(w io.Writer, r *wire.ListImport) error {
		_, err := fmt.Fprintf(w, "%s in %s\n", importText(r), time.Since(began).Round(time.Millisecond))
		return err
	})(c)
}

// importText is what came of an import, as a person reads it.
func importText(r *wire.ListImport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", cli.Shown(r.List))
	switch {
	case r.Rows == 0 && r.Unchanged > 0:
		b.WriteString("nothing changed")
	case r.Action == "replace":
		fmt.Fprintf(&b, "replaced, %d rows", r.Rows)
	default:
		fmt.Fprintf(&b, "%d rows added or changed", r.Rows-r.Removed)
		if r.Removed > 0 {
			fmt.Fprintf(&b, ", %d removed", r.Removed)
		}
	}
	if r.Unchanged > 0 {
		fmt.Fprintf(&b, ", %d rows were so already", r.Unchanged)
	}
	if r.Repeated > 0 {
		fmt.Fprintf(&b, ", %d lines said the same as one before", r.Repeated)
	}
	fmt.Fprintf(&b, "; it names %d now", r.Count)
	return b.String()
}

// formatOfFile tells the format of a list by its name, or else its first character, and
// gives what is to be read instead of in then.
func formatOfFile(file string, in io.Reader) (format string, text io.Reader) {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".csv":
		return "csv", in
	case ".ndjson", ".jsonl", ".json":
		return "ndjson", in
	}
	format, first := "lines", make([]byte, 1)
	n, _ := io.ReadFull(in, first) // what is wrong with it is wrong again
	if first[0] == '{' {
		format = "ndjson"
	}
	if seeker, ok := in.(io.Seeker); ok { // so that it can be sent again
		if _, err := seeker.Seek(0, io.SeekStart); err == nil {
			return format, in
		}
	}
	return format, io.MultiReader(bytes.NewReader(first[:n]), in)
}

func newListExportCommand(what string, pathOf listPath) *cobra.Command {
	o := nodeOptions{}
	var list client.List
	var format, file string
	c := o.command(&cobra.Command{Use: "export " + what + " --admin ADDR",
		Short: "Write all of a list, as what can be imported again"}, func() error {
		if format != "csv" && format != "ndjson" {
			return fmt.Errorf("--format %q is neither csv nor ndjson", format)
		}
		return nil
	}, func(c *cobra.Command) error {
		return o.exportList(c, list, format, file)
	})
	c.Flags().StringVar(&format, "format", "csv", "csv or ndjson")
	c.Flags().StringVar(&file, "out", "", "the `file` to write; it must not exist yet (else standard output)")
	return cli.WithArguments(c, func(args []string) (err error) {
		if len(args) != 1 {
			return fmt.Errorf("name one %s", what)
		}
		list, err = pathOf(args[0])
		return err
	})
}

// exportList writes a list to file, or standard output; a file is there only once it is
// whole.
func (o *nodeOptions) exportList(c *cobra.Command, list client.List, format, file string) error {
	node, err := o.asks()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil && file != "" {
		return fmt.Errorf("%s is there already; name another, or move it away", file)
	}
	return intoNewFile(file, c.OutOrStdout(), func(to io.Writer) error {
		return node.ExportList(c.Context(), list, format, to)
	})
}

func newListChangeCommand(verb, what string, pathOf listPath) *cobra.Command {
	o := nodeOptions{look: map[bool]string{true: "lists", false: "reservations"}[what == "LIST"] + " show"}
	var list client.List
	var level string
	var ids []string
	var yes bool
	short := map[string]string{"add": "Put ids on a list, or change their level", "remove": "Take ids off a list"}[verb]
	c := o.change(&cobra.Command{Use: verb + " " + what + " ID... --admin ADDR", Short: short}, nil,
		func(c *cobra.Command) error {
			var text strings.Builder
			e := json.NewEncoder(&text)
			for _, id := range ids {
				if err := e.Encode(struct {
					ID    string `json:"id"`
					Level string `json:"level,omitempty"`
				}{id, level}); err != nil {
					return err
				}
			}
			return o.sendList(c, list, client.SendList{Body: strings.NewReader(text.String()), Size: int64(text.Len()),
				Type: listMedia["ndjson"], Sure: yes})
		})
	c.Flags().BoolVar(&yes, "yes", false, sureUsage)
	if verb == "add" && what == "LIST" {
		c.Flags().StringVar(&level, "level", "", "on a risk list: watch, challenge, block (the default)")
	}
	return cli.WithArguments(c, func(args []string) (err error) {
		if len(args) < 2 {
			return fmt.Errorf("name one %s, and the ids", what)
		}
		if ids = args[1:]; verb == "remove" {
			level = engine.LevelNone.String()
		}
		list, err = pathOf(args[0])
		return err
	})
}

func newListForgetCommand() *cobra.Command {
	o := nodeOptions{look: "lists show"}
	var list client.List
	yes := false
	c := o.change(&cobra.Command{Use: "forget allowlists/NAME --admin ADDR", Short: "Forget an allow list"}, nil,
		asking(&o, func(ctx context.Context, node *client.Client) (*wire.ListCount, error) {
			return node.ForgetList(ctx, list, o.note, yes)
		}, func(w io.Writer, forgotten *wire.ListCount) error {
			_, err := fmt.Fprintf(w, "%s is forgotten\n", cli.Shown(forgotten.List))
			return err
		}))
	c.Flags().BoolVar(&yes, "yes", false, sureUsage)
	return cli.WithArguments(c, func(args []string) (err error) {
		if len(args) != 1 || !strings.HasPrefix(args[0], "allowlists/") {
			return errors.New("name one list, such as allowlists/vips; a risk list is emptied with import --replace " +
				"--empty")
		}
		list, err = pathOfList(args[0])
		return err
	})
}

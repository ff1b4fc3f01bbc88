package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/input"
)

// listPage is what the admin API shows of a list.
type listPage struct {
	List   string    `json:"list"`
	Count  int64     `json:"count"`
	Rows   []listRow `json:"rows"`
	Cursor string    `json:"cursor,omitempty"`
}

type listRow struct {
	ID    string    `json:"id"`
	Level string    `json:"level,omitempty"`
	Since time.Time `json:"since"`
}

// listResult is what the admin API says of an import.
type listResult struct {
	List      string `json:"list"`
	Action    string `json:"action"`
	Rows      int64  `json:"rows"`
	Removed   int64  `json:"removed"`
	Unchanged int64  `json:"unchanged"`
	Repeated  int64  `json:"repeated"`
	Count     int64  `json:"count"`
}

// listPath turns the name of a list into its path of the admin API.
type listPath func(name string) (path string, err error)

// pathOfList is for risk and allow lists.
func pathOfList(name string) (string, error) {
	kind, rest, _ := strings.Cut(name, "/")
	switch {
	case kind == "risk":
		switch rest {
		case "shoppers", "phones", "addresses", "ips":
			return "/admin/v1/" + name, nil
		}
		return "", fmt.Errorf("%q is no list: risk lists are risk/shoppers, risk/phones, risk/addresses, risk/ips", name)
	case kind == "allowlists" && engine.ValidID(rest):
		return "/admin/v1/" + name, nil
	}
	return "", fmt.Errorf("%q is no list: name one such as risk/shoppers or allowlists/vips", name)
}

// pathOfReservations is for the reservations of a listing.
func pathOfReservations(name string) (string, error) {
	session, sku, _ := strings.Cut(name, "/")
	if !engine.ValidID(session) || !engine.ValidID(sku) {
		return "", fmt.Errorf("%q is no listing: name it as SESSION/SKU", name)
	}
	return "/admin/v1/sessions/" + session + "/skus/" + sku + "/reservations", nil
}

func newListsCommand() *cobra.Command {
	c := &cobra.Command{
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
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetFlagErrorFunc(badFlag)
	c.AddCommand(newListsShowCommand(), newListImportCommand("LIST", pathOfList), newListExportCommand("LIST", pathOfList),
		newListChangeCommand("add", "LIST", pathOfList), newListChangeCommand("remove", "LIST", pathOfList), newListForgetCommand())
	return c
}

func newReservationsCommand() *cobra.Command {
	const name = "SESSION/SKU"
	c := &cobra.Command{
		Use:   "reservations",
		Short: "Look at and import who has reserved a listing",
		Long: `Look at and import who has reserved a listing, before its session starts. A file
has a shopper's id a line, or is CSV, or has an object such as {"id":"ann"} a line.
It is taken whole or not at all: a bad line is told by its number.`,
		Example: `  doorbuster reservations import spirits-evening/rice-spirit-500 reserved.txt --admin 127.0.0.1:8081
  doorbuster reservations show spirits-evening/rice-spirit-500 --admin 127.0.0.1:8081`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetFlagErrorFunc(badFlag)
	c.AddCommand(newListShowCommand(name, pathOfReservations), newListImportCommand(name, pathOfReservations), newListExportCommand(name, pathOfReservations),
		newListChangeCommand("add", name, pathOfReservations), newListChangeCommand("remove", name, pathOfReservations))
	return c
}

// newListsShowCommand also shows, with no argument, which lists there are.
func newListsShowCommand() *cobra.Command {
	return newListShowCommand("[LIST", pathOfList)
}

func newListShowCommand(what string, pathOf listPath) *cobra.Command {
	o := clusterOptions{}
	var path, id string
	use := "show " + what + " [ID] --admin ADDR"
	if strings.HasPrefix(what, "[") {
		use = "show " + what + " [ID]] --admin ADDR"
	}
	c := o.command(&cobra.Command{Use: use, Short: "Show the newest figures of a list, its first rows, or what it says of one id"}, nil, func(c *cobra.Command) error {
		switch {
		case path == "":
			return o.showLists(c)
		case id != "":
			var row listRow
			if err := o.call(c.Context(), path+"/"+url.PathEscape(id), nil, &row); err != nil {
				return err
			}
			return o.showRows(c, &listPage{Rows: []listRow{row}}, &row)
		}
		var page listPage
		if err := o.call(c.Context(), path, nil, &page); err != nil {
			return err
		}
		return o.showRows(c, &page, &page)
	})
	return withArguments(c, func(args []string) (err error) {
		switch {
		case len(args) == 0 && strings.HasPrefix(what, "["):
			return nil
		case len(args) == 0 || len(args) > 2:
			return fmt.Errorf("name one %s, and one id at most", strings.Trim(what, "["))
		case len(args) == 2:
			id = args[1]
		}
		path, err = pathOf(args[0])
		return err
	})
}

func (o *clusterOptions) showRows(c *cobra.Command, page *listPage, whole any) error {
	if o.output == "json" {
		return printJSON(c.OutOrStdout(), whole)
	}
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
	for _, row := range page.Rows {
		fmt.Fprintf(table, "%s\t%s\tsince %s\n", shown(row.ID), shown(row.Level), row.Since.Format(time.RFC3339))
	}
	if page.List != "" {
		fmt.Fprintf(table, "%s: %d", shown(page.List), page.Count)
		if page.Cursor != "" {
			fmt.Fprintf(table, ", of which %d are shown; export gives all", len(page.Rows))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// showLists tells which lists there are.
func (o *clusterOptions) showLists(c *cobra.Command) error {
	var counts struct {
		Risk []struct {
			List  string
			Count int64
		} `json:"risk"`
		Allow []struct {
			List  string
			Count int64
		} `json:"allowlists"`
	}
	for _, path := range []string{"/admin/v1/risk", "/admin/v1/allowlists"} {
		if err := o.call(c.Context(), path, nil, &counts); err != nil {
			return err
		}
	}
	all := map[string]int64{}
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
	for _, x := range counts.Risk {
		all["risk/"+x.List] = x.Count
		fmt.Fprintf(table, "risk/%s\t%d\n", shown(x.List), x.Count)
	}
	for _, x := range counts.Allow {
		all["allowlists/"+x.List] = x.Count
		fmt.Fprintf(table, "allowlists/%s\t%d\n", shown(x.List), x.Count)
	}
	if o.output == "json" {
		return printJSON(c.OutOrStdout(), all)
	}
	return table.Flush()
}

// listMedia are the formats of lists, by the name that --format has for them.
var listMedia = map[string]string{"lines": "text/plain", "csv": "text/csv", "ndjson": "application/x-ndjson"}

// sureUsage is what --yes says of a change.
const sureUsage = "it is meant, although it bars a good part of the last shoppers or of all addresses"

func newListImportCommand(what string, pathOf listPath) *cobra.Command {
	o := clusterOptions{look: strings.ToLower(map[bool]string{true: "lists", false: "reservations"}[what == "LIST"]) + " show"}
	var path, file, format, level string
	var replace, empty, yes bool
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
		if empty && !replace {
			return errors.New("--empty is for --replace")
		}
		return nil
	}, func(c *cobra.Command) error {
		query := url.Values{}
		for name, value := range map[string]string{"level": level, "note": o.note} {
			if value != "" {
				query.Set(name, value)
			}
		}
		if empty {
			query.Set("empty", "true")
		}
		if yes {
			query.Set("sure", "true")
		}
		method := http.MethodPatch
		if replace {
			method = http.MethodPut
		}
		in, closed, err := openList(c, file)
		if err != nil {
			return err
		}
		defer closed()
		return o.sendList(c, method, path+"?"+query.Encode(), format, file, in)
	})
	flags := c.Flags()
	flags.BoolVar(&replace, "replace", false, "the file takes the place of all there is")
	flags.BoolVar(&empty, "empty", false, "with --replace: the file may be empty, which takes everybody off")
	flags.StringVar(&format, "format", "", "lines, csv or ndjson (else by the file's name and its first character)")
	flags.BoolVar(&yes, "yes", false, sureUsage)
	if what == "LIST" {
		flags.StringVar(&level, "level", "", "of rows of a risk list that name none: watch, challenge, block (the default)")
	}
	return withArguments(c, func(args []string) (err error) {
		if len(args) != 2 {
			return fmt.Errorf("name one %s and one file, - for standard input", what)
		}
		file = args[1]
		path, err = pathOf(args[0])
		return err
	})
}

// openList opens a file, which may be too large to be worth sending.
func openList(c *cobra.Command, file string) (in io.Reader, closed func(), err error) {
	if file == "-" {
		return c.InOrStdin(), func() {}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the list: %w", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = fmt.Errorf("%s is a folder", file)
	case info.Size() > httpapi.MaxListBytes:
		err = fmt.Errorf("%s has %s; a list may have %s", file, binaryBytes(info.Size()), binaryBytes(httpapi.MaxListBytes))
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("read the list: %w", err)
	}
	return f, func() { f.Close() }, nil
}

// sizeOf gives how much there is to read, or -1.
func sizeOf(in io.Reader) int64 {
	switch in := in.(type) {
	case *strings.Reader:
		return in.Size()
	case *os.File:
		if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size()
		}
	}
	return -1
}

// sendList sends a list and tells how it goes, and what came of it. One that can be
// read again is sent again where nothing was heard of the outcome.
func (o *clusterOptions) sendList(c *cobra.Command, method, path, format, file string, in io.Reader) error {
	return o.insist(c.Context(), func() error { return o.sendListOnce(c, method, path, format, file, in) }, func() bool {
		seeker, ok := in.(io.Seeker)
		if !ok {
			return false
		}
		_, err := seeker.Seek(0, io.SeekStart)
		return err == nil
	})
}

func (o *clusterOptions) sendListOnce(c *cobra.Command, method, path, format, file string, in io.Reader) error {
	size := sizeOf(in)
	text := bufio.NewReader(in)
	kind := listMedia[cmp.Or(format, formatOfFile(file, text))]
	ctx, cancel := context.WithCancelCause(c.Context())
	defer cancel(nil)
	silent := time.AfterFunc(o.timeout, func() { cancel(context.DeadlineExceeded) })
	defer silent.Stop()
	told := func(err error) error {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, errRefused) {
			return o.broken(cause, true)
		}
		return err
	}
	stderr := c.ErrOrStderr()
	bar := func(of int64, what string, bytes bool) *progressbar.ProgressBar {
		return progressbar.NewOptions64(of, progressbar.OptionSetWriter(stderr), progressbar.OptionShowBytes(bytes), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionSetVisibility(isTerminal(stderr)), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	sending := bar(size, "sent", true)
	began := time.Now()
	request, err := o.prepare(ctx, method, path, kind, io.TeeReader(&heard{text, func() { silent.Reset(o.timeout) }, nil}, sending))
	if err != nil {
		return err
	}
	request.ContentLength = size
	request.Header.Set("Expect", "100-continue") // one that is refused need not be sent
	request.Header.Set("Accept", "application/x-ndjson, application/problem+json")
	response, err := o.do(request)
	_ = sending.Finish() // progress is a courtesy: it may fail
	if err != nil {
		return told(err)
	}
	defer response.Body.Close()
	var committing *progressbar.ProgressBar
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		silent.Reset(o.timeout)
		var line struct {
			Committed *int64
			Of        int64
			Status    int
			listResult
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("the answer of %s is not one of a node's admin API; is --admin right? (%s)", o.admin, input.Wrong(err, len(lines.Bytes())))
		}
		switch {
		case line.Committed != nil:
			if committing == nil {
				committing = bar(line.Of, "rows", false)
			}
			_ = committing.Set64(*line.Committed)
			continue
		case line.Status != 0:
			return o.refused(line.Status, http.StatusText(line.Status), lines.Bytes())
		}
		if committing != nil {
			_ = committing.Finish()
		}
		if o.output == "json" {
			return printJSON(c.OutOrStdout(), &line.listResult)
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "%s in %s\n", line.listResult.String(), time.Since(began).Round(time.Millisecond))
		return err
	}
	return told(o.broken(cmp.Or(lines.Err(), io.ErrUnexpectedEOF), true))
}

func (r *listResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", shown(r.List))
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

// formatOfFile tells the format of a list by its name, or else its first character.
func formatOfFile(file string, text *bufio.Reader) string {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".csv":
		return "csv"
	case ".ndjson", ".jsonl", ".json":
		return "ndjson"
	}
	if first, err := text.Peek(1); err == nil && first[0] == '{' {
		return "ndjson"
	}
	return "lines"
}

func newListExportCommand(what string, pathOf listPath) *cobra.Command {
	o := clusterOptions{}
	var path, format, file string
	c := o.command(&cobra.Command{Use: "export " + what + " --admin ADDR", Short: "Write all of a list, as what can be imported again"}, func() error {
		if format != "csv" && format != "ndjson" {
			return fmt.Errorf("--format %q is neither csv nor ndjson", format)
		}
		return nil
	}, func(c *cobra.Command) error {
		return o.download(c, path+"?format="+format, file)
	})
	c.Flags().StringVar(&format, "format", "csv", "csv or ndjson")
	c.Flags().StringVar(&file, "out", "", "the `file` to write; it must not exist yet (else standard output)")
	return withArguments(c, func(args []string) (err error) {
		if len(args) != 1 {
			return fmt.Errorf("name one %s", what)
		}
		path, err = pathOf(args[0])
		return err
	})
}

// download writes what a path gives to file, or standard output; a file is there
// only once it is whole.
func (o *clusterOptions) download(c *cobra.Command, path, file string) (err error) {
	ctx, cancel := context.WithCancelCause(c.Context())
	defer cancel(nil)
	silent := time.AfterFunc(o.timeout, func() { cancel(context.DeadlineExceeded) })
	defer silent.Stop()
	if file != "" {
		if _, err := os.Lstat(file); err == nil {
			return fmt.Errorf("%s is there already; name another, or move it away", file)
		}
	}
	response, err := o.open(ctx, path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	from := &heard{response.Body, func() { silent.Reset(o.timeout) }, nil}
	to, part := c.OutOrStdout(), file+".part"
	if file != "" {
		f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		to = f
		defer func() {
			if err = errors.Join(err, f.Close()); err == nil {
				err = os.Rename(part, file)
			}
			if err != nil {
				os.Remove(part)
			}
		}()
	}
	_, err = io.Copy(to, from)
	if from.failed != nil {
		if cause := context.Cause(ctx); cause != nil {
			from.failed = cause
		}
		return o.broken(from.failed, false)
	}
	return err
}

func newListChangeCommand(verb, what string, pathOf listPath) *cobra.Command {
	o := clusterOptions{look: map[bool]string{true: "lists", false: "reservations"}[what == "LIST"] + " show"}
	var path, level string
	var ids []string
	var yes bool
	short := map[string]string{"add": "Put ids on a list, or change their level", "remove": "Take ids off a list"}[verb]
	c := o.change(&cobra.Command{Use: verb + " " + what + " ID... --admin ADDR", Short: short}, nil, func(c *cobra.Command) error {
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
		query := url.Values{}
		if o.note != "" {
			query.Set("note", o.note)
		}
		if yes {
			query.Set("sure", "true")
		}
		return o.sendList(c, http.MethodPatch, path+"?"+query.Encode(), "ndjson", "", strings.NewReader(text.String()))
	})
	c.Flags().BoolVar(&yes, "yes", false, sureUsage)
	if verb == "add" && what == "LIST" {
		c.Flags().StringVar(&level, "level", "", "on a risk list: watch, challenge, block (the default)")
	}
	return withArguments(c, func(args []string) (err error) {
		if len(args) < 2 {
			return fmt.Errorf("name one %s, and the ids", what)
		}
		if ids = args[1:]; verb == "remove" {
			level = engine.LevelNone.String()
		}
		path, err = pathOf(args[0])
		return err
	})
}

func newListForgetCommand() *cobra.Command {
	o := clusterOptions{look: "lists show"}
	path, yes := "", false
	c := o.change(&cobra.Command{Use: "forget allowlists/NAME --admin ADDR", Short: "Forget an allow list"}, nil, func(c *cobra.Command) error {
		query := url.Values{}
		if o.note != "" {
			query.Set("note", o.note)
		}
		if yes {
			query.Set("sure", "true")
		}
		var forgotten struct {
			List string `json:"list"`
		}
		if err := o.callAs(c.Context(), http.MethodDelete, path+"?"+query.Encode(), nil, &forgotten); err != nil {
			return err
		}
		if o.output == "json" {
			return printJSON(c.OutOrStdout(), &forgotten)
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "%s is forgotten\n", shown(forgotten.List))
		return err
	})
	c.Flags().BoolVar(&yes, "yes", false, sureUsage)
	return withArguments(c, func(args []string) (err error) {
		if len(args) != 1 || !strings.HasPrefix(args[0], "allowlists/") {
			return errors.New("name one list, such as allowlists/vips; a risk list is emptied with import --replace --empty")
		}
		path, err = pathOfList(args[0])
		return err
	})
}

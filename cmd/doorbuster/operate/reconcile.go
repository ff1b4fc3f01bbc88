package operate

import (
	"bytes"
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

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/statement"
)

const reconciliationsPath = "/admin/v1/reconciliations"

// What is shown of a report.
const (
	mostShownFindings = 20
	mostShownTotals   = 31 // a month of days
)

// reconcileOptions are the flags of reconcile.
type reconcileOptions struct {
	nodeOptions
	statement string
	from, to  string
	dryRun    bool
	format    string
	reading   statement.Reading
	kind      string // payments, or stock
	supplier  string
	stock     readingFlags
}

func newReconcileCommand() *cobra.Command {
	o := reconcileOptions{}
	c := o.change(&cobra.Command{
		Use:   "reconcile FILE --admin ADDR",
		Short: "Hold the cashier's statement against the orders, and book what got lost",
		Long: `Hold the cashier's statement against the orders. What it took and nobody told us
of is booked as a payment, as late as the cashier says it was; a refund that it made is
noted; every other difference is told, with its line. The report is kept on the
node that is asked, see GET /admin/v1/reconciliations.

FILE is CSV with a header, or NDJSON, in UTF-8; - is standard input:

  payment_id,order_no,amount,currency,kind,at,transaction_id
  p-1001,0123456789ABCDEFGHJKMNPQ,4900,CNY,payment,2026-09-20T02:14:59Z,
  p-1001,0123456789ABCDEFGHJKMNPQ,4900,CNY,refund,2026-09-20T02:20:00Z,

Or it is as the provider writes it (--format), also in a zip archive. auto finds out by
the header, and the report says which it took. With map:FILE, a YAML file says what the
columns are: see docs/reconciliation.md.

Other columns are ignored; refund_id, the cashier's own name of a refund, tells the
parts apart in which a payment goes back. Rows that can't be about orders of ours
(other order numbers, payouts, fees, disputes, totals, empty rows) are counted as not
ours. If what could be ours is malformed, nothing of the file is taken. The same statement again changes
nothing, and is what to do when a run broke off: each line counts once. The exit status is 0 only if the books agree.

With --kind stock, FILE is a supplier's catalogue, as 'doorbuster products import' takes
it: its figures are held against ours, product by product, and nothing is changed.`,
		Example: `  doorbuster reconcile statement.csv --dry-run --admin 127.0.0.1:8081
  doorbuster reconcile statement.csv --admin 127.0.0.1:8081
  doorbuster reconcile stock.csv --kind stock --supplier acme --admin 127.0.0.1:8081
  doorbuster reconcile day.csv --from 2026-09-20T00:00:00+08:00 --to 2026-09-21T00:00:00+08:00 --admin 127.0.0.1:8081`,
	}, func() error {
		if o.kind == kindStock {
			return o.checkStock()
		}
		_, wrong := o.query()
		if o.kind != kindPayments {
			wrong = errors.Join(fmt.Errorf("--kind %q is neither payments nor stock", o.kind), wrong)
		}
		if o.supplier != "" || o.stock != (readingFlags{}) {
			wrong = errors.Join(errors.New("--supplier, --stock and --as-of are for --kind stock"), wrong)
		}
		return wrong
	}, func(c *cobra.Command) error {
		if o.kind == kindStock {
			return o.runStock(c)
		}
		return o.run(c)
	})
	flags := c.Flags()
	flags.StringVar(&o.format, "format", statement.Auto, "`format` of the statement: "+
		strings.Join(statement.Formats(), ", ")+", or map:FILE")
	flags.StringVar(&o.kind, "kind", kindPayments, "what FILE is about: payments, or stock")
	flags.StringVar(&o.supplier, "supplier", "", "with --kind stock: whose figures they are, by `id`")
	o.stock.addStock(c)
	flags.BoolVar(&o.dryRun, "dry-run", false, "only tell what would be booked")
	flags.StringVar(&o.from, "from", "", "begin of the statement's period (RFC 3339): all payments from then on "+
		"should be in it (default: its first line's)")
	flags.StringVar(&o.to, "to", "", "end of the period, not in it (default: just after the last line's)")
	flags.StringSliceVar(&o.reading.Kinds, "ignore-kind", nil, "`kinds` of rows to leave out, separated by commas")
	flags.StringSliceVar(&o.reading.OrderPrefixes, "order-prefix", nil,
		"leave out rows whose order number begins with one of these `texts`, separated by commas: those of another "+
			"channel of the shop")
	c.AddCommand(newSetAsideCommand())
	return cli.WithArguments(c, func(args []string) error {
		if len(args) != 1 {
			return errors.New("name one statement, or - for standard input")
		}
		o.statement = args[0]
		return nil
	})
}

func newSetAsideCommand() *cobra.Command {
	var o nodeOptions
	var report string
	var differences []string
	c := o.change(&cobra.Command{
		Use:   "set-aside REPORT DIFFERENCE... --note TEXT --admin ADDR",
		Short: "Note that somebody has seen to differences of a report",
		Long: `Note that somebody has seen to differences that a report left open, by their ids, or
to "all" of them. They count as open no more, also when they are found again; who did
it, when and why is kept with the reports.`,
		Example: `  doorbuster reconcile set-aside 20260921T043000.112Z-41c7d02be95f 3f9a0c11d2e45b67 \
    --note "paid back by hand" --admin 127.0.0.1:8081`,
	}, func() error {
		if strings.TrimSpace(o.note) == "" {
			return errors.New("--note: say why")
		}
		return nil
	}, func(c *cobra.Command) error {
		body := map[string]any{"note": o.note, "differences": differences}
		if len(differences) == 1 && differences[0] == "all" {
			body = map[string]any{"note": o.note, "all": true}
		}
		var done reconcile.Report
		node, err := o.asks()
		if err != nil {
			return err
		}
		if err := node.Do(c.Context(), http.MethodPost, reconciliationsPath+"/"+url.PathEscape(report)+"/set-aside",
			body,
			&done); err != nil {
			return err
		}
		if o.output == "json" {
			return cli.PrintJSON(c.OutOrStdout(), &done)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s Still open, in all reports: %d.\n", cli.Shown(done.Verdict),
			done.OpenBefore)
		return err
	})
	return cli.WithArguments(c, func(args []string) error {
		if len(args) < 2 {
			return errors.New("name a report and its differences, or all")
		}
		report, differences = args[0], args[1:]
		return nil
	})
}

// query is how the statement is to be run, or what is wrong with that.
func (o *reconcileOptions) query() (url.Values, error) {
	q := url.Values{}
	var errs []error
	for _, bound := range [...]struct{ name, given string }{{"from", o.from}, {"to", o.to}} {
		if bound.given == "" {
			continue
		}
		if _, err := input.Time(bound.given); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", bound.name, err))
		}
		q.Set(bound.name, bound.given)
	}
	if o.dryRun {
		q.Set("dry_run", "true")
	}
	if o.note != "" {
		q.Set("note", o.note)
	}
	var how statement.Reading
	if err := how.ParseFormat(o.format, func(file string) ([]byte, error) {
		text, err := os.ReadFile(file)
		q.Set("map", string(text))
		return text, err
	}); err != nil {
		errs = append(errs, fmt.Errorf("--format: %w", err))
	} else if how.As != statement.Auto {
		q.Set("format", string(how.As))
	}
	errs = append(errs, o.reading.Validate())
	for name, list := range map[string][]string{"ignore_kind": o.reading.Kinds,
		"order_prefix": o.reading.OrderPrefixes} {
		if len(list) > 0 {
			q.Set(name, strings.Join(list, ","))
		}
	}
	if o.statement != "" && o.statement != "-" {
		q.Set("name", filepath.Base(o.statement))
	}
	return q, errors.Join(errs...)
}

func (o *reconcileOptions) run(c *cobra.Command) error {
	o.breaks = "what was booked is booked for good, and a node that has the whole statement goes on with it by " +
		"itself: run it again, at any node, for the report; doing it twice changes nothing more"
	if o.dryRun {
		o.breaks = "it was a dry run, so nothing is booked: run it again"
	}
	report, err := o.send(c)
	if err != nil {
		return fmt.Errorf("%s: %w", o.statement, err)
	}
	out := c.OutOrStdout()
	if o.output == "json" {
		err = cli.PrintJSON(out, report)
	} else {
		_, err = io.WriteString(out, reportText(report, o.admin))
	}
	switch {
	case err == nil && report.Open == 1:
		err = errors.New("the books differ: 1 finding is open")
	case err == nil && report.Open > 0:
		err = fmt.Errorf("the books differ: %d findings are open", report.Open)
	}
	return err
}

// reconcileLine is one line of what a node answers.
type reconcileLine struct {
	Progress *reconcile.Progress `json:"progress"`
	Report   *reconcile.Report   `json:"report"`
	Problem  json.RawMessage     `json:"problem"`
}

// send uploads the statement and follows its run.
func (o *reconcileOptions) send(c *cobra.Command) (*reconcile.Report, error) {
	from, size := c.InOrStdin(), int64(-1)
	if o.statement != "-" {
		f, err := os.Open(o.statement)
		if err != nil {
			return nil, errors.Unwrap(err) // the name is told already
		}
		defer f.Close()
		info, err := f.Stat()
		switch {
		case err != nil:
			return nil, err
		case info.IsDir():
			return nil, errors.New("it is a directory")
		case info.Mode().IsRegular() && info.Size() > statement.MaxBytes:
			return nil, fmt.Errorf("it has %d bytes, and a statement at most %d; split it, by day for instance",
				info.Size(), int64(statement.MaxBytes))
		case info.Mode().IsRegular():
			size = info.Size()
		}
		from = f
	}
	node, err := o.asks()
	if err != nil {
		return nil, err
	}
	bars := newReconcileBars(c.ErrOrStderr(), size)
	defer bars.end()
	q, _ := o.query()
	var report *reconcile.Report
	err = node.Upload(c.Context(), client.Upload{Method: http.MethodPost, Path: reconciliationsPath + "?" + q.Encode(),
		Type: "application/octet-stream", Body: from, Size: size, Sent: bars,
		Line: func(text []byte) (last bool, err error) {
			var line reconcileLine
			if err := node.Decode(text, &line); err != nil {
				return false, err
			}
			switch {
			case line.Progress != nil:
				bars.told(line.Progress)
			case line.Problem != nil:
				var status struct{ Status int }
				_ = json.Unmarshal(line.Problem, &status) // Refusal reads the rest of it
				return false, node.Refusal(status.Status, line.Problem)
			}
			report = line.Report
			return report != nil, nil
		}})
	return report, err
}

// reconcileBars show how far an upload and a run are, where somebody looks.
type reconcileBars struct {
	to    io.Writer
	shown bool
	size  int64
	bar   *progressbar.ProgressBar
	phase string
}

func newReconcileBars(to io.Writer, size int64) *reconcileBars {
	b := &reconcileBars{to: to, shown: cli.IsTerminal(to), size: size}
	b.next("sending", size, progressbar.OptionShowBytes(true))
	return b
}

func (b *reconcileBars) next(phase string, of int64, more ...progressbar.Option) {
	if b.bar != nil {
		_ = b.bar.Finish() // progress is a courtesy: it may fail
	}
	b.phase = phase
	options := append([]progressbar.Option{progressbar.OptionSetWriter(b.to), progressbar.OptionSetVisibility(b.shown),
		progressbar.OptionSetDescription(phase),
		progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetElapsedTime(true)}, more...)
	b.bar = progressbar.NewOptions64(of, options...)
}

// Write counts what is sent.
func (b *reconcileBars) Write(p []byte) (int, error) {
	_ = b.bar.Add(len(p))
	return len(p), nil
}

func (b *reconcileBars) told(p *reconcile.Progress) {
	if p.Phase != b.phase {
		of := p.Of
		if of == 0 {
			of = -1
		}
		b.next(p.Phase, of, progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("rows"))
	}
	_ = b.bar.Set64(p.Rows)
}

func (b *reconcileBars) end() { _ = b.bar.Finish() }

// reportText is a report as a person reads it.
func reportText(r *reconcile.Report, admin string) string {
	var b bytes.Buffer
	s := &r.Statement
	fmt.Fprintf(&b, "Statement %s: %s, %s, %s as %s, sha256 %.12s\n", cli.Shown(s.Name),
		engine.Counted(s.Payments, "payment"), engine.Counted(s.Refunds, "refund"), cli.BinaryBytes(s.Bytes),
		strings.ToUpper(string(s.Format)), s.SHA256)
	if !r.To.IsZero() {
		fmt.Fprintf(&b, "Period    %s to %s\n", r.From.Format(time.RFC3339Nano), r.To.Format(time.RFC3339Nano))
	}
	if len(r.Totals) > 0 {
		b.WriteString("\n")
		table := tabwriter.NewWriter(&b, 0, 8, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "\tTHEY TOOK\tCOMING TO\tPAID BACK\tCOMING TO\tWE HAVE\tCOMING TO\tPAID BACK\tCOMING TO\t")
		printTotals(table, r.Totals, func(t *reconcile.Total) string { return "all" })
		printTotals(table, r.Days, func(t *reconcile.Total) string { return t.Day })
		printTotals(table, r.Sessions, func(t *reconcile.Total) string { return t.Session })
		printTotals(table, r.Listings, func(t *reconcile.Total) string { return t.Session + "/" + t.SKU })
		_ = table.Flush() // into memory
		b.WriteString("Amounts are in minor units; - is what belongs to no order of ours.\n")
	}
	if r.Coupons.Count > 0 {
		fmt.Fprintf(&b, "\nCoupons paid a part of %s%s\n", engine.Counted(r.Coupons.Count, "payment"),
			sums(r.Coupons.Money))
	}
	if r.NotOurs.Count > 0 {
		fmt.Fprintf(&b, "\nNot ours: %s%s\n", engine.Counted(r.NotOurs.Count, "row"), sums(r.NotOurs.Money))
		for _, by := range r.NotOurs.By {
			fmt.Fprintf(&b, "  %s: %d%s\n", cli.Shown(by.Why), by.Count, sums(by.Money))
		}
	}
	if len(r.Counts) > 0 {
		b.WriteString("\nFindings:\n")
		table := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		for _, n := range r.Counts {
			mark := "done"
			if n.Open > 0 {
				mark = "OPEN"
			} else if n.Kind == reconcile.RefundPending {
				mark = "due"
			}
			fmt.Fprintf(table, "  %s\t%d\t%s\n", mark, n.Count, strings.ReplaceAll(string(n.Kind), "_", " "))
		}
		_ = table.Flush()
	}
	printed := 0
	for i := range r.Findings {
		f := &r.Findings[i]
		if !f.Open || printed == mostShownFindings {
			continue
		}
		printed++
		if printed == 1 {
			b.WriteString("\nOpen:\n")
		}
		where := "not in the statement"
		if f.Line > 0 {
			where = fmt.Sprintf("line %d", f.Line)
		}
		of := fmt.Sprintf("payment %s, order %s: ", f.PaymentID, f.OrderNo)
		if f.Kind == reconcile.CoversNothing {
			where, of = "the statement", ""
		}
		fmt.Fprintf(&b, "  %s  %s\n", f.ID, cli.Shown(fmt.Sprintf("%s: %s%s", where, of, f.Says)))
	}
	if r.Open > int64(printed) {
		fmt.Fprintf(&b, "  and %d more\n", r.Open-int64(printed))
	}
	if r.OpenBefore > 0 {
		fmt.Fprintf(&b, "\nStill open of earlier reports: %d (see doorbuster reconcile set-aside --help)\n",
			r.OpenBefore)
	}
	if !strings.Contains(admin, "://") {
		admin = "http://" + admin
	}
	fmt.Fprintf(&b, "\n%s\nReport %s: %s%s/%s (or ?format=csv)\n", cli.Shown(r.Verdict), cli.Shown(r.ID),
		cli.Shown(admin),
		reconciliationsPath, cli.Shown(r.ID))
	return b.String()
}

// sums is money in words, behind what it is of.
func sums(money []reconcile.Sum) string {
	var s strings.Builder
	for i, m := range money {
		s.WriteString([]string{", coming to ", ", "}[min(i, 1)])
		fmt.Fprintf(&s, "%d %s", m.Amount, m.Currency)
	}
	return s.String()
}

// printTotals writes the lines of one kind; what there is no room for is in the
// report.
func printTotals(w io.Writer, list []reconcile.Total, name func(*reconcile.Total) string) {
	for i := range list {
		if i == mostShownTotals {
			fmt.Fprintf(w, "and %d more\t\t\t\t\t\t\t\t\t\n", len(list)-i)
			return
		}
		t := &list[i]
		fmt.Fprintf(w, "%s\t", cli.Shown(name(t)))
		for _, book := range [...]reconcile.Book{t.Theirs, t.Ours} {
			fmt.Fprintf(w, "%d\t%d %s\t%d\t%d %s\t", book.Payments, book.Paid, t.Currency, book.Refunds, book.Refunded,
				t.Currency)
		}
		fmt.Fprintln(w)
	}
}

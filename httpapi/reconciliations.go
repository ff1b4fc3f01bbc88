package httpapi

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/archive"
	"doorbuster/httpapi/reconcile/intake"
	"doorbuster/httpapi/reconcile/statement"
	"doorbuster/httpapi/shipping"
	"doorbuster/httpapi/wire"
)

// Reconciler holds statements against the orders, and keeps the reports. It is met by
// intake.Service and its archive, which say what the methods do.
type Reconciler interface {
	Reconcile(ctx context.Context, from io.Reader, q intake.Request) (*reconcile.Report, error)
	Reports(ctx context.Context) ([]reconcile.Report, []archive.SilentNode, error)
	Report(ctx context.Context, id string) (*reconcile.Report, *archive.Findings, error)
	SetAside(ctx context.Context, q archive.SetAside) (*reconcile.Report, error)
}

// maxNameBytes bounds the name of a statement.
const maxNameBytes = 255

// statementQuery says how a statement is to be run.
type statementQuery struct {
	Name   string `query:"name" as:"name"` // What the statement is called.
	Note   string `query:"note" as:"note"` // Why, for the report.
	DryRun bool   `query:"dry_run"`        // Only tell what would be booked.
	// Begin of the statement's period: all payments from then on should be in it. Without it,
	// the statement's first line.
	From engine.Time `query:"from"`
	// End of the period, not in it. Without it, just after the last line.
	To engine.Time `query:"to"`
	// How the statement is written: csv is our own, as CSV or NDJSON, and auto has its header say it.
	Format string `query:"format" oneof:"auto csv wechat alipay paypal stripe adyen map"`
	Map    string `query:"map"` // With format map: the map of its columns, in YAML, of at most 4 KiB.
	// Kinds of rows to leave out, separated by commas: at most 32 of 64 bytes.
	IgnoreKind string `query:"ignore_kind"`
	// Leave out rows whose order number begins with one of these, separated by commas: at most
	// 32 of 64 bytes.
	OrderPrefix string `query:"order_prefix"`
}

// format notes how the statement is written.
func (q *statementQuery) format(how *statement.Reading) error {
	format := cmp.Or(q.Format, statement.Auto)
	if (format == string(statement.Mapped)) != (q.Map != "") {
		return errors.New("the format map and a map go together")
	}
	if q.Map != "" {
		format += ":map"
	}
	return how.ParseFormat(format, func(string) ([]byte, error) { return []byte(q.Map), nil })
}

// splitList reads a list with commas; "" is none.
func splitList(given string) []string {
	if given == "" {
		return nil
	}
	return strings.Split(given, ",")
}

// reconcile takes a statement in, and answers with its report. A client that asks
// for NDJSON hears how far it is, a line each time, and the report or the problem
// in the last one.
func (s *AdminServer) reconcile(w http.ResponseWriter, r *http.Request, asked *statementQuery) error {
	q := intake.Request{Name: asked.Name, Operator: operatorOf(r), Note: asked.Note, From: asked.From, To: asked.To,
		DryRun: asked.DryRun}
	q.Reading.Kinds, q.Reading.OrderPrefixes = splitList(asked.IgnoreKind), splitList(asked.OrderPrefix)
	badReading := asked.format(&q.Reading)
	badFilter := q.Reading.Validate()
	switch {
	case s.reconciler == nil:
		return refuse(conflict, "This node reconciles no statements.")
	case q.From != 0 && q.To != 0 && q.From >= q.To:
		return refuse(malformed, "The period must begin before it ends: from is not before to.")
	case badReading != nil:
		return refuse(malformed, "The statement can't be read so: "+
			strings.ReplaceAll(badReading.Error(), "\n", "; ")+".")
	case badFilter != nil:
		return refuse(malformed, "What to leave out can't be: "+strings.ReplaceAll(badFilter.Error(), "\n", "; ")+".")
	}
	told := newReconcileProgress(w, r)
	q.Progress = told.heard
	log := s.log.With("operator", q.Operator, "statement", q.Name, "dry_run", q.DryRun, "note", q.Note)
	report, err := s.reconciler.Reconcile(r.Context(), r.Body, q)
	if err != nil {
		log.Info("statement not reconciled", "error", err)
		return s.notReconciled(r, told, err)
	}
	log.Info("statement reconciled", "report", report.ID, "open", report.Open, "settled", report.Booked,
		"matched", report.Matched, "took_ms", report.TookMS)
	if told.streams {
		told.line(reconcileLine{Report: report})
		return nil
	}
	return s.reply(w, report)
}

// reconcileLine is a line of the answer to who asks for lines: the report or the problem
// is the last.
type reconcileLine struct {
	Progress *reconcile.Progress `json:"progress,omitempty"`
	Report   *reconcile.Report   `json:"report,omitempty"`
	Problem  *wire.Problem       `json:"problem,omitempty"`
}

var statementTooLarge = fmt.Sprintf("A statement may have %d bytes. Split it, by day for instance.",
	int64(statement.MaxBytes))

func (s *AdminServer) notReconciled(r *http.Request, told *reconcileProgress, err error) error {
	var bad *statement.Malformed
	var large *http.MaxBytesError
	var reasons []wire.PlanProblem
	kind, detail, known := problemOf(err)
	switch {
	case errors.As(err, &bad):
		for _, p := range bad.Problems {
			where := "file"
			if p.Line > 0 {
				where = fmt.Sprintf("line %d", p.Line)
			}
			reasons = append(reasons, wire.PlanProblem{Path: where, Line: int(p.Line), Message: p.Message})
		}
		kind, detail = badStatement, "Nothing of it was taken. Each problem is listed with its line."
		if bad.More > 0 {
			detail = fmt.Sprintf("Nothing of it was taken. The first %d of %d problems are listed, each with its line.",
				len(reasons), int64(len(reasons))+bad.More)
		}
	case errors.As(err, &large):
		kind, detail = tooLarge, statementTooLarge
	case errors.Is(err, intake.ErrCutOff):
		kind, detail = malformed, "The statement broke off before its end. Nothing of it was taken."
	case errors.Is(err, intake.ErrTooSlow):
		kind, detail = tooSlow, "The statement was not in after the hour that it may take. Nothing of it was taken. "+
			"Send it over a faster connection, or split it, by day for instance."
	case errors.Is(err, intake.ErrReconciling):
		kind, detail = conflict, "Another statement is being taken in or reconciled on this node. "+
			"Wait for its report, or ask another node."
	case kind == unavailable:
		detail = "The run did not come to its end. What it has booked is booked for good; " +
			"send the statement again for the rest: doing it twice changes nothing more."
	case !known:
		s.log.Error("admin request failed", "path", r.URL.Path, "error", err)
		detail = "The run did not come to its end; it was noted why. What it has booked is booked for good. " +
			"Send the statement again: doing it twice changes nothing more."
	}
	if !told.streams || told.written == 0 {
		return refuse(kind, detail, reasons...)
	}
	s.metrics.problem(kind)
	problem := problemFor(kind, detail, r.URL.EscapedPath(), reasons...)
	told.line(reconcileLine{Problem: &problem})
	return nil
}

// reconcileProgress tells a client that asked for it how far a run is.
type reconcileProgress struct {
	streams bool
	counted
	control *http.ResponseController
	last    time.Time
	header  http.Header
}

func newReconcileProgress(w http.ResponseWriter, r *http.Request) *reconcileProgress {
	return &reconcileProgress{streams: strings.Contains(r.Header.Get("Accept"), "application/x-ndjson"),
		header: w.Header(), counted: counted{to: w}, control: http.NewResponseController(w)}
}

func (p *reconcileProgress) heard(how reconcile.Progress) {
	if p.streams && time.Since(p.last) >= progressStep {
		p.last = time.Now()
		p.line(reconcileLine{Progress: &how})
	}
}

func (p *reconcileProgress) line(l reconcileLine) {
	if p.written == 0 {
		p.header.Set("Content-Type", "application/x-ndjson")
	}
	text, err := json.Marshal(l)
	if err != nil {
		panic(fmt.Sprintf("strings, numbers and times did not encode: %v", err))
	}
	// Whoever asked may have gone; the run goes on.
	_, _ = p.Write(append(text, '\n'))
	_ = p.control.Flush()
}

// mostSetAside is how many differences one request names.
const mostSetAside = 1000

// setAside has differences count as seen to.
func (s *AdminServer) setAside(r *http.Request, b *wire.SetAsideRequest) (*reconcile.Report, error) {
	id := r.PathValue("id")
	switch {
	case strings.TrimSpace(b.Note) == "":
		return nil, refuse(malformed, "Say in note why.")
	case wrongNote(b.Note) != "":
		return nil, refuse(malformed, wrongNote(b.Note))
	case b.All == (len(b.Differences) > 0):
		return nil, refuse(malformed, `Name the differences, or all of them with "all":true.`)
	case len(b.Differences) > mostSetAside:
		return nil, refuse(malformed, fmt.Sprintf("%d differences are over %d. Name fewer at a time, or all.",
			len(b.Differences), mostSetAside))
	case s.reconciler == nil || !engine.ValidID(id):
		return nil, refuse(notFound, noReport)
	}
	report, err := s.reconciler.SetAside(r.Context(), archive.SetAside{Report: id, Differences: b.Differences,
		All: b.All, Operator: operatorOf(r), Note: b.Note})
	var closed *archive.NotOpenError
	switch {
	case errors.As(err, &closed):
		wrong := closed.Error()
		return nil, refuse(conflict, strings.ToUpper(wrong[:1])+wrong[1:]+". Nothing was set aside.")
	case errors.Is(err, archive.ErrNoReport):
		return nil, refuse(notFound, noReport)
	case err != nil:
		return nil, err
	}
	s.log.Info("differences set aside", "operator", operatorOf(r), "report", id, "differences", len(report.SetAside),
		"note", b.Note)
	return report, nil
}

// reportList is what is kept, on whichever node.
type reportList struct {
	Reconciliations []reconcile.Report `json:"reconciliations"`
	// Nodes that could not be asked, or could not give a report that they have; not there if
	// all answered. What they ran last may be missing.
	Unanswered []archive.SilentNode `json:"unanswered,omitempty"`
}

// reports lists what is kept on the nodes.
func (s *AdminServer) reports(r *http.Request) (list reportList, err error) {
	list.Reconciliations = []reconcile.Report{}
	if s.reconciler == nil {
		return list, nil
	}
	kept, silent, err := s.reconciler.Reports(r.Context())
	list.Reconciliations, list.Unanswered = append(list.Reconciliations, kept...), silent
	return list, err
}

// reportQuery says which part of a report is asked for.
type reportQuery struct {
	Format string `query:"format" oneof:"json csv"` // How it is written; json without it.
	// Which part, as CSV; findings without it.
	Part string `query:"part" oneof:"findings totals days sessions listings"`
	// At most so many findings, as JSON; all without it.
	Findings int64 `query:"findings" usual:"9223372036854775807" least:"0" most:"9223372036854775807"`
	Open     bool  `query:"open"` // true: only findings that somebody must see to, as JSON.
}

// report gives a whole report: as JSON with its findings, or one part as CSV.
func (s *AdminServer) report(w http.ResponseWriter, r *http.Request, q *reportQuery) error {
	part := q.Part
	var of reportPart
	switch {
	case q.Format == "csv":
		part = cmp.Or(part, "findings")
		of = reportParts[part]
	case part != "":
		return refuse(malformed, "Parts are for CSV: ?format=csv&part=findings.")
	}
	id := r.PathValue("id")
	if s.reconciler == nil || !engine.ValidID(id) {
		return refuse(notFound, noReport)
	}
	report, findings, err := s.reconciler.Report(r.Context(), id)
	var unsure *archive.NoReportError
	switch {
	case errors.As(err, &unsure):
		return refuse(notFound, noReport+" But not all nodes could be asked: "+unsure.Nodes()+".")
	case errors.Is(err, archive.ErrNoReport):
		return refuse(notFound, noReport)
	case err != nil:
		return err
	}
	defer findings.Close()
	out := &counted{to: w}
	h := w.Header()
	if of == nil {
		h.Set("Content-Type", "application/json")
		err = writeReport(out, report, findings, q)
	} else {
		h.Set("Content-Type", "text/csv; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="`+id+"-"+part+`.csv"`)
		to := csv.NewWriter(out)
		if err = of(to, report, findings); err == nil {
			to.Flush()
			err = to.Error()
		}
	}
	if err != nil { // half a report must not look like a whole one
		s.log.Warn("report broke off", "report", id, "bytes", out.written, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

const noReport = "No report has this id. Reports are listed at /admin/v1/reconciliations; the oldest are dropped."

// writeReport writes a report with those of its findings that are to be shown,
// which may be many.
func writeReport(w io.Writer, report *reconcile.Report, findings *archive.Findings, q *reportQuery) error {
	whole := *report
	whole.Findings = []reconcile.Finding{} // the last member
	text, err := json.Marshal(&whole)
	if err != nil {
		return err
	}
	to := bufio.NewWriterSize(w, 64<<10) // which keeps its first error until it is flushed
	_, _ = to.Write(bytes.TrimSuffix(text, []byte("]}")))
	shown := int64(0)
	for line, err := range findings.Lines() {
		if err != nil {
			return err
		}
		if shown == q.Findings {
			break
		}
		if q.Open && !archive.IsOpen(line) {
			continue
		}
		if shown++; shown > 1 {
			_ = to.WriteByte(',')
		}
		if _, err := to.Write(line); err != nil {
			return err
		}
	}
	_, _ = to.WriteString("]}\n")
	return to.Flush()
}

// reportPart writes one part of a report.
type reportPart func(*csv.Writer, *reconcile.Report, *archive.Findings) error

var reportParts = map[string]reportPart{
	"findings": writeFindings,
	"totals":   totalsOf(func(r *reconcile.Report) []reconcile.Total { return r.Totals }),
	"days":     totalsOf(func(r *reconcile.Report) []reconcile.Total { return r.Days }),
	"sessions": totalsOf(func(r *reconcile.Report) []reconcile.Total { return r.Sessions }),
	"listings": totalsOf(func(r *reconcile.Report) []reconcile.Total { return r.Listings }),
}

func writeFindings(to *csv.Writer, _ *reconcile.Report, findings *archive.Findings) error {
	if err := to.Write(strings.Split("line,kind,open,outcome,payment_id,order_no,session,sku,state,currency,"+
		"theirs,ours,at,says,id", ",")); err != nil {
		return err
	}
	inert := shipping.Inert // what strangers wrote
	amount := func(v *int64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatInt(*v, 10)
	}
	for line, err := range findings.Lines() {
		if err != nil {
			return err
		}
		var f reconcile.Finding
		if err := json.Unmarshal(line, &f); err != nil {
			return fmt.Errorf("a finding: %w", err)
		}
		if err := to.Write([]string{strconv.FormatInt(f.Line, 10), string(f.Kind), strconv.FormatBool(f.Open),
			f.Outcome, inert(f.PaymentID), inert(f.OrderNo), inert(f.Session), inert(f.SKU), f.State, f.Currency,
			amount(f.Theirs), amount(f.Ours), f.At.Format(time.RFC3339Nano), inert(f.Says), f.ID}); err != nil {
			return err
		}
	}
	return nil
}

func totalsOf(list func(*reconcile.Report) []reconcile.Total) reportPart {
	return func(to *csv.Writer, r *reconcile.Report, _ *archive.Findings) error {
		if err := to.Write(strings.Split("day,session,sku,currency,their_payments,their_paid,their_refunds,"+
			"their_refunded,our_payments,our_paid,our_refunds,our_refunded", ",")); err != nil {
			return err
		}
		for _, t := range list(r) {
			row := []string{t.Day, t.Session, t.SKU, t.Currency}
			for _, b := range [...]reconcile.Book{t.Theirs, t.Ours} {
				for _, n := range [...]int64{b.Payments, b.Paid, b.Refunds, b.Refunded} {
					row = append(row, strconv.FormatInt(n, 10))
				}
			}
			if err := to.Write(row); err != nil {
				return err
			}
		}
		return nil
	}
}

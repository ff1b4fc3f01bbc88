package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/statement"
)

// reportsFolder is where a node keeps its reports, below its data directory.
const reportsFolder = "reconciliations"

// statementPatience is how long a statement may take to come in: the largest one
// needs 1.2 MB a second. Only then can the next one be taken, and it would wait for
// as long as somebody sends a byte now and then.
const statementPatience = time.Hour

// reconciler takes statements in and runs them, one at a time.
type reconciler struct {
	books   reconcile.Accounts
	reports reports
	node    string
	zone    *time.Location
	leads   func() bool
	logger  *slog.Logger

	others   otherReports               // nil on a lone node
	uncopied map[string]*uncopiedReport // by id; of the goroutine that copies

	patience time.Duration // for a statement to come in

	running sync.Mutex      // held while a statement is taken in and run
	ctx     context.Context // ends with the node
	stop    context.CancelFunc
	under   sync.WaitGroup // the copying of reports

	settled, ranAt prometheus.Gauge // of the last run that was no dry one
	notCopied      atomic.Int64     // reports of other nodes
	failed         prometheus.Counter

	failing  sync.Mutex
	failures []engine.Alarm // statements whose run failed, the oldest first; under failing
}

var _ httpapi.Reconciler = (*reconciler)(nil)

func newReconciler(cfg Config, books reconcile.Accounts, leads func() bool, logger *slog.Logger, metrics prometheus.Registerer) (*reconciler, error) {
	zone, err := calendar.Zone(cfg.Reconcile.Timezone)
	if err != nil {
		return nil, fmt.Errorf("reconcile.timezone: %w", err)
	}
	r := &reconciler{books: books, reports: reports{dir: filepath.Join(cfg.Data, reportsFolder)}, node: cfg.Node, zone: zone, leads: leads, logger: logger, patience: statementPatience}
	r.ctx, r.stop = context.WithCancel(context.Background())
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "doorbuster_reconciliation_" + name, Help: help})
		metrics.MustRegister(g)
		return g
	}
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_reconciliation_open",
		Help: "ALARM (reconciliation_open) if over 0: differences between the cashier's books and ours, of all reports " +
			"that are kept, that nothing has settled and nobody has set aside; on the leader, 0 elsewhere."},
		func() float64 {
			if !r.leads() {
				return 0
			}
			open, _, err := r.reports.openNow()
			if err != nil {
				r.logger.Warn("the reports of reconciliations can't be read", "error", err)
			}
			return float64(open)
		}))
	r.settled = gauge("settled", "Payments and refunds that nobody had told us of before the last statement run here did.")
	r.ranAt = gauge("last_run_seconds", "When the last statement was run here, in seconds since 1970.")
	r.failed = prometheus.NewCounter(prometheus.CounterOpts{Name: "doorbuster_reconciliation_failed_total",
		Help: "ALARM (reconciliation_failed) if it grows: statements that could not be taken, or whose run did not come to " +
			"its end."})
	metrics.MustRegister(r.failed)
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_reconciliation_reports_not_copied",
		Help: "ALARM (reports_not_copied) if it stays over 0: reports of other nodes that this node could not copy."},
		func() float64 { return float64(r.notCopied.Load()) }))
	return r, nil
}

// close ends what is under way and waits for it: a run that begins meanwhile sees
// that the node ends, and a statement that comes in is given up with its next part.
func (r *reconciler) close() {
	r.stop()
	r.running.Lock()
	defer r.running.Unlock()
	r.under.Wait()
}

// Reconcile keeps the statement in a file of its own while it is run: it is read
// more than once.
func (r *reconciler) Reconcile(_ context.Context, from io.Reader, q httpapi.StatementRequest) (report *reconcile.Report, err error) {
	if !r.running.TryLock() {
		return nil, httpapi.ErrReconciling
	}
	defer r.running.Unlock()
	if err := r.ctx.Err(); err != nil {
		return nil, fmt.Errorf("the node is closing: %w", err)
	}
	defer func() {
		r.cameToEnd(q.Name, err)
	}()
	if err := r.reports.prepare(); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", r.reports.dir, err)
	}
	f, err := os.CreateTemp(r.reports.dir, "statement-*"+partSuffix)
	if err != nil {
		return nil, fmt.Errorf("keep the statement: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	hash := sha256.New()
	in := &takenIn{from: from, until: time.Now().Add(r.patience), ended: r.ctx.Err}
	size, err := io.Copy(io.MultiWriter(f, hash), in)
	switch {
	case r.ctx.Err() != nil:
		return nil, fmt.Errorf("the node is closing: %w", r.ctx.Err())
	case in.late:
		return nil, fmt.Errorf("%w: %d bytes were there after %s", httpapi.ErrTooSlow, size, r.patience)
	case in.failed != nil && !isTooLarge(in.failed):
		return nil, fmt.Errorf("%w: %w", httpapi.ErrCutOff, in.failed)
	case in.failed != nil:
		return nil, in.failed
	case err != nil:
		return nil, fmt.Errorf("keep the statement: %w", err)
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	return r.run(f, q, reconcile.StatementFile{Name: q.Name, SHA256: sum, Bytes: size})
}

// takenIn keeps apart what went wrong with who sends from what went wrong here.
type takenIn struct {
	from   io.Reader
	until  time.Time
	ended  func() error // why the node ends; nil while it goes on
	failed error
	late   bool // it was not whole at until
}

func (t *takenIn) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	if err == nil {
		if err = t.ended(); err == nil && time.Now().After(t.until) {
			err, t.late = httpapi.ErrTooSlow, true
		}
	}
	if err != nil && err != io.EOF {
		t.failed = err
	}
	return n, err
}

// run reconciles what is in f, whether or not anybody waits for it.
func (r *reconciler) run(f *os.File, q httpapi.StatementRequest, file reconcile.StatementFile) (*reconcile.Report, error) {
	began := time.Now()
	hash := sha256.Sum256([]byte(r.node + " " + file.SHA256))
	id := reportID(began, hash[:])
	open, err := r.reports.openDifferences()
	if err != nil {
		return nil, fmt.Errorf("read what is open: %w", err)
	}
	keep, err := r.reports.begin(id)
	if err != nil {
		return nil, fmt.Errorf("begin the report: %w", err)
	}
	o := reconcile.DefaultOptions()
	o.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(f, 0, file.Bytes)), nil
	}
	o.File, o.From, o.To, o.Zone, o.DryRun, o.Progress, o.Finding = file, q.From, q.To, r.zone, q.DryRun, q.Progress, keep.finding
	o.Filter, o.SetAside = q.Filter, r.reports.isAside
	var closes []string
	if len(open) > 0 && !q.DryRun {
		o.Agreed = func(kind statement.Kind, paymentID string) {
			of := about{kind, paymentID}
			closes = append(closes, open[of]...)
			delete(open, of)
		}
	}
	report, err := reconcile.Run(r.ctx, r.books, o)
	if err != nil {
		keep.drop()
		return nil, err
	}
	report.ID, report.Node, report.Operator, report.Note = id, r.node, q.Operator, q.Note
	report.Closes = closes
	if err := keep.keep(report); err != nil {
		return nil, fmt.Errorf("keep the report: %w", err)
	}
	if !q.DryRun {
		r.settled.Set(float64(report.Settled))
		r.ranAt.Set(float64(began.UnixMilli()) / 1000)
	}
	return report, r.reports.asOfNow(report)
}

// failedFor is how long a statement whose run failed is an alarm, unless one of its
// name does before; failuresKept is how many are.
const (
	failedFor    = 24 * time.Hour
	failuresKept = 16
)

// cameToEnd notes how the run of a statement ended.
func (r *reconciler) cameToEnd(name string, err error) {
	if err != nil {
		r.failed.Inc()
	}
	now := time.Now()
	r.failing.Lock()
	defer r.failing.Unlock()
	r.failures = slices.DeleteFunc(r.failures,
		func(a engine.Alarm) bool { return a.About == name || now.Sub(a.Since) > failedFor })
	if err == nil || r.ctx.Err() != nil {
		return
	}
	if len(r.failures) == failuresKept {
		r.failures = slices.Delete(r.failures, 0, 1)
	}
	r.failures = append(r.failures, engine.Alarm{Name: engine.AlarmReconciliationFailed, About: name, Since: now,
		Detail: fmt.Sprintf("The statement %q could not be taken: %v.", name, err),
		Advice: "Have it sent again, mended, under the same name."})
}

// Alarms are what operators have to see to of the books. What stays open is told by
// the node that leads.
func (r *reconciler) Alarms() []engine.Alarm {
	r.failing.Lock()
	all := slices.DeleteFunc(slices.Clone(r.failures),
		func(a engine.Alarm) bool { return time.Since(a.Since) > failedFor })
	r.failing.Unlock()
	if n := r.notCopied.Load(); n > 0 {
		all = append(all, engine.Alarm{Name: engine.AlarmReportsNotCopied, Node: r.node,
			Detail: fmt.Sprintf("Reports of other nodes that this one could not copy: %d.", n),
			Advice: "They are asked for again. Bring the nodes that have them back."})
	}
	open, oldest, err := r.reports.openNow()
	if open == 0 || err != nil || !r.leads() {
		return all
	}
	since, _ := time.Parse("20060102T150405.000Z", strings.SplitN(oldest, "-", 2)[0]) // as reportID has it
	return append(all, engine.Alarm{Name: engine.AlarmReconciliationOpen, Since: since,
		Detail: fmt.Sprintf("%s between the cashier's books and ours, the oldest in report %s.", counted(open,
			"open difference"), oldest),
		Advice: "See to each; a later statement settles it, or: doorbuster reconcile set-aside " + oldest + " DIFFERENCE " +
			"--note TEXT --admin ADDR"})
}

// isMalformed tells whether a file is no statement, so that trying again is of no
// use.
func isMalformed(err error) bool {
	var bad *statement.Malformed
	return errors.As(err, &bad) || isTooLarge(err)
}

func isTooLarge(err error) bool {
	var large *http.MaxBytesError
	return errors.As(err, &large)
}

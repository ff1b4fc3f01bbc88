// Package intake takes the cashier's statements in, one at a time, has them reconciled,
// and has the reports archived. A statement is kept in a file of its own meanwhile,
// because it is read more than once; once it is in, its run goes on whether or not
// anybody waits for it, until the node ends.
//
// Start reading at Service.Reconcile.
package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/archive"
	"doorbuster/httpapi/reconcile/statement"
)

// Errors of Reconcile, besides a *statement.Malformed and a *http.MaxBytesError.
var (
	// ErrReconciling: one run at a time; another is under way on this node.
	ErrReconciling = errors.New("another statement is being taken in or reconciled")
	// ErrCutOff: the statement broke off before it had come in whole.
	ErrCutOff = errors.New("the statement broke off before its end")
	// ErrTooSlow: the statement took too long to come in; another may wait for it.
	ErrTooSlow = errors.New("the statement took too long to come in")
)

// patience is how long a statement may take to come in: the largest one needs 1.2 MB a
// second. Only then can the next one be taken, and it would wait for as long as somebody
// sends a byte now and then.
const patience = time.Hour

// Config is what a Service is made of.
type Config struct {
	Dir        string // of the archive
	Node       string
	Zone       *time.Location // of the days of what belongs to no order
	Accounts   reconcile.Accounts
	Leads      func() bool // whether this node does; it tells what is open
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Service takes statements in and runs them. Safe for concurrent use.
type Service struct {
	*archive.Archive
	cfg      Config
	patience time.Duration

	running sync.Mutex      // held while a statement is taken in and run
	ctx     context.Context // ends with the node
	stop    context.CancelFunc
	copying sync.WaitGroup

	booked, ranAt prometheus.Gauge // of the last run that was no dry one
	failed        prometheus.Counter

	failing  sync.Mutex
	failures []engine.Alarm // statements whose run failed, the oldest first; under failing
}

// New gives a Service whose archive has read nothing yet. It is to be closed.
func New(cfg Config) *Service {
	s := &Service{cfg: cfg, patience: patience,
		Archive: archive.New(archive.Config{Dir: cfg.Dir, Node: cfg.Node, Log: cfg.Log})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.booked = prometheus.NewGauge(prometheus.GaugeOpts{Name: "doorbuster_reconciliation_settled",
		Help: "Payments and refunds that nobody had told us of before the last statement run here did."})
	s.ranAt = prometheus.NewGauge(prometheus.GaugeOpts{Name: "doorbuster_reconciliation_last_run_seconds",
		Help: "When the last statement was run here, in seconds since 1970."})
	s.failed = prometheus.NewCounter(prometheus.CounterOpts{Name: "doorbuster_reconciliation_failed_total",
		Help: "ALARM (reconciliation_failed) if it grows: statements that could not be taken, or whose run did not " +
			"come to its end."})
	cfg.Registerer.MustRegister(s.booked, s.ranAt, s.failed,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_reconciliation_open",
			Help: "ALARM (reconciliation_open) if over 0: differences between the cashier's accounts and ours, of " +
				"all reports that are kept, that nothing has settled and nobody has set aside; on the leader, 0 " +
				"elsewhere."},
			func() float64 { open, _ := s.open(); return float64(open) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_reconciliation_reports_not_copied",
			Help: "ALARM (reports_not_copied) if it stays over 0: reports of other nodes that this node could not " +
				"copy."},
			func() float64 { return float64(s.NotCopied()) }))
	return s
}

// open counts what is open, on the node that leads.
func (s *Service) open() (open int64, oldest string) {
	if !s.cfg.Leads() {
		return 0, ""
	}
	open, oldest, err := s.OpenNow()
	if err != nil {
		s.cfg.Log.Warn("the reports of reconciliations can't be read", "error", err)
	}
	return open, oldest
}

// Join begins to copy the reports of other nodes.
func (s *Service) Join(others archive.Others) {
	s.Archive.Join(others)
	s.copying.Go(func() { s.KeepCopying(s.ctx) })
}

// Stop ends what is under way: a statement that comes in is given up with its next part.
func (s *Service) Stop() { s.stop() }

// Close stops, and waits for what is under way.
func (s *Service) Close() {
	s.stop()
	s.running.Lock()
	defer s.running.Unlock()
	s.copying.Wait()
}

// Request says how a statement is to be run.
type Request struct {
	Name     string // of the file; "" if it has none
	Operator string
	Note     string
	From, To engine.Time // the period, where it is known
	Reading  statement.Reading
	DryRun   bool
	Progress func(reconcile.Progress) // may be nil
}

// Reconcile takes a statement in and runs it. Once it is in, the run goes on whether or
// not ctx does, until the node ends. Errors other than those above may come after
// payments were booked, each of them for good.
func (s *Service) Reconcile(_ context.Context, from io.Reader, q Request) (report *reconcile.Report, err error) {
	if !s.running.TryLock() {
		return nil, ErrReconciling
	}
	defer s.running.Unlock()
	if err := s.ended(); err != nil {
		return nil, err
	}
	defer func() { s.cameToEnd(q.Name, err) }()
	f, err := s.Scratch()
	if err != nil {
		return nil, fmt.Errorf("keep the statement: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hash := sha256.New()
	in := &takenIn{from: from, until: time.Now().Add(s.patience), ended: s.ended}
	size, err := io.Copy(io.MultiWriter(f, hash), in)
	switch {
	case s.ctx.Err() != nil:
		return nil, s.ended()
	case in.late:
		return nil, fmt.Errorf("%w: %d bytes were there after %s", ErrTooSlow, size, s.patience)
	case in.failed != nil && !isTooLarge(in.failed):
		return nil, fmt.Errorf("%w: %w", ErrCutOff, in.failed)
	case in.failed != nil:
		return nil, in.failed
	case err != nil:
		return nil, fmt.Errorf("keep the statement: %w", err)
	}
	file := reconcile.StatementFile{Name: q.Name, SHA256: hex.EncodeToString(hash.Sum(nil)), Bytes: size}
	return s.run(f, q, file)
}

// ended is why the node takes nothing any more; nil while it does.
func (s *Service) ended() error {
	if err := s.ctx.Err(); err != nil {
		return fmt.Errorf("the node is closing: %w", err)
	}
	return nil
}

// takenIn keeps apart what went wrong with who sends from what went wrong here.
type takenIn struct {
	from   io.Reader
	until  time.Time
	ended  func() error
	failed error
	late   bool // it was not whole at until
}

func (t *takenIn) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	if err == nil {
		if err = t.ended(); err == nil && time.Now().After(t.until) {
			err, t.late = ErrTooSlow, true
		}
	}
	if err != nil && err != io.EOF {
		t.failed = err
	}
	return n, err
}

func isTooLarge(err error) bool {
	var large *http.MaxBytesError
	return errors.As(err, &large)
}

// Unusable reports whether a file is no statement, so that trying again is of no use.
func Unusable(err error) bool {
	var bad *statement.Malformed
	return errors.As(err, &bad) || isTooLarge(err)
}

// run reconciles what is in f, whether or not anybody waits for it.
func (s *Service) run(f io.ReaderAt, q Request, file reconcile.StatementFile) (*reconcile.Report, error) {
	began := time.Now()
	id := archive.ID(began, sha256.Sum256([]byte(s.cfg.Node+" "+file.SHA256)))
	open, err := s.Open()
	if err != nil {
		return nil, fmt.Errorf("read what is open: %w", err)
	}
	w, err := s.Begin(id)
	if err != nil {
		return nil, err
	}
	o := reconcile.DefaultOptions()
	o.Open = func() (io.ReadCloser, error) { return statement.Unpacked(f, file.Bytes) }
	o.File, o.From, o.To, o.Zone, o.Reading, o.DryRun = file, q.From, q.To, s.cfg.Zone, q.Reading, q.DryRun
	o.Progress, o.Finding, o.SetAside = q.Progress, w.Finding, s.IsAside
	var closes []string
	if !q.DryRun {
		o.Agreed = func(kind statement.Kind, paymentID string) {
			of := archive.About{Kind: kind, PaymentID: paymentID}
			closes = append(closes, open[of]...)
			delete(open, of)
		}
	}
	report, err := reconcile.Run(s.ctx, s.cfg.Accounts, o)
	if err != nil {
		w.Drop()
		return nil, err
	}
	report.ID, report.Node, report.Operator, report.Note, report.Closes = id, s.cfg.Node, q.Operator, q.Note, closes
	if err := w.Keep(report); err != nil {
		return nil, err
	}
	if !q.DryRun {
		s.booked.Set(float64(report.Booked))
		s.ranAt.Set(float64(began.UnixMilli()) / 1000)
	}
	return report, s.AsOfNow(report)
}

// failedFor is how long a statement whose run failed is an alarm, unless one of its
// name does before; failuresKept is how many are.
const (
	failedFor    = 24 * time.Hour
	failuresKept = 16
)

// cameToEnd notes how the run of a statement ended.
func (s *Service) cameToEnd(name string, err error) {
	if err != nil {
		s.failed.Inc()
	}
	now := time.Now()
	s.failing.Lock()
	defer s.failing.Unlock()
	s.failures = slices.DeleteFunc(s.failures,
		func(a engine.Alarm) bool { return a.About == name || now.Sub(a.Since) > failedFor })
	if err == nil || s.ctx.Err() != nil {
		return
	}
	if len(s.failures) == failuresKept {
		s.failures = slices.Delete(s.failures, 0, 1)
	}
	s.failures = append(s.failures, engine.Alarm{Name: engine.AlarmReconciliationFailed, About: name, Since: now,
		Detail: fmt.Sprintf("The statement %q could not be taken: %v.", name, err),
		Advice: "Have it sent again, mended, under the same name."})
}

// Alarms are what operators have to see to of the accounts. What stays open is told by
// the node that leads.
func (s *Service) Alarms() []engine.Alarm {
	s.failing.Lock()
	all := slices.DeleteFunc(slices.Clone(s.failures),
		func(a engine.Alarm) bool { return time.Since(a.Since) > failedFor })
	s.failing.Unlock()
	if n := s.NotCopied(); n > 0 {
		all = append(all, engine.Alarm{Name: engine.AlarmReportsNotCopied, Node: s.cfg.Node,
			Detail: fmt.Sprintf("Reports of other nodes that this one could not copy: %d.", n),
			Advice: "They are asked for again. Bring the nodes that have them back."})
	}
	if open, oldest := s.open(); open > 0 {
		all = append(all, engine.Alarm{Name: engine.AlarmReconciliationOpen, Since: archive.MadeAt(oldest),
			Detail: fmt.Sprintf("%s between the cashier's accounts and ours, the oldest in report %s.",
				engine.Counted(open, "open difference"), oldest),
			Advice: "See to each; a later statement settles it, or: doorbuster reconcile set-aside " + oldest +
				" DIFFERENCE --note TEXT --admin ADDR"})
	}
	return all
}

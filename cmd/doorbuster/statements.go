package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/hidden"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/statement"
)

// How statements are fetched from a folder or a URL, once a day.
const (
	dailyOperator = "daily"       // in reports and logs
	lookEvery     = time.Minute   // a file is taken once it is the same twice
	dailyWindow   = 3 * time.Hour // of the folder, after the hour: what comes later waits for the next day
	catchUpDays   = 31            // back from today, whose statements are fetched
	firstWait     = time.Minute   // before a day is asked for again, twice as long each time
	mostWait      = time.Hour
	fetchPatience = time.Minute     // for the next part of a statement
	doneFolder    = "done"          // below the folder: what was reconciled
	failedFolder  = "failed"        // what is no statement
	problemSuffix = ".problems.txt" // and what is wrong with it
	sinceFile     = "daily-since"   // among the reports: the first day that was wanted
)

// statementFilter is what the daily reconciliation leaves out.
func (c Config) statementFilter() statement.Filter {
	return statement.Filter{Kinds: c.Reconcile.IgnoreKinds, OrderPrefixes: c.Reconcile.OrderPrefixes}
}

func sameFolder(a, b string) bool {
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// filledURL names the period that a statement is fetched for.
func filledURL(u string, from, to time.Time) string {
	return strings.NewReplacer("{date}", from.Format(time.DateOnly), "{from}", url.QueryEscape(from.Format(time.RFC3339)), "{to}", url.QueryEscape(to.Format(time.RFC3339))).Replace(u)
}

// daily reconciles what is in the folder and at the URL, once a day on whichever
// node leads then.
type daily struct {
	cfg    Config
	desk   httpapi.Reconciler
	leads  func() bool
	now    func() time.Time
	zone   *time.Location
	logger *slog.Logger
	client *http.Client

	seen  map[string]fileLook // files of the folder at the last look
	had   map[string]bool     // days whose statement is reconciled, by any node
	since string              // the first day that this shop wants a statement of; "" before the first look
	ended chan struct{}       // nil before the beginning
	stop  context.CancelFunc

	failures prometheus.Counter
	mu       sync.Mutex
	lacking  map[string]*lackingDay // by day: what could not be had so far
	folder   *lackingDay            // nil while the folder can be read
}

// lackingDay is a day whose statement could not be had.
type lackingDay struct {
	since time.Time // of the first try
	wait  time.Duration
	again time.Time
	why   string
}

// fileLook is what a file looked like.
type fileLook struct {
	size    int64
	changed time.Time
}

// newDaily gives nil where there is nothing to do daily. The configuration is valid.
func newDaily(cfg Config, desk httpapi.Reconciler, leads func() bool, logger *slog.Logger, metrics prometheus.Registerer) (*daily, error) {
	if cfg.Reconcile.Folder == "" && cfg.Reconcile.URL == "" {
		return nil, nil
	}
	zone, err := calendar.Zone(cfg.Reconcile.Timezone)
	if err != nil {
		return nil, err
	}
	d := &daily{cfg: cfg, desk: desk, leads: leads, now: time.Now, zone: zone, logger: logger, seen: map[string]fileLook{}, had: map[string]bool{}, lacking: map[string]*lackingDay{}}
	d.failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "doorbuster_reconciliation_fetch_failures_total",
		Help: "Times that the statement of a day, or the folder of statements, could not be had."})
	metrics.MustRegister(d.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_reconciliation_days_lacking",
		Help: "ALARM (statement_lacking) if over 0: days whose statement was due and could not be had so far, on the " +
			"leader; 0 elsewhere."},
		func() float64 {
			d.mu.Lock()
			defer d.mu.Unlock()
			return float64(len(d.lacking))
		}))
	if cfg.wall != nil {
		d.now = cfg.wall
	}
	// No redirects: what is signed is for that address alone.
	d.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ResponseHeaderTimeout: fetchPatience, MaxResponseHeaderBytes: 64 << 10}}
	return d, nil
}

func (d *daily) begin() {
	if d == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop, d.ended = stop, make(chan struct{})
	go func() {
		defer close(d.ended)
		every := time.NewTicker(lookEvery)
		defer every.Stop()
		for {
			d.look(ctx)
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
		}
	}()
}

func (d *daily) end() {
	if d == nil || d.ended == nil {
		return
	}
	d.stop()
	<-d.ended
	d.client.CloseIdleConnections()
}

// last is when the last reconciliation was due.
func (d *daily) last() time.Time {
	at, _ := time.Parse("15:04", d.cfg.Reconcile.At) // checked by Validate
	now := d.now().In(d.zone)
	on := func(days int) time.Time {
		return calendar.FirstInstant(time.Date(now.Year(), now.Month(), now.Day()+days, at.Hour(), at.Minute(), 0, 0, time.UTC), d.zone)
	}
	if due := on(0); !due.After(now) {
		return due
	}
	return on(-1)
}

// look does what is to be done now, if this node leads.
func (d *daily) look(ctx context.Context) {
	if d.cfg.Reconcile.URL != "" && d.since == "" {
		d.begun()
	}
	if !d.leads() {
		clear(d.seen)
		d.mu.Lock()
		clear(d.lacking) // whoever leads sees to them
		d.folder = nil
		d.mu.Unlock()
		return
	}
	due := d.last()
	if d.cfg.Reconcile.URL != "" {
		d.fetchDays(ctx, due)
	}
	if d.cfg.Reconcile.Folder == "" || d.now().Sub(due) >= dailyWindow {
		clear(d.seen)
		return
	}
	d.lookInFolder(ctx)
}

// begun finds out, or notes, from which day on the shop wants statements: a node that
// was off for days catches up on them, and a new shop asks for none from before it.
func (d *daily) begun() {
	path := filepath.Join(d.cfg.Data, reportsFolder, sinceFile)
	if text, err := os.ReadFile(path); err == nil {
		if _, err := time.Parse(time.DateOnly, string(text)); err == nil {
			d.since = string(text)
			return
		}
	}
	d.since = d.day(d.last(), -1).name
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = writeWhole(path, []byte(d.since))
	}
	if err != nil {
		d.logger.Warn("it can't be noted since when statements are wanted; after a restart, days before it are not caught up", "error", err)
	}
}

// oneDay is a day of the zone.
type oneDay struct {
	name     string // 2026-09-20
	from, to time.Time
}

// day gives the day of at, or so many days from it.
func (d *daily) day(at time.Time, days int) oneDay {
	year, month, day := at.In(d.zone).Date()
	from := calendar.Midnight(year, month, day+days, d.zone)
	return oneDay{time.Date(year, month, day+days, 0, 0, 0, 0, time.UTC).Format(time.DateOnly), from, calendar.Midnight(year, month, day+days+1, d.zone)}
}

func statementOf(day string) string { return "statement of " + day }

// fetchDays fetches the statements that are due and were not had yet, the oldest first;
// a day that could not be had waits, at most an hour.
func (d *daily) fetchDays(ctx context.Context, due time.Time) {
	var owed []oneDay
	for back := catchUpDays; back >= 1; back-- {
		if day := d.day(due, -back); day.name >= d.since && !d.had[day.name] {
			owed = append(owed, day)
		}
	}
	if len(owed) == 0 {
		return
	}
	reports, _, err := d.desk.Reports(ctx)
	if err != nil {
		d.logger.Warn("it can't be told which statements were reconciled already", "error", err)
		return
	}
	for i := range reports {
		if r := &reports[i]; r.Operator == dailyOperator && !r.DryRun {
			d.had[strings.TrimPrefix(r.Statement.Name, statementOf(""))] = true
		}
	}
	for _, day := range owed {
		d.mu.Lock()
		lacking := d.lacking[day.name]
		if d.had[day.name] {
			delete(d.lacking, day.name)
		}
		d.mu.Unlock()
		if d.had[day.name] || lacking != nil && d.now().Before(lacking.again) {
			continue
		}
		if !d.leads() || ctx.Err() != nil {
			return
		}
		d.fetch(ctx, day)
	}
}

// fetch reconciles the statement of a day from the URL, or notes why it could not.
func (d *daily) fetch(ctx context.Context, day oneDay) {
	name := statementOf(day.name)
	err := d.fetchFrom(ctx, filledURL(d.cfg.Reconcile.URL, day.from, day.to), httpapi.StatementRequest{Name: name, From: engine.TimeOf(day.from), To: engine.TimeOf(day.to)})
	if ctx.Err() != nil || errors.Is(err, httpapi.ErrReconciling) {
		return // it is not the statement's fault
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.had[day.name] = true
		delete(d.lacking, day.name)
		return
	}
	d.failures.Inc()
	d.lacking[day.name] = d.lacking[day.name].failed(d.now(), err)
	log, say := d.logger.Warn, "a statement could not be had, again; it is asked for again"
	if d.lacking[day.name].wait == firstWait {
		log, say = d.logger.Error, "ALARM: a statement could not be had; it is asked for again"
	}
	log(say, "statement", name, "url", hidden.URL(d.cfg.Reconcile.URL), "error", err, "again", d.lacking[day.name].again.UTC())
}

// failed notes a failure, the first or one more.
func (l *lackingDay) failed(now time.Time, why error) *lackingDay {
	if l == nil {
		l = &lackingDay{since: now}
	}
	l.wait = min(max(firstWait, 2*l.wait), mostWait)
	l.again, l.why = now.Add(l.wait), engine.PlainNetworkError(why)
	return l
}

// Alarms are what operators have to see to; none on a node that does not lead.
func (d *daily) Alarms() (alarms []engine.Alarm) {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, day := range slices.Sorted(maps.Keys(d.lacking)) {
		l := d.lacking[day]
		alarms = append(alarms, engine.Alarm{Name: engine.AlarmStatementLacking, About: day, Since: l.since,
			Detail: "The statement of " + day + " could not be had: " + l.why + ".",
			Advice: "It is asked for again by " + l.again.UTC().Format(time.RFC3339) + ". Check reconcile.url and the " +
				"cashier, or reconcile the statement by hand."})
	}
	if d.folder != nil {
		alarms = append(alarms, engine.Alarm{Name: engine.AlarmStatementFolder, Since: d.folder.since,
			Detail: "The folder of statements can't be read: " + d.folder.why + ".",
			Advice: "Check reconcile.folder on the node that leads."})
	}
	return alarms
}

func (d *daily) fetchFrom(ctx context.Context, at string, q httpapi.StatementRequest) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return errors.New("the URL is not valid") // the error quotes it
	}
	r.Header.Set("Accept", "text/csv, application/x-ndjson")
	if d.cfg.Reconcile.KeyFile != "" {
		text, err := auth.ReadFile(d.cfg.Reconcile.KeyFile)
		if err != nil {
			return err
		}
		secrets, err := payment.NewSecrets(auth.Secrets(text))
		if err != nil {
			return err
		}
		secrets.Sign(r, nil, time.Now())
	}
	response, err := d.client.Do(r)
	if err != nil {
		return hidden.Cause(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d instead of 200", response.StatusCode)
	}
	silent := time.AfterFunc(fetchPatience, cancel)
	defer silent.Stop()
	body := &heard{http.MaxBytesReader(nil, response.Body, httpapi.MaxStatementBytes), func() { silent.Reset(fetchPatience) }, nil}
	return d.reconcile(ctx, body, q)
}

// reconcile runs a statement and logs what came of it.
func (d *daily) reconcile(ctx context.Context, from io.Reader, q httpapi.StatementRequest) error {
	q.Operator, q.Filter = dailyOperator, d.cfg.statementFilter()
	report, err := d.desk.Reconcile(ctx, from, q)
	if err != nil {
		return err
	}
	log, say := d.logger.Info, "statement reconciled"
	if report.Open > 0 {
		log, say = d.logger.Error, "ALARM: statement reconciled, and differences are open"
	}
	log(say, "statement", q.Name, "report", report.ID, "open", report.Open, "settled", report.Settled, "matched", report.Matched, "not_ours", report.NotOurs.Count)
	if slices.ContainsFunc(report.Counts, func(c reconcile.Count) bool { return c.Kind == reconcile.CoversNothing }) {
		return errCoversNothing
	}
	return nil
}

// errCoversNothing: a statement says nothing about any order of ours, nor for when it
// is; its report has that as an open difference.
var errCoversNothing = errors.New("the statement has no row of an order of ours, and does not say for when it is: it may have been written too early, or be another's")

// unfinished tells whether a name says that its file is still being written.
func unfinished(name string) bool {
	if strings.HasPrefix(name, ".") {
		return true
	}
	switch filepath.Ext(name) {
	case ".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload":
		return true
	}
	return false
}

// lookInFolder takes the files that have not changed since the last look, by name.
func (d *daily) lookInFolder(ctx context.Context) {
	entries, err := os.ReadDir(d.cfg.Reconcile.Folder)
	d.mu.Lock()
	switch {
	case err == nil:
		d.folder = nil
	case d.folder == nil:
		d.logger.Error("ALARM: the folder of statements can't be read", "error", err)
		fallthrough
	default:
		d.failures.Inc()
		d.folder = d.folder.failed(d.now(), err)
	}
	d.mu.Unlock()
	if err != nil {
		return
	}
	looks := map[string]fileLook{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || unfinished(e.Name()) {
			continue
		}
		now := fileLook{info.Size(), info.ModTime()}
		if before, known := d.seen[e.Name()]; !known || before != now {
			looks[e.Name()] = now
			continue
		}
		if ctx.Err() != nil || !d.leads() {
			return
		}
		if !d.take(ctx, e.Name()) {
			looks[e.Name()] = now
		}
	}
	d.seen = looks
}

// take reconciles one file of the folder and moves it away; false if it is worth
// another try.
func (d *daily) take(ctx context.Context, name string) (done bool) {
	path := filepath.Join(d.cfg.Reconcile.Folder, name)
	f, err := os.Open(path)
	if err != nil {
		d.logger.Warn("a statement can't be read", "statement", name, "error", err)
		return false
	}
	defer f.Close()
	err = d.reconcile(ctx, http.MaxBytesReader(nil, f, httpapi.MaxStatementBytes), httpapi.StatementRequest{Name: name})
	switch {
	case err == nil:
		err = d.move(name, doneFolder, "")
	case isMalformed(err), errors.Is(err, errCoversNothing):
		d.logger.Error("ALARM: a statement can't be taken", "statement", name, "error", err)
		err = d.move(name, failedFolder, err.Error())
	case ctx.Err() != nil:
		return false
	default:
		d.logger.Warn("a statement could not be reconciled; it is tried again", "statement", name, "error", err)
		return false
	}
	if err != nil {
		d.logger.Error("ALARM: a statement was dealt with and can't be moved away; it will be taken again", "statement", name, "error", err)
	}
	return true
}

// move puts a file into a folder below, with what there is to say of it.
func (d *daily) move(name, to, say string) error {
	dir := filepath.Join(d.cfg.Reconcile.Folder, to)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	at := filepath.Join(dir, name)
	if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) { // one of that name was there before
		at = filepath.Join(dir, d.now().UTC().Format("20060102T150405.000Z-")+name)
	}
	err := os.Rename(filepath.Join(d.cfg.Reconcile.Folder, name), at)
	if say != "" {
		err = errors.Join(err, os.WriteFile(at+problemSuffix, []byte(say+"\n"), 0o644))
	}
	return err
}

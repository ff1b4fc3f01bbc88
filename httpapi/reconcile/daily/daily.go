// Package daily has the cashier's statements reconciled once a day, on whichever node
// leads then: those that it puts into a folder, and the one of each past day that a URL
// gives.
//
//   - A day's statement is fetched until it was reconciled, by any node, and each only
//     once; a new shop asks for none from before it.
//   - A file is taken once it has been the same twice. It is moved to done/ below the
//     folder, or to failed/ with what is wrong with it.
//
// Start reading at Daily.look.
package daily

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/hidden"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/archive"
	"doorbuster/httpapi/reconcile/intake"
	"doorbuster/httpapi/reconcile/statement"
)

const (
	operator      = "daily" // in reports and logs
	lookEvery     = time.Minute
	window        = 3 * time.Hour // of the folder, after the hour: what comes later waits for the next day
	catchUpDays   = 31            // back from today, whose statements are fetched
	firstWait     = time.Minute   // before a day is asked for again, twice as long each time
	mostWait      = time.Hour
	fetchPatience = time.Minute // for the next part of a statement
)

// Config says where statements come from, and when.
type Config struct {
	Folder  string         // "" is none
	URL     string         // of a day's statement; {date}, {from} and {to} are filled in; "" is none
	At      string         // the hour, such as 04:30
	Zone    *time.Location // of that hour and of the days
	Reading statement.Reading
	// Secrets are what fetching is signed with, as requests to the cashier are; they are
	// asked for each time. nil: it is not signed.
	Secrets func() (*payment.Secrets, error)
	// Archive is the directory of the node's reports, which notes the first day wanted.
	Archive string

	Intake     Intake
	Leads      func() bool
	Now        func() time.Time
	Every      time.Duration // between looks; a file is taken once it is the same twice. Default a minute
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Intake reconciles. It is met by intake.Service.
type Intake interface {
	Reconcile(ctx context.Context, from io.Reader, q intake.Request) (*reconcile.Report, error)
	Reports(ctx context.Context) ([]reconcile.Report, []archive.SilentNode, error)
}

// CheckURL says what is wrong with a URL.
func CheckURL(text string) error {
	u, err := url.Parse(filledURL(text, time.Now(), time.Now()))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is no URL such as https://cashier.example/statement?from={from}&to={to}",
			hidden.URL(text).String())
	}
	return nil
}

// filledURL names the period that a statement is fetched for.
func filledURL(u string, from, to time.Time) string {
	moment := func(t time.Time) string { return url.QueryEscape(t.Format(time.RFC3339)) }
	fill := strings.NewReplacer("{date}", from.Format(time.DateOnly), "{from}", moment(from), "{to}", moment(to))
	return fill.Replace(u)
}

// Daily fetches and reconciles. Its methods are for one goroutine, but for Alarms.
type Daily struct {
	cfg    Config
	at     time.Time // the hour, on some day
	client *http.Client

	seen  map[string]look // files of the folder at the last look
	had   map[string]bool // days whose statement is reconciled, by any node
	since string          // the first day that this shop wants a statement of; "" before the first look

	failures prometheus.Counter
	mu       sync.Mutex
	lacking  map[string]*lack // by day: what could not be had so far
	folder   *lack            // nil while the folder can be read
}

// lack is a statement, or a folder, that could not be had.
type lack struct {
	since time.Time // of the first try
	wait  time.Duration
	again time.Time
	why   string
}

// New gives a Daily that has looked nowhere yet.
func New(cfg Config) (*Daily, error) {
	at, err := time.Parse("15:04", cfg.At)
	if err != nil {
		return nil, fmt.Errorf("%q is no hour such as 04:30", cfg.At)
	}
	d := &Daily{cfg: cfg, at: at, seen: map[string]look{}, had: map[string]bool{}, lacking: map[string]*lack{}}
	d.failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "doorbuster_reconciliation_fetch_failures_total",
		Help: "Times that the statement of a day, or the folder of statements, could not be had."})
	days := prometheus.GaugeOpts{Name: "doorbuster_reconciliation_days_lacking",
		Help: "ALARM (statement_lacking) if over 0: days whose statement was due and could not be had so far, on the " +
			"leader; 0 elsewhere."}
	cfg.Registerer.MustRegister(d.failures, prometheus.NewGaugeFunc(days, func() float64 {
		d.mu.Lock()
		defer d.mu.Unlock()
		return float64(len(d.lacking))
	}))
	// No redirects: what is signed is for that address alone.
	d.client = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
			ResponseHeaderTimeout: fetchPatience, MaxResponseHeaderBytes: 64 << 10},
	}
	return d, nil
}

// Run looks again and again until ctx ends.
func (d *Daily) Run(ctx context.Context) {
	defer d.client.CloseIdleConnections()
	every := time.NewTicker(cmp.Or(d.cfg.Every, lookEvery))
	defer every.Stop()
	for {
		d.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// look does what is to be done now, if this node leads.
func (d *Daily) look(ctx context.Context) {
	due := d.last()
	if d.cfg.URL != "" && d.since == "" {
		d.since = d.firstDay(due)
	}
	if !d.cfg.Leads() {
		clear(d.seen)
		d.mu.Lock()
		clear(d.lacking) // whoever leads sees to them
		d.folder = nil
		d.mu.Unlock()
		return
	}
	if d.cfg.URL != "" {
		d.fetchDays(ctx, due)
	}
	if d.cfg.Folder == "" || d.cfg.Now().Sub(due) >= window {
		clear(d.seen)
		return
	}
	d.lookInFolder(ctx)
}

// last is when the last reconciliation was due.
func (d *Daily) last() time.Time {
	now := d.cfg.Now().In(d.cfg.Zone)
	on := func(days int) time.Time {
		clock := time.Date(now.Year(), now.Month(), now.Day()+days, d.at.Hour(), d.at.Minute(), 0, 0, time.UTC)
		return calendar.FirstInstant(clock, d.cfg.Zone)
	}
	if due := on(0); !due.After(now) {
		return due
	}
	return on(-1)
}

// oneDay is a day of the zone.
type oneDay struct {
	name     string // 2026-09-20
	from, to time.Time
}

// day gives the day that is so many days from that of at.
func (d *Daily) day(at time.Time, days int) oneDay {
	year, month, day := at.In(d.cfg.Zone).Date()
	name := time.Date(year, month, day+days, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	return oneDay{name, calendar.Midnight(year, month, day+days, d.cfg.Zone),
		calendar.Midnight(year, month, day+days+1, d.cfg.Zone)}
}

const statementOf = "statement of " // and the day

// fetchDays fetches the statements that are due and were not had yet, the oldest first;
// a day that could not be had waits, at most an hour.
func (d *Daily) fetchDays(ctx context.Context, due time.Time) {
	var owed []oneDay
	for back := catchUpDays; back >= 1; back-- {
		if day := d.day(due, -back); day.name >= d.since && !d.had[day.name] {
			owed = append(owed, day)
		}
	}
	if len(owed) == 0 {
		return
	}
	reports, _, err := d.cfg.Intake.Reports(ctx)
	if err != nil {
		d.cfg.Log.Warn("it can't be told which statements were reconciled already", "error", err)
		return
	}
	for i := range reports {
		if r := &reports[i]; r.Operator == operator && !r.DryRun {
			d.had[strings.TrimPrefix(r.Statement.Name, statementOf)] = true
		}
	}
	for _, day := range owed {
		d.mu.Lock()
		lacking := d.lacking[day.name]
		if d.had[day.name] {
			delete(d.lacking, day.name)
		}
		d.mu.Unlock()
		if d.had[day.name] || lacking != nil && d.cfg.Now().Before(lacking.again) {
			continue
		}
		if !d.cfg.Leads() || ctx.Err() != nil {
			return
		}
		d.fetch(ctx, day)
	}
}

// fetch reconciles the statement of a day from the URL, or notes why it could not.
func (d *Daily) fetch(ctx context.Context, day oneDay) {
	q := intake.Request{Name: statementOf + day.name, From: engine.TimeOf(day.from), To: engine.TimeOf(day.to)}
	err := d.fetchFrom(ctx, filledURL(d.cfg.URL, day.from, day.to), q)
	if ctx.Err() != nil || errors.Is(err, intake.ErrReconciling) {
		return // it is not the statement's fault
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.had[day.name] = true
		delete(d.lacking, day.name)
		return
	}
	l := d.lacking[day.name].failed(d.cfg.Now(), err)
	d.lacking[day.name] = l
	d.failures.Inc()
	log, say := d.cfg.Log.Warn, "a statement could not be had, again; it is asked for again"
	if l.wait == firstWait {
		log, say = d.cfg.Log.Error, "ALARM: a statement could not be had; it is asked for again"
	}
	log(say, "statement", q.Name, "url", hidden.URL(d.cfg.URL), "error", err, "again", l.again.UTC())
}

// failed notes a failure, the first or one more.
func (l *lack) failed(now time.Time, why error) *lack {
	if l == nil {
		l = &lack{since: now}
	}
	l.wait = min(max(firstWait, 2*l.wait), mostWait)
	l.again, l.why = now.Add(l.wait), engine.PlainNetworkError(why)
	return l
}

func (d *Daily) fetchFrom(ctx context.Context, at string, q intake.Request) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return errors.New("the URL is not valid") // the error quotes it
	}
	r.Header.Set("Accept", "text/csv, application/x-ndjson")
	if d.cfg.Secrets != nil {
		secrets, err := d.cfg.Secrets()
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
	return d.reconcile(ctx, awaited{response.Body, silent}, q)
}

// awaited is a body whose next part is waited for until silent goes off.
type awaited struct {
	io.Reader
	silent *time.Timer
}

func (a awaited) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if n > 0 {
		a.silent.Reset(fetchPatience)
	}
	return n, err
}

// errCoversNothing: a statement says nothing about any order of ours, nor for when it
// is; its report has that as an open difference.
var errCoversNothing = errors.New("the statement has no row of an order of ours, and does not say for when it is: " +
	"it may have been written too early, or be another's")

// reconcile runs a statement and logs what came of it.
func (d *Daily) reconcile(ctx context.Context, from io.Reader, q intake.Request) error {
	q.Operator, q.Reading = operator, d.cfg.Reading
	from = http.MaxBytesReader(nil, io.NopCloser(from), statement.MaxBytes)
	report, err := d.cfg.Intake.Reconcile(ctx, from, q)
	if err != nil {
		return err
	}
	log, say := d.cfg.Log.Info, "statement reconciled"
	if report.Open > 0 {
		log, say = d.cfg.Log.Error, "ALARM: statement reconciled, and differences are open"
	}
	log(say, "statement", q.Name, "report", report.ID, "open", report.Open, "settled", report.Booked,
		"matched", report.Matched, "not_ours", report.NotOurs.Count)
	if slices.ContainsFunc(report.Counts, func(c reconcile.Count) bool { return c.Kind == reconcile.CoversNothing }) {
		return errCoversNothing
	}
	return nil
}

// Alarms are what operators have to see to; none on a node that does not lead.
func (d *Daily) Alarms() (alarms []engine.Alarm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, day := range slices.Sorted(maps.Keys(d.lacking)) {
		l := d.lacking[day]
		alarms = append(alarms, engine.Alarm{Name: engine.AlarmStatementLacking, About: day, Since: l.since,
			Detail: "The statement of " + day + " could not be had: " + l.why + ".",
			Advice: "It is asked for again by " + l.again.UTC().Format(time.RFC3339) +
				". Check reconcile.url and the cashier, or reconcile the statement by hand."})
	}
	if d.folder != nil {
		alarms = append(alarms, engine.Alarm{Name: engine.AlarmStatementFolder, Since: d.folder.since,
			Detail: "The folder of statements can't be read: " + d.folder.why + ".",
			Advice: "Check reconcile.folder on the node that leads."})
	}
	return alarms
}

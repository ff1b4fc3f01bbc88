package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/payment"
)

// How statements are fetched from a folder or a URL, once a day.
const (
	dailyOperator = "daily"         // in reports and logs
	lookEvery     = time.Minute     // a file is taken once it is the same twice
	dailyWindow   = 3 * time.Hour   // after the hour: what comes later waits for the next day
	fetchPatience = time.Minute     // for the next part of a statement
	doneFolder    = "done"          // below the folder: what was reconciled
	failedFolder  = "failed"        // what is no statement
	problemSuffix = ".problems.txt" // and what is wrong with it
)

// addReconcileFlags declares the settings of the daily reconciliation.
func addReconcileFlags(f *pflag.FlagSet) {
	f.String("reconcile-folder", "", "`directory` that the leader takes the cashier's statements from once a day; they are moved to done/ below it, or to failed/")
	f.String("reconcile-url", "", "`URL` that the leader fetches yesterday's statement from once a day; {date}, {from} and {to} in it are filled in")
	f.String("reconcile-at", "04:30", "`hour` at which that is done")
	f.String("reconcile-timezone", "UTC", "time `zone` of that hour, of yesterday, and of the days of what belongs to no order")
	f.String("reconcile-key-file", "", "`file` with the secret that fetching is signed with, as requests to the cashier are; read each time")
}

// validateReconcile reports every setting of these that can't be.
func (c Config) validateReconcile() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("reconcile."+format, args...)) }
	if _, err := time.Parse("15:04", c.ReconcileAt); err != nil {
		bad("at: %q is no hour such as 04:30", c.ReconcileAt)
	}
	if _, err := time.LoadLocation(c.ReconcileTimezone); err != nil || c.ReconcileTimezone == "" || c.ReconcileTimezone == "Local" {
		bad("timezone: %q is no time zone such as Asia/Shanghai", c.ReconcileTimezone)
	}
	if c.ReconcileURL != "" {
		u, err := url.Parse(filledURL(c.ReconcileURL, time.Now(), time.Now()))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			bad("url: %q is no URL such as https://cashier.example/statement?from={from}&to={to}", c.ReconcileURL)
		}
	} else if c.ReconcileKeyFile != "" {
		bad("key_file: there is no reconcile.url to sign for")
	}
	if c.ReconcileFolder != "" && c.Data != "" && sameFolder(c.ReconcileFolder, filepath.Join(c.Data, reportsFolder)) {
		bad("folder: %s is where reports are kept; take another", c.ReconcileFolder)
	}
	return errors.Join(errs...)
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

	seen    map[string]fileLook // files of the folder at the last look
	fetched string              // the day whose statement was fetched already
	ended   chan struct{}       // nil before the beginning
	stop    context.CancelFunc
}

// fileLook is what a file looked like.
type fileLook struct {
	size    int64
	changed time.Time
}

// newDaily gives nil where there is nothing to do daily. The configuration is valid.
func newDaily(cfg Config, desk httpapi.Reconciler, leads func() bool, logger *slog.Logger) (*daily, error) {
	if cfg.ReconcileFolder == "" && cfg.ReconcileURL == "" {
		return nil, nil
	}
	zone, err := time.LoadLocation(cfg.ReconcileTimezone)
	if err != nil {
		return nil, err
	}
	d := &daily{cfg: cfg, desk: desk, leads: leads, now: time.Now, zone: zone, logger: logger, seen: map[string]fileLook{}}
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
	at, _ := time.Parse("15:04", d.cfg.ReconcileAt) // checked by Validate
	now := d.now().In(d.zone)
	due := time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), 0, 0, d.zone)
	if due.After(now) {
		due = time.Date(now.Year(), now.Month(), now.Day()-1, at.Hour(), at.Minute(), 0, 0, d.zone)
	}
	return due
}

// look does what is to be done now, if this node leads.
func (d *daily) look(ctx context.Context) {
	due := d.last()
	if d.now().Sub(due) >= dailyWindow || !d.leads() {
		clear(d.seen)
		return
	}
	if d.cfg.ReconcileURL != "" {
		if day := due.Format(time.DateOnly); d.fetched != day && d.fetch(ctx, due) {
			d.fetched = day
		}
	}
	if d.cfg.ReconcileFolder != "" {
		d.lookInFolder(ctx)
	}
}

// fetch reconciles the statement of the day before due, from the URL; false if it is
// worth another try.
func (d *daily) fetch(ctx context.Context, due time.Time) (done bool) {
	to := time.Date(due.Year(), due.Month(), due.Day(), 0, 0, 0, 0, d.zone)
	from := to.AddDate(0, 0, -1)
	at := filledURL(d.cfg.ReconcileURL, from, to)
	name := "statement of " + from.Format(time.DateOnly)
	err := d.fetchFrom(ctx, at, httpapi.StatementRequest{Name: name, Operator: dailyOperator, From: engine.TimeOf(from), To: engine.TimeOf(to)})
	switch {
	case err == nil:
		return true
	case isMalformed(err):
		d.logger.Error("ALARM: the statement that was fetched can't be taken", "statement", name, "error", err)
		return true
	}
	if ctx.Err() == nil {
		d.logger.Warn("the statement could not be fetched and reconciled; it is tried again", "statement", name, "error", err)
	}
	return false
}

func (d *daily) fetchFrom(ctx context.Context, at string, q httpapi.StatementRequest) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return errors.New("the URL is not valid")
	}
	r.Header.Set("Accept", "text/csv, application/x-ndjson")
	if d.cfg.ReconcileKeyFile != "" {
		text, err := readKey(d.cfg.ReconcileKeyFile)
		if err != nil {
			return err
		}
		secrets, err := payment.NewSecrets(httpapi.Secrets(text))
		if err != nil {
			return err
		}
		secrets.Sign(r, nil, time.Now())
	}
	response, err := d.client.Do(r)
	if err != nil {
		return err
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
	report, err := d.desk.Reconcile(ctx, from, q)
	if err != nil {
		return err
	}
	log, say := d.logger.Info, "statement reconciled"
	if report.Open > 0 {
		log, say = d.logger.Error, "ALARM: statement reconciled, and differences are open"
	}
	log(say, "statement", q.Name, "report", report.ID, "open", report.Open, "settled", report.Settled, "matched", report.Matched)
	return nil
}

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
	entries, err := os.ReadDir(d.cfg.ReconcileFolder)
	if err != nil {
		d.logger.Warn("the folder of statements can't be read", "error", err)
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
	path := filepath.Join(d.cfg.ReconcileFolder, name)
	f, err := os.Open(path)
	if err != nil {
		d.logger.Warn("a statement can't be read", "statement", name, "error", err)
		return false
	}
	defer f.Close()
	err = d.reconcile(ctx, http.MaxBytesReader(nil, f, httpapi.MaxStatementBytes), httpapi.StatementRequest{Name: name, Operator: dailyOperator})
	switch {
	case err == nil:
		err = d.move(name, doneFolder, "")
	case isMalformed(err):
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
	dir := filepath.Join(d.cfg.ReconcileFolder, to)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	at := filepath.Join(dir, name)
	if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) { // one of that name was there before
		at = filepath.Join(dir, d.now().UTC().Format("20060102T150405.000Z-")+name)
	}
	err := os.Rename(filepath.Join(d.cfg.ReconcileFolder, name), at)
	if say != "" {
		err = errors.Join(err, os.WriteFile(at+problemSuffix, []byte(say+"\n"), 0o644))
	}
	return err
}

package daily

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/archive"
	"doorbuster/httpapi/reconcile/intake"
)

const statementHeader = "payment_id,order_no,amount,currency,kind,at\n"

// fakeIntake notes what it is to reconcile.
type fakeIntake struct {
	taken []intake.Request
	texts []string
	err   error
}

func (d *fakeIntake) Reconcile(_ context.Context, from io.Reader, q intake.Request) (*reconcile.Report, error) {
	text, err := io.ReadAll(from)
	if err = errors.Join(err, d.err); err != nil {
		return nil, err
	}
	d.taken, d.texts = append(d.taken, q), append(d.texts, string(text))
	return new(reconcile.Report), nil
}

// Reports are what was taken.
func (d *fakeIntake) Reports(context.Context) (list []reconcile.Report, _ []archive.SilentNode, _ error) {
	for _, q := range d.taken {
		list = append(list, reconcile.Report{Operator: q.Operator, Statement: reconcile.StatementFile{Name: q.Name}})
	}
	return list, nil, nil
}

// fetching is a daily reconciliation by a clock of its own.
type fetching struct {
	*Daily
	t     *testing.T
	desk  *fakeIntake
	clock time.Time
	leads bool
	log   bytes.Buffer
	all   *prometheus.Registry
}

func newFetching(t *testing.T, cfg Config, clock time.Time) *fetching {
	t.Helper()
	f := &fetching{t: t, desk: &fakeIntake{}, clock: clock, leads: true}
	f.again(cfg)
	return f
}

// again is the node started again.
func (f *fetching) again(cfg Config) {
	f.t.Helper()
	f.all = prometheus.NewRegistry()
	cfg.Now, cfg.Leads = func() time.Time { return f.clock }, func() bool { return f.leads }
	cfg.Log, cfg.Registerer = slog.New(slog.NewTextHandler(&f.log, nil)), f.all
	if cfg.Intake == nil {
		cfg.Intake = f.desk
	}
	var err error
	if f.Daily, err = New(cfg); err != nil {
		f.t.Fatal(err)
	}
}

// config is as nodes have it by default.
func config(t *testing.T) Config { return Config{At: "04:30", Zone: time.UTC, Archive: t.TempDir()} }

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := calendar.Zone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func (f *fetching) metric(name string) float64 {
	f.t.Helper()
	families, err := f.all.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range families {
		if m.GetName() == "doorbuster_reconciliation_"+name {
			return m.Metric[0].GetGauge().GetValue() + m.Metric[0].GetCounter().GetValue()
		}
	}
	f.t.Fatalf("no metric %s", name)
	return 0
}

// TestLackingStatementsAreSeenAndCaughtUp: whatever keeps a statement away is an alarm
// and a metric, for as long as it does; the days come in later, the oldest first, also
// after a restart, each once. What is secret in the URL is told nowhere.
func TestLackingStatementsAreSeenAndCaughtUp(t *testing.T) {
	for name, status := range map[string]int{"a refused connection": 0, "a 401": 401, "a 500": 500} {
		t.Run(name, func(t *testing.T) {
			answer, asked := status, []string{}
			cashier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Query().Get("day"))
				w.WriteHeader(answer)
				fmt.Fprint(w, statementHeader)
			}))
			defer cashier.Close()
			cfg := config(t)
			cfg.URL = strings.Replace(cashier.URL, "http://", "http://shop:pass-word@", 1) +
				"/statement?day={date}&token=secret-token"
			good := cfg.URL
			if status == 0 {
				cfg.URL = "http://shop:pass-word@127.0.0.1:1/statement?day={date}&token=secret-token"
			}
			f := newFetching(t, cfg, time.Date(2026, 9, 20, 4, 30, 0, 0, time.UTC))
			for range 4 * 24 { // four days long, past what was the window
				f.look(t.Context())
				f.clock = f.clock.Add(time.Hour)
			}
			alarms := f.Alarms()
			if len(alarms) != 4 || f.metric("days_lacking") != 4 || f.metric("fetch_failures_total") < 8 ||
				!strings.Contains(f.log.String(), "ALARM") {
				t.Errorf("alarms %+v, lacking %v, failures %v", alarms, f.metric("days_lacking"),
					f.metric("fetch_failures_total"))
			} else if a := alarms[0]; a.Name != "statement_lacking" || !strings.Contains(a.Detail, "2026-09-19") ||
				!a.Since.Equal(time.Date(2026, 9, 20, 4, 30, 0, 0, time.UTC)) || a.Advice == "" {
				t.Errorf("%+v", a)
			}
			if said := f.log.String() + fmt.Sprint(alarms); strings.Contains(said, "secret-token") ||
				strings.Contains(said, "pass-word") || !strings.Contains(said, "/statement") {
				t.Errorf("it tells secrets, or not which URL: %s", said)
			}
			f.leads = false
			f.look(t.Context())
			if len(f.Alarms()) != 0 || f.metric("days_lacking") != 0 {
				t.Error("it is an alarm on a node that does not lead")
			}
			f.leads = true
			answer, asked, cfg.URL = 200, nil, good
			f.again(cfg)
			f.look(t.Context())
			f.look(t.Context())
			if got := strings.Join(asked, " "); got != "2026-09-19 2026-09-20 2026-09-21 2026-09-22 2026-09-23" ||
				len(f.desk.taken) != 5 {
				t.Errorf("caught up: %s", got)
			}
			if len(f.Alarms()) != 0 || f.metric("days_lacking") != 0 {
				t.Errorf("still %+v", f.Alarms())
			}
			f.clock = f.clock.Add(40 * 24 * time.Hour)
			asked = nil
			f.look(t.Context())
			if len(asked) != catchUpDays {
				t.Errorf("after 40 days off, %d are asked for: %v", len(asked), asked)
			}
		})
	}
	t.Run("a folder that can't be read", func(t *testing.T) {
		cfg := config(t)
		cfg.Folder = filepath.Join(t.TempDir(), "gone")
		f := newFetching(t, cfg, time.Date(2026, 9, 20, 4, 30, 0, 0, time.UTC))
		f.look(t.Context())
		if len(f.Alarms()) != 1 || !strings.Contains(f.log.String(), "ALARM") || f.metric("fetch_failures_total") != 1 {
			t.Errorf("%+v %s", f.Alarms(), f.log.String())
		}
		if err := os.Mkdir(cfg.Folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if f.look(t.Context()); len(f.Alarms()) != 0 {
			t.Errorf("%+v", f.Alarms())
		}
	})
}

// TestStatementDaysBeginWhenClocksSay: where clocks are put forward at midnight, the day
// begins at one, and the day before does not lose, nor that day gain, an hour.
func TestStatementDaysBeginWhenClocksSay(t *testing.T) {
	for _, c := range []struct {
		zone     string
		now      time.Time
		from, to string
	}{
		{"America/Santiago", time.Date(2026, 9, 7, 12, 0, 0, 0, time.UTC), "2026-09-06T01:00:00-03:00",
			"2026-09-07T00:00:00-03:00"},
		{"America/Santiago", time.Date(2026, 9, 6, 12, 0, 0, 0, time.UTC), "2026-09-05T00:00:00-04:00",
			"2026-09-06T01:00:00-03:00"},
		{"America/Havana", time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC), "2026-03-08T01:00:00-04:00",
			"2026-03-09T00:00:00-04:00"},
	} {
		asked := ""
		cashier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = r.URL.Query().Get("from") + " " + r.URL.Query().Get("to")
			fmt.Fprint(w, statementHeader)
		}))
		cfg := config(t)
		cfg.URL, cfg.Zone = cashier.URL+"/?from={from}&to={to}", zone(t, c.zone)
		f := newFetching(t, cfg, c.now)
		f.look(t.Context())
		cashier.Close()
		if want := c.from + " " + c.to; asked != want {
			t.Errorf("%s: asked for %s, want %s", c.zone, asked, want)
		}
	}
}

// TestDailyFolder: only the leader looks, only at its hour, and takes what is not
// being written any more; what is no statement is moved aside with the reason.
func TestDailyFolder(t *testing.T) {
	cfg := config(t)
	cfg.Folder, cfg.Zone = t.TempDir(), zone(t, "Asia/Shanghai")
	d := newFetching(t, cfg, time.Date(2026, 9, 20, 20, 29, 0, 0, time.UTC)) // 04:29 in Shanghai
	desk := d.desk
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(cfg.Folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	look := func(want int) {
		t.Helper()
		d.look(t.Context())
		if len(desk.taken) != want {
			t.Errorf("at %s: %d taken, want %d", d.clock.Format(time.TimeOnly), len(desk.taken), want)
		}
	}
	for _, name := range []string{"b.csv", "a.csv", ".hidden.csv", "c.csv.part", "d.tmp"} {
		put(name, "half")
	}
	look(0)
	look(0) // not yet
	d.clock = d.clock.Add(time.Minute)
	d.leads = false
	look(0)
	look(0)
	d.leads = true
	look(0) // the first look
	put("b.csv", "the whole")
	look(1)
	look(2)
	if desk.taken[0].Name != "a.csv" || desk.texts[1] != "the whole" || desk.taken[0].Operator != operator {
		t.Errorf("%+v %q", desk.taken, desk.texts)
	}
	look(2)
	if _, err := os.Stat(filepath.Join(cfg.Folder, doneFolder, "b.csv")); err != nil {
		t.Error(err)
	}
	put("a.csv", "another of that name")
	look(2)
	desk.err = engine.ErrNotLeader
	look(2) // it is tried again
	desk.err = nil
	look(3)
	if done, _ := os.ReadDir(filepath.Join(cfg.Folder, doneFolder)); len(done) != 3 {
		t.Errorf("done: %v", done)
	}
	desk.err = &http.MaxBytesError{Limit: 1}
	put("bad.csv", "x")
	look(3)
	look(3)
	if _, err := os.Stat(filepath.Join(cfg.Folder, failedFolder, "bad.csv"+problemSuffix)); err != nil {
		t.Error(err)
	}
	desk.err = nil
	d.clock = d.clock.Add(window)
	put("late.csv", "x")
	look(3)
	look(3)
	d.clock = d.clock.Add(24*time.Hour - window)
	look(3)
	look(4)
}

// TestDailyURL: yesterday's statement is fetched once, by the days of the time zone,
// and tried again as long as it can't be had.
func TestDailyURL(t *testing.T) {
	asked := []string{}
	status := http.StatusServiceUnavailable
	from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("from")+" "+r.Header.Get("X-Cashier-Signature")[:3])
		w.WriteHeader(status)
		io.WriteString(w, statementHeader)
	}))
	defer from.Close()
	cfg := config(t)
	cfg.URL = from.URL + "/statement?from={from}&to={to}&day={date}"
	cfg.Zone = zone(t, "Asia/Shanghai")
	cfg.Secrets = func() (*payment.Secrets, error) {
		return payment.NewSecrets([][]byte{bytes.Repeat([]byte("k"), payment.MinSecretBytes)})
	}
	d := newFetching(t, cfg, time.Date(2026, 9, 20, 20, 31, 0, 0, time.UTC))
	desk := d.desk
	d.look(t.Context())
	status = http.StatusOK
	d.look(t.Context()) // too soon
	d.clock = d.clock.Add(firstWait)
	d.look(t.Context())
	d.look(t.Context())
	if len(desk.taken) != 1 || desk.texts[0] != statementHeader || len(asked) != 2 ||
		asked[1] != "2026-09-20T00:00:00+08:00 v1=" {
		t.Fatalf("%+v, asked %q", desk.taken, asked)
	}
	if q := desk.taken[0]; q.To-q.From != 24*3600*1000 || q.Name != "statement of 2026-09-20" {
		t.Errorf("%+v", q)
	}
	d.clock = d.clock.Add(24 * time.Hour)
	d.look(t.Context())
	if len(desk.taken) != 2 || asked[2] != "2026-09-21T00:00:00+08:00 v1=" {
		t.Errorf("the day after: %q", asked)
	}
}

// TestEmptyFileIsNotDone: a file with a header and no rows is not filed as done.
func TestEmptyFileIsNotDone(t *testing.T) {
	cfg := config(t)
	cfg.Folder = t.TempDir()
	cfg.Intake = intake.New(intake.Config{Dir: cfg.Archive, Zone: time.UTC, Leads: func() bool { return true },
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	f := newFetching(t, cfg, time.Date(2026, 9, 20, 4, 30, 0, 0, time.UTC))
	if err := os.WriteFile(filepath.Join(cfg.Folder, "day.csv"), []byte(statementHeader), 0o600); err != nil {
		t.Fatal(err)
	}
	f.look(t.Context())
	f.look(t.Context())
	why, err := os.ReadFile(filepath.Join(cfg.Folder, failedFolder, "day.csv"+problemSuffix))
	if err != nil || !strings.Contains(string(why), "no row of an order of ours") {
		t.Errorf("%s %v; %s", why, err, f.log.String())
	}
}

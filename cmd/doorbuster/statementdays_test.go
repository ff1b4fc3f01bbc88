package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// fetching is a daily reconciliation from a URL, by a clock of its own.
type fetching struct {
	*daily
	t     *testing.T
	desk  *fakeDesk
	clock time.Time
	leads bool
	log   bytes.Buffer
	all   *prometheus.Registry
}

func newFetching(t *testing.T, cfg Config, clock time.Time) *fetching {
	t.Helper()
	f := &fetching{t: t, desk: &fakeDesk{}, clock: clock, leads: true, all: prometheus.NewRegistry()}
	f.again(cfg)
	return f
}

// again is the node started again.
func (f *fetching) again(cfg Config) {
	cfg.wall = func() time.Time { return f.clock }
	f.all = prometheus.NewRegistry()
	var err error
	if f.daily, err = newDaily(cfg, f.desk, func() bool { return f.leads }, cfg.newLogger(&f.log), f.all); err != nil {
		f.t.Fatal(err)
	}
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
			cfg := testConfig(t)
			cfg.Reconcile.URL = strings.Replace(cashier.URL, "http://", "http://shop:pass-word@", 1) + "/statement?day={date}&token=secret-token"
			good := cfg.Reconcile.URL
			if status == 0 {
				cfg.Reconcile.URL = "http://shop:pass-word@127.0.0.1:1/statement?day={date}&token=secret-token"
			}
			f := newFetching(t, cfg, time.Date(2026, 9, 20, 4, 30, 0, 0, time.UTC))
			for range 4 * 24 { // four days long, past what was the window
				f.look(t.Context())
				f.clock = f.clock.Add(time.Hour)
			}
			alarms := f.Alarms()
			if len(alarms) != 4 || f.metric("days_lacking") != 4 || f.metric("fetch_failures_total") < 8 || !strings.Contains(f.log.String(), "ALARM") {
				t.Errorf("alarms %+v, lacking %v, failures %v", alarms, f.metric("days_lacking"), f.metric("fetch_failures_total"))
			} else if a := alarms[0]; a.Name != "statement_lacking" || !strings.Contains(a.Detail, "2026-09-19") || !a.Since.Equal(time.Date(2026, 9, 20, 4, 30, 0, 0, time.UTC)) || a.Advice == "" {
				t.Errorf("%+v", a)
			}
			if said := f.log.String() + fmt.Sprint(alarms); strings.Contains(said, "secret-token") || strings.Contains(said, "pass-word") || !strings.Contains(said, "/statement") {
				t.Errorf("it tells secrets, or not which URL: %s", said)
			}
			f.leads = false
			f.look(t.Context())
			if len(f.Alarms()) != 0 || f.metric("days_lacking") != 0 {
				t.Error("it is an alarm on a node that does not lead")
			}
			f.leads = true
			answer, asked, cfg.Reconcile.URL = 200, nil, good
			f.again(cfg)
			f.look(t.Context())
			f.look(t.Context())
			if got := strings.Join(asked, " "); got != "2026-09-19 2026-09-20 2026-09-21 2026-09-22 2026-09-23" || len(f.desk.taken) != 5 {
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
		cfg := testConfig(t)
		cfg.Reconcile.Folder = filepath.Join(t.TempDir(), "gone")
		f := newFetching(t, cfg, time.Date(2026, 9, 20, 4, 30, 0, 0, time.UTC))
		f.look(t.Context())
		if len(f.Alarms()) != 1 || !strings.Contains(f.log.String(), "ALARM") || f.metric("fetch_failures_total") != 1 {
			t.Errorf("%+v %s", f.Alarms(), f.log.String())
		}
		if err := os.Mkdir(cfg.Reconcile.Folder, 0o700); err != nil {
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
		{"America/Santiago", time.Date(2026, 9, 7, 12, 0, 0, 0, time.UTC), "2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"},
		{"America/Santiago", time.Date(2026, 9, 6, 12, 0, 0, 0, time.UTC), "2026-09-05T00:00:00-04:00", "2026-09-06T01:00:00-03:00"},
		{"America/Havana", time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC), "2026-03-08T01:00:00-04:00", "2026-03-09T00:00:00-04:00"},
	} {
		asked := ""
		cashier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = r.URL.Query().Get("from") + " " + r.URL.Query().Get("to")
			fmt.Fprint(w, statementHeader)
		}))
		cfg := testConfig(t)
		cfg.Reconcile.URL, cfg.Reconcile.Timezone = cashier.URL+"/?from={from}&to={to}", c.zone
		f := newFetching(t, cfg, c.now)
		f.look(t.Context())
		cashier.Close()
		if want := c.from + " " + c.to; asked != want {
			t.Errorf("%s: asked for %s, want %s", c.zone, asked, want)
		}
	}
}

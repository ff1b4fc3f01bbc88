package main

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
)

// TestAlarmsOfAllRoomsAreOneList: a dead cashier, refunds that fail, and differences
// between the books are alarms like a node's that is away, in the API, in both
// commands, and in metrics; and over when they are.
func TestAlarmsOfAllRoomsAreOneList(t *testing.T) {
	addr := nodetest.Address(t)
	s := openShop(t, t.TempDir(), "--cashier-url", "http://shop:pass-word@"+addr+"/api")
	s.Apply(nodetest.DayPlan("", 10))
	o := s.MustGrant("ann", "", "day/sku-1")
	s.CancelOrder("ann", o.OrderNo)
	if a := s.Do("POST", s.HTTP+"/v1/payments/callback",
		fmt.Sprintf(`{"order_no":%q,"payment_id":"p-1","amount":100,"currency":"CNY","paid_at":%q}`, o.OrderNo,
			time.Now().Format(time.RFC3339Nano)), "Content-Type", "application/json"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	// it covers nothing
	_, report, errs := nodetest.ReconcileHere(t, s, nodetest.StatementHeader)
	if report == nil || report.Open != 1 {
		t.Fatal(report, errs)
	}
	wanted := []string{"cashier_fails", "refunds_fail", "reconciliation_open"}
	lacks := func(told string) (lacking []string) {
		for _, name := range wanted {
			if !strings.Contains(told, name) {
				lacking = append(lacking, name)
			}
		}
		return lacking
	}
	s.Raised("cashier_fails")
	s.Raised("refunds_fail")
	s.Raised("reconciliation_open")
	told := s.Ops("GET", "/admin/v1/alarms", "").Body
	if strings.Count(told, "nothing listens at "+addr+".") != 2 || strings.Contains(told, "dial tcp") {
		t.Errorf("not in plain words: %s", told)
	}
	if status := s.Ops("GET", "/admin/v1/cluster", "").Body; len(lacks(status)) != 0 {
		t.Errorf("the status lacks %q: %s", lacks(status), status)
	}
	for _, args := range [][]string{{"alarms"}, {"alarms", "--json"}, {"cluster", "status"}} {
		code, out, errs := runTool(t, "", append(args, "--admin", s.Admin)...)
		if code != 0 || len(lacks(out)) != 0 || strings.Contains(out, "pass-word") ||
			!strings.Contains(out, "doorbuster reconcile set-aside") {
			t.Errorf("%v: %d, lacks %q: %s%s", args, code, lacks(out), out, errs)
		}
	}
	if metrics := s.Ops("GET", "/metrics", "").Body; !strings.Contains(metrics,
		`doorbuster_alarms{name="cashier_fails"} 1`) {
		t.Error("no metric of the alarms")
	}
	if code, out, errs := runTool(t, "", "alarms"); code != 2 || !strings.Contains(errs, "--admin") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	cashier := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"reference":"r-1"}`)
	})}
	go cashier.Serve(ln)
	defer cashier.Close()
	s.Healed("refunds_fail")
	s.Healed("cashier_fails")
	if code, out, errs := runTool(t, "", "reconcile", "set-aside", report.ID, "all", "--note", "tried out", "--admin",
		s.Admin); code != 0 {
		t.Errorf("%d %s%s", code, out, errs)
	}
	s.Healed("reconciliation_open")
}

// TestEveryAlarmingMetricIsAnAlarm: whoever alerts on metrics and whoever looks at the
// list hear of the same: a metric that asks for an alert names its alarm.
func TestEveryAlarmingMetricIsAnAlarm(t *testing.T) {
	names, err := os.ReadFile("../../engine/alarm.go")
	if err != nil {
		t.Fatal(err)
	}
	help := regexp.MustCompile(`[^:] "ALARM[^"]*"|Help: "ALARM[^"]*"`)
	named := regexp.MustCompile(`"ALARM \((\w+)\) if `)
	found := 0
	err = filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, says := range help.FindAllString(string(text), -1) {
			if strings.Contains(says, `"ALARM if over 0: alarms of this node`) || !strings.Contains(says, " if ") {
				continue // all of them, by name; or what is no help of a metric
			}
			found++
			if m := named.FindStringSubmatch(says); m == nil || !strings.Contains(string(names),
				`AlarmName = "`+m[1]+`"`) {
				t.Errorf("%s: %s names no alarm of engine/alarm.go", path, says)
			}
		}
		return err
	})
	if err != nil || found < 15 {
		t.Errorf("%d metrics that ask for an alert: %v", found, err)
	}
}

// TestBoard: an alarm is since when it was first seen, whatever its words; it is logged
// once, and so is its end.
func TestBoard(t *testing.T) {
	log := nodetest.NewLogBook()
	var now []engine.Alarm
	b := &board{logger: slog.New(slog.NewTextHandler(log, nil)),
		rooms: []func() []engine.Alarm{func() []engine.Alarm { return slices.Clone(now) }}}
	start := time.Date(2026, 9, 20, 2, 0, 0, 0, time.UTC)
	now = []engine.Alarm{{Name: engine.AlarmRefundsFail, Detail: "1 failed."}}
	b.look(start)
	now[0].Detail = "2 failed."
	b.look(start.Add(time.Minute))
	if all := b.alarms(); len(all) != 1 || !all[0].Since.Equal(start) || all[0].Detail != "2 failed." {
		t.Errorf("%+v", all)
	}
	now = nil
	b.look(start.Add(time.Hour))
	if said := log.String(); len(b.alarms()) != 0 || strings.Count(said, "ALARM") != 1 ||
		strings.Count(said, "is over") != 1 {
		t.Errorf("%+v, %s", b.alarms(), said)
	}
}

// brokenPipe takes nothing.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestLostLogLinesAndAFullDiskAreAlarms.
func TestLostLogLinesAndAFullDiskAreAlarms(t *testing.T) {
	sink := newLogSink(brokenPipe{})
	if all := sink.alarms(time.Now()); len(all) != 0 {
		t.Errorf("before anything was lost: %+v", all)
	}
	fmt.Fprintln(sink, "a line")
	sink.flush()
	if all := sink.alarms(time.Now()); len(all) != 1 || all[0].Name != engine.AlarmLogLinesLost ||
		!strings.Contains(all[0].Detail, ": 1.") {
		t.Errorf("%+v", all)
	}
	data := t.TempDir()
	if all := diskAlarms(data, 1); len(all) != 0 {
		t.Errorf("with room: %+v", all)
	}
	if _, known := diskFree(data); !known {
		t.Skip("it is not known here")
	}
	if all := diskAlarms(data, 1<<60); len(all) != 1 || all[0].Name != engine.AlarmDisk ||
		!strings.Contains(all[0].Detail, data) {
		t.Errorf("without: %+v", all)
	}
}

// TestFailedStatementIsAnAlarm until one of its name is taken.
func TestFailedStatementIsAnAlarm(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.DayPlan("", 10))
	nodetest.ReconcileHere(t, s, "not a statement\n")
	s.Raised("reconciliation_failed")
	nodetest.ReconcileHere(t, s, nodetest.StatementHeader)
	s.Healed("reconciliation_failed")
}

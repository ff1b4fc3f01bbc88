package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/personal"
	"doorbuster/wal/vfs"
)

// passing is a clock that runs as the machine's does, but for the time that a test lets pass
// at once.
type passing struct{ by atomic.Int64 }

func (p *passing) now() time.Time { return time.Now().Add(time.Duration(p.by.Load())) }

func (p *passing) pass(d time.Duration) { p.by.Add(int64(d)) }

// slowFS is the machine's file system, whose syncs take what a test does meanwhile.
type slowFS struct {
	vfs.FS
	meanwhile atomic.Pointer[func()] // nil: they take no longer than they do
}

type slowFile struct {
	vfs.File
	fs *slowFS
}

func (s *slowFS) Create(name string) (vfs.File, error) { return s.open(s.FS.Create(name)) }

func (s *slowFS) OpenWrite(name string) (vfs.File, error) { return s.open(s.FS.OpenWrite(name)) }

func (s *slowFS) open(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return slowFile{f, s}, nil
}

func (s *slowFS) wait() {
	if do := s.meanwhile.Load(); do != nil {
		(*do)()
	}
}

func (f slowFile) Sync() error {
	f.fs.wait()
	return f.File.Sync()
}

func (f slowFile) WriteSync(b []byte, at int64) error {
	f.fs.wait()
	return f.File.WriteSync(b, at)
}

// TestSlowDisks: a log that takes long to sync, and a trail of events that is not written,
// are alarms, until they are fast again.
func TestSlowDisks(t *testing.T) {
	t.Parallel()
	clock, log, tape := &passing{}, &slowFS{FS: vfs.OS()}, &slowFS{FS: vfs.OS()}
	s, _, closing := openBare(t, t.TempDir(), func(c *Config) { c.wall, c.fs, c.tape = clock.now, log, tape })
	s.Apply(nodetest.Masks(100))
	slow := func() { time.Sleep(120 * time.Millisecond) } // longer than warnings.fsync
	log.meanwhile.Store(&slow)
	for range fewestFaults {
		s.MustGrant(nodetest.NewKey(), "", nodetest.Mask)
	}
	s.Raised("disk_slow")
	log.meanwhile.Store(nil)
	clock.pass(time.Minute + time.Second) // what was slow is not of the last minute any more
	s.Healed("disk_slow")

	mended := make(chan struct{})
	hangs := func() { <-mended }
	tape.meanwhile.Store(&hangs)
	s.MustGrant(nodetest.NewKey(), "", nodetest.Mask)
	clock.pass(time.Minute + time.Second)
	s.Raised("ledger_behind")
	tape.meanwhile.Store(nil)
	close(mended)
	s.Healed("ledger_behind")
	closing()
}

// TestWhatIsOverWithTime: money for no order, refunds that stay due and lines of the log that
// nobody took are alarms for as long as they should be.
func TestWhatIsOverWithTime(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	clock, sink := &passing{}, newLogSink(writer)
	s, _, closing := openBare(t, t.TempDir(), func(c *Config) { c.wall, c.logSink = clock.now, sink })
	s.Apply(nodetest.DayPlan("", 10))
	o := s.MustGrant("ann", "", "day/sku-1")

	reader.Close()
	if a := s.Do("POST", s.HTTP+"/v1/payments/callback", fmt.Sprintf(`{"order_no":%q,"payment_id":"p-1","amount":100,`+
		`"currency":"CNY","transaction_id":"018f3f2e-6c1a-4b62-9d4e-010203040506"}`, o.OrderNo)); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.Raised("stray_payments")
	s.Raised("log_lines_lost")
	clock.pass(lostFor + time.Second)
	s.Healed("log_lines_lost")
	clock.pass(time.Hour)
	s.Healed("stray_payments")

	clock.pass(25 * time.Hour)
	s.Raised("refunds_overdue")
	now := clock.now()
	nodetest.ReconcileHere(t, s, nodetest.StatementHeader+nodetest.StatementRow("p-1", o.OrderNo, 100, "payment", now)+
		nodetest.StatementRow("p-1", o.OrderNo, 100, "refund", now))
	s.Healed("refunds_overdue")
	closing()
}

// TestStatementsThatDoNotCome: a folder that is gone, and a cashier who has no statement of a
// day, are alarms until there is what is asked for.
func TestStatementsThatDoNotCome(t *testing.T) {
	t.Parallel()
	var statement atomic.Pointer[string]
	cashier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := statement.Load(); text != nil {
			io.WriteString(w, *text)
			return
		}
		http.NotFound(w, nil)
	}))
	defer cashier.Close()
	clock, folder := &passing{}, t.TempDir()
	s, _, closing := openBare(t, t.TempDir(), func(c *Config) {
		c.wall, c.look = clock.now, 20*time.Millisecond
		c.Reconcile.Folder, c.Reconcile.URL = folder, cashier.URL
		c.Reconcile.At, c.Reconcile.Timezone = time.Now().UTC().Format("15:04"), "UTC"
	})
	s.Apply(nodetest.DayPlan("", 10))
	o := s.MustGrant("ann", "", "day/sku-1")
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	s.Raised("statement_folder")
	yesterday := s.Raised("statement_lacking").About
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Healed("statement_folder")
	text := nodetest.StatementHeader + nodetest.StatementRow("p-1", o.OrderNo, 100, "payment", time.Now())
	statement.Store(&text)
	clock.pass(2 * time.Minute) // it is asked for again
	s.Healed("statement_lacking", yesterday)
	closing()
}

// TestSuppliersWhoFail: a catalogue that can't be had, and one of which most is gone, are
// alarms until the next that is taken.
func TestSuppliersWhoFail(t *testing.T) {
	t.Parallel()
	var rows atomic.Pointer[string]
	supplier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := rows.Load(); text != nil {
			io.WriteString(w, *text)
			return
		}
		http.NotFound(w, nil)
	}))
	defer supplier.Close()
	clock := &passing{}
	s, _, closing := openBare(t, t.TempDir(), func(c *Config) {
		c.wall, c.look = clock.now, 20*time.Millisecond
		c.Pulls = []PullConfig{{Supplier: "acme", URL: supplier.URL, Every: time.Hour, Format: "csv", Currency: "EUR",
			Language: "en", Stock: "total", MaxBytes: 1 << 20}}
	})
	whole, most := "id,price,total\na,1,5\nb,1,5\nc,1,5\n", "id,price,total\na,1,5\n"
	s.Raised("catalogue_lacking", "acme")
	rows.Store(&whole)
	clock.pass(2 * time.Hour)
	s.Healed("catalogue_lacking")
	rows.Store(&most)
	clock.pass(2 * time.Hour)
	s.Raised("catalogue_shrinks", "acme")
	rows.Store(&whole)
	clock.pass(2 * time.Hour)
	s.Healed("catalogue_shrinks")
	closing()
}

// TestSinkThatIsAway: a sink that takes nothing is an alarm, and so is one that lacks what is
// not kept any more, until an operator says where it goes on.
func TestSinkThatIsAway(t *testing.T) {
	t.Parallel()
	var there atomic.Bool
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !there.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer receiver.Close()
	clock := &passing{}
	config := fmt.Sprintf("sinks:\n  - {name: hooks, kind: webhook, url: %q, secret_file: %q, allow_addresses: "+
		"[127.0.0.0/8]}\n", receiver.URL, nodetest.TempFile(t, "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"))
	s, _, closing := openBare(t, t.TempDir(), func(c *Config) {
		c.wall, c.Disk.KeepEvents = clock.now, 2*time.Hour
	}, "--config", nodetest.TempFile(t, config))
	s.Apply(nodetest.Masks(100, "duration: 48h"))
	s.MustGrant("ann", "", nodetest.Mask)
	s.Eventually(func() bool { return strings.Contains(s.Ops("GET", "/admin/v1/sinks", "").Body, "503") },
		func() string { return s.Ops("GET", "/admin/v1/sinks", "").Body })
	clock.pass(time.Minute)
	s.Raised("sink_fails", "hooks")
	there.Store(true)
	s.Healed("sink_fails")

	there.Store(false)
	s.MustGrant("bob", "", nodetest.Mask)
	for i := range 4 { // each is in a segment of its own, as they are hours apart
		clock.pass(3 * time.Hour)
		late := fmt.Sprint("late-", i)
		s.MustGrant(late, "", nodetest.Mask)
		s.Eventually(func() bool {
			return strings.Contains(s.Ops("GET", "/admin/v1/events?follow=false&from=0", "").Body, late)
		}, func() string { return late + " is not in the trail" })
	}
	_, kept, _ := strings.Cut(s.Raised("sink_gone", "hooks").Detail, "the events before ")
	there.Store(true)
	if status, out, errs := runTool(t, "", "sinks", "replay", "hooks", "--from", strings.Fields(kept)[0],
		"--admin", s.Admin); status != 0 {
		t.Fatal(out, errs)
	}
	s.Healed("sink_gone")
	closing()
}

// TestRiskServiceThatFails: a service that is asked no more, as it fails, is an alarm until it
// answers.
func TestRiskServiceThatFails(t *testing.T) {
	t.Parallel()
	var works atomic.Bool
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !works.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		io.WriteString(w, `{"level":"allow"}`)
	}))
	defer service.Close()
	s := openShop(t, t.TempDir(), "--risk-url", service.URL, "--risk-timeout", "5s", "--risk-when-down", "allow")
	s.Apply(nodetest.Masks(100))
	for range 10 {
		s.MustGrant(nodetest.NewKey(), "", nodetest.Mask)
	}
	s.Raised("risk_service_fails")
	works.Store(true)
	s.Healed("risk_service_fails") // it is asked again
	s.MustGrant(nodetest.NewKey(), "", nodetest.Mask)
	s.Healed("risk_service_fails") // and answers
}

// TestKeysOfPersonalDataAreLost: a key file that lacks the key by which a receiver is sealed is
// an alarm until that is back.
func TestKeysOfPersonalDataAreLost(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "personal.keys")
	write := func(keys []personal.Key) {
		t.Helper()
		if err := os.WriteFile(file+".new", personal.FormatKeys(keys), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	first, err := personal.NewKey(nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other, err := personal.NewKey([]personal.Key{first}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	write([]personal.Key{first})
	s := openShop(t, t.TempDir(), "--personal-keys", file)
	s.Apply(nodetest.Masks(5))
	o := s.MustGrant("ann", "", nodetest.Mask)
	if a := s.Do("PUT", s.HTTP+"/v1/orders/"+o.OrderNo+"/receiver", `{"name":"Ann","phone":"+8613812345671",`+
		`"street":"11 Quillfeather Lane","city":"Springdale","country":"CN"}`, "X-Shopper-Id", "ann"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	write([]personal.Key{other})
	s.Raised("personal_keys")
	write([]personal.Key{first})
	s.Healed("personal_keys")
}

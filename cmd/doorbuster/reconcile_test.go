package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/archive"
	"doorbuster/httpapi/reconcile/statement"
)

const reconciliationsPath = "/admin/v1/reconciliations"

// TestReconcileThroughTheProgram: callbacks that never came are settled, once, and
// the report can be had in every form, also after the node was started again.
func TestReconcileThroughTheProgram(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.DayPlan("", 10))
	order := func(shopper string) string { return nodetest.OrderOfShopper(t, s, shopper) }
	agreed, lost, differs := order("ann"), order("bob"), order("cai")
	now := time.Now()
	if a := s.Do("POST", s.HTTP+"/v1/payments/callback",
		fmt.Sprintf(`{"order_no":%q,"payment_id":"p-agreed","amount":100,"currency":"CNY","paid_at":%q}`, agreed,
			now.Format(time.RFC3339Nano)), "Content-Type", "application/json"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	text := nodetest.StatementHeader + nodetest.StatementRow("p-agreed", agreed, 100, "payment", now) +
		nodetest.StatementRow("p-lost", lost, 100, "payment", now)
	file := filepath.Join(t.TempDir(), "today.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := runTool(t, "", "reconcile", file, "--dry-run", "--admin", s.Admin)
	if status != 1 || !strings.Contains(out, "payment not settled") || !strings.Contains(errs, "the books differ") {
		t.Fatalf("dry run: status %d\n%s%s", status, out, errs)
	}
	status, out, errs = runTool(t, "", "reconcile", file, "--note", "by hand", "--admin", s.Admin)
	for _, part := range []string{"today.csv: 2 payments, 0 refunds",
		"What was news to us is noted: 1 payment, 0 refunds.", "day/sku-1", "200 CNY"} {
		if !strings.Contains(out, part) {
			t.Errorf("it lacks %q:\n%s", part, out)
		}
	}
	if status != 0 || errs != "" {
		t.Errorf("status %d, %s", status, errs)
	}
	if status, report, errs := nodetest.ReconcileHere(t, s, text); status != 0 || report.Booked != 0 ||
		report.Matched != 2 || report.Verdict != "The books agree. Nothing was changed." {
		t.Errorf("a second time: status %d, %+v %s", status, report, errs)
	}
	one := text + nodetest.StatementRow("p-differs", differs, 99, "payment", now)
	text += nodetest.StatementRow("p-differs", differs, 99, "payment", now) + nodetest.StatementRow("=1+1",
		"000000000000000000000000", 5, "payment", now)
	status, report, errs := nodetest.ReconcileHere(t, s, text)
	if status != 1 || report.Open != 2 || !strings.Contains(errs, "2 findings are open") {
		t.Fatalf("status %d, %+v %s", status, report, errs)
	}

	s.Stop()
	s = openShop(t, s.Dir)
	var list struct{ Reconciliations []reconcile.Report }
	if a := s.Ops("GET", reconciliationsPath, ""); json.Unmarshal([]byte(a.Body), &list) != nil ||
		len(list.Reconciliations) != 4 || list.Reconciliations[0].ID != report.ID ||
		list.Reconciliations[2].Note != "by hand" || list.Reconciliations[2].Statement.Name != "today.csv" ||
		list.Reconciliations[0].Statement.SHA256 == list.Reconciliations[1].Statement.SHA256 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	var whole reconcile.Report
	if a := s.Ops("GET", reconciliationsPath+"/"+report.ID, ""); json.Unmarshal([]byte(a.Body), &whole) != nil ||
		len(whole.Findings) != 2 || whole.Open != 2 || len(whole.Days) != 1 || whole.Operator != "dev" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for part, want := range map[string]string{"": "order_unknown,true,,'=1+1,000000000000000000000000",
		"&part=totals": ",,,CNY,4,304,0,0,2,200,0,0", "&part=listings": ",day,sku-1,CNY,3,299,0,0,2,200,0,0",
		"&part=sessions": ",-,,CNY,1,5,", "&part=days": ",CNY,4,304,"} {
		if a := s.Ops("GET", reconciliationsPath+"/"+report.ID+"?format=csv"+part, ""); a.Status != 200 ||
			!strings.Contains(a.Body, want) {
			t.Errorf("%s: %d %s\nwant %s", part, a.Status, a.Body, want)
		}
	}
	// of the one that was settled
	for query, want := range map[string]int{"": 1, "?open=true": 0, "?findings=0": 0, "?findings=5&open=false": 1} {
		var brief reconcile.Report
		if a := s.Ops("GET", reconciliationsPath+"/"+list.Reconciliations[2].ID+query,
			""); json.Unmarshal([]byte(a.Body), &brief) != nil || len(brief.Findings) != want || brief.Found != 1 {
			t.Errorf("%q: %d %s", query, a.Status, a.Body)
		}
	}
	var brief reconcile.Report
	if a := s.Ops("GET", reconciliationsPath+"/"+report.ID+"?findings=1&open=true", ""); json.Unmarshal([]byte(a.Body),
		&brief) != nil || len(brief.Findings) != 1 || brief.Open != 2 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for path, want := range map[string]int{"/nobody": 404, "/" + report.ID + "?findings=-1": 400, "/" + report.ID +
		"?open=maybe": 400, "/" + report.ID + "?format=pdf": 400, "/" + report.ID + "?part=days": 400, "/" + report.ID +
		"?format=csv&part=months": 400, "/..%2fVERSION": 404} {
		if a := s.Ops("GET", reconciliationsPath+path, ""); a.Status != want {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if status, report, errs := nodetest.ReconcileHere(t, s, one); status != 1 || report.Open != 1 ||
		!strings.Contains(errs, "1 finding is open") {
		t.Errorf("one that differs: status %d, %+v %s", status, report, errs)
	}
}

// TestReconcileSettledSession: orders that have left the state are found, money that
// comes for them goes back, and what the statement lacks of them is told.
func TestReconcileSettledSession(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.DayPlan("        pay_within: 1s\n        pay_grace: 0s\n", 10))
	began := time.Now()
	numbers := map[string]string{}
	for _, shopper := range []string{"ann", "bob", "cai"} {
		numbers[shopper] = nodetest.OrderOfShopper(t, s, shopper)
	}
	for _, shopper := range []string{"ann", "cai"} {
		if a := s.Do("POST", s.HTTP+"/v1/payments/callback",
			fmt.Sprintf(`{"order_no":%q,"payment_id":"p-%s","amount":100,"currency":"CNY","paid_at":%q}`,
				numbers[shopper], shopper, began.Format(time.RFC3339Nano)), "Content-Type",
			"application/json"); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	if a := s.Ops("POST", "/admin/v1/sessions/day/end", ""); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	var settled nodetest.Reply
	s.Eventually(func() bool {
		settled = s.Ops("POST", "/admin/v1/sessions/day/settle", "")
		return settled.Status == 200
	}, func() string { return fmt.Sprint("not settled: ", settled.Status, " ", settled.Body) })
	text := nodetest.StatementHeader + nodetest.StatementRow("p-ann", numbers["ann"], 100, "payment", began) +
		nodetest.StatementRow("p-bob", numbers["bob"], 100, "payment", began.Add(time.Second))
	for round, want := range []struct{ settled, matched int64 }{{1, 1}, {0, 2}} {
		status, report, errs := nodetest.ReconcileHere(t, s, text)
		if status != 1 || report.Booked != want.settled || report.Matched != want.matched || report.Open != 1 ||
			report.Pending.Count != 1 {
			t.Fatalf("round %d: status %d, %+v %s", round, status, report, errs)
		}
		for _, f := range report.Findings {
			if f.Kind == reconcile.LostPayment && (f.Outcome != "refund_due" || f.PaymentID != "p-bob") ||
				f.Kind == reconcile.MissingPayment && f.PaymentID != "p-cai" {
				t.Errorf("round %d: %+v", round, f)
			}
		}
	}
}

// TestBadStatementsThroughTheProgram: each is refused by name, and nothing of it is
// taken.
func TestBadStatementsThroughTheProgram(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.DayPlan("", 10))
	good := nodetest.StatementRow("p1", "0123456789ABCDEFGHJKMNPQ", 100, "payment", time.Now())
	for name, c := range map[string]struct{ text, says string }{
		"negative": {nodetest.StatementHeader + good + nodetest.StatementRow("p2", "0123456789ABCDEFGHJKMNPQ",
			-1, "payment", time.Now()), "line 3: the amount -1 is negative"},
		"garbled":          {nodetest.StatementHeader + "\"\"\"\n", "line 2"},
		"wrong header":     {"id;sum\n2026;49\n", "is the header of a format that is known"},
		"another encoding": {"\xff\xfep\x00a\x00", "UTF-16"},
		"cut off":          {nodetest.StatementHeader + good[:len(good)-9], "may have been cut off"},
		"empty":            {"", "the file is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			status, report, errs := nodetest.ReconcileHere(t, s, c.text)
			if status != 1 || report != nil || !strings.Contains(errs, c.says) {
				t.Errorf("status %d, %s; want %q", status, errs, c.says)
			}
		})
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no file":      {[]string{"--admin", s.Admin}, 2, "name one statement"},
		"two":          {[]string{"a", "b", "--admin", s.Admin}, 2, "name one statement"},
		"no such file": {[]string{filepath.Join(t.TempDir(), "nowhere.csv"), "--admin", s.Admin}, 1, "no such file"},
		"a directory":  {[]string{t.TempDir(), "--admin", s.Admin}, 1, "directory"},
		"bad time":     {[]string{"-", "--from", "yesterday", "--admin", s.Admin}, 2, "--from"},
		"wrong way": {[]string{"-", "--from", "2026-09-21T00:00:00Z", "--to", "2026-09-20T00:00:00Z", "--admin",
			s.Admin}, 1, "from is not before to"},
		"nobody there":  {[]string{"-", "--admin", "127.0.0.1:1"}, 1, "127.0.0.1:1"},
		"no node named": {[]string{"-"}, 2, "--admin"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _, errs := runTool(t, "", append([]string{"reconcile"}, c.args...)...); status != c.status ||
				!strings.Contains(errs, c.says) {
				t.Errorf("status %d, %s; want %d and %q", status, errs, c.status, c.says)
			}
		})
	}
	left, err := filepath.Glob(filepath.Join(s.Dir, archive.Folder, "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if a := s.Ops("GET", reconciliationsPath, ""); a.Body != "{\"reconciliations\":[]}\n" {
		t.Errorf("reports: %s", a.Body)
	}
}

// TestStatementThatBreaksOff: an upload that ends early, or that is larger than any
// statement, changes nothing; and while one is under way another is turned away.
func TestStatementThatBreaksOff(t *testing.T) {
	s := openShop(t, t.TempDir())
	dial := func(head string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", s.Admin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/csv\r\n%s\r\n",
			reconciliationsPath, s.Admin, head); err != nil {
			t.Fatal(err)
		}
		return c
	}
	answer := func(c net.Conn, want ...string) {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(nodetest.Patience))
		text, _ := io.ReadAll(c) // it may be reset behind the answer
		for _, part := range want {
			if !strings.Contains(string(text), part) {
				t.Errorf("it lacks %q:\n%s", part, text)
			}
		}
	}
	answer(dial("Content-Length: 5000000000\r\n"), "413", "4294967296")
	slow := dial("Content-Length: 1000\r\nConnection: close\r\n")
	if _, err := io.WriteString(slow, nodetest.StatementHeader); err != nil {
		t.Fatal(err)
	}
	s.Eventually(func() bool {
		coming, _ := filepath.Glob(filepath.Join(s.Dir, archive.Folder, "statement-*"))
		return len(coming) > 0
	}, func() string { return "the statement is not being taken in" })
	second := s.Do("POST", "http://"+s.Admin+reconciliationsPath, nodetest.StatementHeader, "Content-Type", "text/csv")
	if second.Status != 409 {
		t.Errorf("a second one: %d", second.Status)
	}
	if !strings.Contains(second.Body, "Another statement") {
		t.Error(second.Body)
	}
	slow.(*net.TCPConn).CloseWrite()
	answer(slow, "400", "broke off before its end")
	if a := s.Do("POST", "http://"+s.Admin+reconciliationsPath, nodetest.StatementHeader, "Content-Type",
		"text/csv"); a.Status != 200 {
		t.Errorf("the next one: %d %s", a.Status, a.Body)
	}
}

// TestReconcileAtSpeed: 20,000 lines, half of which nobody has told of.
func TestReconcileAtSpeed(t *testing.T) {
	const orders = 20_000
	cfg := testConfig(t)
	n, err := openNode(cfg, cfg.newLogger(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	defer n.close(context.Background())
	if err := n.cluster.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &nodetest.Shop{T: t, Admin: n.adminListener.Addr().String()}
	s.Apply(nodetest.DayPlan("", orders))
	var text strings.Builder
	text.WriteString(nodetest.StatementHeader)
	var mu sync.Mutex
	began := time.Now()
	var crowd sync.WaitGroup
	for worker := range 100 {
		crowd.Go(func() {
			for i := worker; i < orders; i += 100 {
				a := n.office.Grab(&engine.Grab{Listing: []byte("day/skus/sku-1"),
					Shopper: []byte("s" + strconv.Itoa(i)), IdempotencyKey: []byte("k"), Quantity: 1})
				if a.Code != engine.CodeGranted {
					t.Error(a.Code)
					return
				}
				no, id := a.No.String(), "p"+strconv.Itoa(i)
				if i%2 == 0 {
					if _, err := n.office.Pay(t.Context(), engine.Payment{OrderNo: no, ID: id, Amount: 100,
						Currency: "CNY", PaidAt: engine.TimeOf(began)}); err != nil {
						t.Error(err)
						return
					}
				}
				mu.Lock()
				text.WriteString(nodetest.StatementRow(id, no, 100, "payment", began))
				mu.Unlock()
			}
		})
	}
	crowd.Wait()
	if t.Failed() {
		return
	}
	status, report, errs := nodetest.ReconcileHere(t, s, text.String())
	if status != 0 || report.Booked != orders/2 || report.Matched != orders/2 || report.Open != 0 {
		t.Fatalf("status %d, %+v %s", status, report, errs)
	}
	t.Logf("%d lines, %d of them lost callbacks: %d ms", orders, report.Booked, report.TookMS)
	status, again, errs := nodetest.ReconcileHere(t, s, text.String())
	if status != 0 || again.Booked != 0 || again.Matched != orders {
		t.Fatalf("a second time: status %d, %+v %s", status, again, errs)
	}
	t.Logf("a second time: %d ms", again.TookMS)
	if c, err := n.office.Counts("day", "sku-1"); err != nil || c.Paid != orders {
		t.Errorf("%+v, %v", c, err)
	}
}

// testConfig is that of a lone node on loopback.
func testConfig(t *testing.T) Config {
	t.Helper()
	cfg, err := load(t, nodetest.ServeArgs(t.TempDir())[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestBadReconcileSettings(t *testing.T) {
	cfg := testConfig(t)
	cfg.Reconcile.At, cfg.Reconcile.Timezone, cfg.Reconcile.URL, cfg.Reconcile.Folder = "4 o'clock", "Moon/Base",
		"ftp://x", cfg.archive()
	err := cfg.Validate()
	for _, want := range []string{"reconcile.at", "reconcile.timezone", "reconcile.url", "reconcile.folder"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: lacks %s", err, want)
		}
	}
}

// TestWhenStatementsAreHad: by when the format is published, unless somebody says otherwise.
func TestWhenStatementsAreHad(t *testing.T) {
	for _, c := range []struct{ format, at, zone, want, in string }{
		{"auto", "", "", "04:30", "UTC"},
		{"wechat", "", "", "10:30", "Asia/Shanghai"},
		{"alipay", "", "", "10:30", "Asia/Shanghai"},
		{"stripe", "", "", "12:30", "UTC"},
		{"adyen", "", "", "06:30", "Europe/Amsterdam"},
		{"wechat", "", "UTC", "02:30", "UTC"},
		{"wechat", "11:00", "", "11:00", "Asia/Shanghai"},
		{"csv", "", "Asia/Shanghai", "12:30", "Asia/Shanghai"},
		{"csv", "05:00", "Asia/Tokyo", "05:00", "Asia/Tokyo"},
	} {
		r := ReconcileConfig{Format: c.format, At: c.at, Timezone: c.zone}
		at, zone, err := r.when(statement.Format(c.format))
		if err != nil || at != c.want || zone.String() != c.in {
			t.Errorf("%+v: %s in %v, %v", c, at, zone, err)
		}
	}
}

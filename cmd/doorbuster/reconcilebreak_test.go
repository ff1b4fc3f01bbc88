package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/httpapi/reconcile"
)

// statementOfLost sells to so many shoppers, and gives a file with the cashier's
// statement of their payments, of which nobody has told the shop.
func (f *testCluster) statementOfLost(orders int) (file string) {
	f.t.Helper()
	f.plan(dayPlan("", orders))
	rows := make([]string, orders)
	const crowd = 64
	var wait sync.WaitGroup
	for worker := range crowd {
		wait.Go(func() {
			for i := worker; i < orders; i += crowd {
				a, err := f.nodes[i%len(f.nodes)].tryGrab(fmt.Sprint("s", i), "k", "day/sku-1")
				if err != nil || a.Code != "granted" {
					f.t.Errorf("%d %s, %v", a.Status, a.Body, err)
					return
				}
				rows[i] = statementRow(fmt.Sprint("p", i), a.Order.OrderNo, 100, "payment", time.Now())
			}
		})
	}
	wait.Wait()
	if f.t.Failed() {
		f.t.FailNow()
	}
	file = filepath.Join(f.t.TempDir(), "day.csv")
	if err := os.WriteFile(file, []byte(statementHeader+strings.Join(rows, "")), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return file
}

// startReconcile runs the command in a process of its own, up to where some of the
// statement has been settled, as m's figures tell.
func (m *member) startReconcile(file string, at *member) *tailing {
	m.t.Helper()
	w := startTool(m.t, "reconcile", file, "--json", "--admin", m.admin)
	m.f.eventually(func() bool { return at.counts("day/sku-1").Paid > 100 }, "nothing is settled")
	return w
}

// mustAgree runs a statement once more through m, and twice: then it has been
// settled, each line once, and the books agree on every node.
func (f *testCluster) mustAgree(m *member, file string, orders int64) {
	f.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		f.t.Fatal(err)
	}
	var report *reconcile.Report
	f.eventually(func() bool {
		status, told, errs := reconcileHere(f.t, m.shop, string(text))
		if told == nil && !strings.Contains(errs, "Another statement is being taken in or reconciled") && !strings.Contains(errs, "(503)") {
			f.t.Fatalf("again: status %d, %s", status, errs)
		}
		report = told
		return told != nil && status == 0
	}, "it can't be run again")
	if report.Booked+report.Matched != orders || report.Open != 0 {
		f.t.Errorf("again: %+v", report)
	}
	if status, report, errs := reconcileHere(f.t, m.shop, string(text)); status != 0 || report.Booked != 0 || report.Matched != orders || report.Totals[0].Theirs != report.Totals[0].Ours {
		f.t.Errorf("a third time: status %d, %+v %s", status, report, errs)
	}
	if c := f.settled()["day/sku-1"]; c.Paid != orders || c.Held != 0 {
		f.t.Errorf("%+v", c)
	}
	f.awaitLedgers()
	told := strings.Join(m.told("0"), "")
	if paid := strings.Count(told, `"kind":"order_paid"`); int64(paid) != orders || strings.Contains(told, "refund") {
		f.t.Errorf("%d were paid, of %d", paid, orders)
	}
}

// TestLeaderKilledWhileReconciling: who asked it is told what that means; who asked
// another node gets the report all the same. Once more, and the books agree.
func TestLeaderKilledWhileReconciling(t *testing.T) {
	const orders = 2000
	for _, asked := range []string{"leader", "follower"} {
		t.Run(asked, func(t *testing.T) {
			f := openFleet(t, "prefer", rooms3...)
			file := f.statementOfLost(orders)
			leader := f.leader()
			rest := f.others(leader)
			m := map[string]*member{"leader": leader, "follower": rest[0]}[asked]
			w := m.startReconcile(file, rest[1])
			leader.kill()
			err := w.process.Wait()
			said := w.errs.String()
			switch {
			case asked == "follower" && (err == nil || strings.Contains(said, "findings are open")): // a report, after the next leader was there
			case err == nil:
				t.Errorf("it says that all is well: %s", w.out)
			case !strings.Contains(said, "settled for good") || !strings.Contains(said, "again"):
				t.Errorf("it does not say what that means: %s", said)
			}
			f.mustAgree(rest[1], file, orders)
		})
	}
}

// TestInterruptedReconcile: Ctrl-C ends the command, not what the node has taken in;
// it says so, and once more the books agree.
func TestInterruptedReconcile(t *testing.T) {
	const orders = 2000
	f := openFleet(t, "prefer", rooms3...)
	file := f.statementOfLost(orders)
	m := f.follower()
	w := m.startReconcile(file, m)
	if err := w.process.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := w.process.Wait(); err == nil && w.out.String() == "" {
		t.Error("a run that was left says that all is well")
	} else if said := w.errs.String(); err != nil && (!strings.Contains(said, "interrupted") || !strings.Contains(said, "settled for good") || !strings.Contains(said, "again")) {
		t.Errorf("it does not say what that means: %s", said)
	}
	f.mustAgree(m, file, orders)
}

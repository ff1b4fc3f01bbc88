package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/reconcile"
)

// statementOfLost sells to so many shoppers, and gives a file with the cashier's
// statement of their payments, of which nobody has told the shop.
func statementOfLost(f *nodetest.Fleet, orders int) (file string) {
	f.T.Helper()
	f.Plan(nodetest.DayPlan("", orders))
	rows := make([]string, orders)
	const crowd = 64
	var wait sync.WaitGroup
	for worker := range crowd {
		wait.Go(func() {
			for i := worker; i < orders; i += crowd {
				a, err := f.Nodes[i%len(f.Nodes)].TryGrab(fmt.Sprint("s", i), "k", "day/sku-1")
				if err != nil || a.Code != "granted" {
					f.T.Errorf("%d %s, %v", a.Status, a.Body, err)
					return
				}
				rows[i] = nodetest.StatementRow(fmt.Sprint("p", i), a.Order.OrderNo, 100, "payment", time.Now())
			}
		})
	}
	wait.Wait()
	if f.T.Failed() {
		f.T.FailNow()
	}
	file = filepath.Join(f.T.TempDir(), "day.csv")
	if err := os.WriteFile(file, []byte(nodetest.StatementHeader+strings.Join(rows, "")), 0o600); err != nil {
		f.T.Fatal(err)
	}
	return file
}

// startReconcile runs the command in a process of its own, up to where some of the
// statement has been settled, as m's figures tell.
func startReconcile(m *nodetest.Member, file string, at *nodetest.Member) *nodetest.Tailing {
	m.T.Helper()
	w := nodetest.StartTool(m.T, "reconcile", file, "--json", "--admin", m.Admin)
	m.Fleet.Eventually(func() bool { return at.Counts("day/sku-1").Paid > 100 }, "nothing is settled")
	return w
}

// mustAgree runs a statement once more through m, and twice: then it has been
// settled, each line once, and the books agree on every node.
func mustAgree(f *nodetest.Fleet, m *nodetest.Member, file string, orders int64) {
	f.T.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		f.T.Fatal(err)
	}
	var report *reconcile.Report
	f.Eventually(func() bool {
		status, told, errs := nodetest.ReconcileHere(f.T, m.Shop, string(text))
		if told == nil && !strings.Contains(errs, "Another statement is being taken in or reconciled") &&
			!strings.Contains(errs, "(503)") {
			f.T.Fatalf("again: status %d, %s", status, errs)
		}
		report = told
		return told != nil && status == 0
	}, "it can't be run again")
	if report.Booked+report.Matched != orders || report.Open != 0 {
		f.T.Errorf("again: %+v", report)
	}
	if status, report, errs := nodetest.ReconcileHere(f.T, m.Shop, string(text)); status != 0 || report.Booked != 0 ||
		report.Matched != orders || report.Totals[0].Theirs != report.Totals[0].Ours {
		f.T.Errorf("a third time: status %d, %+v %s", status, report, errs)
	}
	if c := f.Settled()["day/sku-1"]; c.Paid != orders || c.Held != 0 {
		f.T.Errorf("%+v", c)
	}
	f.AwaitLedgers()
	told := strings.Join(m.Told("0"), "")
	if paid := strings.Count(told, `"kind":"order_paid"`); int64(paid) != orders || strings.Contains(told, "refund") {
		f.T.Errorf("%d were paid, of %d", paid, orders)
	}
}

// TestLeaderKilledWhileReconciling: who asked it is told what that means; who asked
// another node gets the report all the same. Once more, and the books agree.
func TestLeaderKilledWhileReconciling(t *testing.T) {
	const orders = 2000
	for _, asked := range []string{"leader", "follower"} {
		t.Run(asked, func(t *testing.T) {
			f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
			file := statementOfLost(f, orders)
			leader := f.Leader()
			rest := f.Others(leader)
			m := map[string]*nodetest.Member{"leader": leader, "follower": rest[0]}[asked]
			w := startReconcile(m, file, rest[1])
			leader.Kill()
			err := w.Command.Wait()
			said := w.Errs.String()
			switch {
			case asked == "follower" && (err == nil || strings.Contains(said,
				"findings are open")): // a report, after the next leader was there
			case err == nil:
				t.Errorf("it says that all is well: %s", w.Out)
			case !strings.Contains(said, "booked for good") || !strings.Contains(said, "again"):
				t.Errorf("it does not say what that means: %s", said)
			}
			mustAgree(f, rest[1], file, orders)
		})
	}
}

// TestInterruptedReconcile: Ctrl-C ends the command, not what the node has taken in;
// it says so, and once more the books agree.
func TestInterruptedReconcile(t *testing.T) {
	const orders = 2000
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	file := statementOfLost(f, orders)
	m := f.Follower()
	w := startReconcile(m, file, m)
	if err := w.Command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := w.Command.Wait(); err == nil && w.Out.String() == "" {
		t.Error("a run that was left says that all is well")
	} else if said := w.Errs.String(); err != nil && (!strings.Contains(said, "interrupted") ||
		!strings.Contains(said, "booked for good") || !strings.Contains(said, "again")) {
		t.Errorf("it does not say what that means: %s", said)
	}
	mustAgree(f, m, file, orders)
}

package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// takeLedger puts a copy of another node's ledger in place of this one's; neither
// runs.
func takeLedger(m *nodetest.Member, from *nodetest.Shop) {
	m.T.Helper()
	own := filepath.Join(m.Dir, "ledger")
	if err := errors.Join(os.RemoveAll(own), os.CopyFS(own, os.DirFS(filepath.Join(from.Dir, "ledger")))); err != nil {
		m.T.Fatal(err)
	}
}

// awaitTold waits until a node whose ledger is rebuilt tells this from the
// beginning, and nothing else on the way there.
func awaitTold(m *nodetest.Member, want []string) {
	m.T.Helper()
	whole := strings.Join(want, "")
	m.Fleet.Eventually(func() bool {
		a := m.Ops("GET", "/admin/v1/events?follow=false&from=0", "")
		if a.Status == 503 {
			return false // it says that it can't tell now
		}
		if a.Status != 200 || !strings.HasPrefix(whole, a.Body) {
			m.T.Fatalf("%s: %d, it tells\n%s\ninstead of\n%s", m.ID, a.Status, a.Body, whole)
		}
		return a.Body == whole
	}, m.ID+" does not come to tell all")
}

// TestLedgerOfAnotherCluster: put in place of a node's, it is noticed by name and
// rebuilt; nothing of it is told by any door.
func TestLedgerOfAnotherCluster(t *testing.T) {
	elsewhere := nodetest.Open(t, t.TempDir())
	elsewhere.Apply(nodetest.DayPlan("", 100))
	var foreign []nodetest.Order
	for i := range 40 { // its log is longer than the cluster's
		foreign = append(foreign, elsewhere.MustGrant(fmt.Sprint("stranger", i), "k", "day/sku-1"))
	}
	elsewhere.Stop()

	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 100))
	m := f.Follower()
	o := m.MustGrant("ann", "k", "day/sku-1")
	f.AwaitLedgers()
	m.Halt()
	takeLedger(m, elsewhere)
	m.Relaunch()
	if a := m.Order("stranger0", foreign[0].OrderNo); a.Status != 404 && a.Status != 503 {
		t.Errorf("an order of the other cluster: %d %s", a.Status, a.Body)
	}
	want := f.Leader().Told("0")
	awaitTold(m, want)
	if a := m.Order("ann", o.OrderNo); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if said := m.Logs.String(); !strings.Contains(said, "it belongs to another cluster") {
		t.Errorf("it does not say why:\n%s", said)
	}
	if v := m.Metric("doorbuster_ledger_rebuilds_total"); v == "0" {
		t.Error("nothing was quarantined")
	}
}

// TestLedgerOverAPromotion: the surviving room goes on with its own: every event of
// before and after once, in order, also to who follows it. What the other room did
// alone is told by nobody.
func TestLedgerOverAPromotion(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 1000))
	a1, a2, b1 := f.Node("a1"), f.Node("a2"), f.Node("b1")
	if f.Leader() == b1 {
		b1.MustRun("cluster", "transfer", "--to", "a1")
		f.Leader()
	}
	tail := nodetest.StartTail(t, "--admin", b1.Admin, "--from", "0", "--follow", "--json")
	orders := map[string]string{}
	for i := range 20 {
		who := fmt.Sprint("before", i)
		orders[who] = f.Nodes[i%3].MustGrant(who, "k", "day/sku-1").OrderNo
	}
	f.AwaitLedgers()
	before := b1.Told("0")
	// The room of two goes on alone, and is lost with what it did then.
	b1.Signal(syscall.SIGSTOP)
	b1.Up = false
	alone := f.Leader()
	alone.EventuallyGrants("sent", "day/sku-1") // b1 finds it in its socket, perhaps
	for i := range 20 {
		alone.MustGrant(fmt.Sprint("lost", i), "k", "day/sku-1")
	}
	f.Eventually(func() bool {
		return strings.Contains(strings.Join(alone.Told("0"), ""), "lost19")
	}, "the ledger stays behind")
	a1.Kill()
	a2.Kill()
	b1.Signal(syscall.SIGCONT)
	b1.Up = true
	f.Eventually(func() bool {
		status, _, _ := nodetest.Tool(t, "", "cluster", "promote", "--zone", "b", "--yes", "--admin", b1.Admin)
		return status == 0
	}, "b1 can't be promoted")
	b1.EventuallyGrants("after", "day/sku-1")
	for i := range 30 {
		who := fmt.Sprint("after", i)
		orders[who] = b1.MustGrant(who, "k", "day/sku-1").OrderNo
	}
	f.AwaitLedgers()
	b1.MustHaveTold(before)
	whole := b1.Told("0")
	text := strings.Join(whole, "")
	granted := len(orders) + 1 + strings.Count(text, `"shopper":"sent"`)
	if holds := strings.Count(text, `"kind":"hold_placed"`); holds != granted || strings.Contains(text, `"lost`) ||
		strings.Contains(text, `"missing"`) {
		t.Errorf("it tells of %d holds, %d were granted:\n%s", holds, granted, text)
	}
	f.Eventually(func() bool {
		return len(tail.Out.String()) >= len(strings.Join(whole, ""))
	}, "who follows hears nothing more")
	if tail.Out.String() != strings.Join(whole, "") {
		t.Errorf("who follows was told\n%s", tail.Out)
	}
	for who, orderNo := range orders {
		if a := b1.Order(who, orderNo); a.Status != 200 || a.Order.State != "held" {
			t.Errorf("%s of %s: %d %s", orderNo, who, a.Status, a.Body)
		}
	}
}

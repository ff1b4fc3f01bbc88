package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// takeLedger puts a copy of another node's ledger in place of this one's; neither
// runs.
func (m *member) takeLedger(from *shop) {
	m.t.Helper()
	own := filepath.Join(m.dir, "ledger")
	if err := errors.Join(os.RemoveAll(own), os.CopyFS(own, os.DirFS(filepath.Join(from.dir, "ledger")))); err != nil {
		m.t.Fatal(err)
	}
}

// awaitTold waits until a node whose ledger is made anew tells this from the
// beginning, and nothing else on the way there.
func (m *member) awaitTold(want []string) {
	m.t.Helper()
	whole := strings.Join(want, "")
	m.f.eventually(func() bool {
		a := m.ops("GET", "/admin/v1/events?follow=false&from=0", "")
		if a.Status == 503 {
			return false // it says that it can't tell now
		}
		if a.Status != 200 || !strings.HasPrefix(whole, a.Body) {
			m.t.Fatalf("%s: %d, it tells\n%s\ninstead of\n%s", m.id, a.Status, a.Body, whole)
		}
		return a.Body == whole
	}, m.id+" does not come to tell all")
}

// TestLedgerOfAnotherCluster: put in place of a node's, it is noticed by name and
// made anew; nothing of it is told by any door.
func TestLedgerOfAnotherCluster(t *testing.T) {
	elsewhere := openShop(t, t.TempDir())
	elsewhere.apply(dayPlan("", 100))
	var foreign []order
	for i := range 40 { // its log is longer than the cluster's
		foreign = append(foreign, elsewhere.mustGrant(fmt.Sprint("stranger", i), "k", "day/sku-1"))
	}
	elsewhere.stop()

	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 100))
	m := f.follower()
	o := m.mustGrant("ann", "k", "day/sku-1")
	f.awaitLedgers()
	m.halt()
	m.takeLedger(elsewhere)
	m.relaunch()
	if a := m.order("stranger0", foreign[0].OrderNo); a.Status != 404 && a.Status != 503 {
		t.Errorf("an order of the other cluster: %d %s", a.Status, a.Body)
	}
	want := f.leader().told("0")
	m.awaitTold(want)
	if a := m.order("ann", o.OrderNo); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if said := m.logs.String(); !strings.Contains(said, "it belongs to another cluster") {
		t.Errorf("it does not say why:\n%s", said)
	}
	if v := m.metric("doorbuster_ledger_rebuilds_total"); v == "0" {
		t.Error("nothing was put aside")
	}
}

// TestLedgerOverAPromotion: the surviving room goes on with its own: every event of
// before and after once, in order, also to who follows it. What the other room did
// alone is told by nobody.
func TestLedgerOverAPromotion(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 1000))
	a1, a2, b1 := f.node("a1"), f.node("a2"), f.node("b1")
	if f.leader() == b1 {
		if status, out, errs := runTool(t, "", "cluster", "transfer", "--to", "a1", "--admin", b1.admin); status != 0 {
			t.Fatal(out, errs)
		}
		f.leader()
	}
	tail := startTail(t, "--admin", b1.admin, "--from", "0", "--follow", "--json")
	orders := map[string]string{}
	for i := range 20 {
		who := fmt.Sprint("before", i)
		orders[who] = f.nodes[i%3].mustGrant(who, "k", "day/sku-1").OrderNo
	}
	f.awaitLedgers()
	before := b1.told("0")
	// The room of two goes on alone, and is lost with what it did then.
	b1.signal(syscall.SIGSTOP)
	b1.up = false
	alone := f.leader()
	alone.eventuallyGrants("sent", "day/sku-1") // b1 finds it in its socket, perhaps
	for i := range 20 {
		alone.mustGrant(fmt.Sprint("lost", i), "k", "day/sku-1")
	}
	f.eventually(func() bool { return strings.Contains(strings.Join(alone.told("0"), ""), "lost19") }, "the ledger stays behind")
	a1.kill()
	a2.kill()
	b1.signal(syscall.SIGCONT)
	b1.up = true
	f.eventually(func() bool {
		status, _, _ := runTool(t, "", "cluster", "promote", "--zone", "b", "--yes", "--admin", b1.admin)
		return status == 0
	}, "b1 can't be promoted")
	b1.eventuallyGrants("after", "day/sku-1")
	for i := range 30 {
		who := fmt.Sprint("after", i)
		orders[who] = b1.mustGrant(who, "k", "day/sku-1").OrderNo
	}
	f.awaitLedgers()
	b1.mustHaveTold(before)
	whole := b1.told("0")
	text := strings.Join(whole, "")
	granted := len(orders) + 1 + strings.Count(text, `"shopper":"sent"`)
	if holds := strings.Count(text, `"kind":"hold_placed"`); holds != granted || strings.Contains(text, `"lost`) || strings.Contains(text, `"missing"`) {
		t.Errorf("it tells of %d holds, %d were granted:\n%s", holds, granted, text)
	}
	f.eventually(func() bool { return len(tail.out.String()) >= len(strings.Join(whole, "")) }, "who follows hears nothing more")
	if tail.out.String() != strings.Join(whole, "") {
		t.Errorf("who follows was told\n%s", tail.out)
	}
	for who, orderNo := range orders {
		if a := b1.order(who, orderNo); a.Status != 200 || a.Order.State != "held" {
			t.Errorf("%s of %s: %d %s", orderNo, who, a.Status, a.Body)
		}
	}
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// twoDays is a plan of two sessions that are open, each with one listing.
const twoDays = `products:
  - {id: mask, currency: CNY, list_price: 900}
sales:
  - id: sale
    sessions:
      - id: day
        start: now
        pay_grace: 0s
        listings:
          - {sku: mask, price: 100, stock: 5000}
      - id: next
        start: now
        pay_grace: 0s
        listings:
          - {sku: mask, price: 100, stock: 5000}
`

// settledDay sells some units of session "day", settles it, and gives its orders
// with their states, and who has them.
func (m *member) settledDay() (sold []foundOrder) {
	m.t.Helper()
	for i := range 20 {
		who := fmt.Sprint("s", i)
		o := m.mustGrant(who, "k", "day/mask")
		if o.State = "paid"; i%2 == 1 {
			o.State = "cancelled"
			if a := m.cancelOrder(who, o.OrderNo); a.Status != 200 {
				m.t.Fatal(a.Body)
			}
		} else if a := m.pay(o, fmt.Sprint("p", i)); a.Status != 200 {
			m.t.Fatal(a.Body)
		}
		sold = append(sold, foundOrder{order: o, Shopper: who})
	}
	if a := m.ops("POST", "/admin/v1/sessions/day/end", `{}`); a.Status != 200 {
		m.t.Fatal(a.Body)
	}
	m.settle("day")
	return sold
}

// mustHaveKept looks for settled orders by number at both doors, and by shopper.
func (m *member) mustHaveKept(sold []foundOrder) {
	m.t.Helper()
	for _, want := range sold {
		var a reply
		m.f.eventually(func() bool { a = m.order(want.Shopper, want.OrderNo); return a.Status == 200 }, m.id+" does not find order "+want.OrderNo)
		if a.Order.OrderNo != want.OrderNo || a.Order.State != want.State {
			m.t.Errorf("%s: %s", m.id, a.Body)
		}
		var own struct{ Orders []order }
		a = m.do("GET", m.http+"/v1/orders", "", "X-Shopper-Id", want.Shopper)
		if err := json.Unmarshal([]byte(a.Body), &own); err != nil || !slices.ContainsFunc(own.Orders, func(o order) bool { return o.OrderNo == want.OrderNo }) {
			m.t.Errorf("%s lists of %s: %s", m.id, want.Shopper, a.Body)
		}
		var found foundOrder
		a = m.ops("GET", "/admin/v1/orders/"+want.OrderNo, "")
		if err := json.Unmarshal([]byte(a.Body), &found); err != nil || found.Shopper != want.Shopper || found.State != want.State {
			m.t.Errorf("%s: %d %s", m.id, a.Status, a.Body)
		}
	}
}

// trailUpTo gives what a node tells of events up to a log index.
func (m *member) trailUpTo(index uint64) (lines []string) {
	m.t.Helper()
	for _, line := range m.told("0") {
		var e trailLine
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			m.t.Fatal(err)
		}
		if e.Index <= index {
			lines = append(lines, line)
		}
	}
	return lines
}

// saved is what 'backup --output json' says.
type savedBackup struct {
	LogIndex uint64 `json:"log_index"`
	Ledger   bool
	Settled  int `json:"settled_orders"`
}

func saveBackup(t *testing.T, m *member, file string, more ...string) (s savedBackup) {
	t.Helper()
	status, out, errs := runTool(t, "", append([]string{"backup", "--out", file, "--admin", m.admin, "--output", "json"}, more...)...)
	if err := json.Unmarshal([]byte(out), &s); status != 0 || err != nil {
		t.Fatalf("status %d: %s%s", status, out, errs)
	}
	return s
}

// TestBackupHasSettledOrders: what had left the state before a backup was taken is
// found in the cluster that begins with it, on every node, with the trail; what is
// sold meanwhile is there up to the backup's index.
func TestBackupHasSettledOrders(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(twoDays)
	front := f.follower()
	sold := front.settledDay()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				f.nodes[n%3].tryGrab(fmt.Sprint("n", n), "k", "next/mask")
			}
		}
	}()
	f.eventually(func() bool { return front.counts("next/mask").Held > 50 }, "nothing is sold")
	dir := t.TempDir()
	file, older := filepath.Join(dir, "shop.backup"), filepath.Join(dir, "state.backup")
	saved := saveBackup(t, front, file)
	close(stop)
	<-done
	f.awaitLedgers()
	trail := front.trailUpTo(saved.LogIndex)
	if !saved.Ledger || saved.Settled != len(sold) {
		t.Errorf("%+v; %d orders were settled, and %d events are told", saved, len(sold), len(trail))
	}
	if s := saveBackup(t, front, older, "--state-only"); s.Ledger || s.Settled != 0 {
		t.Errorf("%+v", s)
	}

	g := newFleet(t, "require", "x1:x", "y1:y", "z1:z:witness")
	for _, m := range g.nodes {
		status, out, errs := runTool(t, "", "restore", "--from", file, "--dev", "--config", m.config())
		if want := fmt.Sprintf("with settled orders (%d) and the trail", len(sold)); status != 0 || !strings.Contains(out, want) {
			t.Fatalf("status %d: %s%s; not %q", status, out, errs, want)
		}
	}
	for _, m := range g.nodes {
		m.launch()
	}
	for _, m := range g.nodes {
		m.awaitUp()
	}
	for _, m := range g.nodes {
		if m.kind != "witness" {
			m.mustHaveKept(sold)
		}
		m.mustHaveTold(trail)
	}
	// It goes on as the old one would have, and is saved in its turn.
	first := g.nodes[0]
	o := first.mustGrant("ann", "k", "next/mask")
	if a := first.pay(o, "pa"); a.Status != 200 {
		t.Fatal(a.Body)
	}
	if a := first.pay(sold[0].order, "late"); a.Status != 200 {
		t.Fatal(a.Body)
	}
	g.awaitLedgers()
	told := g.leader().told("0")
	for _, m := range g.nodes {
		m.mustHaveTold(told)
	}
	if s := saveBackup(t, g.nodes[1], filepath.Join(dir, "again.backup")); s.Settled != len(sold) {
		t.Errorf("%+v", s)
	}

	// Alone, too.
	lone := &member{shop: &shop{t: t, dir: filepath.Join(dir, "lone")}, f: f, id: "lone"}
	if status, out, errs := runTool(t, "", "restore", "--from", file, "--dev", "--data", lone.dir); status != 0 {
		t.Fatal(out, errs)
	}
	lone.shop = openShop(t, lone.dir)
	lone.mustHaveKept(sold)
	lone.mustHaveTold(trail)

	// One byte of the ledger's part.
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)*3/4] ^= 1
	spoilt, nowhere := filepath.Join(dir, "spoilt.backup"), filepath.Join(dir, "nowhere")
	if err := os.WriteFile(spoilt, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, errs := runTool(t, "", "restore", "--from", spoilt, "--dev", "--data", nowhere); status != 1 || out != "" || !strings.Contains(errs, "the ledger's part is damaged") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if _, err := os.Stat(nowhere); !os.IsNotExist(err) {
		t.Errorf("a refused backup has left something: %v", err)
	}
	if status, out, errs := runTool(t, "", "restore", "--from", older, "--dev", "--data", nowhere); status != 0 || !strings.Contains(out, "without settled orders") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
}

// TestBackupOfHalfALedger: a node whose ledger lacks settled orders refuses, and
// says what else can be done.
func TestBackupOfHalfALedger(t *testing.T) {
	dir := t.TempDir()
	m := &member{shop: openShop(t, dir), f: &testCluster{t: t}, id: "lone"}
	m.apply(twoDays)
	m.settledDay()
	// Or the log would have it all again.
	if a := m.ops("POST", "/admin/v1/cluster/snapshot", ""); a.Status != 200 {
		t.Fatal(a.Body)
	}
	m.stop()
	orders := filepath.Join(dir, "ledger", "settled", "1.orders")
	kept, err := os.ReadFile(orders)
	if err := errors.Join(err, os.Remove(orders)); err != nil {
		t.Fatal(err)
	}
	m.shop = openShop(t, dir)
	// No more is refused than what the missing orders may have been paid by.
	o := m.mustGrant("late", "k", "next/mask")
	if a := m.pay(o, "p0"); a.Status != 503 {
		t.Errorf("a payment that was for a missing order: %d %s", a.Status, a.Body)
	}
	if a := m.pay(o, "p-late"); a.Status != 200 {
		t.Errorf("a payment that no missing order had: %d %s", a.Status, a.Body)
	}
	file := filepath.Join(t.TempDir(), "shop.backup")
	status, out, errs := runTool(t, "", "backup", "--out", file, "--admin", m.admin)
	if status != 1 || out != "" || !strings.Contains(errs, "would lack settled orders") || !strings.Contains(errs, "ask another node") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if status, out, errs := runTool(t, "", "backup", "--state-only", "--out", file, "--admin", m.admin); status != 0 || !strings.Contains(out, "without settled orders") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}

	// Gaps in the trail stay gaps, and are told of.
	m.stop()
	gone, _ := filepath.Glob(filepath.Join(dir, "ledger", "trail", "*"))
	for _, path := range gone {
		err = errors.Join(err, os.Remove(path))
	}
	if err := errors.Join(err, os.WriteFile(orders, kept, 0o600)); err != nil {
		t.Fatal(err)
	}
	m.shop = openShop(t, dir)
	file += "-2"
	status, out, errs = runTool(t, "", "backup", "--out", file, "--admin", m.admin, "--output", "json")
	if status != 0 || !strings.Contains(out, `"trail_gaps": 1`) {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	status, out, errs = runTool(t, "", "backup", "--out", file+"3", "--admin", m.admin)
	if status != 0 || !strings.Contains(out, "the trail, which has 1 gap") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
}

package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
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
func settledDay(m *nodetest.Member) (sold []nodetest.FoundOrder) {
	m.T.Helper()
	for i := range 20 {
		who := fmt.Sprint("s", i)
		o := m.MustGrant(who, "k", "day/mask")
		if o.State = "paid"; i%2 == 1 {
			o.State = "cancelled"
			if a := m.CancelOrder(who, o.OrderNo); a.Status != 200 {
				m.T.Fatal(a.Body)
			}
		} else if a := m.Pay(o, fmt.Sprint("p", i)); a.Status != 200 {
			m.T.Fatal(a.Body)
		}
		sold = append(sold, nodetest.FoundOrder{Order: o, Shopper: who})
	}
	if a := m.Ops("POST", "/admin/v1/sessions/day/end", `{}`); a.Status != 200 {
		m.T.Fatal(a.Body)
	}
	m.Settle("day")
	return sold
}

// mustHaveKept looks for settled orders by number at both doors, and by shopper.
func mustHaveKept(m *nodetest.Member, sold []nodetest.FoundOrder) {
	m.T.Helper()
	for _, want := range sold {
		var a nodetest.Reply
		m.Fleet.Eventually(func() bool {
			a = m.Order(want.Shopper, want.OrderNo)
			return a.Status == 200
		}, m.ID+" does not find order "+want.OrderNo)
		if a.Order.OrderNo != want.OrderNo || a.Order.State != want.State {
			m.T.Errorf("%s: %s", m.ID, a.Body)
		}
		var own struct{ Orders []nodetest.Order }
		a = m.Do("GET", m.HTTP+"/v1/orders", "", "X-Shopper-Id", want.Shopper)
		if err := json.Unmarshal([]byte(a.Body), &own); err != nil || !slices.ContainsFunc(own.Orders,
			func(o nodetest.Order) bool { return o.OrderNo == want.OrderNo }) {
			m.T.Errorf("%s lists of %s: %s", m.ID, want.Shopper, a.Body)
		}
		var found nodetest.FoundOrder
		a = m.Ops("GET", "/admin/v1/orders/"+want.OrderNo, "")
		if err := json.Unmarshal([]byte(a.Body), &found); err != nil || found.Shopper != want.Shopper ||
			found.State != want.State {
			m.T.Errorf("%s: %d %s", m.ID, a.Status, a.Body)
		}
	}
}

// trailUpTo gives what a node tells of events up to a log index.
func trailUpTo(m *nodetest.Member, index uint64) (lines []string) {
	m.T.Helper()
	for _, line := range m.Told("0") {
		var e nodetest.TrailLine
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			m.T.Fatal(err)
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

func saveBackup(t *testing.T, m *nodetest.Member, file string, more ...string) (s savedBackup) {
	t.Helper()
	status, out, errs := nodetest.Tool(t, "", append([]string{"backup", "--out", file, "--admin", m.Admin, "--output",
		"json"}, more...)...)
	if err := json.Unmarshal([]byte(out), &s); status != 0 || err != nil {
		t.Fatalf("status %d: %s%s", status, out, errs)
	}
	return s
}

// TestBackupHasSettledOrders: what had left the state before a backup was taken is
// found in the cluster that begins with it, on every node, with the trail; what is
// sold meanwhile is there up to the backup's index.
func TestBackupHasSettledOrders(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(twoDays)
	front := f.Follower()
	sold := settledDay(front)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				f.Nodes[n%3].TryGrab(fmt.Sprint("n", n), "k", "next/mask")
			}
		}
	}()
	f.Eventually(func() bool { return front.Counts("next/mask").Held > 50 }, "nothing is sold")
	dir := t.TempDir()
	file, older := filepath.Join(dir, "shop.backup"), filepath.Join(dir, "state.backup")
	saved := saveBackup(t, front, file)
	close(stop)
	<-done
	f.AwaitLedgers()
	trail := trailUpTo(front, saved.LogIndex)
	if !saved.Ledger || saved.Settled != len(sold) {
		t.Errorf("%+v; %d orders were settled, and %d events are told", saved, len(sold), len(trail))
	}
	if s := saveBackup(t, front, older, "--state-only"); s.Ledger || s.Settled != 0 {
		t.Errorf("%+v", s)
	}

	g := nodetest.NewFleet(t, "require", "x1:x", "y1:y", "z1:z:witness")
	for _, m := range g.Nodes {
		status, out, errs := nodetest.Tool(t, "", "restore", "--from", file, "--dev", "--config", m.Config())
		if want := fmt.Sprintf("with settled orders (%d) and the trail", len(sold)); status != 0 ||
			!strings.Contains(out, want) {
			t.Fatalf("status %d: %s%s; not %q", status, out, errs, want)
		}
	}
	g.Open()
	for _, m := range g.Nodes {
		if m.Kind != "witness" {
			mustHaveKept(m, sold)
		}
		m.MustHaveTold(trail)
	}
	// It goes on as the old one would have, and is saved in its turn.
	first := g.Nodes[0]
	o := first.MustGrant("ann", "k", "next/mask")
	if a := first.Pay(o, "pa"); a.Status != 200 {
		t.Fatal(a.Body)
	}
	if a := first.Pay(sold[0].Order, "late"); a.Status != 200 {
		t.Fatal(a.Body)
	}
	g.AwaitLedgers()
	told := g.Leader().Told("0")
	for _, m := range g.Nodes {
		m.MustHaveTold(told)
	}
	if s := saveBackup(t, g.Nodes[1], filepath.Join(dir, "again.backup")); s.Settled != len(sold) {
		t.Errorf("%+v", s)
	}

	// Alone, too.
	lone := &nodetest.Member{Shop: &nodetest.Shop{T: t, Dir: filepath.Join(dir, "lone")}, Fleet: f, ID: "lone"}
	if status, out, errs := nodetest.Tool(t, "", "restore", "--from", file, "--dev", "--data", lone.Dir); status != 0 {
		t.Fatal(out, errs)
	}
	lone.Shop = nodetest.Open(t, lone.Dir)
	mustHaveKept(lone, sold)
	lone.MustHaveTold(trail)

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
	if status, out, errs := nodetest.Tool(t, "", "restore", "--from", spoilt, "--dev", "--data",
		nowhere); status != 1 || out != "" || !strings.Contains(errs, "the ledger's part is damaged") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if _, err := os.Stat(nowhere); !os.IsNotExist(err) {
		t.Errorf("a refused backup has left something: %v", err)
	}
	if status, out, errs := nodetest.Tool(t, "", "restore", "--from", older, "--dev", "--data", nowhere); status != 0 ||
		!strings.Contains(out, "without settled orders") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
}

// TestBackupOfHalfALedger: a node whose ledger lacks settled orders refuses, and
// says what else can be done.
func TestBackupOfHalfALedger(t *testing.T) {
	dir := t.TempDir()
	m := &nodetest.Member{Shop: nodetest.Open(t, dir), Fleet: &nodetest.Fleet{T: t}, ID: "lone"}
	m.Apply(twoDays)
	settledDay(m)
	// Or the log would have it all again.
	if a := m.Ops("POST", "/admin/v1/cluster/snapshot", ""); a.Status != 200 {
		t.Fatal(a.Body)
	}
	m.Stop()
	orders := filepath.Join(dir, "ledger", "settled", "1.orders")
	kept, err := os.ReadFile(orders)
	if err := errors.Join(err, os.Remove(orders)); err != nil {
		t.Fatal(err)
	}
	m.Shop = nodetest.Open(t, dir)
	// No more is refused than what the missing orders may have been paid by.
	o := m.MustGrant("late", "k", "next/mask")
	if a := m.Pay(o, "p0"); a.Status != 503 {
		t.Errorf("a payment that was for a missing order: %d %s", a.Status, a.Body)
	}
	if a := m.Pay(o, "p-late"); a.Status != 200 {
		t.Errorf("a payment that no missing order had: %d %s", a.Status, a.Body)
	}
	file := filepath.Join(t.TempDir(), "shop.backup")
	status, out, errs := nodetest.Tool(t, "", "backup", "--out", file, "--admin", m.Admin)
	if status != 1 || out != "" || !strings.Contains(errs, "would lack settled orders") ||
		!strings.Contains(errs, "ask another node") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if status, out, errs := nodetest.Tool(t, "", "backup", "--state-only", "--out", file, "--admin",
		m.Admin); status != 0 || !strings.Contains(out, "without settled orders") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}

	// Gaps in the trail stay gaps, and are told of.
	m.Stop()
	gone, _ := filepath.Glob(filepath.Join(dir, "ledger", "trail", "*"))
	for _, path := range gone {
		err = errors.Join(err, os.Remove(path))
	}
	if err := errors.Join(err, os.WriteFile(orders, kept, 0o600)); err != nil {
		t.Fatal(err)
	}
	m.Shop = nodetest.Open(t, dir)
	file += "-2"
	status, out, errs = nodetest.Tool(t, "", "backup", "--out", file, "--admin", m.Admin, "--output", "json")
	if status != 0 || !strings.Contains(out, `"trail_gaps": 1`) {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	status, out, errs = nodetest.Tool(t, "", "backup", "--out", file+"3", "--admin", m.Admin)
	if status != 0 || !strings.Contains(out, "the trail, which has 1 gap") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
}

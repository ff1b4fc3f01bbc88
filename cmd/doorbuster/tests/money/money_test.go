package money

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/bench/cashier"
	"doorbuster/cmd/doorbuster/nodetest"
)

var moneyOrders = flag.Int("money.orders", 150, "shoppers of TestMoneyAgrees")

// payer is a shopper who grabs until they have a unit, and pays as they are minded.
type payer struct {
	id   string
	mind float64 // what they do about paying
}

// moneyTest is a cluster, a cashier who behaves badly, and buyers between them.
type moneyTest struct {
	t       *testing.T
	f       *nodetest.Fleet
	l       *till
	busy    chan struct{}  // one for each request under way
	wire    *nodetest.Shop // that requests go by
	refused atomic.Int64   // tokens
}

// ask sends a request to whichever node answers, the way a shopper's app would.
func (m *moneyTest) ask(d *rand.Rand, method, path, body string, header ...string) nodetest.Reply {
	m.busy <- struct{}{}
	defer func() { <-m.busy }()
	for {
		n := m.f.Nodes[d.IntN(len(m.f.Nodes))]
		if a, err := m.wire.Request(method, n.HTTP+path, body, header...); err == nil && a.Status < 500 &&
			a.Status != 202 {
			return a
		}
		if m.t.Failed() || m.t.Context().Err() != nil {
			return nodetest.Reply{}
		}
		time.Sleep(50 * time.Millisecond) // a node that was killed takes its time
	}
}

// buy has one buyer get a unit, and pay for it, in time, late or never.
func (m *moneyTest) buy(b *payer, until time.Time) {
	d := rand.New(rand.NewPCG(7, uint64(b.mind*1e9)))
	var got nodetest.Reply
	for {
		got = m.ask(d, "POST", "/v1/sessions/day/skus/mask/grab", "", "X-Shopper-Id", b.id, "Idempotency-Key", "k")
		if got.Code == "granted" {
			break
		}
		if time.Now().After(until) || m.t.Failed() {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	token, wait := "", time.Duration(0)
	if got.Order.State == "held" {
		token = payTokenOf(m.t, got)
	}
	switch {
	case b.mind < 0.1 || token == "": // never pays
		return
	case b.mind < 0.3: // in the time in which the cashier's word decides, or after it
		wait = time.Until(got.Order.PayBy) + time.Duration((b.mind-0.15)*float64(20*time.Second))
	}
	time.Sleep(wait)
	m.busy <- struct{}{}
	defer func() { <-m.busy }()
	for {
		a, err := m.wire.Request("POST", m.l.url()+"/pay", fmt.Sprintf(`{"token":%q,"payment_id":"pay-%s"}`, token,
			b.id))
		switch {
		case err == nil && (a.Status == 200 || a.Status == 409):
			return
		case err == nil && a.Status == 422 && strings.Contains(a.Body, "over"):
			m.refused.Add(1)
			return
		case err == nil && a.Status < 500:
			m.t.Errorf("the cashier says %d %s", a.Status, a.Body)
			return
		case m.t.Failed():
			return
		}
		time.Sleep(50 * time.Millisecond) // it was killed
	}
}

// reconcile holds the cashier's statement against the shop's orders, as an operator
// does, and gives the exit status.
func (m *moneyTest) reconcile() (status int, said string) {
	m.t.Helper()
	status, out, errs := nodetest.Tool(m.t, m.statementText(), "reconcile", "-", "--admin", m.f.Leader().Admin)
	return status, out + errs
}

func (m *moneyTest) statementText() string {
	m.t.Helper()
	a := m.l.proc.Do("GET", m.l.url()+"/statement", "")
	if a.Status != 200 {
		m.t.Fatalf("%d %s", a.Status, a.Body)
	}
	return a.Body
}

func (m *moneyTest) statement() (rows []cashier.Row) {
	m.t.Helper()
	lines, err := csv.NewReader(strings.NewReader(m.statementText())).ReadAll()
	if err != nil || len(lines) == 0 {
		m.t.Fatal(len(lines), err)
	}
	for _, line := range lines[1:] {
		amount, err1 := strconv.ParseInt(line[2], 10, 64)
		at, err2 := time.Parse(time.RFC3339, line[5])
		if err := errors.Join(err1, err2); err != nil {
			m.t.Fatal(err)
		}
		rows = append(rows, cashier.Row{PaymentID: line[0], OrderNo: line[1], Amount: amount, Currency: line[3],
			Kind: line[4], At: at, Transaction: line[6]})
	}
	return rows
}

// paidOrder is an order as operators see it.
type paidOrder struct {
	OrderNo     string `json:"order_no"`
	State       string
	Amount      int64
	Currency    string
	PaymentID   string `json:"payment_id"`
	Transaction string `json:"transaction_id"`
}

// orders gives all that the shop knows, from one node.
func (m *moneyTest) orders(node *nodetest.Member) (all map[string]paidOrder) {
	m.t.Helper()
	all = map[string]paidOrder{}
	for cursor := ""; ; {
		a := node.Ops("GET", "/admin/v1/orders?session=day&limit=1000&cursor="+cursor, "")
		var page struct {
			Orders []paidOrder
			Cursor string
		}
		if err := json.Unmarshal([]byte(a.Body), &page); err != nil || a.Status != 200 {
			m.t.Fatalf("%d %s", a.Status, a.Body)
		}
		for _, o := range page.Orders {
			all[o.OrderNo] = o
		}
		if cursor = page.Cursor; cursor == "" {
			return all
		}
	}
}

// TestMoneyAgrees: buyers pay in time, late and never; the cashier delays, repeats,
// drops and reorders its callbacks, fails under questions, and is killed; so is a
// leader, again and again. After the statement was gone through, every order
// agrees with its books to the cent, each late payment has one verdict, and every
// refund was made once.
func TestMoneyAgrees(t *testing.T) {
	flags, _, _ := cashierFiles(t)
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	l := newTill(t, "-", append(flags, "--delay", "2s", "--repeat", "0.3", "--drop", "0.15", "--reorder", "0.3",
		"--late", "0.8", "--fail", "0.2", "--seed", "5")...)
	f.Extra = fmt.Sprintf("cashier: {url: %q, key_file: %q}\npay_keys: %q\n", l.url(), flags[3], flags[1])
	var doors []string
	for _, m := range f.Nodes {
		m.Launch()
		doors = append(doors, m.HTTP)
	}
	for _, m := range f.Nodes {
		m.AwaitUp()
	}
	l.args[6] = strings.Join(doors, ",")
	l.start()
	stock := *moneyOrders * 7 / 10
	f.Plan(nodetest.Masks(stock, "pay_within: 4s", "pay_grace: 0s", "admission_multiple: 0"))
	m := &moneyTest{t: t, f: f, l: l, wire: &nodetest.Shop{T: t}, busy: make(chan struct{}, 32)}
	until := time.Now().Add(15*time.Second + time.Duration(*moneyOrders)*10*time.Millisecond)
	var buyers sync.WaitGroup
	d := rand.New(rand.NewPCG(1, 2))
	for i := range *moneyOrders {
		b := &payer{fmt.Sprint("b", i), d.Float64()}
		buyers.Go(func() { m.buy(b, until) })
	}
	bought := make(chan struct{})
	go func() { buyers.Wait(); close(bought) }()
	kills := 0
	for done := false; !done; {
		select {
		case <-bought:
			done = true
		case <-time.After(3 * time.Second):
			leader := f.Leader()
			leader.Kill()
			if kills++; kills == 2 {
				l.kill()
				l.start()
			}
			leader.Relaunch()
		}
	}
	if t.Failed() {
		return
	}
	for calls := l.books().Calls; calls > 0; { // slow or not, they must get fewer
		f.Eventually(func() bool {
			now := l.books().Calls
			fewer := now < calls
			calls = now
			return fewer || now == 0
		}, "callbacks stay undelivered")
	}
	lost, known := 0, m.orders(f.Leader())
	for _, r := range m.statement() {
		if known[r.OrderNo].PaymentID == "" {
			lost++
		}
	}
	if status, said := m.reconcile(); status > 1 { // 1: refunds that are due are not made yet
		t.Errorf("reconcile: status %d: %s", status, said)
	}
	f.Eventually(func() bool {
		for _, o := range m.orders(f.Leader()) {
			if o.State == "refund_due" || o.State == "held" {
				return false
			}
		}
		return true
	}, "refunds stay due")
	if status, said := m.reconcile(); status != 0 {
		t.Errorf("the books don't agree: %s", said)
	}
	f.Settled()
	sum := l.books()
	var paid, refunded int
	for _, node := range f.Nodes {
		paid, refunded = m.agree(node, m.statement())
	}
	if c := f.Leader().Counts(nodetest.Mask); c.Paid != int64(paid) || paid > stock {
		t.Errorf("%d orders are paid; the listing says %+v", paid, c)
	}
	if sum.Payments != int64(paid+refunded) || sum.Taken["CNY"] != int64(100*(paid+refunded)) ||
		sum.Refunds != int64(refunded) || sum.PaidBack["CNY"] != int64(100*refunded) {
		t.Errorf("%d paid, %d paid back; the cashier's books say %+v", paid, refunded, sum)
	}
	if kills == 0 || lost == 0 || refunded == 0 || sum.Asked == sum.Refunds {
		t.Errorf("nothing went wrong: %d kills, %d callbacks lost, %d refunds asked for %d times", kills, lost,
			refunded, sum.Asked)
	}
	t.Logf("%d paid, %d of the cashier's %d payments late, %d paid back, asked for %d times; "+
		"%d leaders killed, %d payments found in the statement alone, %d late tokens refused",
		paid, sum.Late, sum.Payments, sum.Refunds, sum.Asked, kills, lost, m.refused.Load())
}

// agree holds one node's orders against the statement.
func (m *moneyTest) agree(node *nodetest.Member, rows []cashier.Row) (paid, refunded int) {
	m.t.Helper()
	orders := m.orders(node)
	payments, refunds := map[string]cashier.Row{}, map[string]cashier.Row{}
	for _, r := range rows {
		of := payments
		if r.Kind == "refund" {
			of = refunds
		}
		if _, twice := of[r.OrderNo]; twice {
			m.t.Errorf("order %s has two rows of %s", r.OrderNo, r.Kind)
		}
		of[r.OrderNo] = r
		if o := orders[r.OrderNo]; o.PaymentID != r.PaymentID || o.Amount != r.Amount || o.Currency != r.Currency ||
			r.Kind == "payment" && o.Transaction != r.Transaction {
			m.t.Errorf("node %s: the cashier has %+v; the shop %+v", node.ID, r, o)
		}
	}
	for no, o := range orders {
		_, taken := payments[no]
		_, back := refunds[no]
		switch o.State {
		case "paid":
			paid++
			if !taken || back {
				m.t.Errorf("node %s: %+v is paid; the cashier took money: %v, paid it back: %v", node.ID, o, taken,
					back)
			}
		case "refunded":
			refunded++
			if !taken || !back {
				m.t.Errorf("node %s: %+v is refunded; the cashier took money: %v, paid it back: %v", node.ID, o, taken,
					back)
			}
		default:
			if taken || back {
				m.t.Errorf("node %s: %+v; the cashier took money: %v, paid it back: %v", node.ID, o, taken, back)
			}
		}
	}
	return paid, refunded
}

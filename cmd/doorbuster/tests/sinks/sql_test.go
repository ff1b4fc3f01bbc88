package sinks

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/sinks/sqlsink/sqltest"
)

var (
	sqlOrders = flag.Int("sinks.orders", 2000, "orders of TestTablesAreTheLedger")
	sqlKills  = flag.Int("sinks.kills", 4, "kills and cuts of TestTablesAreTheLedger")
	sqlSeed   = flag.Uint64("sinks.seed", 0, "seed of TestTablesAreTheLedger; 0 = another one each time")
)

// crowdAtOnce is how many shoppers are served at once.
const crowdAtOnce = 32

// sqlLab is a fleet, its cashier and its databases, and a crowd between them.
type sqlLab struct {
	t      *testing.T
	f      *nodetest.Fleet
	bases  []*base
	till   *nodetest.Shop
	tillAt string
	client *http.Client
	slow   *http.Client // for what an operator asks about all orders
	harmed atomic.Int64 // kills and cuts that are done
	came   atomic.Int64 // shoppers who are done, and steps of shipping, a hundredth of all shoppers each
	seed   uint64
}

// TestTablesAreTheLedger: three nodes, a rush with payments, cancellations and refunds;
// the leader is killed, the databases are killed, connections are cut and hang. In the
// end each table is, row for row, what the ledger says.
func TestTablesAreTheLedger(t *testing.T) {
	m := &sqlLab{t: t, seed: *sqlSeed, client: &http.Client{Timeout: 10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: crowdAtOnce}}, slow: &http.Client{Timeout: 10 * time.Minute}}
	if m.seed == 0 {
		m.seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-sinks.seed=%d", m.seed)
	for _, kind := range []sqltest.Kind{sqltest.Postgres, sqltest.MySQL} {
		// Where one of them can't be had, the other is tested.
		t.Run("start "+string(kind), func(started *testing.T) { sqltest.Require(started, kind) })
		if sqltest.Has(kind) {
			m.bases = append(m.bases, newBase(t, kind))
		}
	}
	if len(m.bases) == 0 {
		t.Skip("neither PostgreSQL nor MariaDB is installed: 'make tools' installs them")
	}
	m.open()
	began := time.Now()
	over := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() { m.harm(over) })
	m.serve()
	m.ship()
	close(over)
	killer.Wait()
	if t.Failed() {
		return
	}
	m.repaired()
	m.t.Logf("%d shoppers, and their parcels, in %s", *sqlOrders, time.Since(began).Round(time.Second))
	m.compare()
}

// open starts the fleet and its cashier, and has the sale begin.
func (m *sqlLab) open() {
	m.t.Helper()
	m.f = nodetest.NewFleet(m.t, "prefer", nodetest.Rooms3...)
	m.tillAt = nodetest.Address(m.t)
	var b strings.Builder
	fmt.Fprintf(&b, "cashier: {url: \"http://%s\"}\nsinks:\n", m.tillAt)
	for _, x := range m.bases {
		b.WriteString(x.config(""))
	}
	m.f.Extra = b.String()
	m.f.Open()
	var doors []string
	for _, n := range m.f.Nodes {
		doors = append(doors, n.HTTP)
	}
	m.till = &nodetest.Shop{T: m.t, Logs: nodetest.NewLogBook()}
	m.till.Start(nodetest.Command(m.t, "cashier", "--data", m.t.TempDir(), "--listen", m.tillAt, "--shop",
		strings.Join(doors, ",")))
	m.till.Logs.Await(m.t, m.till.Exit, "msg=cashier")
	m.f.Plan(m.plan())
}

func (m *sqlLab) plan() string {
	return nodetest.PlanOf([]string{fmt.Sprintf("{sku: mask, price: 100, stock: %d, delivery: collect}", *sqlOrders)},
		"pay_within: 2h", "admission_multiple: 0", "receive_within: 24h", "complete_within: 1s")
}

// serve has the whole crowd come.
func (m *sqlLab) serve() {
	next := atomic.Int64{}
	var crowd sync.WaitGroup
	for range crowdAtOnce {
		crowd.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(*sqlOrders) || !m.awaitHarm(i) {
					return
				}
				m.buy(rand.New(rand.NewPCG(m.seed, uint64(i))), fmt.Sprintf("shopper-%d", i))
				m.came.Add(1)
			}
		})
	}
	crowd.Wait()
}

// harmAt is after how many shoppers and steps of shipping something is killed or cut.
func harmAt(i int) int64 {
	return int64(*sqlOrders * 105 / 100 * (2*i + 1) / (2 * *sqlKills)) // five steps, a hundredth each
}

// awaitHarm lets a shopper wait until all harm has begun that is to be before them: else a
// rush would be over while the first database still starts again.
func (m *sqlLab) awaitHarm(shopper int64) bool {
	for {
		done := int(m.harmed.Load())
		if m.t.Failed() {
			return false
		}
		if done+1 >= *sqlKills || shopper <= harmAt(done+1) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ship takes what was sold through the second look and to the warehouse; a third is handed
// over there, a third arrives, and a third is still on its way in the end.
func (m *sqlLab) ship() {
	if m.t.Failed() {
		return
	}
	rng := rand.New(rand.NewPCG(m.seed, 1<<63))
	step := func(what, body string, header ...string) nodetest.Reply {
		a := m.lead(rng, "POST", "/admin/v1/sessions/day/"+what, body, append(header, "Idempotency-Key", what)...)
		m.must(a)
		m.came.Add(int64(*sqlOrders) / 100)
		return a
	}
	for _, what := range []string{"end", "review", "exports"} {
		if a := step(what, `{}`, "Content-Type", "application/json"); a.Status != 200 {
			return
		}
	}
	out := m.lead(rng, "GET", "/admin/v1/sessions/day/exports/1", "", "Accept", "text/csv")
	m.must(out)
	rows, err := csv.NewReader(strings.NewReader(out.Body)).ReadAll()
	if err != nil || len(rows) < 2 {
		m.t.Errorf("export: %d rows, %v", len(rows), err)
		return
	}
	var parcels, received strings.Builder
	parcels.WriteString("order_no,carrier,tracking\n")
	received.WriteString("order_no\n")
	for i, row := range rows[1:] {
		if i%3 > 0 {
			fmt.Fprintf(&parcels, "%s,SF,SF-%d\n", row[0], i)
		}
		if i%3 < 2 {
			received.WriteString(row[0] + "\n")
		}
	}
	step("parcels", parcels.String(), "Content-Type", "text/csv")
	step("received", received.String(), "Content-Type", "text/csv")
	m.t.Logf("%d orders went out", len(rows)-1)
}

// buy has one shopper grab a unit, and pay for it or not.
func (m *sqlLab) buy(rng *rand.Rand, id string) {
	var got nodetest.Reply
	for got.Code != "granted" {
		got = m.ask(rng, "POST", "/v1/sessions/day/skus/mask/grab", "", "X-Shopper-Id", id, "Idempotency-Key", "k")
		if m.t.Failed() {
			return
		}
		if got.Code != "granted" && got.Code != "missed" {
			m.t.Errorf("%s: %d %s", id, got.Status, got.Body)
			return
		}
	}
	o := got.Order
	switch mind := rng.IntN(100); {
	case mind < 8:
		m.must(m.ask(rng, "POST", "/v1/orders/"+o.OrderNo+"/cancel", "", "X-Shopper-Id", id))
	case mind < 13: // an operator takes it back before it is paid
		m.void(rng, o.OrderNo)
	case mind < 23: // and after that: the cashier, who took the money, pays it back
		var told struct {
			Order struct {
				PayToken string `json:"pay_token"`
			}
		}
		if err := json.Unmarshal([]byte(got.Body), &told); err != nil || told.Order.PayToken == "" {
			m.t.Errorf("no token: %s", got.Body)
			return
		}
		m.must(m.retry(func() (nodetest.Reply, error) {
			return m.request("POST", "http://"+m.tillAt+"/pay", fmt.Sprintf(`{"token":%q,"payment_id":"till-%s"}`,
				told.Order.PayToken, id))
		}))
		m.pay(rng, o, "till-"+id)
		m.void(rng, o.OrderNo)
	default:
		m.pay(rng, o, "pay-"+id)
		if mind < 30 { // the same callback again changes nothing
			m.pay(rng, o, "pay-"+id)
		}
	}
}

func (m *sqlLab) pay(rng *rand.Rand, o nodetest.Order, payment string) {
	m.must(m.ask(rng, "POST", "/v1/payments/callback", fmt.Sprintf(
		`{"order_no":%q,"payment_id":%q,"amount":%d,"currency":%q,"payment_type":"card"}`, o.OrderNo, payment, o.Amount,
		o.Currency)))
}

func (m *sqlLab) void(rng *rand.Rand, orderNo string) {
	m.must(m.ops(rng, "POST", "/admin/v1/orders/"+orderNo+"/void", `{"note":"out of them"}`, "Content-Type",
		"application/json", "Idempotency-Key", "void-"+orderNo))
}

// lead sends an operator's request to the node that leads: it has applied the one before.
func (m *sqlLab) lead(rng *rand.Rand, method, path, body string, header ...string) nodetest.Reply {
	return m.retry(func() (nodetest.Reply, error) {
		s, ok := m.f.Nodes[rng.IntN(len(m.f.Nodes))].Status()
		if !ok || s.Leader == "" {
			return nodetest.Reply{}, errors.New("nobody knows who leads")
		}
		return m.through(m.slow, method, "http://"+m.f.Node(s.Leader).Admin+path, body, header...)
	})
}

// ops sends an operator's request to whichever node answers.
func (m *sqlLab) ops(rng *rand.Rand, method, path, body string, header ...string) nodetest.Reply {
	return m.retry(func() (nodetest.Reply, error) {
		return m.through(m.slow, method, "http://"+m.f.Nodes[rng.IntN(len(m.f.Nodes))].Admin+path, body, header...)
	})
}

func (m *sqlLab) must(a nodetest.Reply) {
	if a.Status != 200 && !m.t.Failed() {
		m.t.Errorf("%d %s", a.Status, a.Body)
	}
}

// ask sends a shopper's or the cashier's request to whichever node answers.
func (m *sqlLab) ask(rng *rand.Rand, method, path, body string, header ...string) nodetest.Reply {
	return m.retry(func() (nodetest.Reply, error) {
		return m.request(method, m.f.Nodes[rng.IntN(len(m.f.Nodes))].HTTP+path, body, header...)
	})
}

// retry asks until there is an answer: a node that was killed takes its time.
func (m *sqlLab) retry(ask func() (nodetest.Reply, error)) nodetest.Reply {
	for deadline := time.Now().Add(nodetest.Patience); ; time.Sleep(50 * time.Millisecond) {
		a, err := ask()
		if err == nil && a.Status < 500 && a.Status != 202 && a.Status != 429 {
			return a
		}
		if m.t.Failed() || m.t.Context().Err() != nil {
			return nodetest.Reply{}
		}
		if time.Now().After(deadline) {
			m.t.Errorf("nobody answers: %d %s %v", a.Status, a.Body, err)
			return nodetest.Reply{}
		}
	}
}

func (m *sqlLab) request(method, url, body string, header ...string) (a nodetest.Reply, err error) {
	return m.through(m.client, method, url, body, header...)
}

func (m *sqlLab) through(client *http.Client, method, url, body string, header ...string) (a nodetest.Reply,
	err error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header[header[i]] = []string{header[i+1]}
	}
	response, err := client.Do(r)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return a, err
	}
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, &a); err != nil {
			return a, fmt.Errorf("%w: %s", err, text)
		}
	}
	a.Status, a.Body = response.StatusCode, string(text)
	return a, nil
}

// harm kills and cuts, spread over the rush, each way about as often, until it is over.
func (m *sqlLab) harm(over <-chan struct{}) {
	rng := rand.New(rand.NewPCG(m.seed, 0))
	var ways []func() string
	for len(ways) < *sqlKills {
		some := []func() string{m.killLeader}
		for _, b := range m.bases {
			some = append(some, func() string { return b.kill(rng) }, func() string { return b.cut() },
				func() string { return b.hang(rng) })
		}
		rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		ways = append(ways, some...)
	}
	for i, way := range ways[:*sqlKills] {
		for ; m.came.Load() < harmAt(i); time.Sleep(10 * time.Millisecond) {
			select {
			case <-over:
				return
			default:
			}
		}
		m.t.Logf("%3d %% done; %d of %d: %s", m.came.Load()*100/int64(*sqlOrders*105/100), i+1, *sqlKills, way())
		m.harmed.Add(1)
	}
}

func (m *sqlLab) killLeader() string {
	leader := m.f.Leader()
	leader.Kill()
	m.f.Leader()
	leader.Relaunch()
	return "killed " + leader.ID + ", which led"
}

func (b *base) kill(rng *rand.Rand) string {
	b.server.Kill()
	away := time.Duration(rng.IntN(2000)) * time.Millisecond
	time.Sleep(away)
	b.server.Start()
	return fmt.Sprintf("killed %s, for %s", b.kind, away)
}

func (b *base) cut() string {
	b.proxy.Cut()
	return fmt.Sprintf("cut the connections to %s", b.kind)
}

func (b *base) hang(rng *rand.Rand) string {
	away := time.Duration(rng.IntN(8000)) * time.Millisecond
	b.proxy.Hold(true)
	time.Sleep(away)
	b.proxy.Cut()
	b.proxy.Hold(false)
	return fmt.Sprintf("kept all that went to and fro with %s for %s, and cut it", b.kind, away)
}

// repaired waits until nothing changes any more: what is to be paid back is, what was
// received is completed, and all nodes are up.
func (m *sqlLab) repaired() {
	m.t.Helper()
	for _, n := range m.f.Nodes {
		if !n.Up {
			n.Relaunch()
		}
	}
	for _, state := range []string{"refund_due", "received"} {
		m.f.Eventually(func() bool {
			a, err := m.request("GET", "http://"+m.f.Leader().Admin+"/admin/v1/orders?limit=1&state="+state, "")
			return err == nil && a.Status == 200 && strings.Contains(a.Body, `"orders":[]`)
		}, "orders stay "+state)
	}
	m.f.Settled()
	m.f.AwaitLedgers()
}

// compare waits until each sink has come to the end of the trail, and holds its tables
// against it.
func (m *sqlLab) compare() {
	m.t.Helper()
	l := readLedger(m.t, m.f.Leader())
	m.t.Logf("the ledger has %d orders, %d events about them, up to %d.%d", len(l.orders), len(l.changes), l.index, l.n)
	for _, b := range m.bases {
		began := time.Now()
		b.awaitEnd(l)
		m.t.Logf("%s was there %s after the end", b.kind, time.Since(began).Round(time.Millisecond))
		b.mustAgree(l)
	}
}

package sqlsink

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/sqlsink/sqltest"
)

// ledger is a list of changes such as a group commits, with each order after each of them.
type ledger struct {
	changes []sinks.Change
	orders  map[string][]version
}

// version is an order after a change.
type version struct {
	after int // the change, by its place in the ledger
	view  engine.OrderView
}

// paths are the ways that orders go.
var paths = [][]engine.EventKind{
	{engine.HoldPlaced, engine.OrderPaid},
	{engine.HoldPlaced, engine.OrderPaid, engine.RefundBecameDue, engine.RefundMade},
	{engine.HoldPlaced, engine.HoldReleased},
	{engine.HoldPlaced, engine.OrderUnchanged, engine.OrderPaid},
}

var stateAfter = map[engine.EventKind]engine.OrderState{engine.HoldPlaced: engine.Held, engine.OrderPaid: engine.Paid,
	engine.RefundBecameDue: engine.RefundDue, engine.RefundMade: engine.Refunded, engine.HoldReleased: engine.Expired}

// newLedger makes one of so many orders, whose changes lie between each other's.
func newLedger(rng *rand.Rand, orders int) *ledger {
	l := &ledger{orders: map[string][]version{}}
	type walk struct {
		no   string
		path []engine.EventKind
		view engine.OrderView
	}
	var going []*walk
	at := engine.TrailPosition{Index: 10}
	now := engine.TimeOf(time.Date(2026, 11, 11, 10, 0, 0, 0, time.UTC))
	for made := 0; made < orders || len(going) > 0; {
		if rng.IntN(10) == 0 || at.N > 20 {
			at = engine.TrailPosition{Index: at.Index + 1 + engine.LogIndex(rng.IntN(3))}
		}
		now += engine.Time(rng.IntN(3))
		if rng.IntN(20) == 0 { // an event about no order
			l.add(sinks.Change{TrailEvent: engine.TrailEvent{TrailPosition: at, Time: now, Kind: engine.StockTaken,
				Session: "day", SKU: "mask"}})
			at = at.Next()
			continue
		}
		var w *walk
		if made < orders && (len(going) < 50 || rng.IntN(2) == 0) {
			w = &walk{no: fmt.Sprintf("NO%07d", made), path: paths[rng.IntN(len(paths))]}
			w.view = engine.OrderView{OrderNo: w.no, Shopper: fmt.Sprintf("shopper-%d é\"'\\;--", made%997),
				Session: "day", SKU: "mask", Quantity: 1, Amount: int64(100 + made%7), Currency: "CNY", GrantedAt: now,
				PayBy: now + 900_000, Transaction: engine.Transaction{1, byte(made), byte(made >> 8)}}
			going = append(going, w)
			made++
		} else {
			w = going[rng.IntN(len(going))]
		}
		kind := w.path[0]
		w.path = w.path[1:]
		if s := stateAfter[kind]; s != 0 {
			w.view.State, w.view.ChangedAt = s, now
		}
		if kind == engine.OrderPaid {
			w.view.PaymentID, w.view.PaidAt = "pay-"+w.no, now-1
			w.view.Coupon = int64(rng.IntN(3)) // at the cashier
		}
		l.add(sinks.Change{TrailEvent: engine.TrailEvent{TrailPosition: at, Time: now, Kind: kind, State: w.view.State,
			Session: "day", SKU: "mask", OrderNo: w.no, Shopper: w.view.Shopper, Quantity: 1, Amount: w.view.Amount,
			Currency: "CNY", Transaction: w.view.Transaction}})
		l.orders[w.no] = append(l.orders[w.no], version{len(l.changes) - 1, w.view})
		at = at.Next()
		for i, g := range going {
			if len(g.path) == 0 {
				going = append(going[:i], going[i+1:]...)
				break
			}
		}
	}
	return l
}

func (l *ledger) add(c sinks.Change) { l.changes = append(l.changes, c) }

// end is the position behind the last change.
func (l *ledger) end() engine.TrailPosition { return l.changes[len(l.changes)-1].Next() }

// read gives up to most changes from a position, with the orders as they are once the ledger
// has come to now changes, and the position behind them.
func (l *ledger) read(from engine.TrailPosition, most, now int) (batch []sinks.Change, next engine.TrailPosition) {
	first := sort.Search(len(l.changes), func(i int) bool { return !l.changes[i].Before(from) })
	next = from
	for i := first; i < min(first+most, now); i++ {
		c := l.changes[i]
		next = c.Next()
		if all := l.orders[c.OrderNo]; len(all) > 0 {
			known := sort.Search(len(all), func(i int) bool { return all[i].after >= now })
			view := all[known-1].view
			c.Order = &view
		}
		batch = append(batch, c)
	}
	return batch, next
}

// feed writes the ledger into a sink from where it ends, until it ends where the ledger does
// or something goes wrong.
func (l *ledger) feed(s sinks.Sink, rng *rand.Rand) error {
	ctx := context.Background()
	at, known, err := s.Open(ctx)
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("a sink that keeps a position does not know it")
	}
	for at.Before(l.end()) {
		most := 1 + rng.IntN(sinks.MaxBatch)
		first := sort.Search(len(l.changes), func(i int) bool { return !l.changes[i].Before(at) })
		batch, next := l.read(at, most, min(len(l.changes), first+most+rng.IntN(1000)))
		if err := s.Write(ctx, batch, next); err != nil {
			return err
		}
		at = next
	}
	return nil
}

// compare holds the tables against the ledger, row for row.
func (l *ledger) compare(t *testing.T, db *sql.DB, tables Tables) {
	t.Helper()
	var want, got []string
	for _, versions := range l.orders {
		v := versions[len(versions)-1].view
		paid := "|"
		if v.PaidAt != 0 {
			paid = fmt.Sprintf("%d|%d", v.Amount-v.Coupon, v.Coupon)
		}
		want = append(want, fmt.Sprintf("%s|%s|%d|%d|%s|%s|%s|%s|%s|%d", v.OrderNo, v.Shopper, v.Quantity, v.Amount,
			paid, v.State, v.PaymentID, stamp(v.GrantedAt), stamp(v.PaidAt),
			l.changes[versions[len(versions)-1].after].Index))
	}
	rows, err := db.Query("SELECT order_no, shopper, quantity, amount, state, coalesce(payment_id, ''), created_at, " +
		"paid_at, log_index, amount_paid, coupon FROM " + tables.Orders)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var no, shopper, state, payment string
		var quantity, amount, index int64
		var created, paid sql.NullTime
		var amountPaid, coupon sql.NullString
		if err := rows.Scan(&no, &shopper, &quantity, &amount, &state, &payment, &created, &paid, &index, &amountPaid,
			&coupon); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s|%s|%d|%d|%s|%s|%s|%s|%s|%s|%d", no, shopper, quantity, amount,
			amountPaid.String, coupon.String, state, payment, shown(created), shown(paid), index))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	same(t, "orders", got, want)

	want, got = nil, nil
	for _, c := range l.changes {
		if c.OrderNo != "" {
			want = append(want, fmt.Sprintf("%012d.%06d|%s|%s|%s|%s", c.Index, c.N, c.OrderNo, c.Kind.Word(), c.State,
				stamp(c.Time)))
		}
	}
	rows, err = db.Query("SELECT log_index, n, order_no, event, coalesce(state, ''), at FROM " + tables.Changes)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var index, n int64
		var no, event, state string
		var at sql.NullTime
		if err := rows.Scan(&index, &n, &no, &event, &state, &at); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%012d.%06d|%s|%s|%s|%s", index, n, no, event, state, shown(at)))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	same(t, "changes", got, want)
}

func stamp(at engine.Time) string {
	if at == 0 {
		return "-"
	}
	return at.Wall().Format(time.RFC3339Nano)
}

func shown(at sql.NullTime) string {
	if !at.Valid {
		return "-"
	}
	return at.Time.UTC().Format(time.RFC3339Nano)
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	sort.Strings(got)
	sort.Strings(want)
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, and the ledger says %d", what, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s differ first at\n%s\nand the ledger says\n%s", what, got[i], want[i])
		}
	}
}

// configOf is the configuration of a sink into a database of a server.
func configOf(server *sqltest.Server, user, database, at string) Config {
	return Config{Name: "shop", Kind: Kind(server.Kind), URL: server.URL(user, database, at),
		Password: func() (string, error) { return sqltest.Password, nil }, Timeout: 20 * time.Second}
}

func mustNew(t testing.TB, c Config) *Sink {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// mustFeed feeds all of the ledger.
func (l *ledger) mustFeed(t *testing.T, c Config) {
	t.Helper()
	s := mustNew(t, c)
	if err := l.feed(s, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// wants makes sure that an error has what it should say.
func wants(t *testing.T, what string, err error, says ...string) {
	t.Helper()
	for _, say := range says {
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v; want %q", what, err, say)
		}
	}
}

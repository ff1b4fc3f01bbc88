package sinks

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/sqlsink/sqltest"
	"doorbuster/httpapi/wire"
)

// base is a database that a fleet's sink flows into, through a proxy.
type base struct {
	t      *testing.T
	kind   sqltest.Kind
	server *sqltest.Server
	proxy  *sqltest.Proxy
	db     *sql.DB
}

func newBase(t *testing.T, kind sqltest.Kind) *base {
	t.Helper()
	b := &base{t: t, kind: kind, server: sqltest.Start(t, kind)}
	b.proxy = sqltest.NewProxy(t, b.server.Addr)
	b.db = b.server.Database(t, "shop")
	return b
}

// config is the sink's item of the list.
func (b *base) config(more string) string {
	return fmt.Sprintf("  - {name: %s, kind: %[1]s, url: %q, password_file: %q, timeout: 5s%s}\n", b.kind,
		b.server.URL(sqltest.User, "shop", b.proxy.Addr), nodetest.TempFile(b.t, sqltest.Password+"\n"), more)
}

// end is the position behind the last change that the tables have.
func (b *base) end() (index, n uint64) {
	err := b.db.QueryRow("SELECT log_index, log_n FROM doorbuster_position").Scan(&index, &n)
	if err != nil {
		return 0, 0 // not yet, or it was killed just now
	}
	return index, n
}

// awaitEnd waits until the tables have come to the end of the ledger, as long as they go on.
func (b *base) awaitEnd(l ledgerOf) {
	b.t.Helper()
	var last uint64
	for till := time.Now().Add(nodetest.Patience); ; time.Sleep(5 * time.Millisecond) {
		index, n := b.end()
		switch {
		case index > l.index || index == l.index && n > l.n:
			return
		case index != last:
			last, till = index, time.Now().Add(nodetest.Patience)
		case time.Now().After(till):
			b.t.Fatalf("%s stands at %d.%d, and the ledger's end is at %d.%d", b.kind, index, n, l.index, l.n)
		}
	}
}

// rows gives the rows of a query, each as one text, sorted.
func (b *base) rows(query string) (all []string) {
	b.t.Helper()
	found, err := b.db.Query(query)
	if err != nil {
		b.t.Fatal(err)
	}
	defer found.Close()
	names, err := found.Columns()
	if err != nil {
		b.t.Fatal(err)
	}
	values, into := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			b.t.Fatal(err)
		}
		var row strings.Builder
		for i, v := range values {
			switch x := v.(type) {
			case nil:
				v = ""
			case []byte:
				v = string(x)
			case time.Time:
				v = x.UTC().Format("2006-01-02T15:04:05.000Z")
			}
			fmt.Fprintf(&row, "%s=%v ", names[i], v)
		}
		all = append(all, row.String())
	}
	if err := found.Err(); err != nil {
		b.t.Fatal(err)
	}
	sort.Strings(all)
	return all
}

// ledgerOf is what a node tells of all orders and of all events about them.
type ledgerOf struct {
	orders, changes []string // as base.rows gives them
	index, n        uint64   // of the last of these events
}

const (
	orderQuery = "SELECT order_no, session, sku, shopper, quantity, amount, currency, payment_id, payment_type, " +
		"state, created_at, changed_at, pay_by, delivery, review, export, carrier, tracking, shipped_at, received_at, " +
		"completed_at FROM doorbuster_orders"
	changeQuery = "SELECT log_index, n, order_no, event, reason, state, session, sku, shopper, amount, at " +
		"FROM doorbuster_changes"
)

// readLedger asks a node for everything.
func readLedger(t *testing.T, node *nodetest.Member) (l ledgerOf) {
	t.Helper()
	client := &http.Client{}
	for cursor := ""; ; {
		response, err := client.Get("http://" + node.Admin + "/admin/v1/orders?limit=1000&cursor=" + cursor)
		if err != nil {
			t.Fatal(err)
		}
		var page wire.OpsOrders
		err = json.NewDecoder(response.Body).Decode(&page)
		response.Body.Close()
		if err != nil || response.StatusCode != 200 {
			t.Fatal(response.Status, err)
		}
		for _, o := range page.Orders {
			switch o.State {
			case "waiting", "entered", "left", "passed":
				continue // no orders
			}
			export := ""
			if o.Export != 0 {
				export = fmt.Sprint(o.Export)
			}
			l.orders = append(l.orders, fmt.Sprintf("order_no=%s session=%s sku=%s shopper=%s quantity=%d amount=%d "+
				"currency=%s payment_id=%s payment_type=%s state=%s created_at=%s changed_at=%s pay_by=%s delivery=%s "+
				"review=%s export=%s carrier=%s tracking=%s shipped_at=%s received_at=%s completed_at=%s ", o.OrderNo,
				o.Session, o.SKU, o.Shopper, o.Quantity, o.Amount, o.Currency, o.PaymentID, o.PaymentType, o.State,
				moment(t, o.GrantedAt), moment(t, o.ChangedAt), moment(t, o.PayBy), o.Delivery, o.Review, export,
				o.Carrier, o.Tracking, moment(t, o.ShippedAt), moment(t, o.ReceivedAt), moment(t, o.CompletedAt)))
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	response, err := client.Get("http://" + node.Admin + "/admin/v1/events?follow=false&from=0")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			wire.TrailEvent
			Heartbeat bool
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Heartbeat {
			continue
		}
		if e.MissingFrom != 0 {
			t.Fatalf("the trail has a gap: %s", lines.Text())
		}
		if kind, known := engine.ParseEventKind(e.Kind); e.OrderNo == "" || !known || !sinks.Tells(kind) {
			continue
		}
		l.index, l.n = e.Index, uint64(e.N)
		amount := int64(0)
		if e.Amount != nil {
			amount = *e.Amount
		}
		l.changes = append(l.changes, fmt.Sprintf("log_index=%d n=%d order_no=%s event=%s reason=%s state=%s "+
			"session=%s sku=%s shopper=%s amount=%d at=%s ", e.Index, e.N, e.OrderNo, e.Kind, e.Reason, e.State,
			e.Session, e.SKU, e.Shopper, amount, moment(t, e.Time)))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	sort.Strings(l.orders)
	sort.Strings(l.changes)
	return l
}

// moment gives a time of the API as base.rows gives it.
func moment(t *testing.T, told string) string {
	t.Helper()
	if told == "" {
		return ""
	}
	at, err := time.Parse(time.RFC3339Nano, told)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC().Format("2006-01-02T15:04:05.000Z")
}

// mustAgree holds the tables against the ledger, row for row.
func (b *base) mustAgree(l ledgerOf) {
	b.t.Helper()
	for _, of := range []struct {
		what      string
		got, want []string
	}{{"orders", b.rows(orderQuery), l.orders}, {"changes", b.rows(changeQuery), l.changes}} {
		differ := 0
		for i := range max(len(of.got), len(of.want)) {
			var got, want string
			if i < len(of.got) {
				got = of.got[i]
			}
			if i < len(of.want) {
				want = of.want[i]
			}
			if got != want {
				if differ++; differ <= 3 {
					b.t.Errorf("%s: %s, row %d\n%s\nand the ledger says\n%s", b.kind, of.what, i, got, want)
				}
			}
		}
		if len(of.got) != len(of.want) || differ > 0 {
			b.t.Errorf("%s: %d %s, and the ledger says %d; %d differ", b.kind, len(of.got), of.what, len(of.want),
				differ)
		} else {
			b.t.Logf("%s: %d %s, each as the ledger says", b.kind, len(of.got), of.what)
		}
	}
}

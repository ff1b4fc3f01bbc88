package sinks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/sinks/sqlsink/sqltest"
	"doorbuster/httpapi/wire"
)

// TestFullAndReadOnly: the disk under the shop's database is full, and then the database takes
// no changes. The sink waits and says why, while everybody buys; once it is mended, each change
// is there once, with what a coupon paid.
func TestFullAndReadOnly(t *testing.T) {
	sqltest.Require(t, sqltest.Postgres)
	b := &base{t: t, kind: sqltest.Postgres, server: sqltest.Start(t, sqltest.Postgres)}
	b.proxy = sqltest.NewProxy(t, b.server.Addr)
	postgres := b.server.Database(t, "other")
	exec := func(statement string) {
		t.Helper()
		if _, err := postgres.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	// The tables are on a small disk of their own; the server goes on while it is full.
	disk := smallDisk(t, postgresUser(t, b))
	exec("CREATE TABLESPACE small LOCATION '" + disk + "'")
	exec("ALTER ROLE " + sqltest.User + " SET default_tablespace = small")
	b.db = b.server.Database(t, "shop")

	f := nodetest.NewFleet(t, "off", "n1:z1")
	f.Alone, f.Extra = true, "sinks:\n"+b.config("")
	f.Open()
	n := f.Nodes[0]
	n.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 100000}"}, "coupons_up_to: 50",
		"admission_multiple: 0"))
	n.MustRun("switches", "set", "rate_limits=0")
	sold := 0
	sell := func() {
		t.Helper()
		sold++
		n.MustGrant(fmt.Sprintf("s-%d-%s", sold, strings.Repeat("x", 40)), "k", nodetest.Mask)
	}
	agrees := func() {
		t.Helper()
		var l ledgerOf // each order was sold, and one was paid: the trail may be a moment behind
		n.Eventually(func() bool { l = readLedger(t, n); return len(l.changes) == len(l.orders)+1 }, func() string {
			return fmt.Sprintf("%d orders, %d changes", len(l.orders), len(l.changes))
		})
		b.awaitEnd(l)
		b.mustAgree(l)
	}
	o := n.MustGrant("coupon", "k", nodetest.Mask)
	if a := n.Do("POST", n.HTTP+"/v1/payments/callback", fmt.Sprintf(`{"order_no":%q,"payment_id":"p","amount":100,`+
		`"amount_paid":70,"currency":"CNY"}`, o.OrderNo)); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	sell()
	agrees()
	for no, want := range map[string]string{o.OrderNo: "amount_paid=70 coupon=30 ", "": "amount_paid= coupon= "} {
		where := "= '" + no + "'"
		if no == "" {
			where = "<> '" + o.OrderNo + "'"
		}
		if got := b.rows("SELECT amount_paid, coupon FROM doorbuster_orders WHERE order_no " + where); len(got) != 1 ||
			got[0] != want {
			t.Errorf("%q, want %q", got, want)
		}
	}

	waits := func(why string) {
		t.Helper()
		var s wire.Sink
		f.Eventually(func() bool {
			sell() // until a table must grow
			s = status(t, n.Shop)
			return strings.Contains(s.LastError, why) && n.Metric(fmt.Sprintf(
				`doorbuster_sink_state{sink="%s",state="%s"}`, b.kind, s.State)) == "1" && s.State != "flowing"
		}, "the sink does not say that "+why)
		t.Logf("%s: %s", s.State, s.LastError)
		for range 20 { // and everybody else goes on
			sell()
		}
		if n.Metric(fmt.Sprintf(`doorbuster_sink_behind_entries{sink="%s"}`, b.kind)) == "0" {
			t.Error("it is not behind")
		}
	}
	fill(t, disk)
	waits("disk is full")
	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	n.MustRun("sinks", "resume", string(b.kind))
	agrees()

	ends := "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop' AND pid <> pg_backend_pid()"
	exec("ALTER DATABASE shop SET default_transaction_read_only = on")
	exec(ends)
	waits("read-only")
	exec("ALTER DATABASE shop SET default_transaction_read_only = off")
	exec(ends)
	n.MustRun("sinks", "resume", string(b.kind))
	f.Eventually(func() bool { index, _ := b.end(); return index > 0 }, "the test's own connections end")
	agrees()
	if got := b.rows("SELECT count(*) AS n FROM doorbuster_orders"); got[0] != fmt.Sprintf("n=%d ", sold+1) {
		t.Errorf("%s, and %d were sold", got, sold+1)
	}
}

// postgresUser is who the server runs as.
func postgresUser(t *testing.T, b *base) int {
	t.Helper()
	var dir string
	db := b.server.Database(t, "whose")
	if err := db.QueryRow("SHOW data_directory").Scan(&dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

// smallDisk gives an empty disk with room for little; the test is skipped where none can be had.
func smallDisk(t *testing.T, owner int) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "disk") // where the server's user may go
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=8m,mode=0700,uid=%d", owner)); err != nil {
		t.Skipf("no small disk can be had here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill writes a file until there is no room.
func fill(t *testing.T, disk string) {
	t.Helper()
	file, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

package sqlsink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/sqlsink/sqltest"
)

// bothKinds runs a test with a server of each kind.
func bothKinds(t *testing.T, test func(*testing.T, *sqltest.Server)) {
	for _, kind := range []sqltest.Kind{sqltest.Postgres, sqltest.MySQL} {
		t.Run(string(kind), func(t *testing.T) { test(t, sqltest.Start(t, kind)) })
	}
}

// TestSink is what a sink does with a server that does what it should: one server for all,
// each with a database of its own.
func TestSink(t *testing.T) {
	bothKinds(t, func(t *testing.T, server *sqltest.Server) {
		for name, test := range map[string]func(*testing.T, *sqltest.Server){
			"rows": rowsAreWritten, "fenced": leadersAreFenced, "layouts": layoutsAreMigrated, "own tables": ownTables,
			"replay": changesComeAgain, "receivers": receiversGoOut, "another sink's": anothersTables,
		} {
			t.Run(name, func(t *testing.T) { test(t, server) })
		}
	})
}

func rowsAreWritten(t *testing.T, server *sqltest.Server) {
	db := server.Database(t, "written")
	l := newLedger(rand.New(rand.NewPCG(1, 2)), 3000)
	l.mustFeed(t, configOf(server, sqltest.User, "written", ""))
	l.compare(t, db, DefaultTables())
}

// leadersAreFenced: of two that both think they lead, one writes each change.
func leadersAreFenced(t *testing.T, server *sqltest.Server) {
	db := server.Database(t, "fenced")
	l := newLedger(rand.New(rand.NewPCG(2, 2)), 2000)
	config := configOf(server, sqltest.User, "fenced", "")
	ctx := context.Background()
	old, young := mustNew(t, config), mustNew(t, config)
	for _, s := range []*Sink{old, young} {
		if at, known, err := s.Open(ctx); err != nil || !known || at != (engine.TrailPosition{}) {
			t.Fatalf("%v %v %v", at, known, err)
		}
	}
	first, next := l.read(engine.TrailPosition{}, 100, 100)
	if err := young.Write(ctx, first, next); err != nil {
		t.Fatal(err)
	}
	longer, beyond := l.read(engine.TrailPosition{}, 200, 200)
	for name, batch := range map[string]func() error{
		"the same":  func() error { return old.Write(ctx, first, next) },
		"a longer":  func() error { return old.Write(ctx, longer, beyond) },
		"none":      func() error { return old.Write(ctx, nil, next) },
		"a rewound": func() error { return old.Rewind(ctx, engine.TrailPosition{}) },
	} {
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := old.Open(ctx); err != nil {
			t.Fatal(err)
		}
		old.at = engine.TrailPosition{} // as it was when it led
		if err := batch(); !errors.Is(err, ErrFenced) {
			t.Errorf("%s batch of a leader that has been: %v", name, err)
		}
	}
	_ = old.Close()
	_ = young.Close()

	// Many at once.
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(3, uint64(i)))
			for {
				s, err := New(config)
				if err != nil {
					t.Error(err)
					return
				}
				err = l.feed(s, rng)
				_ = s.Close()
				if err == nil {
					return
				}
				if !errors.Is(err, ErrFenced) && !strings.Contains(err.Error(), "undid the transaction") {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	l.compare(t, db, DefaultTables())
}

// layoutsAreMigrated: older tables become the newest, with what is in them; newer are refused.
func layoutsAreMigrated(t *testing.T, server *sqltest.Server) {
	db := server.Database(t, "layouts")
	config := configOf(server, sqltest.User, "layouts", "")
	ctx := context.Background()
	open := func(known []layout) error {
		s := mustNew(t, config)
		s.layouts = known
		defer s.Close()
		_, _, err := s.Open(ctx)
		return err
	}
	wants(t, "an older build's, that makes no changes", open(layouts[:2]), "there is no table doorbuster_changes")
	if _, err := db.Exec("UPDATE doorbuster_position SET log_index = 7"); err == nil {
		wants(t, "still", open(layouts[:2]), "there is no table doorbuster_changes")
	}
	if err := open(layouts); err != nil {
		t.Fatalf("older tables: %v", err)
	}
	if err := open(layouts); err != nil {
		t.Fatalf("tables as they should be: %v", err)
	}
	more := func(*Sink) []string { return []string{"CREATE TABLE one_more (id int)"} }
	if err := open(append(layouts[:len(layouts):len(layouts)], more)); err != nil {
		t.Fatal(err)
	}
	wants(t, "newer tables", open(layouts), "doorbuster_schema", fmt.Sprint("version ", len(layouts)+1),
		fmt.Sprint("up to ", len(layouts)), "use a newer one")
}

// ownTables: the shop's own order table is used as it is, if it has what is written.
func ownTables(t *testing.T, server *sqltest.Server) {
	db := server.Database(t, "own")
	config := configOf(server, sqltest.User, "own", "")
	config.Columns = map[string]string{"order_no": "SN", "state": "status", "shopper": "uid", "amount": "total",
		"created_at": "created"}
	for i, c := range []struct{ columns, says string }{
		{"SN, status varchar(20), uid varchar(255), total bigint", "ADD COLUMN"},
		{"SN, status varchar(20), uid varchar(255), total bigint, created TIMESTAMP, kept int DEFAULT 7", ""},
		{"SN, status varchar(20), uid varchar(255), total integer, created TIMESTAMP, kept int", ""},
		{"SN, status varchar(2), uid varchar(255), total bigint, created TIMESTAMP", "does not take a value"},
		{"SN, status varchar(20), uid varchar(255), total bigint, created TIMESTAMP, more int NOT NULL",
			"does not take a value"},
		{"no key, SN, status varchar(20), uid varchar(255), total bigint, created TIMESTAMP", "no unique index on (SN)"},
	} {
		config.Tables = Tables{Orders: fmt.Sprint("Orders", i), Changes: fmt.Sprint("c", i),
			Position: fmt.Sprint("p", i), Schema: fmt.Sprint("s", i)}
		columns, without := strings.CutPrefix(c.columns, "no key, ")
		sn := " varchar(64) PRIMARY KEY"
		if without {
			sn = " varchar(64)"
		}
		quote := dialects[config.Kind].quote
		columns = strings.Replace(columns, "SN", quote("SN")+sn, 1)
		if config.Kind == MySQL {
			columns = strings.ReplaceAll(columns, "TIMESTAMP", "timestamp(3) NULL")
		}
		if _, err := db.Exec("CREATE TABLE " + quote(config.Tables.Orders) + " (" + columns + ")"); err != nil {
			t.Fatal(err)
		}
		s, l := mustNew(t, config), newLedger(rand.New(rand.NewPCG(4, 4)), 200)
		err := l.feed(s, rand.New(rand.NewPCG(4, 4)))
		_ = s.Close()
		if c.says != "" {
			wants(t, c.columns, err, "wrong schema", c.says)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.columns, err)
			continue
		}
		var rows, sum, want int64
		err = db.QueryRow("SELECT count(*), sum(total) FROM "+quote(config.Tables.Orders)+" WHERE status <> 'held' "+
			"AND created > '2026-11-11 09:59:59'").Scan(&rows, &sum)
		for _, v := range l.orders {
			want += v[0].view.Amount
		}
		if err != nil || rows != 200 || sum != want {
			t.Errorf("%s: %d rows of %d, want 200 of %d (%v)", c.columns, rows, sum, want, err)
		}
	}
	if config.Kind == MySQL {
		if _, err := db.Exec("CREATE TABLE doorbuster_orders (order_no varchar(64) PRIMARY KEY) ENGINE=MyISAM"); err != nil {
			t.Fatal(err)
		}
		config.Tables, config.Columns = Tables{}, map[string]string{"order_no": "order_no"}
		s := mustNew(t, config)
		_, _, err := s.Open(context.Background())
		wants(t, "a table without transactions", err, "MyISAM", "InnoDB")
	}
}

// changesComeAgain: a replay makes of the tables what the ledger says, and takes away what it
// does not say any more.
func changesComeAgain(t *testing.T, server *sqltest.Server) {
	db := server.Database(t, "replay")
	config := configOf(server, sqltest.User, "replay", "")
	l := newLedger(rand.New(rand.NewPCG(5, 5)), 2000)
	l.mustFeed(t, config)
	middle := l.changes[len(l.changes)/2].TrailPosition
	for _, spoil := range []string{"DELETE FROM doorbuster_orders", "UPDATE doorbuster_changes SET event = 'x'",
		fmt.Sprintf("INSERT INTO doorbuster_changes (log_index, n, order_no) VALUES (%d, 100000, 'nobody')",
			middle.Index)} {
		if _, err := db.Exec(spoil); err != nil {
			t.Fatal(err)
		}
	}
	ctx, s := context.Background(), mustNew(t, config)
	rewind := func(to engine.TrailPosition) {
		t.Helper()
		if _, _, err := s.Open(ctx); err != nil {
			t.Fatal(err)
		}
		if err := s.Rewind(ctx, to); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	rewind(middle)
	if at, _, err := s.Open(ctx); err != nil || at != middle {
		t.Fatalf("at %v, %v; want %v", at, err, middle)
	}
	_ = s.Close()
	rewind(engine.TrailPosition{})
	l.mustFeed(t, config)
	l.compare(t, db, DefaultTables())

	// One change again, without going back: a dead letter.
	if at, _, err := s.Open(ctx); err != nil || at != l.end() {
		t.Fatal(at, err)
	}
	again, _ := l.read(middle, 1, len(l.changes))
	if err := s.Write(ctx, again, l.end()); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	l.compare(t, db, DefaultTables())
	// And on, over a gap.
	ahead := engine.TrailPosition{Index: l.end().Index + 100}
	rewind(ahead)
	if at, _, err := s.Open(ctx); err != nil || at != ahead {
		t.Fatal(at, err)
	}
}

func anothersTables(t *testing.T, server *sqltest.Server) {
	server.Database(t, "anothers")
	config := configOf(server, sqltest.User, "anothers", "")
	newLedger(rand.New(rand.NewPCG(6, 6)), 10).mustFeed(t, config)
	config.Name = "copy"
	_, _, err := mustNew(t, config).Open(context.Background())
	wants(t, "another sink's tables", err, `of sink "shop"`, `this is "copy"`)
}

// TestKilled: whatever is killed or cut at whatever moment, the tables come to what the
// ledger says.
func TestKilled(t *testing.T) {
	bothKinds(t, func(t *testing.T, server *sqltest.Server) {
		orders, kills := 20_000, 8
		if testing.Short() {
			orders, kills = 4000, 3
		}
		db := server.Database(t, "killed")
		proxy := sqltest.NewProxy(t, server.Addr)
		config := configOf(server, sqltest.User, "killed", proxy.Addr)
		config.Timeout = 5 * time.Second
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		l := newLedger(rand.New(rand.NewPCG(seed, 0)), orders)
		done := make(chan struct{})
		failed := 0
		go func() {
			defer close(done)
			rng := rand.New(rand.NewPCG(seed, 1))
			for {
				s, err := New(config)
				if err != nil {
					t.Error(err)
					return
				}
				err = l.feed(s, rng)
				_ = s.Close()
				if err == nil {
					return
				}
				failed++
				time.Sleep(20 * time.Millisecond) // as the runner does, which backs off
			}
		}()
		rng := rand.New(rand.NewPCG(seed, 2))
		cuts := 0
		for killed := 0; killed < kills; {
			select {
			case <-done:
				killed = kills
			case <-time.After(time.Duration(rng.IntN(300)) * time.Millisecond):
				switch rng.IntN(3) {
				case 0:
					server.Kill()
					server.Start()
					killed++
				case 1:
					proxy.Cut()
					cuts++
				case 2:
					proxy.Hold(true)
					proxy.Cut()
					proxy.Hold(false)
					cuts++
				}
			}
		}
		<-done
		t.Logf("%d changes, %d failures, %d cuts", len(l.changes), failed, cuts)
		l.compare(t, db, DefaultTables())
	})
}

// TestFaultsAreTold: what is wrong with a database is said in plain words.
func TestFaultsAreTold(t *testing.T) {
	bothKinds(t, func(t *testing.T, server *sqltest.Server) {
		db := server.Database(t, "faults")
		ctx := context.Background()
		exec := func(statements ...string) {
			t.Helper()
			for _, s := range statements {
				if _, err := db.Exec(s); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
		}
		proxy := sqltest.NewProxy(t, server.Addr)
		limited := configOf(server, "app", "faults", proxy.Addr)
		limited.Timeout = 4 * time.Second
		if server.Kind == sqltest.Postgres {
			exec("CREATE USER app PASSWORD '"+sqltest.Password+"'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
		} else {
			exec("CREATE USER app@'%' IDENTIFIED BY '"+sqltest.Password+"'", "GRANT SELECT ON faults.* TO app@'%'")
		}
		open := func(c Config) error {
			s := mustNew(t, c)
			defer s.Close()
			_, _, err := s.Open(ctx)
			return err
		}
		wants(t, "a user who may not create", open(limited), "lacks rights")
		if err := open(configOf(server, sqltest.User, "faults", "")); err != nil {
			t.Fatal(err)
		}
		l := newLedger(rand.New(rand.NewPCG(7, 7)), 100)
		write := func(c Config) error {
			s := mustNew(t, c)
			defer s.Close()
			return l.feed(s, rand.New(rand.NewPCG(7, 7)))
		}
		if server.Kind == sqltest.Postgres {
			exec("GRANT SELECT ON ALL TABLES IN SCHEMA public TO app")
		}
		wants(t, "a user who may not write", write(limited), "lacks rights")
		if server.Kind == sqltest.Postgres {
			exec("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app",
				"ALTER DATABASE faults SET default_transaction_read_only = on")
		} else {
			exec("GRANT SELECT, INSERT, UPDATE, DELETE ON faults.* TO app@'%'", "SET GLOBAL read_only = 1")
		}
		wants(t, "a standby", write(limited), "read-only")
		if server.Kind == sqltest.Postgres {
			exec("ALTER DATABASE faults RESET default_transaction_read_only")
		} else {
			exec("SET GLOBAL read_only = 0")
		}

		bad := limited
		bad.Password = func() (string, error) { return "wrong", nil }
		wants(t, "a wrong password", open(bad), "does not let the user in")
		bad.Password = func() (string, error) { return "", errors.New("the file is gone") }
		wants(t, "a password that can't be read", open(bad), "the file is gone")
		bad = limited
		bad.URL = server.URL("app", "nowhere", "")
		if err := open(bad); err == nil || !strings.Contains(err.Error(), "no such database") &&
			!strings.Contains(err.Error(), "lacks rights") { // MariaDB tells nobody what they may not see
			t.Errorf("no database: %v", err)
		}

		proxy.Hold(true)
		before := time.Now()
		wants(t, "no answer", open(limited), "slow, or out of reach")
		if took := time.Since(before); took > 20*time.Second {
			t.Errorf("it took %s to say that there is no answer", took)
		}
		proxy.Hold(false)
		if server.Kind == sqltest.Postgres {
			exec("ALTER DATABASE faults SET statement_timeout = 1")
		}
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("SELECT * FROM doorbuster_position FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		wants(t, "another's transaction in the way", write(limited), "slow")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if server.Kind == sqltest.Postgres { // else it is the test that has no time to look, once it connects anew
			exec("ALTER DATABASE faults RESET statement_timeout")
		}
		exec("ALTER TABLE doorbuster_orders RENAME TO elsewhere")
		wants(t, "a table that is gone", write(limited), "wrong schema", "doorbuster_orders")
		exec("ALTER TABLE elsewhere RENAME TO doorbuster_orders", "DELETE FROM doorbuster_changes",
			"ALTER TABLE doorbuster_changes DROP COLUMN event")
		wants(t, "a column that is gone", write(limited), "wrong schema", "ADD COLUMN", "event")
		if server.Kind == sqltest.Postgres {
			exec("ALTER TABLE doorbuster_changes ADD COLUMN event text")
		} else {
			exec("ALTER TABLE doorbuster_changes ADD COLUMN event varchar(255)")
		}

		server.Signal(syscall.SIGSTOP)
		wants(t, "a server that hangs", open(limited), "slow, or out of reach")
		server.Signal(syscall.SIGCONT)
		server.Kill()
		wants(t, "a server that is down", open(configOf(server, "app", "faults", "")), "the database is down")
		server.Start()
		if err := write(limited); err != nil {
			t.Errorf("once all is well: %v", err)
		}
		l.compare(t, db, DefaultTables())
	})
}

// BenchmarkWrite: full batches of changes, two or three to an order.
func BenchmarkWrite(b *testing.B) {
	for _, kind := range []sqltest.Kind{sqltest.Postgres, sqltest.MySQL} {
		b.Run(string(kind), func(b *testing.B) {
			server := sqltest.Start(b, kind)
			server.Database(b, "bench")
			l := newLedger(rand.New(rand.NewPCG(8, 8)), 40*b.N)
			s := mustNew(b, configOf(server, sqltest.User, "bench", ""))
			ctx := context.Background()
			at, _, err := s.Open(ctx)
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			before := time.Now()
			for at.Before(l.end()) {
				batch, next := l.read(at, sinks.MaxBatch, len(l.changes))
				if err := s.Write(ctx, batch, next); err != nil {
					b.Fatal(err)
				}
				at = next
			}
			b.ReportMetric(float64(len(l.orders))/time.Since(before).Seconds(), "orders/s")
		})
	}
}

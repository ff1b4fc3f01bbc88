package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/personal"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/sqlsink/sqltest"
)

// receiversGoOut as far as they should, and rows of an erased shopper are blanked.
func receiversGoOut(t *testing.T, server *sqltest.Server) {
	erased := map[string]bool{}
	open := func(shopper string, sealed engine.Receiver) (r personal.Receiver, err error) {
		switch {
		case erased[shopper]:
			return r, personal.ErrErased
		case sealed.Sealed == "damaged":
			return r, errors.New("no key 7")
		}
		return personal.Receiver{Name: sealed.Sealed, Phone: "+8613800000001", Country: "CN", City: "上海",
			Street: "1 Long Lane"}, nil
	}
	change := func(index engine.LogIndex, kind engine.EventKind, shopper, sealed string) sinks.Change {
		c := sinks.Change{TrailEvent: engine.TrailEvent{TrailPosition: engine.TrailPosition{Index: index}, Kind: kind,
			Shopper: shopper}}
		if sealed != "" {
			c.OrderNo = "of " + shopper
			c.Order = &engine.OrderView{OrderNo: c.OrderNo, Shopper: shopper, State: engine.Paid, HasReceiver: true,
				Receiver: engine.Receiver{Sealed: sealed}}
		}
		return c
	}
	plain, none := "ada|+8613800000001|CN|上海|1 Long Lane", "||||"
	r, err := open("ada", engine.Receiver{Sealed: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	r = personal.Mask(r)
	masked := fmt.Sprintf("%s|%s|%s|%s|%s", r.Name, r.Phone, r.Country, r.City, r.Street)
	if masked == plain {
		t.Fatal("nothing is masked")
	}
	for i, c := range []struct {
		how  Receivers
		want string
	}{{PlainReceivers, plain}, {MaskedReceivers, masked}, {NoReceivers, none}} {
		clear(erased)
		name := fmt.Sprint("receivers", i)
		db := server.Database(t, name)
		config := configOf(server, sqltest.User, name, "")
		config.Receivers, config.Open = c.how, open
		s := mustNew(t, config)
		ctx := context.Background()
		if _, _, err := s.Open(ctx); err != nil {
			t.Fatal(err)
		}
		write := func(next engine.LogIndex, changes ...sinks.Change) error {
			return s.Write(ctx, changes, engine.TrailPosition{Index: next})
		}
		row := func(of string) (got string) {
			t.Helper()
			err := db.QueryRow("SELECT concat(coalesce(receiver_name, ''), '|', coalesce(receiver_phone, ''), '|', " +
				"coalesce(receiver_country, ''), '|', coalesce(receiver_city, ''), '|', coalesce(receiver_street, '')) " +
				"FROM doorbuster_orders WHERE order_no = 'of " + of + "'").Scan(&got)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				t.Fatal(err)
			}
			return got
		}
		paid := []sinks.Change{change(1, engine.OrderPaid, "ada", "ada"), change(2, engine.OrderPaid, "bob", "ada")}
		if err := write(3, paid...); err != nil {
			t.Fatal(err)
		}
		if got := row("ada"); got != c.want {
			t.Errorf("%s: %s, want %s", c.how, got, c.want)
		}
		erased["ada"] = true
		if err := write(4, change(3, engine.PersonalDataErased, "ada", "")); err != nil {
			t.Fatal(err)
		}
		if got := row("ada"); got != none {
			t.Errorf("%s: once ada is erased: %s", c.how, got)
		}
		if got := row("bob"); got != c.want {
			t.Errorf("%s: bob's, who is not: %s", c.how, got)
		}
		// What comes late finds no key any more.
		if err := write(5, change(4, engine.OrderCompleted, "ada", "ada")); err != nil || row("ada") != none {
			t.Errorf("%s: later: %s, %v", c.how, row("ada"), err)
		}
		// In one batch, what was said after the erasure stays.
		erased["bob"] = true
		delete(erased, "ada")
		if err := write(7, change(5, engine.PersonalDataErased, "bob", ""), change(6, engine.ReceiverSet, "ada",
			"ada")); err != nil || row("ada") != c.want || row("bob") != none {
			t.Errorf("%s: told anew: %s, %s, %v", c.how, row("ada"), row("bob"), err)
		}
		if err := write(8, change(7, engine.OrderPaid, "eve", "damaged")); c.how != NoReceivers {
			wants(t, "a receiver that can't be opened", err, "no key 7", "of eve")
		}
		if i == 0 { // a table of the shop's own that has no room for what is written
			alter := "ALTER TABLE doorbuster_orders MODIFY receiver_name smallint"
			if server.Kind == sqltest.Postgres {
				alter = "ALTER TABLE doorbuster_orders ALTER receiver_name TYPE smallint USING NULL"
			}
			for _, statement := range []string{"UPDATE doorbuster_orders SET receiver_name = NULL", alter} {
				if _, err := db.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
			err := write(8, change(7, engine.OrderPaid, "fay", "Fay +86138"))
			wants(t, "a text where a number is due", err, "wrong schema", "receiver_name")
			if err != nil && strings.Contains(err.Error(), "138") {
				t.Errorf("it tells what was to be written: %v", err)
			}
		}
		_ = s.Close()
	}
}

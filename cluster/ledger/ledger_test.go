package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestOrdersAreKept: what the state says of an order the ledger says, too, and
// still does when the state has let go of it.
func TestOrdersAreKept(t *testing.T) {
	s := newShop(t)
	l := s.keep(quiet(t.TempDir()), nil)
	s.open()
	x := s.day("day", 300, false)
	want := map[engine.OrderRef]engine.OrderView{}
	for ordinal := 1; ordinal <= x.Orders(); ordinal++ {
		v, _ := s.state.View(engine.OrderRef{Session: x.Handle, Ordinal: uint32(ordinal)})
		want[v.Ref] = v
	}
	check := func(when string) {
		t.Helper()
		s.reached(l)
		for ref, v := range want {
			o, found, err := l.Order(ref)
			if err != nil || !found || l.View(&o) != v {
				t.Fatalf("%s: %+v, %v, %v; the state said %+v", when, l.View(&o), found, err, v)
			}
			if v.PaymentID == "" {
				continue
			}
			if paid, found, err := l.PaidBy(v.PaymentID); err != nil || !found || paid != ref {
				t.Fatalf("%s: %s paid for %v, %v, %v; not for %v", when, v.PaymentID, paid, found, err, ref)
			}
		}
		if _, found, err := l.PaidBy("nobody's"); err != nil || found {
			t.Fatalf("%s: a payment that never came: %v, %v", when, found, err)
		}
		own := 0
		if err := l.OrdersOf("s7", engine.OrderRef{}, 0, func(o *engine.OrderRecord) bool { own++; return o.Shopper == "s7" }); err != nil || own != 1 {
			t.Fatalf("%s: s7 has %d orders, %v", when, own, err)
		}
	}
	check("before")
	s.do(engine.Command{Kind: engine.CmdSettleSession, Session: x.Handle})
	s.clear(x)
	if x.State != engine.Settled || s.state.Order(engine.OrderRef{Session: x.Handle, Ordinal: 1}) != nil {
		t.Fatal("the state has not let go")
	}
	check("after")
	settled, found, err := l.SessionOf(x.Handle)
	if err != nil || !found || settled.Orders != 300 || settled.Listings[0].Paid != 100 {
		t.Errorf("%+v, %v, %v", settled, found, err)
	}
}

// TestMoneyForSettledOrders: it is to go back, and the order says so.
func TestMoneyForSettledOrders(t *testing.T) {
	s := newShop(t)
	l := s.keep(quiet(t.TempDir()), nil)
	s.open()
	x := s.day("day", 30, true)
	ref := engine.OrderRef{Session: x.Handle, Ordinal: 3} // expired
	for range 2 {
		s.do(s.pay(ref, "late"))
	}
	s.reached(l)
	o, _, err := l.Order(ref)
	if err != nil || len(o.Refunds) != 1 || l.View(&o).State != engine.RefundDue {
		t.Fatalf("%+v, %v", o, err)
	}
	s.do(engine.Command{Kind: engine.CmdConfirmRefund, Refund: o.Refunds[0].No, Note: "r-1"})
	s.reached(l)
	if o, _, err = l.Order(ref); err != nil || o.Refunds[0].Reference != "r-1" || l.View(&o).State != engine.Refunded {
		t.Fatalf("%+v, %v", o, err)
	}
	events, _, _, err := l.Audit(engine.TrailFilter{OrderNo: l.View(&o).OrderNo, Limit: 100})
	if err != nil || len(events) != 5 || events[2].Kind != engine.RefundBecameDue || events[2].Detail != "late" || events[2].Shopper != o.Shopper {
		t.Errorf("%+v, %v", events, err)
	}
}

// TestTrail: every event is there once, in order, by position, order and operator.
func TestTrail(t *testing.T) {
	s := newShop(t)
	l := s.keep(quiet(t.TempDir()), nil)
	s.open()
	s.day("day", 150, true)
	s.reached(l)
	var from, last engine.TrailPosition
	kinds := map[engine.EventKind]int{}
	for {
		events, next, err := l.Events(from, 37)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if !last.Before(e.TrailPosition) && last != (engine.TrailPosition{}) {
				t.Fatalf("%s after %s", e, last)
			}
			last = e.TrailPosition
			kinds[e.Kind]++
		}
		from = next
	}
	if kinds[engine.HoldPlaced] != 150 || kinds[engine.OrderPaid] != 50 || kinds[engine.HoldReleased] != 100 || kinds[engine.SessionSettled] != 1 {
		t.Errorf("%v", kinds)
	}
	events, _, more, err := l.Audit(engine.TrailFilter{Operator: "olga", Limit: 10})
	if err != nil || more || len(events) != 2 || events[0].Kind != engine.PlanApplied || events[0].Detail == "" || events[1].Note != "done" {
		t.Errorf("%+v, %v, %v", events, more, err)
	}
}

// TestReopened: entries that come again after a restart count once.
func TestReopened(t *testing.T) {
	s := newShop(t)
	a, dir := s.keep(quiet(t.TempDir()), nil), t.TempDir()
	b := s.keep(quiet(dir), nil)
	s.open()
	for round := range 4 {
		s.day(fmt.Sprint("day", round), 60, round%2 == 0)
		s.reached(b)
		s.part(b)
		b = s.keep(quiet(dir), nil)
	}
	if one, two := s.digest(a), s.digest(b); one != two {
		t.Errorf("%s, and with restarts %s", one, two)
	}
	if st := b.Stats(); st.Gaps != 0 || !st.Whole {
		t.Errorf("%+v", st)
	}
}

// TestRebuiltFromAnother: a ledger that lost its file, or was away while the state
// went on by a snapshot, becomes equal to another one's.
func TestRebuiltFromAnother(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(path string) error
	}{
		{"deleted", os.Remove},
		{"truncated", func(path string) error { return os.Truncate(path, 40<<10) }},
		{"empty", func(path string) error { return os.Truncate(path, 0) }},
		{"a byte flipped", func(path string) error { return flip(path, 5) }},
		{"away", func(string) error { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t)
			a, dir := s.keep(quiet(t.TempDir()), nil), t.TempDir()
			b := s.keep(quiet(dir), other{a})
			s.open()
			s.day("one", 500, true)
			s.day("two", 500, false)
			s.reached(b)
			s.part(b)
			s.day("three", 300, true)
			if err := c.damage(b.path()); err != nil {
				t.Fatal(err)
			}
			s.do(engine.Command{Kind: engine.CmdSettleSession, Session: s.state.Session("two").Handle})
			s.clear(s.state.Session("two"))
			b = s.keep(quiet(dir), other{a})
			s.day("four", 40, false)
			if one, two := s.digest(a), s.digest(b); one != two {
				t.Errorf("%s, rebuilt %s", one, two)
			}
			if st := b.Stats(); st.Gaps != 0 || st.Missing != 0 || !st.Whole {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestRebuiltFromArchives: one that is alone has its settled orders from archives,
// and says which events are lost.
func TestRebuiltFromArchives(t *testing.T) {
	s := newShop(t)
	c := quiet(t.TempDir())
	c.Archive = true
	l := s.keep(c, nil)
	s.open()
	x := s.day("one", 500, true)
	s.day("two", 100, false)
	s.do(s.pay(engine.OrderRef{Session: x.Handle, Ordinal: 3}, "late"))
	s.reached(l)
	before := orders(t, l)
	s.part(l)
	if err := flip(l.path(), 9); err != nil {
		t.Fatal(err)
	}
	l = s.keep(c, nil)
	s.reached(l)
	if after := orders(t, l); after != before {
		t.Error("other orders than before")
	}
	events, _, err := l.Events(engine.TrailPosition{}, 10)
	if err != nil || len(events) != 1 || events[0].Missing != 1 || events[0].Index != s.index {
		t.Errorf("%+v, %v", events, err)
	}
	if st := l.Stats(); st.Gaps != 1 || st.Rebuilds == 0 {
		t.Errorf("%+v", st)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "ledger.db.damaged-1")); err != nil {
		t.Error(err)
	}
}

func orders(t *testing.T, l *Ledger) string {
	t.Helper()
	var all strings.Builder
	for h := engine.SessionHandle(1); h < 5; h++ {
		if err := l.Scan(engine.OrderRef{Session: h}, func(o *engine.OrderRecord) bool {
			fmt.Fprintf(&all, "%x\n", orderBody(o))
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// flip changes a byte of a row.
func flip(path string, seed uint64) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	at := rand.New(rand.NewPCG(seed, 0)).IntN(used(b))
	b[at] ^= 0x40
	// Where it means nothing, it is to be one that does.
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	if scrub(path, func() bool { return false }) == nil {
		return flip(path, seed+1)
	}
	return nil
}

// used tells how many bytes of a file are of pages that there are: beyond, it only
// has been made longer.
func used(file []byte) int {
	m, err := readMetas(bytes.NewReader(file))
	if err != nil {
		return len(file)
	}
	return int(m.pages) * int(m.pageBytes)
}

// TestEveryFlippedByteIsNoticed: or it means nothing, and all is read as before.
func TestEveryFlippedByteIsNoticed(t *testing.T) {
	s := newShop(t)
	l := s.keep(quiet(t.TempDir()), nil)
	s.open()
	s.day("one", 200, true)
	s.day("two", 200, false)
	want := s.digest(l)
	s.part(l)
	whole, err := os.ReadFile(l.path())
	if err != nil {
		t.Fatal(err)
	}
	whole = whole[:used(whole)]
	path := filepath.Join(t.TempDir(), "ledger.db")
	random := rand.New(rand.NewPCG(1, 2))
	noticed, harmless := 0, 0
	for range 600 {
		b := append([]byte(nil), whole...)
		at, bit := random.IntN(used(whole)), byte(1)<<random.IntN(8)
		b[at] ^= bit
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := scrub(path, func() bool { return false }); err != nil {
			if !errors.Is(err, errDamaged) && !errors.Is(err, engine.ErrNewerFormat) {
				t.Fatalf("byte %d: %v", at, err)
			}
			noticed++
			continue
		}
		harmless++
		st, _, _, err := openStore(path)
		if err != nil {
			t.Fatalf("byte %d bit %#x: nothing was noticed, and it does not open: %v", at, bit, err)
		}
		twin := &Ledger{store: st, feed: newFeed(1)}
		twin.known.Store(true)
		sum, _, err := twin.Digest(0)
		if got := fmt.Sprintf("%x", sum[:8]); err != nil || got != want {
			t.Errorf("byte %d bit %#x: %s instead of %s, and nobody noticed: %v", at, bit, got, want, err)
		}
		st.close()
		os.Remove(path)
	}
	t.Logf("%d noticed, %d mean nothing", noticed, harmless)
	if noticed < 100 {
		t.Error("hardly anything is noticed")
	}
}

// TestOverrun: what does not fit the queue comes from the state and from another.
func TestOverrun(t *testing.T) {
	s := newShop(t)
	a := s.keep(quiet(t.TempDir()), nil)
	c := quiet(t.TempDir())
	c.QueueEvents = 1024
	b := s.keep(c, other{a})
	s.open()
	for i := range 5 {
		s.day(fmt.Sprint("day", i), 2000, i%2 == 1)
	}
	if one, two := s.digest(a), s.digest(b); one != two {
		t.Errorf("%s, overrun %s", one, two)
	}
}

// TestOldEventsAreDropped: the oldest first, and who asks for them is told where to
// begin.
func TestOldEventsAreDropped(t *testing.T) {
	s := newShop(t)
	c := quiet(t.TempDir())
	c.KeepEvents, c.trimEvery = 90*time.Minute, time.Millisecond
	l := s.keep(c, nil)
	s.open()
	s.day("one", 200, true)
	s.reached(l)
	for range 3 {
		s.clock += 3_600_000
		s.do()
	}
	var gone *engine.TrailGone
	for began := time.Now(); !errors.As(func() error { _, _, err := l.Events(engine.TrailPosition{Index: 1}, 1); return err }(), &gone); time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatal("nothing is dropped")
		}
		s.do()
	}
	if _, _, err := l.Events(gone.First, 1); err != nil {
		t.Errorf("the first kept is %s: %v", gone.First, err)
	}
	if o, found, err := l.Order(engine.OrderRef{Session: 1, Ordinal: 1}); !found || err != nil || o.Shopper != "s0" {
		t.Error("an order went with its events")
	}
}

// TestNamesOfAWriteThatFailed are written with the next one: a full disk takes
// nothing away that the ledger takes to be there.
func TestNamesOfAWriteThatFailed(t *testing.T) {
	s := newShop(t).open()
	l, err := Open(quiet(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	l.source = s
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	s.ledgers = append(s.ledgers, l)
	s.day("day", 2000, false) // more than the file has room for
	entries, _ := l.feed.take(batchEvents)
	l.open().db.MaxSize = 1 // as a full disk
	if err := l.write(entries); err == nil {
		t.Fatal("written on a full disk")
	}
	l.open().db.MaxSize = 0
	if err := l.write(entries); err != nil {
		t.Fatal(err)
	}
	l.names.Store(newNames())
	l.readNames()
	if n := l.names.Load(); n.sessions[1] != "day" || n.listings[1].id != "mask" {
		t.Errorf("in the file: %+v", n)
	}
}

// TestShoppersDontPushOutDeeds: however many events shoppers cause, what operators did
// is still told, and each answer's horizon is known.
func TestShoppersDontPushOutDeeds(t *testing.T) {
	s := newShop(t)
	c := quiet(t.TempDir())
	c.KeepEventBytes, c.trimEvery = 1<<20, time.Millisecond
	l := s.keep(c, nil)
	s.open()
	s.do(engine.Command{Kind: engine.CmdSetSwitches, Operator: "ines", Note: "early", Switches: engine.SwitchChange{Action: engine.SwitchSet, Settings: []engine.Setting{{Switch: engine.SwitchRates, Value: 50}}}})
	of := func() int {
		events, _, _, err := l.Audit(engine.TrailFilter{Operator: "ines", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return len(events)
	}
	s.reached(l)
	before := of()
	for i := range 4 {
		s.day(fmt.Sprint("day", i), 2000, false)
		s.reached(l)
	}
	var gone *engine.TrailGone
	for began := time.Now(); !errors.As(func() error { _, _, err := l.Events(engine.TrailPosition{Index: 1}, 1); return err }(), &gone); time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatal("nothing is dropped")
		}
		s.do()
	}
	if before != 1 || of() != 1 {
		t.Errorf("of the operator's deeds %d were there, %d are", before, of())
	}
	all, since, err := l.Horizon(false)
	if err != nil || all.Before(gone.First) || since == 0 {
		t.Errorf("the horizon is %s, %d; dropped up to %s: %v", all, since, gone.First, err)
	}
	if deeds, _, err := l.Horizon(true); err != nil || !deeds.Before(all) {
		t.Errorf("of deeds it is %s: %v", deeds, err)
	}
}

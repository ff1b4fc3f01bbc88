package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"doorbuster/engine"
)

// saved is a backup as the cluster's room takes it: a state, and the ledger's part.
type saved struct {
	state   []byte
	index   engine.LogIndex
	settled []engine.SessionHandle
	part    []byte
}

// freeze takes the state's half of a backup.
func (s *shop) freeze() (b saved) {
	s.t.Helper()
	var to bytes.Buffer
	if _, err := s.state.Snapshot().WriteTo(&to); err != nil {
		s.t.Fatal(err)
	}
	b.state, b.index = to.Bytes(), s.index
	for _, x := range s.state.Sessions() {
		if x.State == engine.Settled {
			b.settled = append(b.settled, x.Handle)
		}
	}
	return b
}

// complete adds the ledger's part, at any later time.
func (b *saved) complete(t testing.TB, l *Ledger) {
	t.Helper()
	var to bytes.Buffer
	if err := l.WritePart(t.Context(), &to, b.index, b.settled); err != nil {
		t.Fatal(err)
	}
	b.part = to.Bytes()
}

// restore makes a shop and its ledger of a backup.
func (b *saved) restore(t testing.TB, like *shop, c Config) (*shop, *Ledger) {
	t.Helper()
	s := newShop(t)
	s.clock, s.index = like.clock, b.index
	var err error
	if s.state, err = engine.ReadState(bytes.NewReader(b.state)); err != nil {
		t.Fatal(err)
	}
	s.epoch, s.sequence, _ = s.state.Epoch()
	p, err := Restore(c, s.state, bytes.NewReader(b.part))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Fits(s.state); err != nil {
		t.Fatal(err)
	}
	return s, s.keep(c, nil)
}

// TestRestored: a ledger made from its part of a backup, and the state, is what the
// ledger was at the backup's index, whatever happened before the part was written;
// and goes on from there.
func TestRestored(t *testing.T) {
	s := newShop(t)
	l := s.keep(quiet(t.TempDir()), nil)
	s.open()
	one := s.day("one", 12_000, true) // of more than a page
	s.day("two", 60, true)
	three := s.day("three", 60, false)
	s.do(s.pay(engine.OrderRef{Session: one.Handle, Ordinal: 3}, "late"))
	want := s.digest(l)
	b := s.freeze()
	// What comes now is not in it.
	s.do(s.pay(engine.OrderRef{Session: one.Handle, Ordinal: 3}, "later"))
	s.do(s.pay(engine.OrderRef{Session: one.Handle, Ordinal: 6}, "latest"))
	s.do(engine.Command{Kind: engine.CmdConfirmRefund, Refund: 1, Note: "r-1"})
	s.do(engine.Command{Kind: engine.CmdSettleSession, Session: three.Handle})
	s.clear(three)
	s.day("four", 30, true)
	b.complete(t, l)
	p, err := ReadPart(bytes.NewReader(b.part), func(CopyRow) error { return nil })
	if err != nil || p.Orders != 12_060 || len(p.Sessions) != 2 || p.Index != b.index || p.Events < 24_000 {
		t.Errorf("%d orders, %d sessions, %d events at %d: %v", p.Orders, len(p.Sessions), p.Events, p.Index, err)
	}

	c := quiet(t.TempDir())
	c.Archive = true
	r, again := b.restore(t, s, c)
	if got := r.digest(again); got != want {
		t.Errorf("restored %s, and it was %s", got, want)
	}
	o, found, err := again.Order(engine.OrderRef{Session: one.Handle, Ordinal: 3})
	if err != nil || !found || len(o.Refunds) != 1 || o.Refunds[0].Made != 0 {
		t.Errorf("%+v, %v, %v", o, found, err)
	}
	// It goes on without a hole, and with archives of its own.
	r.do(engine.Command{Kind: engine.CmdSettleSession, Session: three.Handle})
	r.clear(three)
	r.day("five", 30, true)
	r.reached(again)
	if st := again.Stats(); st.Gaps != 0 || st.Missing != 0 || st.Rebuilds != 0 || !st.Whole {
		t.Errorf("%+v", st)
	}
	before := orders(t, again)
	r.part(again)
	if err := os.Remove(again.path()); err != nil {
		t.Fatal(err)
	}
	again = r.keep(c, nil)
	r.reached(again)
	if after := orders(t, again); after != before {
		t.Error("other orders from the archives")
	}
}

// TestRestoredTrailBegins where the one that was saved did; a hole in it stays one.
func TestRestoredTrailBegins(t *testing.T) {
	s := newShop(t)
	c := quiet(t.TempDir())
	c.KeepEvents, c.trimEvery = 90*time.Minute, time.Millisecond
	l := s.keep(c, nil)
	s.open()
	s.day("one", 200, true)
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
	s.reached(l)
	b := s.freeze()
	// A hole that reaches over the index, noted before the part is written.
	hole := event{at: engine.TrailPosition{Index: b.index + 2, N: ^uint32(0)}, time: s.clock, missing: b.index}
	if err := l.open().update(func(w *writing) error { return w.putEvent(&hole) }); err != nil {
		t.Fatal(err)
	}
	b.complete(t, l)
	r, again := b.restore(t, s, quiet(t.TempDir()))
	r.reached(again)
	var begins *engine.TrailGone
	if _, _, err := again.Events(engine.TrailPosition{Index: 1}, 1); !errors.As(err, &begins) || begins.First.Before(gone.First) {
		t.Errorf("begins at %v, and was dropped up to %v", err, gone)
	}
	p, err := again.Last(1, "")
	if err != nil {
		t.Fatal(err)
	}
	events, _, err := again.Events(p, 10)
	if err != nil || len(events) != 1 || events[0].Missing != b.index || events[0].Index != b.index {
		t.Errorf("%+v, %v", events, err)
	}
}

// TestBadParts: whatever is done to a part, it is refused by name.
func TestBadParts(t *testing.T) {
	s := newShop(t)
	l := s.keep(quiet(t.TempDir()), nil)
	s.open()
	x := s.day("one", 40, true)
	s.reached(l)
	older := s.freeze()
	older.complete(t, l)
	s.day("two", 10, true)
	s.reached(l)
	b := s.freeze()
	b.complete(t, l)
	read := func(part []byte) (Part, error) {
		return ReadPart(bytes.NewReader(part), func(CopyRow) error { return nil })
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		spoilt := slices.Clone(b.part)
		at, bit := random.IntN(len(spoilt)), byte(1)<<random.IntN(8)
		spoilt[at] ^= bit
		if _, err := read(spoilt); !errors.Is(err, ErrPart) && !errors.Is(err, engine.ErrNewerFormat) {
			t.Fatalf("byte %d bit %#x: %v", at, bit, err)
		}
	}
	for range 500 {
		n := random.IntN(len(b.part))
		if _, err := read(b.part[:n]); !errors.Is(err, ErrPart) || !errors.Is(err, errCutOff) {
			t.Fatalf("%d of %d bytes: %v", n, len(b.part), err)
		}
	}
	if _, err := read(append(slices.Clone(b.part), 0)); !errors.Is(err, ErrPart) {
		t.Errorf("with more behind it: %v", err)
	}
	p, err := read(b.part)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Fits(s.state); err != nil {
		t.Error(err)
	}
	before, err := engine.ReadState(bytes.NewReader(older.state))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Fits(before); !errors.Is(err, ErrPart) {
		t.Errorf("of another index: %v", err)
	}
	// One that somebody has put together, with checksums that fit.
	group, known := l.group(), handleKey(sessionName, x.Handle)
	headOf := func(index engine.LogIndex) []byte { return (&head{group: group, index: index}).body() }
	order := engine.OrderRecord{Ref: engine.OrderRef{Session: x.Handle, Ordinal: 1}, Shopper: "s0", Granted: 1}
	late := event{at: engine.TrailPosition{Index: b.index + 1}}
	for name, rows := range map[string]func(a *archiver){
		"no head":                func(*archiver) {},
		"orders before the head": func(a *archiver) { a.row(bucketOrders, refKey(order.Ref), orderBody(&order)) },
		"two heads":              func(a *archiver) { a.row(bucketMeta, keyHead, headOf(1)); a.row(bucketMeta, keyHead, headOf(1)) },
		"orders of no session": func(a *archiver) {
			a.row(bucketMeta, keyHead, headOf(1))
			a.row(bucketOrders, refKey(order.Ref), orderBody(&order))
		},
		"a session without some": func(a *archiver) {
			a.row(bucketMeta, keyHead, headOf(9))
			a.row(bucketSettled, known, (&Settled{Orders: 1}).body())
		},
		"an event of the future": func(a *archiver) {
			a.row(bucketMeta, keyHead, headOf(b.index))
			a.row(bucketEvents, positionKey(late.at), late.body())
		},
		"rows of another bucket": func(a *archiver) {
			a.row(bucketMeta, keyHead, headOf(1))
			a.row(bucketShoppers, []byte("s"), pointerBody())
		},
		"an order that can't be": func(a *archiver) {
			a.row(bucketMeta, keyHead, headOf(1))
			a.row(bucketOrders, []byte("short"), orderBody(&order))
		},
		"a head of another group": func(a *archiver) { a.row(bucketMeta, keyHead, (&head{index: 1}).body()) },
	} {
		var to bytes.Buffer
		a := newArchiver(&to, group)
		rows(a)
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		if _, err := read(to.Bytes()); !errors.Is(err, ErrPart) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var to bytes.Buffer
	a := newArchiver(&to, group)
	a.row(bucketMeta, keyHead, headOf(b.index))
	if err := a.end(); err != nil {
		t.Fatal(err)
	}
	if p, err = read(to.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := p.Fits(s.state); !errors.Is(err, ErrPart) {
		t.Errorf("without the settled sessions: %v", err)
	}
}

// TestNoPartOfHalfALedger: one that lacks orders, or does not get to the index,
// says so before anything is written.
func TestNoPartOfHalfALedger(t *testing.T) {
	s := newShop(t)
	l := s.keep(quiet(t.TempDir()), nil)
	s.open()
	s.day("one", 40, true)
	s.reached(l)
	b := s.freeze()
	var to bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.WritePart(ctx, &to, s.index+1, b.settled); !errors.Is(err, ErrNotWhole) || to.Len() > 0 {
		t.Errorf("of the future: %d bytes, %v", to.Len(), err)
	}
	s.part(l)
	if err := os.Remove(l.path()); err != nil {
		t.Fatal(err)
	}
	l = s.keep(l.cfg, nil) // without archives: nobody has the orders
	s.reached(l)
	if err := l.WritePart(t.Context(), &to, b.index, b.settled); !errors.Is(err, ErrNotWhole) || to.Len() > 0 {
		t.Errorf("lacking a session: %d bytes, %v", to.Len(), err)
	}
}

// FuzzPart: any bytes are read, or refused, without more memory than they take.
func FuzzPart(f *testing.F) {
	s := newShop(f)
	l := s.keep(quiet(f.TempDir()), nil)
	s.open()
	s.day("one", 10, true)
	s.reached(l)
	b := s.freeze()
	var to bytes.Buffer
	if err := l.WritePart(context.Background(), &to, b.index, b.settled); err != nil {
		f.Fatal(err)
	}
	f.Add(to.Bytes())
	f.Add([]byte(fmt.Sprint(archiveMagic, "\x01")))
	f.Fuzz(func(t *testing.T, part []byte) {
		rows := 0
		p, err := ReadPart(bytes.NewReader(part), func(CopyRow) error { rows++; return nil })
		if err != nil && !errors.Is(err, ErrPart) && !errors.Is(err, engine.ErrNewerFormat) {
			t.Error(err)
		}
		if int64(rows) < p.Orders+p.Events {
			t.Errorf("%d rows, and it tells %d orders and %d events", rows, p.Orders, p.Events)
		}
	})
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestTheSameWords: orders and events are told alike while the state has the orders,
// when they are sealed, when they have left it, and after a restart.
func TestTheSameWords(t *testing.T) {
	s, c := newShop(t, 1), quiet(t.TempDir())
	l := s.keep(c, false, nil)
	x := s.day("day", 300)
	var want []engine.OrderView
	for n := range x.Orders() {
		v, _ := s.state.View(engine.OrderRef{Session: x.Handle, Ordinal: uint32(n + 1)})
		want = append(want, v)
	}
	told := s.events(l)
	check := func(when string, settled bool) {
		t.Helper()
		events := s.events(l)
		if len(events) < len(told) || !slices.Equal(events[:len(told)], told) {
			t.Errorf("%s: other events than before", when)
		}
		for _, v := range want {
			page, _, more, err := l.Audit(engine.TrailFilter{OrderNo: v.OrderNo, Limit: 10})
			if err != nil || more || len(page) != 2 || page[0].Kind != engine.HoldPlaced ||
				page[1].Shopper != v.Shopper || page[1].SKU != "mask" {
				t.Fatalf("%s: %+v of %+v: %v", when, page, v, err)
			}
			if !settled {
				continue
			}
			o, found, err := l.Order(v.Ref)
			if err != nil || !found || l.View(&o) != v {
				t.Fatalf("%s: %+v, %v, %v; the state said %+v", when, l.View(&o), found, err, v)
			}
			if paid, found, err := l.PaidBy(v.PaymentID); v.PaymentID != "" && (err != nil || !found || paid != v.Ref) {
				t.Fatalf("%s: %s paid for %v, %v, %v", when, v.PaymentID, paid, found, err)
			}
		}
		if !settled {
			return
		}
		if !slices.Equal(s.orders(l), want) {
			t.Errorf("%s: a walk finds other orders", when)
		}
		own := 0
		err := l.OrdersOf("s7", engine.OrderRef{}, 0,
			func(o *engine.OrderRecord) bool { own++; return o.Shopper == "s7" })
		if err != nil || own != 1 {
			t.Errorf("%s: s7 has %d orders, %v", when, own, err)
		}
		if _, found, err := l.PaidBy("nobody's"); found || err != nil {
			t.Errorf("%s: a payment that never came: %v, %v", when, found, err)
		}
	}
	check("before", false)
	s.seal(x)
	check("sealed", true)
	s.clear(x)
	if s.state.Order(want[0].Ref) != nil {
		t.Fatal("the state has not let go")
	}
	check("cleared", true)
	for _, snapshot := range []bool{false, true} {
		s.part(l)
		l = s.keep(c, snapshot, nil)
		check(fmt.Sprint("after a restart, by a snapshot: ", snapshot), true)
	}
	deeds, _, _, err := l.Audit(engine.TrailFilter{Operator: "olga", Limit: 10})
	if err != nil || len(deeds) != 2 || deeds[0].Kind != engine.PlanApplied || deeds[1].Note != "done" {
		t.Errorf("%+v, %v", deeds, err)
	}
	last, err := l.Last(1, "day")
	if page, _, e := l.Events(last, 1); err != nil || e != nil || page[0].Kind != engine.SessionCleared ||
		page[0].Session != "day" {
		t.Errorf("the last of the session: %+v, %v, %v", page, err, e)
	}
	if page, _, more, err := l.Audit(engine.TrailFilter{OrderNo: "of no order",
		Limit: 10}); len(page) > 0 || more || err != nil {
		t.Errorf("events of no order: %+v, %v, %v", page, more, err)
	}
}

// TestReopened: entries that come again after restarts, at any stage of a settling,
// count once.
func TestReopened(t *testing.T) {
	s, c := newShop(t, 1), quiet(t.TempDir())
	a, b := s.keep(quiet(t.TempDir()), false, nil), s.keep(c, false, nil)
	again := func(snapshot bool) {
		s.reached(b)
		s.part(b)
		b = s.keep(c, snapshot, nil)
	}
	for round := range 4 {
		x := s.day(fmt.Sprint("day", round), 30)
		again(round%2 == 0)
		s.seal(x)
		again(round%2 == 1)
		s.clear(x)
		again(round%2 == 0)
	}
	s.whole(b)
	s.mustBeAlike(a, b)
}

// TestSealedWhileDown: a node that comes by a snapshot with a sealed session writes
// its file from there, also where it was not asked to before.
func TestSealedWhileDown(t *testing.T) {
	s, c := newShop(t, 1), quiet(t.TempDir())
	a, b := s.keep(quiet(t.TempDir()), false, nil), s.keep(c, false, nil)
	x := s.day("day", 30)
	s.reached(b)
	s.part(b)
	s.seal(x)
	s.reached(a)
	b = s.keep(c, true, other{a})
	s.whole(b)
	s.mustBeAlike(a, b)
	s.clear(x)
	s.mustBeAlike(a, b)
}

// TestIndexIsHeldBackByAFile that can't be written: then nothing may leave memory.
func TestIndexIsHeldBackByAFile(t *testing.T) {
	s, c := newShop(t, 1), quiet(t.TempDir())
	l := s.keep(c, false, nil)
	x := s.day("day", 30)
	files := filepath.Join(c.Dir, "settled")
	if err := errors.Join(os.Rename(files, files+".away"), os.WriteFile(files, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.seal(x)
	s.do()
	if err := l.AwaitTrail(t.Context(), s.index()); err != nil {
		t.Fatal(err)
	}
	until(t, "alarm", func() bool {
		return slices.ContainsFunc(l.Alarms(), func(a engine.Alarm) bool { return a.Name == engine.AlarmLedgerBlocked })
	})
	if at := l.Index(); at != x.Sealed-1 {
		t.Errorf("it reaches to %d, and the session was sealed at %d", at, x.Sealed)
	}
	if err := l.Await(t.Context(), x.Sealed-1); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := l.Await(ctx, s.index()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the file is on disk: %v", err)
	}
	if err := errors.Join(os.Remove(files), os.Rename(files+".away", files)); err != nil {
		t.Fatal(err)
	}
	s.reached(l)
	if at, why := l.Index(), l.Stats().Trouble; at != s.index() || why != "" {
		t.Errorf("it reaches to %d of %d: %q", at, s.index(), why)
	}
}

// TestIndexIsNoFurtherThanTheState: after a start the trail knows more than the state,
// for a while. Until the entry that sealed a session is applied again, its file may be
// missing and nobody must be told that it is there.
func TestIndexIsNoFurtherThanTheState(t *testing.T) {
	s, c := newShop(t, 1), quiet(t.TempDir())
	l := s.keep(c, false, nil)
	x := s.day("day", 30)
	s.seal(x)
	s.reached(l)
	s.part(l)
	if err := os.RemoveAll(filepath.Join(c.Dir, "settled")); err != nil {
		t.Fatal(err)
	}
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	state := engine.NewState()
	for i := engine.LogIndex(1); i <= s.index(); i++ {
		eff := new(engine.Effects)
		if err := state.Apply(i, s.log[i-1], eff); err != nil {
			t.Fatal(err)
		}
		l.Applied(state, eff)
		if at := l.Index(); at > i || at >= x.Sealed {
			t.Fatalf("at index %d it says that everything up to %d is there; %d sealed a session that has no file", i,
				at, x.Sealed)
		}
	}
}

// TestReadersBesideSettling: readers in between are told all of it, or that it can't
// be said now.
func TestReadersBesideSettling(t *testing.T) {
	s := newShop(t, 1)
	l := s.keep(quiet(t.TempDir()), false, nil)
	first := s.settledDay("first", 30)
	want := s.events(l)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				ref := engine.OrderRef{Session: first.Handle, Ordinal: 1}
				if o, found, err := l.Order(ref); err != nil || !found || o.Shopper != "s0" {
					t.Errorf("%+v, %v, %v", o, found, err)
				}
				if events, _, err := l.Events(engine.TrailPosition{}, len(want)); err != nil ||
					!slices.Equal(events, want) {
					t.Errorf("%d events, %v", len(events), err)
				}
				l.Stats()
				l.Alarms()
			}
		})
	}
	for n := range 5 {
		s.settledDay(fmt.Sprint("day", n), 30)
	}
	close(done)
	readers.Wait()
	s.whole(l)
}

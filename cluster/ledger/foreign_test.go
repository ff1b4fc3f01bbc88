package ledger

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/engine"
)

// swap puts a copy of one ledger's file in place of another's; both are closed.
func swap(t *testing.T, from, to *Ledger) {
	t.Helper()
	text, err := os.ReadFile(from.path())
	if err == nil {
		err = os.WriteFile(to.path(), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLedgerOfAnotherGroup: a file of another group, with fewer entries or with
// more, tells nobody anything and is put aside for the right one.
func TestLedgerOfAnotherGroup(t *testing.T) {
	for name, days := range map[string]int{"shorter": 1, "longer": 6} {
		t.Run(name, func(t *testing.T) {
			foreign := newShop(t)
			foreign.secret = [16]byte{9}
			x := foreign.keep(quiet(t.TempDir()), nil)
			foreign.open()
			for day := range days {
				foreign.day(fmt.Sprint("other", day), 30, day%2 == 0)
			}
			foreign.reached(x)
			foreign.part(x)

			s := newShop(t)
			a, dir := s.keep(quiet(t.TempDir()), nil), t.TempDir()
			b := s.keep(quiet(dir), other{a})
			s.open()
			s.day("one", 60, true)
			s.day("two", 60, false)
			s.reached(b)
			s.part(b)
			swap(t, x, b)

			b, err := Open(quiet(dir))
			if err != nil {
				t.Fatal(err)
			}
			silent := func(when string) {
				t.Helper()
				if events, _, err := b.Events(engine.TrailPosition{}, 1000); err == nil || len(events) > 0 || b.Index() != 0 {
					t.Errorf("%s: %d events, %v, index %d", when, len(events), err, b.Index())
				}
				if p, err := b.Page(CopyRequest{}); err == nil {
					t.Errorf("%s: another node is given %d rows", when, len(p.Rows))
				}
				if o, found, err := b.Order(engine.OrderRef{Session: 1, Ordinal: 1}); err == nil {
					t.Errorf("%s: %+v, %v", when, o, found)
				}
			}
			silent("before the state is known")
			// Nothing has been applied yet: the node's log is all before it.
			s.mu.Lock()
			whole := s.state
			s.state = engine.NewState()
			s.mu.Unlock()
			b.Start(s, other{a})
			waitFor(t, b.checked.Load)
			silent("while the state is empty")
			s.mu.Lock()
			s.state = whole
			b.Restored(s.state)
			s.ledgers = append(s.ledgers, b)
			s.mu.Unlock()
			t.Cleanup(func() { s.part(b) })
			s.day("three", 30, true)
			if one, two := s.digest(a), s.digest(b); one != two {
				t.Errorf("%s, rebuilt %s", one, two)
			}
			if st := b.Stats(); st.Rebuilds != 1 || st.Gaps != 0 || !st.Whole {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestLedgerOfAnotherGeneration: of two rooms that went on from the same entries
// without each other, the one's file is not gone on with in the other.
func TestLedgerOfAnotherGeneration(t *testing.T) {
	for name, more := range map[string]struct {
		theirs, ours int // days after they parted
		bound        bool
	}{"behind": {1, 3, false}, "ahead": {3, 1, true}, "as far": {2, 2, false}} {
		t.Run(name, func(t *testing.T) {
			part := func(who string, days int) (*shop, *Ledger, string) {
				s, dir := newShop(t), t.TempDir()
				l := s.keep(quiet(dir), nil)
				s.open()
				s.day("both", 60, true)
				s.apply(engine.BatchHeader{Time: s.clock}, engine.Command{Kind: engine.CmdOpenEpoch, Node: who, Secret: s.secret})
				s.epoch, s.sequence = engine.Epoch(s.index), 0
				s.clock += engine.Time(len(who)) // their own time
				for day := range days {
					s.day(fmt.Sprint(who, day), 30, true)
				}
				s.reached(l)
				return s, l, dir
			}
			old, x, _ := part("old", more.theirs)
			old.part(x)
			s, a, _ := part("second", more.ours)
			dir := t.TempDir()
			b := s.keep(quiet(dir), other{a})
			s.part(b)
			swap(t, x, b)
			b, err := Open(quiet(dir))
			if err != nil {
				t.Fatal(err)
			}
			if more.bound {
				b.Bound(s.index)

			}
			s.mu.Lock()
			b.Restored(s.state)
			s.ledgers = append(s.ledgers, b)
			s.mu.Unlock()
			b.Start(s, other{a})
			t.Cleanup(func() { s.part(b) })
			s.day("last", 30, false)
			if one, two := s.digest(a), s.digest(b); one != two {
				t.Errorf("%s, rebuilt %s", one, two)
			}
			events, _, err := b.Events(engine.TrailPosition{}, 1000)
			for _, e := range events {
				if strings.HasPrefix(e.Session, "old") {
					t.Fatalf("it tells of the other room: %+v", e)
				}
			}
			if st := b.Stats(); err != nil || st.Rebuilds != 1 || st.Gaps != 0 {
				t.Errorf("%v, %+v", err, st)
			}
		})
	}
}

// askedOf counts how often another ledger is asked.
type askedOf struct {
	other
	asked *atomic.Int32
}

func (a askedOf) Copy(ctx context.Context, least engine.LogIndex, r CopyRequest) (CopyPage, error) {
	a.asked.Add(1)
	return a.other.Copy(ctx, least, r)
}

// TestOwnLedgerIsGoneOnWith: what is compared with another node and is the same is
// kept, also where the other has dropped old events, or lost some.
func TestOwnLedgerIsGoneOnWith(t *testing.T) {
	s := newShop(t)
	a, dir := s.keep(quiet(t.TempDir()), nil), t.TempDir()
	b := s.keep(quiet(dir), nil)
	s.open()
	s.day("one", 60, true)
	s.reached(b)
	s.part(b)
	s.day("two", 60, true)
	s.reached(a)
	var asked atomic.Int32
	b = s.keep(quiet(dir), askedOf{other{a}, &asked})
	s.day("three", 60, false)
	if one, two := s.digest(a), s.digest(b); one != two || asked.Load() == 0 {
		t.Errorf("%s, and %s after %d questions", one, two, asked.Load())
	}
	if st := b.Stats(); st.Rebuilds != 0 || st.Gaps != 0 {
		t.Errorf("%+v", st)
	}
}

// TestOrderNumbersAfterARestart: events of before are told with them, also where
// nothing has happened since.
func TestOrderNumbersAfterARestart(t *testing.T) {
	s := newShop(t)
	dir := t.TempDir()
	l := s.keep(quiet(dir), nil)
	s.open()
	s.day("one", 10, false)
	s.reached(l)
	before, _, err := l.Events(engine.TrailPosition{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	s.part(l)
	l = s.keep(quiet(dir), nil)
	s.reached(l)
	after, _, err := l.Events(engine.TrailPosition{}, 1000)
	if err != nil || !slices.Equal(after, before) {
		t.Errorf("%v:\n%+v\nwere\n%+v", err, after, before)
	}
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never comes")
		}
	}
}

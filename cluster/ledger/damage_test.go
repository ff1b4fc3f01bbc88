package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"doorbuster/engine"
)

// files are a closed ledger's segments or sessions' files, or both.
func files(t *testing.T, c Config, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(c.Dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return found
}

func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return os.WriteFile(path, b, 0o600)
}

func halve(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// TestAnotherNodeCompletes what was damaged while the node was down, whatever it was.
func TestAnotherNodeCompletes(t *testing.T) {
	for what, pattern := range map[string]string{"the trail": "trail/*", "the orders": "settled/*", "all": "*/*"} {
		for how, damage := range map[string]func(string) error{"deleted": os.Remove, "cut": halve, "flipped": flip} {
			t.Run(what+" "+how, func(t *testing.T) {
				s, c := newShop(t, 1), quiet(t.TempDir())
				a, b := s.keep(quiet(t.TempDir()), false, nil), s.keep(c, false, nil)
				s.settledDay("one", 60)
				s.settledDay("two", 60)
				s.reached(a)
				s.reached(b)
				s.part(b)
				for _, path := range files(t, c, pattern) {
					if err := damage(path); err != nil {
						t.Fatal(err)
					}
				}
				b = s.keep(c, true, other{a})
				s.settledDay("three", 30)
				until(t, "answer", func() bool { // before it is had from there, it can't be said
					_, found, err := b.Order(engine.OrderRef{Session: 1, Ordinal: 1})
					if err == nil && !found {
						t.Fatal("it says that there was no such order")
					}
					return err == nil
				})
				s.whole(b)
				s.mustBeAlike(a, b)
			})
		}
	}
}

// TestSwappedFiles of two sessions: each is found out, and had from another node.
func TestSwappedFiles(t *testing.T) {
	s, c := newShop(t, 1), quiet(t.TempDir())
	a, b := s.keep(quiet(t.TempDir()), false, nil), s.keep(c, false, nil)
	s.settledDay("one", 30)
	s.settledDay("two", 30)
	s.reached(b)
	s.part(b)
	two := files(t, c, "settled/*.orders")
	aside := two[0] + "-"
	if err := errors.Join(os.Rename(two[0], aside), os.Rename(two[1], two[0]), os.Rename(aside, two[1])); err != nil {
		t.Fatal(err)
	}
	b = s.keep(c, true, other{a})
	until(t, "damage noticed", func() bool { return b.Stats().Damaged == 2 })
	s.whole(b)
	s.mustBeAlike(a, b)
}

// TestAloneItSaysWhatItKnows: never that there is no such order.
func TestAloneItSaysWhatItKnows(t *testing.T) {
	s, c := newShop(t, 1), quiet(t.TempDir())
	l := s.keep(c, false, nil)
	x := s.settledDay("one", 30)
	y := s.settledDay("two", 30)
	before := s.orders(l)
	s.part(l)
	one := filepath.Join(c.Dir, "settled", "1.orders")
	kept, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files(t, c, "trail/*"), one) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	l = s.keep(c, true, nil)
	until(t, "alarm", func() bool { return l.Stats().Missing == 1 && l.Stats().Gaps == 1 })
	if st := l.Stats(); st.Whole || len(l.Alarms()) == 0 {
		t.Errorf("%+v, and alarms: %v", st, l.Alarms())
	}
	_, _, err = l.Order(engine.OrderRef{Session: x.Handle, Ordinal: 1})
	if _, found, err := l.PaidBy("nobody's"); found || err != nil {
		t.Errorf("of a payment that the missing file does not know: %v, %v", found, err)
	}
	_, _, paid := l.PaidBy("one-p0")
	of := l.OrdersOf("s1", engine.OrderRef{}, 0, func(*engine.OrderRecord) bool { return true })
	scan := l.Scan(engine.OrderRef{Session: x.Handle}, func(*engine.OrderRecord) bool { return true })
	for _, err := range []error{err, paid, of, scan} {
		if !errors.Is(err, ErrUnreadable) {
			t.Errorf("of what it lacks it says %v", err)
		}
	}
	if ref, found, err := l.PaidBy("two-p0"); err != nil || !found || ref.Session != y.Handle {
		t.Errorf("of what it has: %v, %v, %v", ref, found, err)
	}
	if events := s.events(l); len(events) != 1 || events[0].Missing != 1 {
		t.Errorf("of a trail that is gone: %+v", events)
	}
	// What a backup has is taken when it is in its place.
	s.part(l)
	if err := os.WriteFile(one, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	l = s.keep(c, true, nil)
	until(t, "orders", func() bool { return l.Stats().Missing == 0 })
	if after := s.orders(l); len(after) != len(before) || after[0] != before[0] {
		t.Errorf("%d orders, of %d", len(after), len(before))
	}
}

package ledger

import (
	"errors"
	"os"
	"strings"
	"testing"

	"doorbuster/engine"
)

// put has a copy of a ledger's directory in the place of another's; neither runs.
func put(t *testing.T, from, to string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
}

// TestForeignLedgers: what is of another cluster, or of a generation that went on
// without this log, is told to nobody, and the ledger is made whole by another node.
func TestForeignLedgers(t *testing.T) {
	for name, c := range map[string]struct {
		secret, days int
		snapshot     bool
	}{
		"another cluster's":                    {2, 2, false},
		"another cluster's, by a snapshot":     {2, 2, true},
		"another generation's, behind":         {1, 1, false},
		"another generation's, as far":         {1, 2, false},
		"another generation's, ahead":          {1, 3, false},
		"another generation's, by a snapshot":  {1, 1, true},
		"another generation's, further, by it": {1, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			history := func(who string, secret byte, days int) (*shop, *Ledger, string) {
				s, dir := newShop(t, secret), t.TempDir()
				config := quiet(dir)
				config.Owner = who
				l := s.keep(config, false, nil)
				s.settledDay("both", 20)
				s.clock += engine.Time(len(who)) // each has its own time from here on
				s.begin(who, secret)
				for day := range days {
					s.settledDay(who+string(rune('0'+day)), 20+len(who))
				}
				s.reached(l)
				return s, l, dir
			}
			old, x, theirs := history("old", byte(c.secret), c.days)
			old.part(x)
			s, a, _ := history("ours", 1, 2)
			config := quiet(t.TempDir())
			config.Owner = "mine"
			put(t, theirs, config.Dir)
			early, err := Open(config)
			if err != nil {
				t.Fatal(err)
			}
			if at := early.Proves(); at != 0 {
				t.Errorf("it proves that the log has reached %d", at)
			}
			early.Start(s, nil)
			if _, _, err := early.Events(engine.TrailPosition{}, 10); !errors.Is(err, ErrUnreadable) {
				t.Errorf("it tells events before the state says whose it is: %v", err)
			}
			if at := early.Index(); at != 0 {
				t.Errorf("it reaches to %d before the state says whose it is", at)
			}
			if err := early.Close(); err != nil {
				t.Fatal(err)
			}
			put(t, theirs, config.Dir) // as it came
			b := s.keep(config, c.snapshot, other{a})
			s.whole(b)
			s.mustBeAlike(a, b)
			for _, e := range s.events(b) {
				if strings.HasPrefix(e.Session, "old") {
					t.Fatalf("it tells of the others: %+v", e)
				}
			}
			if b.Stats().Damaged == 0 {
				t.Error("nothing was quarantined")
			}
		})
	}
}

// TestOlderCopy: a ledger that was put back to an earlier copy takes the rest from
// another node.
func TestOlderCopy(t *testing.T) {
	s, c, earlier := newShop(t, 1), quiet(t.TempDir()), t.TempDir()
	a, b := s.keep(quiet(t.TempDir()), false, nil), s.keep(c, false, nil)
	s.settledDay("one", 30)
	s.reached(b)
	s.part(b)
	put(t, c.Dir, earlier)
	b = s.keep(c, false, nil)
	s.settledDay("two", 30)
	s.reached(b)
	s.part(b)
	put(t, earlier, c.Dir)
	b = s.keep(c, true, other{a})
	s.whole(b)
	s.mustBeAlike(a, b)
}

// TestProves: only the directory that a trail was written in has had a log that far.
func TestProves(t *testing.T) {
	s, c := newShop(t, 1), quiet(t.TempDir())
	c.Owner = "this"
	l := s.keep(c, false, nil)
	if at := l.Proves(); at != 0 {
		t.Errorf("an empty one proves %d", at)
	}
	s.day("day", 10)
	s.reached(l)
	s.part(l)
	for owner, want := range map[string]engine.LogIndex{"this": s.index(), "another": 0, "": 0} {
		c.Owner = owner
		l, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if at := l.Proves(); at != want {
			t.Errorf("opened by %q it proves %d of %d", owner, at, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	c.Owner = "third"
	l = s.keep(c, false, nil)
	s.day("another-day", 10)
	s.reached(l)
	s.part(l)
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if at := l.Proves(); at != s.index() {
		t.Errorf("once it was gone on with it proves %d of %d", at, s.index())
	}
}

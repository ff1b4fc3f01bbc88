package settled

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/wal/vfs"
)

// peer is another node's Store.
type peer struct{ *Store }

func (p peer) SessionChunk(_ context.Context, h engine.SessionHandle, offset int64) ([]byte, int64, error) {
	return p.ReadChunk(h, offset)
}

// damages are what may happen to the file of session 2 of a world.
var damages = []struct {
	name   string
	damage func(t *testing.T, w *world, s *Store, path string)
}{
	{"deleted", func(t *testing.T, _ *world, _ *Store, path string) { must(t, os.Remove(path)) }},
	{"empty", func(t *testing.T, _ *world, _ *Store, path string) { must(t, os.Truncate(path, 0)) }},
	{"cut", func(t *testing.T, _ *world, _ *Store, path string) { must(t, os.Truncate(path, sizeOf(t, path)-1)) }},
	{"cut to a page", func(t *testing.T, _ *world, _ *Store, path string) { must(t, os.Truncate(path, 2*pageBytes)) }},
	{"longer", func(t *testing.T, _ *world, _ *Store, path string) { must(t, os.Truncate(path, sizeOf(t, path)+1)) }},
	{"flipped in the rows", func(t *testing.T, _ *world, _ *Store, path string) { flip(t, path, 4*pageBytes+100) }},
	{"flipped in a free page", func(t *testing.T, _ *world, _ *Store, path string) { flip(t, path, 2*pageBytes+4000) }},
	{"flipped in the filters", func(t *testing.T, _ *world, _ *Store, path string) {
		flip(t, path, headOf(t, path)+100)
	}},
	{"flipped in the summary", func(t *testing.T, _ *world, _ *Store, path string) {
		flip(t, path, headOf(t, path)+20)
	}},
	{"flipped in the trailer", func(t *testing.T, _ *world, _ *Store,
		path string) {
		flip(t, path, sizeOf(t, path)-20)
	}},
	{"swapped", func(t *testing.T, _ *world, s *Store, path string) {
		b, err := os.ReadFile(s.path(1))
		must(t, err)
		must(t, os.WriteFile(path, b, 0o600))
	}},
	{"an older copy", func(t *testing.T, w *world, _ *Store, path string) {
		w.forge(t, path, func(s *Session) { s.Orders -= 5; s.Index -= 100 })
	}},
	{"another group's", func(t *testing.T, w *world, _ *Store, path string) {
		w.forge(t, path, func(s *Session) { s.Group[0]++ })
	}},
	{"another time", func(t *testing.T, w *world, _ *Store, path string) {
		w.forge(t, path, func(s *Session) { s.At++ })
	}},
	{"another index", func(t *testing.T, w *world, _ *Store, path string) {
		w.forge(t, path,
			func(s *Session) { s.Index++ })
	}},
}

// forge puts a whole file that is not the one expected in its place.
func (w *world) forge(t *testing.T, path string, change func(*Session)) {
	sum := w.sums[2]
	change(&sum)
	s := open(t, t.TempDir())
	must(t, s.write(context.Background(), sum, w.record(2)))
	b, err := os.ReadFile(s.path(2))
	must(t, err)
	must(t, os.WriteFile(path, b, 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sizeOf(t *testing.T, path string) int64 {
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

// headOf gives where the head begins.
func headOf(t *testing.T, path string) int64 {
	b, err := os.ReadFile(path)
	must(t, err)
	return int64(len(b)) - trailerBytes - int64(binary.LittleEndian.Uint64(b[len(b)-trailerBytes+8:]))
}

func flip(t *testing.T, path string, at int64) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	must(t, err)
	b[0] ^= 4
	_, err = f.WriteAt(b, at)
	must(t, err)
}

// flipAll changes a text wherever it stands.
func flipAll(t *testing.T, path, text string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // it may be quarantined meanwhile
	must(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	must(t, err)
	_, err = f.WriteAt(bytes.ReplaceAll(b, []byte(text), bytes.Repeat([]byte("x"), len(text))), 0)
	must(t, err)
}

// TestDamageIsNoticed: whatever has happened to a file while nobody looked, nothing
// of it is told, what does not need it is; and a peer's file makes it whole again.
func TestDamageIsNoticed(t *testing.T) {
	w := newWorld(3, 40, 5)
	source := open(t, t.TempDir())
	w.write(t, source)
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			dir := t.TempDir()
			first := open(t, dir)
			w.write(t, first)
			must(t, first.Close())
			d.damage(t, w, first, first.path(2))

			s := open(t, dir)
			w.expect(s)
			var e *Incomplete
			if o, found, err := s.Order(engine.OrderRef{Session: 2, Ordinal: 7}); found || !errors.As(err, &e) ||
				!slices.Equal(e.Sessions, []engine.SessionHandle{2}) {
				t.Fatalf("an order of it: %+v %v %v", o, found, err)
			}
			w.checkWithout(t, s, 2)
			aside, _ := filepath.Glob(filepath.Join(dir, "*"+vfs.QuarantineSuffix))
			if want := map[bool]int{true: 0, false: 1}[d.name == "deleted"]; len(aside) != want ||
				s.Stats().Damaged != int64(want) {
				t.Errorf("quarantined: %v, %+v", aside, s.Stats())
			}

			must(t, s.receive(context.Background(), 2, func(offset int64) ([]byte, int64, error) {
				return peer{source}.SessionChunk(context.Background(), 2, offset)
			}))
			w.check(t, s)
		})
	}
}

// checkWithout asks while a session's file is missing.
func (w *world) checkWithout(t *testing.T, s *Store, h engine.SessionHandle) {
	t.Helper()
	if missing := s.Missing(); !slices.Equal(missing, []engine.SessionHandle{h}) {
		t.Errorf("missing: %v", missing)
	}
	if _, found, err := s.Order(engine.OrderRef{Session: 3, Ordinal: 7}); !found || err != nil {
		t.Errorf("another's order: %v %v", found, err)
	}
	if err := s.Scan(engine.OrderRef{Session: h}, func(*engine.OrderRecord) bool { return true }); !errors.Is(err,
		ErrIncomplete) {
		t.Errorf("its orders: %v", err)
	}
	if _, err := s.OpenFile(h); !errors.Is(err, ErrIncomplete) {
		t.Errorf("its file: %v", err)
	}
	if _, found, err := s.PaidBy("nobody's"); found || err != nil {
		t.Errorf("a payment that it can't have: %v %v", found, err)
	}
	for _, o := range w.orders[h] {
		if o.PaymentID != "" {
			if _, found, err := s.PaidBy(o.PaymentID); found || !errors.Is(err, ErrIncomplete) {
				t.Errorf("a payment that it may have: %v %v", found, err)
			}
		}
	}
	for _, o := range w.orders[3] {
		if o.PaymentID != "" {
			if ref, found, err := s.PaidBy(o.PaymentID); ref != o.Ref || !found || err != nil {
				t.Errorf("a payment of another: %v %v %v", ref, found, err)
			}
		}
	}
	n, want := 0, 0
	for _, o := range w.of("shopper-1") {
		if o.Ref.Session != h {
			want++
		}
	}
	err := s.OrdersOf("shopper-1", engine.OrderRef{}, 0, func(*engine.OrderRecord) bool { n++; return true })
	if n != want || !errors.Is(err, ErrIncomplete) {
		t.Errorf("a shopper's orders: %d, want %d: %v", n, want, err)
	}
}

// TestCheckedInTheBackground: without a question, what is damaged is noticed, and
// fetched from a peer; and what goes while the Store is open, too.
func TestCheckedInTheBackground(t *testing.T) {
	w := newWorld(3, 40, 5)
	source := open(t, t.TempDir())
	w.write(t, source)
	dir := t.TempDir()
	first := open(t, dir)
	w.write(t, first)
	must(t, first.Close())
	flip(t, first.path(2), 4*pageBytes+100)
	must(t, os.Remove(first.path(3)))

	s, err := Open(Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	s.retry = 10 * time.Millisecond
	defer s.Close()
	w.expect(s)
	s.Start(peer{source})
	await(t, s, func(n Stats) bool { return n.Missing == 0 && n.Unchecked == 0 && n.Received == 2 && n.Damaged == 1 })
	must(t, os.Remove(s.path(1)))
	await(t, s, func(n Stats) bool { return n.Missing == 0 && n.Received == 3 && n.Damaged == 2 })
	w.check(t, s)
	if aside, _ := filepath.Glob(filepath.Join(dir, "*"+vfs.QuarantineSuffix)); len(aside) != 1 {
		t.Errorf("quarantined: %v", aside)
	}
}

// TestPutBack: a file that somebody puts back is taken, once it was looked at.
func TestPutBack(t *testing.T) {
	w := newWorld(2, 40, 5)
	s := open(t, t.TempDir())
	s.retry = 10 * time.Millisecond
	w.write(t, s)
	s.Start(nil)
	kept, err := os.ReadFile(s.path(1))
	must(t, err)
	must(t, os.Remove(s.path(1)))
	await(t, s, func(n Stats) bool { return n.Missing == 1 })
	other, err := os.ReadFile(s.path(2))
	must(t, err)
	must(t, os.WriteFile(s.path(1), other, 0o600))
	await(t, s, func(n Stats) bool { return n.Damaged == 2 && n.Missing == 1 })
	must(t, os.WriteFile(s.path(1)+".new", kept, 0o600))
	must(t, os.Rename(s.path(1)+".new", s.path(1)))
	await(t, s, func(n Stats) bool { return n.Missing == 0 && n.Unchecked == 0 })
	w.check(t, s)
	must(t, os.RemoveAll(s.cfg.Dir))
	await(t, s, func(n Stats) bool { return n.Missing == 2 })
	w.write(t, s)
	w.check(t, s)
}

func await(t *testing.T, s *Store, done func(Stats) bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(s.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v", s.Stats())
		}
	}
}

// TestNewestDamagedAreKept: two of all.
func TestNewestDamagedAreKept(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(4, 10, 5)
	s := open(t, dir)
	w.write(t, s)
	s.Close()
	s = open(t, dir)
	w.expect(s)
	for _, h := range []engine.SessionHandle{3, 1, 4, 2} {
		flip(t, s.path(h), sizeOf(t, s.path(h))-20)
		if _, _, err := s.Order(engine.OrderRef{Session: h, Ordinal: 1}); !errors.Is(err, ErrIncomplete) {
			t.Error(err)
		}
	}
	aside, _ := filepath.Glob(filepath.Join(dir, "*"+vfs.QuarantineSuffix))
	want := []string{filepath.Join(dir, "000003-4.orders.damaged"), filepath.Join(dir, "000004-2.orders.damaged")}
	if !slices.Equal(aside, want) {
		t.Errorf("%v, want %v", aside, want)
	}
}

// TestDamageWhileOpen: a file that is cut while it is mapped costs an error, and not
// the process.
func TestDamageWhileOpen(t *testing.T) {
	w := newWorld(2, 3000, 50)
	s := open(t, t.TempDir())
	w.write(t, s)
	if _, found, err := s.Order(engine.OrderRef{Session: 1, Ordinal: 1}); !found || err != nil {
		t.Fatal(err)
	}
	must(t, os.Truncate(s.path(1), 2*pageBytes))
	if o, found, err := s.Order(engine.OrderRef{Session: 1, Ordinal: 3000}); found || !errors.Is(err, ErrIncomplete) {
		t.Fatalf("%+v %v %v", o, found, err)
	}
	if missing := s.Missing(); !slices.Equal(missing, []engine.SessionHandle{1}) {
		t.Error(missing)
	}
}

// TestNameDamagedWhileOpen: a name that is damaged after the file was checked, so that
// it is not found, is not told to be nobody's.
func TestNameDamagedWhileOpen(t *testing.T) {
	w := newWorld(2, 300, 20)
	paid := slices.IndexFunc(w.orders[1], func(o engine.OrderRecord) bool { return o.PaymentID != "" })
	for _, c := range []struct {
		name string
		ask  func(s *Store) (bool, error)
	}{
		{w.orders[1][paid].PaymentID, func(s *Store) (found bool, err error) {
			_, found, err = s.PaidBy(w.orders[1][paid].PaymentID)
			return found, err
		}},
		{"shopper-7", func(s *Store) (found bool, err error) {
			err = s.OrdersOf("shopper-7", engine.OrderRef{}, 0, func(o *engine.OrderRecord) bool {
				found = found || o.Ref.Session == 1
				return true
			})
			return found, err
		}},
	} {
		s := open(t, t.TempDir())
		w.write(t, s)
		if found, err := c.ask(s); !found || err != nil {
			t.Fatal(found, err)
		}
		flipAll(t, s.path(1), c.name+"\x00")
		if found, err := c.ask(s); found || !errors.Is(err, ErrIncomplete) {
			t.Errorf("%s: %v %v", c.name, found, err)
		}
	}
}

// TestReceiveTakesOnlyWhatFits: nothing remains of a copy that breaks off, that is
// damaged on its way, or that is another's.
func TestReceiveTakesOnlyWhatFits(t *testing.T) {
	w := newWorld(2, 100, 5)
	source := open(t, t.TempDir())
	w.write(t, source)
	whole := func(h engine.SessionHandle) func(int64) ([]byte, int64, error) {
		return func(at int64) ([]byte, int64, error) { return source.ReadChunk(h, at) }
	}
	for name, fetch := range map[string]func(int64) ([]byte, int64, error){
		"breaks off": func(at int64) ([]byte, int64, error) {
			if at > 10_000 {
				return nil, 0, errors.New("gone")
			}
			return whole(1)(at)
		},
		"ends early": func(at int64) ([]byte, int64, error) {
			if at > 10_000 {
				return nil, sizeOf(t, source.path(1)), nil
			}
			return whole(1)(at)
		},
		"flipped": func(at int64) ([]byte, int64, error) {
			b, total, err := whole(1)(at)
			b[len(b)/2] ^= 1
			return b, total, err
		},
		"another session's": whole(2),
		"longer than can be": func(at int64) ([]byte, int64, error) {
			return make([]byte, 1<<20), 1 << 40, nil
		},
		"of another size": func(at int64) ([]byte, int64, error) {
			b, total, err := whole(1)(at)
			return b, total + at, err
		},
	} {
		dir := t.TempDir()
		s := open(t, dir)
		w.expect(s)
		err := s.receive(context.Background(), 1, fetch)
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); err == nil || len(left) > 0 || len(s.Missing()) != 2 {
			t.Errorf("%s: %v, left %v, missing %v", name, err, left, s.Missing())
		}
	}
}

// TestInstallFromBackup: files are read whole, and taken whole.
func TestInstallFromBackup(t *testing.T) {
	w := newWorld(2, 50, 5)
	source, s := open(t, t.TempDir()), open(t, t.TempDir())
	w.write(t, source)
	if err := s.Install(context.Background(), 1, nil); err == nil {
		t.Error("nobody expected it")
	}
	w.expect(s)
	for h := range w.sums {
		f, err := source.OpenFile(h)
		must(t, err)
		must(t, s.Install(context.Background(), h, f))
		must(t, f.Close())
	}
	w.check(t, s)
}

// TestExpectedAnew: a session that is expected differently is not told by the file
// that fitted before.
func TestExpectedAnew(t *testing.T) {
	w := newWorld(1, 10, 5)
	s := open(t, t.TempDir())
	w.write(t, s)
	w.check(t, s)
	other := w.sums[1]
	other.Index++
	s.Expect(other)
	if _, _, err := s.Order(engine.OrderRef{Session: 1, Ordinal: 1}); !errors.Is(err, ErrIncomplete) {
		t.Error(err)
	}
	w.write(t, s)
	w.check(t, s)
}

package ledger

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"doorbuster/cluster/ledger/settled"
	"doorbuster/engine"
)

// frozen is the state's half of a backup.
type frozen struct {
	index engine.LogIndex
	left  []settled.Session
	text  []byte
}

func (s *shop) freeze() frozen {
	s.t.Helper()
	var to bytes.Buffer
	if _, err := s.state.Snapshot().WriteTo(&to); err != nil {
		s.t.Fatal(err)
	}
	return frozen{s.index(), Left(s.state), to.Bytes()}
}

func (f frozen) state(t *testing.T) *engine.State {
	t.Helper()
	state, err := engine.ReadState(bytes.NewReader(f.text))
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func writePart(t *testing.T, l *Ledger, f frozen) []byte {
	t.Helper()
	var to bytes.Buffer
	if err := l.WritePart(t.Context(), &to, f.index, f.left); err != nil {
		t.Fatal(err)
	}
	return to.Bytes()
}

func check(part []byte) (Part, error) { return CheckPart(bytes.NewReader(part), int64(len(part))) }

// TestRestoredFromABackup: a ledger made of its part, and the state, is what it was at
// that index, whatever happened before the part was written; and goes on from there.
func TestRestoredFromABackup(t *testing.T) {
	s := newShop(t, 1)
	l := s.keep(quiet(t.TempDir()), false, nil)
	s.settledDay("one", 300)
	s.settledDay("two", 30)
	sealed := s.day("three", 30)
	s.seal(sealed)
	four := s.day("four", 30)
	told, f := s.events(l), s.freeze()
	before := s.orders(l)
	// What comes now is not in it.
	s.clear(sealed)
	s.seal(four)
	s.settledDay("five", 30)
	part := writePart(t, l, f)
	p, err := check(part)
	if err != nil || p.Orders() != 330 || len(p.Sessions) != 2 || p.Index != f.index {
		t.Errorf("%+v, %v", p, err)
	}
	if err := p.Fits(f.state(t)); err != nil {
		t.Error(err)
	}
	if err := p.Fits(s.state); !errors.Is(err, ErrPart) {
		t.Errorf("it fits a later state: %v", err)
	}

	c := quiet(t.TempDir())
	if err := Restore(t.Context(), c, bytes.NewReader(part), int64(len(part))); err != nil {
		t.Fatal(err)
	}
	r := &shop{t: t, state: f.state(t), log: slices.Clone(s.log[:f.index]), clock: s.clock}
	r.epoch, r.sequence, _ = r.state.Epoch()
	again := r.keep(c, true, nil)
	r.whole(again)
	if !slices.Equal(r.events(again), told) || !slices.Equal(r.orders(again), before) {
		t.Error("it tells otherwise than the one that was saved")
	}
	r.clear(r.state.Session("three"))
	r.seal(r.state.Session("four"))
	r.settledDay("five", 30)
	r.whole(again)
	if st := again.Stats(); st.Damaged != 0 || len(r.orders(again)) != 420 {
		t.Errorf("%+v, %d orders", st, len(r.orders(again)))
	}
}

// TestBadParts: whatever is done to a part, it is refused by name.
func TestBadParts(t *testing.T) {
	s := newShop(t, 1)
	l := s.keep(quiet(t.TempDir()), false, nil)
	s.settledDay("one", 30)
	part := writePart(t, l, s.freeze())
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 1000 {
		spoilt := slices.Clone(part)
		at := random.IntN(len(spoilt))
		if n < 400 {
			at = n
		}
		spoilt[at] ^= 1 << random.IntN(8)
		if _, err := check(spoilt); !errors.Is(err, ErrPart) && !errors.Is(err, engine.ErrNewerFormat) {
			t.Fatalf("byte %d: %v", at, err)
		}
		if n := random.IntN(len(part)); n < len(part) {
			if _, err := check(part[:n]); !errors.Is(err, ErrPart) {
				t.Fatalf("%d of %d bytes: %v", n, len(part), err)
			}
		}
	}
	if _, err := check(append(slices.Clone(part), 0)); !errors.Is(err, ErrPart) {
		t.Errorf("with more behind it: %v", err)
	}
}

// TestNoPartOfHalfALedger: one that lacks orders, or does not get to the index, says so
// before anything is written.
func TestNoPartOfHalfALedger(t *testing.T) {
	s, c := newShop(t, 1), quiet(t.TempDir())
	l := s.keep(c, false, nil)
	s.settledDay("one", 30)
	f := s.freeze()
	s.reached(l)
	var to bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := l.WritePart(ctx, &to, f.index+1, f.left); !errors.Is(err, ErrNotWhole) || to.Len() > 0 {
		t.Errorf("of the future: %d bytes, %v", to.Len(), err)
	}
	s.part(l)
	if err := os.Remove(filepath.Join(c.Dir, "settled", "1.orders")); err != nil {
		t.Fatal(err)
	}
	l = s.keep(c, true, nil)
	if err := l.WritePart(t.Context(), &to, f.index, f.left); !errors.Is(err, ErrNotWhole) || to.Len() > 0 {
		t.Errorf("lacking a session: %d bytes, %v", to.Len(), err)
	}
}

// FuzzPart: any bytes are read, or refused.
func FuzzPart(f *testing.F) {
	s := newShop(f, 1)
	l := s.keep(quiet(f.TempDir()), false, nil)
	s.settledDay("one", 10)
	saved := s.freeze()
	var to bytes.Buffer
	if err := l.WritePart(f.Context(), &to, saved.index, saved.left); err != nil {
		f.Fatal(err)
	}
	f.Add(to.Bytes())
	f.Fuzz(func(t *testing.T, part []byte) {
		if _, err := check(part); err != nil && !errors.Is(err, ErrPart) && !errors.Is(err, engine.ErrNewerFormat) {
			t.Error(err)
		}
	})
}

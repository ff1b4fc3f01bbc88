package wal_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"doorbuster/wal"
	"doorbuster/wal/waltest"
)

var (
	rounds    = flag.Int("wal.rounds", 8, "seeds to try in each crash and failure test")
	firstSeed = flag.Uint64("wal.seed", 1, "first of them")
)

// A story is a run of operations drawn from a seed. Told to the same kind of
// disk twice, it does the same things: it depends on nothing but the records
// that the log should hold, which it keeps beside.
type story struct {
	rng  *rand.Rand
	disk *waltest.Disk
	log  *wal.Log
	term uint64
	next uint64 // where to go on when the log is empty

	// held is what the log must hold. While an operation is under way, and
	// after it failed, it may also hold what it was meant to change that to.
	held, meant []wal.Record
}

func crashConfig(disk *waltest.Disk) wal.Config {
	cfg := smallConfig("data/wal")
	cfg.FS = disk
	cfg.StallTimeout, cfg.MarkAfter = 0, 0
	return cfg
}

func newStory(seed uint64) *story {
	s := &story{rng: rand.New(rand.NewPCG(seed, 1)), disk: waltest.NewDisk(seed), term: 1, next: 1}
	s.disk.SetDirect(seed%2 == 0)
	return s
}

const storySteps = 40

// tell runs the story to its end or first error.
func (s *story) tell() error {
	if err := s.open(); err != nil {
		return err
	}
	for range storySteps {
		if err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) open() (err error) {
	s.log, err = wal.Open(crashConfig(s.disk))
	return err
}

func (s *story) change(to []wal.Record, do func() error) error {
	s.meant = to
	if err := do(); err != nil {
		return err
	}
	s.held = to
	return nil
}

func (s *story) step() error {
	held := s.held
	pick := func() int { return s.rng.IntN(len(held) + 2) }
	if s.rng.IntN(5) == 0 {
		s.term++
	}
	switch n := s.rng.IntN(20); {
	case n == 0:
		return s.change(held, func() error {
			if err := s.log.Close(); err != nil {
				return err
			}
			return s.open()
		})
	case n == 8: // a quiet moment
		return s.change(held, s.log.SyncMark)
	case n == 1 && len(held) > 0:
		s.next = uint64(1 + s.rng.IntN(200))
		return s.change(nil, s.log.Reset)
	case n < 5 && len(held) > 0:
		i := pick()
		to := held[min(i, len(held)):]
		return s.change(to, func() error { return s.log.TruncatePrefix(held[0].Index + uint64(i)) })
	case n < 8 && len(held) > 0:
		i := pick()
		to := slices.Clone(held[:min(i, len(held))])
		return s.change(to, func() error { return s.log.TruncateSuffix(held[0].Index + uint64(i)) })
	default:
		batch := s.makeBatch()
		return s.change(append(slices.Clone(held), batch...), func() error { return s.log.Append(batch) })
	}
}

func (s *story) makeBatch() []wal.Record {
	next := s.next
	if len(s.held) > 0 {
		next = s.held[len(s.held)-1].Index + 1
	}
	batch := makeBatch(next, 1+s.rng.IntN(10), s.term)
	if s.rng.IntN(4) == 0 { // sectors of zeros look as if they were never written
		r := &batch[s.rng.IntN(len(batch))]
		r.Data = make([]byte, s.rng.IntN(2000))
	}
	s.next = next + uint64(len(batch))
	return batch
}

// survives checks the log that another process finds on the disk, and that it
// goes on working.
func (s *story) survives(disk *waltest.Disk) error {
	before := disk.Ops()
	if _, err := wal.Verify(disk, "data/wal", wal.Known{}); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if disk.Ops() != before {
		return errors.New("verify changed the disk")
	}
	l, err := wal.Open(crashConfig(disk))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	want := s.held
	if err := holdsExactly(l, want); err != nil {
		want = s.meant
		if err2 := holdsExactly(l, want); err2 != nil {
			return fmt.Errorf("neither as before the last operation (%w) nor as after it (%w)", err, err2)
		}
	}
	next := uint64(7)
	if len(want) > 0 {
		next = want[len(want)-1].Index + 1
	}
	more := makeBatch(next, 5, s.term+1)
	if err := l.Append(more); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	want = append(slices.Clone(want), more...)
	if err := holdsExactly(l, want); err != nil {
		return fmt.Errorf("after an append: %w", err)
	}
	if err := l.Close(); err != nil {
		return err
	}
	if l, err = wal.Open(crashConfig(disk)); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	defer l.Close()
	if err := holdsExactly(l, want); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	return nil
}

// Power is lost at every single operation on the disk, then once more soon after,
// and everything acknowledged is there, nothing by halves, and nothing that was
// never appended.
func TestCrashEverywhere(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*rounds); seed++ {
		whole := newStory(seed)
		if err := whole.tell(); err != nil {
			t.Fatalf("-wal.seed=%d: %v", seed, err)
		}
		if err := holdsExactly(whole.log, whole.held); err != nil {
			t.Fatalf("-wal.seed=%d: %v", seed, err)
		}
		for n := range whole.disk.Ops() + 1 {
			s := newStory(seed)
			s.disk.CrashAt(n + 1)
			if err := s.tell(); err != nil && !errors.Is(err, waltest.ErrPowerLost) {
				t.Fatalf("-wal.seed=%d, crash at operation %d: %v", seed, n+1, err)
			}
			disk := s.disk.Restart(seed + uint64(n)<<32)
			if err := s.crashAgain(disk.Clone(), 1+s.rng.IntN(12)); err != nil {
				t.Fatalf("-wal.seed=%d, crash at operation %d and soon again: %v", seed, n+1, err)
			}
			if err := s.survives(disk); err != nil {
				t.Fatalf("-wal.seed=%d, crash at operation %d: %v", seed, n+1, err)
			}
		}
	}
}

// crashAgain opens the log that a crash has left, goes on, and loses power in
// operation n, which may fall into the recovery.
func (s *story) crashAgain(disk *waltest.Disk, n int) error {
	disk.CrashAt(n)
	more := &story{rng: s.rng, disk: disk, term: s.term + 1, next: 7, held: s.held, meant: s.meant}
	err := more.open()
	if err == nil {
		if holdsExactly(more.log, more.held) != nil {
			more.held = more.meant
		}
		more.meant = more.held
		for i := 0; i < 4 && err == nil; i++ {
			err = more.step()
		}
	}
	if err != nil && !errors.Is(err, waltest.ErrPowerLost) {
		return err
	}
	return more.survives(disk.Restart(uint64(n)))
}

// Every single operation fails in turn. The log then refuses to write, with
// the cause; what it had acknowledged can be read, then and after a crash,
// although the next sync would have claimed success.
func TestFailEverywhere(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*rounds); seed++ {
		whole := newStory(seed)
		if err := whole.tell(); err != nil {
			t.Fatalf("-wal.seed=%d: %v", seed, err)
		}
		for n := range whole.disk.Ops() {
			if err := failAt(seed, n+1); err != nil {
				t.Fatalf("-wal.seed=%d, failure of operation %d: %v", seed, n+1, err)
			}
		}
	}
}

func failAt(seed uint64, n int) error {
	s := newStory(seed)
	s.disk.FailAt(n, syscall.EIO)
	err := s.tell()
	if !errors.Is(err, syscall.EIO) {
		return fmt.Errorf("the failure was not reported: %v", err)
	}
	if errors.Is(err, wal.ErrPoisoned) {
		if err := s.log.Append(s.makeBatch()); !errors.Is(err, wal.ErrPoisoned) || !errors.Is(err, syscall.EIO) {
			return fmt.Errorf("append to a poisoned log: %v", err)
		}
		for _, err := range []error{s.log.TruncatePrefix(^uint64(0)), s.log.TruncateSuffix(0), s.log.Reset()} {
			if !errors.Is(err, wal.ErrPoisoned) {
				return fmt.Errorf("truncation of a poisoned log: %v", err)
			}
		}
		for _, r := range s.held {
			got, err := s.log.Read(r.Index)
			if errors.Is(err, wal.ErrNotFound) &&
				!slices.ContainsFunc(s.meant, func(m wal.Record) bool { return m.Index == r.Index }) {
				continue // the failed operation was dropping it
			}
			if err != nil || !same(got, r) {
				return fmt.Errorf("read %d from a poisoned log: %v", r.Index, err)
			}
		}
		if err := s.log.Close(); err != nil {
			return fmt.Errorf("close a poisoned log: %w", err)
		}
	}
	return s.survives(s.disk.Restart(seed + uint64(n)<<32))
}

package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// copied gives a copy of a node's directory as it is now. Files that the node replaces
// or drops meanwhile have it copied anew, and so does a mark that moves: it would prove more
// than was copied before it.
func (s *seat) copied(t *testing.T) string {
	t.Helper()
	for {
		to := t.TempDir()
		before, _ := os.ReadFile(filepath.Join(s.cfg.Dir, "wal", "MARK")) // compared alone
		err := os.CopyFS(to, os.DirFS(s.cfg.Dir))
		after, _ := os.ReadFile(filepath.Join(s.cfg.Dir, "wal", "MARK"))
		switch {
		case err == nil && len(before) > 0 && bytes.Equal(before, after):
			return to
		case err == nil:
		case !errors.Is(err, fs.ErrNotExist):
			t.Fatal(err)
		}
	}
}

// rollBack puts a node's directory, which nobody uses, back to a copy.
func (s *seat) rollBack(t *testing.T, to string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(s.cfg.Dir), os.CopyFS(s.cfg.Dir, os.DirFS(to))); err != nil {
		t.Fatal(err)
	}
}

// isOlderCopy reports whether an error refuses a directory for that, with what to do.
func isOlderCopy(err error, id string) bool {
	return err != nil && strings.Contains(err.Error(), "older copy") &&
		strings.Contains(err.Error(), "cluster remove --node "+id)
}

// refusesItself opens a node that must find, at once or when it meets another, that
// its directory is an older copy; and again, which must find it marked.
func (s *seat) refusesItself(t *testing.T) {
	t.Helper()
	cfg, fatal := s.cfg, make(chan error, 1)
	cfg.OnFatal = func(err error) { fatal <- err }
	n, err := Open(cfg, nobody{}, s)
	if err == nil {
		select {
		case err = <-fatal:
		case <-time.After(patience):
			t.Error("it goes on")
		}
		if n.Leads() {
			t.Error("it leads")
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	if !isOlderCopy(err, s.cfg.NodeID) {
		t.Errorf("got %v", err)
	}
	n, err = Open(cfg, nobody{}, s)
	if err == nil {
		_ = n.Close()
	}
	if !errors.Is(err, ErrDirectory) || !isOlderCopy(err, s.cfg.NodeID) {
		t.Errorf("the next start: %v", err)
	}
}

// showsOlderCopy waits until a node's status says that another came with one.
func (s *seat) showsOlderCopy(t *testing.T, id string) {
	t.Helper()
	eventually(t, s.cfg.NodeID+" shows no alarm", func() bool {
		return isOlderCopy(errors.New(fmt.Sprint(s.ClusterStatus().Alarms)), id)
	})
}

// TestOlderCopyIsRefused: a node whose directory was put back to an older copy of
// itself has forgotten what it acknowledged. Any one of the others that remembers
// more of it refuses it, and it takes that as final.
func TestOlderCopyIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		again bool // b1 was started once more after the copy: the count of its starts tells
		away  string
	}{
		"started again since": {again: true},
		"has written since":   {},
		"only a2 is there":    {away: "a1"},
		"only a1 is there":    {again: true, away: "a2"},
	} {
		t.Run(name, func(t *testing.T) {
			k := openTrio(t, ZoneAckOff)
			k.leads("a1")
			k.ticks(5)
			b1 := k.seat("b1")
			eventually(t, "b1 does not follow", func() bool { return b1.applied.load() == k.seat("a1").applied.load() })
			older := b1.copied(t)
			if c.again {
				b1.leave(t)
				b1 = k.reopen(b1)
				k.leader()
			} else {
				k.ticks(20)
			}
			var told engine.LogIndex
			eventually(t, "nobody remembers", func() bool {
				told = engine.LogIndex(k.seat("b1").log.LastIndex())
				return k.seat("a2").remembers("b1") >= told && k.seat("a1").remembers("b1") >= told
			})
			b1.leave(t)
			if c.away != "" {
				k.seat(c.away).leave(t)
			}
			b1.rollBack(t, older)
			b1.refusesItself(t)
			for _, s := range k.seats {
				if s.Node == nil {
					continue
				}
				s.showsOlderCopy(t, "b1")
				if c.away != "" {
					eventually(t, s.cfg.NodeID+" leads", func() bool { return !s.Leads() })
				}
			}
		})
	}
}

// TestOlderCopyRejoins: what a node with an older copy is told to do works.
func TestOlderCopyRejoins(t *testing.T) {
	k := openTrio(t, ZoneAckRequire)
	k.leads("a1")
	b1 := k.seat("b1")
	older := b1.copied(t)
	k.ticks(20)
	eventually(t, "a1 does not remember",
		func() bool { return uint64(k.seat("a1").remembers("b1")) >= b1.log.LastIndex() })
	b1.leave(t)
	b1.rollBack(t, older)
	b1.refusesItself(t)
	k.seat("a1").showsOlderCopy(t, "b1")
	k.seats = slices.DeleteFunc(k.seats, func(s *seat) bool { return s == b1 })
	if _, err := k.seat("a1").Operate(t.Context(), Operation{Name: OpZoneAck, Mode: ZoneAckPrefer,
		Operator: "ops"}); err != nil {
		t.Fatal(err)
	}
	if _, err := k.leader().Operate(t.Context(), Operation{Name: OpRemove, Node: "b1", Operator: "ops"}); err != nil {
		t.Fatal(err)
	}
	k.joins("b2")
	eventually(t, "the alarm stays", func() bool { return len(k.leader().ClusterStatus().Alarms) == 0 })
	k.ticks(3)
}

// TestOlderCopyIsHeardOf: a node that was away while another wrote hears from a
// third how far that one had come, and refuses it when it comes back with less.
func TestOlderCopyIsHeardOf(t *testing.T) {
	k := openTrio(t, ZoneAckOff)
	k.leads("a1")
	a1, a2, b1 := k.seat("a1"), k.seat("a2"), k.seat("b1")
	older := b1.copied(t)
	a2.leave(t)
	k.ticks(20)
	last := engine.LogIndex(b1.log.LastIndex())
	eventually(t, "a1 does not remember", func() bool { return a1.remembers("b1") >= last })
	b1.leave(t)
	a2 = k.reopen(a2)
	eventually(t, "a2 does not hear of it", func() bool { return a2.remembers("b1") >= last })
	a1.leave(t)
	a2.leave(t)
	a2 = k.reopen(a2) // it remembers over a start
	b1.rollBack(t, older)
	b1.refusesItself(t)
	a2.showsOlderCopy(t, "b1")
}

// TestNothingToldIsOverwritten: where nobody who is there can know that a node
// came with an older copy, those who come back later know, and let nothing be
// overwritten that they have applied.
func TestNothingToldIsOverwritten(t *testing.T) {
	for name, more := range map[string]int{"with entries": 3, "with a snapshot": 300} {
		t.Run(name, func(t *testing.T) {
			k := openTrio(t, ZoneAckOff)
			k.leads("a1")
			a1, a2, b1 := k.seat("a1"), k.seat("a2"), k.seat("b1")
			eventually(t, "b1 does not follow", func() bool { return b1.applied.load() == a1.applied.load() })
			older := b1.copied(t)
			a2.leave(t)
			k.ticks(20)
			told := a1.log.LastIndex()
			var was raft.Log
			if err := a1.store.GetLog(told, &was); err != nil {
				t.Fatal(err)
			}
			b1.leave(t)
			a1.leave(t)
			b1.rollBack(t, older)
			k.reopen(a2)
			b1 = k.reopen(b1)
			k.ticks(more)
			if more > 100 {
				for _, s := range k.seats {
					if s.Node != nil {
						if err := s.Snapshot(); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			back := k.reopen(a1)
			select {
			case err := <-b1.fatal:
				if !isOlderCopy(err, "b1") {
					t.Errorf("got %v", err)
				}
				b1.leave(t)
			case <-time.After(patience):
				t.Fatal("b1 is not told")
			}
			select {
			case err := <-back.fatal:
				if text := err.Error(); errors.Is(err, ErrRestart) || !strings.Contains(text, "overwrite") ||
					!strings.Contains(text, "Keep") {
					t.Errorf("got %v", err)
				}
			case <-time.After(patience):
				t.Fatal("it takes what the others say")
			}
			var is raft.Log
			if err := back.store.GetLog(told, &is); err != nil || is.Term != was.Term ||
				string(is.Data) != string(was.Data) {
				t.Errorf("entry %d was of term %d, and is of term %d, %v", told, was.Term, is.Term, err)
			}
			eventually(t, "the others show no alarm", func() bool {
				for _, s := range k.seats {
					if s.Node != nil && s != back &&
						strings.Contains(fmt.Sprint(s.ClusterStatus().Alarms), "overwrite") {
						return true
					}
				}
				return false
			})
		})
	}
}

// TestCloneIsKeptOut: of two processes that go by one id, with copies of one
// directory, the one that was there first serves on, and the other is kept out.
func TestCloneIsKeptOut(t *testing.T) {
	k := openTrio(t, ZoneAckOff)
	k.leads("a1")
	b1 := k.seat("b1")
	twin := seating(t, ZoneAckOff)[2]
	cfg := b1.cfg
	cfg.Dir, cfg.Listen = b1.copied(t), twin.Listen
	eventually(t, "b1 is not heard", func() bool {
		return k.seat("a1").hearsLife("b1") &&
			k.seat("a2").hearsLife("b1")
	})
	clone := openSeat(t, cfg)
	eventually(t, "the clone says nothing", func() bool {
		return strings.Contains(fmt.Sprint(clone.ClusterStatus().Alarms), "another process")
	})
	eventually(t, "a1 says nothing", func() bool {
		return strings.Contains(fmt.Sprint(k.seat("a1").ClusterStatus().Alarms), "another process")
	})
	if clone.Ready() == nil {
		t.Error("the clone serves")
	}
	k.ticks(10)
	eventually(t, "b1 does not follow", func() bool {
		return b1.Ready() == nil &&
			b1.applied.load() == k.seat("a1").applied.load()
	})
	eventually(t, "a1 does not remember",
		func() bool { return uint64(k.seat("a1").remembers("b1")) >= b1.log.LastIndex() })
	// Without the original the clone is what it is: an older copy.
	b1.leave(t)
	select {
	case err := <-clone.fatal:
		if !isOlderCopy(err, "b1") {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the clone takes the original's place")
	}
}

// TestStartsAreNoRollback: starts of all kinds, of nodes that lost nothing, are no
// reason to turn anybody away.
func TestStartsAreNoRollback(t *testing.T) {
	k := openTrio(t, ZoneAckOff)
	for round := range 4 {
		k.ticks(3)
		for i, s := range k.seats {
			if round == 3 || i != round {
				s.leave(t)
			}
		}
		for _, s := range slices.Clone(k.seats) {
			if s.Node == nil {
				k.reopen(s)
			}
		}
	}
	k.ticks(3)
	for _, s := range k.seats {
		if got := s.ClusterStatus().Alarms; len(got) > 0 {
			t.Errorf("%s: %q", s.cfg.NodeID, got)
		}
	}
}

// TestPlanSaysWhatItCannotKnow: a node that has caught up with nobody since it
// started can't say that nothing is lost: its directory may be an older copy, and
// all who would know may be gone.
func TestPlanSaysWhatItCannotKnow(t *testing.T) {
	k := openTrio(t, ZoneAckRequire)
	k.leads("a1")
	k.ticks(5)
	b1 := k.seat("b1")
	plan := func() (p PromotePlan) {
		eventually(t, "it is refused", func() bool { p = k.seat("b1").PlanPromotion("b"); return p.Refusal == "" })
		return p
	}
	older := b1.copied(t)
	k.ticks(10)
	k.seat("a2").leave(t)
	k.seat("a1").leave(t)
	if text := strings.Join(plan().CannotKnow, " "); !strings.Contains(text, "Nothing of that is lost") {
		t.Errorf("it followed until they were gone: %s", text)
	}
	b1.leave(t)
	b1.rollBack(t, older)
	k.reopen(b1)
	if text := strings.Join(plan().CannotKnow, " "); strings.Contains(text, "Nothing of that is lost") ||
		!strings.Contains(text, "older copy") {
		t.Errorf("nobody vouches for it: %s", text)
	}
	if _, err := k.seat("b1").Promote(t.Context(), "ops", "b", ""); err != nil {
		t.Error(err)
	}
}

// hearsLife reports whether a node hears another.
func (s *seat) hearsLife(id string) bool { return s.livesAs(id) != "" }

// remembers gives the index up to which a node knows another to have written.
func (s *seat) remembers(id string) engine.LogIndex {
	return engine.LogIndex(s.memory.get(id).Wrote.Index)
}

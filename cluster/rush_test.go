package cluster

import (
	"fmt"
	"testing"
	"time"

	"doorbuster/engine"
)

// tinyQueue is far less than the rush of the tests brings.
const tinyQueue = 1024

// TestRushLosesNoEvent sells longer and faster than the ledger's queue holds: every
// event is in every node's trail, once and in order. A follower that missed some
// has them from another node.
func TestRushLosesNoEvent(t *testing.T) {
	const entries, grabs = 150, 200
	for name, open := range map[string]func(t *testing.T) (leader func() *seat, all []*seat){
		"alone": func(t *testing.T) (func() *seat, []*seat) {
			cfg := quietConfig(t.TempDir())
			cfg.Ledger.Trail.QueueEvents = tinyQueue
			s := openSeat(t, cfg)
			eventually(t, "an epoch", func() bool { return s.Ready() == nil })
			return func() *seat { return s }, []*seat{s}
		},
		"three": func(t *testing.T) (func() *seat, []*seat) {
			c := &trio{t: t}
			for _, cfg := range seating(t, ZoneAckPrefer) {
				cfg.Ledger.Trail.QueueEvents = tinyQueue
				c.seats = append(c.seats, openSeat(t, cfg))
			}
			return c.leader, c.seats
		},
	} {
		t.Run(name, func(t *testing.T) {
			leader, all := open(t)
			leader().batch(t, planned(engine.TimeOf(time.Now()), "day"))
			var last engine.LogIndex
			for i := range entries {
				var commands []engine.Command
				for j := range grabs {
					commands = append(commands, grabbed(1, fmt.Sprint("s", i, "-", j)))
				}
				for done := false; !done; { // again where another leads meanwhile: the keys are the same
					e, err := leader().proposeNext(commands...)()
					if done = err == nil; done {
						last = e.Index
					}
				}
			}
			for _, s := range all {
				eventually(t, s.cfg.NodeID+" has applied everything", func() bool { return s.applied.load() >= last })
				if err := s.Ledger().Await(t.Context(), last); err != nil {
					t.Fatal(err)
				}
				eventually(t, s.cfg.NodeID+"'s trail is whole", func() bool { return s.Ledger().Stats().Whole })
				if gaps := s.Ledger().Stats().Gaps; gaps != 0 {
					t.Errorf("%s's trail has %d holes", s.cfg.NodeID, gaps)
				}
				placed, at := map[string]bool{}, engine.TrailPosition{}
				for from := at; ; {
					events, next, err := s.Ledger().Events(from, 1000)
					if err != nil {
						t.Fatal(err)
					}
					if len(events) == 0 {
						break
					}
					for _, e := range events {
						if len(placed) > 0 && !at.Before(e.TrailPosition) {
							t.Fatalf("%s: %v after %v", s.cfg.NodeID, e.TrailPosition, at)
						}
						if at = e.TrailPosition; e.Kind == engine.HoldPlaced {
							placed[e.OrderNo] = true
						}
					}
					from = next
				}
				if len(placed) != entries*grabs {
					t.Errorf("%s tells of %d grants of %d", s.cfg.NodeID, len(placed), entries*grabs)
				}
			}
		})
	}
}

// proposeNext proposes a batch of the open epoch.
func (s *seat) proposeNext(commands ...engine.Command) func() (*engine.Effects, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence++
	h := engine.BatchHeader{Epoch: s.epoch, Sequence: s.sequence, Time: engine.TimeOf(time.Now())}
	return s.Propose(engine.EncodeBatch(h, commands...))
}

// batch takes commands through the log.
func (s *seat) batch(t *testing.T, commands ...engine.Command) {
	t.Helper()
	e, err := s.proposeNext(commands...)()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range e.Primary {
		if e.Reason != engine.ReasonNone {
			t.Fatal(e)
		}
	}
}

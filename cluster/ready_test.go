package cluster

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"doorbuster/engine"
)

// slowLeader takes its time to open an epoch.
type slowLeader struct{ asked, open chan struct{} }

func (l slowLeader) EpochOpened(engine.Epoch, engine.Time) {
	close(l.asked)
	<-l.open
}

func (slowLeader) EpochClosed()      {}
func (slowLeader) Blocked(bool)      {}
func (slowLeader) RaiseRules(uint32) {}

type nobody struct{}

func (nobody) Applied(*engine.State, *engine.Effects) {}
func (nobody) Restored(*engine.State)                 {}

// Who is told that the node is ready must not then hear that nobody leads.
func TestReadyOnlyOnceTheLeaderIs(t *testing.T) {
	cfg := DefaultConfig(t.TempDir())
	cfg.Logger = slog.New(slog.DiscardHandler)
	leader := slowLeader{make(chan struct{}), make(chan struct{})}
	n, err := Open(cfg, nobody{}, leader)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	<-leader.asked
	if n.Ready() == nil {
		t.Error("ready before the leader has opened its epoch")
	}
	close(leader.open)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := n.AwaitReady(ctx); err != nil {
		t.Error(err)
	}
}

// TestEpochsAgeIsMonotonic: for how long a leader waits for nodes that may be fresh
// must not hang on its wall clock, which may be put forward.
func TestEpochsAgeIsMonotonic(t *testing.T) {
	n := openAlone(t, quietConfig(t.TempDir()))
	if at := n.epochAt.Load(); at == nil || *at == at.Round(0) {
		t.Errorf("the epoch's beginning is a wall clock's: %v", at)
	}
}

package cluster

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// Observer is told of what was applied, on every node. Both methods are called
// by the goroutine that applies, in log order, while readers of the state are
// locked out; they must not block and must keep nothing of the state. Effects
// may be kept only until the wait of their entry returned them.
type Observer interface {
	Applied(*engine.State, *engine.Effects)
	Restored(*engine.State)
}

// fsm bridges committed entries into the engine.
type fsm struct {
	observer Observer
	fatal    *fatal
	logger   *slog.Logger

	mu    sync.RWMutex
	state *engine.State

	written atomic.Int64 // bytes of entries applied since the last snapshot
	entries atomic.Int64
	halted  error // a log that this build can't go on with; the applying goroutine's
}

// applied is what an entry's future gets.
type applied struct {
	effects *engine.Effects
	err     error
}

func (f *fsm) view(read func(*engine.State)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	read(f.state)
}

// Apply is Raft's.
func (f *fsm) Apply(entry *raft.Log) any {
	if f.halted != nil {
		return applied{err: f.halted}
	}
	effects := new(engine.Effects)
	f.mu.Lock()
	err := f.state.Apply(engine.LogIndex(entry.Index), entry.Data, effects)
	if errors.Is(err, engine.ErrRulesTooNew) || errors.Is(err, engine.ErrNewerFormat) {
		f.mu.Unlock()
		f.halted = err
		f.fatal.fail(fmt.Errorf("%w; upgrade doorbuster on this node", err))
		return applied{err: err}
	}
	f.observer.Applied(f.state, effects)
	f.mu.Unlock()
	f.written.Add(int64(len(entry.Data)))
	f.entries.Add(1)
	switch {
	case errors.Is(err, engine.ErrMalformed):
		f.logger.Error("ALARM: an entry of the log is malformed; every node skips it", "error", err)
	case err != nil:
		f.logger.Warn("a batch was refused", "error", err)
	}
	return applied{effects, err}
}

// Snapshot is Raft's: it freezes the state; the copying happens in Persist.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.halted != nil {
		return nil, f.halted
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return fsmSnapshot{f.state.Snapshot()}, nil
}

// Restore is Raft's.
func (f *fsm) Restore(from io.ReadCloser) error {
	defer from.Close()
	state, err := engine.ReadState(from)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = state
	f.observer.Restored(state)
	return nil
}

type fsmSnapshot struct{ snapshot *engine.Snapshot }

func (s fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := s.snapshot.WriteTo(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (fsmSnapshot) Release() {}

package cluster

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/cluster/peer"
	"doorbuster/engine"
)

// anyLeader takes epochs as they come.
type anyLeader struct{}

func (anyLeader) EpochOpened(engine.Epoch, engine.Time) {}
func (anyLeader) EpochClosed()                          {}
func (anyLeader) Blocked(bool)                          {}
func (anyLeader) RaiseRules(uint32)                     {}

func quietConfig(dir string) Config {
	cfg := DefaultConfig(dir)
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

// openReady opens a node, waits until it is ready, and closes it. It gives the
// index of the log's last entry.
func openReady(t *testing.T, dir string) (last engine.LogIndex) {
	t.Helper()
	n, err := Open(quietConfig(dir), nobody{}, anyLeader{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := n.AwaitReady(ctx); err != nil {
		t.Error(err)
	}
	last = n.Status().LastIndex
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	return last
}

// TestFirstStartCutShort: a crash at any step of the very first start leaves a
// directory that the next start takes up.
func TestFirstStartCutShort(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, dir string){
		"before the version was in place": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, versionFile+temporarySuffix),
				[]byte(`{"for`), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"between the term and the first entry": func(t *testing.T, dir string) {
			claimed, err := claimDir(dir, dirVersion{Hello: peer.Hello{Node: DefaultConfig(dir).NodeID}})
			if err != nil {
				t.Fatal(err)
			}
			stable, err := openStable(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(stable.setTerm(1), stable.Close(), claimed.release()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			leave(t, dir)
			openReady(t, dir)
			openReady(t, dir)
		})
	}
}

// TestLogGone: a node that has voted and whose log is not there would wait for
// ever, or forget what it told. It must say so.
func TestLogGone(t *testing.T) {
	dir := t.TempDir()
	openReady(t, dir)
	if err := os.RemoveAll(WALDir(dir)); err != nil {
		t.Fatal(err)
	}
	n, err := Open(quietConfig(dir), nobody{}, anyLeader{})
	if err == nil {
		_ = n.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "its log is gone") {
		t.Errorf("got %v", err)
	}
}

// stuck keeps the first entry from being applied until it is let go.
type stuck struct {
	nobody
	once           sync.Once
	reached, letGo chan struct{}
}

func (s *stuck) Applied(*engine.State, *engine.Effects) {
	s.once.Do(func() { close(s.reached) })
	<-s.letGo
}

// TestCloseWhileRecovering: a node can be stopped while it reads its log, with the
// entry of its epoch, if it got as far as that, waiting behind.
func TestCloseWhileRecovering(t *testing.T) {
	dir := t.TempDir()
	last := openReady(t, dir)
	for range 8 { // Raft may or may not apply what is left in its queue
		observer := &stuck{reached: make(chan struct{}), letGo: make(chan struct{})}
		n, err := Open(quietConfig(dir), observer, anyLeader{})
		if err != nil {
			t.Fatal(err)
		}
		<-observer.reached
		for n.Status().LastIndex <= last { // an entry of Raft's own
			time.Sleep(time.Millisecond)
		}
		// for the epoch's, unless that waits for the state, and for Raft to hand it on
		time.Sleep(20 * time.Millisecond)
		last = n.Status().LastIndex
		closed := make(chan error, 1)
		go func() { closed <- n.Close() }()
		time.Sleep(20 * time.Millisecond)
		close(observer.letGo)
		select {
		case err := <-closed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("Close never came back")
		}
	}
}

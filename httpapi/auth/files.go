package auth

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// ReadFile reads a secret's file; an end of line at its end is not part of it.
func ReadFile(path string) ([]byte, error) {
	const most = 64 << 10
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeType == 0 && info.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes; a key has at most %d", path, info.Size(), most)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if b = bytes.TrimRight(b, "\r\n"); len(b) == 0 { // also while somebody writes it anew
		return nil, fmt.Errorf("%s is empty; put the key into it, or take the setting away", path)
	}
	return b, nil
}

// Watcher takes new keys, of whatever type, from their files while a node runs. Files
// that can't be used leave the old keys in force.
type Watcher[K any] struct {
	Read func() (K, error) // all keys, from their files
	// Take has each user of the keys go by others. If one can't, those before it go back
	// to the old ones.
	Take []func(K) error
	Log  *slog.Logger

	fault atomic.Pointer[string] // why new keys can't be used; nil while they can
}

// Run looks at the files every second until ctx ends; now are the keys in force.
func (w *Watcher[K]) Run(ctx context.Context, now K) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now = w.look(now)
		}
	}
}

// look gives the keys that are in force afterwards.
func (w *Watcher[K]) look(now K) K {
	next, err := w.Read()
	changed := err == nil && !reflect.DeepEqual(next, now)
	if changed {
		err = w.take(next, now)
	}
	if err != nil {
		text := err.Error()
		if before := w.fault.Swap(&text); before == nil || *before != text { // said once for each change
			w.Log.Error("new keys can't be used; the old ones stay", "error", err)
		}
		return now
	}
	w.fault.Store(nil)
	if changed {
		w.Log.Info("new keys were read, and count from now on")
	}
	return next
}

func (w *Watcher[K]) take(next, now K) error {
	for i, take := range w.Take {
		if err := take(next); err != nil {
			for _, back := range w.Take[:i] {
				_ = back(now) // it could a moment ago
			}
			return err
		}
	}
	return nil
}

// Alarms says whether keys that changed can't be used.
func (w *Watcher[K]) Alarms() []engine.Alarm {
	why := w.fault.Load()
	if why == nil {
		return nil
	}
	return []engine.Alarm{{Name: engine.AlarmKeysUnusable,
		Detail: "New keys can't be used, and the old ones stay: " + *why + ".",
		Advice: "Mend the file; it is read again every second."}}
}

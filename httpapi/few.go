package httpapi

import (
	"maps"
	"sync"
	"sync/atomic"
)

// few are what was made of a few keys, kept for whoever comes with the same one, read
// without a lock. Most is how many: then they are forgotten, and gathered anew.
type few[K comparable, V any] struct {
	most int
	kept atomic.Pointer[map[K]V]
	mu   sync.Mutex // held by whoever adds one
}

// all gives what is kept; read only.
func (f *few[K, V]) all() map[K]V {
	if kept := f.kept.Load(); kept != nil {
		return *kept
	}
	return nil
}

func (f *few[K, V]) keep(k K, v V) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := map[K]V{}
	if kept := f.all(); len(kept) < f.most {
		maps.Copy(next, kept)
	}
	next[k] = v
	f.kept.Store(&next)
}

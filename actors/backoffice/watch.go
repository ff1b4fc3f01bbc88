package backoffice

import (
	"fmt"
	"sync"
	"sync/atomic"

	"doorbuster/engine"
)

// maxWatchers bounds those who watch on one node, about 500 bytes each here and
// more at the front.
const maxWatchers = 100_000

// watchers are the fronts that wait for something of a shopper's to change.
type watchers struct {
	count atomic.Int64
	mu    sync.Mutex
	by    map[string]map[chan struct{}]struct{} // by shopper or bargain
}

// Watch signals on changed when something of the shopper's has changed on this
// node, until stop is called; nil, nil if too many watch already. A signal that
// nobody has taken yet stands for all that came after it.
func (bo *Office) Watch(shopper string) (changed <-chan struct{}, stop func()) {
	return bo.watchers.add(shopper)
}

// WatchBargain is Watch for a bargain, by its code; nil, nil also if there is none.
func (bo *Office) WatchBargain(code string) (changed <-chan struct{}, stop func()) {
	var ref engine.BargainRef
	known := false
	if bo.View(func(s *engine.State) { ref, known = s.FindBargain(code) }); !known {
		return nil, nil
	}
	return bo.watchers.add(bargainKey(ref.Session, ref.Ordinal))
}

// bargainKey is what watchers of a bargain are kept under; it is no shopper's id.
func bargainKey(x engine.SessionHandle, ordinal uint32) string {
	return fmt.Sprintf("bargain %d %d", x, ordinal)
}

// add has somebody watch a shopper, by id, or a bargain, by bargainKey.
func (w *watchers) add(what string) (changed <-chan struct{}, stop func()) {
	if w.count.Add(1) > maxWatchers {
		w.count.Add(-1)
		return nil, nil
	}
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[string]map[chan struct{}]struct{}{}
	}
	if w.by[what] == nil {
		w.by[what] = map[chan struct{}]struct{}{}
	}
	w.by[what][c] = struct{}{}
	return c, sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.by[what], c); len(w.by[what]) == 0 {
			delete(w.by, what)
		}
		w.count.Add(-1)
	})
}

// tell wakes those whose shoppers or bargains the effects are about. It costs a look where
// nobody watches.
func (w *watchers) tell(s *engine.State, effects *engine.Effects) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, events := range [...][]engine.Event{effects.Primary, effects.Derived} {
		for i := range events {
			if events[i].Bargain != 0 && events[i].Kind != engine.CommandRefused {
				wake(w.by[bargainKey(events[i].Session, events[i].Bargain)])
			}
			if e := &events[i]; e.Shopper != 0 && e.Kind != engine.HoldRefused && e.Kind != engine.HoldConfirmed {
				wake(w.by[s.ShopperID(e.Shopper)])
			}
		}
	}
}

// tellAll wakes everybody: the state was replaced.
func (w *watchers) tellAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, all := range w.by {
		wake(all)
	}
}

func wake(all map[chan struct{}]struct{}) {
	for c := range all {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

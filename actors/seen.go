package actors

import (
	"sync"
	"sync/atomic"
)

// fingerprints is a set of 64-bit hashes that only grows: lock-free to ask,
// locked to add. Who adds before an action that makes the answer matter may rely
// on every later look. Two shoppers with one fingerprint cost each other the long
// way, never a wrong answer.
type fingerprints struct {
	table atomic.Pointer[fingerprintTable]
	mu    sync.Mutex
	count atomic.Int64
}

type fingerprintTable struct {
	mask  uint64
	slots []atomic.Uint64 // 0 is empty
}

// has reports whether fp, never 0, is in the set.
func (f *fingerprints) has(fp uint64) bool {
	t := f.table.Load()
	return t != nil && t.has(fp)
}

func (t *fingerprintTable) has(fp uint64) bool {
	for i := fp & t.mask; ; i = (i + 1) & t.mask {
		switch t.slots[i].Load() {
		case fp:
			return true
		case 0:
			return false
		}
	}
}

// add puts fp into the set; false if it was there.
func (f *fingerprints) add(fp uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.table.Load(); t != nil && t.has(fp) {
		return false
	}
	f.put(fp)
	return true
}

// addUpTo reports whether fp is in the set, and puts it there while that holds
// fewer than most.
func (f *fingerprints) addUpTo(most int64, fp uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.table.Load(); t != nil && t.has(fp) {
		return true
	}
	if f.count.Load() >= most {
		return false
	}
	f.put(fp)
	return true
}

// put takes in fp, which is not there; f.mu is held.
func (f *fingerprints) put(fp uint64) {
	t, n := f.table.Load(), int(f.count.Load())
	if t == nil || 4*(n+1) > 3*len(t.slots) {
		t = grown(t)
		t.put(fp)
		f.table.Store(t)
	} else {
		t.put(fp)
	}
	f.count.Add(1)
}

// clear empties the set.
func (f *fingerprints) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.table.Store(nil)
	f.count.Store(0)
}

// len is how many fingerprints there are.
func (f *fingerprints) len() int64 { return f.count.Load() }

func grown(t *fingerprintTable) *fingerprintTable {
	size := 16
	if t != nil {
		size = 2 * len(t.slots)
	}
	bigger := &fingerprintTable{mask: uint64(size - 1), slots: make([]atomic.Uint64, size)}
	if t != nil {
		for i := range t.slots {
			if fp := t.slots[i].Load(); fp != 0 {
				bigger.put(fp)
			}
		}
	}
	return bigger
}

func (t *fingerprintTable) put(fp uint64) {
	i := fp & t.mask
	for t.slots[i].Load() != 0 {
		i = (i + 1) & t.mask
	}
	t.slots[i].Store(fp)
}

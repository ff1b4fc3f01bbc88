package actors

import (
	"sync"
	"sync/atomic"
)

// fingerprints is a set of hashes, of which it keeps 32 bits, that only grows: lock-free to
// ask, locked to add. Who adds before an action that makes the answer matter may rely on
// every later look. Two shoppers with one fingerprint cost each other the long way, never a
// wrong answer: with a million in the set, one newcomer in two thousand shares one.
type fingerprints struct {
	table atomic.Pointer[fingerprintTable]
	mu    sync.Mutex
	count atomic.Int64
}

type fingerprintTable struct {
	slots []atomic.Uint32 // 0 is empty
}

// first is where a search begins: a multiplication instead of a remainder, so that there may
// be any number of slots.
func (t *fingerprintTable) first(fp uint32) int { return int(uint64(fp) * uint64(len(t.slots)) >> 32) }

func (t *fingerprintTable) next(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

// kept is what the set keeps of a fingerprint; never 0.
func kept(fingerprint uint64) uint32 { return uint32(fingerprint) | 1 }

// has reports whether fingerprint is in the set.
func (f *fingerprints) has(fingerprint uint64) bool {
	t := f.table.Load()
	return t != nil && t.has(kept(fingerprint))
}

func (t *fingerprintTable) has(fp uint32) bool {
	for i := t.first(fp); ; i = t.next(i) {
		switch t.slots[i].Load() {
		case fp:
			return true
		case 0:
			return false
		}
	}
}

// add puts a fingerprint into the set; false if it was there.
func (f *fingerprints) add(fingerprint uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	fp := kept(fingerprint)
	if t := f.table.Load(); t != nil && t.has(fp) {
		return false
	}
	f.put(fp)
	return true
}

// addUpTo reports whether a fingerprint is in the set, and puts it there while that holds
// fewer than most.
func (f *fingerprints) addUpTo(most int64, fingerprint uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	fp := kept(fingerprint)
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
func (f *fingerprints) put(fp uint32) {
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
		size = len(t.slots) + len(t.slots)/2
	}
	bigger := &fingerprintTable{slots: make([]atomic.Uint32, size)}
	if t != nil {
		for i := range t.slots {
			if fp := t.slots[i].Load(); fp != 0 {
				bigger.put(fp)
			}
		}
	}
	return bigger
}

func (t *fingerprintTable) put(fp uint32) {
	i := t.first(fp)
	for t.slots[i].Load() != 0 {
		i = t.next(i)
	}
	t.slots[i].Store(fp)
}

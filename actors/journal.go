package actors

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// A journal notes why shoppers were refused: a table of fixed size, in sets of
// four entries. The shopper and the listing choose the set; the same reason
// again is counted in its entry, another one takes the entry that was not
// touched for longest, and what stood there is lost. Sets fill unevenly: by the
// time the table is half full, one entry in 25 has been overwritten.
//
// It is written for every no, so nothing waits in it: who finds an entry in
// another's hands lets it be. An entry changes hands by its tally:
//
//	63        48 47        32 31                     0
//	+-----------+------------+-----------------------+
//	|    use    |   count    |   last, Unix seconds  |
//	+-----------+------------+-----------------------+
//
// A tally of 0 is an entry never used. A count of 0 says that somebody writes
// the rest of the entry; nobody else may until they have put in a count. Each such
// writing is another use, so who finds the use unchanged after reading the rest
// has read what belongs together: for anything else, an entry would have to be
// written 65,536 times while one other goroutine reads three words.
//
// Shoppers are known by 63 bits of a hash under a seed of this process, so the
// odds that one of two given shoppers is shown as the other are one in 2^63.
type journal struct {
	sets []journalSet
	on   atomic.Bool
	// since is when it was turned on last; 0: never.
	since atomic.Int64
	// now is state time in Unix seconds, as keepTime saw it last: reading the
	// clock itself takes a lock.
	now  atomic.Uint32
	used atomic.Int64
	// lost is spread over lines of the cache: with a full table every no of a
	// shopper who is new to it counts here.
	lost [8]struct {
		atomic.Uint64
		_ [56]byte
	}
	clock func() engine.Time
	stop  chan struct{}
	over  sync.WaitGroup // of keepTime
}

// journalWays is how many entries a set has: two lines of a cache.
const journalWays = 4

type journalSet [journalWays]journalEntry

// journalEntry has 32 bytes.
type journalEntry struct {
	shopper atomic.Uint64 // their fingerprint
	what    atomic.Uint64 // see whatOf
	first   atomic.Uint32 // Unix seconds
	tally   atomic.Uint64
}

// MaxJournalEntries bounds a journal to 512 MiB.
const MaxJournalEntries = 16 << 20

// journalTick is how exactly a journal's time is kept.
const journalTick = 250 * time.Millisecond

// newJournal makes one that is on, of at least so many entries. clock gives
// state time.
func newJournal(entries int, clock func() engine.Time) *journal {
	j := &journal{sets: make([]journalSet, (entries+journalWays-1)/journalWays), clock: clock,
		stop: make(chan struct{})}
	j.readClock()
	j.turn(true)
	j.over.Go(j.keepTime)
	return j
}

func (j *journal) capacity() int64 { return int64(len(j.sets)) * journalWays }

// close returns when nothing of it reads the clock any more.
func (j *journal) close() {
	close(j.stop)
	j.over.Wait()
}

func (j *journal) readClock() { j.now.Store(secondsOf(j.clock())) }

func (j *journal) keepTime() {
	tick := time.NewTicker(journalTick)
	defer tick.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-tick.C:
			j.readClock()
		}
	}
}

// turn lets the journal note, or not. What it has stays. One goroutine at a time.
func (j *journal) turn(on bool) {
	if on && !j.on.Load() {
		j.since.Store(int64(j.clock()))
	}
	j.on.Store(on)
}

// secondsOf is never 0.
func secondsOf(t engine.Time) uint32 {
	return uint32(min(max(int64(t)/1000, 1), 1<<32-1))
}

func timeOf(seconds uint32) engine.Time { return engine.Time(int64(seconds) * 1000) }

// whatOf packs all that tells refusals of one shopper apart.
func whatOf(h engine.ListingHandle, code engine.Code, why engine.Reason) uint64 {
	return uint64(h)<<16 | uint64(code)<<8 | uint64(why)
}

const (
	tallyCountShift = 32
	tallyUseShift   = 48
	tallyCountMost  = engine.MaxRefusedCount
)

func tallyOf(use uint64, count, last uint32) uint64 {
	return use<<tallyUseShift | uint64(count)<<tallyCountShift | uint64(last)
}

func tallyUse(t uint64) uint64   { return t >> tallyUseShift }
func tallyCount(t uint64) uint32 { return uint32(t>>tallyCountShift) & tallyCountMost }
func tallyLast(t uint64) uint32  { return uint32(t) }

// setOf gives where the refusals of a shopper and a listing are noted.
func (j *journal) setOf(fingerprint uint64, h engine.ListingHandle) (set *journalSet, at uint64) {
	x := fingerprint ^ uint64(h)*0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	x ^= x >> 32
	at, _ = bits.Mul64(x*0xd6e8feb86659fd93, uint64(len(j.sets)))
	return &j.sets[at], at
}

// note counts a refusal at a time in Unix seconds, never 0. It neither waits nor
// allocates.
func (j *journal) note(fingerprint uint64, h engine.ListingHandle, code engine.Code, why engine.Reason, now uint32) {
	what := whatOf(h, code, why)
	set, at := j.setOf(fingerprint, h)
	var oldest *journalEntry
	var replaced uint64 // the oldest one's tally
	for i := range set {
		e := &set[i]
		t := e.tally.Load()
		if t != 0 && tallyCount(t) == 0 {
			continue // being written
		}
		if t != 0 && e.shopper.Load() == fingerprint && e.what.Load() == what {
			if !e.again(t, now) {
				j.loses(at)
			}
			return
		}
		if oldest == nil || tallyLast(t) < tallyLast(replaced) {
			oldest, replaced = e, t
		}
	}
	use := tallyUse(replaced) + 1
	if oldest == nil || !oldest.tally.CompareAndSwap(replaced, tallyOf(use, 0, now)) {
		j.loses(at)
		return
	}
	oldest.shopper.Store(fingerprint)
	oldest.what.Store(what)
	oldest.first.Store(now)
	oldest.tally.Store(tallyOf(use, 1, now))
	if replaced == 0 {
		j.used.Add(1)
	} else {
		j.loses(at)
	}
}

// again counts one more in an entry whose tally was t; false if it has changed
// hands, or too many count in it at once.
func (e *journalEntry) again(t uint64, now uint32) bool {
	const tries = 4
	use := tallyUse(t)
	for range tries {
		if tallyUse(t) != use {
			return false
		}
		if e.tally.CompareAndSwap(t, tallyOf(use, min(tallyCount(t)+1, tallyCountMost), max(tallyLast(t), now))) {
			return true
		}
		t = e.tally.Load()
	}
	return false
}

func (j *journal) loses(at uint64) { j.lost[at%uint64(len(j.lost))].Add(1) }

// lostSoFar counts entries overwritten and refusals that were not noted.
func (j *journal) lostSoFar() (n uint64) {
	for i := range j.lost {
		n += j.lost[i].Load()
	}
	return n
}

// noted is one entry, read whole.
type noted struct {
	code        engine.Code
	why         engine.Reason
	first, last uint32 // Unix seconds
	count       uint32
}

// read appends what is noted of a shopper and a listing to dst. Two goroutines
// that note the same for the first time may have made two entries of it, which
// are given as one. What is being written is missed.
func (j *journal) read(dst []noted, fingerprint uint64, h engine.ListingHandle) []noted {
	set, _ := j.setOf(fingerprint, h)
	from := len(dst)
entries:
	for i := range set {
		n, what, ok := set[i].read(fingerprint)
		if !ok || what>>16 != uint64(h) {
			continue
		}
		for k := range dst[from:] {
			if same := &dst[from+k]; same.code == n.code && same.why == n.why {
				same.first, same.last = min(same.first, n.first), max(same.last, n.last)
				same.count = min(same.count+n.count, tallyCountMost)
				continue entries
			}
		}
		dst = append(dst, n)
	}
	return dst
}

// read gives an entry if it is the shopper's.
func (e *journalEntry) read(fingerprint uint64) (n noted, what uint64, ok bool) {
	before := e.tally.Load()
	shopper, what, first := e.shopper.Load(), e.what.Load(), e.first.Load()
	t := e.tally.Load()
	if tallyCount(before) == 0 || tallyCount(t) == 0 || tallyUse(before) != tallyUse(t) || shopper != fingerprint {
		return n, 0, false
	}
	return noted{code: engine.Code(what >> 8), why: engine.Reason(what), first: first, last: tallyLast(t),
		count: tallyCount(t)}, what, true
}

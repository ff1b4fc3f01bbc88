package ledger

import (
	"errors"
	"fmt"
	"time"

	"doorbuster/engine"
)

// Bounds of one transaction, and of waits.
const (
	batchEvents   = 16_384
	viewOrders    = 256                    // copied from the state under one lock
	busyEvents    = 2048                   // waiting: then the next transaction follows at once
	idleCommit    = 5 * time.Second        // for an index with which nothing happened
	pauseAfter    = 500 * time.Millisecond // a failed write
	closePatience = 2 * time.Second
)

// run is the goroutine that writes.
func (l *Ledger) run() {
	l.check()
	quiet := time.Time{}
	for l.ctx.Err() == nil {
		if l.suspect.Swap(false) {
			l.recheck()
		}
		if why := l.notOurs(); why != nil {
			l.renew(why)
			continue
		}
		if !l.known.Load() {
			if l.open() == nil { // a new one could not be begun
				if err := l.openFile(); err != nil {
					l.sleep(pauseAfter, false)
					continue
				}
			}
			if l.source.View(l.recognise); !l.mayTell() {
				l.sleep(idleCommit, true)
				continue
			}
		}
		entries, lost := l.feed.take(batchEvents)
		if lost {
			l.resync()
			continue
		}
		if len(entries) > 0 || l.missing.Load() > 0 {
			l.refetch()
		}
		if len(entries) == 0 {
			l.trim()
			if !l.sleep(idleCommit, true) {
				break
			}
			continue
		}
		// Entries with which nothing happened only move the index: they can wait for
		// something that does, unless somebody waits for them.
		if events := countEvents(entries); events == 0 && l.wanted.Load() <= l.index.Load() && l.idle() {
			if quiet.IsZero() {
				quiet = time.Now()
			}
			if time.Since(quiet) < idleCommit && l.sleep(l.cfg.CommitEvery, false) {
				l.giveBack(entries)
				continue
			}
		}
		quiet = time.Time{}
		if err := l.write(entries); err != nil {
			l.failed(err, entries)
			continue
		}
		l.trim()
		if waiting, _ := l.feed.waiting(); waiting < busyEvents {
			l.sleep(l.cfg.CommitEvery, false)
		}
	}
	for began := time.Now(); l.mayTell() && time.Since(began) < closePatience; {
		entries, lost := l.feed.take(batchEvents)
		if lost || len(entries) == 0 || l.write(entries) != nil {
			return
		}
	}
}

func countEvents(entries []*engine.Effects) (n int) {
	for _, e := range entries {
		n += len(e.Primary) + len(e.Derived)
	}
	return n
}

// idle tells whether nothing more waits.
func (l *Ledger) idle() bool {
	events, _ := l.feed.waiting()
	return events == 0
}

// giveBack puts entries in front of the queue again.
func (l *Ledger) giveBack(entries []*engine.Effects) {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	if l.feed.lost {
		return
	}
	l.feed.entries = append(entries, l.feed.entries...)
	l.feed.events += countEvents(entries) + len(entries)
}

// sleep waits for d; with early, until something is to be done. false: closing.
func (l *Ledger) sleep(d time.Duration, early bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	wake := l.feed.wake
	if !early {
		wake = nil
	}
	for {
		select {
		case <-timer.C:
			return true
		case <-wake:
			return true
		case <-l.poke:
			return true
		case <-l.ctx.Done():
			return false
		}
	}
}

// failed puts up with a write that failed: a damaged file is made anew, a full disk
// waited for.
func (l *Ledger) failed(err error, entries []*engine.Effects) {
	if errors.Is(err, errDamaged) {
		l.renew(err)
		return
	}
	text := err.Error()
	if l.trouble.Swap(&text) == nil {
		l.logger.Error("ALARM: the ledger can't be written; it is tried again", "error", err)
	}
	l.giveBack(entries)
	l.feed.mu.Lock()
	l.feed.drained() // who waits for room sees the trouble
	l.feed.mu.Unlock()
	l.sleep(pauseAfter, false)
}

// AwaitRoom waits while more events wait to be written than half the queue holds,
// so that what is proposed next is not lost. It does not wait for a disk that
// fails: sales go on without the ledger, with its alarm.
func (l *Ledger) AwaitRoom(stop <-chan struct{}) {
	for {
		room := l.feed.full()
		if room == nil || l.trouble.Load() != nil {
			return
		}
		select {
		case <-room:
		case <-stop:
			return
		case <-l.ctx.Done():
			return
		}
	}
}

// renew puts a damaged file aside and begins another.
func (l *Ledger) renew(why error) {
	err := l.putAside(why)
	if err == nil {
		err = l.openFile()
	}
	if err != nil {
		text := err.Error()
		l.trouble.Store(&text)
		l.logger.Error("ALARM: no new ledger can be begun; it is tried again", "error", err)
		l.sleep(pauseAfter, false)
	}
}

// check walks the whole file once, before anything is written to it.
func (l *Ledger) check() {
	defer l.tell()
	defer l.checked.Store(true) // what was damaged begins at index 0
	if l.notOurs() != nil {
		return
	}
	if l.whole.Load() { // it was only just made
		l.readNames()
		return
	}
	began := time.Now()
	err := scrub(l.path(), func() bool { return l.ctx.Err() != nil })
	switch {
	case errors.Is(err, errStopped):
	case err != nil:
		l.renew(err)
	default:
		l.logger.Info("the ledger was checked", "took", time.Since(began), "log_index", l.head.index)
		l.whole.Store(!l.head.lacking)
		l.readNames()
	}
}

// recheck looks into what a reader has come upon.
func (l *Ledger) recheck() {
	if err := scrub(l.path(), func() bool { return l.ctx.Err() != nil }); err != nil && !errors.Is(err, errStopped) {
		l.renew(err)
	}
}

// write takes entries into the file, in one transaction.
func (l *Ledger) write(entries []*engine.Effects) error {
	l.mu.RLock()
	s := l.store
	l.mu.RUnlock()
	if s == nil {
		if err := l.openFile(); err != nil {
			return err
		}
		return errors.New("the ledger was opened only now")
	}
	b := newBatch(l, entries)
	if err := b.gather(); err != nil {
		return err
	}
	h := l.head
	last := entries[len(entries)-1]
	h.index, h.time, h.epoch, h.number = last.Index, last.Time, last.Header.Epoch, last.Header.Sequence
	h.owner = l.cfg.Owner
	if h.group == ([16]byte{}) {
		h.group = l.group()
	}
	if l.cfg.Archive {
		for _, e := range entries {
			if err := l.archive(e, b); err != nil {
				return err
			}
		}
	}
	if err := b.commit(s, &h); err != nil {
		return err
	}
	if l.trouble.Swap(nil) != nil {
		l.logger.Info("the ledger can be written again")
	}
	settled := false
	for _, e := range entries {
		l.feed.kept(e.Leaving)
		settled = settled || len(e.Leaving) > 0
	}
	l.moved(&h)
	if settled {
		l.reopen()
	}
	return nil
}

// reopen closes the file and opens it again, within milliseconds and while nobody
// reads: bbolt remembers, for as long as it is open, of every page in use which
// transaction wrote it (the allocs of its freelist), and what is settled has to
// leave memory.
func (l *Ledger) reopen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.store.close()
	l.store = nil
	if err == nil {
		l.store, _, _, err = openStore(l.path())
	}
	if err != nil { // the next write opens it, or puts it aside
		l.logger.Warn("the ledger could not be opened again at once", "error", err)
	}
}

// group identifies whose ledger this is; zero before the first epoch.
func (l *Ledger) group() (id [16]byte) {
	l.source.View(func(s *engine.State) { id = groupOf(s) })
	return id
}

func groupOf(s *engine.State) (id [16]byte) {
	if secret, known := s.Derive("ledger"); known {
		copy(id[:], secret[:])
	}
	return id
}

// What makes a file another's.
var (
	errOtherLog   = fmt.Errorf("%w: this node's log goes on otherwise", errDamaged)
	errOtherGroup = fmt.Errorf("%w: it belongs to another cluster", errDamaged)
)

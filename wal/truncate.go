package wal

import (
	"fmt"
	"path/filepath"
	"slices"
)

// TruncatePrefix drops the records below before; what is above LastIndex+1
// counts as LastIndex+1. It returns once the new first index is on disk and
// the segments that hold nothing else are gone. Appends and reads go on
// meanwhile. When nothing is left the next append may begin anywhere.
//
// The error is ErrPoisoned or ErrClosed.
func (l *Log) TruncatePrefix(before uint64) error {
	l.shapeMu.Lock()
	defer l.shapeMu.Unlock()
	return l.truncatePrefix(before)
}

// truncatePrefix is TruncatePrefix for callers that hold shapeMu.
func (l *Log) truncatePrefix(before uint64) error {
	if err := l.usable(); err != nil {
		return err
	}
	first, last := l.bounds()
	if last == 0 || before <= first {
		return nil
	}
	before = min(before, last+1)
	if err := l.setFloor(before); err != nil {
		return l.poison(fmt.Errorf("truncate below %d: %w", before, err))
	}
	l.cache.keep(before, ^uint64(0))

	l.mu.Lock()
	n := 0
	for n+1 < len(l.segments) && l.segments[n+1].base <= before {
		n++
	}
	dead := l.segments[:n]
	l.segments = slices.Clone(l.segments[n:])
	l.mu.Unlock()
	// The floor is durable: it does not matter which of them a crash leaves.
	if err := l.removeSegments(dead, l.shapeWatch); err != nil {
		return l.poison(fmt.Errorf("truncate below %d: %w", before, err))
	}
	return nil
}

// setFloor makes the floor durable and then lets it count. The caller holds
// shapeMu.
func (l *Log) setFloor(floor uint64) error {
	l.shapeWatch.begin(taskFloor)
	defer l.shapeWatch.end()
	if err := writeFloor(l.cfg.FS, l.cfg.Dir, floor); err != nil {
		return fmt.Errorf("%s: %w", floorName, err)
	}
	l.mu.Lock()
	l.first = floor
	l.mu.Unlock()
	return nil
}

// TruncateSuffix drops the records at and above from, at once or not at all if
// a crash comes between; from is then the next index. With nothing left it is a
// Reset.
//
// The error is ErrPoisoned, ErrClosed, or, before anything was changed, what
// reading the record in front of from gave.
func (l *Log) TruncateSuffix(from uint64) error {
	l.shapeMu.Lock()
	defer l.shapeMu.Unlock()
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	first, last := l.bounds()
	switch {
	case last == 0 || from > last:
		return nil
	case from <= first:
		return l.reset()
	}
	kept, err := l.Read(from - 1)
	if err != nil {
		return fmt.Errorf("wal: truncate from %d: %w", from, err)
	}
	if err := l.mark.lower(from - 1); err != nil {
		return l.poison(fmt.Errorf("truncate from %d: %w", from, err))
	}
	l.cache.keep(0, from)

	l.mu.Lock()
	l.last = from - 1
	l.generation++
	n := len(l.segments)
	for l.segments[n-1].base >= from {
		n--
	}
	dropped := l.segments[n:]
	l.segments = slices.Clone(l.segments[:n])
	tail := l.segments[n-1]
	if from < tail.next() {
		tail.end = int64(tail.offsets[from-tail.base])
		tail.offsets = tail.offsets[: from-tail.base : from-tail.base]
	}
	tail.lastTerm = kept.Term
	l.mu.Unlock()
	l.tail = tail

	// This is the one step that counts: the new tail voids the rest at once
	// (invariant 3), and takes the place of a dropped one of the same name.
	if _, err := l.addSegment(from, 0); err != nil {
		return l.poison(fmt.Errorf("truncate from %d: %w", from, err))
	}
	if len(dropped) > 0 && dropped[0].base == from {
		dropped[0].file.Close() // its name is the new tail's
		dropped = dropped[1:]
	}
	if err := l.removeSegments(dropped, l.appendWatch); err != nil {
		return l.poison(fmt.Errorf("truncate from %d: %w", from, err))
	}
	return nil
}

// removeSegments durably removes segments that readers can no longer find: a read
// under way fails and looks again. The caller holds the lock that watch belongs to, and
// has made sure that it does not matter which of them a crash leaves.
func (l *Log) removeSegments(segments []*segment, watch *watchdog) error {
	if len(segments) == 0 {
		return nil
	}
	watch.begin(taskRemove)
	defer watch.end()
	for _, s := range segments {
		s.file.Close() // its bytes are not wanted any more, whatever the error
		if err := l.cfg.FS.Remove(filepath.Join(l.cfg.Dir, s.name)); err != nil {
			return fmt.Errorf("remove %s: %w", s.name, err)
		}
	}
	if err := l.cfg.FS.SyncDir(l.cfg.Dir); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// Reset drops all records, at once or not at all if a crash comes between.
// The next append may begin anywhere. The error is ErrPoisoned or ErrClosed.
func (l *Log) Reset() error {
	l.shapeMu.Lock()
	defer l.shapeMu.Unlock()
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	return l.reset()
}

// reset is Reset for callers that hold shapeMu and appendMu.
func (l *Log) reset() error {
	if err := l.truncatePrefix(^uint64(0)); err != nil {
		return err
	}
	return l.removeAll()
}

// removeAll removes what an empty log still has: its tail, since whatever made
// it empty has durably removed all other segments.
func (l *Log) removeAll() error {
	l.mu.Lock()
	dropped := l.segments
	l.segments, l.last = nil, 0
	l.mu.Unlock()
	l.tail = nil
	if err := l.removeSegments(dropped, l.appendWatch); err != nil {
		return l.poison(fmt.Errorf("reset: %w", err))
	}
	return nil
}

// mustRestart reports whether the log is empty and a batch that begins with r
// can't just continue the tail. The caller holds appendMu.
func (l *Log) mustRestart(r *Record) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	empty := l.last < l.first || l.last == 0
	return empty && (l.tail == nil || l.tail.next() != r.Index || r.Term < l.tail.lastTerm || l.first != r.Index)
}

// restart begins an empty log at record r. The old segments go before the floor
// moves: lowered first, it would bring their records back. So does the mark: what
// it says of records below the floor means nothing. The caller holds
// shapeMu and appendMu; in between another append may have come first.
func (l *Log) restart(r *Record) error {
	if err := l.usable(); err != nil {
		return err
	}
	if !l.mustRestart(r) {
		return nil
	}
	if err := l.removeAll(); err != nil {
		return err
	}
	err := l.mark.lower(r.Index - 1)
	if err == nil && l.first != r.Index {
		err = l.setFloor(r.Index)
	}
	if err == nil {
		_, err = l.addSegment(r.Index, r.FrameBytes())
	}
	if err != nil {
		return l.poison(fmt.Errorf("begin at %d: %w", r.Index, err))
	}
	return nil
}

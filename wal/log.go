package wal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"doorbuster/wal/vfs"
)

// Log is an open log. All methods may be called concurrently; appends queue up
// behind one another, and reads wait for nobody's disk but their own.
type Log struct {
	cfg      Config
	recovery Recovery

	// Locks are taken in this order. None but mu is held by a read, and mu is
	// never held during I/O.
	shapeMu  sync.Mutex   // which segments exist and where the floor is
	appendMu sync.Mutex   // the tail, its file, batch
	mu       sync.RWMutex // the fields in its group

	batch []byte // encoded frames in whole blocks, reused
	wrote bool   // a batch, since the start

	tail       *segment // the last of segments; nil when there is none
	generation uint32   // of the tail
	mark       *marker

	closing, markKept chan struct{} // closed when Close begins, and when keepMark has ended

	// Guarded by mu. Whoever changes segments replaces the slice or appends.
	segments []*segment // by base; may be none when the log is empty
	first    uint64     // the floor
	last     uint64     // below first, or 0, when empty
	closed   bool

	cache    tailCache
	poisoned atomic.Pointer[error]
	damaged  sync.Once

	// One for appends and what changes the tail, one for the rest: they may
	// run at the same time.
	appendWatch, shapeWatch *watchdog
}

// keptBatchBytes bounds the encoding buffer that is kept between appends.
const keptBatchBytes = 4 << 20

// Open opens the log in cfg.Dir, or begins an empty one. It reads everything
// once, decides, and only then repairs what a crash has left; see
// [Log.Recovery]. A log that is damaged (*DamageError) or of a newer format
// (ErrNewerFormat) stays as it was, to the byte.
func Open(cfg Config) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withFallbacks()
	c, err := inspect(cfg.FS, cfg.Dir, cfg.Known, nil)
	if err != nil {
		c.close()
		return nil, err
	}
	l := &Log{cfg: cfg, segments: c.segments, first: c.floor, last: c.last, closing: make(chan struct{}),
		markKept: make(chan struct{})}
	if n := len(c.segments); n > 0 {
		l.tail = c.segments[n-1]
		l.generation = l.tail.generation
	}
	l.cache.limit = cfg.TailCacheBytes
	if err := l.repair(c); err != nil {
		c.close()
		return nil, err
	}
	l.appendWatch = newWatchdog(cfg.StallTimeout, l.stalled)
	l.shapeWatch = newWatchdog(cfg.StallTimeout, l.stalled)
	l.mark.watch = l.appendWatch
	if cfg.MarkAfter > 0 {
		go l.keepMark(l.mark.index.Load())
	} else {
		close(l.markKept)
	}
	return l, nil
}

// repair removes leftovers, cuts off a torn tail and opens the tail for
// writing. It may be cut short at any point and run again.
func (l *Log) repair(c *contents) error {
	fsys, dir := l.cfg.FS, l.cfg.Dir
	if err := fsys.MkdirAll(dir); err != nil {
		return fmt.Errorf("wal: make %s: %w", dir, err)
	}
	for _, name := range c.leftover {
		if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("wal: remove leftover %s: %w", name, err)
		}
	}
	if len(c.leftover) > 0 {
		if err := fsys.SyncDir(dir); err != nil {
			return fmt.Errorf("wal: sync %s: %w", dir, err)
		}
		l.cfg.Logger.Info("removed what a crash had left over", "dir", dir, "files", c.leftover)
	}
	l.recovery = Recovery{Torn: c.torn, Removed: c.leftover}
	if len(c.segments) > 0 {
		if err := l.repairTail(c); err != nil {
			return err
		}
	}
	// Last: what is marked is on disk. With no segment there is none to be proved.
	var err error
	if l.mark, err = openMarker(fsys, dir, c.last); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	return nil
}

// repairTail opens the tail for writing, cuts off what is torn, and makes the rest
// durable: a process that was killed may have left a batch that is not.
func (l *Log) repairTail(c *contents) error {
	fsys, dir := l.cfg.FS, l.cfg.Dir
	tail := c.segments[len(c.segments)-1]
	file, err := fsys.OpenWrite(filepath.Join(dir, tail.name))
	if err != nil {
		return fmt.Errorf("wal: open %s for writing: %w", tail.name, err)
	}
	tail.file.Close() // opened for reading: nothing is lost by a failure
	tail.file = file
	if c.torn != nil {
		if err := file.Truncate(c.torn.Offset); err != nil {
			return fmt.Errorf("wal: cut torn tail off %s: %w", tail.name, err)
		}
		tail.allocated = c.torn.Offset
	} else if whole := blocks(tail.allocated); whole != tail.allocated {
		if err := file.Truncate(whole); err != nil {
			return fmt.Errorf("wal: fill up the last block of %s: %w", tail.name, err)
		}
		tail.allocated = whole
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("wal: sync %s: %w", tail.name, err)
	}
	if c.torn == nil {
		return nil
	}
	l.cfg.Logger.Warn("cut off a torn tail: a last batch that is not whole, as a crash in the middle of an append "+
		"leaves it; nothing shows that it ever was",
		"known_to_have_been_on_disk", c.known.Index, "segment", c.torn.Segment, "offset",
		c.torn.Offset, "bytes", c.torn.Bytes,
		"index", c.torn.Index, "records", c.torn.Records, "reason", c.torn.Reason)
	return nil
}

// Recovery returns what Open found to tidy up.
func (l *Log) Recovery() Recovery { return l.recovery }

// FirstIndex returns the index of the first record, or 0 when there is none.
func (l *Log) FirstIndex() uint64 {
	first, _ := l.bounds()
	return first
}

// OldestIndex is the lowest index of which the files may still have a record, dropped or
// not; 0 without files.
func (l *Log) OldestIndex() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.segments) == 0 {
		return 0
	}
	return l.segments[0].base
}

// LastIndex returns the index of the last record, or 0 when there is none.
func (l *Log) LastIndex() uint64 {
	_, last := l.bounds()
	return last
}

// bounds returns first and last index, 0 and 0 when the log is empty.
func (l *Log) bounds() (first, last uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.last < l.first || l.last == 0 {
		return 0, 0
	}
	return l.first, l.last
}

// Append adds the batch at the end and returns once it is on disk, or has left
// the log without any of it. An empty batch does nothing.
//
// Indexes must be consecutive and follow LastIndex; an empty log takes any
// index from 1. Terms must not decrease. Otherwise the error is ErrOutOfOrder.
// A batch over MaxBatchBytes, or a Meta over MaxMetaBytes, is ErrTooLarge.
// After either the log is as before. Any other error is ErrPoisoned or
// ErrClosed: the batch is then not visible, but a part that reached the disk
// can make it whole when the log is opened again.
//
// The log keeps Meta and Data, not copies, while they are among the newest
// records: the caller must not change their bytes afterwards. It may reuse recs
// itself.
func (l *Log) Append(recs []Record) error {
	if len(recs) == 0 {
		return nil
	}
	if err := checkBatch(recs); err != nil {
		return err
	}
	l.appendMu.Lock()
	if l.mustRestart(&recs[0]) {
		l.appendMu.Unlock()
		l.shapeMu.Lock()
		defer l.shapeMu.Unlock()
		l.appendMu.Lock()
		defer l.appendMu.Unlock()
		if err := l.restart(&recs[0]); err != nil {
			return err
		}
	} else {
		defer l.appendMu.Unlock()
	}
	return l.appendLocked(recs)
}

func checkBatch(recs []Record) error {
	size := int64(commitFrameBytes)
	for i := range recs {
		r := &recs[i]
		if r.Index == 0 || r.Index != recs[0].Index+uint64(i) {
			return fmt.Errorf("%w: index %d at place %d of a batch that begins with %d", ErrOutOfOrder,
				r.Index, i, recs[0].Index)
		}
		if i > 0 && r.Term < recs[i-1].Term {
			return fmt.Errorf("%w: record %d has term %d after term %d", ErrOutOfOrder, r.Index, r.Term, recs[i-1].Term)
		}
		if len(r.Meta) > MaxMetaBytes {
			return fmt.Errorf("%w: Meta of record %d has %d bytes, at most %d", ErrTooLarge, r.Index,
				len(r.Meta), MaxMetaBytes)
		}
		if size += r.FrameBytes(); size > MaxBatchBytes {
			return fmt.Errorf("%w: batch from %d has more than %d bytes", ErrTooLarge, recs[0].Index, MaxBatchBytes)
		}
	}
	return nil
}

func (l *Log) appendLocked(recs []Record) error {
	if err := l.usable(); err != nil {
		return err
	}
	tail := l.tail
	if first := recs[0].Index; first != tail.next() {
		return fmt.Errorf("%w: record %d after record %d", ErrOutOfOrder, first, tail.next()-1)
	}
	if recs[0].Term < tail.lastTerm {
		return fmt.Errorf("%w: record %d has term %d after term %d", ErrOutOfOrder, recs[0].Index,
			recs[0].Term, tail.lastTerm)
	}
	l.encode(recs)
	last := recs[len(recs)-1].Index
	tail, err := l.makeRoom(tail, int64(len(l.batch)))
	if err == nil {
		err = l.writeTail(tail)
	}
	if err == nil {
		err = l.mark.raise(last)
	}
	if err != nil {
		return l.poison(fmt.Errorf("append records %d to %d: %w", recs[0].Index, last, err))
	}
	l.publish(tail, recs)
	return nil
}

// encode makes the batch that is written next.
func (l *Log) encode(recs []Record) {
	size := int64(commitFrameBytes)
	for i := range recs {
		size += recs[i].FrameBytes()
	}
	size = blocks(size)
	if int64(cap(l.batch)) < size {
		l.batch = vfs.Blocks(int(size + size/2))
	}
	frames := AppendBatch(l.batch[:0], recs)
	l.batch = frames[:size]
	clear(l.batch[len(frames):])
}

func (l *Log) writeTail(tail *segment) error {
	var start time.Time
	if l.cfg.ObserveSync != nil {
		start = time.Now()
	}
	l.appendWatch.begin(taskWrite)
	err := tail.file.WriteSync(l.batch, tail.end)
	l.appendWatch.end()
	if err != nil {
		return fmt.Errorf("%s: write and sync: %w", tail.name, err)
	}
	if !l.wrote && !tail.file.Direct() {
		l.cfg.Logger.Warn("the file system takes no direct writes: each append copies its bytes into the page cache "+
			"and waits for an fdatasync", "dir", l.cfg.Dir)
	}
	l.wrote = true
	if l.cfg.ObserveSync != nil {
		l.cfg.ObserveSync(time.Since(start))
	}
	return nil
}

func (l *Log) publish(tail *segment, recs []Record) {
	l.cache.add(recs)
	l.mu.Lock()
	at := tail.end
	for i := range recs {
		tail.offsets = append(tail.offsets, uint32(at))
		at += recs[i].FrameBytes()
	}
	tail.end += int64(len(l.batch))
	tail.lastTerm = recs[len(recs)-1].Term
	l.last = recs[len(recs)-1].Index
	l.mu.Unlock()
	if cap(l.batch) > keptBatchBytes {
		l.batch = nil
	}
}

// makeRoom returns the segment to write size bytes to: the tail, allocated
// further if need be, or its successor.
func (l *Log) makeRoom(tail *segment, size int64) (*segment, error) {
	if tail.end+size <= tail.allocated {
		return tail, nil
	}
	if tail.end+size > l.cfg.SegmentBytes && tail.end > batchesAt {
		// Gives back what was allocated ahead. Not synced: it does not matter
		// which size a crash leaves. Once it has a successor TruncatePrefix may
		// close it at any time.
		if err := l.trim(tail); err != nil {
			return nil, err
		}
		return l.addSegment(tail.next(), size)
	}
	want := l.allocation(tail.end, size)
	l.appendWatch.begin(taskAllocate)
	defer l.appendWatch.end()
	if err := errors.Join(tail.file.Preallocate(want), tail.file.Sync()); err != nil {
		return nil, fmt.Errorf("%s: allocate up to byte %d: %w", tail.name, want, err)
	}
	l.setAllocated(tail, want)
	return tail, nil
}

// allocation returns how large to make a segment that ends at byte end so that
// size more bytes fit.
func (l *Log) allocation(end, size int64) int64 {
	ahead := max(firstAllocation, min(2*end, end+mostAhead), end+size)
	return max(min(ahead, l.cfg.SegmentBytes), end+size)
}

// addSegment makes a new tail. The caller holds appendMu.
func (l *Log) addSegment(base uint64, room int64) (*segment, error) {
	l.appendWatch.begin(taskSegment)
	defer l.appendWatch.end()
	s, err := createSegment(l.cfg.FS, l.cfg.Dir, base, l.generation, l.allocation(batchesAt, room))
	if err != nil {
		return nil, fmt.Errorf("begin %s: %w", segmentName(base), err)
	}
	if old := l.tail; old != nil {
		s.lastTerm = old.lastTerm
	}
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.mu.Unlock()
	l.tail = s
	return s, nil
}

// trim drops the zeros after the last batch of the tail.
func (l *Log) trim(s *segment) error {
	if s.allocated == s.end {
		return nil
	}
	l.appendWatch.begin(taskTrim)
	defer l.appendWatch.end()
	if err := s.file.Truncate(s.end); err != nil {
		return fmt.Errorf("trim %s: %w", s.name, err)
	}
	l.setAllocated(s, s.end)
	return nil
}

func (l *Log) setAllocated(s *segment, size int64) {
	l.mu.Lock()
	s.allocated = size
	l.mu.Unlock()
}

// usable returns ErrClosed or ErrPoisoned where no change is allowed any more.
func (l *Log) usable() error {
	if err := l.poisoned.Load(); err != nil {
		return *err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	return nil
}

// poison ends all writing and returns the error to give to the caller.
func (l *Log) poison(cause error) error {
	err := fmt.Errorf("%w: %w", ErrPoisoned, cause)
	if errors.Is(cause, syscall.ENOSPC) {
		err = fmt.Errorf("%w (%w): %w", ErrPoisoned, ErrDiskFull, cause)
	}
	if !l.poisoned.CompareAndSwap(nil, &err) {
		return err
	}
	l.cfg.Logger.Error("the log will not write again; the process must be started anew", "error", cause)
	if l.cfg.OnPoison != nil {
		go l.cfg.OnPoison(err)
	}
	return err
}

func (l *Log) stalled(err error) {
	l.cfg.Logger.Error("the disk hangs", "error", err)
	if l.cfg.OnStall != nil {
		l.cfg.OnStall(err)
	}
}

// Read returns the record with that index. Its Meta and Data stay valid for
// good; other readers may share them, so they must not be changed.
//
// The error is ErrNotFound where there is no such record, a *DamageError where
// its bytes are not what was appended, or ErrClosed.
func (l *Log) Read(index uint64) (Record, error) {
	if r, ok := l.cache.get(index); ok {
		return r, nil
	}
	for {
		s, from, to, err := l.locate(index)
		if err != nil {
			return Record{}, err
		}
		r, err := readRecord(s, index, from, to)
		if err == nil {
			return r, nil
		}
		// Whoever drops records closes the file under us.
		if again, _, _, err := l.locate(index); err != nil {
			return Record{}, err
		} else if again != s {
			continue
		}
		if errors.Is(err, ErrDamaged) {
			l.damaged.Do(func() {
				l.cfg.Logger.Error("a record can't be read", "error", err)
				if l.cfg.OnDamage != nil {
					go l.cfg.OnDamage(err)
				}
			})
		}
		return Record{}, err
	}
}

// locate returns the segment that holds the record, and the bytes to read.
func (l *Log) locate(index uint64) (_ *segment, from, to int64, _ error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return nil, 0, 0, ErrClosed
	}
	if index < l.first || index > l.last || index == 0 {
		return nil, 0, 0, ErrNotFound
	}
	after := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].base > index })
	s := l.segments[after-1]
	from, to = s.extent(index)
	return s, from, to, nil
}

func readRecord(s *segment, index uint64, from, to int64) (Record, error) {
	b := make([]byte, to-from)
	n, err := s.file.ReadAt(b, from)
	if n < len(b) && err != io.EOF { // a file may end within the zeros of its last block
		return Record{}, fmt.Errorf("wal: read record %d from %s at byte %d: %w", index, s.name, from, err)
	}
	f, ok := decodeFrame(b[:n])
	if !ok || f.kind != kindRecord || f.index != index {
		return Record{}, &DamageError{Segment: s.name, Offset: from, Index: index,
			Reason: "the record was whole when it was written or last checked"}
	}
	return f.record(), nil
}

// Size returns how many segments there are, and their bytes up to the last batch.
func (l *Log) Size() (segments int, bytes int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.segments {
		bytes += s.end
	}
	return len(l.segments), bytes
}

// Close trims the tail, makes the mark durable and closes all files. It waits for an append under way.
// Calling it again does nothing.
func (l *Log) Close() error {
	l.shapeMu.Lock()
	defer l.shapeMu.Unlock()
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	segments := l.segments
	l.mu.Unlock()
	close(l.closing)
	<-l.markKept
	l.cache.keep(0, 0)

	var failures []error
	if tail := l.tail; tail != nil && l.poisoned.Load() == nil {
		if err := l.trim(tail); err != nil {
			failures = append(failures, err)
		} else if err := tail.file.Sync(); err != nil {
			failures = append(failures, fmt.Errorf("sync %s: %w", tail.name, err))
		}
	}
	if l.poisoned.Load() == nil {
		l.mark.watch = &watchdog{}
		if err := l.mark.set(l.mark.index.Load()); err != nil {
			failures = append(failures, err)
		}
	}
	if err := l.mark.file.Close(); err != nil {
		failures = append(failures, fmt.Errorf("close %s: %w", markName, err))
	}
	for _, s := range segments {
		if err := s.file.Close(); err != nil {
			failures = append(failures, fmt.Errorf("close %s: %w", s.name, err))
		}
	}
	l.appendWatch.end()
	l.shapeWatch.end()
	if len(failures) > 0 {
		return fmt.Errorf("wal: close: %w", errors.Join(failures...))
	}
	return nil
}

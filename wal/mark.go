package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"time"

	"doorbuster/wal/vfs"
)

// The mark is an index up to which records are known to have been on disk: what
// the log can prove of its own end. It has a file of its own, MARK, of two slots
// that are laid out like a segment's header and lie in blocks of their own:
//
//	byte 0          8         10     16      24     28      32        4096
//	     +----------+---------+------+-------+------+-------+---------+--------
//	     | DBLOGMRK | version | zero | index | zero | crc   | nothing | second
//	     |          | u16     |      | u64   | u32  | u32   |         | slot
//	     +----------+---------+------+-------+------+-------+---------+--------
//
// Each append writes one of them, in turn, after its own sync, and does not sync
// it: so a process that is killed leaves the mark of its last append, and a
// machine that loses power leaves one of the last moment without appends. Both
// slots are true at any time, so the higher one counts, and one that is not whole
// says nothing. Whatever takes records back lowers both first, durably.
const (
	markMagic   = "DBLOGMRK"
	markName    = "MARK"
	markSlots   = 2
	markSlotGap = 4096
)

// readMark returns 0 where nothing is known.
func readMark(fsys vfs.FS, dir string) (uint64, error) {
	b, err := readSmall(fsys, dir, markName, (markSlots-1)*markSlotGap+segmentHeaderBytes)
	mark := uint64(0)
	for slot := 0; slot < len(b); slot += markSlotGap {
		if index, _, err := decodeHeader(b[slot:], markMagic, markName); err == nil {
			mark = max(mark, index)
		}
	}
	return mark, err
}

// marker writes the mark. Only the appender may use it, but for sync.
type marker struct {
	file  vfs.File
	watch *watchdog // the appender's, while it appends
	next  int64     // slot to write
	buf   []byte    // reused
	// index is the last that was written; 0: none yet.
	index atomic.Uint64
}

// openMarker opens the file and writes to both slots, durably, that index is on
// disk.
func openMarker(fsys vfs.FS, dir string, index uint64) (_ *marker, err error) {
	path := filepath.Join(dir, markName)
	m := &marker{watch: &watchdog{}}
	m.file, err = fsys.OpenWrite(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing {
		m.file, err = fsys.Create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: open: %w", markName, err)
	}
	if err = m.set(index); err == nil && missing {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, m.file.Close())
	}
	return m, nil
}

// raise writes, and does not sync, that index is on disk.
func (m *marker) raise(index uint64) error {
	m.watch.begin(taskMark)
	defer m.watch.end()
	m.buf = appendHeader(m.buf[:0], markMagic, index, 0)
	if _, err := m.file.WriteAt(m.buf, m.next*markSlotGap); err != nil {
		return fmt.Errorf("%s: write: %w", markName, err)
	}
	m.next = (m.next + 1) % markSlots
	m.index.Store(index)
	return nil
}

// set makes the mark index, durably: also a lower one than it was.
func (m *marker) set(index uint64) error {
	for range markSlots {
		if err := m.raise(index); err != nil {
			return err
		}
	}
	m.watch.begin(taskMark)
	defer m.watch.end()
	return m.sync()
}

// lower takes back, durably, that records above index were on disk.
func (m *marker) lower(index uint64) error {
	if m.index.Load() <= index {
		return nil
	}
	return m.set(index)
}

// sync may run beside raise: what that writes meanwhile may be left out.
func (m *marker) sync() error {
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("%s: sync: %w", markName, err)
	}
	return nil
}

// syncMark makes the mark as last written durable.
func (l *Log) syncMark() error {
	if err := l.mark.sync(); err != nil {
		return l.poison(err)
	}
	return nil
}

// keepMark syncs the mark whenever nothing was appended for a while, until Close.
// synced is the mark that is durable: before anything can be appended.
func (l *Log) keepMark(synced uint64) {
	defer close(l.markKept)
	every := time.NewTicker(l.cfg.MarkAfter)
	defer every.Stop()
	for seen := synced; ; {
		select {
		case <-l.closing:
			return
		case <-every.C:
		}
		index := l.mark.index.Load()
		if index == seen && index != synced {
			if l.syncMark() != nil {
				return
			}
			synced = index
		}
		seen = index
	}
}

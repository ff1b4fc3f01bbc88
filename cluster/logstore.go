package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
	"doorbuster/wal"
)

// A Raft entry is one record: index, term and Data are the record's own, and
// Meta holds the rest, little-endian:
//
//	byte 0         1      2             10
//	     +---------+------+-------------+------------+
//	     | version | type | appended at | extensions |
//	     | u8      | u8   | i64         |            |
//	     +---------+------+-------------+------------+
//
// appended at is in Unix nanoseconds; the least i64 stands for the zero time.
const (
	entryVersion   = 1
	entryMetaBytes = 10
	noTime         = math.MinInt64
)

// ErrDeleteInside is returned for a range that leaves entries on both sides:
// Raft asks for no such thing, and a log has no holes.
var ErrDeleteInside = errors.New("cluster: can't delete entries from the middle of the log")

// LogStore lets Raft keep its log in a [wal.Log]. It is a raft.LogStore and a
// raft.MonotonicLogStore.
//
// Entries' Data and Extensions are kept in memory as they are, not copied, while
// they are recent: whoever calls raft.Apply must leave the bytes alone for good.
// What GetLog gives out stays valid for good, and must not be changed either.
type LogStore struct {
	log *wal.Log
	// lastCommand is the index of the command stored last: entries of Raft's own,
	// and memberships, change nothing that a door shows. 0 before the first.
	lastCommand atomic.Uint64

	// cutting is told, before entries are cut off the log's end, where it will end.
	// What it refuses is not cut. May be nil.
	cutting func(lowest uint64) error

	mu      sync.Mutex
	records []wal.Record // reused between calls

	appendedEntries, appendedBytes atomic.Uint64

	began  time.Time
	stored [64]storedEntry // the newest, by index

	last  atomic.Pointer[mark] // of the entry stored last; of the snapshot, if that reaches further
	found AsOf                 // of the log as it was found, if that reaches to the snapshot
}

var (
	_ raft.LogStore          = (*LogStore)(nil)
	_ raft.MonotonicLogStore = (*LogStore)(nil)
)

// storedEntry is when an entry was on disk. One goroutine at a time writes it.
type storedEntry struct {
	index atomic.Uint64
	at    atomic.Int64 // since the store began
}

// storedAt gives when one of the newest entries was on disk; zero if it is none.
func (s *LogStore) storedAt(index engine.LogIndex) time.Time {
	e := &s.stored[uint64(index)%uint64(len(s.stored))]
	if at := e.at.Load(); e.index.Load() == uint64(index) {
		return s.began.Add(time.Duration(at))
	}
	return time.Time{}
}

// NewLogStore returns a store over log, which stays the caller's to close.
func NewLogStore(log *wal.Log) *LogStore {
	s := &LogStore{log: log, began: time.Now()}
	s.last.Store(&mark{})
	return s
}

// written gives how far the log, or the newest snapshot, reaches. It never waits
// for the disk.
func (s *LogStore) written() mark { return *s.last.Load() }

// lookAtEnd finds how far the log reaches, beyond a snapshot.
func (s *LogStore) lookAtEnd(snapshot mark) error {
	if last := s.log.LastIndex(); last > 0 {
		var e raft.Log
		if err := s.GetLog(last, &e); err != nil {
			return err
		}
		if last >= snapshot.Index {
			s.found = AsOf{engine.LogIndex(last), e.AppendedAt.UTC()}
		}
		snapshot = later(snapshot, mark{e.Term, last})
	}
	s.last.Store(&snapshot)
	return nil
}

// AsOf tells how far what a data directory holds reaches. Nothing in a directory
// that was replaced by an older copy of itself can tell that it was; who reads the
// time can.
type AsOf struct {
	LogIndex engine.LogIndex // of the last entry; 0: there was none
	Time     time.Time       // when its leader appended it, by that node's clock, in UTC
}

// AsOf is of the directory as Open found it.
func (n *Node) AsOf() AsOf { return n.store.found }

// IsMonotonic tells Raft that there may be no gaps: after restoring a snapshot
// it deletes the whole log instead of leaving one.
func (s *LogStore) IsMonotonic() bool { return true }

// FirstIndex returns 0 for an empty log.
func (s *LogStore) FirstIndex() (uint64, error) { return s.log.FirstIndex(), nil }

// LastIndex returns 0 for an empty log.
func (s *LogStore) LastIndex() (uint64, error) { return s.log.LastIndex(), nil }

// DropIfBehind empties a log that ends before the newest snapshot. Call it
// before raft.NewRaft, with that snapshot's index, or 0 when there is none.
//
// A crash between installing a snapshot and deleting the log behind it leaves
// such a log. All of it is in the snapshot, but Raft would append the entry
// that follows the snapshot, and be refused for the gap forever.
func (s *LogStore) DropIfBehind(snapshotIndex uint64) error {
	if last := s.log.LastIndex(); last == 0 || last >= snapshotIndex {
		return nil
	}
	if err := s.log.Reset(); err != nil {
		return fmt.Errorf("cluster: drop the log behind snapshot %d: %w", snapshotIndex, err)
	}
	return nil
}

// GetLog returns exactly raft.ErrLogNotFound for an entry that is not there:
// Raft compares, and then sends a snapshot.
func (s *LogStore) GetLog(index uint64, entry *raft.Log) error {
	record, err := s.log.Read(index)
	if err != nil {
		if errors.Is(err, wal.ErrNotFound) {
			return raft.ErrLogNotFound
		}
		return fmt.Errorf("cluster: read entry %d: %w", index, err)
	}
	return decodeEntry(&record, entry)
}

// StoreLog is StoreLogs of one.
func (s *LogStore) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

// StoreLogs returns once all entries are on disk, or has stored none.
func (s *LogStore) StoreLogs(entries []*raft.Log) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := 0
	for _, e := range entries {
		size += entryMetaBytes + len(e.Extensions)
	}
	// One allocation for all, not reused: the log keeps it.
	meta := make([]byte, 0, size)
	s.records = s.records[:0]
	for _, e := range entries {
		at := len(meta)
		meta = appendEntryMeta(meta, e)
		s.records = append(s.records, wal.Record{Index: e.Index, Term: e.Term,
			Meta: meta[at:len(meta):len(meta)], Data: e.Data})
	}
	err := s.log.Append(s.records)
	clear(s.records)
	if err != nil {
		return fmt.Errorf("cluster: store entries: %w", err)
	}
	for _, e := range entries {
		s.appendedBytes.Add(uint64(entryMetaBytes + len(e.Extensions) + len(e.Data)))
	}
	s.appendedEntries.Add(uint64(len(entries)))
	now := int64(time.Since(s.began))
	for _, e := range entries[max(0, len(entries)-len(s.stored)):] {
		stored := &s.stored[e.Index%uint64(len(s.stored))]
		stored.index.Store(0) // whoever reads meanwhile finds none
		stored.at.Store(now)
		stored.index.Store(e.Index)
	}
	if n := len(entries); n > 0 {
		s.last.Store(&mark{entries[n-1].Term, entries[n-1].Index})
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if e := entries[i]; e.Type == raft.LogCommand && !isMembership(e.Data) {
			s.lastCommand.Store(e.Index)
			break
		}
	}
	return nil
}

func appendEntryMeta(b []byte, e *raft.Log) []byte {
	at := int64(noTime)
	if !e.AppendedAt.IsZero() {
		at = e.AppendedAt.UnixNano()
	}
	b = append(b, entryVersion, byte(e.Type))
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	return append(b, e.Extensions...)
}

func decodeEntry(r *wal.Record, e *raft.Log) error {
	if len(r.Meta) > 0 && r.Meta[0] > entryVersion {
		return fmt.Errorf("cluster: entry %d was written by format %d; this build reads up to %d", r.Index,
			r.Meta[0], entryVersion)
	}
	if len(r.Meta) < entryMetaBytes || r.Meta[0] != entryVersion {
		return fmt.Errorf("cluster: record %d is not a Raft entry", r.Index)
	}
	*e = raft.Log{Index: r.Index, Term: r.Term, Type: raft.LogType(r.Meta[1]), Data: r.Data}
	if at := int64(binary.LittleEndian.Uint64(r.Meta[2:])); at != noTime {
		e.AppendedAt = time.Unix(0, at)
	}
	if ext := r.Meta[entryMetaBytes:]; len(ext) > 0 {
		e.Extensions = ext
	}
	return nil
}

// EntryType tells what Raft keeps in a record of the log: "command", whose Data
// is the engine's; "roster", see DecodeMembership; "noop", "barrier" and
// "configuration" are Raft's own.
func EntryType(r wal.Record) (string, error) {
	var e raft.Log
	if err := decodeEntry(&r, &e); err != nil {
		return "unknown", err
	}
	if e.Type == raft.LogCommand && isMembership(r.Data) {
		return "roster", nil
	}
	return strings.ToLower(strings.TrimPrefix(e.Type.String(), "Log")), nil
}

// DeleteRange deletes the entries from lowest to highest, both included, as
// far as there are any. Raft deletes from the front when it compacts, from the
// back when a leader overrules, and everything after it has restored a snapshot;
// it compacts on another goroutine than it appends on. The error is
// ErrDeleteInside, or the log's.
func (s *LogStore) DeleteRange(lowest, highest uint64) error {
	first, last := s.log.FirstIndex(), s.log.LastIndex()
	if last == 0 || highest < lowest || highest < first || lowest > last {
		return nil
	}
	var err error
	if highest >= last && s.cutting != nil { // also behind a snapshot that replaces all
		if err := s.cutting(lowest); err != nil {
			return err
		}
	}
	switch {
	case lowest <= first && highest == math.MaxUint64:
		err = s.log.Reset()
	case lowest <= first:
		// Also when this is everything: unlike Reset it can't take along
		// what is appended meanwhile.
		err = s.log.TruncatePrefix(highest + 1)
	case highest >= last:
		err = s.log.TruncateSuffix(lowest)
	default:
		return fmt.Errorf("%w: %d to %d of %d to %d", ErrDeleteInside, lowest, highest, first, last)
	}
	if err != nil {
		return fmt.Errorf("cluster: delete entries %d to %d: %w", lowest, highest, err)
	}
	return nil
}

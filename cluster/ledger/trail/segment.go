package trail

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// A segment is a file of batches (see wal/frame.go), a record an entry. It covers
// every entry after the index in its header up to its last, those without events
// too; its name is the first index that it covers. Header, little endian:
//
//	byte 0          8         10      12     16      32      40         48
//	     +----------+---------+-------+------+-------+-------+----------+------
//	     | DBTRAIL1 | version | flags | crc  | group | after | time     | batches
//	     |          | u16     | u16   | u32  |       | u64   | i64      |
//	     +----------+---------+-------+------+-------+-------+----------+------
//
//	flags     1: thinned, nothing but deeds is left
//	crc       CRC-32C of the header with 0 here
//	time      state time at after; 0 where that is not known
//
// A sealed one goes on with three tables of rows, each a key (u64) and the offset of
// a frame (u32), big endian and sorted: marks (a log index), orders (session and
// ordinal) and deeds (the operator's place in the summary). Then come the summary,
// in varints, and where to find it:
//
//	+---------+------------------------+-----------------+----------+
//	| summary | length of summary, u32 | CRC-32C of it   | DBTRLEND |
//	+---------+------------------------+-----------------+----------+
//
// The summary has a CRC-32C of all that stands before it.
const (
	magic        = "DBTRAIL1"
	endMagic     = "DBTRLEND"
	version      = 1
	headerBytes  = 48
	trailerBytes = 16
	flagThinned  = 1
	rowBytes     = 12
	suffix       = ".trail"
	tempSuffix   = ".tmp"

	// markEvery is how far apart in the file the entries are that can be gone to at once.
	markEvery = 32 << 10
	// scanBytes is how much of a file is read at once.
	scanBytes = 64 << 10
)

type header struct {
	group   [16]byte
	after   engine.LogIndex
	time    engine.Time
	thinned bool
}

func (h *header) name() string { return fmt.Sprintf("%020d%s", uint64(h.after)+1, suffix) }

// namedAfter gives the index after which a segment of that name begins.
func namedAfter(name string) (engine.LogIndex, bool) {
	digits, found := strings.CutSuffix(name, suffix)
	first, err := strconv.ParseUint(digits, 10, 64)
	after := engine.LogIndex(first - 1)
	return after, found && err == nil && first > 0 && name == (&header{after: after}).name()
}

func (h *header) append(b []byte) []byte {
	le, at := binary.LittleEndian, len(b)
	flags := uint16(0)
	if h.thinned {
		flags |= flagThinned
	}
	b = append(b, magic...)
	b = le.AppendUint16(b, version)
	b = le.AppendUint16(b, flags)
	b = append(b, 0, 0, 0, 0)
	b = append(b, h.group[:]...)
	b = le.AppendUint64(b, uint64(h.after))
	b = le.AppendUint64(b, uint64(h.time))
	le.PutUint32(b[at+12:], crc32.Checksum(b[at:], castagnoli))
	return b
}

func headerOf(b []byte) (h header, err error) {
	le := binary.LittleEndian
	if len(b) < headerBytes || string(b[:8]) != magic {
		return h, damaged("it does not begin like a segment of the trail")
	}
	if v := le.Uint16(b[8:]); v > version {
		return h, fmt.Errorf("a segment of version %d, this build reads %d: %w", v, version, engine.ErrNewerFormat)
	}
	whole := bytes.Clone(b[:headerBytes])
	clear(whole[12:16])
	if crc32.Checksum(whole, castagnoli) != le.Uint32(b[12:]) {
		return h, damaged("the header does not fit its checksum")
	}
	copy(h.group[:], b[16:])
	h.after, h.time = engine.LogIndex(le.Uint64(b[32:])), engine.Time(le.Uint64(b[40:]))
	h.thinned = le.Uint16(b[10:])&flagThinned != 0
	return h, nil
}

// row leads from a key to the frame of an entry.
type row struct {
	key    uint64
	offset uint32
}

func refKey(ref engine.OrderRef) uint64 { return uint64(ref.Session)<<32 | uint64(ref.Ordinal) }

// Tables of rows.
const (
	marks = iota
	orders
	deeds
	tables
)

// contents is what leads to a segment's entries. Of the one that is written to,
// slices only grow: what readers were given stays.
type contents struct {
	rows      [tables][]row
	operators []string
	events    uint64
	end       int64 // of the batches
	last      entry
}

// segment is one whose coverage is known. It does not change, but for live.
type segment struct {
	header
	contents // rows only of the live one, which readers copy
	sealed   bool
	sessions []engine.SessionHandle // sorted; of a sealed one
	counts   [tables]int64          // of rows on disk
	sum      uint32                 // of all that stands before the summary
	size     int64

	checking sync.Mutex
	checked  atomic.Bool // the file was compared with sum
}

// at gives where a table begins.
func (s *segment) at(table int) int64 {
	at := s.end
	for t := range table {
		at += s.counts[t] * rowBytes
	}
	return at
}

// summary appends the summary and the trailer.
func (s *segment) summary(b []byte) []byte {
	at := len(b)
	for _, v := range [...]uint64{uint64(s.last.index), uint64(s.last.time), uint64(s.last.epoch), s.last.number, s.events, uint64(s.end),
		uint64(s.counts[marks]), uint64(s.counts[orders]), uint64(s.counts[deeds]), uint64(s.sum), uint64(len(s.sessions))} {
		b = binary.AppendUvarint(b, v)
	}
	for _, h := range s.sessions {
		b = binary.AppendUvarint(b, uint64(h))
	}
	for _, o := range s.operators {
		b = binary.AppendUvarint(b, uint64(len(o)))
		b = append(b, o...)
	}
	le, body := binary.LittleEndian, b[at:]
	b = le.AppendUint32(b, uint32(len(body)))
	b = le.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, endMagic...)
}

// takeSummary takes what summary wrote.
func (s *segment) takeSummary(b []byte) error {
	r := reader{buf: b}
	s.last = entry{engine.LogIndex(r.uint()), engine.Time(r.uint()), engine.Epoch(r.uint()), r.uint()}
	s.events, s.end = r.uint(), int64(r.uint())
	for t := range s.counts {
		s.counts[t] = int64(r.uint())
	}
	s.sum = r.uint32()
	for range r.uint() {
		if s.sessions = append(s.sessions, engine.SessionHandle(r.uint32())); r.err != nil {
			break
		}
	}
	for r.err == nil && len(r.buf) > 0 {
		s.operators = append(s.operators, r.string())
	}
	if err := r.done(); err != nil {
		return err
	}
	if s.last.index < s.after || s.end < headerBytes || s.at(tables)+int64(len(b))+trailerBytes != s.size {
		return damaged("the summary says what can't be")
	}
	return nil
}

// readAt reads exactly len(b) bytes.
func readAt(f io.ReaderAt, b []byte, at int64) error {
	n, err := f.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return damaged("it is cut short")
	}
	return err
}

// openSegment reads what a file says of itself at both ends. One without a summary
// is not sealed, and nothing is known yet of what is in it.
func openSegment(fsys vfs.FS, path string) (*segment, error) {
	f, err := fsys.OpenRead(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &segment{}
	if s.size, err = f.Size(); err != nil {
		return nil, err
	}
	b := make([]byte, headerBytes)
	if err := readAt(f, b, 0); err != nil {
		return nil, err
	}
	if s.header, err = headerOf(b); err != nil {
		return nil, err
	}
	if s.name() != filepath.Base(path) {
		return nil, damaged("its name is not that of what it covers, %s", s.name())
	}
	if s.size < headerBytes+trailerBytes {
		return s, nil
	}
	b = b[:trailerBytes]
	if err := readAt(f, b, s.size-trailerBytes); err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(b))
	if string(b[8:]) != endMagic || length > s.size-headerBytes-trailerBytes {
		return s, nil
	}
	body := make([]byte, length)
	if err := readAt(f, body, s.size-trailerBytes-length); err != nil {
		return nil, err
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, damaged("the summary does not fit its checksum")
	}
	s.sealed = true
	return s, s.takeSummary(body)
}

// check compares the file with its checksum, once.
func (s *segment) check(fsys vfs.FS, dir string) error {
	if !s.sealed || s.checked.Load() {
		return nil
	}
	s.checking.Lock()
	defer s.checking.Unlock()
	if s.checked.Load() {
		return nil
	}
	f, err := fsys.OpenRead(filepath.Join(dir, s.name()))
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size != s.size {
		return damaged("it has %d bytes instead of %d", size, s.size)
	}
	var sum uint32
	b := make([]byte, 256<<10)
	for at, end := int64(0), s.at(tables); at < end; at += int64(len(b)) {
		b = b[:min(int64(len(b)), end-at)]
		if err := readAt(f, b, at); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, b)
	}
	if sum != s.sum {
		return damaged("its bytes do not fit their checksum")
	}
	s.checked.Store(true)
	return nil
}

// offsets gives those of the frames that a table has under a key, sorted. f is not
// read for the live segment.
func (s *segment) offsets(f io.ReaderAt, table int, key uint64) (found []uint32, err error) {
	if !s.sealed {
		for _, r := range s.rows[table] {
			if r.key == key {
				found = append(found, r.offset)
			}
		}
		return slices.Compact(found), nil
	}
	for i, err := s.search(f, table, key); i < s.counts[table] || err != nil; i++ {
		if err != nil {
			return nil, err
		}
		r, err := s.row(f, table, i)
		if err != nil || r.key != key {
			return slices.Compact(found), err
		}
		found = append(found, r.offset)
	}
	return slices.Compact(found), nil
}

// row reads one of a table.
func (s *segment) row(f io.ReaderAt, table int, i int64) (row, error) {
	if !s.sealed {
		return s.rows[table][i], nil
	}
	var b [rowBytes]byte
	err := readAt(f, b[:], s.at(table)+i*rowBytes)
	return row{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint32(b[8:])}, err
}

// search gives the place of the first row whose key is not below key.
func (s *segment) search(f io.ReaderAt, table int, key uint64) (int64, error) {
	n := int(s.counts[table])
	if !s.sealed {
		n = len(s.rows[table])
	}
	var failed error
	i := sort.Search(n, func(i int) bool {
		r, err := s.row(f, table, int64(i))
		failed = cmp.Or(failed, err)
		return err != nil || r.key >= key
	})
	return int64(i), failed
}

// table reads a whole one, at most once a call: it may be long.
func (s *segment) table(f io.ReaderAt, table int) ([]row, error) {
	if !s.sealed {
		return s.rows[table], nil
	}
	rows := make([]row, s.counts[table])
	b := make([]byte, len(rows)*rowBytes)
	err := readAt(f, b, s.at(table))
	for i := range rows {
		rows[i] = row{binary.BigEndian.Uint64(b[i*rowBytes:]), binary.BigEndian.Uint32(b[i*rowBytes+8:])}
	}
	return rows, err
}

// bytes is how many the segment takes on disk.
func (s *segment) bytes() int64 {
	if s.sealed {
		return s.size
	}
	return s.end
}

// seek gives an offset at or before the first entry from index on.
func (s *segment) seek(f io.ReaderAt, index engine.LogIndex) (int64, error) {
	i, err := s.search(f, marks, uint64(index)+1)
	if err != nil || i == 0 {
		return headerBytes, err
	}
	r, err := s.row(f, marks, i-1)
	return int64(r.offset), err
}

// scan gives the records of the frames from one offset to another to visit, until it
// returns false. A record's slices are valid until visit returns.
func scan(f io.ReaderAt, from, to int64, visit func(rec *wal.Record) (bool, error)) error {
	var b []byte // of the file, up to at
	at := from
	fill := func(n int) error {
		if int64(n) > int64(len(b))+to-at {
			return damaged("a frame reaches over the end at %d", to)
		}
		if n <= len(b) {
			return nil
		}
		more := int(min(to-at, int64(max(n, scanBytes)-len(b))))
		b = append(make([]byte, 0, len(b)+more), b...)
		err := readAt(f, b[len(b):len(b)+more], at)
		b, at = b[:len(b)+more], at+int64(more)
		return err
	}
	for at-int64(len(b)) < to {
		if err := fill(wal.FrameHeaderBytes); err != nil {
			return err
		}
		length, ok := wal.FrameLength(b)
		if ok {
			if err := fill(length); err != nil {
				return err
			}
		}
		rec, length, commit, whole := wal.DecodeFrame(b)
		if !ok || !whole {
			return damaged("no intact frame is at %d", at-int64(len(b)))
		}
		if b = b[length:]; commit {
			continue
		}
		if goOn, err := visit(&rec); err != nil || !goOn {
			return err
		}
	}
	return nil
}

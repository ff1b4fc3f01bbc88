package trail

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// A segment is a file of batches (see wal/frame.go), a record an entry. It covers
// every entry after the index in its header up to its last, those without events
// too; its name is the first index that it covers, and its kind. Header, little endian:
//
//	byte 0          8         10     12      28      36      44         52     56
//	     +----------+---------+------+-------+-------+-------+----------+------+---------
//	     | DBTRAIL1 | version | kind | group | owner | after | time     | crc  | batches
//	     |          | u16     | u16  |       | u64   | u64   | i64      | u32  |
//	     +----------+---------+------+-------+-------+-------+----------+------+---------
//
//	kind      0: all events; 1: operators' deeds alone; 2 more where all of it was dropped
//	owner     xxHash64 of the name of the data directory from whose log it was written, or 0
//	time      state time at after; 0 where that is not known
//	crc       CRC-32C of the header before it
//
// A sealed one goes on with a table of rows, each a key (u64) and the offset of a
// frame (u32), big endian and sorted: keys are orders (session and ordinal), and hashes
// of operators. Then come the summary, in varints, and where to find it:
//
//	+-------+---------+-----------------------+-----------------+----------+
//	| table | summary | length of summary u32 | CRC-32C of it   | DBTRLEND |
//	+-------+---------+-----------------------+-----------------+----------+
//
// The summary has a CRC-32C of all that stands before it.
const (
	magic        = "DBTRAIL1"
	endMagic     = "DBTRLEND"
	version      = 1
	headerBytes  = 56
	trailerBytes = 16
	rowBytes     = 12
	tempSuffix   = ".tmp"

	// markEvery is how far apart in the file the entries are that can be gone to at once.
	markEvery = 32 << 10
	// scanBytes is how much of a file is read at once.
	scanBytes = 64 << 10
)

// Kinds of segments.
const (
	events = iota
	deeds
	kinds
)

var suffixes = [kinds]string{".trail", ".deeds"}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type header struct {
	group [16]byte
	owner uint64
	after engine.LogIndex
	time  engine.Time
	kind  int
	gone  bool // dropped: it covers all up to an index, and has nothing of it
}

func (h *header) name() string { return fmt.Sprintf("%020d%s", uint64(h.after)+1, suffixes[h.kind]) }

// headerRecord is a header as it stands in the file.
type headerRecord struct {
	Magic         [8]byte
	Version, Kind uint16
	Group         [16]byte
	Owner, After  uint64
	Time          int64
	CRC           uint32
}

func (h *header) bytes() []byte {
	r := headerRecord{[8]byte([]byte(magic)), version, uint16(h.kind), h.group, h.owner,
		uint64(h.after), int64(h.time), 0}
	if h.gone {
		r.Kind += kinds
	}
	b, _ := binary.Append(nil, binary.LittleEndian, &r) // its size is fixed
	binary.LittleEndian.PutUint32(b[headerBytes-4:], crc32.Checksum(b[:headerBytes-4], castagnoli))
	return b
}

func headerOf(b []byte) (h header, err error) {
	var r headerRecord
	_, err = binary.Decode(b, binary.LittleEndian, &r)
	switch {
	case err != nil || string(r.Magic[:]) != magic:
		return h, codec.Damaged("it does not begin like a segment of the trail")
	case r.Version > version:
		return h, fmt.Errorf("a segment of version %d, this build reads %d: %w", r.Version,
			version, engine.ErrNewerFormat)
	case crc32.Checksum(b[:headerBytes-4], castagnoli) != r.CRC || r.Kind >= 2*kinds:
		return h, codec.Damaged("the header does not fit its checksum")
	}
	return header{r.Group, r.Owner, engine.LogIndex(r.After), engine.Time(r.Time),
		int(r.Kind % kinds), r.Kind >= kinds}, nil
}

// row leads from a key to the frame of an entry.
type row struct {
	key    uint64
	offset uint32
}

// Keys may be equal by chance: who looks one up looks at the events, too.
func orderKey(ref engine.OrderRef) uint64      { return uint64(ref.Session)<<32 | uint64(ref.Ordinal) }
func operatorKey(operator string) uint64       { return xxhash.Sum64String(operator) }
func sessionKey(h engine.SessionHandle) uint64 { return uint64(h) }

// anyDeed is the name of all that operators did; no session has it.
const anyDeed = 0

// contents is what leads to a segment's entries. Of the one that is written to,
// slices only grow: what readers were given stays.
type contents struct {
	upto  engine.LogIndex // it covers all up to here
	last  entry           // that is known; it may be before upto
	end   int64           // of the batches
	marks []row           // log indexes, each of an entry about markEvery behind the one before
	rows  []row           // the table, of the one that is written to
}

// segment is one whose coverage is known. It does not change.
type segment struct {
	header
	contents
	sealed bool
	names  []uint64 // keys of sessions and operators, sorted; of a sealed one
	count  int      // of rows on disk
	sum    uint32   // of all that stands before the summary
	size   int64

	checking sync.Mutex
	checked  atomic.Bool // the file was compared with sum
}

func (s *segment) summaryAt() int64 { return s.end + int64(s.count)*rowBytes }

// summary appends the summary and the trailer.
func (s *segment) summary() []byte {
	var w codec.Writer
	w.Uint(uint64(s.upto), uint64(s.last.index), uint64(s.last.time), uint64(s.last.epoch), s.last.number,
		uint64(s.end), uint64(s.count), uint64(s.sum), uint64(len(s.names)), uint64(len(s.marks)))
	w.Uint(s.names...)
	for _, m := range s.marks {
		w.Uint(m.key, uint64(m.offset))
	}
	le, b := binary.LittleEndian, w.Buf
	b = le.AppendUint32(le.AppendUint32(b, uint32(len(b))), crc32.Checksum(b, castagnoli))
	return append(b, endMagic...)
}

// takeSummary takes what summary gave, but for the trailer.
func (s *segment) takeSummary(b []byte) error {
	r := codec.Reader{Buf: b}
	s.upto, s.last = engine.LogIndex(r.Uint()), entry{engine.LogIndex(r.Uint()), engine.Time(r.Uint()),
		engine.Epoch(r.Uint()), r.Uint()}
	s.end, s.count, s.sum = int64(r.Uint()), int(r.Uint32()), r.Uint32()
	names, marks := r.Uint(), r.Uint()
	for ; names > 0 && r.Err == nil; names-- {
		s.names = append(s.names, r.Uint())
	}
	for ; marks > 0 && r.Err == nil; marks-- {
		s.marks = append(s.marks, row{r.Uint(), r.Uint32()})
	}
	if r.Done() == nil && (s.upto < s.after || s.end < headerBytes ||
		s.summaryAt()+int64(len(b))+trailerBytes != s.size) {
		r.Fail()
	}
	return r.Err
}

// readAt reads n bytes.
func readAt(f io.ReaderAt, at, n int64) ([]byte, error) {
	b := make([]byte, n)
	got, err := f.ReadAt(b, at)
	if got == len(b) {
		return b, nil
	}
	if err == io.EOF {
		err = codec.Damaged("it is cut short")
	}
	return nil, err
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
	b, err := readAt(f, 0, headerBytes)
	if err != nil {
		return nil, err
	}
	if s.header, err = headerOf(b); err != nil {
		return nil, err
	}
	if s.name() != filepath.Base(path) {
		return nil, codec.Damaged("its name is not that of what it covers, %s", s.name())
	}
	room := s.size - headerBytes - trailerBytes
	if room < 0 {
		return s, nil
	}
	if b, err = readAt(f, s.size-trailerBytes, trailerBytes); err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(b))
	if string(b[8:]) != endMagic || length > room {
		return s, nil
	}
	body, err := readAt(f, s.size-trailerBytes-length, length)
	if err != nil {
		return nil, err
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, codec.Damaged("the summary does not fit its checksum")
	}
	s.sealed = true
	return s, s.takeSummary(body)
}

// check compares the file with its checksum, once.
func (s *segment) check(f vfs.File) error {
	s.checking.Lock()
	defer s.checking.Unlock()
	if !s.sealed || s.checked.Load() {
		return nil
	}
	if size, err := f.Size(); err != nil || size != s.size {
		return cmp.Or(err, codec.Damaged("it has %d bytes instead of %d", size, s.size))
	}
	sum := crc32.New(castagnoli)
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, s.summaryAt())); err != nil {
		return err
	}
	if sum.Sum32() != s.sum {
		return codec.Damaged("its bytes do not fit their checksum")
	}
	s.checked.Store(true)
	return nil
}

// offsets gives those of the frames that the table has under a key, sorted.
func (s *segment) offsets(f io.ReaderAt, key uint64) (found []uint32, err error) {
	rowAt := func(i int) (r row) {
		if !s.sealed {
			return s.rows[i]
		}
		b, failed := readAt(f, s.end+int64(i)*rowBytes, rowBytes)
		if err = cmp.Or(err, failed); err != nil {
			return row{}
		}
		return row{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])}
	}
	i, n := 0, len(s.rows) // these are not sorted
	if s.sealed {
		n = s.count
		i = sort.Search(n, func(i int) bool { return rowAt(i).key >= key || err != nil })
	}
	for ; i < n && err == nil; i++ {
		if r := rowAt(i); r.key == key {
			found = append(found, r.offset)
		} else if s.sealed {
			break
		}
	}
	return slices.Compact(found), err
}

// seek gives an offset at or before the first entry from index on.
func (s *segment) seek(index engine.LogIndex) int64 {
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].key > uint64(index) })
	if i == 0 {
		return headerBytes
	}
	return int64(s.marks[i-1].offset)
}

// scan gives the records of the frames from one offset to another to visit, until it
// returns false. A record's slices are valid until visit returns.
func scan(f io.ReaderAt, from, to int64, visit func(rec *wal.Record) (bool, error)) error {
	r := bufio.NewReaderSize(io.NewSectionReader(f, from, to-from), int(min(to-from, scanBytes)))
	var b []byte
	for from < to {
		head, err := r.Peek(wal.FrameHeaderBytes)
		length, ok := wal.FrameLength(head)
		if ok = ok && int64(length) <= to-from; ok {
			b = slices.Grow(b[:0], length)[:length]
			_, err = io.ReadFull(r, b)
		}
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		rec, length, commit, whole := wal.DecodeFrame(b)
		if !ok || !whole {
			return codec.Damaged("no intact frame is at %d", from)
		}
		if from += int64(length); commit {
			continue
		}
		if goOn, err := visit(&rec); err != nil || !goOn {
			return err
		}
	}
	return nil
}

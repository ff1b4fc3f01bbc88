package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"doorbuster/wal/vfs"
)

// TornTail is a last batch that never became whole: what a crash in the middle
// of an append leaves behind. Nothing shows that it was whole once, and Open looks
// at all that could: but damage that looks just like it, to a batch that only a
// mark would know which a loss of power took along, is taken for one.
type TornTail struct {
	Segment string // base name of the file
	Offset  int64  // byte at which the batch begins; everything from here goes
	Bytes   int64  // bytes up to the last that is not zero
	Index   uint64 // first index of the batch
	Records int    // intact record frames among the bytes
	Reason  string
}

func (t *TornTail) String() string {
	return fmt.Sprintf("%s at byte %d: %d bytes, %d intact records from index %d: %s",
		t.Segment, t.Offset, t.Bytes, t.Records, t.Index, t.Reason)
}

// Recovery is what Open found to tidy up.
type Recovery struct {
	Torn    *TornTail // nil when the log ended cleanly
	Removed []string  // files that a crash had kept from being removed
}

// contents is what the files of a directory say. Nothing is changed by finding
// out.
type contents struct {
	floor    uint64     // 0 when there is no floor
	segments []*segment // those with records at or above the floor, and the tail; opened for reading
	leftover []string   // temporary files, and segments wholly void or below the floor
	last     uint64     // of the tail; below the floor when the log is empty
	batches  uint64
	bytes    int64
	torn     *TornTail
	known    Known // of records that the log has held
}

func (c *contents) close() {
	for _, s := range c.segments {
		s.file.Close() // opened for reading: nothing is lost by a failure
	}
}

// inspect reads the whole log and judges it, by what is known of it. visit, when not nil, is given each
// live record in order; its slices are valid during the call only. On an error
// of any kind the returned contents say how far it got.
func inspect(fsys vfs.FS, dir string, known Known, visit func(Entry) error) (*contents, error) {
	c := &contents{known: known}
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return c, c.holdsKnown()
	}
	if err != nil {
		return c, fmt.Errorf("wal: list %s: %w", dir, err)
	}
	var bases []uint64
	for _, name := range names {
		if base, ok := parseSegmentName(name); ok {
			bases = append(bases, base)
		} else if strings.HasSuffix(name, tempSuffix) {
			c.leftover = append(c.leftover, name)
		}
	}
	slices.Sort(bases)
	slices.Sort(c.leftover)
	if c.floor, err = readFloor(fsys, dir); err != nil {
		return c, err
	}
	if c.floor == 0 && len(bases) > 0 {
		return c, &DamageError{Segment: floorName, Reason: "it is missing although there are segments"}
	}
	mark, err := readMark(fsys, dir)
	if err != nil {
		return c, err
	}
	if mark > c.known.Index {
		c.known = Known{mark, "the log's own " + markName}
	}
	// All headers come before any content, so that a newer format anywhere is
	// named as such instead of as damage.
	for _, base := range bases {
		if err := c.openSegment(fsys, dir, base); err != nil {
			return c, err
		}
	}
	c.dropVoid()
	c.dropBelowFloor()
	if len(c.segments) > 0 && c.segments[0].base > c.floor {
		return c, &DamageError{Segment: c.segments[0].name, Index: c.floor,
			Reason: fmt.Sprintf("records %d to %d, in front of it, are missing", c.floor, c.segments[0].base-1)}
	}
	var buf []byte
	var term uint64
	for i, s := range c.segments {
		var successor *segment
		if i+1 < len(c.segments) {
			successor = c.segments[i+1]
		}
		if buf, err = readWhole(s.file, s.name, buf); err != nil {
			return c, err
		}
		r := segmentReader{b: buf, segment: s, floor: c.floor, term: term, known: c.known,
			visit: visit, limit: ^uint64(0)}
		if successor != nil {
			r.limit = successor.base
		}
		err := r.read()
		c.batches += r.batches
		c.bytes += s.end
		c.last = s.next() - 1
		if err != nil {
			return c, err
		}
		if r.damage != nil {
			if c.torn, err = r.judge(successor); err != nil {
				return c, err
			}
		}
		if successor != nil {
			if s.next() < successor.base {
				return c, &DamageError{Segment: s.name, Offset: s.end, Index: s.next(),
					Reason: fmt.Sprintf("records %d to %d are missing before %s", s.next(),
						successor.base-1, successor.name)}
			}
		}
		term = s.lastTerm
	}
	return c, c.holdsKnown()
}

// holdsKnown returns a *DamageError when the log ends before a record that it is
// known to have held.
func (c *contents) holdsKnown() error {
	if c.known.Index <= c.last || c.known.Index < c.floor {
		return nil
	}
	e := &DamageError{Segment: floorName, Index: max(c.last+1, c.floor, 1),
		Reason: fmt.Sprintf("its log is gone: it holds nothing, but %s proves that it held record %d",
			c.known.By, c.known.Index)}
	if n := len(c.segments); n > 0 {
		e.Segment, e.Offset = c.segments[n-1].name, c.segments[n-1].end
		e.Reason = fmt.Sprintf("the log ends here, but %s proves that it held record %d", c.known.By, c.known.Index)
	}
	return e
}

// dropVoid leaves out the segments that are void as a whole because one with a
// lower first index is of a later generation: a crash has come before
// TruncateSuffix could remove them.
func (c *contents) dropVoid() {
	var generation uint32
	c.segments = slices.DeleteFunc(c.segments, func(s *segment) bool {
		if s.generation < generation {
			c.leave(s)
			return true
		}
		generation = s.generation
		return false
	})
}

// dropBelowFloor leaves out the segments that hold only records that do not
// exist any more.
func (c *contents) dropBelowFloor() {
	for len(c.segments) > 1 && c.segments[1].base <= c.floor {
		c.leave(c.segments[0])
		c.segments = c.segments[1:]
	}
}

func (c *contents) leave(s *segment) {
	s.file.Close() // opened for reading: nothing is lost by a failure
	c.leftover = append(c.leftover, s.name)
}

func (c *contents) openSegment(fsys vfs.FS, dir string, base uint64) error {
	name := segmentName(base)
	file, err := fsys.OpenRead(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("wal: open %s: %w", name, err)
	}
	s := &segment{base: base, name: name, file: file, end: batchesAt}
	c.segments = append(c.segments, s)
	size, err := file.Size()
	if err != nil {
		return fmt.Errorf("wal: size of %s: %w", name, err)
	}
	s.allocated = size
	header := make([]byte, min(size, segmentHeaderBytes))
	if n, err := file.ReadAt(header, 0); n < len(header) {
		return fmt.Errorf("wal: read %s: %w", name, err)
	}
	value, generation, err := decodeHeader(header, segmentMagic, name)
	if err != nil {
		return err
	}
	s.generation = generation
	if value != base {
		return &DamageError{Segment: name, Offset: 16,
			Reason: fmt.Sprintf("its header says that it begins at record %d", value)}
	}
	return nil
}

// segmentReader walks over the batches of one segment and fills in its
// offsets, end and lastTerm.
type segmentReader struct {
	b       []byte
	segment *segment
	floor   uint64
	limit   uint64 // records at or above it are void (invariant 3)
	term    uint64 // of the record before the segment
	known   Known
	visit   func(Entry) error

	batches uint64
	damage  *damage
}

// damage is where a walk could not go on.
type damage struct {
	batchAt int // byte at which the batch in question begins
	at      int // first byte that does not make sense
	records int // intact records of the batch before at
	reason  string
	never   bool // no crash leaves that
}

// read stops at a clean end or at damage, which it leaves for judge. Its error
// is visit's.
func (r *segmentReader) read() error {
	s := r.segment
	s.lastTerm = r.term
	if len(r.b) < batchesAt || !isZero(r.b[segmentHeaderBytes:batchesAt]) {
		r.damage = &damage{at: segmentHeaderBytes, never: true,
			reason: "there is more or less than zeros behind the header"}
		return nil
	}
	at, first, term := batchesAt, s.base, r.term
	for {
		offsets, end, batchTerm, d := r.batch(at, first, term)
		if d != nil {
			if d.at == at && isZero(r.b[at:]) {
				return nil
			}
			r.damage = d
			return nil
		}
		r.batches++
		for i, offset := range offsets {
			index := first + uint64(i)
			if index == r.limit {
				s.end = int64(offset)
			}
			if index >= r.limit {
				break
			}
			s.offsets = append(s.offsets, offset)
			s.lastTerm = frameTerm(r.b[offset:])
			if r.visit != nil && index >= r.floor {
				f, _ := decodeFrame(r.b[offset:])
				if err := r.visit(Entry{Record: f.record(), Segment: s.name, Offset: int64(offset)}); err != nil {
					return err
				}
			}
		}
		at, first, term = end, first+uint64(len(offsets)), batchTerm
		if first <= r.limit {
			s.end = int64(end)
		}
	}
}

// batch reads the batch at byte at, which must begin with record first.
func (r *segmentReader) batch(at int, first, term uint64) (offsets []uint32, end int, _ uint64, _ *damage) {
	var sum uint32
	for off := at; ; {
		d := &damage{batchAt: at, at: off, records: len(offsets)}
		f, ok := decodeFrame(r.b[off:])
		switch {
		case !ok:
			d.reason = "no intact frame"
			if isZero(r.b[off:]) {
				d.reason = "the batch has no commit frame"
			}
			return nil, 0, 0, d
		case f.batchFirst() != first:
			d.reason = fmt.Sprintf("%s where record %d belongs", &f, first+uint64(len(offsets)))
			return nil, 0, 0, d
		case f.term < term:
			d.reason = fmt.Sprintf("term %d after term %d", f.term, term)
			return nil, 0, 0, d
		case f.kind == kindCommit:
			if len(offsets) == 0 || !f.seals(len(offsets), sum) {
				d.reason = "the commit frame does not match its batch"
				return nil, 0, 0, d
			}
			end, whole := off+len(f.bytes), int(blocks(int64(off+len(f.bytes))))
			if !isZero(r.b[end:whole]) {
				return nil, 0, 0, &damage{batchAt: at, at: end, records: len(offsets), never: true,
					reason: "there is something behind the commit frame in its block"}
			}
			return offsets, whole, f.term, nil
		case int64(f.position) != int64(len(offsets)):
			d.reason = fmt.Sprintf("%s where record %d belongs", &f, first+uint64(len(offsets)))
			return nil, 0, 0, d
		}
		offsets = append(offsets, uint32(off))
		sum, term = f.carry(sum), f.term
		off += len(f.bytes)
	}
}

// judge decides whether the damage is torn, and may be cut off, or rotten,
// which is an error.
//
// A crash in the middle of an append can leave any of the batch's sectors as
// they were before, which is zero, and the others as they should be. It can't
// leave anything of a later batch: that is only begun once this one is on disk.
// So damage is torn if a sector of zeros, or an end of all writing, explains the
// first frame that fails, nothing intact follows but frames of the same batch, and
// a sector of zeros explains each gap; and if nothing proves that the batch was
// whole once.
//
// What remains undecidable is damage that looks exactly like this in a last
// batch that was acknowledged, and that no proof is left of.
func (r *segmentReader) judge(successor *segment) (*TornTail, error) {
	d, s := r.damage, r.segment
	index := s.next()
	rotten := func(format string, args ...any) error {
		return &DamageError{Segment: s.name, Offset: int64(d.at), Index: index,
			Reason: d.reason + ", and " + fmt.Sprintf(format, args...)}
	}
	if successor != nil {
		return nil, rotten("segment %s follows", successor.name)
	}
	if d.never {
		return nil, rotten("no crash leaves that")
	}
	if !r.unwritten(d) {
		return nil, rotten("every sector that it lies in was written")
	}
	records := d.records
	gap := d.at
	committed := false
	for off := d.at; off+FrameHeaderBytes <= len(r.b); {
		kind := r.b[off+8]
		if kind != kindRecord && kind != kindCommit {
			off++
			continue
		}
		f, ok := decodeFrame(r.b[off:])
		if !ok || !r.plausible(f.index) {
			off++
			continue
		}
		if f.batchFirst() != index {
			return nil, rotten("%s, of a later batch, is intact at byte %d", &f, off)
		}
		adjoins := off == gap && off > d.at                              // the frame before it is intact too
		if !adjoins && !r.sectorLost(d.batchAt, gap, off-blockBytes+1) { // one that ends before it
			return nil, rotten("%s, of the same batch, is intact at byte %d while no sector in between is missing",
				&f, off)
		}
		off += len(f.bytes)
		gap = off
		if f.kind == kindRecord {
			records++
		} else {
			committed = true
			break
		}
	}
	if committed && !isZero(r.b[gap:]) {
		return nil, rotten("its commit frame is intact and more was written after it, at byte %d", gap)
	}
	if r.known.Index >= index {
		return nil, rotten("%s proves that the log held record %d", r.known.By, r.known.Index)
	}
	end := len(r.b)
	for end > d.batchAt && r.b[end-1] == 0 {
		end--
	}
	return &TornTail{Segment: s.name, Offset: int64(d.batchAt), Bytes: int64(end - d.batchAt),
		Index: index, Records: records, Reason: d.reason}, nil
}

// unwritten reports whether a crash explains that no good frame is where the
// damage is: a sector that it touches reads as if the batch had not been written to
// it, or the writing ended within it. Where its head was written, that says how long
// it is.
func (r *segmentReader) unwritten(d *damage) bool {
	written := len(r.b) // up to the last byte that is not zero
	for written > d.at && r.b[written-1] == 0 {
		written--
	}
	touches := func(to int) bool { return written < to || r.sectorLost(d.batchAt, d.at, to) }
	if touches(d.at + FrameHeaderBytes) {
		return true
	}
	length, ok := FrameLength(r.b[d.at:])
	return ok && touches(d.at+length)
}

// plausible reports whether the segment could hold a record of that index.
// Record bytes may hold anything, even frames; this keeps most from counting.
func (r *segmentReader) plausible(index uint64) bool {
	return index >= r.segment.base && index-r.segment.base <= uint64(len(r.b)/FrameHeaderBytes)
}

// sectorLost reports whether bytes from up to to, in the batch which begins at
// byte batchAt, touch a sector that reads as if the batch had not been written
// to it. A sector that
// holds from may begin earlier, when an intact frame ends in zeros there.
func (r *segmentReader) sectorLost(batchAt, from, to int) bool {
	for sector := from / blockBytes * blockBytes; sector < to; sector += blockBytes {
		if isZero(r.b[max(sector, batchAt):min(sector+blockBytes, len(r.b))]) {
			return true
		}
	}
	return false
}

func isZero(b []byte) bool {
	for len(b) >= 64 {
		if [64]byte(b) != [64]byte{} {
			return false
		}
		b = b[64:]
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

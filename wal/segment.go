package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"doorbuster/wal/vfs"
)

// FormatVersion is the newest version of the files that this build writes and
// reads. It covers segments, frames, the floor and the mark.
const FormatVersion = 1

// A segment is a file of batches. Its name is the index of its first record,
// in 20 digits, and ".wal". It begins with a block that has a header; then come
// batches (see frame.go), each in blocks of its own that are filled up with zeros,
// then zeros. Integers are little-endian.
//
//	byte 0          8         10     16            24           28      32      512
//	     +----------+---------+------+-------------+------------+-------+-------+---------
//	     | DBLOGSEG | version | zero | first index | generation | crc   | zeros | batches
//	     |          | u16     |      | u64         | u32        | u32   |       |
//	     +----------+---------+------+-------------+------------+-------+-------+---------
//
// generation is raised by each TruncateSuffix: the segment that it begins voids
// whatever older generations hold at or above its first index. crc is a CRC-32C
// of bytes 0 to 27. Magic and version keep their place in every format to come,
// so that an old build can name a newer one.
const (
	segmentHeaderBytes = 32
	blockBytes         = vfs.BlockBytes
	batchesAt          = blockBytes
	segmentMagic       = "DBLOGSEG"
	oldMagic           = "DBWAL" // what all files began with before version 1 of the formats
	segmentSuffix      = ".wal"
	segmentDigits      = 20

	// tempSuffix marks a file that is not yet in force; Open removes it.
	tempSuffix = ".tmp"

	// largestSegment bounds what is read into memory when a file claims to
	// be a segment, and keeps offsets within 32 bits.
	largestSegment = MaxSegmentBytes + MaxBatchBytes

	// firstAllocation is how far a new segment is allocated ahead; from there on it goes
	// by steps, so that a small log stays small.
	firstAllocation = 1 << 20
	// mostAhead bounds a step: an append that needs one writes that many zeros, and whoever
	// waits for it half a millisecond longer.
	mostAhead = 512 << 10
)

// segment is an open segment. base, generation, name and file do not change once
// the log is open. The rest is guarded by Log.mu, but only the appender changes it and may read it
// without.
type segment struct {
	base       uint64 // index of the first record, and the name
	generation uint32
	name       string
	file       vfs.File

	// offsets holds the byte at which each record's frame begins, from base
	// on: four bytes a record, and no search on a read.
	offsets []uint32

	end       int64  // byte after the last batch's blocks, or where what a successor voids begins
	lastTerm  uint64 // of the last record up to here, in this segment or before
	allocated int64  // file size
}

// blocks rounds up to whole blocks.
func blocks(n int64) int64 { return (n + blockBytes - 1) &^ (blockBytes - 1) }

func segmentName(base uint64) string {
	return fmt.Sprintf("%0*d%s", segmentDigits, base, segmentSuffix)
}

// parseSegmentName reports whether name is a segment's, and its first index.
func parseSegmentName(name string) (base uint64, ok bool) {
	digits, found := strings.CutSuffix(name, segmentSuffix)
	if !found || len(digits) != segmentDigits {
		return 0, false
	}
	base, err := strconv.ParseUint(digits, 10, 64)
	return base, err == nil && base > 0 && segmentName(base) == name
}

// next returns the index after the segment's last record.
func (s *segment) next() uint64 { return s.base + uint64(len(s.offsets)) }

// extent returns where to read to get record index's frame. It may include the
// commit frame that follows.
func (s *segment) extent(index uint64) (from, to int64) {
	i := index - s.base
	from, to = int64(s.offsets[i]), s.end
	if i+1 < uint64(len(s.offsets)) {
		to = int64(s.offsets[i+1])
	}
	return from, to
}

// appendHeader appends to an empty b the header that segments, floor and mark
// share.
func appendHeader(b []byte, magic string, value uint64, generation uint32) []byte {
	le := binary.LittleEndian
	b = append(b, magic...)
	b = le.AppendUint16(b, FormatVersion)
	b = append(b, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint64(b, value)
	b = le.AppendUint32(b, generation)
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeHeader returns what appendHeader was given. name is for errors:
// ErrNewerFormat, ErrOlderFormat or a *DamageError.
func decodeHeader(b []byte, magic, name string) (value uint64, generation uint32, _ error) {
	le := binary.LittleEndian
	if len(b) < segmentHeaderBytes {
		return 0, 0, &DamageError{Segment: name, Reason: fmt.Sprintf("%d bytes are too few for a header", len(b))}
	}
	if string(b[:5]) == oldMagic {
		return 0, 0, fmt.Errorf("%s: %w", name, ErrOlderFormat)
	}
	if string(b[:8]) != magic {
		return 0, 0, &DamageError{Segment: name, Reason: fmt.Sprintf("it begins with %q instead of %q", b[:8], magic)}
	}
	if version := le.Uint16(b[8:]); version > FormatVersion {
		return 0, 0, fmt.Errorf("%w: %s was written by format %d; this build reads up to %d",
			ErrNewerFormat, name, version, FormatVersion)
	} else if version == 0 {
		return 0, 0, &DamageError{Segment: name, Offset: 8, Reason: "format 0 does not exist"}
	}
	if crc32.Checksum(b[:28], castagnoli) != le.Uint32(b[28:]) {
		return 0, 0, &DamageError{Segment: name, Reason: "the header's checksum does not hold"}
	}
	return le.Uint64(b[16:]), le.Uint32(b[24:]), nil
}

// createSegment makes the segment whose first record is base, and its name,
// durable (invariant 1). It replaces one of the same name at once.
func createSegment(fsys vfs.FS, dir string, base uint64, generation uint32, allocate int64) (*segment, error) {
	name := segmentName(base)
	file, err := writeNew(fsys, dir, name, appendHeader(nil, segmentMagic, base, generation), allocate)
	if err != nil {
		return nil, err
	}
	return &segment{base: base, generation: generation, name: name, file: file, end: batchesAt,
		allocated: allocate}, nil
}

// readWhole reads the file into buf, growing it as needed, and fills its last block up
// with zeros.
func readWhole(file vfs.File, name string, buf []byte) ([]byte, error) {
	size, err := file.Size()
	if err != nil {
		return buf[:0], fmt.Errorf("wal: size of %s: %w", name, err)
	}
	if size > largestSegment {
		return buf[:0], &DamageError{Segment: name, Offset: largestSegment,
			Reason: fmt.Sprintf("its %d bytes are more than any segment has", size)}
	}
	if int64(cap(buf)) < blocks(size) {
		buf = make([]byte, blocks(size))
	}
	buf = buf[:size]
	if n, err := file.ReadAt(buf, 0); err != nil && !(err == io.EOF && n == len(buf)) {
		return buf[:0], fmt.Errorf("wal: read %s: %w", name, err)
	}
	buf = buf[:blocks(size)]
	clear(buf[size:])
	return buf, nil
}

package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A batch is its records' frames followed by one commit frame. Frames follow
// one another without gaps; integers are little-endian.
//
//	byte 0        4        8      9      10     12         16       24       32
//	     +--------+--------+------+------+------+----------+--------+--------+------+------+
//	     | crc    | length | kind | zero | meta | position | index  | term   | Meta | Data |
//	     | u32    | u32    | u8   | u8   | u16  | u32      | u64    | u64    |      |      |
//	     +--------+--------+------+------+------+----------+--------+--------+------+------+
//
//	crc       CRC-32C of the frame from byte 4 to its end
//	length    bytes after byte 32
//	meta      how many of them are Meta
//
//	          record frame (kind 1)           commit frame (kind 2)
//	position  place in the batch, from 0      number of records in the batch
//	index     the record's                    the last record's
//	term      the record's                    the last record's
//	length    len(Meta)+len(Data)             4: a CRC-32C of the batch's crc fields
//
// position ties each frame to its batch: index minus position is the batch's
// first index. So recovery can tell whether an intact frame that it meets after
// a damaged one belongs to the same batch, or proves that a later batch was
// begun, and the damaged one therefore acknowledged.
const (
	// FrameHeaderBytes is what FrameLength needs to see.
	FrameHeaderBytes = 32
	commitFrameBytes = FrameHeaderBytes + 4

	kindRecord = 1
	kindCommit = 2
)

// Bounds of what can be appended.
const (
	MaxMetaBytes  = 1<<16 - 1
	MaxBatchBytes = 1 << 30 // frames included
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Record is one entry of the log.
type Record struct {
	Index uint64 // consecutive, from 1 or wherever the log began
	Term  uint64 // never decreases along the log; means nothing here
	// at most MaxMetaBytes; kept beside Data so that a caller with a few attributes need not copy Data
	// behind them
	Meta []byte
	Data []byte
}

// FrameBytes is how many bytes the record takes in a batch.
func (r *Record) FrameBytes() int64 {
	return FrameHeaderBytes + int64(len(r.Meta)) + int64(len(r.Data))
}

// AppendBatch appends the frames of a batch to b: the records', and one that seals
// them. recs is not empty, and within the bounds of Append; indexes need not be
// consecutive.
func AppendBatch(b []byte, recs []Record) []byte {
	var sum uint32
	for i := range recs {
		r := &recs[i]
		at := len(b)
		b = frame{kind: kindRecord, position: uint32(i), index: r.Index, term: r.Term}.appendHeader(b,
			len(r.Meta)+len(r.Data), len(r.Meta))
		b = append(b, r.Meta...)
		b = append(b, r.Data...)
		sum = sealFrame(b[at:], sum)
	}
	last := &recs[len(recs)-1]
	at := len(b)
	b = frame{kind: kindCommit, position: uint32(len(recs)), index: last.Index, term: last.Term}.appendHeader(b, 4, 0)
	b = binary.LittleEndian.AppendUint32(b, sum)
	sealFrame(b[at:], 0)
	return b
}

func (f frame) appendHeader(b []byte, length, meta int) []byte {
	le := binary.LittleEndian
	b = append(b, 0, 0, 0, 0) // crc, filled in by sealFrame
	b = le.AppendUint32(b, uint32(length))
	b = append(b, f.kind, 0)
	b = le.AppendUint16(b, uint16(meta))
	b = le.AppendUint32(b, f.position)
	b = le.AppendUint64(b, f.index)
	return le.AppendUint64(b, f.term)
}

// sealFrame fills in the frame's crc and returns sum carried on over it.
func sealFrame(frame []byte, sum uint32) uint32 {
	binary.LittleEndian.PutUint32(frame, crc32.Checksum(frame[4:], castagnoli))
	return crc32.Update(sum, castagnoli, frame[:4])
}

// frame is a decoded frame; its slices alias the bytes it was decoded from.
type frame struct {
	kind     byte
	position uint32
	index    uint64
	term     uint64
	bytes    []byte // the whole frame
	meta     []byte
	data     []byte
}

// decodeFrame decodes the frame at the start of b. It reports false unless a
// whole frame is there and its checksum holds.
func decodeFrame(b []byte) (frame, bool) {
	length, ok := FrameLength(b)
	if !ok || length > len(b) {
		return frame{}, false
	}
	le := binary.LittleEndian
	b = b[:length]
	if crc32.Checksum(b[4:], castagnoli) != le.Uint32(b) {
		return frame{}, false
	}
	payload, meta := b[FrameHeaderBytes:], le.Uint16(b[10:])
	return frame{
		kind:     b[8],
		position: le.Uint32(b[12:]),
		index:    le.Uint64(b[16:]),
		term:     le.Uint64(b[24:]),
		bytes:    b,
		meta:     payload[:meta:meta],
		data:     payload[meta:len(payload):len(payload)],
	}, true
}

// FrameLength returns how many bytes the frame has that starts with b's first
// FrameHeaderBytes. It reports false where no frame starts so.
func FrameLength(b []byte) (int, bool) {
	if len(b) < FrameHeaderBytes {
		return 0, false
	}
	le := binary.LittleEndian
	kind, zero, length, meta := b[8], b[9], int64(le.Uint32(b[4:])), int64(le.Uint16(b[10:]))
	switch {
	case kind == kindCommit:
		return commitFrameBytes, zero == 0 && length == commitFrameBytes-FrameHeaderBytes && meta <= length
	case kind == kindRecord:
		return int(FrameHeaderBytes + length), zero == 0 && meta <= length && length <= MaxBatchBytes
	}
	return 0, false
}

// frameTerm returns the term of an intact frame.
func frameTerm(b []byte) uint64 { return binary.LittleEndian.Uint64(b[24:]) }

// batchFirst returns the first index of the batch that the frame belongs to.
// It wraps around on nonsense, which then matches no batch.
func (f *frame) batchFirst() uint64 {
	if f.kind == kindCommit {
		return f.index - uint64(f.position) + 1
	}
	return f.index - uint64(f.position)
}

func (f *frame) String() string {
	if f.kind == kindCommit {
		return fmt.Sprintf("the commit frame after record %d", f.index)
	}
	return fmt.Sprintf("record %d", f.index)
}

func (f *frame) record() Record {
	return Record{Index: f.index, Term: f.term, Meta: f.meta, Data: f.data}
}

// carry continues the batch's sum of checksums over this frame.
func (f *frame) carry(sum uint32) uint32 { return crc32.Update(sum, castagnoli, f.bytes[:4]) }

// seals reports whether this is the commit frame of a batch of count records
// whose checksums sum up to sum.
func (f *frame) seals(count int, sum uint32) bool {
	return f.kind == kindCommit && int64(f.position) == int64(count) && binary.LittleEndian.Uint32(f.data) == sum
}

// What follows is for packages that keep records in files of their own: the frames
// and their checks, without the log around them.

// DecodeFrame decodes the frame at the start of b; the record's slices alias b. The
// frame that seals a batch has no record, and gives commit. It reports false unless
// a whole frame is there and its checksum holds.
func DecodeFrame(b []byte) (r Record, length int, commit, ok bool) {
	f, ok := decodeFrame(b)
	if !ok {
		return Record{}, 0, false, false
	}
	return f.record(), len(f.bytes), f.kind == kindCommit, true
}

// DecodeBatch decodes the batch at the start of b and appends its records to recs;
// their slices alias b. It reports false unless the whole batch is there, and all
// its checksums hold.
func DecodeBatch(b []byte, recs []Record) (_ []Record, length int, ok bool) {
	var sum uint32
	for count := 0; ; count++ {
		f, ok := decodeFrame(b[length:])
		switch {
		case !ok:
			return recs, 0, false
		case f.kind == kindCommit:
			return recs, length + len(f.bytes), f.seals(count, sum)
		case int64(f.position) != int64(count):
			return recs, 0, false
		}
		recs, sum = append(recs, f.record()), f.carry(sum)
		length += len(f.bytes)
	}
}

// Sealed counts the intact frames in b, wherever they stand, that seal a batch.
func Sealed(b []byte) (n int) {
	for ; len(b) >= commitFrameBytes; b = b[1:] {
		if b[8] == kindCommit && binary.LittleEndian.Uint32(b[4:]) == commitFrameBytes-FrameHeaderBytes {
			if _, ok := decodeFrame(b); ok {
				n++
			}
		}
	}
	return n
}

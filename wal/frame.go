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
	frameHeaderBytes = 32
	commitFrameBytes = frameHeaderBytes + 4

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
	Meta  []byte // at most MaxMetaBytes; kept beside Data so that a caller with a few attributes need not copy Data behind them
	Data  []byte
}

func (r *Record) frameBytes() int64 {
	return frameHeaderBytes + int64(len(r.Meta)) + int64(len(r.Data))
}

// appendBatch appends the batch's frames to b. The caller has checked bounds
// and order, and that recs is not empty.
func appendBatch(b []byte, recs []Record) []byte {
	var sum uint32
	for i := range recs {
		r := &recs[i]
		at := len(b)
		b = appendFrameHeader(b, kindRecord, len(r.Meta)+len(r.Data), len(r.Meta), uint32(i), r.Index, r.Term)
		b = append(b, r.Meta...)
		b = append(b, r.Data...)
		sum = sealFrame(b[at:], sum)
	}
	last := &recs[len(recs)-1]
	at := len(b)
	b = appendFrameHeader(b, kindCommit, 4, 0, uint32(len(recs)), last.Index, last.Term)
	b = binary.LittleEndian.AppendUint32(b, sum)
	sealFrame(b[at:], 0)
	return b
}

func appendFrameHeader(b []byte, kind byte, length, meta int, position uint32, index, term uint64) []byte {
	le := binary.LittleEndian
	b = append(b, 0, 0, 0, 0) // crc, filled in by sealFrame
	b = le.AppendUint32(b, uint32(length))
	b = append(b, kind, 0)
	b = le.AppendUint16(b, uint16(meta))
	b = le.AppendUint32(b, position)
	b = le.AppendUint64(b, index)
	return le.AppendUint64(b, term)
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
	if len(b) < frameHeaderBytes {
		return frame{}, false
	}
	le := binary.LittleEndian
	length, ok := frameLength(b)
	if !ok || length > len(b) {
		return frame{}, false
	}
	b = b[:length]
	if crc32.Checksum(b[4:], castagnoli) != le.Uint32(b) {
		return frame{}, false
	}
	payload, meta := b[frameHeaderBytes:], le.Uint16(b[10:])
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

// frameLength returns how many bytes the frame has whose header is at the start of
// b, or reports false where no frame has such a header.
func frameLength(b []byte) (int, bool) {
	le := binary.LittleEndian
	kind, zero, length, meta := b[8], b[9], int64(le.Uint32(b[4:])), int64(le.Uint16(b[10:]))
	switch {
	case kind == kindCommit:
		return commitFrameBytes, zero == 0 && length == commitFrameBytes-frameHeaderBytes && meta <= length
	case kind == kindRecord:
		return int(frameHeaderBytes + length), zero == 0 && meta <= length && length <= MaxBatchBytes
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

package wal

import "encoding/binary"

// What follows is for packages that keep records in files of their own: the frames
// and their checks, without the log around them. Indexes need not be consecutive
// there.

// FrameHeaderBytes is what FrameLength needs to see.
const FrameHeaderBytes = frameHeaderBytes

// FrameBytes is how many bytes the record takes in a batch.
func (r *Record) FrameBytes() int64 { return r.frameBytes() }

// AppendBatch appends the frames of a batch to b: the records', and one that seals
// them. recs is not empty, and within the bounds of Append.
func AppendBatch(b []byte, recs []Record) []byte { return appendBatch(b, recs) }

// FrameLength returns how many bytes the frame has that starts with b's first
// FrameHeaderBytes. It reports false where no frame starts so.
func FrameLength(b []byte) (int, bool) {
	if len(b) < frameHeaderBytes {
		return 0, false
	}
	return frameLength(b)
}

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
		if b[8] == kindCommit && binary.LittleEndian.Uint32(b[4:]) == commitFrameBytes-frameHeaderBytes {
			if _, ok := decodeFrame(b); ok {
				n++
			}
		}
	}
	return n
}

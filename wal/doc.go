// Package wal keeps opaque records on disk, in order, and gives back exactly
// what was acknowledged.
//
// A [Log] is a run of records with consecutive indexes. Records are appended
// at the end in batches, dropped from the front when a snapshot covers them,
// and dropped from the back when they turn out never to have counted. The
// package knows nothing of what a record says.
//
// What it promises:
//
//   - Append returns nil only after the whole batch is on disk. After a crash
//     a batch is there whole or not at all, and everything acknowledged is.
//   - Records come back with the bytes that were appended, or as an error.
//     Every read checks a checksum over length, index, term and bytes.
//   - Open repairs only what a crash can explain: a last batch that is not
//     whole, and that nothing proves to have been. Any other damage is a
//     *[DamageError], and then nothing on disk is changed.
//   - After a failed write, sync, truncate or rename the log never writes
//     again ([ErrPoisoned]): the system may have dropped the pages, and a
//     second try would report success for bytes that are gone.
//
// Invariants of the files in the log's directory, in the order in which the
// code relies on them:
//
//  1. A segment's name appears only after its header is on disk, so a bad
//     header is never the trace of a crash.
//  2. Only the segment with the highest first index, the tail, is ever written;
//     a segment that has a successor was whole and on disk when the successor
//     came to be.
//  3. A segment voids all records at or above its first index in segments of
//     older generations. Dropping from the back therefore overwrites nothing,
//     and takes effect with the appearance of one name.
//  4. Records below the floor, which has a file of its own, do not exist.
//  5. The mark never says more than what was synced: it is written after the
//     sync, and lowered, durably, before records are taken back.
//  6. Bytes past the last batch are zeros. File sizes mean nothing else: the
//     tail is allocated ahead, and trimmed when it has a successor or is closed.
//
// Start reading at [Log.Append] in log.go, then recovery.go, which decides
// between torn and rotten. frame.go, segment.go, floor.go and mark.go draw the formats.
// DESIGN.md gives reasons and lists what is assumed of disks.
package wal

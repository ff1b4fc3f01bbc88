package wal

import (
	"errors"
	"fmt"
)

// Errors of calls on an open log that leave it as it was.
var (
	// ErrNotFound: no record has this index, or no longer has.
	ErrNotFound = errors.New("wal: record not found")

	// ErrOutOfOrder: the records of a batch do not follow one another or the
	// end of the log, or a term is lower than the one before.
	ErrOutOfOrder = errors.New("wal: records out of order")

	// ErrTooLarge: a record's Meta, or a batch, is over its bound.
	ErrTooLarge = errors.New("wal: too large")

	// ErrClosed: the log has been closed.
	ErrClosed = errors.New("wal: closed")
)

// Errors after which the log must be opened again.
var (
	// ErrPoisoned: a write, sync, truncate, rename or remove failed, now or
	// earlier. The first cause is wrapped beside it.
	ErrPoisoned = errors.New("wal: poisoned by a failed write")

	// ErrDiskFull accompanies ErrPoisoned when the cause is a full disk.
	// What was appended before is on disk.
	ErrDiskFull = errors.New("wal: disk full; free some space and start again")

	// ErrStalled: a write or sync took longer than Config.StallTimeout. Only
	// OnStall sees it.
	ErrStalled = errors.New("wal: disk stalled")
)

// Errors of Open, Verify and Dump, and of Read for ErrDamaged.
var (
	// ErrDamaged is what every *DamageError is.
	ErrDamaged = errors.New("wal: damaged")

	// ErrNewerFormat: a file was written by a newer build.
	ErrNewerFormat = errors.New("wal: written by a newer build")

	// ErrOlderFormat: a file is from before version 1 of the formats.
	ErrOlderFormat = errors.New("wal: written by a build before version 1 of the formats, which this build can't " +
		"read: begin with an empty directory")
)

// Advice is what to do about a log that is refused. It must not come back as an
// older copy of itself: what it voted for and acknowledged since is not in there.
const Advice = "Keep the directory as it is. A node of a cluster rejoins from scratch: a new id, an empty directory, " +
	"'doorbuster cluster join'; it must never come back with a copy of its own directory. For a node that is alone, " +
	"put the undamaged disk back, or restore a backup into a new directory with 'doorbuster restore'"

// DamageError says where the log is damaged in a way that no crash explains.
// errors.Is(err, ErrDamaged) holds.
type DamageError struct {
	Segment string // base name of the file
	Offset  int64  // byte in the file where the damage begins
	Index   uint64 // first record that can't be trusted; 0 when unknown
	Reason  string
}

func (e *DamageError) Error() string {
	record := ""
	if e.Index > 0 {
		record = fmt.Sprintf(" (record %d)", e.Index)
	}
	return fmt.Sprintf("wal: %s is damaged at byte %d%s: %s; this is not the trace of a crash, so nothing was "+
		"changed. "+Advice,
		e.Segment, e.Offset, record, e.Reason)
}

// Unwrap makes errors.Is(err, ErrDamaged) hold.
func (e *DamageError) Unwrap() error { return ErrDamaged }

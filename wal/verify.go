package wal

import (
	"doorbuster/wal/vfs"
)

// Entry is a record with its place on disk. Its slices are valid only while
// the function that it was given to runs.
type Entry struct {
	Record
	Segment string // base name of the file
	Offset  int64  // byte at which the record's frame begins
}

// Report is what an offline look at a log found.
type Report struct {
	Segments   int
	Batches    uint64
	Records    uint64 // live ones: from FirstIndex to LastIndex
	Bytes      int64  // of the segments, up to the last batch
	FirstIndex uint64 // 0 when there are no records
	LastIndex  uint64

	// Known is the highest index that is known to have been on disk, by the log's
	// own mark or what the caller knew; 0: none.
	Known uint64

	// Torn, when not nil, is what Open would cut off, with a warning.
	Torn *TornTail

	// Leftover are files that Open would remove because a crash kept the log
	// from doing so.
	Leftover []string
}

// Verify reads the whole log in dir without changing anything. A torn tail is
// no error: Open repairs it (Report.Torn). Damage that Open would refuse is a
// *DamageError, a newer format ErrNewerFormat; the report then covers what
// comes before. A dir that is missing or empty is an empty log.
//
// A log that is open elsewhere may look torn. known is as in Config.
func Verify(fsys vfs.FS, dir string, known Known) (Report, error) {
	return Dump(fsys, dir, known, func(Entry) error { return nil })
}

// Dump is Verify, and gives each live record to visit, in order. It stops at
// the first error of visit's and returns it. Records of a batch are shown once
// the batch has been found whole; those before damage are shown too.
func Dump(fsys vfs.FS, dir string, known Known, visit func(Entry) error) (Report, error) {
	var r Report
	c, err := inspect(fsys, dir, known, func(e Entry) error {
		if r.FirstIndex == 0 {
			r.FirstIndex = e.Index
		}
		r.LastIndex = e.Index
		r.Records++
		return visit(e)
	})
	c.close()
	r.Segments, r.Batches, r.Bytes = len(c.segments), c.batches, c.bytes
	r.Torn, r.Leftover, r.Known = c.torn, c.leftover, c.known.Index
	return r, err
}

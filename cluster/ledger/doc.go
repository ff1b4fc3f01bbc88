// Package ledger keeps what has happened, on disk and outside of the state: every
// order with all that is known of it, and the trail of committed events with
// their true reasons. It is a projection of what was applied, written by a
// goroutine of its own: applying an entry appends a pointer to a bounded queue,
// and never waits.
//
// Each transaction carries the log index up to which it reaches, so that an entry
// counts exactly once. What can't be had from the queue (a new, lost or damaged
// file, a state that came as a snapshot, a queue that ran over) is taken from the
// state, from another node's ledger, or from archives; see resync.go.
//
// The file is a bbolt database. Every row has a checksum, every bucket a count and
// a sum of its rows' checksums, and at each start the whole file is walked; see
// scrub.go. A file that is not what was written is put aside and made anew.
//
// The directory:
//
//	ledger.db             the database
//	ledger.db.damaged-N   files put aside, the newest two
//	archive/SESSION.gz    the orders of settled sessions; of nodes that are alone
//
// A backup carries what of it the state has let go of, and Restore makes a whole
// ledger of that and the state; see part.go.
//
// Start reading at Open, then run.
package ledger

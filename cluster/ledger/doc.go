// Package ledger keeps what has happened, on disk and outside of the state: the
// trail of committed events with their true reasons, and the orders of settled
// sessions. Orders of other sessions are in the state, its snapshots and the log.
//
// It joins two packages that know neither the state nor each other: trail, what
// happened in order, and settled, one file a session. This one tells them what is
// applied and which files there ought to be, writes those of sessions that were
// sealed, and puts names to handles for readers. Applying an entry appends pointers
// to bounded queues, and never waits.
//
// The directory:
//
//	trail/        segments; see package trail
//	settled/      a file a session; see package settled
//
// Start reading at Open, then Applied.
package ledger

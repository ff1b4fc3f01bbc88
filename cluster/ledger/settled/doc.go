// Package settled keeps the orders of settled sessions on disk: one file a session,
// written once from the tables that the engine froze, and only read after that.
//
// A file is named by its session's handle, SESSION.orders:
//
//	rows     a bbolt database, filled in key order
//	           orders    ordinal (uint32, big endian) → the order, with its checksum
//	           shoppers  shopper 0x00 ^granted ^ordinal → nothing: the newest grant first
//	           payments  payment's id 0x00 ordinal → nothing
//	head     version (a byte); session, index and time of the entry that settled it, how
//	         many orders, group, times of the first and last grant, each of a fixed size;
//	         filters: which shoppers and payments it may know
//	trailer  "DBORDERS", length of the head, xxHash64 of the rows, and of head and
//	         trailer (uint64, little endian)
//
// Beside it stands a copy of head and trailer, SESSION.orders.names: where the file is
// missing, a name that its filters do not have needs no answer of it.
//
// The same orders give the same bytes on every node: that is how a peer's copy
// can be compared. The whole is checked in the background, and before a file's
// first answer; the head has a checksum of its own, so that questions by shopper and
// payment need not wait for that. Opening a Store reads the directory's names only.
// What happens to a file after its check is noticed when it is gone, by its orders'
// checksums, and by a name that its filter has and its rows have not.
//
// What ought to be there is for the caller to say (Expect). A file that is damaged,
// or not the one that is expected, is quarantined as *.damaged, and missing until it
// is written, received or put back. Answers that would need a missing file fail with
// ErrIncomplete: nobody is told that there is no such order.
//
// Orders are as they were when the session was sealed, without refunds: those stay
// in the state.
//
// Start reading at Store, then Write and query.go.
package settled

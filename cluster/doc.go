// Package cluster replicates entries: it runs hashicorp/raft over the wal
// package's log, with term and vote, and snapshots, in files, and bridges committed
// entries into the engine's state machine.
//
// It knows nothing of what a sale is. Entries go in through Node.Propose; what
// they did comes out of the wait, and to the Observer on every node. When this
// node gains leadership it opens an epoch, an entry that fences the batches of
// all leaders before it, and tells the Leader.
//
// A Node is a value: one Raft group with its engine and log. Several may run in
// one process, each in a directory of its own.
//
// A data directory, format 1:
//
//	VERSION     what wrote it, and whose it is (JSON)
//	LOCK        held by the process that uses it
//	wal/        the log's segments
//	raft.db     term and vote (raft-boltdb)
//	raft.sum    the same, with checksums
//	snapshots/  at most two, each with its checksum
//	ledger/     events, and orders of settled sessions (see package ledger)
//
// hashicorp/raft has defects that are worked around here, each where it is
// dealt with: transport.go (#695, #612), node.go (NotifyCh, snapshot policy),
// fatal.go (#503, #666: a node whose disk fails or hangs stops).
//
// Start reading at Open.
package cluster

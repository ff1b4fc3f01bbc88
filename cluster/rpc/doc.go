// Package rpc is what nodes ask each other, over gRPC: a follower forwards the
// grabs that it can't refuse by itself, commands, look-ups and operators'
// requests to the leader, and follows the leader's pulse.
//
// Start reading at [Handler], what a node answers, and [Peer], how another asks
// it. Grabs are the hot path: all of a pair of nodes share one stream, in batches
// that grow with the load because the next gathers while one is being sent.
//
// An error says whether asking again is safe. What may have been executed when a
// connection broke is engine.ErrOutcomeUnknown; what surely never left is
// engine.ErrNotLeader, the same as from a node that does not lead.
//
// The connections that it is given are encrypted and authenticated already;
// gRPC runs on them as they are. A peer is not trusted beyond that: whatever
// comes in is bounded and checked.
package rpc

//go:generate protoc -Ipeerpb --go_out=peerpb --go_opt=paths=source_relative --go-grpc_out=peerpb --go-grpc_opt=paths=source_relative peer.proto

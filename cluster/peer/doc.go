// Package peer is the port that the nodes of a cluster meet at. One TCP port of
// a node carries both kinds of connection: Raft's (Port.Raft, a
// raft.StreamLayer) and those of the RPC between nodes (Port.RPC, Port.DialRPC).
//
// A connection gets as far as Raft or RPC only once both ends know who the other
// is: mutual TLS 1.3, a certificate for the very node, then a handshake that
// names cluster, node, generation and incarnation (handshake.go draws it,
// admission.go decides). hashicorp/raft's own messages carry none of these, so
// nothing behind the handshake could tell a node of another cluster, or of an
// older generation of this one.
//
// What comes in is not trusted before that, and not with memory after it: the
// handshake is bounded in bytes, time and number, and Raft's messages are
// followed as they come in (meter.go), so that no length anybody claims is ever
// allocated for.
//
// Certificates are read again when their files change; a node renews its own, or
// takes another CA, without a restart. What is wrong with a peer is logged once,
// not for each of its attempts.
//
// Start reading at Listen, then Port.receive and Port.dial.
package peer

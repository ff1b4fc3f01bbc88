package rpc

import "time"

// Bounds of what crosses, kept by both ends.
const (
	MaxBodyBytes    = 3 << 20        // of an operator's request, and of its answer
	MaxReports      = 4096           // in a list of them
	MaxPending      = 65_536         // grabs that wait on one peer, and the default of what a stream may have undecided
	maxUnsent       = 2 * MaxPending // answers on a stream; a Peer never gets near
	maxBatch        = 1024           // grabs, or answers, in a message
	maxListingBytes = 256
	maxNameBytes    = 256
	maxMessageBytes = 4 << 20
	maxReportBytes  = 3 << 20 // of changes and problems in an answer
	maxFaultBytes   = 4 << 10
)

// How long is too long.
const (
	listenEvery     = 50 * time.Millisecond // how exactly silence is measured
	probeAfter      = 500 * time.Millisecond
	silenceLimit    = 2 * time.Second // after a probe
	keepaliveAfter  = time.Second     // the least that gRPC lets a server ping after
	connSilence     = 3 * time.Second // nothing read at all: keepalive, its answer, and some
	connectPatience = 2 * time.Second
	backoffLeast    = 20 * time.Millisecond
	backoffMost     = 500 * time.Millisecond
)

// What gRPC is to keep to.
const (
	windowBytes     = 1 << 20
	connWindowBytes = 4 << 20
	maxStreams      = 256 // single calls at a time, mostly; more wait for their turn
	maxHeaderBytes  = 16 << 10
)

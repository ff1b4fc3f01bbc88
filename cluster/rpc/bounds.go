package rpc

import (
	"math"
	"time"

	"doorbuster/engine"
)

// Bounds of what crosses, kept by both ends.
const (
	MaxBodyBytes    = 3 << 20 // of an operator's request, and of its answer
	MaxPending      = 65_536  // grabs that wait on one peer, and the default of what a stream may have undecided
	maxBatch        = 1024    // grabs, or answers, in a message
	maxListingBytes = 256
	maxNameBytes    = 256
	maxMessageBytes = 4 << 20
	maxReportBytes  = 3 << 20 // of changes and problems in an AskReply
	maxFaultBytes   = 4 << 10
	maxDetails      = 64 // of a pulse
	maxBatchText    = maxBatch * (maxListingBytes + engine.MaxShopperBytes + engine.MaxKeyBytes)
)

// How long is too long.
const (
	patienceTick    = 10 * time.Millisecond // how exactly patience is kept
	probeAfter      = 500 * time.Millisecond
	silenceLimit    = 2 * time.Second // after a probe
	keepaliveAfter  = time.Second     // the least that gRPC lets a server ping after
	connSilence     = 3 * time.Second // nothing read at all: keepalive, its answer, and some
	connectPatience = 2 * time.Second
	backoffLeast    = 20 * time.Millisecond
	backoffMost     = 500 * time.Millisecond
	pulseSpacing    = 5 * time.Millisecond // of pulses that nobody asked for
)

// Wire numbers that fit.
const (
	windowBytes     = 1 << 20
	connWindowBytes = 4 << 20
	maxStreams      = 1024
	maxHeaderBytes  = 16 << 10
	lengthBits      = 10 // of one of the three lengths of a grab
	lengthMask      = 1<<lengthBits - 1
	maxCode         = math.MaxUint8
)

package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// Config of a Node. Start from DefaultConfig.
type Config struct {
	// Dir is the data directory. It is made if missing.
	Dir string
	// NodeID names the node in its cluster, for ever. Zone is its machine room.
	NodeID, Zone string

	// SnapshotBytes of applied entries after which a snapshot is taken. Default
	// 256 MiB. Less makes restarts quicker and the disk busier.
	SnapshotBytes int64
	// TrailingBytes of entries that stay behind a snapshot for followers that
	// are a little late. Default 32 MiB.
	TrailingBytes int64
	// SegmentBytes of the log. Default 64 MiB.
	SegmentBytes int64
	// StallTimeout after which a hanging write or fsync stops the node. Default
	// 1.5 s: a leader whose disk hangs would stay leader (hashicorp/raft #503).
	StallTimeout time.Duration
	// ProposeTimeout bounds the wait for a place in Raft's queue. Default 5 s.
	ProposeTimeout time.Duration

	// FS is the file system of the log; nil is the operating system's.
	FS vfs.FS
	// Wall reads the wall clock. Default time.Now.
	Wall func() time.Time
	// OnFatal is called, once, when the node can't go on: a disk that fails or
	// hangs, a log that needs a newer build. The process should say so and exit.
	OnFatal func(error)
	// ObserveSync is given the duration of each fsync of the log.
	ObserveSync func(time.Duration)
	Logger      *slog.Logger
}

// DefaultConfig is a lone node's.
func DefaultConfig(dir string) Config {
	return Config{
		Dir: dir, NodeID: "n1", Zone: "z1",
		SnapshotBytes: 256 << 20, TrailingBytes: 32 << 20, SegmentBytes: wal.DefaultConfig(dir).SegmentBytes,
		StallTimeout: 1500 * time.Millisecond, ProposeTimeout: 5 * time.Second,
		Wall: time.Now, OnFatal: func(error) {}, Logger: slog.Default(),
	}
}

// Validate tells every field that is out of bounds.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Dir == "" {
		bad("no data directory")
	}
	if !engine.ValidID(c.NodeID) {
		bad("node id %q is not 1 to %d letters, digits, dots, dashes or underscores", c.NodeID, engine.MaxIDBytes)
	}
	if !engine.ValidID(c.Zone) {
		bad("zone %q is not 1 to %d letters, digits, dots, dashes or underscores", c.Zone, engine.MaxIDBytes)
	}
	if c.SnapshotBytes < 1<<10 {
		bad("snapshot bytes %d are under 1024", c.SnapshotBytes)
	}
	if c.TrailingBytes < 0 {
		bad("trailing bytes %d are negative", c.TrailingBytes)
	}
	if c.StallTimeout < 0 || c.ProposeTimeout <= 0 {
		bad("timeouts must be over 0")
	}
	return errors.Join(errs...)
}

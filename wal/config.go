package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"doorbuster/wal/vfs"
)

// Bounds of [Config].
const (
	MinSegmentBytes = 4 << 10
	MaxSegmentBytes = 1 << 30
	MaxTailCache    = 4 << 30
)

// Config says where a log is and how it behaves. Start from [DefaultConfig].
type Config struct {
	// Dir holds the segments and nothing else. It is made when missing.
	// Keeping a second process out is the caller's job.
	Dir string

	// FS is the file system; nil means the operating system's.
	FS vfs.FS

	// SegmentBytes is the size at which a new segment is begun; one batch
	// that is larger gets a segment of its own size. Default 64 MiB, from
	// MinSegmentBytes to MaxSegmentBytes. Smaller segments return space
	// sooner after TruncatePrefix; larger ones mean fewer open files and
	// fewer of the slower appends that begin a segment.
	SegmentBytes int64

	// TailCacheBytes bounds the newest records kept in memory. Default
	// 16 MiB; 0 keeps none. It should hold what a follower that keeps up may
	// still ask for; what falls out is read from disk.
	TailCacheBytes int64

	// StallTimeout is how long one write or sync may take before OnStall is
	// told. Default 1.5 s; 0 turns the watchdog off. Too short and a busy
	// disk costs a node; too long and a node whose disk hangs keeps others
	// waiting.
	StallTimeout time.Duration

	// MarkAfter is how long after the last append what that proves of the log's
	// end is made to outlast a loss of power, too. Default 250 ms; 0 leaves it to
	// Close.
	MarkAfter time.Duration

	// Known is what the caller knows this log to have held. A log that ends below
	// it is refused instead of repaired.
	Known Known

	// OnStall is called once, on its own goroutine and while the call still
	// hangs, with an error that wraps ErrStalled. The process should exit.
	OnStall func(error)

	// OnPoison is called once, on its own goroutine, with an error that wraps
	// ErrPoisoned and the cause. The process should exit.
	OnPoison func(error)

	// OnDamage is called on its own goroutine for the first read that finds a
	// record damaged, with the *DamageError that the read returns. The log
	// goes on; a node that can't read its log had better not lead.
	OnDamage func(error)

	// ObserveSync is given the duration of each append's sync. It runs on
	// the append path: it must be quick.
	ObserveSync func(time.Duration)

	// Logger receives repairs, poison and stalls; nil discards them.
	Logger *slog.Logger
}

// Known is a proof, from outside of the log, that it held a record.
type Known struct {
	// Index of the record, which no snapshot replaces: a log may lawfully end
	// before a snapshot that came from elsewhere. 0: nothing is known.
	Index uint64
	// By says what proves it, for the error: "the ledger".
	By string
}

// DefaultConfig returns the defaults for a log in dir.
func DefaultConfig(dir string) Config {
	return Config{
		Dir:            dir,
		SegmentBytes:   64 << 20,
		TailCacheBytes: 16 << 20,
		StallTimeout:   1500 * time.Millisecond,
		MarkAfter:      250 * time.Millisecond,
	}
}

// Validate reports every problem at once, each with the value and its bound.
func (c Config) Validate() error {
	var problems []error
	if c.Dir == "" {
		problems = append(problems, errors.New("wal: Dir is empty"))
	}
	if c.SegmentBytes < MinSegmentBytes || c.SegmentBytes > MaxSegmentBytes {
		problems = append(problems, fmt.Errorf("wal: SegmentBytes is %d, must be from %d to %d",
			c.SegmentBytes, int64(MinSegmentBytes), int64(MaxSegmentBytes)))
	}
	if c.TailCacheBytes < 0 || c.TailCacheBytes > MaxTailCache {
		problems = append(problems, fmt.Errorf("wal: TailCacheBytes is %d, must be from 0 to %d",
			c.TailCacheBytes, int64(MaxTailCache)))
	}
	if c.StallTimeout < 0 {
		problems = append(problems, fmt.Errorf("wal: StallTimeout is %v, must be 0 or more", c.StallTimeout))
	}
	if c.MarkAfter < 0 {
		problems = append(problems, fmt.Errorf("wal: MarkAfter is %v, must be 0 or more", c.MarkAfter))
	}
	return errors.Join(problems...)
}

func (c Config) withFallbacks() Config {
	if c.FS == nil {
		c.FS = vfs.OS()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

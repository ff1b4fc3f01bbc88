package trail

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"

	"doorbuster/wal/vfs"
)

// Config of a Trail. Start from DefaultConfig.
type Config struct {
	// Dir is the trail's own directory. It is made if missing.
	Dir string
	// QueueEvents is how many events may wait to be written. Default 1,048,576, some
	// 120 MiB; 1,024 to 67,108,864. Entries that do not fit leave a gap, to be filled
	// from another node.
	QueueEvents int
	// CommitEvery is how long events gather before they are written. Default 50 ms,
	// 1 ms to 10 s; ten times as long while they come by the thousands. Less keeps
	// readers closer, and the disk busier.
	CommitEvery time.Duration
	// SegmentBytes is when a segment is sealed, and the next begun. Default 16 MiB,
	// 64 KiB to 1 GiB, at most an eighth of KeepBytes. It bounds what is read at a
	// restart and what damage costs; less makes more files.
	SegmentBytes int64
	// Keep is how long events are kept, in state time. Default 90 days, 1 min to 20
	// years.
	Keep time.Duration
	// KeepBytes bounds the trail on disk, but for the segment that is written. Default
	// 4 GiB, 1 MiB at least. Operators' deeds may fill a quarter of that: they are
	// kept when the events around them are dropped.
	KeepBytes int64
	// Owner names the data directory from whose log the trail is written, at random; ""
	// if there is none.
	Owner string
	// FS is the file system. Default the operating system's.
	FS vfs.FS
	// Now reads the clock by which it is told how long events wait. Default time.Now.
	Now func() time.Time
	// Logger hears of damage and gaps; required.
	Logger *slog.Logger
}

// DefaultConfig is what suits a node.
func DefaultConfig(dir string) Config {
	return Config{Dir: dir, QueueEvents: 1 << 20, CommitEvery: 50 * time.Millisecond, SegmentBytes: 16 << 20,
		Keep: 90 * 24 * time.Hour, KeepBytes: 4 << 30, FS: vfs.OS(), Now: time.Now, Logger: slog.Default()}
}

// Validate reports every field that is out of bounds.
func (c Config) Validate() error {
	err := errors.Join(within("events in the trail's queue", c.QueueEvents, 1024, 1<<26),
		within("time between the trail's commits", c.CommitEvery, time.Millisecond, 10*time.Second),
		within("bytes of a segment", c.SegmentBytes, 64<<10, 1<<30),
		within("time that events are kept", c.Keep, time.Minute, 20*365*24*time.Hour),
		within("bytes of events that are kept", c.KeepBytes, 1<<20, math.MaxInt64))
	if c.Dir == "" || c.FS == nil || c.Now == nil || c.Logger == nil {
		err = errors.Join(err, errors.New("the trail lacks a directory, a file system, a clock or a logger"))
	}
	return err
}

func (c *Config) owner() uint64 {
	if c.Owner == "" {
		return 0
	}
	return xxhash.Sum64String(c.Owner)
}

func within[T cmp.Ordered](what string, v, least, most T) error {
	if v < least || v > most {
		return fmt.Errorf("%s: %v is not %v to %v", what, v, least, most)
	}
	return nil
}

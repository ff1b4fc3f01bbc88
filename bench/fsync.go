package bench

import (
	"fmt"
	"os"
	"time"
)

// fsyncsARound is how many syncs are timed before a round: enough for a p99.
const fsyncsARound = 200

// MeasureFsync times n small appends, each made durable, in a file of its own
// in dir, which it removes; nothing without a dir. A granted grab waits for about one of these, so its
// latency means little without them.
func MeasureFsync(dir string, n int) (Percentiles, error) {
	if dir == "" {
		return Percentiles{}, nil
	}
	f, err := os.CreateTemp(dir, "fsync-*")
	if err != nil {
		return Percentiles{}, fmt.Errorf("measure fsync: %w", err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	block := make([]byte, 4096)
	h := newHistogram()
	for range n {
		began := time.Now()
		_, err := f.Write(block)
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			return Percentiles{}, fmt.Errorf("measure fsync: %w", err)
		}
		record(h, time.Since(began))
	}
	return percentilesOf(h), nil
}

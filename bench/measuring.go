package bench

import (
	"fmt"
	"io"
	"os"
	"time"
)

// Measuring is what measurements in rounds have in common.
type Measuring struct {
	Rounds    int           `json:"rounds"`
	RoundTime time.Duration `json:"round_time_ns"`
	WarmUp    time.Duration `json:"warm_up_ns"`
	// DataDir is on the disk that holds the log; its fsync is timed before each
	// round. Empty: not timed.
	DataDir       string `json:"data_dir"`
	ResultsDir    string `json:"-"`
	ShopperPrefix string `json:"shopper_prefix"` // begins every shopper's name
	// Progress is where a line a measurement goes; nil for none.
	Progress io.Writer `json:"-"`
}

// settings declares them, with at least so many rounds: with less than 3 there is no
// median worth the name.
func (m *Measuring) settings(leastRounds int, roundTime time.Duration, prefix string) []Setting {
	return []Setting{
		bounded(&m.Rounds, "rounds", 3, leastRounds, 1000, "rounds; medians are taken over them"),
		span(&m.RoundTime, "round-time", roundTime, time.Millisecond, "how long a round measures, each server"),
		span(&m.WarmUp, "warm-up", time.Second, 0, "load before that"),
		free(&m.ShopperPrefix, "shopper-prefix", prefix, ""),
		resultsDir(&m.ResultsDir),
	}
}

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

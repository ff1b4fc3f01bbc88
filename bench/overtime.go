package bench

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// OverTime is how a round went: what it measured in slices of one length, one after the
// other.
type OverTime struct {
	EverySeconds float64   `json:"every_s"`
	PerSecond    []float64 `json:"per_second"`
	P50          []float64 `json:"p50_ms"`
	P99          []float64 `json:"p99_ms"`
}

// A round has at most so many slices, each a histogram, and none so short that it has
// no 99th percentile worth the name.
const (
	mostSlices = 16
	leastSlice = 50 * time.Millisecond
)

// slicesOf says how a round is cut.
func slicesOf(length time.Duration) (n int, each time.Duration) {
	n = int(min(mostSlices, max(1, length/leastSlice)))
	return n, max(1, length/time.Duration(n))
}

// overTimeOf sums up slices of a round that took so long: it may have ended early.
func overTimeOf(slices []*hdrhistogram.Histogram, each, took time.Duration) (o OverTime) {
	o.EverySeconds = each.Seconds()
	for i, h := range slices {
		length := min(each, took-time.Duration(i)*each)
		if length <= 0 {
			break
		}
		p := percentilesOf(h)
		o.PerSecond = append(o.PerSecond, math.Round(float64(p.Count)/length.Seconds()))
		o.P50, o.P99 = append(o.P50, p.P50), append(o.P99, p.P99)
	}
	return o
}

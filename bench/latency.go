package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept from one microsecond to two minutes to three digits:
// about 180 KB a histogram.
const (
	latencyLow    = int64(time.Microsecond)
	latencyHigh   = int64(2 * time.Minute)
	latencyDigits = 3
)

// latencyStripes is how many workers can record at once. One histogram a
// worker would take some 50 MB with 256 of them; a single one would be a
// queue.
const latencyStripes = 8

// latency is a striped histogram. Safe for concurrent use.
type latency struct {
	stripes [latencyStripes]struct {
		mu sync.Mutex
		h  *hdrhistogram.Histogram
		_  [48]byte // keeps neighbours' locks off one cache line
	}
}

func newLatency() *latency {
	l := new(latency)
	for i := range l.stripes {
		l.stripes[i].h = newHistogram()
	}
	return l
}

// record notes d for worker w.
func (l *latency) record(w int, d time.Duration) {
	s := &l.stripes[w%latencyStripes]
	s.mu.Lock()
	record(s.h, d)
	s.mu.Unlock()
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(latencyLow, latencyHigh, latencyDigits)
}

// record notes d. What lies outside the range counts as its end.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), latencyLow), latencyHigh)) // fails outside the range only
}

// sum merges the stripes.
func (l *latency) sum() *hdrhistogram.Histogram {
	all := newHistogram()
	for i := range l.stripes {
		s := &l.stripes[i]
		s.mu.Lock()
		all.Merge(s.h)
		s.mu.Unlock()
	}
	return all
}

// Percentiles is a latency distribution in milliseconds.
type Percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

func percentilesOf(h *hdrhistogram.Histogram) Percentiles {
	if h.TotalCount() == 0 {
		return Percentiles{}
	}
	q := func(p float64) float64 { return millis(time.Duration(h.ValueAtQuantile(p))) }
	return Percentiles{
		Count: h.TotalCount(),
		P50:   q(50), P90: q(90), P99: q(99), P999: q(99.9),
		Max: millis(time.Duration(h.Max())),
	}
}

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

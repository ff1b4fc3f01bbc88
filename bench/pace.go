package bench

import (
	"math"
	"time"
)

// pace says when each of a run's arrivals is due. Rate 0 is the closed loop:
// everything is due at once and the connections set the speed.
type pace struct {
	rate float64 // arrivals a second
}

func (p pace) open() bool { return p.rate > 0 }

// due is when arrival i (from 0) is due, counted from the start of the run.
func (p pace) due(i int) time.Duration {
	if !p.open() {
		return 0
	}
	return time.Duration(float64(i) / p.rate * float64(time.Second))
}

// count is how many arrivals are due at t or before.
func (p pace) count(t time.Duration) int {
	if !p.open() {
		return math.MaxInt
	}
	if t < 0 {
		return 0
	}
	n := int(t.Seconds()*p.rate) + 1
	// due rounds down to a nanosecond and the line above may round to either
	// side; the two must agree.
	for n > 0 && p.due(n-1) > t {
		n--
	}
	for p.due(n) <= t {
		n++
	}
	return n
}

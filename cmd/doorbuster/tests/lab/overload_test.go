package lab

import (
	"testing"

	"doorbuster/bench"
)

// TestBenchOverload: a small storm is sent and heard, and every question answered. What
// the figures are is not for a test to say.
func TestBenchOverload(t *testing.T) {
	r, _, _ := measured[bench.OverloadReport](t, "overload", "--peak-connections", "8", "--connections", "64",
		"--peak-time", "100ms", "--calm-time", "500ms", "--storm-time", "600ms", "--results", t.TempDir())
	if len(r.Questions) != 5 || r.PeakPerSecond <= 0 || len(r.Gauges) == 0 {
		t.Errorf("%+v", r)
	}
	if s := r.Storm; s.Good == 0 || s.Came < s.TurnedAway+s.Good/2 || s.Broken != 0 {
		t.Errorf("%+v", s)
	}
	refuses(t, "overload", map[string]string{"--times 0": "times 0"})
}

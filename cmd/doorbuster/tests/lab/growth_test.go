package lab

import (
	"testing"

	"doorbuster/bench"
)

// TestBenchGrowth: every question is answered, of a shop that hardly grows. What the
// figures are is not for a test to say.
func TestBenchGrowth(t *testing.T) {
	r, _, _ := measured[bench.GrowthReport](t, "growth", "--many-listings", "1100", "--few-holds", "100",
		"--many-holds", "3000", "--minute", "40ms", "--submitters", "64", "--rounds", "1", "--round-time", "20ms",
		"--warm-up", "5ms", "--results", t.TempDir())
	if len(r.Questions) != 6 || r.Granted < 3000 {
		t.Errorf("%+v", r)
	}
	for _, q := range r.Questions {
		if q.Figure <= 0 {
			t.Errorf("%+v", q)
		}
	}
	refuses(t, "growth", map[string]string{"--many-holds 1": "many holds 1", "--parts all": "none of minute"})
}

package lab

import (
	"strings"
	"testing"

	"doorbuster/bench"
)

// TestBenchDecide: grabs are granted, alone and by the leader of three, and counted by
// what both stand on. How fast is not for a test to say.
func TestBenchDecide(t *testing.T) {
	for _, nodes := range []string{"1", "3"} {
		r, out, _ := measured[bench.DecideReport](t, "decide", "--bare", "--nodes", nodes, "--submitters", "64",
			"--rounds", "1", "--round-time", "50ms", "--warm-up", "10ms", "--results", t.TempDir())
		if r.Granted == 0 || r.OfBare <= 0 || !strings.Contains(out, "OF BARE") {
			t.Errorf("%s nodes: %+v\n%s", nodes, r, out)
		}
	}
	refuses(t, "decide", map[string]string{"--nodes 2": "want 1, or 3 to 7", "--submitters 0": "submitters 0"})
}

package lab

import (
	"strings"
	"testing"

	"doorbuster/bench"
)

// TestTwoTabs has everybody ask for two listings at once through two of three
// nodes: all units sell, to a shopper each.
func TestTwoTabs(t *testing.T) {
	r, out, progress := measured[bench.TwoTabsReport](t, "twotabs", "--rounds", "2", "--shoppers", "600", "--stock",
		"250",
		"--connections", "100", "--seed", "7")
	for i, x := range r.Rounds {
		codes := map[string]int64{}
		for _, o := range x.Outcomes {
			codes[o.Code] = o.Count
		}
		if x.Granted != 500 || codes["granted"] != 500 ||
			codes["granted"]+codes["limit_reached"]+codes["sold_out"] != 1200 {
			t.Errorf("round %d: %d units told, %v", i+1, x.Granted, codes)
		}
	}
	if len(r.Rounds) != 2 || strings.Count(progress, "✓ round") != 2 {
		t.Errorf("it says:\n%s\n%s", progress, out)
	}
}

func TestTwoTabsRefusesNonsense(t *testing.T) {
	refuses(t, "twotabs", map[string]string{
		"--nodes 2":       "--nodes 2: want 3 to 7",
		"--rounds 0":      "rounds 0: want 1",
		"--stock 5000":    "stock 5000: want 1 to less than half of the 10000 shoppers",
		"--connections 0": "connections 0: want 1",
	})
}

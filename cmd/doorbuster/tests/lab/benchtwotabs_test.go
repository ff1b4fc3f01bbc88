package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/nodetest"
)

// TestTwoTabs has everybody ask for two listings at once through two of three
// nodes: all units sell, to a shopper each.
func TestTwoTabs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "twotabs.json")
	args := []string{"bench", "twotabs", "--rounds", "2", "--shoppers", "600", "--stock", "250", "--connections", "100", "--seed", "7", "--json", file}
	status, out, progress := nodetest.Tool(t, "", args...)
	if status != 0 {
		t.Fatalf("status %d\n%s\n%s", status, progress, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r bench.TwoTabsReport
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	for i, x := range r.Rounds {
		codes := map[string]int64{}
		for _, o := range x.Outcomes {
			codes[o.Code] = o.Count
		}
		if x.Granted != 500 || codes["granted"] != 500 || codes["granted"]+codes["limit_reached"]+codes["sold_out"] != 1200 {
			t.Errorf("round %d: %d units told, %v", i+1, x.Granted, codes)
		}
	}
	if len(r.Rounds) != 2 || strings.Count(progress, "✓ round") != 2 {
		t.Errorf("it says:\n%s\n%s", progress, out)
	}
}

func TestTwoTabsRefusesNonsense(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--nodes 2", "--nodes 2: want 3 to 7"},
		{"--rounds 0", "rounds 0: want 1"},
		{"--stock 5000", "stock 5000: want 1 to less than half of the 10000 shoppers"},
		{"--connections 0", "connections 0: want 1"},
	} {
		status, _, diagnostics := nodetest.Tool(t, "", append([]string{"bench", "twotabs"}, strings.Fields(c.args)...)...)
		if status != 2 || !strings.Contains(diagnostics, c.want) {
			t.Errorf("%s: status %d, no %q in %s", c.args, status, c.want, diagnostics)
		}
	}
}

package lab

import (
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestBenchRules measures grabs with every rule on: they are what they are meant to
// be. How fast is not for a test to say.
func TestBenchRules(t *testing.T) {
	args := []string{"bench", "http", "--kinds", "refused,refused-ruled,granted-ruled", "--rounds", "3", "--round-time",
		"20ms", "--warm-up", "10ms",
		"--connections", "16", "--results", t.TempDir()}
	status, out, progress := nodetest.Tool(t, "", args...)
	if status != 0 {
		t.Fatalf("status %d\n%s\n%s", status, progress, out)
	}
	if !strings.Contains(out, "OF PLAIN") || strings.Count(progress, "granted-ruled") != 3 {
		t.Errorf("it says:\n%s\n%s", progress, out)
	}
}

package main

import (
	"strings"
	"testing"
)

// TestBenchRules measures grabs with every rule on: they are what they are meant to
// be. How fast is not for a test to say.
func TestBenchRules(t *testing.T) {
	t.Setenv(asProgram, "1")
	var out, progress strings.Builder
	args := []string{"bench", "http", "--kinds", "refused,refused-ruled,granted-ruled", "--rounds", "3", "--round-time", "20ms", "--warm-up", "10ms",
		"--connections", "16", "--results", t.TempDir()}
	if status := run(t.Context(), args, nil, &out, &progress); status != 0 {
		t.Fatalf("status %d\n%s\n%s", status, progress.String(), out.String())
	}
	if !strings.Contains(out.String(), "OF PLAIN") || strings.Count(progress.String(), "granted-ruled") != 3 {
		t.Errorf("it says:\n%s\n%s", progress.String(), out.String())
	}
}

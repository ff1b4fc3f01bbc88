package main

import (
	"strings"
	"testing"
)

// TestBenchShipping: orders go all the way, and each is where it should be.
func TestBenchShipping(t *testing.T) {
	status, out, errs := runTool(t, "", "bench", "shipping", "--orders", "300")
	if status != 0 || !strings.Contains(out, "288 received, 6 held, 3 without receiver, 3 rejected, 3 to be paid back") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
}

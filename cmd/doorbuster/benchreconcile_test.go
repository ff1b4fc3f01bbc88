package main

import (
	"strings"
	"testing"
)

// TestBenchReconcile: the node of a bench has every setting that another has.
func TestBenchReconcile(t *testing.T) {
	status, out, errs := runTool(t, "", "bench", "reconcile", "--orders", "500", "--lost", "20")
	if status != 0 || !strings.Contains(out+errs, "20 lost payments booked, 0 open") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
}

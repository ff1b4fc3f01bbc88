package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadSettingsInPlainWords: flags, files and variables that can't be read are named
// with what they should be, and not in Go's words.
func TestBadSettingsInPlainWords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, []byte("connections: many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		`--connections: "many" is not a whole number`:              {"serve", "--connections", "many"},
		`--cashier-timeout: "soon" is not a duration such as 1.5s`: {"serve", "--cashier-timeout", "soon"},
		`connections: "many" is not a whole number`:                {"serve", "--config", file, "--data", t.TempDir()},
		`--timeout: "x" is not a duration`:                         {"reconcile", "-", "--admin", "127.0.0.1:1", "--timeout", "x"},
	} {
		status, _, errs := runTool(t, "", args...)
		if status != 2 || !strings.Contains(errs, want) || strings.Contains(errs, "strconv") || strings.Contains(errs, "parsing") {
			t.Errorf("%v: status %d, %s; want %s", args, status, errs, want)
		}
	}
}

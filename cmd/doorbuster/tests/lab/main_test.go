// Package lab tests short runs of the benches, which hold a verdict, on
// nodes that are processes.
package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// measured runs a bench to its end, which must be a good one, and gives its report,
// what it printed and what it said on the way.
func measured[Report any](t *testing.T, args ...string) (r Report, out, progress string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	status, out, progress := nodetest.Tool(t, "", append(append([]string{"bench"}, args...), "--json", file)...)
	if status != 0 {
		t.Fatalf("status %d\n%s\n%s", status, progress, out)
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, out, progress
}

// refuses runs a bench with flags that make no sense, each by what is said of them.
func refuses(t *testing.T, bench string, flags map[string]string) {
	t.Helper()
	for given, want := range flags {
		status, _, said := nodetest.Tool(t, "", append([]string{"bench", bench}, strings.Fields(given)...)...)
		if status != 2 || !strings.Contains(said, want) {
			t.Errorf("%s: status %d, no %q in %s", given, status, want, said)
		}
	}
}

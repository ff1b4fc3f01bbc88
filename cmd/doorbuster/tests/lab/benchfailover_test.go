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

// TestFailover kills nodes of a cluster under load five times, the last time a
// follower.
func TestFailover(t *testing.T) {
	file := filepath.Join(t.TempDir(), "failover.json")
	args := []string{"bench", "failover", "--kills", "5", "--rate", "150", "--connections", "64", "--seed", "12", "--calm-most", "600ms",
		"--grant-within", "30s", "--snapshot-bytes", "1048576", "--dir", filepath.Join(t.TempDir(), "nodes"), "--json", file}
	status, out, progress := nodetest.Tool(t, "", args...)
	if status != 0 {
		t.Fatalf("status %d\n%s\n%s", status, progress, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r bench.FailoverReport
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Kills) != 5 || r.NextGrant.Count != 4 || r.AfterFollower.Count != 1 || r.Orders == 0 || r.Paid == 0 || r.Cancelled == 0 ||
		r.LooksAnswered == 0 || r.LookedUpEverywhere != 3*r.Orders || r.AgreedAt == 0 || !r.OK() {
		t.Errorf("%s", out)
	}
	if strings.Count(progress, "✓ kill") != 5 || !strings.Contains(out, "EXACT") {
		t.Errorf("it says:\n%s\n%s", progress, out)
	}
	t.Logf("%d orders; next grant after %.0f ms at most", r.Orders, r.NextGrant.Max)
}

func TestFailoverRefusesNonsense(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		want string
	}{
		{"--nodes 2", "--nodes 2: want 3 to 7"},
		{"--kills 0", "kills 0: want 1"},
		{"--how burn", `how "burn": want kill, stop or stall`},
		{"--zone-ack always", `zone ack "always": want off, prefer or require`},
		{"--rate 0", "rate 0: want 1"},
		{"--calm-least 2s --calm-most 1s", "calm most 1s: want 2s"},
		{"--dir " + full, "it is not empty: there is mine"},
	} {
		status, _, diagnostics := nodetest.Tool(t, "", append([]string{"bench", "failover"}, strings.Fields(c.args)...)...)
		if status != 2 || !strings.Contains(diagnostics, c.want) {
			t.Errorf("%s: status %d, no %q in %s", c.args, status, c.want, diagnostics)
		}
	}
}

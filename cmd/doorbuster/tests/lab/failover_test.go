package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"doorbuster/bench"
)

// TestFailover kills nodes of a cluster under load, every fifth time a follower.
func TestFailover(t *testing.T) {
	kills, ofFollowers := 5, int64(1)
	if testing.Short() {
		kills, ofFollowers = 2, 0
	}
	r, out, progress := measured[bench.FailoverReport](t, "failover", "--kills", strconv.Itoa(kills), "--rate", "150",
		"--connections", "64", "--seed", "12", "--calm-most", "600ms", "--grant-within", "30s", "--snapshot-bytes",
		"1048576",
		"--dir", filepath.Join(t.TempDir(), "nodes"))
	if len(r.Kills) != kills || r.NextGrant.Count != int64(kills)-ofFollowers || r.AfterFollower.Count != ofFollowers ||
		r.Orders == 0 || r.Paid == 0 || r.Cancelled == 0 || r.LooksAnswered == 0 ||
		r.LookedUpEverywhere != 3*r.Orders || r.AgreedAt == 0 || !r.OK() {
		t.Errorf("%s", out)
	}
	if strings.Count(progress, "✓ kill") != kills || !strings.Contains(out, "EXACT") {
		t.Errorf("it says:\n%s\n%s", progress, out)
	}
	t.Logf("%d orders; next grant after %.0f ms at most", r.Orders, r.NextGrant.Max)
}

func TestFailoverRefusesNonsense(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, "failover", map[string]string{
		"--nodes 2":                      "--nodes 2: want 3 to 7",
		"--kills 0":                      "kills 0: want 1",
		"--how burn":                     `how "burn": want kill, stop or stall`,
		"--zone-ack always":              `zone ack "always": want off, prefer or require`,
		"--rate 0":                       "rate 0: want 1",
		"--calm-least 2s --calm-most 1s": "calm most 1s: want 2s",
		"--dir " + full:                  "it is not empty: there is mine",
	})
}

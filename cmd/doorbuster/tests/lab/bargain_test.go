package lab

import (
	"strings"
	"testing"

	"doorbuster/bench"
)

// TestBargain holds bargains on three nodes, whose leader is killed, with idle ones beside.
func TestBargain(t *testing.T) {
	r, out, progress := measured[bench.BargainReport](t, "bargain", "--bargains", "200", "--helps", "3000",
		"--kills", "1", "--rate", "300", "--connections", "32", "--seed", "5", "--idle", "1000", "--idle-rate", "200",
		"--idle-for", "500ms", "--results", t.TempDir())
	if len(r.Kills) != 1 || r.Orders == 0 || r.Paid == 0 || r.Hash == "" || r.Friends.Bargains < 50 ||
		r.Idle.Cuts != 100 || r.Idle.RestartSeconds <= 0 || r.Outcomes["cut"] == 0 || r.Outcomes["404"] == 0 ||
		r.Outcomes["own_bargain"] == 0 || r.Outcomes["already_helped"] == 0 || r.Outcomes["floor_reached"] == 0 ||
		r.Outcomes["bargain_over"] == 0 {
		t.Errorf("%s", out)
	}
	if strings.Count(progress, "✓ kill") != 1 || !strings.Contains(out, "EXACT") {
		t.Errorf("it says:\n%s\n%s", progress, out)
	}
}

func TestBargainRefusesNonsense(t *testing.T) {
	refuses(t, "bargain", map[string]string{
		"--nodes 8":           "want 1 to 7",
		"--nodes 2 --kills 1": "fewer than 3 can't lose one",
		"--bargains 0":        "bargains 0: want 1",
		"--friends 1":         "friends 1: want 2",
		"--rate -1":           "rate -1: want 0",
	})
}

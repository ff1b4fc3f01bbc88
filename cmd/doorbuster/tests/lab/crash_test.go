package lab

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/nodetest"
)

// shortCrash is a crash test that a test has time for.
func shortCrash(more ...string) []string {
	return append([]string{"crash", "--listing-stock", "1500", "--shoppers", "250", "--returning", "150",
		"--connections", "16", "--load-time", "500ms", "--kill-before", "350ms", "--ready-within", "30s"}, more...)
}

func TestCrash(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	r, out, progress := measured[bench.CrashReport](t, shortCrash("--rounds", strconv.Itoa(rounds), "--seed", "12",
		"--data", filepath.Join(t.TempDir(), "data"))...)
	if len(r.Rounds) != rounds || r.Kills < rounds || r.Orders == 0 || r.Paid == 0 ||
		r.Cancelled == 0 || r.Looks == 0 || !r.OK() {
		t.Errorf("%s", out)
	}
	if strings.Count(progress, "✓ round") != rounds || !strings.Contains(out, "EXACT") {
		t.Errorf("it says:\n%s\n%s", progress, out)
	}
	t.Logf("%d orders, %d kills, ready in %.0f ms at most", r.Orders, r.Kills, r.Ready.Max)
}

// TestVictimDiesWithItsParent: nothing is left running when a crash test is
// itself killed.
func TestVictimDiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends children with their parent")
	}
	data := filepath.Join(t.TempDir(), "data")
	parent := nodetest.Command(t, append([]string{"bench"}, shortCrash("--rounds", "1", "--data", data)...)...)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	gone := func(pid int) bool {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		_, state, _ := strings.Cut(string(b), ") ")
		return err != nil || strings.HasPrefix(state, "Z")
	}
	child := 0
	for until := time.Now().Add(nodetest.Patience); child == 0 &&
		time.Now().Before(until); time.Sleep(time.Millisecond) {
		b, _ := os.ReadFile(filepath.Join(data, "LOCK"))
		child, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	if child == 0 {
		t.Fatal("no node was started")
	}
	for until := time.Now().Add(nodetest.Patience); !gone(child); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("process %d lives on", child)
		}
	}
}

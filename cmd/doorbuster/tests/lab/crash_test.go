package lab

import (
	"encoding/json"
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
	return append([]string{"bench", "crash", "--listing-stock", "1500", "--shoppers", "250", "--returning", "150",
		"--connections", "16", "--load-time", "500ms", "--kill-before", "350ms", "--ready-within", "30s"}, more...)
}

func TestCrash(t *testing.T) {
	file := filepath.Join(t.TempDir(), "crash.json")
	data := filepath.Join(t.TempDir(), "data")
	status, out, progress := nodetest.Tool(t, "", shortCrash("--rounds", "5", "--seed", "12", "--data", data, "--json", file)...)
	if status != 0 {
		t.Fatalf("status %d\n%s\n%s", status, progress, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r bench.CrashReport
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Rounds) != 5 || r.Kills < 5 || r.Orders == 0 || r.Paid == 0 || r.Cancelled == 0 || r.Looks == 0 || !r.OK() {
		t.Errorf("%s", out)
	}
	if strings.Count(progress, "✓ round") != 5 || !strings.Contains(out, "EXACT") {
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
	parent := nodetest.Command(t, shortCrash("--rounds", "1", "--data", data)...)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	gone := func(pid int) bool {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		_, state, _ := strings.Cut(string(b), ") ")
		return err != nil || strings.HasPrefix(state, "Z")
	}
	child := 0
	for until := time.Now().Add(nodetest.Patience); child == 0 && time.Now().Before(until); time.Sleep(time.Millisecond) {
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

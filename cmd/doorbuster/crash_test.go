package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbuster/bench"
)

// asProgram is set where this binary is to be the program: a crash test starts
// its own executable.
const asProgram = "RUN_TEST_BINARY_AS_DOORBUSTER"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// shortCrash is a crash test that a test has time for.
func shortCrash(more ...string) []string {
	return append([]string{"bench", "crash", "--listing-stock", "1500", "--shoppers", "250", "--returning", "150",
		"--connections", "16", "--load-time", "500ms", "--kill-before", "350ms", "--ready-within", "30s"}, more...)
}

func TestCrash(t *testing.T) {
	t.Setenv(asProgram, "1")
	file := filepath.Join(t.TempDir(), "crash.json")
	data := filepath.Join(t.TempDir(), "data")
	var out, progress strings.Builder
	if status := run(t.Context(), shortCrash("--rounds", "5", "--seed", "12", "--data", data, "--json", file), nil, &out, &progress); status != 0 {
		t.Fatalf("status %d\n%s\n%s", status, progress.String(), out.String())
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
		t.Errorf("%s", out.String())
	}
	if strings.Count(progress.String(), "✓ round") != 5 || !strings.Contains(out.String(), "EXACT") {
		t.Errorf("it says:\n%s\n%s", progress.String(), out.String())
	}
	t.Logf("%d orders, %d kills, ready in %.0f ms at most", r.Orders, r.Kills, r.Ready.Max)
}

// aVictim is a node of its own process on a new directory, ready.
func aVictim(t *testing.T) (*victim, func() (bench.CrashNode, *shop)) {
	t.Helper()
	t.Setenv(asProgram, "1")
	v := &victim{data: filepath.Join(t.TempDir(), "data")}
	if err := v.prepare(); err != nil {
		t.Fatal(err)
	}
	return v, func() (bench.CrashNode, *shop) {
		t.Helper()
		n, err := v.start(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Kill() })
		for until := time.Now().Add(patience); ; {
			if answer, err := poolless.Get("http://" + v.admin + "/readyz"); err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				if answer.StatusCode == http.StatusOK {
					break
				}
			}
			select {
			case <-n.Ended:
				t.Fatalf("it ended:\n%s", v.lastWords())
			case <-time.After(2 * time.Millisecond):
			}
			if time.Now().After(until) {
				t.Fatalf("not ready:\n%s", v.lastWords())
			}
		}
		return n, &shop{t: t, dir: v.data, http: "http://" + v.http, admin: v.admin}
	}
}

// TestHoldRunsOutWhileKilled: a unit whose time to pay ends while there is no
// process is back after the restart, and sells again exactly once.
func TestHoldRunsOutWhileKilled(t *testing.T) {
	v, start := aVictim(t)
	node, s := start()
	s.apply(soon(1))
	held := s.mustGrant("alice", "k", mask)
	s.mustRefuse("sold_out", "bob", "k", mask)
	if err := node.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(held.PayBy.Add(10 * time.Millisecond)))
	if r, err := v.verifyLog(); err != nil || r.Records == 0 {
		t.Errorf("the log: %+v, %v", r, err)
	}

	_, s = start()
	if a := s.order("alice", held.OrderNo); a.Order.State != "expired" {
		t.Errorf("alice's order: %s", a.Body)
	}
	granted := crowd(20, func(i int) reply { return s.grab(fmt.Sprintf("shopper%d", i), "k", mask) })
	yes := 0
	for _, a := range granted {
		if a.Code == "granted" {
			yes++
		} else if a.Code != "sold_out" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if yes != 1 {
		t.Errorf("the unit sold %d times again", yes)
	}
	if again := s.mustGrant("alice", "k", mask); again.OrderNo != held.OrderNo || again.State != "expired" {
		t.Errorf("alice asks again: %+v", again)
	}
	s.expect(mask, 0, 1, 0)
}

// TestVictimEndsByItself: a process that ends without being killed is told from
// one that was.
func TestVictimEndsByItself(t *testing.T) {
	v, start := aVictim(t)
	node, _ := start()
	other, err := v.start(t.Context(), 0) // the directory is taken
	if err != nil {
		t.Fatal(err)
	}
	<-other.Ended
	if err := other.Kill(); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("the end of a node without a directory: %v", err)
	}
	if err := node.Stop(); err != nil {
		t.Errorf("an orderly stop: %v\n%s", err, v.lastWords())
	}
	if r, err := v.verifyLog(); err != nil || r.Torn != "" {
		t.Errorf("its log: %+v, %v", r, err)
	}
}

// TestVictimDiesWithItsParent: nothing is left running when a crash test is
// itself killed.
func TestVictimDiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends children with their parent")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	parent := exec.Command(self, shortCrash("--rounds", "1", "--data", data)...)
	parent.Env = append(os.Environ(), asProgram+"=1")
	parent.SysProcAttr = childAttributes()
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	gone := func(pid int) bool {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		_, state, _ := strings.Cut(string(b), ") ")
		return err != nil || strings.HasPrefix(state, "Z")
	}
	child := 0
	for until := time.Now().Add(patience); child == 0 && time.Now().Before(until); time.Sleep(time.Millisecond) {
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
	for until := time.Now().Add(patience); !gone(child); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("process %d lives on", child)
		}
	}
}

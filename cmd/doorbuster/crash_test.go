package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/nodetest"
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

// aVictim is a node of its own process on a new directory, ready.
func aVictim(t *testing.T) (*victim, func() bench.CrashNode) {
	t.Helper()
	t.Setenv(asProgram, "1")
	v := &victim{data: filepath.Join(t.TempDir(), "data")}
	if err := v.prepare(); err != nil {
		t.Fatal(err)
	}
	return v, func() bench.CrashNode {
		t.Helper()
		n, err := v.start(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Kill() })
		for until := time.Now().Add(nodetest.Patience); ; {
			if answer, err := nodetest.Client.Get("http://" + v.admin + "/readyz"); err == nil {
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
		return n
	}
}

// TestVictimEndsByItself: a process that ends without being killed is told from
// one that was.
func TestVictimEndsByItself(t *testing.T) {
	v, start := aVictim(t)
	node := start()
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

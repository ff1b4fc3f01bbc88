package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestTailOverARestart: the node that is read from is killed and comes back; every
// event is told once and in order, the break is told once, and Ctrl-C is an end in
// good order, which says where to go on, also at another node.
func TestTailOverARestart(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 1000))
	read, other := f.Follower(), f.Leader()
	tail := nodetest.StartTail(t, "--admin", read.Admin, "--from", "0", "--follow", "--json")
	last := ""
	grant := func(m *nodetest.Member, from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			last = m.MustGrant(fmt.Sprint("s", i), "k", "day/sku-1").OrderNo
		}
	}
	grant(read, 0, 30)
	tail.Await(t, tail.Out, last)
	selling := make(chan struct{})
	go func() { // the sale does not wait for the reader's node
		defer close(selling)
		for i := 30; i < 60; i++ {
			other.MustGrant(fmt.Sprint("s", i), "k", "day/sku-1")
		}
	}()
	read.Kill()
	tail.Await(t, tail.Errs, "coming again at ")
	<-selling
	if t.Failed() {
		return
	}
	read.Relaunch()
	grant(other, 60, 90)
	tail.Await(t, tail.Out, last)
	f.AwaitLedgers()
	told := strings.Join(other.Told("0"), "")
	f.Eventually(func() bool { return len(tail.Out.String()) >= len(told) }, "the tail stays short")
	if err := tail.Command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := tail.Command.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v: %s", err, tail.Errs)
	}
	if got := tail.Out.String(); got != told {
		t.Errorf("%d lines were read, %d told", strings.Count(got, "\n"), strings.Count(told, "\n"))
	}
	said := tail.Errs.String()
	for _, once := range []string{"coming again at ", "going on at ", "stopped; go on with --from "} {
		if strings.Count(said, once) != 1 {
			t.Errorf("%q is not said once:\n%s", once, said)
		}
	}
	_, at, _ := strings.Cut(said, "stopped; go on with --from ")
	grant(other, 90, 93)
	f.AwaitLedgers()
	status, out, errs := nodetest.Tool(t, "", "events", "tail", "--admin", other.Admin, "--from", strings.TrimSpace(at),
		"--json")
	if whole := strings.Join(other.Told("0"), ""); status != 0 || told+out != whole {
		t.Errorf("status %d, from %s at another node: %s%s", status, at, out, errs)
	}
}

// TestTailEndsWithItsKey: whoever reads a node's events is cut off when the key of
// their token is taken out of the file; the command says so and ends. A reader whose
// key stays reads on.
func TestTailEndsWithItsKey(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stays, goes := write("stays.key", strings.Repeat("a", 40)), write("goes.key", strings.Repeat("b", 40))
	both := strings.Repeat("a", 40) + "\n" + strings.Repeat("b", 40) + "\n"
	s := nodetest.Start(t, []string{"serve", "--data", filepath.Join(dir, "data"), "--http", "127.0.0.1:0", "--admin",
		"127.0.0.1:0", "--log-format", "json",
		"--shopper-key-file", write("shopper.key", strings.Repeat("s", 40)), "--ops-key-file", write("ops.key", both)})
	s.AwaitServing()
	token := func(key string) string {
		status, out, errs := nodetest.Tool(t, "", "token", "--sub", "vera", "--role", "operator", "--key-file", key)
		if status != 0 {
			t.Fatal(errs)
		}
		return write(filepath.Base(key)+".token", out)
	}
	plan := write("plan.yaml", nodetest.DayPlan("", 5))
	apply := func() {
		t.Helper()
		if status, _, errs := nodetest.Tool(t, "", "apply", "-f", plan, "--admin", s.Admin, "--token-file",
			token(stays)); status != 0 {
			t.Fatal(errs)
		}
	}
	apply()
	tail := func(key string) *nodetest.Tailing {
		w := nodetest.StartTail(t, "--admin", s.Admin, "--from", "0", "--follow", "--json", "--token-file", token(key))
		w.Await(t, w.Out, "plan_applied")
		return w
	}
	reads, cut := tail(stays), tail(goes)
	write("ops.key", strings.Repeat("a", 40)+"\n")
	ended := make(chan error, 1)
	go func() { ended <- cut.Command.Wait() }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(cut.Errs.String(), "The token is not valid") {
			t.Errorf("%v, %s", err, cut.Errs)
		}
	case <-time.After(nodetest.Patience):
		t.Fatalf("its key was withdrawn, and it reads on: %s", cut.Errs)
	}
	write("plan.yaml", nodetest.DayPlan("", 6))
	apply()
	s.Eventually(func() bool {
		return strings.Count(reads.Out.String(), "plan_applied") == 2
	}, func() string { return "the other one does not read on: " + reads.Errs.String() })
}

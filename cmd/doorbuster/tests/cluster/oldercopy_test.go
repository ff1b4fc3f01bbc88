package cluster

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// copied gives a copy of a directory, which nobody uses.
func copied(m *nodetest.Member) string {
	m.T.Helper()
	to := m.T.TempDir()
	if err := os.CopyFS(to, os.DirFS(m.Dir)); err != nil {
		m.T.Fatal(err)
	}
	return to
}

// rollBack puts a node's directory back to a copy.
func rollBack(m *nodetest.Member, to string) {
	m.T.Helper()
	if err := errors.Join(os.RemoveAll(m.Dir), os.CopyFS(m.Dir, os.DirFS(to))); err != nil {
		m.T.Fatal(err)
	}
}

// sells waits until a unit of the first listing is granted: while the other zone is
// away, and for a moment after, none is.
func sells(f *nodetest.Fleet) {
	n := 0
	f.Eventually(func() bool {
		n++
		a, err := f.Nodes[0].TryGrab(fmt.Sprint("early", n), "k", "day/sku-1")
		return err == nil && a.Code == "granted"
	}, "nothing is granted")
}

// TestOlderCopy: a node whose directory was put back to an older copy is turned
// away by the others, which know of more; it says what to do, and that works. No
// order is forgotten.
func TestOlderCopy(t *testing.T) {
	f := nodetest.OpenFleet(t, "require", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 1000))
	b1 := f.Node("b1")
	f.Eventually(func() bool { // so that b1 has what is copied
		_, err := b1.TryGrab("first", "k", "day/sku-1")
		return err == nil
	}, "b1 does not serve")
	b1.Halt()
	older := copied(b1)
	b1.Relaunch()
	sells(f)
	told := map[string]string{}
	for i := range 50 {
		who := fmt.Sprint("s", i)
		told[who] = f.Nodes[i%3].MustGrant(who, "k", "day/sku-1").OrderNo
	}
	b1.Kill()
	rollBack(b1, older)
	for range 2 { // it remembers that it was told so
		b1.Launch()
		if status, said := b1.Wait(), b1.Logs.String(); status != 1 || !strings.Contains(said, "older copy") ||
			!strings.Contains(said, "cluster remove --node b1") {
			t.Fatalf("it ends with %d:\n%s", status, said)
		}
	}
	for _, id := range []string{"a1", "a2"} {
		f.Eventually(func() bool {
			status, out, _ := nodetest.Tool(t, "", "cluster", "status", "--admin", f.Node(id).Admin)
			return status == 0 && strings.Contains(out, "older copy") &&
				strings.Contains(out, "cluster remove --node b1")
		}, id+" shows no alarm")
		f.Node(id).Raised("wrong_directory", "b1")
	}
	leader := f.LeaderAmong(func(m *nodetest.Member) bool { return m != b1 })
	for _, args := range [][]string{{"zone-ack", "--mode", "prefer"}, {"remove", "--node", "b1"}} {
		leader.MustRun(append([]string{"cluster"}, args...)...)
	}
	b1.Up = false
	f.Nodes = f.Nodes[:2]
	b2 := f.Add("b2:b")
	b2.Launch()
	leader.MustRun("cluster", "join", "--id", "b2", "--zone", "b", "--peer", b2.Ports[2])
	b2.AwaitUp()
	leader.Healed("wrong_directory")
	for who, orderNo := range told {
		if o := b2.MustGrant(who, "k", "day/sku-1"); o.OrderNo != orderNo {
			t.Errorf("%s was told %s, is told %s", who, orderNo, o.OrderNo)
		}
	}
	status, out, errs := nodetest.Tool(t, "", "cluster", "status", "--admin", b2.Admin)
	if status != 0 || strings.Contains(out, "older copy") {
		t.Errorf("%d %s%s", status, out, errs)
	}
}

// TestContradiction: a node of which the others would have what it has told overwritten, as
// they know of nothing, stops, and they say so until they are started again.
func TestContradiction(t *testing.T) {
	f := nodetest.OpenFleet(t, "off", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 1000))
	a1, a2, b1 := f.Nodes[0], f.Nodes[1], f.Nodes[2]
	if leader := f.Leader(); leader != a1 { // what it tells is of the first term
		leader.MustRun("cluster", "transfer", "--to", "a1")
		f.Eventually(func() bool { return f.Leader() == a1 }, "a1 does not come to lead")
	}
	f.Settled()
	b1.Signal(syscall.SIGSTOP) // a start would be known, and this copy not be taken for the directory
	older := copied(b1)
	b1.Signal(syscall.SIGCONT)
	a2.Halt() // knows of nothing that is told from now on
	for i := range 10 {
		a1.EventuallyGrants(fmt.Sprint("told", i), "day/sku-1")
	}
	b1.Halt()
	a1.Halt()
	rollBack(b1, older)
	a2.Launch()
	b1.Launch()
	a2.EventuallyGrants("other", "day/sku-1")
	a1.Launch()
	if status, said := a1.Wait(), a1.Logs.String(); status != 1 || !strings.Contains(said, "overwrite") {
		t.Fatalf("it ends with %d:\n%s", status, said)
	}
	a1.Up = false
	a2.Raised("contradiction", "a1")
	_ = b1.Child.Process.Kill() // if it has not ended by itself, it was told, too
	b1.Wait()
	b1.Up = false
	a2.Halt()
	a2.Launch()
	a2.Healed("contradiction")
}

// TestPromoteOlderCopy: with everybody gone who could know, a node whose directory
// was put back to an older copy does not claim that nothing is lost.
func TestPromoteOlderCopy(t *testing.T) {
	f := nodetest.OpenFleet(t, "require", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 1000))
	b1 := f.Node("b1")
	b1.Halt()
	older := copied(b1)
	b1.Relaunch()
	sells(f)
	for i := range 20 {
		f.Nodes[i%3].MustGrant(fmt.Sprint("s", i), "k", "day/sku-1")
	}
	for _, m := range f.Nodes {
		m.Kill()
	}
	rollBack(b1, older)
	b1.Launch()
	said := ""
	f.Eventually(func() bool {
		_, out, errs := nodetest.Tool(t, "", "cluster", "promote", "--zone", "b", "--dry-run", "--admin", b1.Admin)
		said = out + errs
		return strings.Contains(said, "It can't know")
	}, "no plan of a promotion")
	if strings.Contains(said, "Nothing of that is lost") || !strings.Contains(said, "older copy") {
		t.Errorf("the plan:\n%s", said)
	}
}

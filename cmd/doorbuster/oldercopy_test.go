package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// copied gives a copy of a directory, which nobody uses.
func (m *member) copied() string {
	m.t.Helper()
	to := m.t.TempDir()
	if err := os.CopyFS(to, os.DirFS(m.dir)); err != nil {
		m.t.Fatal(err)
	}
	return to
}

// rollBack puts a node's directory back to a copy.
func (m *member) rollBack(to string) {
	m.t.Helper()
	if err := errors.Join(os.RemoveAll(m.dir), os.CopyFS(m.dir, os.DirFS(to))); err != nil {
		m.t.Fatal(err)
	}
}

// sells waits until a unit of the first listing is granted: while the other room is
// away, and for a moment after, none is.
func (f *testCluster) sells() {
	n := 0
	f.eventually(func() bool {
		n++
		a, err := f.nodes[0].tryGrab(fmt.Sprint("early", n), "k", "day/sku-1")
		return err == nil && a.Code == "granted"
	}, "nothing is granted")
}

// TestOlderCopy: a node whose directory was put back to an older copy is turned
// away by the others, which know of more; it says what to do, and that works. No
// order is forgotten.
func TestOlderCopy(t *testing.T) {
	f := openFleet(t, "require", rooms3...)
	f.plan(dayPlan("", 1000))
	b1 := f.node("b1")
	f.eventually(func() bool { // so that b1 has what is copied
		_, err := b1.tryGrab("first", "k", "day/sku-1")
		return err == nil
	}, "b1 does not serve")
	b1.halt()
	older := b1.copied()
	b1.relaunch()
	f.sells()
	told := map[string]string{}
	for i := range 50 {
		who := fmt.Sprint("s", i)
		told[who] = f.nodes[i%3].mustGrant(who, "k", "day/sku-1").OrderNo
	}
	b1.kill()
	b1.rollBack(older)
	for range 2 { // it remembers that it was told so
		b1.launch()
		if status, said := b1.wait(), b1.logs.String(); status != 1 || !strings.Contains(said, "older copy") || !strings.Contains(said, "cluster remove --node b1") {
			t.Fatalf("it ends with %d:\n%s", status, said)
		}
	}
	for _, id := range []string{"a1", "a2"} {
		f.eventually(func() bool {
			status, out, _ := runTool(t, "", "cluster", "status", "--admin", f.node(id).admin)
			return status == 0 && strings.Contains(out, "older copy") && strings.Contains(out, "cluster remove --node b1")
		}, id+" shows no alarm")
	}
	leader := f.leaderAmong(func(m *member) bool { return m != b1 })
	for _, args := range [][]string{{"zone-ack", "--mode", "prefer"}, {"remove", "--node", "b1"}} {
		if status, out, errs := runTool(t, "", append(append([]string{"cluster"}, args...), "--admin", leader.admin)...); status != 0 {
			t.Fatal(args, out, errs)
		}
	}
	b1.up = false
	f.nodes = f.nodes[:2]
	b2 := f.add("b2:b")
	b2.launch()
	if status, out, errs := runTool(t, "", "cluster", "join", "--id", "b2", "--zone", "b", "--peer", b2.ports[2], "--admin", leader.admin); status != 0 {
		t.Fatal(out, errs)
	}
	b2.awaitUp()
	for who, orderNo := range told {
		if o := b2.mustGrant(who, "k", "day/sku-1"); o.OrderNo != orderNo {
			t.Errorf("%s was told %s, is told %s", who, orderNo, o.OrderNo)
		}
	}
	status, out, errs := runTool(t, "", "cluster", "status", "--admin", b2.admin)
	if status != 0 || strings.Contains(out, "older copy") {
		t.Errorf("%d %s%s", status, out, errs)
	}
}

// TestPromoteOlderCopy: with everybody gone who could know, a node whose directory
// was put back to an older copy does not claim that nothing is lost.
func TestPromoteOlderCopy(t *testing.T) {
	f := openFleet(t, "require", rooms3...)
	f.plan(dayPlan("", 1000))
	b1 := f.node("b1")
	b1.halt()
	older := b1.copied()
	b1.relaunch()
	f.sells()
	for i := range 20 {
		f.nodes[i%3].mustGrant(fmt.Sprint("s", i), "k", "day/sku-1")
	}
	for _, m := range f.nodes {
		m.kill()
	}
	b1.rollBack(older)
	b1.launch()
	said := ""
	f.eventually(func() bool {
		_, out, errs := runTool(t, "", "cluster", "promote", "--zone", "b", "--dry-run", "--admin", b1.admin)
		said = out + errs
		return strings.Contains(said, "It can't know")
	}, "no plan of a promotion")
	if strings.Contains(said, "Nothing of that is lost") || !strings.Contains(said, "older copy") {
		t.Errorf("the plan:\n%s", said)
	}
}

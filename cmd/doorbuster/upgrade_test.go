package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cluster"
	"doorbuster/engine"
)

// TestRollingUpgrade: one node after the other goes over to a build with newer
// rules, while the sale runs under a leader of either build. No grab fails, no
// state differs, and the rules are raised once all know them; an older build that
// comes afterwards says what is wrong with it.
func TestRollingUpgrade(t *testing.T) {
	next := nextBuild(t)
	f := newFleet(t, "prefer", rooms3...)
	doors := make([]*door, len(f.nodes))
	for i, m := range f.nodes {
		m.launch(unhurried...)
		doors[i] = doorOf(m)
	}
	for _, m := range f.nodes {
		m.awaitUp()
	}
	f.plan(dayPlan("        pay_within: 1h\n", 1_000_000))
	rate := rushRate() / 2
	var rushes []*rush
	during := func(name string, change func()) {
		t.Helper()
		r := startRush(t, name+"-", "day/sku-1", rate, doors...)
		r.sell(rate / 4)
		change()
		r.sell(rate / 4)
		r.close()
		rushes = append(rushes, r)
		checkRushes(f, rushes...)
		f.sameHash()
		if t.Failed() {
			t.Fatalf("it went wrong in step %q", name)
		}
	}
	replace := func(m *member) {
		m.halt()
		m.executable = next
		m.launch(unhurried...)
		m.awaitUp()
	}
	first := f.follower()
	during("first", func() { replace(first) })
	during("lead", func() {
		if status, out, errs := runTool(t, "", "cluster", "transfer", "--to", first.id, "--admin", first.admin); status != 0 {
			t.Fatal(out, errs)
		}
	})
	if leader := f.leader(); leader != first {
		t.Fatalf("%s leads", leader.id)
	}
	rest := f.others(first)
	during("second", func() { replace(rest[0]) })
	for _, m := range f.nodes {
		if s, _ := m.status(); s.Rules != engine.RulesVersion {
			t.Errorf("%s goes by rules %d while %s knows no others than %d", m.id, s.Rules, rest[1].id, engine.RulesVersion)
		}
	}
	during("third", func() {
		replace(rest[1])
		f.eventually(func() bool {
			for _, m := range f.nodes {
				if s, ok := m.status(); !ok || s.Rules != engine.RulesVersion+1 {
					return false
				}
			}
			return true
		}, "the rules are not raised")
	})
	during("newer", func() {})

	// An older build: with the log that raised the rules, and with a snapshot.
	old := f.follower()
	for _, snapshot := range []bool{false, true} {
		if snapshot {
			if status, out, errs := runTool(t, "", "cluster", "snapshot", "--admin", old.admin); status != 0 {
				t.Fatal(out, errs)
			}
		}
		old.halt()
		old.executable = ""
		old.launch(unhurried...)
		if status := old.wait(); status != 1 || !strings.Contains(old.logs.String(), fmt.Sprintf("rules version %d, this build knows %d", engine.RulesVersion+1, engine.RulesVersion)) || !strings.Contains(old.logs.String(), "upgrade doorbuster") {
			t.Errorf("an older build, snapshot %t: %d\n%s", snapshot, status, old.logs)
		}
		old.executable = next
		old.launch(unhurried...)
		old.awaitUp()
	}
	during("back", func() {})
}

// unhurried is how a node stops that load balancers are to notice.
var unhurried = []string{"--stop-delay", "1s"}

// nextBuild makes the program with newer rules.
func nextBuild(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "doorbuster-next")
	if out, err := exec.Command("go", "build", "-tags", "nextrules", "-buildvcs=false", "-o", path, "doorbuster/cmd/doorbuster").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// sameHash waits until all nodes that are up have a state of the same index, and
// compares them to the last byte.
func (f *testCluster) sameHash() {
	f.t.Helper()
	var states map[string]cluster.BackupInfo
	f.eventually(func() bool {
		states = map[string]cluster.BackupInfo{}
		for _, m := range f.nodes {
			if m.up {
				states[m.id] = m.backupInfo()
			}
		}
		return sameIndex(states)
	}, "the nodes do not come to the same log index")
	hash := ""
	for id, s := range states {
		if hash == "" {
			hash = s.Hash
		}
		if s.Hash != hash {
			f.t.Errorf("the state forked: %s has hash %s at log index %d, another %s", id, s.Hash, s.LogIndex, hash)
		}
	}
}

func sameIndex(states map[string]cluster.BackupInfo) bool {
	for _, a := range states {
		for _, b := range states {
			if a.LogIndex != b.LogIndex {
				return false
			}
		}
	}
	return true
}

// backupInfo is what the head of a backup says of a node's state.
func (m *member) backupInfo() (info cluster.BackupInfo) {
	m.t.Helper()
	a := m.ops("GET", "/admin/v1/cluster/backup?state_only=true", "")
	head, body := []byte(a.Body[:24]), []byte(a.Body[24:])
	if a.Status != 200 || !bytes.HasPrefix(head, []byte("DBSAVED1")) {
		m.t.Fatalf("%d %.200q", a.Status, a.Body)
	}
	if err := json.Unmarshal(body[:binary.LittleEndian.Uint32(head[12:])], &info); err != nil {
		m.t.Fatal(err)
	}
	return info
}

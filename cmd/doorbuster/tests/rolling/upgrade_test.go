package rolling

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
)

// TestRollingUpgrade: one node after the other goes over to a build with newer
// rules, while the sale runs under a leader of either build. No grab fails, no
// state differs, and the rules are raised once all know them; an older build that
// comes afterwards says what is wrong with it.
func TestRollingUpgrade(t *testing.T) {
	next := nextBuild(t)
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	doors := make([]*door, len(f.Nodes))
	for i, m := range f.Nodes {
		m.Launch(unhurried...)
		doors[i] = doorOf(m)
	}
	for _, m := range f.Nodes {
		m.AwaitUp()
	}
	f.Plan(nodetest.DayPlan("        pay_within: 1h\n", 1_000_000))
	rate := nodetest.RushRate() / 2
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
		f.SameHash()
		if t.Failed() {
			t.Fatalf("it went wrong in step %q", name)
		}
	}
	replace := func(m *nodetest.Member) {
		m.Halt()
		m.Executable = next
		m.Launch(unhurried...)
		m.AwaitUp()
	}
	first := f.Follower()
	during("first", func() { replace(first) })
	during("lead", func() {
		first.MustRun("cluster", "transfer", "--to", first.ID)
	})
	if leader := f.Leader(); leader != first {
		t.Fatalf("%s leads", leader.ID)
	}
	rest := f.Others(first)
	during("second", func() { replace(rest[0]) })
	for _, m := range f.Nodes {
		if s, _ := m.Status(); s.Rules != engine.RulesVersion {
			t.Errorf("%s goes by rules %d while %s knows no others than %d", m.ID, s.Rules, rest[1].ID,
				engine.RulesVersion)
		}
	}
	during("third", func() {
		replace(rest[1])
		f.Eventually(func() bool {
			for _, m := range f.Nodes {
				if s, ok := m.Status(); !ok || s.Rules != engine.RulesVersion+1 {
					return false
				}
			}
			return true
		}, "the rules are not raised")
	})
	during("newer", func() {})

	// An older build: with the log that raised the rules, and with a snapshot.
	old := f.Follower()
	for _, snapshot := range []bool{false, true} {
		if snapshot {
			old.MustRun("cluster", "snapshot")
		}
		old.Halt()
		old.Executable = ""
		old.Launch(unhurried...)
		if status := old.Wait(); status != 1 || !strings.Contains(old.Logs.String(),
			fmt.Sprintf("rules version %d, this build knows %d", engine.RulesVersion+1, engine.RulesVersion)) ||
			!strings.Contains(old.Logs.String(), "upgrade doorbuster") {
			t.Errorf("an older build, snapshot %t: %d\n%s", snapshot, status, old.Logs)
		}
		old.Executable = next
		old.Launch(unhurried...)
		old.AwaitUp()
	}
	during("back", func() {})
}

// unhurried is how a node stops that load balancers are to notice.
var unhurried = []string{"--stop-delay", "1s"}

// nextBuild makes the program with newer rules.
func nextBuild(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "doorbuster-next")
	if err := nodetest.Build(path, "-tags=nextrules"); err != nil {
		t.Fatal(err)
	}
	return path
}

//go:build nextrules

package actors_test

import (
	"testing"
	"time"

	"doorbuster/actors"
	"doorbuster/engine"
)

// TestFirstPlanWaitsForTheNewestRules: in a group of several nodes nothing is sold by
// rules that its nodes are about to leave behind; where they stay, it is sold by
// these in the end.
func TestFirstPlanWaitsForTheNewestRules(t *testing.T) {
	apply := func(s *testShop) (by uint32) {
		t.Helper()
		if o, err := s.ApplyPlan(t.Context(), engine.By{Operator: "ops"}, drawnPlan(s.Now()), false); err != nil ||
			len(o.Problems) > 0 || len(o.Changes) == 0 {
			t.Error(o, err)
		}
		s.log.View(func(state *engine.State) { by = state.Rules() })
		return by
	}
	raised := openShop(t, func(c *actors.Config) { c.CommandTimeout = time.Minute })
	raised.Join(&wire{leader: raised.Group, fresh: alwaysTrue(), current: true})
	raised.RaiseRules(engine.RulesVersion)
	if by := apply(raised); by != engine.RulesVersion {
		t.Errorf("the first plan was applied by rules %d", by)
	}
	const half = 100 * time.Millisecond
	old := openShop(t, func(c *actors.Config) { c.CommandTimeout = 2 * half })
	old.Join(&wire{leader: old.Group, fresh: alwaysTrue(), current: true})
	began := time.Now()
	if by := apply(old); by != 1 {
		t.Errorf("the first plan was applied by rules %d", by)
	}
	if waited := time.Since(began); waited < half {
		t.Errorf("the first plan waited for %s", waited)
	}
}

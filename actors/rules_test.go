package actors

import (
	"testing"
	"time"

	"doorbuster/engine"
)

// richPlan asks for rules of version 2.
func richPlan(now engine.Time) *engine.Plan {
	drawn := units("mask", 1)
	drawn.Draw = time.Second
	return &engine.Plan{
		Products: []engine.Product{{ID: "mask", Currency: "CNY"}},
		Sales: []engine.SalePlan{{Sale: engine.Sale{ID: "sale", Timezone: "UTC"}, Sessions: []engine.SessionPlan{{
			SessionSpec: engine.SessionSpec{ID: "day", StartSpec: "later", Start: now.Add(time.Hour), End: now.Add(2 * time.Hour), PayWithin: time.Minute, Publish: true},
			Listings:    []engine.ListingSpec{drawn}}}}},
	}
}

// TestPlanWaitsForItsRules: a plan that comes before a fresh group has raised its
// rules is applied once it has.
func TestPlanWaitsForItsRules(t *testing.T) {
	s := openShop(t, func(c *Config) { c.CommandTimeout = time.Minute })
	release := s.log.holdEntries()
	s.RaiseRules(2)
	applied := make(chan error, 1)
	go func() {
		o, err := s.ApplyPlan(t.Context(), engine.By{Operator: "ops"}, richPlan(s.Now()), false)
		if len(o.Problems) > 0 {
			t.Error(o.Problems)
		}
		applied <- err
	}()
	release()
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	s.log.View(func(state *engine.State) {
		l := state.Listings()[0]
		if l.Draw != time.Second || l.Seed == [32]byte{} {
			t.Errorf("draw of %s, seed %x", l.Draw, l.Seed)
		}
	})
}

// TestFirstPlanWaitsForTheNewestRules: in a group of several nodes nothing is sold by
// rules that its nodes are about to leave behind; where they stay, it is sold by
// these in the end.
func TestFirstPlanWaitsForTheNewestRules(t *testing.T) {
	plain := func(s *shop) *engine.Plan {
		p := richPlan(s.Now())
		p.Sales[0].Sessions[0].Listings[0].Draw = 0
		return p
	}
	apply := func(s *shop, p *engine.Plan) {
		t.Helper()
		if o, err := s.ApplyPlan(t.Context(), engine.By{Operator: "ops"}, p, false); err != nil || len(o.Problems) > 0 || len(o.Changes) == 0 {
			t.Error(o, err)
		}
	}
	raised := openShop(t, func(c *Config) { c.CommandTimeout = time.Minute })
	raised.Join(&wire{leader: raised.Group, fresh: alwaysTrue(), current: true})
	raised.RaiseRules(engine.RulesVersion)
	apply(raised, plain(raised))
	if rules := raised.rules.Load(); rules != engine.RulesVersion {
		t.Errorf("the first plan was applied by rules %d", rules)
	}
	const half = 100 * time.Millisecond
	old := openShop(t, func(c *Config) { c.CommandTimeout = 2 * half })
	old.Join(&wire{leader: old.Group, fresh: alwaysTrue(), current: true, old: []string{"a2"}})
	began := time.Now()
	apply(old, plain(old))
	if waited := time.Since(began); waited < half {
		t.Errorf("the first plan waited for %s", waited)
	}
}

// TestPlansSeedsDiffer: each plan brings its own randomness to its draws.
func TestPlansSeedsDiffer(t *testing.T) {
	var seeds [2][32]byte
	for i := range seeds {
		s := openShop(t, nil)
		s.raise()
		if o, err := s.ApplyPlan(t.Context(), engine.By{Operator: "ops"}, richPlan(s.Now()), false); err != nil || len(o.Problems) > 0 {
			t.Fatal(err, o.Problems)
		}
		s.log.View(func(state *engine.State) { seeds[i] = state.Listings()[0].Seed })
	}
	if seeds[0] == seeds[1] {
		t.Error("two shops draw alike")
	}
}

// TestPlanSaysWhoIsTooOld: with a node that knows no newer rules nothing changes,
// and a plan that needs none goes through.
func TestPlanSaysWhoIsTooOld(t *testing.T) {
	s := openShop(t, func(c *Config) { c.CommandTimeout = 50 * time.Millisecond })
	for _, c := range []struct {
		old  []string
		want string
	}{
		{nil, "asks for rules of version 2, and the group runs by version 1, which its leader raises within moments once every node knows them; try again"},
		{[]string{"a2", "b1"}, "asks for rules of version 2, and the group runs by version 1: upgrade every node first; as far as is known, these are too old: a2, b1"},
	} {
		if c.old != nil {
			s.Join(&wire{leader: s.Group, fresh: alwaysTrue(), current: true, old: c.old})
		}
		for _, dry := range []bool{true, false} {
			o, err := s.ApplyPlan(t.Context(), engine.By{Operator: "ops"}, richPlan(s.Now()), dry)
			if err != nil || len(o.Changes) > 0 || len(o.Problems) != 1 || o.Problems[0].Message != c.want {
				t.Errorf("%+v, %v", o, err)
			}
		}
	}
	plain := richPlan(s.Now())
	plain.Sales[0].Sessions[0].Listings[0].Draw = 0
	if o, err := s.ApplyPlan(t.Context(), engine.By{Operator: "ops"}, plain, true); err != nil || len(o.Problems) > 0 {
		t.Errorf("%v, %v", o.Problems, err)
	}
}

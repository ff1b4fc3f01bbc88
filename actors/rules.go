package actors

import (
	"context"
	"fmt"
	"strings"
	"time"

	"doorbuster/engine"
)

// rulesPause is how long whoever waits for newer rules looks away.
const rulesPause = 5 * time.Millisecond

// awaitRules waits until the group runs by rules of this version, or newer ones, at
// most for the time that a command may take: a new leader raises them within
// moments, where every node knows them. Then it says which nodes don't.
func (g *Group) awaitRules(ctx context.Context, version uint32) []engine.Problem {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.CommandTimeout)
	defer cancel()
	look := time.NewTicker(rulesPause)
	defer look.Stop()
	for {
		var present uint32
		g.view.View(func(s *engine.State) { present = s.Rules() })
		if present >= version {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return []engine.Problem{{Path: "plan", Message: g.rulesMissing(present, version)}}
		}
	}
}

// awaitNewestRules waits, in a group of several nodes that has nothing to sell yet,
// for the newest rules: a sale should not begin by rules that change under it. After
// half the time that a command may take it goes on without them, for it may be that
// a node is away or too old.
func (g *Group) awaitNewestRules(ctx context.Context) {
	empty := false
	g.view.View(func(s *engine.State) { empty = len(s.Sessions()) == 0 })
	if g.others == nil || !empty {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.CommandTimeout/2)
	defer cancel()
	g.awaitRules(ctx, engine.RulesVersion)
}

func (g *Group) rulesMissing(present, asked uint32) string {
	said := fmt.Sprintf("asks for rules of version %d, and the group runs by version %d", asked, present)
	if g.others != nil {
		if nodes := g.others.WithoutRules(asked); len(nodes) > 0 {
			return said + ": upgrade every node first; as far as is known, these are too old: " + strings.Join(nodes, ", ")
		}
	}
	return said + ", which its leader raises within moments once every node knows them; try again"
}

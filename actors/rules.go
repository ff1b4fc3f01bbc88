package actors

import (
	"context"
	"time"

	"doorbuster/engine"
)

// rulesPause is how long whoever waits for newer rules looks away.
const rulesPause = 5 * time.Millisecond

// awaitNewestRules waits, in a group of several nodes that has nothing to sell yet,
// for the newest rules: a sale should not begin by rules that change under it. After
// half the time that a command may take it goes on without them, for it may be that
// a node is away or too old.
func (g *Group) awaitNewestRules(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.CommandTimeout/2)
	defer cancel()
	look := time.NewTicker(rulesPause)
	defer look.Stop()
	for g.others != nil && ctx.Err() == nil {
		var newest, sells bool
		g.view.View(func(s *engine.State) { newest, sells = s.Rules() >= engine.RulesVersion, len(s.Sessions()) > 0 })
		if newest || sells {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
}

//go:build faults

package actors

import (
	"context"

	"doorbuster/engine"
)

// BreakListing makes a unit of a listing vanish, so that tests can see a whole
// node with a broken invariant.
func (g *Group) BreakListing(ctx context.Context, session, sku string) error {
	gate := g.catalogue.Load().byName[session+"/skus/"+sku]
	if gate == nil {
		return refusal(engine.ReasonUnknown)
	}
	_, err := g.ask(ctx, engine.BreakListing(gate.handle))
	return err
}

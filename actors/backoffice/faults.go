//go:build faults

package backoffice

import (
	"context"

	"doorbuster/engine"
)

// BreakListing makes a unit of a listing vanish, so that tests can see a whole
// node with a broken invariant.
func (bo *Office) BreakListing(ctx context.Context, session, sku string) error {
	h, err := bo.handle(ctx, session, sku)
	if err == nil {
		_, err = bo.Ask(ctx, engine.BreakListing(h))
	}
	return err
}

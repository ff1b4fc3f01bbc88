package backoffice

import (
	"context"

	"doorbuster/engine"
)

// sign puts into c who asks for it, and what they mean to have done once, which
// only a node that knows the group's secret can.
func (bo *Office) sign(ctx context.Context, c *engine.Command, by engine.By) error {
	c.Operator = by.Operator
	if by.Key == "" {
		return nil
	}
	if err := bo.CatchUp(ctx); err != nil {
		return err
	}
	keyed := bo.Keyed()
	if keyed == nil {
		return engine.ErrNotLeader
	}
	c.Intent = by.Intent(keyed)
	return nil
}

// done reports whether what an intent means has been done, as State.Done, as far as
// this node knows.
func (bo *Office) done(i engine.Intent) (done bool, changes []engine.Change, err error) {
	if i == (engine.Intent{}) {
		return false, nil, nil
	}
	bo.View(func(s *engine.State) { done, changes, err = s.Done(i) })
	return done, changes, err
}

// Done reports whether by has had this request done, as far as that is remembered.
// Error: a refusal for a key that was used for another request.
func (bo *Office) Done(ctx context.Context, by engine.By) (done bool, err error) {
	var c engine.Command
	if err := bo.sign(ctx, &c, by); err != nil {
		return false, err
	}
	done, _, err = bo.done(c.Intent)
	return done, err
}

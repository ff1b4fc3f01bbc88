package backoffice

import (
	"context"

	"doorbuster/engine"
)

// Switchboard gives the switches, profiles and the last changes as they are.
func (bo *Office) Switchboard() (v engine.SwitchboardView, err error) {
	if err := bo.Current(); err != nil {
		return v, err
	}
	bo.View(func(s *engine.State) { v = s.Switchboard() })
	return v, nil
}

// ChangeSwitches turns switches, or defines or forgets a profile, and gives how
// it is afterwards. Every node that serves goes by it within half a second: one
// that has not heard of it by then tells nobody anything.
func (bo *Office) ChangeSwitches(
	ctx context.Context, by engine.By, change engine.SwitchChange, note string,
) (v engine.SwitchboardView, err error) {
	c := engine.Command{Kind: engine.CmdSetSwitches, Switches: change, Note: note}
	if change.Action == engine.ProfileDefine || change.Action == engine.ProfileForget {
		c.Kind = engine.CmdSetProfile
	}
	if err := bo.CatchUp(ctx); err != nil {
		return v, err
	}
	if err := bo.askBy(ctx, by, c); err != nil {
		return v, err
	}
	bo.View(func(s *engine.State) { v = s.Switchboard() })
	return v, nil
}

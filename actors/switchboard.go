package actors

import (
	"context"

	"doorbuster/engine"
)

// Switchboard gives the switches, profiles and the last changes as they are.
func (g *Group) Switchboard() (v engine.SwitchboardView, err error) {
	if err := g.current(); err != nil {
		return v, err
	}
	g.view.View(func(s *engine.State) { v = s.Switchboard() })
	return v, nil
}

// ChangeSwitches turns switches, or defines or forgets a profile, and gives how
// it is afterwards. Every node that serves goes by it within half a second: one
// that has not heard of it by then tells nobody anything.
func (g *Group) ChangeSwitches(ctx context.Context, by engine.By, change engine.SwitchChange, note string) (v engine.SwitchboardView, err error) {
	c := engine.Command{Kind: engine.CmdSetSwitches, Switches: change, Note: note}
	if change.Action == engine.ProfileDefine || change.Action == engine.ProfileForget {
		c.Kind = engine.CmdSetProfile
	}
	if err := g.sign(ctx, &c, by); err != nil {
		return v, err
	}
	if err := g.askCaughtUp(ctx, c); err != nil {
		return v, err
	}
	g.view.View(func(s *engine.State) { v = s.Switchboard() })
	return v, nil
}

// askCaughtUp takes a command through the log once the state may be told as the group's.
func (g *Group) askCaughtUp(ctx context.Context, c engine.Command) error {
	if err := g.awaitCaughtUp(ctx); err != nil {
		return err
	}
	_, err := g.ask(ctx, c)
	return err
}

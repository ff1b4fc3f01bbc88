package actors

import "doorbuster/engine"

// riskOf looks a visitor up in the lists of the committed state.
func (g *Group) riskOf(v *engine.Visitor) (worst engine.Level) {
	if !g.risky.Load() {
		return engine.LevelNone
	}
	g.view.View(func(s *engine.State) {
		look := func(kind engine.RosterKind, id []byte) {
			worst = max(worst, s.Rosters().Level(engine.RosterID{Kind: kind}, id))
		}
		look(engine.RosterRiskShopper, v.Shopper)
		listed, _ := s.Rosters().PrefixLevel(v.Addr)
		worst = max(worst, listed)
		if v.PhoneHash != (engine.Blind{}) {
			look(engine.RosterRiskPhone, v.PhoneHash[:])
		}
		if v.AddressHash != (engine.Blind{}) {
			look(engine.RosterRiskAddress, v.AddressHash[:])
		}
	})
	return worst
}

// learnRoster takes over what changed in a roster as far as the door needs it
// apart from the state. s is the state after the change.
func (g *Group) learnRoster(s *engine.State, id engine.RosterID) {
	if id.Kind < engine.RosterRiskShopper {
		return
	}
	risky := false
	for kind := engine.RosterRiskShopper; kind <= engine.RosterRiskIP; kind++ {
		risky = risky || s.Rosters().Count(engine.RosterID{Kind: kind}) > 0
	}
	g.risky.Store(risky)
}

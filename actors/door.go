package actors

import "doorbuster/engine"

// DoorRules gives what the door must know of a listing.
func (g *Group) DoorRules(listing []byte) engine.DoorRules {
	if gate := g.named(listing); gate != nil {
		return gate.doorRules()
	}
	return engine.DoorRules{}
}

// Switches gives the present values; read only.
func (g *Group) Switches() *engine.Switches { return g.switches.Load() }

func (g *Group) learnSwitches(s *engine.State) {
	now := *s.Switches()
	g.switches.Store(&now)
	if g.journal != nil {
		g.journal.turn(now.On(engine.SwitchJournal))
	}
}

// TicketSecret gives a secret that only the group's nodes know, for tickets and
// challenges; false before this node knows it.
func (g *Group) TicketSecret() (secret [32]byte, known bool) {
	if found := g.tickets.Load(); found != nil {
		return *found, true
	}
	return secret, false
}

// Risk gives what the risk lists say of a visitor: the worst.
func (g *Group) Risk(v *engine.Visitor) (worst engine.Level) {
	if !g.switches.Load().On(engine.SwitchRiskLists) {
		return engine.LevelNone
	}
	return g.riskOf(v)
}

package actors

import (
	"net/netip"

	"doorbuster/engine"
)

// riskOf looks a visitor up in the lists of the committed state.
func (g *Group) riskOf(v *engine.Visitor) (worst engine.Level) {
	if !g.risky.Load() {
		return engine.LevelNone
	}
	g.view.View(func(s *engine.State) {
		look := func(kind engine.RosterKind, id []byte) {
			worst = max(worst, s.LevelOf(engine.RosterID{Kind: kind}, id))
		}
		look(engine.RosterRiskShopper, v.Shopper)
		if v.Phone != "" {
			look(engine.RosterRiskPhone, []byte(v.Phone))
		}
		if v.Address != "" {
			look(engine.RosterRiskAddress, []byte(v.Address))
		}
	})
	if prefixes := g.prefixes.Load(); prefixes != nil && v.Addr.IsValid() {
		worst = max(worst, prefixes.level(v.Addr))
	}
	return worst
}

// prefixes are the addresses of the risk list, for looking up without a lock.
// One map for each length of prefix: an address is in at most one of each.
type prefixes struct {
	lengths []int // of those there are
	by      map[netip.Prefix]engine.Level
}

func (p *prefixes) level(addr netip.Addr) (worst engine.Level) {
	addr = addr.Unmap()
	for _, bits := range p.lengths {
		if prefix, err := addr.Prefix(bits); err == nil {
			worst = max(worst, p.by[prefix])
		}
	}
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
		risky = risky || s.RosterCount(engine.RosterID{Kind: kind}) > 0
	}
	g.risky.Store(risky)
	if id.Kind != engine.RosterRiskIP {
		return
	}
	table := &prefixes{by: make(map[netip.Prefix]engine.Level, s.RosterCount(id))}
	seen := [129]bool{}
	rows, _, _ := s.RosterRows(id, 0, engine.MaxRosterRows)
	for _, row := range rows {
		prefix, err := netip.ParsePrefix(row.ID)
		if err != nil {
			continue // the engine takes none such
		}
		table.by[prefix] = row.Level
		if !seen[prefix.Bits()] {
			seen[prefix.Bits()] = true
			table.lengths = append(table.lengths, prefix.Bits())
		}
	}
	g.prefixes.Store(table)
}

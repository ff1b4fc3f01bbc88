package engine

import (
	"net/netip"
	"testing"
)

// TestPrefixLengthsSurviveASnapshot: what is looked up of an address is the same
// after a restore, also of a row that came back after it was taken off.
func TestPrefixLengthsSurviveASnapshot(t *testing.T) {
	s := newGroup(t).state
	s.rules = RulesVersion
	r := s.newRoster()
	s.rosters[RosterID{Kind: RosterRiskIP}] = r
	r.put(&RosterEntry{ID: []byte("203.0.113.0/24"), Level: LevelBlock}, 1)
	r.put(&RosterEntry{ID: []byte("198.51.100.0/25"), Level: LevelBlock}, 1)
	r.put(&RosterEntry{ID: []byte("198.51.100.0/25"), Level: LevelNone}, 2)
	r.put(&RosterEntry{ID: []byte("not a prefix/99999"), Level: LevelBlock}, 2)
	back := mustRead(t, encoded(t, s.Snapshot()))
	for _, each := range []*State{s, back} {
		if level, by := each.Rosters().PrefixLevel(netip.MustParseAddr("203.0.113.9")); level != LevelBlock ||
			by.String() != "203.0.113.0/24" {
			t.Errorf("%s by %s", level, by)
		}
		if level, _ := each.Rosters().PrefixLevel(netip.MustParseAddr("198.51.100.9")); level != LevelNone {
			t.Errorf("taken off, and %s", level)
		}
		each.rosters[RosterID{Kind: RosterRiskIP}].put(&RosterEntry{ID: []byte("198.51.100.0/25"),
			Level: LevelListed}, 3)
		if level, _ := each.Rosters().PrefixLevel(netip.MustParseAddr("198.51.100.9")); level != LevelListed {
			t.Errorf("back on, and %s", level)
		}
	}
}

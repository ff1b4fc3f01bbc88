package engine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func (g *group) edit(e RosterEdit) Event {
	g.tb.Helper()
	return g.one(Command{Kind: CmdEditRoster, Edit: e, Operator: "op", Note: "why"})
}

func rows(level Level, ids ...string) (rows []RosterEntry) {
	for _, id := range ids {
		rows = append(rows, RosterEntry{ID: []byte(id), Level: level})
	}
	return rows
}

// A whole list is staged in pieces and then there in one step, or not at all.
func TestRosterIsStagedAndThenThere(t *testing.T) {
	g := newGroup(t)
	id := RosterID{Kind: RosterRiskShopper}
	level := func(who string) Level { return g.state.Rosters().Level(id, []byte(who)) }
	g.edit(RosterEdit{Roster: id, Action: RosterPut, Rows: rows(LevelBlock, "old", "both")})
	stage := func(stage uint64, entries ...RosterEntry) Event {
		return g.edit(RosterEdit{Roster: id, Action: RosterStage, Stage: stage, Rows: entries})
	}
	commit := func(stage uint64, count uint32) Event {
		return g.edit(RosterEdit{Roster: id, Action: RosterCommit, Stage: stage, Count: count})
	}
	stage(1, rows(LevelListed, "lost")...)
	stage(2, rows(LevelListed, "both", "new")...) // takes the place of the first
	twin := copied(t, g.state)
	stage(2, rows(LevelChallenge, "new", "newer")...)
	if level("new") != LevelNone || level("old") != LevelBlock || g.state.Rosters().Count(id) != 2 {
		t.Error("what is staged counts before its commit")
	}
	for what, e := range map[string]Event{"of an older staging": commit(1, 1), "of too few rows": commit(2, 2),
		"of too many": commit(2, 4), "of none": commit(0, 3)} {
		if e.Kind != CommandRefused || e.Reason != ReasonConflict {
			t.Errorf("a commit %s: %v", what, e)
		}
	}
	if e := commit(2, 3); e.Kind != RosterEdited || e.Quantity != 3 {
		t.Errorf("the commit: %v", e)
	}
	if level("old") != LevelNone || level("both") != LevelListed || level("new") != LevelChallenge ||
		level("newer") != LevelChallenge || level("lost") != LevelNone {
		t.Error("not what was staged")
	}
	if e := commit(2, 3); e.Kind != CommandRefused {
		t.Errorf("the commit again: %v", e)
	}
	g.follow(twin)
	if eff := g.do(Command{Kind: CmdEditRoster, Edit: RosterEdit{Roster: id,
		Action: RosterDrop}}); !slices.Contains(eff.Rosters, id) || level("new") != LevelNone ||
		len(g.state.Rosters().IDs()) != 0 {
		t.Error("dropped, and still there")
	}
}

// One bad row refuses an edit whole.
func TestRosterEditIsWholeOrNotAtAll(t *testing.T) {
	g := newGroup(t)
	g.session("s", nil, ListingSpec{Stock: 1, Reservation: true})
	long := strings.Repeat("x", MaxShopperBytes+1)
	for what, e := range map[string]RosterEdit{
		"an empty id": {Roster: RosterID{Kind: RosterAllowed, Name: "vip"},
			Rows: rows(LevelListed, "ann", "")},
		"a long id": {Roster: RosterID{Kind: RosterAllowed, Name: "vip"},
			Rows: rows(LevelListed, "ann", long)},
		"a level of risk": {Roster: RosterID{Kind: RosterAllowed, Name: "vip"},
			Rows: append(rows(LevelListed, "ann"), rows(LevelBlock, "bob")...)},
		"no level at all": {Roster: RosterID{Kind: RosterRiskShopper}, Rows: rows(levelEnd, "ann")},
		"no phone": {Roster: RosterID{Kind: RosterRiskPhone},
			Rows: rows(LevelBlock, "+8613800138000")},
		"a phone in the place of its hash": {Roster: RosterID{Kind: RosterRiskPhone},
			Rows: []RosterEntry{{[]byte("+861380013800013"), LevelBlock, nil}}},
		"a row off with something sealed": {Roster: RosterID{Kind: RosterRiskPhone},
			Rows: []RosterEntry{{make([]byte, 16), LevelNone, []byte("sealed")}}},
		"too much sealed": {Roster: RosterID{Kind: RosterRiskPhone},
			Rows: []RosterEntry{{make([]byte, 16), LevelBlock, make([]byte, MaxSealedRowBytes+1)}}},
		"something sealed of a shopper": {Roster: RosterID{Kind: RosterRiskShopper},
			Rows: []RosterEntry{{[]byte("ann"), LevelBlock, []byte("sealed")}}},
		"no prefix": {Roster: RosterID{Kind: RosterRiskIP},
			Rows: rows(LevelBlock, "203.0.113.0/24", "203.0.113.0/33")},
		"a prefix with its host": {Roster: RosterID{Kind: RosterRiskIP}, Rows: rows(LevelBlock, "203.0.113.7/24")},
		"an address of lines":    {Roster: RosterID{Kind: RosterRiskAddress}, Rows: rows(LevelBlock, "a\nb")},
		"no name":                {Roster: RosterID{Kind: RosterAllowed}, Rows: rows(LevelListed, "ann")},
		"a bad name":             {Roster: RosterID{Kind: RosterAllowed, Name: "v/ip"}, Rows: rows(LevelListed, "ann")},
		"a name too many":        {Roster: RosterID{Kind: RosterRiskIP, Name: "vip"}},
		"no listing":             {Roster: RosterID{Kind: RosterReserved}, Rows: rows(LevelListed, "ann")},
		"an unknown listing":     {Roster: RosterID{Kind: RosterReserved, Listing: 9}, Rows: rows(LevelListed, "ann")},
		"a session that is open": {Roster: RosterID{Kind: RosterReserved, Listing: 1}, Rows: rows(LevelListed, "ann")},
		"no kind":                {Rows: rows(LevelListed, "ann")},
		"no action":              {Roster: RosterID{Kind: RosterRiskShopper}, Action: rosterActionEnd},
		"a staging of nobody":    {Roster: RosterID{Kind: RosterRiskShopper}, Action: RosterStage},
	} {
		if e.Action == 0 {
			e.Action = RosterPut
		}
		if got := g.edit(e); got.Kind != CommandRefused {
			t.Errorf("%s: %v", what, got)
		}
		if len(g.state.Rosters().IDs()) != 0 {
			t.Fatalf("%s has left %v behind", what, g.state.Rosters().IDs())
		}
	}
}

func TestRosterRowsAsWritten(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.7": "203.0.113.7/32", "203.0.113.7/24": "203.0.113.0/24", "2001:db8::1": "2001:db8::1/128",
		"2001:DB8::/32":      "2001:db8::/32",
		"::ffff:203.0.113.7": "203.0.113.7/32", "fe80::1%eth0": "", "x": "", "": "", "203.0.113.0/33": "",
	} {
		if got := CanonicalPrefix(in); got != want {
			t.Errorf("%q is written %q, want %q", in, got, want)
		}
		if want != "" && CanonicalPrefix(want) != want {
			t.Errorf("%q is not written as it is", want)
		}
	}
	for name, want := range map[string]Level{"none": LevelNone, "watch": LevelListed, "challenge": LevelChallenge,
		"block": LevelBlock} {
		if got, ok := ParseLevel(name); !ok || got != want {
			t.Errorf("level %q is %d", name, got)
		}
	}
	if _, ok := ParseLevel("nonsense"); ok {
		t.Error("nonsense is a level")
	}
}

// Reserving and taking it back a million times leaves one row behind.
func TestReserveLoopsLeaveNothing(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) {
		x.Start, x.End = x.Start.Add(time.Hour), x.End.Add(time.Hour)
	}, ListingSpec{Stock: 1, Reservation: true})
	l := x.Listings[0]
	var commands []Command
	for i := range 8192 {
		commands = append(commands, Command{Kind: CmdReserve, Listing: l, Shopper: []byte("ann"), Withdraw: i%2 == 1})
	}
	g.do(commands[:2]...)
	before := len(encoded(t, g.state.Snapshot()))
	for range 20 {
		if eff := g.do(commands...); len(eff.Rosters) != 1 || eff.Primary[1].Kind != ReservationWithdrawn {
			t.Fatalf("%v of rosters %v", eff.Primary[1], eff.Rosters)
		}
	}
	if after := len(encoded(t, g.state.Snapshot())); after > before+4 ||
		g.state.CountsOf(g.state.Listing(l)).Reserved != 0 {
		t.Errorf("the snapshot has grown from %d to %d bytes", before, after)
	}
	if e := g.one(Command{Kind: CmdReserve, Listing: l, Shopper: []byte("a b")}); e.Kind != CommandRefused ||
		e.Reason != ReasonRefused {
		t.Errorf("an id that is none: %v", e)
	}
}

// A snapshot holds a roster as it was, whatever happens to it meanwhile.
func TestFrozenRosterStays(t *testing.T) {
	g := newGroup(t)
	id := RosterID{Kind: RosterAllowed, Name: "vip"}
	var ids []string
	for i := range 1000 {
		ids = append(ids, fmt.Sprint("s", i))
	}
	g.edit(RosterEdit{Roster: id, Action: RosterPut, Rows: rows(LevelListed, ids...)})
	g.edit(RosterEdit{Roster: id, Action: RosterStage, Stage: 1, Rows: rows(LevelListed, ids[:10]...)})
	snap := g.state.Snapshot()
	before := encoded(t, snap)
	g.edit(RosterEdit{Roster: id, Action: RosterPut, Rows: append(rows(LevelNone, ids[:500]...),
		rows(LevelListed, "more")...)})
	g.edit(RosterEdit{Roster: id, Action: RosterStage, Stage: 1, Rows: rows(LevelListed, ids[10:20]...)})
	g.edit(RosterEdit{Roster: id, Action: RosterCommit, Stage: 1, Count: 20})
	if !bytes.Equal(encoded(t, snap), before) {
		t.Error("the snapshot has changed")
	}
	var read []RosterRow
	for from, done := 0, false; !done; {
		var page []RosterRow
		page, from, done = g.state.Rosters().Rows(id, from, 7)
		read = append(read, page...)
	}
	if len(read) != 20 || read[0].ID != "s0" || g.state.Rosters().Count(id) != 20 {
		t.Errorf("%d rows read, of %d", len(read), g.state.Rosters().Count(id))
	}
}

package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func (g *group) turn(action SwitchAction, profile string, settings ...Setting) Event {
	g.tb.Helper()
	c := Command{Kind: CmdSetSwitches, Operator: "op", Note: "why",
		Switches: SwitchChange{Action: action, Profile: profile, Settings: settings}}
	if action == ProfileDefine || action == ProfileForget {
		c.Kind = CmdSetProfile
	}
	return g.one(c)
}

// profiled plans a session that is open for length from start on, under a profile.
func (g *group) profiled(id, profile string, start, length time.Duration) *Session {
	g.tb.Helper()
	return g.session(id, func(x *SessionPlan) {
		x.StartSpec, x.Start, x.Profile = id, g.clock.Add(start), profile
		x.End = x.Start.Add(length)
	}, ListingSpec{Stock: 5})
}

func TestSwitchesAreTurnedAndBack(t *testing.T) {
	g := newGroup(t)
	normal := NormalSwitches()
	s := g.state
	if e := g.turn(SwitchSet, "", Setting{SwitchRates, 50}, Setting{SwitchWaitlist, 0}); e.Kind != SwitchesSet {
		t.Fatal(e)
	}
	if s.Switches()[SwitchRates] != 50 || s.Switches().On(SwitchWaitlist) {
		t.Errorf("values %v", s.Switches())
	}
	tight := *s.Switches()
	g.turn(SwitchBack, "")
	if *s.Switches() != normal {
		t.Errorf("one step back: %v", s.Switches())
	}
	g.turn(SwitchBack, "")
	if *s.Switches() != tight {
		t.Errorf("and forth: %v", s.Switches())
	}
	g.turn(SwitchNormal, "")
	if *s.Switches() != normal {
		t.Errorf("normal: %v", s.Switches())
	}
	before := hashBesideIndex(s)
	for what, c := range map[string]SwitchChange{
		"no setting":       {Action: SwitchSet},
		"an unknown one":   {Action: SwitchSet, Settings: []Setting{{Switch(SwitchCount), 1}}},
		"a bad value":      {Action: SwitchSet, Settings: []Setting{{SwitchTickets, 3}}},
		"one twice":        {Action: SwitchSet, Settings: []Setting{{SwitchTickets, 1}, {SwitchTickets, 2}}},
		"no such profile":  {Action: SwitchProfile, Profile: "rush"},
		"no action at all": {},
	} {
		if e := g.one(Command{Kind: CmdSetSwitches, Switches: c}); e.Kind != CommandRefused {
			t.Errorf("%s: %v", what, e)
		}
	}
	for what, c := range map[string]SwitchChange{
		"no name":          {Action: ProfileDefine, Settings: []Setting{{SwitchTickets, 2}}},
		"nothing in it":    {Action: ProfileDefine, Profile: "rush"},
		"forgetting none":  {Action: ProfileForget, Profile: "rush"},
		"no such action":   {Action: SwitchSet, Profile: "rush", Settings: []Setting{{SwitchTickets, 2}}},
		"a value too high": {Action: ProfileDefine, Profile: "rush", Settings: []Setting{{SwitchTickets, 9}}},
	} {
		if e := g.one(Command{Kind: CmdSetProfile, Switches: c}); e.Kind != CommandRefused {
			t.Errorf("%s: %v", what, e)
		}
	}
	s.sequence -= 11 // all that may have changed beside the index
	if hashBesideIndex(s) != before {
		t.Error("what was refused changed something")
	}
}

func TestSwitchHistoryIsBounded(t *testing.T) {
	g := newGroup(t)
	for i := range switchHistory + 5 {
		g.turn(SwitchSet, "", Setting{SwitchDepth, int64(i)})
	}
	history := g.state.board.history
	if len(history) != switchHistory || history[0].After[SwitchDepth] != 5 ||
		history[switchHistory-1].Operator != "op" {
		t.Errorf("%d changes from %v", len(history), history[0].After)
	}
	for i := range MaxProfiles {
		g.turn(ProfileDefine, fmt.Sprint("p", i), Setting{SwitchDepth, 1})
	}
	if e := g.turn(ProfileDefine, "one-more", Setting{SwitchDepth, 1}); e.Kind != CommandRefused ||
		e.Reason != ReasonTooMany {
		t.Errorf("one profile more: %v", e)
	}
	if e := g.turn(ProfileDefine, "p7", Setting{SwitchDepth, 2}); e.Kind != ProfileSet {
		t.Errorf("another idea of one: %v", e)
	}
	if copied(t, g.state).Hash() != g.state.Hash() {
		t.Error("a snapshot's reading differs")
	}
}

// Sessions turn their profiles on and take them back, however they overlap.
func TestProfilesOfOverlappingSessions(t *testing.T) {
	g := newGroup(t)
	g.turn(ProfileDefine, "rush", Setting{SwitchRates, 50}, Setting{SwitchTickets, 2})
	g.turn(ProfileDefine, "calm", Setting{SwitchRates, 200})
	g.profiled("a", "rush", time.Minute, time.Hour)
	g.profiled("b", "calm", 30*time.Minute, time.Hour)
	g.profiled("c", "rush", 61*time.Minute, time.Hour) // begins as the first one ends
	g.profiled("d", "none", time.Minute, time.Hour)    // there is no such profile
	at := func(after time.Duration, profile string, rates, tickets int64) {
		t.Helper()
		twin := copied(t, g.state)
		g.after(after)
		g.follow(twin)
		if got := g.state.Switches(); got[SwitchRates] != rates || got[SwitchTickets] != tickets ||
			g.state.board.profile != profile {
			t.Errorf("profile %q, rates %d, tickets %d; want %q, %d, %d", g.state.board.profile, got[SwitchRates],
				got[SwitchTickets], profile, rates, tickets)
		}
	}
	at(0, "", 100, 1)
	at(time.Minute, "rush", 50, 2)
	at(29*time.Minute, "calm", 200, 2)
	at(31*time.Minute, "rush", 50, 2)
	at(29*time.Minute, "rush", 50, 2)
	at(time.Hour, "", 100, 1)
	if *g.state.Switches() != NormalSwitches() {
		t.Errorf("left over: %v", g.state.Switches())
	}
}

// What an operator turns while a session is open stays after its end; and a plan
// that changes the session's profile meanwhile takes the old one back at once.
func TestSessionTakesBackOnlyItsOwnProfile(t *testing.T) {
	g := newGroup(t)
	g.turn(ProfileDefine, "rush", Setting{SwitchRates, 50})
	a := g.profiled("a", "rush", 0, time.Hour)
	if g.state.board.profile != "rush" {
		t.Fatal("not turned on")
	}
	g.turn(SwitchSet, "", Setting{SwitchRates, 10})
	g.steer(a.Handle, SessionEnd)
	if got := g.state.Switches()[SwitchRates]; got != 10 {
		t.Errorf("the session's end turned rates to %d", got)
	}
	g.turn(SwitchNormal, "")

	b := g.profiled("b", "rush", 0, time.Hour)
	spec := b.SessionSpec
	spec.Profile = ""
	g.plan(&Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai"},
		Sessions: []SessionPlan{{SessionSpec: spec}}}}})
	if got := *g.state.Switches(); got != NormalSwitches() {
		t.Errorf("planned without: %v", got)
	}
	last := g.state.board.history[len(g.state.board.history)-1]
	if last.Operator != "session b" || last.Action != SwitchBack {
		t.Errorf("the last change: %+v", last)
	}
}

func TestSwitchWordsAndValues(t *testing.T) {
	for i := range SwitchCount {
		w := Switch(i)
		if got, ok := ParseSwitch(w.String()); !ok || got != w {
			t.Errorf("%v is read as %v", w, got)
		}
		if w.Help() == "" || !w.Valid(w.Normal()) || w.Valid(-1) || w.Valid(switchSpecs[w].top+1) {
			t.Errorf("%v: help %q, normally %d", w, w.Help(), w.Normal())
		}
		for _, v := range []int64{0, w.Normal(), switchSpecs[w].top} {
			if got, err := w.ParseValue(w.Word(v)); err != nil || got != v {
				t.Errorf("%v: %q is read as %d, %v", w, w.Word(v), got, err)
			}
		}
		if words := switchSpecs[w].words; words != nil && len(words) != int(switchSpecs[w].top)+1 {
			t.Errorf("%v has %d words for %d values", w, len(words), switchSpecs[w].top+1)
		}
		for _, bad := range []string{"", "nonsense", "-1", "1.5", " 1", "99999999999999999999"} {
			if v, err := w.ParseValue(bad); err == nil {
				t.Errorf("%v: %q is read as %d", w, bad, v)
			}
		}
	}
	if _, ok := ParseSwitch("nonsense"); ok || slices.Contains(switchActions[1:], "") {
		t.Error("nonsense is a switch")
	}
}

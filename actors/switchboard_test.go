package actors_test

import (
	"testing"
	"time"

	"doorbuster/engine"
)

func turned(w engine.Switch, v int64) engine.SwitchChange {
	return engine.SwitchChange{Action: engine.SwitchSet, Settings: []engine.Setting{{Switch: w, Value: v}}}
}

func TestSwitchesByHand(t *testing.T) {
	s := openShop(t, nil)
	v, err := s.ChangeSwitches(t.Context(), engine.By{Operator: "olga"}, turned(engine.SwitchRates, 50), "bots")
	if err != nil || v.Now[engine.SwitchRates] != 50 || len(v.History) != 1 || v.History[0].Operator != "olga" ||
		v.History[0].Note != "bots" {
		t.Fatalf("%+v, %v", v, err)
	}
	if s.Switches()[engine.SwitchRates] != 50 {
		t.Error("the door goes by another value")
	}
	rush := engine.SwitchChange{Action: engine.ProfileDefine, Profile: "rush",
		Settings: []engine.Setting{{Switch: engine.SwitchTickets, Value: 2}}}
	if v, err = s.ChangeSwitches(t.Context(), engine.By{Operator: "olga"}, rush, ""); err != nil ||
		len(v.Profiles) != 1 || v.Now[engine.SwitchTickets] != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	if v, err = s.ChangeSwitches(t.Context(), engine.By{Operator: "olga"},
		engine.SwitchChange{Action: engine.SwitchProfile, Profile: "rush"}, ""); err != nil || v.Profile != "rush" ||
		v.Now[engine.SwitchTickets] != 2 {
		t.Fatalf("%+v, %v", v, err)
	}
	if v, err = s.ChangeSwitches(t.Context(), engine.By{Operator: "olga"},
		engine.SwitchChange{Action: engine.SwitchBack}, ""); err != nil || v.Profile != "" ||
		v.Now[engine.SwitchTickets] != 1 || v.Now[engine.SwitchRates] != 50 {
		t.Fatalf("%+v, %v", v, err)
	}
	if _, err = s.ChangeSwitches(t.Context(), engine.By{Operator: "olga"},
		engine.SwitchChange{Action: engine.SwitchProfile, Profile: "calm"},
		""); isRefusal(err, engine.ReasonUnknown) != nil {
		t.Error(err)
	}
	if now, err := s.Switchboard(); err != nil || now.Now != v.Now || len(now.History) != 3 {
		t.Errorf("%+v, %v", now, err)
	}
}

// TestJournalIsTurned: with the journal off no refusal is noted; back on, the next is.
func TestJournalIsTurned(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 1))
	s.grab("day/skus/mask", "ann", "k")
	turn := func(v int64) {
		if _, err := s.ChangeSwitches(t.Context(), engine.By{Operator: "olga"}, turned(engine.SwitchJournal, v),
			""); err != nil {
			t.Fatal(err)
		}
	}
	turn(0)
	s.grab("day/skus/mask", "bob", "k")
	if r := s.Refusals("bob", ""); r.On || len(r.Refused) != 0 {
		t.Errorf("off, and it says %+v", r)
	}
	turn(1)
	s.grab("day/skus/mask", "bob", "k")
	if r := s.Refusals("bob", ""); !r.On || len(r.Refused) != 1 {
		t.Errorf("on, and it says %+v", r)
	}
}

// TestRulesOfTheGateAreTurned: quota and depth can be turned off and tightened
// while a listing sells.
func TestRulesOfTheGateAreTurned(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", func(x *engine.SessionPlan) { x.AdmissionMultiple = 1 }, units("mask", 1))
	gate := s.Gate("day/skus/mask")
	if !gate.Admit(s.Fingerprint("ann")) || gate.Admit(s.Fingerprint("bob")) {
		t.Fatal("a quota of one lets in another number than one")
	}
	if _, err := s.ChangeSwitches(t.Context(), engine.By{Operator: "olga"}, turned(engine.SwitchAdmission, 0),
		""); err != nil {
		t.Fatal(err)
	}
	if !gate.Admit(s.Fingerprint("bob")) {
		t.Error("the quota is off, and bob is over it")
	}
	if _, err := s.ChangeSwitches(t.Context(), engine.By{Operator: "olga"}, turned(engine.SwitchDepth, 7),
		""); err != nil || s.Depth() != 7 {
		t.Errorf("waiting depth %d, %v", s.Depth(), err)
	}
}

// TestDisplaySyncIsTurned: with it off, a follower that is fresh asks nobody for a
// look; one that is not fresh still does.
func TestDisplaySyncIsTurned(t *testing.T) {
	_, follower, w := openPair(t, time.Second)
	looks := func(want int64) {
		t.Helper()
		before := w.syncs.Load()
		if err := follower.AwaitShown(); err != nil {
			t.Fatal(err)
		}
		if n := w.syncs.Load() - before; n != want {
			t.Errorf("asked %d times for a look, want %d", n, want)
		}
	}
	looks(1)
	follower.SetSwitches(func(now *engine.Switches) { now[engine.SwitchDisplaySync] = 0 })
	looks(0)
	w.fresh.Store(false)
	looks(1)
}

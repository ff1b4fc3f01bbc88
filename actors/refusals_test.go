package actors_test

import (
	"testing"
	"time"

	"doorbuster/actors"
	"doorbuster/actors/backoffice"
	"doorbuster/engine"
)

// reasonsOf is what a group has of a shopper, by listing and reason.
func (s *testShop) reasonsOf(shopper, session string) map[string]uint32 {
	s.t.Helper()
	r := s.Refusals(shopper, session)
	of := map[string]uint32{}
	for _, x := range r.Refused {
		if x.First > x.Last || x.Last > s.Now() || x.Last < r.Since-1000 || x.Code != engine.CodeOf(x.Reason) {
			s.t.Errorf("%s, told since %d: %+v", shopper, r.Since, x)
		}
		of[x.Session+"/"+x.SKU+" "+x.Reason.String()] += x.Count
	}
	return of
}

func wantReasons(t *testing.T, got map[string]uint32, want map[string]uint32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
		return
	}
	for what, n := range want {
		if got[what] != n {
			t.Errorf("got %v, want %v", got, want)
			return
		}
	}
}

// TestRefusalsAreNoted, wherever they were decided, and yeses are not.
func TestRefusalsAreNoted(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 1), units("lamp", 5))
	s.plan("late", func(x *engine.SessionPlan) {
		x.Start, x.StartSpec = x.Start.Add(30*time.Minute), "later"
	}, units("mug", 1))
	s.grab("day/skus/mask", "ann", "k1") // granted
	s.grab("day/skus/mask", "ann", "k1") // again
	s.grab("day/skus/lamp", "ann", "k2") // over the session's limit
	s.grab("day/skus/mask", "ann", "k1")
	s.grab("late/skus/mug", "ann", "k3")
	for range 3 {
		s.grab("day/skus/mask", "bob", "")
	}
	s.grab("day/skus/none", "bob", "k") // no listing to note it under
	wantReasons(t, s.reasonsOf("ann", ""), map[string]uint32{"day/lamp limit_session": 1, "late/mug not_open": 1})
	wantReasons(t, s.reasonsOf("ann", "day"), map[string]uint32{"day/lamp limit_session": 1})
	wantReasons(t, s.reasonsOf("bob", ""), map[string]uint32{"day/mask sold_out": 3})
	wantReasons(t, s.reasonsOf("eve", ""), nil)
	wantReasons(t, s.reasonsOf("bob", "nowhere"), nil)
	if r := s.Refusals("bob", ""); !r.On || r.Entries != 3 || r.Capacity != 262_144 || r.Lost != 0 || r.Since == 0 {
		t.Errorf("%+v", r)
	}
	if st := s.Stats(); st.JournalEntries != 3 || st.JournalLost != 0 {
		t.Errorf("%+v", st)
	}
}

// checkAll is a guard that lets nobody in.
type checkAll struct{}

func (checkAll) Check(*engine.Grab, engine.DoorRules) engine.Reason {
	return engine.ReasonTicketMissing
}

// TestRefusalsOfTheGuard are noted like the rest.
func TestRefusalsOfTheGuard(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 1))
	s.SetGuard(checkAll{})
	if a := s.grab("day/skus/mask", "ann", "k"); a.Code != engine.CodeTicketRequired {
		t.Fatal(a)
	}
	wantReasons(t, s.reasonsOf("ann", "day"), map[string]uint32{"day/mask ticket_missing": 1})
}

// TestRefusalsAreNotedWhereTheShopperCame: a grab that the leader refuses for a
// follower is in the follower's journal, and only there.
func TestRefusalsAreNotedWhereTheShopperCame(t *testing.T) {
	leader, follower, w := openPair(t, 20*time.Second)
	leader.plan("day", nil, units("mask", 5), units("lamp", 5))
	if a := follower.grab("day/skus/mask", "ann", "k1"); a.Code != engine.CodeGranted {
		t.Fatal(a)
	}
	if a := follower.grab("day/skus/lamp", "ann", "k2"); a.Code != engine.CodeLimitReached {
		t.Fatal(a)
	}
	w.fresh.Store(false) // so that the leader is asked for all
	if a := follower.grab("day/skus/lamp", "ann", "k3"); a.Code != engine.CodeLimitReached {
		t.Fatal(a)
	}
	wantReasons(t, follower.reasonsOf("ann", ""), map[string]uint32{"day/lamp limit_session": 2})
	wantReasons(t, leader.reasonsOf("ann", ""), nil)
}

// TestRefusalsTurnedOff by the group's switch: nothing is noted while it is off, what it had
// stays, and it says since when it has noted again.
func TestRefusalsTurnedOff(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 1))
	s.grab("day/skus/mask", "ann", "k")
	s.grab("day/skus/mask", "bob", "")
	began := s.Refusals("bob", "").Since
	turn := func(to int64) {
		t.Helper()
		if _, err := s.Ask(t.Context(), engine.Command{Kind: engine.CmdSetSwitches,
			Switches: engine.SwitchChange{Action: engine.SwitchSet,
				Settings: []engine.Setting{{Switch: engine.SwitchJournal, Value: to}}}}); err != nil {
			t.Fatal(err)
		}
	}
	turn(0)
	s.grab("day/skus/mask", "bob", "")
	if r := s.Refusals("bob", ""); r.On || r.Since != began || len(r.Refused) != 1 || r.Refused[0].Count != 1 {
		t.Errorf("off: %+v", r)
	}
	await(t, "a later moment", func() bool { return s.Now() > began })
	turn(1)
	turn(1)
	s.grab("day/skus/mask", "bob", "")
	if r := s.Refusals("bob", ""); !r.On || r.Since <= began || len(r.Refused) != 1 || r.Refused[0].Count != 2 {
		t.Errorf("on again: %+v", r)
	}
}

func TestNoJournal(t *testing.T) {
	s := openShop(t, func(c *actors.Config) { c.JournalEntries = 0 })
	s.plan("day", nil, units("mask", 1))
	s.grab("day/skus/mask", "ann", "k")
	s.grab("day/skus/mask", "bob", "")
	if r := s.Refusals("bob", ""); r.On || r.Since != 0 || r.Capacity != 0 || len(r.Refused) != 0 {
		t.Errorf("%+v", r)
	}
	for _, entries := range []int{-1, actors.MaxJournalEntries + 1} {
		cfg := actors.DefaultConfig()
		cfg.JournalEntries = entries
		if _, err := backoffice.New(cfg); err == nil {
			t.Errorf("%d entries are taken", entries)
		}
	}
}

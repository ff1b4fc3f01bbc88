package actors_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"doorbuster/engine"
)

// sums are expressions that are sums: what they give is what they are, plus what was sold.
type sums struct{}

func (sums) Number(_ engine.FormulaKind, text string, in *engine.FormulaInput) (n int64, err error) {
	_, err = fmt.Sscan(text, &n)
	return n + in.Sold, err
}

func (sums) Truth(text string, in *engine.FormulaInput) (bool, error) {
	if text == "fails" {
		return true, errors.New("it fails")
	}
	return text == "first" && in.FirstToday, nil
}

// playing lists a SKU with a play at 1,000.
func (s *testShop) playing(session string, stock int64, p engine.Play) string {
	s.t.Helper()
	s.SetFormulas(sums{})
	p.Name = "play"
	if _, err := s.ApplyPlan(s.t.Context(), engine.By{Operator: "op"}, &engine.Plan{
		Plays: []engine.PlayTemplate{{ID: "play", Text: "text"}}}, false); err != nil {
		s.t.Fatal(err)
	}
	l := units("mask", stock)
	l.Price, l.LimitPerShopper, l.Play = 1000, 0, &p
	s.plan(session, func(x *engine.SessionPlan) { x.LimitPerShopper = 0 }, l)
	return session + "/skus/mask"
}

func cutPlay(setAside bool) engine.Play {
	return engine.Play{Price: engine.PriceRule{Kind: engine.PriceCut, Floor: 400},
		Cut: engine.CutRule{Friends: 10, Spread: 50, Window: time.Hour, TakeStock: setAside}}
}

func (s *testShop) buy(listing, shopper string, v engine.BargainView, key string) engine.Answer {
	return s.Grab(&engine.Grab{Listing: []byte(listing), Shopper: []byte(shopper), IdempotencyKey: []byte(key),
		Quantity: 1, Bargain: v.Ref.Ordinal})
}

func TestBargainThroughTheOffice(t *testing.T) {
	for _, setAside := range []bool{false, true} {
		t.Run(fmt.Sprint("set aside ", setAside), func(t *testing.T) {
			s := openShop(t, nil)
			listing := s.playing("day", 1, cutPlay(setAside))
			ann, err := s.StartBargain(t.Context(), "ann", "day", "mask")
			if err != nil || ann.State != engine.BargainOpen || ann.Price != 1000 || ann.Friends != 10 {
				t.Fatalf("%+v, %v", ann, err)
			}
			if again, err := s.StartBargain(t.Context(), "ann", "day", "mask"); err != nil || again.Code != ann.Code {
				t.Errorf("again: %+v, %v", again, err)
			}
			_, err = s.StartBargain(t.Context(), "bob", "day", "mask")
			if refused := isRefusal(err, engine.ReasonSoldOut); setAside && refused != nil || !setAside && err != nil {
				t.Errorf("another, with one unit: %v", err)
			}
			changed, stop := s.WatchBargain(ann.Code)
			defer stop()
			var crowd sync.WaitGroup
			for i := range 100 { // all at once, each twice
				for range 2 {
					crowd.Go(func() {
						_, _, err := s.CutBargain(t.Context(), fmt.Sprint("f", i), ann.Code, []byte("k"))
						if err != nil && isRefusal(err, engine.ReasonFloor) != nil {
							t.Errorf("friend %d: %v", i, err)
						}
					})
				}
			}
			crowd.Wait()
			select {
			case <-changed:
			default:
				t.Error("who watches was not told")
			}
			v, err := s.BargainCuts(ann.Code, 0, 1000)
			sum := int64(0)
			for _, c := range v.Recent {
				sum += c.Amount
			}
			if err != nil || v.Price != 400 || sum != 600 || int(v.Cuts) != len(v.Recent) {
				t.Errorf("%+v, cuts of %d, %v", v, sum, err)
			}
			for who, why := range map[string]engine.Reason{"ann": engine.ReasonOwnBargain, "late": engine.ReasonFloor} {
				if _, _, err := s.CutBargain(t.Context(), who, ann.Code, []byte("k")); isRefusal(err, why) != nil {
					t.Errorf("%s: %v", who, err)
				}
			}
			friend := v.Recent[0].Friend
			if _, _, err := s.CutBargain(t.Context(), friend, ann.Code,
				[]byte("other")); isRefusal(err, engine.ReasonHelped) != nil {
				t.Errorf("twice: %v", err)
			}
			if a := s.buy(listing, "bob", ann, "b"); a.Code != engine.CodeRefused || a.Reason != engine.ReasonUnknown {
				t.Errorf("another's: %+v", a)
			}
			a := s.buy(listing, "ann", ann, "b")
			if a.Code != engine.CodeGranted || a.Amount != 400 {
				t.Fatalf("%+v", a)
			}
			if again := s.buy(listing, "ann", ann, "b"); again.Order != a.Order {
				t.Errorf("again: %+v", again)
			}
			v, _ = s.Bargain(t.Context(), ann.Code, "")
			if v.State != engine.BargainBought || v.OrderNo != a.No.String() {
				t.Errorf("%+v", v)
			}
			page, next, err := s.FindBargains(engine.BargainFilter{Session: "day", State: engine.BargainBought,
				Limit: 10})
			if err != nil || next != "" || len(page) != 1 || page[0].Code != ann.Code {
				t.Errorf("found: %+v %q %v", page, next, err)
			}
			if _, err := s.EndBargain(t.Context(), engine.By{Operator: "op"}, ann.Code,
				"why"); isRefusal(err, engine.ReasonBargainOver) != nil {
				t.Errorf("ending one that is bought: %v", err)
			}
			if _, err := s.Bargain(t.Context(), "0000", ""); isRefusal(err, engine.ReasonUnknown) != nil {
				t.Errorf("no bargain: %v", err)
			}
			s.conserves()
		})
	}
}

// Who may buy is asked of those, too, who buy by their bargain.
func TestBargainsAreBoughtByWhoMay(t *testing.T) {
	for _, setAside := range []bool{false, true} {
		s, p := openShop(t, nil), cutPlay(setAside)
		p.Who.When = "first"
		listing := s.playing("day", 9, p)
		ann, err := s.StartBargain(t.Context(), "ann", "day", "mask")
		if err != nil {
			t.Fatal(err)
		}
		if a := s.grab(listing, "ann", "plain"); a.Code != engine.CodeGranted {
			t.Fatalf("the first: %+v", a)
		}
		if a := s.buy(listing, "ann", ann, "b"); a.Code != engine.CodeMissed || a.Reason != engine.ReasonPlay {
			t.Errorf("set aside %v, the second, by a bargain: %+v", setAside, a)
		}
		s.conserves()
	}
}

// What a play's expressions say decides on the leader, and is in the log.
func TestFormulasDecide(t *testing.T) {
	s := openShop(t, nil)
	listing := s.playing("day", 9, engine.Play{Price: engine.PriceRule{Kind: engine.PriceFormula, Floor: 500,
		Amount: "700"}, Who: engine.WhoRule{When: "first"}})
	for i, want := range []int64{700, 701} {
		if a := s.grab(listing, fmt.Sprint("s", i), "k"); a.Code != engine.CodeGranted || a.Amount != want {
			t.Errorf("%+v, want an amount of %d", a, want)
		}
	}
	if v, _, err := s.Listing("day", "mask"); err != nil || v.Price != 702 || v.Play == nil {
		t.Errorf("shown: %+v, %v", v, err)
	}
	if a := s.grab(listing, "s0", "again"); a.Code != engine.CodeMissed || a.Reason != engine.ReasonPlay {
		t.Errorf("not their first: %+v", a)
	}
	for name, p := range map[string]engine.Play{
		"fails":  {Who: engine.WhoRule{When: "fails"}},
		"is no":  {Who: engine.WhoRule{When: "no"}},
		"is low": {Price: engine.PriceRule{Kind: engine.PriceFormula, Floor: 500, Amount: "3"}},
	} {
		other := s.playing(fmt.Sprint("eve-", len(name)), 9, p)
		if a := s.grab(other, "ann", "k"); a.Code != engine.CodeMissed || a.Reason != engine.ReasonPlay {
			t.Errorf("an expression that %s: %+v", name, a)
		}
	}
}

// byRisk lets in whom no list challenges, and weighs cuts by the level.
type byRisk struct{}

func (byRisk) Number(_ engine.FormulaKind, _ string, in *engine.FormulaInput) (int64, error) {
	return 100 + in.Risk, nil
}

func (byRisk) Truth(_ string, in *engine.FormulaInput) (bool, error) { return in.Risk < 2, nil }

// Expressions are told the level that a shopper or a friend has on the list.
func TestExpressionsKnowTheRisk(t *testing.T) {
	s := openShop(t, nil)
	listed := []engine.RosterEntry{{ID: []byte("watched"), Level: engine.LevelListed},
		{ID: []byte("challenged"), Level: engine.LevelChallenge}}
	if _, err := s.bring(riskyShoppers, true, len(listed), slices.Values(listed)); err != nil {
		t.Fatal(err)
	}
	p := cutPlay(false)
	p.Cut.Weight, p.Who.When = "risk", "risk"
	listing := s.playing("day", 9, p)
	s.SetFormulas(byRisk{})
	ann, err := s.StartBargain(t.Context(), "ann", "day", "mask")
	if err != nil {
		t.Fatal(err)
	}
	for shopper, c := range map[string]struct {
		weight uint32
		code   engine.Code
	}{"eve": {100, engine.CodeGranted}, "watched": {101, engine.CodeGranted}, "challenged": {102, engine.CodeMissed}} {
		cut, _, err := s.CutBargain(t.Context(), shopper, ann.Code, []byte("k"))
		if err != nil || cut.Weight != c.weight {
			t.Errorf("%s: %+v, %v, want weight %d", shopper, cut, err, c.weight)
		}
		if a := s.grab(listing, shopper, "k"); a.Code != c.code {
			t.Errorf("%s: %+v, want %v", shopper, a, c.code)
		}
	}
}

// newFriends weighs the cuts of new friends more.
type newFriends struct{ sums }

func (newFriends) Number(_ engine.FormulaKind, _ string, in *engine.FormulaInput) (int64, error) {
	if in.NewFriend {
		return 150, nil
	}
	return 100 - in.HelpsToday, nil
}

// Of helps that a friend sends all at once, each is weighed by those before it.
func TestWeightsAreOfTheFriendAsRecorded(t *testing.T) {
	s := openShop(t, nil)
	play := cutPlay(false)
	play.Cut.Weight = "weight"
	s.playing("day", 100, play)
	s.SetFormulas(newFriends{})
	const bargains = 30
	var codes []string
	for i := range bargains {
		v, err := s.StartBargain(t.Context(), fmt.Sprint("owner", i), "day", "mask")
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, v.Code)
	}
	var crowd sync.WaitGroup
	var seen sync.Map
	for _, code := range codes {
		crowd.Go(func() {
			cut, _, err := s.CutBargain(t.Context(), "friend", code, []byte("k"))
			if _, twice := seen.LoadOrStore(cut.Weight, cut); err != nil || twice || cut.New != (cut.Weight == 150) {
				t.Errorf("%+v, weighed so before %v, %v", cut, twice, err)
			}
		})
	}
	crowd.Wait()
}

// A follower, whose clock may be ahead, shows no price before the leader charges it.
func TestNoPriceIsShownTooSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leader, follower, _ := openPair(t, time.Second)
		listing := leader.playing("day", 100, engine.Play{Price: engine.PriceRule{Kind: engine.PriceClock, Floor: 500,
			Every: time.Second, By: 100}})
		later := false
		for i := range 60 {
			shown, _, err := follower.Listing("day", "mask")
			if err != nil {
				t.Fatal(err)
			}
			a := leader.grab(listing, fmt.Sprint("s", i), "k")
			if a.Code != engine.CodeGranted || a.Amount > shown.Price {
				t.Errorf("shown %d, charged %d", shown.Price, a.Amount)
			}
			later = later || a.Amount < shown.Price
			time.Sleep(100 * time.Millisecond) // of the test's own clock
		}
		if !later {
			t.Error("the follower shows each price as soon as the leader charges it: its clock may be ahead")
		}
	})
}

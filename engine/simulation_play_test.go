package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPlaysAgainstModel plays the same as TestStateAgainstModel, where most listings have
// a play, and bargains come about.
func TestPlaysAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sim := newModelled(t)
		sim.playful = true
		sim.brisk = rapid.Bool().Draw(t, "brisk")
		sim.run()
	})
}

// simOffsets have a day begin at modelMidnight, which is not midnight at Greenwich.
var simOffsets = []Offset{{0, 16*3600 - 30}}

var (
	simPlays   = []string{"bargain", "bargain", "bargain", "group", "falling", "formula", "first"}
	simFriends = []string{"ann", "bob", "cai", "dov", "eve", "fay", "gus", "hal"}
)

// simPlay is what the text of a template, "a" or "b", means with a variant for its
// parameter.
func simPlay(name, text string, variant int) *Play {
	has := func(bit int) int64 { return int64(variant & bit / bit) }
	other := int64(btoi(text == "b"))
	p := &Play{Name: name, Parameters: fmt.Sprintf(`{"variant":%d}`, variant)}
	switch name {
	case "bargain":
		p.Price = PriceRule{Kind: PriceCut, Floor: 40*has(1) + 10*other}
		p.Cut = CutRule{Friends: uint32(2 + other), Spread: 50, PerDay: uint32(variant % 3),
			Window: time.Duration(5+3*other) * modelTick, AtFloor: has(2) > 0, TakeStock: has(4) > 0}
	case "group":
		p.Price = PriceRule{Kind: PriceSteps, Floor: 50 * has(1),
			Steps: []PriceStep{{1 + other, 90}, {3, 50 * has(1)}}}
	case "falling":
		p.Price = PriceRule{Kind: PriceClock, Floor: 20 * has(1), Every: time.Duration(2+other) * modelTick, By: 30}
	case "formula":
		p.Price = PriceRule{Kind: PriceFormula, Floor: 50 + 10*other, Amount: "x"}
	case "first":
		p.Who = WhoRule{FirstOfDay: true}
	}
	p.Who.MaxRisk = Level(has(2))
	return p
}

// enrichPlay gives a listing a play, mostly of a kind that it can have.
func (s *simulation) enrichPlay(p *Plan, session string, l *ListingSpec) {
	if rapid.IntRange(0, 9).Draw(s.t, "played") < 8*btoi(!s.playful) {
		return
	}
	name, variant := rapid.SampledFrom(simPlays).Draw(s.t, "play"), rapid.IntRange(0, 7).Draw(s.t, "variant")
	if l.Price == 0 && rapid.IntRange(0, 9).Draw(s.t, "any play") > 0 {
		name = "first"
	}
	if old := s.group.state.ListingOf(session, l.SKU); old != nil && rapid.IntRange(0, 9).Draw(s.t, "same play") > 0 {
		if old.Play == nil {
			return
		}
		name = old.Play.Name
		fmt.Sscanf(old.Play.Parameters, `{"variant":%d}`, &variant)
	}
	if rapid.IntRange(0, 9).Draw(s.t, "another price") == 0 {
		l.Price = int64(rapid.SampledFrom([]int{30, 45, 60, 150}).Draw(s.t, "price"))
	}
	l.Play = simPlay(name, s.template(p, name), variant)
}

// template gives the text of a template that a plan may bring along, or change.
func (s *simulation) template(p *Plan, name string) string {
	if at := slices.IndexFunc(p.Plays, func(t PlayTemplate) bool { return t.ID == name }); at >= 0 {
		return p.Plays[at].Text
	}
	text, change := "a", rapid.IntRange(0, 19).Draw(s.t, "template")
	old := s.group.state.Play(name)
	if old != nil {
		text = old.Text
	}
	if change < 6 {
		text = map[string]string{"a": "b", "b": "a"}[text]
	}
	if old == nil && change < 19 || change < 9 {
		p.Plays = append(p.Plays, PlayTemplate{name, text})
	}
	return text
}

// haggle has shoppers start bargains on a listing, cut each other's and buy by them. Where
// there is none that is open, it is planned.
func (s *simulation) haggle() {
	s.jump()
	var open []ListingHandle
	for _, l := range s.group.state.Listings() {
		if x := s.group.state.SessionOf(l.Session); l.Play.Cuts() && x.State == Open && x.End > s.group.clock {
			open = append(open, l.Handle)
		}
	}
	if len(open) == 0 {
		now, p := s.group.clock, &Plan{Products: []Product{{ID: "sku-0", Currency: "CNY"}}}
		l := ListingSpec{SKU: "sku-0", Price: 200, Stock: int64(rapid.IntRange(1, 4).Draw(s.t, "stock")),
			Waitlist: rapid.Bool().Draw(s.t, "has a line")}
		l.Play = simPlay("bargain", s.template(p, "bargain"), rapid.IntRange(0, 7).Draw(s.t, "variant"))
		x := SessionSpec{ID: fmt.Sprint("haggle-", len(s.group.state.Sessions())), StartSpec: "now", Start: now,
			End:       now.Add(time.Duration(rapid.IntRange(6, 15).Draw(s.t, "length")) * modelTick),
			PayWithin: 2 * modelTick, PayGrace: time.Duration(rapid.IntRange(0, 2).Draw(s.t, "pay_grace")) * modelTick,
			Publish: true}
		p.Sales = []SalePlan{{Sale: Sale{ID: "sale", Offsets: simOffsets},
			Sessions: []SessionPlan{{SessionSpec: x, Listings: []ListingSpec{l}}}}}
		s.play(Command{Kind: CmdApplyPlan, Plan: p, Entropy: [32]byte{byte(len(s.group.entries))}})
		return
	}
	var commands []Command
	for range rapid.IntRange(1, 8).Draw(s.t, "haggles") {
		commands = append(commands, s.bargaining(open[rapid.IntRange(0, len(open)-1).Draw(s.t, "of open")]))
	}
	if rapid.IntRange(0, 14).Draw(s.t, "is ended") == 0 {
		commands = append(commands, Command{Kind: CmdSteerSession, Action: SessionEnd,
			Session: s.group.state.Listing(open[0]).Session})
	}
	s.play(commands...)
}

// bargaining is something about bargains: a start is on l, the rest about one that there is,
// mostly.
func (s *simulation) bargaining(l ListingHandle) Command {
	friend := []byte(rapid.SampledFrom(simFriends).Draw(s.t, "friend"))
	key := s.group.state.KeyOf([]byte(rapid.SampledFrom(simKeys).Draw(s.t, "key")))
	ref := s.bargain()
	switch n := rapid.IntRange(0, 19).Draw(s.t, "bargaining"); {
	case n < 5:
		return Command{Kind: CmdStartBargain, Listing: l, Shopper: friend}
	case n < 15:
		return Command{Kind: CmdCutBargain, Bargain: ref, Shopper: friend, Key: key,
			Weight: rapid.SampledFrom([]uint32{100, 100, 100, 100, 1, 300, 1000, 0, 1001}).Draw(s.t, "weight")}
	case n < 16:
		return Command{Kind: CmdEndBargain, Bargain: ref, Operator: "op", Note: "why"}
	}
	c := s.grab()
	c.Bargain, c.Deadline, c.Key = ref, Never, key
	if rapid.IntRange(0, 9).Draw(s.t, "one unit") > 0 {
		c.Quantity = 1
	}
	if b := s.group.state.Bargain(ref); b != nil && rapid.IntRange(0, 9).Draw(s.t, "the owner's") > 0 {
		c.Listing, c.Shopper = b.Listing, []byte(s.group.state.ShopperID(b.Shopper))
	}
	return c
}

// bargain gives one of the last bargains of a session, or one that there is not.
func (s *simulation) bargain() BargainRef {
	var had []*Session
	for _, x := range s.group.state.Sessions() {
		if x.Bargains() > 0 {
			had = append(had, x)
		}
	}
	if len(had) == 0 || rapid.IntRange(0, 29).Draw(s.t, "no bargain") == 0 {
		return BargainRef{SessionHandle(rapid.IntRange(1, 3).Draw(s.t, "of session")), 99}
	}
	x := had[len(had)-1-rapid.IntRange(0, min(2, len(had)-1)).Draw(s.t, "sessions ago")]
	return BargainRef{x.Handle, uint32(x.Bargains() - rapid.IntRange(0, min(x.Bargains()-1, 5)).Draw(s.t, "ago"))}
}

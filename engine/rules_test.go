package engine

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A node that does not know the rules must stop before it does anything by
// rules it does know: not even the entry's index may count as applied, or a
// snapshot would lead a newer build past the entry.
func TestRulesTooNewChangesNothing(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 5})
	before, index := g.state.Hash(), g.state.LogIndex()
	g.sequence++
	entry := EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: g.sequence, Time: g.clock.Add(1)},
		Command{Kind: CmdRaiseRules, RulesVersion: RulesVersion + 1}, g.placeHold(x.Listings[0], "ann", "k", 1))
	mustFail(t, g.try(entry), ErrRulesTooNew)
	if g.state.LogIndex() != index || g.state.Hash() != before {
		t.Error("the state changed")
	}
	// Nothing may be applied any more.
	g.sequence++
	mustFail(t, g.try(EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: g.sequence, Time: g.clock})), ErrRulesTooNew)
	if g.state.LogIndex() != index || g.state.Hash() != before {
		t.Error("the state changed later")
	}
}

// A batch that its fence refuses raises no rules.
func TestStaleRaiseIsStale(t *testing.T) {
	g := newGroup(t)
	mustFail(t, g.try(EncodeBatch(BatchHeader{Epoch: 99, Sequence: 1, Time: g.clock}, Command{Kind: CmdRaiseRules, RulesVersion: RulesVersion + 1})), ErrStaleEpoch)
	if e := g.one(Command{Kind: CmdRaiseRules, RulesVersion: 1}); e.Kind != CommandRefused || e.Reason != ReasonConflict {
		t.Errorf("raising to the same: %v", e)
	}
}

// State time never runs back, so an absurd one would last for ever.
func TestAbsurdTimeIsMalformed(t *testing.T) {
	g := newGroup(t)
	before := g.state.Now()
	mustFail(t, g.try(EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: 1, Time: Never})), ErrMalformed)
	if g.state.Now() != before {
		t.Error("time moved")
	}
	g.do()
}

// An epoch opens at the head of a batch of no epoch, nowhere else.
func TestEpochOpensOnlyAtTheHead(t *testing.T) {
	g := newGroup(t)
	epoch := g.epoch
	if e := g.one(Command{Kind: CmdOpenEpoch, Node: "b1"}); e.Kind != CommandRefused {
		t.Errorf("within an epoch: %v", e)
	}
	if got, sequence, node := g.state.Epoch(); got != epoch || sequence != 1 || node != "a1" {
		t.Errorf("epoch %d sequence %d of %s", got, sequence, node)
	}
}

func TestSessionSteeredToWhereItIs(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 5})
	for _, action := range []SessionAction{SessionPublish, SessionResume} {
		if e := g.steer(x.Handle, action); e.Kind != SessionUnchanged || e.Session != x.Handle {
			t.Errorf("%v: %v", action, e)
		}
	}
	g.steer(x.Handle, SessionEnd)
	if e := g.steer(x.Handle, SessionEnd); e.Kind != SessionUnchanged {
		t.Errorf("end: %v", e)
	}
}

// The cashier's callback must match in amount, again too.
func TestSamePaymentWithAnotherAmount(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 5})
	ref := g.grab(x.Listings[0], "ann", "k", 1).Order
	g.pay(ref, "p1")
	if e := g.pay(ref, "p1"); e.Kind != OrderUnchanged {
		t.Errorf("again: %v", e)
	}
	if e := g.one(Command{Kind: CmdPayOrder, Order: ref, Amount: 1, Currency: "CNY", PaymentID: "p1"}); e.Kind != CommandRefused || e.Reason != ReasonAmount {
		t.Errorf("with another amount: %v", e)
	}
	before := *g.state.Order(ref)
	if e := g.pay(ref, "p2"); e.Kind != CommandRefused || e.Reason != ReasonNotHeld || e.State != Paid {
		t.Errorf("another payment: %v", e)
	}
	if g.state.PaymentID(ref) != "p1" || *g.state.Order(ref) != before {
		t.Error("the order changed")
	}
}

func TestFrozenListingInAPlan(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 5})
	l := g.state.Listing(x.Listings[0])
	l.Frozen = true
	p := &Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai"},
		Sessions: []SessionPlan{{SessionSpec: x.SessionSpec, Listings: []ListingSpec{l.ListingSpec}}}}}}
	if problems := g.state.ComparePlan(p).Problems; len(problems) > 0 {
		t.Errorf("as it is: %v", problems)
	}
	p.Sales[0].Sessions[0].Listings[0].Price++
	if problems := g.state.ComparePlan(p).Problems; len(problems) == 0 {
		t.Error("a frozen listing's price may change")
	}
}

// What rules of version 2 have added is refused under version 1, and changes
// nothing; after the raise it works.
func TestRulesOfVersion2AreRefusedBefore(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 1})
	l := x.Listings[0]
	held := g.grab(l, "ann", "k", 1).Order
	rich := func(change func(*Plan)) Command {
		p := &Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai"}, Sessions: []SessionPlan{{SessionSpec: x.SessionSpec,
			Listings: []ListingSpec{g.state.Listing(l).ListingSpec}}}}}}
		change(p)
		return Command{Kind: CmdApplyPlan, Plan: p}
	}
	waits := g.placeHold(l, "bob", "k", 1)
	waits.Waitlist = true
	shows := g.placeHold(l, "bob", "k", 1)
	shows.Ticket = 7
	cases := map[string]Command{
		"messages":   rich(func(p *Plan) { p.Sales[0].Messages = []Message{{"sold_out", Text{{"en", "Gone."}}}} }),
		"profile":    rich(func(p *Plan) { p.Sales[0].Sessions[0].Profile = "rush" }),
		"waitlist":   rich(func(p *Plan) { p.Sales[0].Sessions[0].Listings[0].Waitlist = true }),
		"month":      rich(func(p *Plan) { p.Sales[0].Sessions[0].Listings[0].LimitPerMonth = 2 }),
		"waits":      waits,
		"shows":      shows,
		"leaves":     {Kind: CmdLeaveLine, Order: held, Shopper: []byte("ann")},
		"reserves":   {Kind: CmdReserve, Listing: l, Shopper: []byte("ann")},
		"a list":     {Kind: CmdEditRoster, Edit: RosterEdit{Roster: RosterID{Kind: RosterRiskShopper}, Action: RosterPut}},
		"a switch":   {Kind: CmdSetSwitches, Switches: SwitchChange{Action: SwitchNormal}},
		"a profile ": {Kind: CmdSetProfile, Switches: SwitchChange{Action: ProfileForget, Profile: "p"}},
	}
	for what, c := range cases {
		if c.Rules() != 2 {
			t.Errorf("%s is of rules of version %d", what, c.Rules())
		}
		before := encoded(t, g.state.Snapshot())
		eff := g.do(c)
		switch e := eff.Primary[0]; {
		case c.Kind == CmdApplyPlan && (e.Kind != PlanRefused || len(eff.Plans) != 1 || len(eff.LastPlan().Problems) != 1),
			c.Kind == CmdPlaceHold && (e.Kind != HoldRefused || e.Reason != ReasonRules || e.Listing != l),
			c.Kind != CmdApplyPlan && c.Kind != CmdPlaceHold && (e.Kind != CommandRefused || e.Reason != ReasonRules):
			t.Errorf("%s: %v %v", what, e, eff.LastPlan().Problems)
		}
		after := g.state.Snapshot()
		after.head.index--
		after.head.sequence--
		if !bytes.Equal(encoded(t, after), before) {
			t.Errorf("%s has changed something", what)
		}
	}
	if e := g.one(Command{Kind: CmdRaiseRules, RulesVersion: 2}); e.Kind != RulesRaised {
		t.Fatal(e)
	}
	if e := g.do(cases["waitlist"]).Primary[0]; e.Kind != PlanApplied {
		t.Errorf("a rich plan after the raise: %v", e)
	}
	if e := g.one(waits); e.Kind != PlaceTaken {
		t.Errorf("a place in line after the raise: %v", e)
	}
	if copied(t, g.state).Hash() != g.state.Hash() {
		t.Error("a snapshot's reading differs")
	}
}

// A plan that fills an entry to the brink is measured as it is written: builds that
// know no rich plans measure it so, and must decide alike.
func TestPlanIsMeasuredAsWritten(t *testing.T) {
	g := newGroup(t)
	p := &Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale"}, Sessions: []SessionPlan{{
		SessionSpec: SessionSpec{ID: "s", Start: g.clock, End: g.clock.Add(time.Hour), PayWithin: time.Minute}}}}}}
	size := func() int {
		var w writer
		w.plan(p, false)
		return len(w.buf)
	}
	for i := 0; size() < MaxPlanBytes-200; i++ {
		id := fmt.Sprintf("p-%05d", i)
		p.Products = append(p.Products, Product{ID: id, Currency: "CNY"})
		p.Sales[0].Sessions[0].Listings = append(p.Sales[0].Sessions[0].Listings, ListingSpec{SKU: id})
		if i%100 != 0 {
			p.Products[i].Supplier = strings.Repeat("x", 500)
		}
	}
	if e := g.do(Command{Kind: CmdApplyPlan, Plan: p}); e.Primary[0].Kind != PlanApplied {
		t.Errorf("%d bytes of %d: %v", size(), MaxPlanBytes, e.LastPlan().Problems)
	}
}

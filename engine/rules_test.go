package engine

import (
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
	mustFail(t, g.try(EncodeBatch(BatchHeader{Epoch: 99, Sequence: 1, Time: g.clock},
		Command{Kind: CmdRaiseRules, RulesVersion: RulesVersion + 1})), ErrStaleEpoch)
	if e := g.one(Command{Kind: CmdRaiseRules, RulesVersion: 1}); e.Kind != CommandRefused ||
		e.Reason != ReasonConflict {
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
	if e := g.one(Command{Kind: CmdPayOrder, Order: ref, Amount: 1, Currency: "CNY",
		PaymentID: "p1"}); e.Kind != CommandRefused || e.Reason != ReasonAmount {
		t.Errorf("with another amount: %v", e)
	}
	before := *g.state.Order(ref)
	if g.state.detailsOf(ref).payment != "p1" || *g.state.Order(ref) != before {
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

// A plan may fill an entry to the brink, and no further.
func TestPlanIsMeasuredAsWritten(t *testing.T) {
	g := newGroup(t)
	p := &Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale"}, Sessions: []SessionPlan{{
		SessionSpec: SessionSpec{ID: "s", Start: g.clock, End: g.clock.Add(time.Hour), PayWithin: time.Minute}}}}}}
	size := func() int {
		return len(written(p))
	}
	for i := 0; size() < MaxPlanBytes-1000; i++ {
		id := fmt.Sprintf("p-%05d", i)
		p.Products = append(p.Products, Product{ID: id, Currency: "CNY"})
		p.Sales[0].Sessions[0].Listings = append(p.Sales[0].Sessions[0].Listings, ListingSpec{SKU: id})
		if i%100 != 0 {
			p.Products[i].Image = strings.Repeat("x", 500)
		}
	}
	p.Products[0].Image = strings.Repeat("x", MaxPlanBytes-size()-1) // its length takes another byte
	if e := g.do(Command{Kind: CmdApplyPlan, Plan: p}); e.Primary[0].Kind != PlanApplied {
		t.Errorf("%d bytes of %d: %v", size(), MaxPlanBytes, e.LastPlan().Problems)
	}
	p.Products[0].Image += "x"
	if e := g.do(Command{Kind: CmdApplyPlan, Plan: p}); e.Primary[0].Kind != PlanRefused {
		t.Errorf("%d bytes of %d: %v", size(), MaxPlanBytes, e.Primary[0])
	}
}

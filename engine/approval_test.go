package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// approving is a group with a sale of one session whose changes await approval.
func approving(t *testing.T, rules ApprovalRules) (*group, *Session) {
	t.Helper()
	g := newGroup(t)
	x := g.session("ten", nil, ListingSpec{Stock: 50}, ListingSpec{Stock: 5})
	g.approving = rules
	g.open()
	return g, x
}

// changed is a plan of the session that is there, changed.
func (g *group) changed(by string, change func(*SalePlan, *SessionPlan)) Command {
	p, _ := g.state.Planned(Wanted{})
	plan := p.Plan
	change(&plan.Sales[0], &plan.Sales[0].Sessions[0])
	return Command{Kind: CmdApplyPlan, Plan: &plan, Operator: by}
}

func approve(no int64, by string) Command {
	return Command{Kind: CmdDecideApproval, Operator: by, Decision: &Decision{Approval: ApprovalNo(no), Approve: true}}
}

// laterBy adds a session of a listing with a play.
func laterBy(p *Play) func(*SalePlan, *SessionPlan) {
	return func(s *SalePlan, x *SessionPlan) {
		later := *x
		later.ID, later.StartSpec, later.Start, later.End = "later", "later", x.End, x.End.Add(time.Hour)
		later.Listings = []ListingSpec{{SKU: "sku-1", Price: 1000, Stock: 5, Play: p}}
		s.Sessions = append(s.Sessions, later)
	}
}

// TestWhatAwaitsApproval: by size, words and ends, and not a unit before.
func TestWhatAwaitsApproval(t *testing.T) {
	for _, c := range []struct {
		name   string
		rules  ApprovalRules
		change func(*SalePlan, *SessionPlan)
		why    string // "" is applied at once
	}{
		{"no rules", ApprovalRules{}, func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 }, ""},
		{"under the units", ApprovalRules{PlanUnits: 51},
			func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 }, ""},
		{"as many units", ApprovalRules{PlanUnits: 50},
			func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 }, "50 units in all, from 50 on"},
		{"fewer units than there were", ApprovalRules{PlanUnits: 50},
			func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Stock = 0 }, "50 units"},
		{"a change of the session is one of its listings", ApprovalRules{PlanUnits: 55, PlanListings: 2},
			func(_ *SalePlan, x *SessionPlan) { x.LimitPerShopper = 1 }, "55 units in all, from 55 on " +
				"(approvals.plan_units), it changes 2 listings, from 2 on"},
		{"one listing", ApprovalRules{PlanListings: 2},
			func(_ *SalePlan, x *SessionPlan) { x.Listings[1].Stock = 6 }, ""},
		{"words", ApprovalRules{Words: true}, func(s *SalePlan, _ *SessionPlan) {
			s.Messages = []Message{{"sold_out", Text{{"en", "Gone."}}}}
		}, "what shoppers are told"},
		{"a play's words", ApprovalRules{Words: true},
			laterBy(&Play{Name: "first", Words: []Message{{"granted", Text{{"en", "Won."}}}}}),
			"what shoppers are told"},
		{"a play without words", ApprovalRules{Words: true}, laterBy(&Play{Name: "first"}), ""},
		{"no words", ApprovalRules{Words: true}, func(s *SalePlan, x *SessionPlan) {
			s.Timezone, x.Listings[0].Stock = "UTC", 90
		}, ""},
		{"an end that is sooner", ApprovalRules{EndSession: true},
			func(_ *SalePlan, x *SessionPlan) { x.End-- }, "end sooner"},
		{"an end that is later", ApprovalRules{EndSession: true},
			func(_ *SalePlan, x *SessionPlan) { x.End++ }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, _ := approving(t, c.rules)
			asked := g.changed("ann", c.change)
			asked.Plan.Plays = []PlayTemplate{{ID: "first", Text: "-"}}
			before := g.state.Sale("sale")
			e := g.one(asked)
			if c.why == "" {
				if e.Kind != PlanApplied {
					t.Errorf("%v", e)
				}
				return
			}
			if e.Kind != ApprovalAsked || e.Amount != 1 || g.state.Sale("sale") != before {
				t.Fatalf("%v", e)
			}
			a := g.state.Approval(1)
			if got := strings.Join(a.Why, ", "); !strings.Contains(got, c.why) || len(a.Changes) == 0 {
				t.Errorf("%q, of %v", got, a.Changes)
			}
			if got := g.one(approve(1, "bo")); got.Kind != PlanApplied {
				t.Error(got)
			}
			if o := g.state.ComparePlan(asked.Plan); len(o.Changes) > 0 {
				t.Errorf("approved, it was not made: %v", o.Changes)
			}
		})
	}
}

// TestApprovalsAreOfTwo: who asked does not approve, however they write their name; who
// comes second hears that somebody has decided; the same again changes nothing; and the
// trail names both.
func TestApprovalsAreOfTwo(t *testing.T) {
	g, x := approving(t, ApprovalRules{EndSession: true})
	end := Command{Kind: CmdSteerSession, Session: x.Handle, Action: SessionEnd, Operator: "ann", Note: "enough"}
	eff := g.do(end, end)
	if a, b := eff.Primary[0], eff.Primary[1]; a.Kind != ApprovalAsked || a.Amount != 1 || b.Kind != ApprovalAsked ||
		b.Amount != 1 {
		t.Errorf("asked for twice, it is %v and %v", a, b)
	}
	if got := eff.AuditNotes[0]; got.Operator != "ann" || got.Detail != "approval 1: end; before: open" {
		t.Errorf("%+v", got)
	}
	for _, same := range []string{"ann", "ANN", ""} {
		if e := g.one(approve(1, same)); e.Kind != CommandRefused || e.Reason != ReasonOwnApproval {
			t.Errorf("%q approves: %v", same, e)
		}
	}
	eff = g.do(approve(1, "bo"), approve(1, "cy"), approve(1, "bo"))
	for i, want := range []Event{{Kind: SessionEnded}, {Kind: CommandRefused, Reason: ReasonApprovalOver},
		{Kind: ApprovalUnchanged}} {
		if got := eff.Primary[i]; got.Kind != want.Kind || got.Reason != want.Reason {
			t.Errorf("decision %d: %v", i, got)
		}
	}
	if got := eff.AuditNotes[0]; got.Operator != "bo" ||
		got.Detail != "approve approval 1, the end of the session ten, asked for by ann; before: pending" {
		t.Errorf("%+v", got)
	}
	if a := g.state.Approval(1); a.State != ApprovalApproved || a.DecidedBy != "bo" || a.By != "ann" ||
		a.Note != "enough" || a.Decided != g.clock {
		t.Errorf("%+v", a)
	}
}

// TestApprovalsExpire: by state time, and what has expired keeps no plan.
func TestApprovalsExpire(t *testing.T) {
	g, _ := approving(t, ApprovalRules{PlanListings: 1, Within: time.Minute})
	asked := g.changed("ann", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 })
	g.one(asked)
	g.after(time.Minute - time.Millisecond)
	if a := g.state.Approval(1); a.StateAt(g.state.Now()) != ApprovalPending {
		t.Errorf("%+v", a)
	}
	g.after(time.Millisecond)
	if a := g.state.Approval(1); a.StateAt(g.state.Now()) != ApprovalExpired {
		t.Errorf("%+v", a)
	}
	if o, same := g.state.CompareApproval(g.state.Approval(1)); !same || len(o.Changes) != 1 {
		t.Errorf("%v, %v", o, same)
	}
	if e := g.one(approve(1, "bo")); e.Reason != ReasonApprovalOver {
		t.Error(e)
	}
	if a := g.state.Approval(1); a.State != ApprovalExpired || a.plan != nil || a.Decided != a.Expires {
		t.Errorf("%+v", a)
	}
	if e := g.one(asked); e.Kind != ApprovalAsked || e.Amount != 2 {
		t.Error("asked for again: ", e)
	}
}

// TestTheBaseOfAnApproval: what would be another change today than the one that was asked
// for is refused, and so is what can't be made any more; once it is the same again, it may
// be approved.
func TestTheBaseOfAnApproval(t *testing.T) {
	g, x := approving(t, ApprovalRules{PlanUnits: 50})
	asked := g.changed("ann", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Stock = 60 })
	if e := g.one(asked); e.Kind != ApprovalAsked {
		t.Fatal(e)
	}
	add := func(units int64) { g.one(Command{Kind: CmdAddStock, Listing: x.Listings[0], Amount: units}) }
	add(3)
	if o, same := g.state.CompareApproval(g.state.Approval(1)); same || len(o.Changes) == 0 {
		t.Errorf("%v, %v", o, same)
	}
	if e := g.one(approve(1, "bo")); e.Reason != ReasonBaseChanged {
		t.Error(e)
	}
	add(-3)
	g.steer(x.Handle, SessionEnd)
	eff := g.do(approve(1, "bo"))
	if e := eff.Primary[0]; e.Kind != PlanRefused || len(eff.LastPlan().Problems) == 0 {
		t.Error(e)
	}
	if a := g.state.Approval(1); a.State != ApprovalPending {
		t.Errorf("%+v", a)
	}
}

// TestApprovingChangesNoSnapshot: a snapshot that is written while a plan is approved has the
// plan as it was asked for.
func TestApprovingChangesNoSnapshot(t *testing.T) {
	g, _ := approving(t, ApprovalRules{PlanListings: 1})
	g.plan(&Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai", Months: []Time{1000, 2000}}}}})
	g.one(g.changed("ann", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 }))
	snap := g.state.Snapshot()
	before := encoded(t, snap)
	if e := g.one(approve(1, "bo")); e.Kind != PlanApplied {
		t.Fatal(e)
	}
	if string(encoded(t, snap)) != string(before) {
		t.Error("a snapshot changed after it was taken")
	}
}

// TestStartsOfAnApproval: a start that is counted from now is counted from when the plan was
// asked for, which is what its approver is shown.
func TestStartsOfAnApproval(t *testing.T) {
	g, _ := approving(t, ApprovalRules{PlanListings: 1})
	asked := g.changed("ann", func(_ *SalePlan, x *SessionPlan) {
		x.ID, x.StartSpec, x.Start, x.End = "eleven", "+1h", g.clock.Add(time.Hour), g.clock.Add(2*time.Hour)
	})
	asked.Plan.Now = g.clock
	if e := g.one(asked); e.Kind != ApprovalAsked {
		t.Fatal(e)
	}
	start := g.clock.Add(time.Hour)
	g.after(time.Minute)
	if e := g.one(approve(1, "bo")); e.Kind != PlanApplied || g.state.Session("eleven").Start != start {
		t.Errorf("%v, starts %d, not %d", e, g.state.Session("eleven").Start, start)
	}
}

// TestAnIntentThatAwaits: asked for again with its key it is the same approval, whatever has
// become of it, and a decision with a key is taken once; in a state that was restored, too.
func TestAnIntentThatAwaits(t *testing.T) {
	g, _ := approving(t, ApprovalRules{PlanListings: 1})
	asked := intended(7, g.changed("ann", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 }))
	first := g.one(asked)
	g.state = mustRead(t, encoded(t, g.state.Snapshot()))
	if e := g.one(asked); first.Amount != 1 || e.Kind != IntentRepeated || e.Amount != first.Amount {
		t.Errorf("%v, then %v", first, e)
	}
	yes := intended(8, approve(1, "bo"))
	if e := g.one(yes); e.Kind != PlanApplied {
		t.Error(e)
	}
	g.state = mustRead(t, encoded(t, g.state.Snapshot()))
	eff := g.do(yes)
	if e := eff.Primary[0]; e.Kind != IntentRepeated || e.Amount != 0 || len(eff.LastPlan().Changes) != 1 {
		t.Errorf("%v, %v", e, eff.LastPlan())
	}
	if e := g.one(asked); e.Kind != IntentRepeated || e.Amount != 1 {
		t.Error(e)
	}
	if _, _, err := g.state.Done(asked.Intent); err == nil || err.Error() != (&Awaits{1}).Error() {
		t.Error(err)
	}
}

// TestApprovalsAreBounded: in how many wait, and in how many are kept.
func TestApprovalsAreBounded(t *testing.T) {
	g, x := approving(t, ApprovalRules{EndSession: true})
	ask := func(n int) Event {
		return g.one(Command{Kind: CmdSteerSession, Session: x.Handle, Action: SessionEnd,
			Operator: fmt.Sprint("op ", n)})
	}
	for n := range MaxPending {
		ask(n)
	}
	if e := ask(MaxPending); e.Reason != ReasonTooMany {
		t.Error(e)
	}
	for n := range 3 * MaxApprovals {
		if e := g.one(Command{Kind: CmdDecideApproval, Operator: "bo",
			Decision: &Decision{Approval: ApprovalNo(n + 1)}}); e.Kind != ApprovalWasRejected {
			t.Fatal(n, e)
		}
		ask(MaxPending + n)
	}
	if n := len(g.state.approvals); n != MaxApprovals {
		t.Errorf("%d are kept", n)
	}
	if got := mustRead(t, encoded(t, g.state.Snapshot())); got.Hash() != g.state.Hash() {
		t.Error("restored, it is another state")
	}
}

// TestRulesAreTheLeaders: an epoch begins with those of the node that opens it.
func TestRulesAreTheLeaders(t *testing.T) {
	g, x := approving(t, ApprovalRules{EndSession: true})
	if got := g.state.ApprovalRules(); got != g.approving {
		t.Errorf("%+v", got)
	}
	if e := g.steer(x.Handle, SessionEnd); e.Kind != ApprovalAsked {
		t.Error(e)
	}
	g.approving = ApprovalRules{}
	g.open()
	if e := g.steer(x.Handle, SessionEnd); e.Kind != SessionEnded {
		t.Error(e)
	}
}

// TestWordsOfAPlayGo: without them shoppers are told what the sale or the shop says.
func TestWordsOfAPlayGo(t *testing.T) {
	g, _ := approving(t, ApprovalRules{})
	made := g.changed("ann", laterBy(&Play{Name: "first", Words: []Message{{"granted", Text{{"en", "Won."}}}}}))
	made.Plan.Plays = []PlayTemplate{{ID: "first", Text: "-"}, {ID: "other", Text: "-"}}
	if e := g.one(made); e.Kind != PlanApplied {
		t.Fatal(e, g.effects.LastPlan().Problems)
	}
	g.approving = ApprovalRules{Words: true}
	g.open()
	for _, p := range []*Play{{Name: "other"}, nil} {
		silent := g.changed("ann", func(s *SalePlan, _ *SessionPlan) { s.Sessions[1].Listings[0].Play = p })
		if e := g.one(silent); e.Kind != ApprovalAsked {
			t.Errorf("%v: %v", p, e)
		}
	}
}

package engine

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func (g *group) back() *Effects {
	g.tb.Helper()
	return g.do(Command{Kind: CmdPlanBack, Operator: "ann"})
}

// TestPlanBack: what a plan changed is as it was, and what it made is gone.
func TestPlanBack(t *testing.T) {
	g := newGroup(t)
	x := g.session("ten", nil, ListingSpec{Stock: 50})
	before := encodedPlan(t, g.state)
	asked := g.changed("ann", func(s *SalePlan, x *SessionPlan) {
		s.Name, s.Messages = Text{{"en", "Days"}}, []Message{{"missed", Text{{"en", "Sorry."}}}}
		x.Listings[0].Stock, x.Listings[0].Price, x.LimitPerShopper = 70, 7, 3
	})
	asked.Plan.Products = append(asked.Plan.Products, Product{ID: "fan", Currency: "CNY"})
	later := SessionPlan{SessionSpec: SessionSpec{ID: "eleven", StartSpec: "later", Start: g.clock.Add(time.Hour),
		End: g.clock.Add(2 * time.Hour), PayWithin: time.Minute, Publish: true},
		Listings: []ListingSpec{{SKU: "fan", Price: 1, Stock: 5}}}
	asked.Plan.Sales[0].Sessions = append(asked.Plan.Sales[0].Sessions, later)
	later.ID = "twelve"
	asked.Plan.Sales = append(asked.Plan.Sales, SalePlan{Sale: Sale{ID: "other"}, Sessions: []SessionPlan{later}})
	if e := g.one(asked); e.Kind != PlanApplied {
		t.Fatal(e, g.effects.LastPlan().Problems)
	}
	if p := g.state.LastPlan(); p.Of != g.state.LogIndex() || p.By != "ann" {
		t.Errorf("the last plan is %+v", p)
	}
	g.state = mustRead(t, encoded(t, g.state.Snapshot()))
	tells := g.state.CompareBack()
	eff := g.back()
	if eff.Primary[0].Kind != PlanApplied || !reflect.DeepEqual(tells.Changes, eff.LastPlan().Changes) {
		t.Fatalf("%v: %v\ntold %v", eff.Primary, eff.LastPlan(), tells)
	}
	if after := encodedPlan(t, g.state); after != before {
		t.Errorf("after  %s\nbefore %s", after, before)
	}
	if l := g.state.Listing(x.Listings[0]); l.Stock != 50 || l.Available != 50 || g.state.Sale("other") != nil ||
		g.state.Product("fan") != nil || len(g.state.Sale("sale").Messages) > 0 {
		t.Errorf("%+v", l)
	}
	records := g.state.History().Plans
	if last := records[len(records)-1]; last.Kind != PlanBack || last.Operator != "ann" || len(last.Changes) != 9 {
		t.Errorf("%+v", last)
	}
	if e := g.back().Primary[0]; e.Kind != PlanRefused {
		t.Errorf("two steps back: %v", e)
	}
}

func encodedPlan(t rapid.TB, s *State) string {
	p, _ := s.Planned(Wanted{Over: true, Products: true})
	return fmt.Sprintf("%+v %+v", p.Plan, p.Apart)
}

// TestPlanBackIsRefused: where something can't be as it was; it says what, and changes
// nothing.
func TestPlanBackIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*SalePlan, *SessionPlan)
		then   func(*group, *Session)
		says   string
	}{
		{"sold", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Stock = 70 }, func(g *group, x *Session) {
			for i := range 51 {
				g.grab(x.Listings[0], fmt.Sprint("s", i), "k", 1)
			}
		}, "50 is less than the 51 held and 0 paid"},
		{"a session that was made is open", func(s *SalePlan, x *SessionPlan) {
			later := *x
			later.ID = "eleven"
			s.Sessions = append(s.Sessions, later)
		}, func(*group, *Session) {}, "sales[sale].sessions[eleven]: the session has opened"},
		{"ordered from", func(s *SalePlan, x *SessionPlan) {
			later := *x
			later.ID = "eleven"
			s.Sessions = append(s.Sessions, later)
		}, func(g *group, _ *Session) {
			h := g.state.ListingOf("eleven", "sku-1").Handle
			g.grab(h, "bob", "k", 1)
		}, "sales[sale].sessions[eleven]: somebody has ordered"},
		{"ended", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 },
			func(g *group, x *Session) { g.steer(x.Handle, SessionEnd) }, "the session has ended"},
		{"deleted", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 }, func(g *group, x *Session) {
			g.steer(x.Handle, SessionEnd)
			g.one(Command{Kind: CmdDiscard, Discard: Discarding{Action: DiscardDelete, Session: "ten"}})
		}, "sales[sale].sessions[ten]: has been deleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t)
			x := g.session("ten", nil, ListingSpec{Stock: 50})
			if e := g.one(g.changed("ann", c.change)); e.Kind != PlanApplied {
				t.Fatal(e)
			}
			c.then(g, x)
			before := encodedPlan(t, g.state)
			eff := g.back()
			if got := fmt.Sprint(eff.LastPlan().Problems); eff.Primary[0].Kind != PlanRefused ||
				!strings.Contains(got, c.says) {
				t.Errorf("%v: %s", eff.Primary[0], got)
			}
			if after := encodedPlan(t, g.state); after != before {
				t.Errorf("after  %s\nbefore %s", after, before)
			}
			if g.state.LastPlan().Of == 0 {
				t.Error("it can't be asked for again")
			}
		})
	}
}

// TestBackIsOfThePlanThatWasSeen: two operators at one session.
func TestBackIsOfThePlanThatWasSeen(t *testing.T) {
	g := newGroup(t)
	g.session("ten", nil, ListingSpec{Stock: 50})
	g.one(g.changed("ann", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 }))
	seen := g.state.LastPlan().Of
	g.one(g.changed("bo", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 8 }))
	if e := g.one(Command{Kind: CmdPlanBack, Back: seen}); e.Reason != ReasonBaseChanged {
		t.Error(e)
	}
	if l := g.state.ListingOf("ten", "sku-1"); l.Price != 8 {
		t.Error(l.Price)
	}
}

// TestBackAwaitsApproval: as the plan that it is; and once another plan was applied, it is
// another step.
func TestBackAwaitsApproval(t *testing.T) {
	g, _ := approving(t, ApprovalRules{PlanListings: 2})
	g.one(g.changed("ann", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 }))
	g.approving = ApprovalRules{PlanListings: 1}
	g.open()
	for no := int64(1); no <= 2; no++ {
		if e := g.back().Primary[0]; e.Kind != ApprovalAsked || e.Amount != no {
			t.Fatal(e)
		}
		if no == 1 {
			g.approving = ApprovalRules{}
			g.open()
			g.one(g.changed("ann", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 8 }))
			g.approving = ApprovalRules{PlanListings: 1}
			g.open()
			g.state = mustRead(t, encoded(t, g.state.Snapshot()))
		}
	}
	if e := g.one(approve(1, "bo")); e.Reason != ReasonBaseChanged {
		t.Error(e)
	}
	if e := g.one(approve(2, "bo")); e.Kind != PlanApplied || g.state.ListingOf("ten", "sku-1").Price != 7 {
		t.Error(e)
	}
	records := g.state.History().Plans
	if last := records[len(records)-1]; last.Kind != PlanBack || last.Operator != "ann" || last.ApprovedBy != "bo" ||
		last.Approval != 2 {
		t.Errorf("%+v", last)
	}
}

// TestPlanBackAgainstPlans: a plan that was taken back has left nothing, whatever it changed
// of whatever there was.
func TestPlanBackAgainstPlans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGroup(t)
		draw := func() *Plan {
			p := &Plan{}
			for i := range 3 {
				p.Products = append(p.Products, Product{ID: fmt.Sprint("p", i), Currency: "CNY",
					ListPrice: rapid.Int64Range(0, 3).Draw(t, "list price")})
			}
			words := func() (all []Message) {
				for _, name := range []string{"gone", "missed"} {
					text := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, name)
					all = withWording(all, wording{name, "en"}, text)
				}
				return all
			}
			for i := range rapid.IntRange(1, 2).Draw(t, "sales") {
				sale := SalePlan{Sale: Sale{ID: fmt.Sprint("s", i), Messages: words(),
					Timezone: rapid.SampledFrom([]string{"UTC", "Asia/Shanghai"}).Draw(t, "zone")}}
				for j := range rapid.IntRange(0, 2).Draw(t, "sessions") {
					start := rapid.IntRange(1, 3).Draw(t, "start")
					x := SessionPlan{SessionSpec: SessionSpec{ID: fmt.Sprint(sale.ID, "-", j),
						StartSpec: fmt.Sprint(start), Start: g.clock.Add(time.Duration(start) * time.Hour),
						PayWithin: time.Minute, Publish: true,
						LimitPerShopper: rapid.Uint32Range(0, 2).Draw(t, "limit")}}
					x.End = x.Start.Add(time.Hour)
					for k := range rapid.IntRange(1, 2).Draw(t, "listings") {
						x.Listings = append(x.Listings, ListingSpec{SKU: fmt.Sprint("p", k),
							Stock: rapid.Int64Range(0, 3).Draw(t, "stock"),
							Price: rapid.Int64Range(0, 3).Draw(t, "price")})
					}
					sale.Sessions = append(sale.Sessions, x)
				}
				p.Sales = append(p.Sales, sale)
			}
			return p
		}
		g.plan(draw())
		for _, l := range g.state.Listings() { // by hand
			if units := rapid.Int64Range(0, 2).Draw(t, "added"); units > 0 {
				g.one(Command{Kind: CmdAddStock, Listing: l.Handle, Amount: units})
			}
		}
		sale := *g.state.Sale("s0")
		sale.Messages = withWording(nil, wording{"missed", "en"}, rapid.SampledFrom([]string{"", "h"}).Draw(t, "hand"))
		g.one(Command{Kind: CmdApplyPlan, Plan: &Plan{ByHand: true, Sales: []SalePlan{{Sale: sale}}}})
		before := shownPlan(g.state)
		listed := len(g.state.Listings())
		g.one(Command{Kind: CmdApplyPlan, Plan: draw()})
		if len(g.effects.LastPlan().Changes) == 0 {
			return
		}
		eff := g.back()
		if eff.Primary[0].Kind != PlanApplied {
			t.Fatal(eff.LastPlan().Problems)
		}
		if after := shownPlan(g.state); after != before {
			t.Fatalf("after  %s\nbefore %s", after, before)
		}
		for _, l := range g.state.Listings()[listed:] {
			if l.Stock != 0 {
				t.Fatalf("%+v is left", l)
			}
		}
	})
}

// shownPlan is all that there is, but for listings of nothing, and whatever had units by which
// means.
func shownPlan(s *State) string {
	var b strings.Builder
	for _, x := range s.Sales() {
		fmt.Fprintf(&b, "%s %s %v\n", x.ID, x.Timezone, x.Messages)
	}
	for _, x := range s.Sessions() {
		if x.State != Deleted {
			fmt.Fprintf(&b, "%+v %s\n", x.SessionSpec, x.State)
		}
	}
	for _, l := range s.Listings() {
		if l.Stock > 0 {
			fmt.Fprintf(&b, "%d %s %d for %d\n", l.Session, l.SKU, l.Stock, l.Price)
		}
	}
	p, _ := s.Planned(Wanted{Products: true})
	fmt.Fprintf(&b, "%v\n", p.Plan.Products)
	return b.String()
}

// TestWordsBefore: each message remembers what it said before its last change, by a plan or
// by hand.
func TestWordsBefore(t *testing.T) {
	g := newGroup(t)
	g.session("ten", nil, ListingSpec{Stock: 1})
	say := func(byHand bool, messages ...Message) {
		sale := *g.state.Sale("sale")
		sale.Messages = messages
		if e := g.one(Command{Kind: CmdApplyPlan, Operator: "ann", Plan: &Plan{ByHand: byHand,
			Sales: []SalePlan{{Sale: sale}}}}); e.Kind != PlanApplied {
			t.Fatal(e)
		}
	}
	missed := func(text string) Message { return Message{"missed", Text{{"en", text}}} }
	say(false, missed("one"))
	say(true, missed("two"))
	say(true, Message{"gone", Text{{"en", "Gone."}}}, missed("two"))
	g.state = mustRead(t, encoded(t, g.state.Snapshot()))
	if got := fmt.Sprint(g.state.Sale("sale").Before); got != "[{gone []} {missed [{en one}]}]" {
		t.Error(got)
	}
	say(true)
	if got := fmt.Sprint(g.state.Sale("sale").Before); got != "[{gone [{en Gone.}]} {missed [{en two}]}]" {
		t.Error(got)
	}
	h := g.state.History()
	records := h.Plans
	if len(records) != 5 || h.PlansDropped || records[4].Kind != PlanWords || records[0].Kind != PlanFile {
		t.Errorf("%d records", len(records))
	}
}

// TestHistoryIsBounded: the newest are kept, each with as much of its diff as there is room.
func TestHistoryIsBounded(t *testing.T) {
	g := newGroup(t)
	g.session("ten", nil, ListingSpec{Stock: 1})
	for n := range planHistory + 5 {
		g.one(g.changed("ann", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = int64(n + 200) }))
	}
	records := g.state.History().Plans
	if len(records) != planHistory || !g.state.History().PlansDropped ||
		records[planHistory-1].Index != g.state.LogIndex() {
		t.Errorf("%d records", len(records))
	}
	large := &Plan{}
	for i := range 1000 {
		large.Products = append(large.Products, Product{ID: fmt.Sprint("p", i), Currency: "CNY"})
	}
	g.plan(large)
	records = g.state.History().Plans
	if last := records[planHistory-1]; last.LeftOut == 0 || len(last.Changes)+int(last.LeftOut) != 1000 {
		t.Errorf("%d changes, and %d", len(last.Changes), last.LeftOut)
	}
	if got := mustRead(t, encoded(t, g.state.Snapshot())); got.Hash() != g.state.Hash() {
		t.Error("restored, it is another state")
	}
}

// TestBackLeavesWhatThePlanLeft: what operators have made of the stock, and what a plan said, is
// as it was, so that the plan before it may be applied again.
func TestBackLeavesWhatThePlanLeft(t *testing.T) {
	g := newGroup(t)
	x := g.session("ten", nil, ListingSpec{Stock: 100})
	file := g.changed("ann", func(*SalePlan, *SessionPlan) {})
	g.one(Command{Kind: CmdAddStock, Listing: x.Listings[0], Amount: 50, Operator: "op"})
	g.one(g.changed("ann", func(_ *SalePlan, x *SessionPlan) { x.Listings[0].Price = 7 }))
	eff := g.back()
	if c := eff.LastPlan().Changes; len(c) != 1 || !strings.HasSuffix(c[0].Path, ".price") {
		t.Errorf("%v", c)
	}
	g.one(file)
	if l := g.state.Listing(x.Listings[0]); l.Stock != 150 {
		t.Errorf("the plan of 100 was applied again: %d units", l.Stock)
	}
}

// TestBackOfASupplierFigure: what is older than what is known stays, and all else is as it was;
// units that the figure took from listings are told beforehand, and are counted for approvals.
func TestBackOfASupplierFigure(t *testing.T) {
	g := newGroup(t)
	x := g.session("ten", nil, ListingSpec{Stock: 50})
	figure := func(of SupplierStock, price int64) Command {
		p := &Plan{Products: []Product{{ID: "sku-1", Currency: "CNY", ListPrice: price, Stock: of}}}
		return Command{Kind: CmdApplyPlan, Plan: p, Operator: "ann"}
	}
	g.one(figure(remaining(90, g.clock), 1))
	before := g.clock
	g.after(time.Minute)
	g.one(figure(remaining(80, g.clock), 2))
	if eff := g.back(); eff.Primary[0].Kind != PlanApplied || g.state.Product("sku-1").ListPrice != 1 {
		t.Fatal(eff.Primary, eff.LastPlan())
	}
	if stock := g.state.Product("sku-1").Stock; stock.AsOf == before {
		t.Errorf("what is known is as of an earlier time: %v", stock)
	}
	low := figure(remaining(10, g.clock), 1)
	o := g.state.ComparePlan(low.Plan)
	if len(o.Notes) != 1 || !strings.HasSuffix(o.Notes[0].Path, "listings[sku-1].stock") ||
		!strings.HasPrefix(o.Notes[0].Message, "40 free units are withdrawn") {
		t.Errorf("%v", o.Notes)
	}
	g.approving = ApprovalRules{PlanUnits: 50}
	g.open()
	if e := g.one(low); e.Kind != ApprovalAsked {
		t.Error(e)
	}
	if e := g.one(approve(1, "bo")); e.Kind != PlanApplied || g.state.Listing(x.Listings[0]).Stock != 10 {
		t.Error(e, g.state.Listing(x.Listings[0]).Stock)
	}
}

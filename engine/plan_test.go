package engine

import (
	"math"
	"strings"
	"testing"
	"time"
)

// A plan that ComparePlan lets pass must do what it says once it has gone
// through its binary form.
func TestPlansThatMustBeRefused(t *testing.T) {
	long := strings.Repeat("x", MaxURLBytes+1)
	cases := map[string]func(p *Plan){
		"products[sku-1].name":      func(p *Plan) { p.Products[0].Name = Text{{"en", long}} },
		"products[sku-1].name ":     func(p *Plan) { p.Products[0].Name = Text{{"en", "a"}, {"en", "b"}} },
		"products[sku-1].name  ":    func(p *Plan) { p.Products[0].Name = make(Text, 10_000) },
		"products[sku-1].currency":  func(p *Plan) { p.Products[0].Currency = "cny" },
		"products[sku-1].currency ": func(p *Plan) { p.Products[0].Currency = "¥¥" },
		"products[sku-1].image":     func(p *Plan) { p.Products[0].Image = long },
		"products[sku-1].supplier":  func(p *Plan) { p.Products[0].Supplier = long },
		"products[sku-1].place":     func(p *Plan) { p.Products[0].Place = &Place{math.NaN(), 0} },
		"products[sku-1].place ":    func(p *Plan) { p.Products[0].Place = &Place{0, 181} },
		"sales[sale].timezone":      func(p *Plan) { p.Sales[0].Timezone = long },
		"sales[sale].name":          func(p *Plan) { p.Sales[0].Name = Text{{long, "x"}} },
		"sales[sale].sessions[s]":   func(p *Plan) { p.Sales[0].Sessions[0].StartSpec = long },
		"sales[sale].sessions[s] ":  func(p *Plan) { p.Sales[0].Sessions[0].End = p.Sales[0].Sessions[0].Start },
		"sales[sale].sessions[s]  ": func(p *Plan) { p.Sales[0].Sessions[0].End = math.MaxInt64 },
		"sales[sale].sessions[s]   ": func(p *Plan) {
			x := &p.Sales[0].Sessions[0]
			x.Start, x.End = math.MinInt64, math.MaxInt64
		},
		// In nanoseconds, this length is a second once more.
		"sales[sale].sessions[s].duration": func(p *Plan) {
			x := &p.Sales[0].Sessions[0]
			x.End = x.Start + (math.MaxInt64/1_000_000)*2 + 1002
		},
		"sales[sale].sessions[s].pay_within": func(p *Plan) { p.Sales[0].Sessions[0].PayWithin = time.Minute + 1 },
		"sales[sale].sessions[s].pay_grace":  func(p *Plan) { p.Sales[0].Sessions[0].PayGrace = 1 },
		"sales[sale].sessions[s].listings": func(p *Plan) {
			p.Sales[0].Sessions[0].Listings = make([]ListingSpec, MaxSessionListings+1)
		},
	}
	for path, change := range cases {
		s := NewState()
		p := &Plan{
			Products: []Product{{ID: "sku-1", Currency: "CNY"}},
			Sales: []SalePlan{{Sale: Sale{ID: "sale"}, Sessions: []SessionPlan{{
				SessionSpec: SessionSpec{ID: "s", Start: clockStart, End: clockStart.Add(time.Hour),
					PayWithin: time.Minute},
				Listings: []ListingSpec{{SKU: "sku-1", Stock: 1}},
			}}}},
		}
		if problems := s.ComparePlan(p).Problems; len(problems) > 0 {
			t.Fatal(problems)
		}
		change(p)
		problems := s.ComparePlan(p).Problems
		found := false
		for _, problem := range problems {
			found = found || strings.HasPrefix(problem.Path, strings.TrimSpace(path))
		}
		if !found {
			t.Errorf("%s: no problem there, but %d elsewhere", path, len(problems))
		}
	}
}

func TestPlanCannotPublishASessionThatIsOver(t *testing.T) {
	g := newGroup(t)
	draft := func(x *SessionPlan) { x.Publish = false }
	x := g.session("s", draft, ListingSpec{Stock: 1})
	g.after(2 * time.Hour)
	p := &Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai"},
		Sessions: []SessionPlan{{SessionSpec: x.SessionSpec}}}}}
	p.Sales[0].Sessions[0].Publish = true
	if problems := g.state.ComparePlan(p).Problems; len(problems) == 0 {
		t.Error("no problem")
	}
}

// Two plans in one batch are two operators' business.
func TestPlansOfOneBatchAreToldApart(t *testing.T) {
	g := newGroup(t)
	plan := func(id, currency string) Command {
		return Command{Kind: CmdApplyPlan, Plan: &Plan{Products: []Product{{ID: id, Currency: currency}}}}
	}
	eff := g.do(plan("a", "CNY"), plan("b", "yuan"), Command{Kind: CmdRaiseRules, RulesVersion: 1}, plan("c", "CNY"))
	if len(eff.Plans) != 3 {
		t.Fatalf("%d outcomes of 3 plans", len(eff.Plans))
	}
	for i, want := range []struct {
		command           int32
		changes, problems int
	}{{0, 1, 0}, {1, 0, 1}, {3, 1, 0}} {
		got := eff.Plans[i]
		if got.Command != want.command || len(got.Changes) != want.changes || len(got.Problems) != want.problems {
			t.Errorf("outcome %d: %+v", i, got)
		}
	}
	if eff := g.do(); len(eff.Plans) != 0 {
		t.Error("the next batch tells of them again")
	}
}

// Listings of several plans count together.
func TestPlansCannotOutgrowASession(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 1})
	p := &Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai"},
		Sessions: []SessionPlan{{SessionSpec: x.SessionSpec}}}}}
	for i := range MaxSessionListings {
		id := "other-" + string(rune('a'+i/26/26%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))
		p.Products = append(p.Products, Product{ID: id, Currency: "CNY"})
		p.Sales[0].Sessions[0].Listings = append(p.Sales[0].Sessions[0].Listings, ListingSpec{SKU: id, Stock: 1})
	}
	if problems := g.state.ComparePlan(p).Problems; len(problems) == 0 {
		t.Error("no problem")
	}
}

// A count that lies, in an entry of the largest size, must not cost more memory
// than a few times that size.
func TestMalformedPlanCostsLittleMemory(t *testing.T) {
	w := coder{buf: AppendCommand(AppendBatchHeader(nil, BatchHeader{Epoch: 1, Sequence: 1, Commands: 1}),
		&Command{Kind: CmdApplyPlan, Operator: "op", Plan: &Plan{Sales: []SalePlan{{Sale: Sale{ID: "s"}}}}})}
	w.buf = w.buf[:len(w.buf)-1]
	sessions := uint32(MaxEntryBytes / 2)
	unsigned(&w, &sessions)
	entry := append(w.buf, make([]byte, MaxEntryBytes-len(w.buf))...)
	for i := len(w.buf); i < len(entry); i++ {
		entry[i] = 0xff
	}
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if _, _, err := DecodeBatch(entry); err == nil {
				b.Fatal("decoded")
			}
		}
	})
	if got := result.AllocedBytesPerOp(); got > 8*MaxEntryBytes {
		t.Errorf("%d bytes allocated", got)
	}
}

// TestNowIsWhenThePlanIsApplied: relative starts count from state time, whatever the
// clock of the node that read the plan said.
func TestNowIsWhenThePlanIsApplied(t *testing.T) {
	for _, ahead := range []time.Duration{2 * time.Second, -time.Hour} {
		g := newGroup(t)
		there := g.clock.Add(ahead)
		p := &Plan{Now: there, Products: []Product{{ID: "mask", Currency: "CNY"}}, Sales: []SalePlan{{
			Sale: Sale{ID: "sale", Timezone: "UTC"}}}}
		at := g.clock.Add(time.Minute)
		for id, x := range map[string]SessionSpec{
			"now":   {StartSpec: "now", Start: there},
			"later": {StartSpec: "+30s", Start: there.Add(30 * time.Second)},
			"date":  {StartSpec: at.Wall().Format(time.RFC3339), Start: at},
		} {
			x.ID, x.End, x.PayWithin, x.Publish = id, x.Start.Add(2*time.Hour), time.Minute, true
			p.Sales[0].Sessions = append(p.Sales[0].Sessions,
				SessionPlan{x, []ListingSpec{{SKU: "mask", Stock: 1, Price: 1}}})
		}
		g.plan(p)
		for id, want := range map[string]Time{"now": g.clock, "later": g.clock.Add(30 * time.Second), "date": at} {
			if x := g.state.Session(id); x.Start != want || x.Length() != 2*time.Hour {
				t.Errorf("a clock %s ahead: %s starts at %s for %s, want %s", ahead, id, x.Start.Wall(), x.Length(),
					want.Wall())
			}
		}
	}
}

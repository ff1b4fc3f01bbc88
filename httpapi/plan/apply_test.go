package plan

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/plan/tree"
)

// shop is an engine with a log of its own, to apply plans to.
type shop struct {
	t        testing.TB
	state    *engine.State
	index    engine.LogIndex
	sequence uint64
	now      time.Time
}

func newShop(t testing.TB, now time.Time) *shop {
	s := &shop{t: t, state: engine.NewState(), now: now}
	s.batch(engine.BatchHeader{Time: engine.TimeOf(now)}, engine.Command{Kind: engine.CmdOpenEpoch, Node: "a1"})
	return s
}

func (s *shop) batch(h engine.BatchHeader, commands ...engine.Command) *engine.Effects {
	s.t.Helper()
	s.index++
	var eff engine.Effects
	if err := s.state.Apply(s.index, engine.EncodeBatch(h, commands...), &eff); err != nil {
		s.t.Fatal(err)
	}
	return &eff
}

// apply applies a plan file at the shop's clock.
func (s *shop) apply(text string) (*Result, *engine.Effects) {
	s.t.Helper()
	result, problems := Parse([]byte(text), Options{Now: s.now, File: "plan.yaml"})
	if len(problems) > 0 {
		s.t.Fatalf("refused:\n%v", problems)
	}
	return result, s.applyPlan(result.Plan)
}

func (s *shop) applyPlan(p *engine.Plan) *engine.Effects {
	s.t.Helper()
	s.sequence++
	return s.batch(engine.BatchHeader{Epoch: 1, Sequence: s.sequence, Time: engine.TimeOf(s.now)},
		engine.Command{Kind: engine.CmdApplyPlan, Operator: "ops", Plan: p})
}

const runningPlan = `
products: [{id: a, currency: CNY}]
sales:
  - id: s
    timezone: Europe/Berlin
    sessions:
      - {id: now, start: now, duration: 2h, listings: [{sku: a, price: 1, stock: 10}]}
      - {id: soon, start: "+30m", listings: [{sku: a, price: 1, stock: 10}]}
      - {id: fixed, start: 2026-09-18T15:00:00+02:00, end: 2026-09-18T16:30:00+02:00, listings: [{sku: a, price: 1, stock: 10}]}
      - id: day
        daily: {from: 2026-09-16, until: 2026-09-21, at: "15:30"}
        listings: [{sku: a, price: 1, stock: 10}]
`

// TestAppliedAgainChangesNothing applies the same file through days and nights,
// also while and after its sessions run.
func TestAppliedAgainChangesNothing(t *testing.T) {
	s := newShop(t, noon())
	_, eff := s.apply(runningPlan)
	if len(eff.LastPlan().Problems) > 0 || len(eff.LastPlan().Changes) == 0 {
		t.Fatalf("first: %v, %v", eff.LastPlan().Changes, eff.LastPlan().Problems)
	}
	for _, past := range []string{"day-20260916", "day-20260917"} {
		if s.state.Session(past) != nil {
			t.Errorf("%s was made, though past", past)
		}
	}
	if s.state.Session("day-20260918") == nil {
		t.Error("today's session is not there")
	}
	for range 12 {
		s.now = s.now.Add(7 * time.Hour)
		if _, eff := s.apply(runningPlan); len(eff.LastPlan().Problems) > 0 || len(eff.LastPlan().Changes) > 0 {
			t.Fatalf("at %s: %v, %v", s.now, eff.LastPlan().Changes, eff.LastPlan().Problems)
		}
	}
	if x := s.state.Session("day-20260921"); x == nil || x.State < engine.Ended {
		t.Error("the clock did not get past the last day")
	}
}

func TestEveryDefault(t *testing.T) {
	short := mustParse(t, `
products: [{id: a, currency: CNY}, {id: b, currency: CNY}]
sales: [{id: s, sessions: [{id: x, start: now, listings: [{sku: a, price: 1, stock: 2}, {sku: b, price: 3, stock: 4}]}]}]`)
	long := mustParse(t, `{
  "products": [
    {"id": "a", "name": "a", "list_price": 0, "currency": "CNY"},
    {"id": "b", "name": {"en": "b"}, "currency": "CNY"}],
  "sales": [{"id": "s", "name": {"en": "s"}, "timezone": "UTC", "sessions": [{
    "id": "x", "start": "now", "duration": "1h", "pay_within": "15m", "pay_grace": "2m",
    "limit_per_shopper": 1, "admission_multiple": 20, "publish": true,
    "listings": [
      {"sku": "a", "price": 1, "stock": 2, "shown": -1, "limit_per_shopper": 1, "sort_order": 1},
      {"sku": "b", "price": 3, "stock": 4, "shown": -1, "limit_per_shopper": 1, "sort_order": 2}]}]}]}`)
	if !reflect.DeepEqual(short.Plan, long.Plan) {
		t.Errorf("unless said: %+v\nsaid:        %+v", short.Plan, long.Plan)
	}
}

func TestLocateLeadsEngineProblemsToLines(t *testing.T) {
	s := newShop(t, noon())
	s.apply(runningPlan)
	s.now = s.now.Add(time.Hour)
	result, eff := s.apply(strings.NewReplacer("start: now,", "start: 2026-09-18T11:30:00Z,",
		"sku: a, price: 1, stock: 10}]\n", "sku: z, price: 1, stock: 3}]\n").Replace(runningPlan))
	got := result.Problems("plan.yaml", eff.LastPlan().Problems)
	const want = `plan.yaml:7:26: sales[s].sessions[now].start: the session has started at 2026-09-18T12:00:00Z; its start can't change
plan.yaml:12:26: sales[s].sessions[day-20260918].listings[z].sku: no product "z", in the plan or before it
plan.yaml:12:26: sales[s].sessions[day-20260919].listings[z].sku: no product "z", in the plan or before it
plan.yaml:12:26: sales[s].sessions[day-20260920].listings[z].sku: no product "z", in the plan or before it
plan.yaml:12:26: sales[s].sessions[day-20260921].listings[z].sku: no product "z", in the plan or before it`
	if got.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%v", got, want)
	}
	for path, want := range map[string]int{"sales[s].sessions[fixed].no.such": 9, "sales[s].timezone": 5,
		"products[b]": 0, "": 0, "nothing": 0} {
		if line, _ := result.Locate(path); line != want {
			t.Errorf("%q is in line %d, want %d", path, line, want)
		}
	}
}

// FuzzParse: no text makes Parse panic, and what it takes is a plan by the
// engine's own bounds: it comes through the log unchanged, and a fresh engine
// finds only what Parse could not know. Applied again, it changes nothing.
func FuzzParse(f *testing.F) {
	f.Add([]byte(contractPlan))
	f.Add([]byte(runningPlan))
	refused, err := os.ReadFile("testdata/refused.txt")
	if err != nil {
		f.Fatal(err)
	}
	for entry := range strings.SplitSeq(string(refused), "====\n") {
		_, text, _ := strings.Cut(entry, "\n")
		text, _, _ = strings.Cut(text, "----\n")
		f.Add([]byte(text))
	}
	lineBreaks := regexp.MustCompile(`\r\n|[\r\n\x{85}\x{2028}\x{2029}]`) // as YAML 1.1 has them
	f.Fuzz(func(t *testing.T, text []byte) {
		result, problems := Parse(text, Options{Now: noon()})
		if (result == nil) != (len(problems) > 0) {
			t.Fatal("a result and problems, or neither")
		}
		if result == nil {
			for _, p := range problems {
				if p.Message == "" || p.Line > 1+len(lineBreaks.FindAll(text, -1)) {
					t.Fatalf("no problem of this file: %v", p)
				}
			}
			return
		}
		entry := engine.EncodeBatch(engine.BatchHeader{}, engine.Command{Kind: engine.CmdApplyPlan, Plan: result.Plan})
		if len(entry) > engine.MaxPlanBytes {
			t.Fatalf("%d bytes", len(entry))
		}
		_, commands, err := engine.DecodeBatch(entry)
		if err != nil {
			t.Fatal(err)
		}
		if again := engine.EncodeBatch(engine.BatchHeader{}, commands...); string(again) != string(entry) {
			t.Fatalf("comes out of the log as %+v, went in as %+v", commands[0].Plan, result.Plan)
		}
		s := newShop(t, noon())
		eff := s.applyPlan(result.Plan)
		for _, p := range eff.LastPlan().Problems {
			if !strings.Contains(p.Message, "no product") && !strings.Contains(p.Message, "which is past") {
				t.Fatalf("Parse missed: %v", p)
			}
		}
		if len(eff.LastPlan().Problems) > 0 {
			return
		}
		s.now = s.now.Add(time.Second)
		if _, eff = s.apply(string(text)); len(eff.LastPlan().Changes) > 0 || len(eff.LastPlan().Problems) > 0 {
			t.Fatalf("applied again: %v, %v", eff.LastPlan().Changes, eff.LastPlan().Problems)
		}
	})
}

// TestEveryRuleApplies: the example with every rule goes through the log into the
// state, and says every key that a plan has but those that exclude others.
func TestEveryRuleApplies(t *testing.T) {
	text, err := os.ReadFile("../../examples/every-rule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := newShop(t, noon())
	if _, eff := s.apply(string(text)); len(eff.LastPlan().Problems) > 0 || len(eff.LastPlan().Changes) == 0 {
		t.Fatalf("%v, %v", eff.LastPlan().Changes, eff.LastPlan().Problems)
	}
	x := s.state.Session("spirits-evening")
	if x == nil || x.Profile != "rush" || len(x.Listings) != 3 {
		t.Fatalf("%+v", x)
	}
	zodiac := s.state.Listing(x.Listings[1])
	if zodiac.LimitPerMonth != 2 || !zodiac.Reservation || zodiac.AllowList != "vips" || !zodiac.Waitlist ||
		!zodiac.Ticket ||
		zodiac.Challenge != engine.ChallengeImage || zodiac.Draw != time.Minute || zodiac.Seed == [32]byte{} {
		t.Errorf("%+v", zodiac.ListingSpec)
	}
	if glasses := s.state.Listing(x.Listings[2]).ListingSpec; glasses.Reservation || glasses.Waitlist ||
		!glasses.Ticket || glasses.Challenge != engine.ChallengeNone || glasses.Draw != 0 {
		t.Errorf("%+v", glasses)
	}
	if sale := s.state.Sale("spirits"); len(sale.Messages) != 5 || len(sale.Months) != 16 {
		t.Errorf("%d messages, %d months", len(sale.Messages), len(sale.Months))
	}
	s.now = s.now.Add(time.Minute)
	if _, eff := s.apply(string(text)); len(eff.LastPlan().Problems) > 0 || len(eff.LastPlan().Changes) > 0 {
		t.Errorf("again: %v, %v", eff.LastPlan().Changes, eff.LastPlan().Problems)
	}

	var schema struct {
		Defs map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	if err := json.Unmarshal(tree.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{"product", "sale", "session", "listing"} {
		for key := range schema.Defs[of].Properties {
			if elsewhere := "play daily end publish pay_within pay_grace sort_order"; strings.Contains(elsewhere, key) {
				continue // explained in fans-day.yaml
			}
			if !strings.Contains(string(text), key+":") {
				t.Errorf("the example leaves out %s of a %s", key, of)
			}
		}
	}
}

package plan

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/examples/plays"
	"doorbuster/httpapi/play"
)

const playedPlan = `
products: [{id: a, currency: CNY}, {id: b, currency: CNY}, {id: c, currency: CNY}]
plays:
  - id: happy-hour # a comment
    parameters: {by: {type: money, default: 100}}
    price: {kind: formula, amount: "elapsed < 3600 ? start - by : start - by - 1"}
sales:
  - id: s
    timezone: Europe/Berlin
    sessions:
      - id: x
        start: 2026-10-01T10:00:00+02:00
        duration: 2h
        listings:
          - {sku: a, price: 4900, stock: 10, play: {kind: happy-hour, by: 50}}
          - {sku: b, price: 4900, stock: 10, play: {kind: bargain, floor: 100}}
          - {sku: c, price: 4900, stock: 10}
`

func TestPlays(t *testing.T) {
	p := mustParse(t, playedPlan).Plan
	text, _ := plays.Shipped("bargain")
	shipped, _ := play.Read([]byte(text), "")
	if len(p.Plays) != 2 || p.Plays[0].ID != "happy-hour" || strings.Contains(p.Plays[0].Text, "comment") ||
		p.Plays[1] != (engine.PlayTemplate{ID: "bargain", Text: shipped.Text}) {
		t.Errorf("%+v", p.Plays)
	}
	listings := p.Sales[0].Sessions[0].Listings
	if a := listings[0].Play; a.Name != "happy-hour" || a.Parameters != `{"by":50}` || a.Price.Amount !=
		"elapsed < 3600 ? start - 50 : start - 50 - 1" {
		t.Errorf("%+v", a)
	}
	if b := listings[1].Play; b.Name != "bargain" || b.Cut.Friends != 20 {
		t.Errorf("%+v", b)
	}
	if listings[2].Play != nil {
		t.Errorf("a play of its own: %+v", listings[2].Play)
	}
}

// TestTemplatesOfTheState: what was applied before goes before what is shipped, and is not
// brought again.
func TestTemplatesOfTheState(t *testing.T) {
	state := map[string]string{
		"bargain": "id: bargain\nparameters: {floor: {type: money}}\nprice: {kind: fixed, floor: $floor}\n",
		"broken":  "id: broken\n",
	}
	of := func(id string) (string, bool) {
		text, known := state[id]
		return text, known
	}
	result, problems := Parse([]byte(playedPlan), Options{Now: noon(), Play: of})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	p := result.Plan
	if b := p.Sales[0].Sessions[0].Listings[1].Play; len(p.Plays) != 1 || b.Price.Kind != engine.PriceFixed {
		t.Errorf("%+v, %+v", p.Plays, b)
	}
	_, problems = Parse([]byte(strings.ReplaceAll(playedPlan, "kind: bargain", "kind: broken")), Options{Now: noon(),
		Play: of})
	if len(problems) != 1 || !strings.Contains(problems[0].Message,
		"the template broken, which was applied before, does "+
			"not read: ") {
		t.Error(problems)
	}
	unknown := strings.ReplaceAll(playedPlan, "kind: bargain", "kind: mine")
	result, problems = Parse([]byte(unknown), Options{Now: noon(), Stateless: true})
	if len(problems) > 0 || len(result.Notes) != 1 || !strings.HasSuffix(result.Notes[0], "the template mine is not "+
		"in this file: only the node can check what is filled in") {
		t.Error(problems, result)
	}
}

// TestPlaysAppliedAgainChangeNothing applies a plan, the same plan as the node then reads it,
// and one with another template.
func TestPlaysAppliedAgainChangeNothing(t *testing.T) {
	s := newShop(t, noon())
	apply := func(text string) engine.PlanOutcome {
		t.Helper()
		result, problems := Parse([]byte(text), Options{Now: s.now, Play: func(id string) (string, bool) {
			if p := s.state.Play(id); p != nil {
				return p.Text, true
			}
			return "", false
		}})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		eff := s.applyPlan(result.Plan).LastPlan()
		if len(eff.Problems) > 0 {
			t.Fatal(eff.Problems)
		}
		return eff
	}
	if eff := apply(playedPlan); len(eff.Changes) == 0 {
		t.Error("nothing has changed")
	}
	s.now = s.now.Add(time.Hour)
	if eff := apply("# again\n" + playedPlan); len(eff.Changes) > 0 {
		t.Errorf("again: %v", eff.Changes)
	}
	if p := s.state.Play("happy-hour"); p == nil || p.Version != 1 || s.state.Play("bargain") == nil {
		t.Error(p)
	}
	const only = "plays:\n  - {id: happy-hour, price: {kind: fixed}}\n"
	if eff := apply(only); len(eff.Changes) != 1 || s.state.Play("happy-hour").Version != 2 {
		t.Errorf("%v", eff.Changes)
	}
	if sale := s.state.Sale("s"); len(sale.Offsets) == 0 {
		t.Error("the sale knows none of its zone's offsets")
	}
}

func TestOffsets(t *testing.T) {
	at := func(text string) engine.Time {
		x, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return engine.TimeOf(x)
	}
	for zone, want := range map[string][]engine.Offset{
		"UTC":           {{From: 0, Seconds: 0}},
		"Asia/Shanghai": {{From: at("1991-09-15T01:00:00+08:00"), Seconds: 8 * 3600}},
		"Europe/Berlin": {{From: at("2026-03-29T01:00:00Z"), Seconds: 2 * 3600},
			{From: at("2026-10-25T01:00:00Z"), Seconds: 3600}, {From: at("2027-03-28T01:00:00Z"), Seconds: 2 * 3600},
			{From: at("2027-10-31T01:00:00Z"), Seconds: 3600}},
	} {
		got := mustParse(t, strings.Replace(playedPlan, "Europe/Berlin", zone, 1)).Plan.Sales[0].Offsets
		if len(got) != len(want) {
			t.Errorf("%s: %v", zone, got)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: %v, want %v", zone, got[i], want[i])
			}
		}
	}
	if flash := mustParse(t, contractPlan).Plan.Sales[0].Offsets; flash != nil {
		t.Errorf("a flash sale has %v", flash)
	}
}

// A flash sale is a play like the others, whose name may be said, and has nothing to fill in.
func TestFlashIsAPlay(t *testing.T) {
	flash := strings.ReplaceAll(playedPlan, "kind: bargain, ", "kind: flash, ")
	_, problems := Parse([]byte(flash), Options{Now: noon()})
	if len(problems) == 0 || !strings.Contains(problems[0].Message, "a flash sale has no parameters") {
		t.Errorf("with parameters: %v", problems)
	}
	bare := regexp.MustCompile(`kind: flash, [^}]*}`).ReplaceAllString(flash, "kind: flash}")
	result, problems := Parse([]byte(bare), Options{Now: noon()})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, l := range result.Plan.Sales[0].Sessions[0].Listings {
		if l.Play != nil && l.Play.Name == "bargain" {
			t.Errorf("%+v", l.Play)
		}
	}
	_, problems = Parse([]byte("plays:\n  - {id: flash, price: {kind: fixed}}\n"), Options{Now: noon()})
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "choose another id") {
		t.Errorf("a template of that name: %v", problems)
	}
}

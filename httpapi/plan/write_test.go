package plan

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

// playingPlan has every play that is shipped, and one of its own.
const playingPlan = `
products: [{id: a, currency: CNY}, {id: b, currency: CNY, supplier: acme, place: {latitude: -0.5, longitude: 7}},
  {id: unlisted, currency: JPY, name: {en: "yes", zh: "是: #1"}}]
plays:
  - id: happy-hour
    name: {en: "Happy \"hour\""}
    parameters:
      by: {type: money, default: 100}
      say: {type: boolean, default: true}
    price: {kind: formula, amount: "elapsed < 3600 && say ? start - by : start - by - 1"}
sales:
  - id: s
    timezone: Europe/Berlin
    messages: {missed: {en: "Not: today # really", zh: "没抢到"}}
    sessions:
      - id: x
        start: 2026-10-01T10:00:00+02:00
        end: 2026-10-01T12:00:00.5+02:00
        publish: false
        pay_grace: 0s
        limit_per_shopper: 0
        listings:
          - {sku: a, price: 4900, stock: 10, play: {kind: happy-hour, by: 50, say: false}}
          - {sku: b, price: 4900, stock: 10, sort_order: 9, play: {kind: bargain, floor: 100, at_floor: true}}
      - id: y
        daily: {from: 2026-09-20, until: 2026-09-22, at: "10:00"}
        listings:
          - {sku: a, price: 4900, stock: 100, play: {kind: group-price, first_price: 4400, second_price: 3900}}
          - {sku: b, price: 4900, stock: 10, play: {kind: falling-price, floor: 2900, every: 90s, by: 200}}
      - id: z
        start: now
        listings:
          - {sku: a, price: 4900, stock: 100, play: {kind: daily-first}}
          - {sku: b, price: 0, stock: 0, draw: 1s, waitlist: true, set_aside: 0s, ticket: true, delivery: virtual}
`

// TestWrittenPlanChangesNothing: what is there is written as a file that, applied to it, finds
// nothing to change, and that makes the same of a shop where nothing is.
func TestWrittenPlanChangesNothing(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile("../../examples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for name, file := range map[string]string{"fans-day.yaml": read("fans-day.yaml"),
		"every-rule.yaml": read("every-rule.yaml"), "plays": playingPlan, "days": runningPlan} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, noon())
			if _, eff := s.apply(file); len(eff.LastPlan().Problems) > 0 {
				t.Fatal(eff.LastPlan().Problems)
			}
			s.now = s.now.Add(time.Minute)
			text := s.written(engine.Wanted{Products: true})
			s.unchangedBy(text)
			planned, _ := s.state.Planned(engine.Wanted{Products: true})
			asJSON, err := WriteJSON(planned)
			if err != nil || !json.Valid(asJSON) {
				t.Fatalf("%v: %s", err, asJSON)
			}
			s.unchangedBy(string(asJSON))
			s.now = s.now.Add(time.Hour + 10*time.Minute)
			s.batch(engine.BatchHeader{Epoch: 1, Sequence: s.sequence + 1, Time: engine.TimeOf(s.now)})
			s.sequence++
			s.unchangedBy(s.written(engine.Wanted{Over: true}))

			other := newShop(t, noon())
			if _, eff := other.apply(text); len(eff.LastPlan().Problems) > 0 {
				t.Fatal(eff.LastPlan().Problems)
			}
			other.now = other.now.Add(time.Minute)
			if again := other.written(engine.Wanted{Products: true}); again != text {
				t.Errorf("of the one that was written comes\n%s\nnot\n%s", again, text)
			}
			other.unchangedBy(file)
		})
	}
}

func (s *shop) written(w engine.Wanted) string {
	s.t.Helper()
	p, known := s.state.Planned(w)
	if !known {
		s.t.Fatal("not known")
	}
	text, err := Write(p, []string{"The plan."})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *shop) unchangedBy(text string) {
	s.t.Helper()
	play := func(id string) (string, bool) {
		p := s.state.Play(id)
		if p == nil {
			return "", false
		}
		return p.Text, true
	}
	result, problems := Parse([]byte(text), Options{Now: s.now, Play: play})
	if len(problems) > 0 {
		s.t.Fatalf("%v\n%s", problems, text)
	}
	if o := s.state.ComparePlan(result.Plan); len(o.Changes)+len(o.Problems) > 0 {
		s.t.Errorf("%v, %v by\n%s", o.Changes, o.Problems, text)
	}
}

// TestWrittenPlanSaysWhatIsOtherwise: what operators have changed since stands beside what was
// planned, and is no change when the file is applied.
func TestWrittenPlanSaysWhatIsOtherwise(t *testing.T) {
	s := newShop(t, noon())
	s.apply(playingPlan)
	z := s.state.ListingOf("z", "a")
	s.sequence++
	s.batch(engine.BatchHeader{Epoch: 1, Sequence: s.sequence, Time: engine.TimeOf(s.now)},
		engine.Command{Kind: engine.CmdAddStock, Operator: "ops", Listing: z.Handle, Amount: 20},
		engine.Command{Kind: engine.CmdSteerSession, Operator: "ops", Session: s.state.Session("x").Handle,
			Action: engine.SessionPublish})
	sale := *s.state.Sale("s")
	sale.Messages = []engine.Message{{Name: "sold_out", Text: engine.Text{{Lang: "en", Text: "Gone."}}}}
	s.applyPlan(&engine.Plan{ByHand: true, Sales: []engine.SalePlan{{Sale: sale}}})
	text := s.written(engine.Wanted{Sale: "s"})
	for _, want := range []string{"stock: 100 # operators have made it 120", "start: now # that is 2026-09-18T",
		"publish: false # operators have published it: true", `# by operators since: missed.en is the shop's words`,
		`# by operators since: sold_out.en is "Gone."`, "# The plan.\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	s.unchangedBy(text)
	if strings.Contains(text, "unlisted") {
		t.Errorf("has what no session of the sale offers:\n%s", text)
	}
	if _, known := s.state.Planned(engine.Wanted{Sale: "none"}); known {
		t.Error("a sale that is not there is known")
	}
	if empty, err := Write(&engine.Planned{}, nil); err != nil || string(empty) != "# There is nothing yet.\n" {
		t.Errorf("%q, %v", empty, err)
	}
}

package play_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/play"
)

var usual = play.Listing{Price: 4900, Stock: 100, Length: time.Hour}

func TestShippedFillIn(t *testing.T) {
	for _, c := range []struct {
		id    string
		given map[string]string
		want  engine.Play
	}{
		{"bargain", map[string]string{"floor": "100"}, engine.Play{
			Parameters: `{"at_floor":false,"floor":100,"helpers":20,"new_friends":150,"per_day":3,"spread":50,"window":"24h"}`,
			Price:      engine.PriceRule{Kind: engine.PriceCut, Floor: 100},
			Cut: engine.CutRule{Friends: 20, Spread: 50, Weight: "new_friend ? 150 : 100", PerDay: 3,
				Window: 24 * time.Hour}}},
		{"bargain", map[string]string{"floor": "0", "helpers": "5", "at_floor": "true", "window": "90m"}, engine.Play{
			Parameters: `{"at_floor":true,"floor":0,"helpers":5,"new_friends":150,"per_day":3,"spread":50,"window":"1h30m"}`,
			Price:      engine.PriceRule{Kind: engine.PriceCut},
			Cut: engine.CutRule{Friends: 5, Spread: 50, Weight: "new_friend ? 150 : 100", PerDay: 3,
				Window: 90 * time.Minute, AtFloor: true}}},
		{"group-price", map[string]string{"first_price": "4400", "second_price": "3900"}, engine.Play{
			Parameters: `{"first_price":4400,"first_sold":10,"second_price":3900,"second_sold":50}`,
			Price: engine.PriceRule{Kind: engine.PriceSteps, Floor: 3900,
				Steps: []engine.PriceStep{{Sold: 10, Price: 4400}, {Sold: 50, Price: 3900}}}}},
		{"daily-first", nil, engine.Play{Parameters: `{"most_risk":2}`,
			Who: engine.WhoRule{FirstOfDay: true, When: "risk <= 2"}}},
		{"falling-price", map[string]string{"floor": "2900", "by": "200"}, engine.Play{
			Parameters: `{"by":200,"every":"5m","floor":2900}`,
			Price: engine.PriceRule{Kind: engine.PriceClock, Floor: 2900, Every: 5 * time.Minute,
				By: 200}}},
	} {
		got, faults := shipped(t, c.id).Fill(c.given, usual)
		if len(faults) > 0 {
			t.Errorf("%s: %v", c.id, faults)
			continue
		}
		c.want.Name = c.id
		if got.Words, c.want.Words = nil, nil; fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.id, *got, c.want)
		}
	}
}

func TestWhatCannotBeFilledIn(t *testing.T) {
	const formula = "id: p\nparameters: {a: {type: text}}\nprice: {kind: formula, floor: 100, amount: $a}\n"
	const weight = "id: p\nparameters: {w: {type: text}}\nprice: {kind: cut, floor: 100}\ncut: {friends: 20, weight: $w}\n"
	const when = "id: p\nparameters: {w: {type: text}}\nprice: {kind: fixed}\nwho: {when: $w}\n"
	const steps = "id: p\nparameters: {s: {type: integer, default: 50}, m: {type: money, default: 3900}}\n" +
		"price: {kind: steps, floor: 100, steps: [{sold: 10, price: 4400}, {sold: $s, price: $m}]}\n"
	bargain := shipped(t, "bargain").Text
	falling := shipped(t, "falling-price").Text
	for _, c := range []struct {
		name, template string
		given          string // a=1 b=2
		parameter      string
		want           string
	}{
		{"missing", bargain, "", "", "the parameter floor is missing: the price that enough friends reach"},
		{"unknown", bargain, "floor=100;helper=3", "helper",
			`bargain has no parameter "helper"; did you mean "helpers"?`},
		{"of another type", bargain, "floor=cheap", "floor", `"cheap" is not an amount in minor units (4900 is 49.00)`},
		{"fraction", bargain, "floor=1.5", "floor", `"1.5" is not an amount`},
		{"below", bargain, "floor=1;helpers=1", "helpers", "1 is not between 2 and 500"},
		{"floor over price", bargain, "floor=4901", "floor", "price.floor: 4901 is over the listing's price, 4900"},
		{"nothing to cut", bargain, "floor=4900", "helpers", "must be 10 minor units for each"},
		{"too little to cut", bargain, "floor=4800;helpers=11", "helpers", "11 friends share what is between the " +
			"listing's price, 4900, and the floor, 4800: there must be 10 minor units for each"},
		{"too few friends for the spread", "id: p\nprice: {kind: cut, floor: 100}\ncut: {friends: 1, spread: 90}\n", "",
			"",
			"cut.friends: the floor is reached by 1.2 friends on average"},
		{"window", bargain, "floor=1;window=1000h", "window", "1000h is not between 0s and 744h"},
		{"window", bargain, "floor=1;window=30s", "window", "30s is not at least 1m"},
		{"by", falling, "floor=4800;by=101", "by", "price.by: 101 is more than there is between"},
		{"every", falling, "floor=100;by=1;every=1ms", "every", "1ms is not at least 1s"},
		{"steps sold", steps, "s=10", "s", "price.steps[1].sold: 10 is not over the 10 before it"},
		{"steps never sold", steps, "s=100", "s",
			"price.steps[1].sold: 100 are never sold with one left: the stock is 100"},
		{"steps price", steps, "m=4400", "m", "price.steps[1].price: 4400 is not under the 4400 before it"},
		{"steps floor", steps, "m=99", "m", "price.steps[1].price: 99 is under the floor, 100"},
		{"steps outside the schema", steps, "s=0", "s", "price.steps[1].sold: 0 is not between 1 and 1000000000"},
		{"no expression", formula, "a=", "a", "price.amount: is empty"},
		{"does not compile", formula, "a=strat - 1", "a", `price.amount: "strat" is nothing that it may ask about`},
		{"another type", formula, "a=sold > 1", "a", "price.amount: gives true or false, not a whole number"},
		{"divides by zero", formula, "a=100 + 1000 / sold", "a", "price.amount: with sold = 0, division by zero"},
		{"divides by zero later", formula, "a=100 + 1000 / (sold - 37) * 0", "a", "with sold = 37, division by zero"},
		{"remainder of zero", formula, "a=100 + elapsed % (risk - 2) * 0", "a",
			"with elapsed = 0, risk = 2, division by zero"},
		{"overflows", formula, "a=start * 9000000000000000", "a", "integer overflow"},
		{"below the floor", formula, "a=start - sold * 100", "a",
			"with start = 4900, sold = 50, the price is -100, which is " +
				"not between the floor, 100, and the listing's price, 4900"},
		{"over the start", formula, "a=start + 1", "a", "the price is 4901, which is not between"},
		{"rises with sold", formula, "a=min(start, 1000 + sold)", "a",
			"the price is 1001, over the 1000 before it: it may " +
				"not rise with sold"},
		{"rises with time", formula, "a=elapsed == 60 ? start : 1000", "a", "it may not rise with elapsed"},
		{"rises for some", formula, "a=first_today && sold > 50 ? start : 1000", "a",
			"with start = 4900, sold = 51, first_today = true, the " +
				"price is 4900, over the 1000 before it"},
		{"right", formula, "a=max(floor, start - elapsed / 60 * 50 - sold * 10)", "", ""},
		{"weight of nothing", weight, "w=new_friend ? 100 : 0", "w",
			"cut.weight: with new_friend = false, the weight is 0, " +
				"which is not between 1 and 1000"},
		{"weight divides", weight, "w=100 / (helps_today - 3) * 0 + 50", "w", "with helps_today = 3, division by zero"},
		{"weight of too much", weight, "w=1 + cuts * 100", "w", "cut.weight: with cuts = 10, the weight is 1001"},
		{"weight of a sale", weight, "w=100 + sold", "w", `"sold" is nothing that it may ask about`},
		{"nobody", when, "w=risk > 3", "w", "who.when: is true of nobody"},
		{"who divides", when, "w=1 / risk > 0", "w", "who.when: with risk = 0, division by zero"},
		{"who is a number", when, "w=risk", "w", "who.when: gives a whole number, not true or false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := map[string]string{}
			for pair := range strings.SplitSeq(c.given, ";") {
				if name, value, found := strings.Cut(pair, "="); found {
					given[name] = value
				}
			}
			p, faults := read(t, c.template).Fill(given, usual)
			if c.want == "" && p != nil {
				return
			}
			if p != nil || len(faults) != 1 || faults[0].Parameter != c.parameter ||
				!strings.Contains(faults[0].String(), c.want) {
				t.Errorf("got %q\nwant %s: %s", faults, c.parameter, c.want)
			}
		})
	}
}

// TestCheckIsBounded: an expression over all that there is has a bounded number of samples.
func TestCheckIsBounded(t *testing.T) {
	const text = "id: p\nprice: {kind: formula, floor: 1, amount: \"max(floor, start - sold - elapsed - risk - quantity " +
		"- (first_today ? 1 : 0) - 0 * (sold / 7 + elapsed / 11 + 13 + 17 + 19 + 23 + 29))\"}\n"
	at := play.Listing{Price: 1_000_000, Stock: 1_000_000, Length: 24 * time.Hour}
	if _, faults := read(t, text).Fill(nil, at); len(faults) > 0 {
		t.Error(faults)
	}
}

func TestFormulasGoWithTheListing(t *testing.T) {
	p, faults := read(t,
		"id: p\nprice: {kind: formula, floor: 100, amount: \"start - (start - floor) * sold / stock\"}\n").
		Fill(nil, usual)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	formulas := play.NewFormulas()
	in := &engine.FormulaInput{Start: 4900, Floor: 100, Stock: 100, Sold: 50}
	if n, err := formulas.Number(engine.FormulaPrice, p.Price.Amount, in); n != 2500 || err != nil {
		t.Error(n, err)
	}
	in.Risk = 2
	if may, err := formulas.Truth("risk < 2 || first_today", in); may || err != nil {
		t.Error(may, err)
	}
	if _, err := formulas.Truth("risk < ", in); err == nil {
		t.Error("no error")
	}
	if n, err := formulas.Number(engine.FormulaWeight, "new_friend ? 150 : 100",
		&engine.FormulaInput{NewFriend: true}); n !=
		150 || err != nil {
		t.Error(n, err)
	}
}

// FuzzExpression: no expression makes its check or its evaluation panic or go on for long.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{"max(floor, start - sold * 10)", "first_today ? start : floor", "sold in [1, 2]",
		"1 / sold", "[[]] == [[[]]]", "{1: 2} == {1: 3}", "'a' + b'c'", "start.x", "-9223372036854775808 / -1",
		"1 - -1", "dyn(1)", "a.b{}", "x.all(y, y)", "1u + 1u", "null"} {
		f.Add(text, int64(1))
	}
	formulas := play.NewFormulas()
	f.Fuzz(func(t *testing.T, text string, n int64) {
		in := &engine.FormulaInput{Start: n, Floor: n, Stock: n, Sold: n, Elapsed: n, Quantity: n, Risk: n, Cuts: n,
			HelpsToday: n}
		if len(text) > engine.MaxFormulaBytes {
			return
		}
		formulas.Number(engine.FormulaPrice, text, in)
		formulas.Number(engine.FormulaWeight, text, in)
		formulas.Truth(text, in)
	})
}

// TestFormulasServeManyAtOnce: leaders' actors share one.
func TestFormulasServeManyAtOnce(t *testing.T) {
	formulas := play.NewFormulas()
	var all sync.WaitGroup
	for i := range int64(8) {
		all.Go(func() {
			for n := range int64(200) {
				text := fmt.Sprintf("start - sold * %d", n%20)
				got, err := formulas.Number(engine.FormulaPrice, text, &engine.FormulaInput{Start: 1000 * i, Sold: n})
				if err != nil || got != 1000*i-n*(n%20) {
					t.Errorf("%s is %d, %v", text, got, err)
				}
			}
		})
	}
	all.Wait()
}

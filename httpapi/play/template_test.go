package play_test

import (
	"strings"
	"testing"

	"doorbuster/engine"
	"doorbuster/examples/plays"
	"doorbuster/httpapi/play"
)

// read gives a template that is right.
func read(t testing.TB, text string) *play.Template {
	t.Helper()
	template, problems := play.Read([]byte(text), "play.yaml")
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, text)
	}
	return template
}

func shipped(t testing.TB, id string) *play.Template {
	t.Helper()
	text, known := plays.Shipped(id)
	if !known {
		t.Fatalf("no %s is shipped", id)
	}
	return read(t, text)
}

// right is a template in which each field is wrong in turn.
const right = `id: p
name: {en: A play, zh: 玩法}
parameters:
  low: {type: money, default: 100, says: the floor}
  many: {type: integer, default: 20, min: 2, max: 500}
  wide: {type: percent, default: 50}
  long: {type: duration, default: 24h}
  late: {type: boolean, default: false}
  more: {type: percent, default: 150}
price: {kind: cut, floor: $low}
cut:
  friends: $many
  spread: $wide
  weight: "new_friend ? more : 100"
  per_day: 3
  window: $long
  at_floor: $late
  stock: purchase
who: {first_of_day: true, max_risk: watch, when: "risk < 2"}
words: {gone: {en: Gone., zh: 已售罄。}}
`

func TestEachFieldWrongInTurn(t *testing.T) {
	read(t, right)
	for _, c := range []struct{ name, old, new, want string }{
		{"no id", "id: p\n", "", "1:1: id: missing: the template's id, which listings call the kind of their play"},
		{"id", "id: p", "id: a play", `1:5: id: "a play" is not an id`},
		{"name", "{en: A play, zh: 玩法}", "5", `2:7: name: 5 is a number here; put it in quotes: "5"`},
		{"language", "en: A play", "english: A play", `2:8: name.english: "english" is not a language code`},
		{"unknown key", "id: p", "id: p\ncuts: 1", `2:1: cuts: unknown key "cuts"; did you mean "cut"?`},
		{"key of another place", "id: p", "id: p\nfriends: 1", `2:1: friends: unknown key "friends" here; it belongs ` +
			`to a cut`},
		{"parameter's name", "  low:", "  Low:", `4:3: parameters.Low: "Low" is not the name of a parameter`},
		{"parameter's type", "type: money", "type: number",
			`4:15: parameters.low.type: "number" is not a type: money, ` +
				`integer, percent, duration, boolean or text`},
		{"no type", "type: money, ", "", "4:8: parameters.low.type: missing: money (in minor units), integer"},
		{"default", "default: 100", "default: cheap",
			`4:31: parameters.low.default: "cheap" is not an amount in minor ` +
				`units (4900 is 49.00)`},
		{"default below", "default: 20", "default: 1", `5:34: parameters.many.default: 1 is not between 2 and 500`},
		{"empty range", "min: 2", "min: 501", `5:43: parameters.many.min: no value is at least 501 and at most 500`},
		{"range of a truth value", "default: false", "default: false, min: 1", `8:46: parameters.late.min: a boolean ` +
			`has neither min nor max`},
		{"bound", "max: 500", "max: lots", `5:51: parameters.many.max: "lots" is not a whole number`},
		{"unused", "floor: $low", "floor: 100", "4:8: parameters.low: nothing of the template uses it: write $low " +
			"where its value belongs"},
		{"taken name", "  wide:", "  sold: {type: money, default: 1}\n  wide:",
			"6:9: parameters.sold: expressions ask " +
				"about sold by this name already; call it something else"},
		{"no price", "price: {kind: cut, floor: $low}\n", "", "1:1: price: missing: what a unit costs"},
		{"price", "price: {kind: cut, floor: $low}", "price: 100", "10:8: price: 100 is not a set of keys"},
		{"price's kind", "kind: cut", "kind: bargain", `10:15: price.kind: "bargain" is not a kind of price: fixed, ` +
			`steps, clock, formula or cut`},
		{"floor", "floor: $low", "floor: -1", "10:27: price.floor: -1 is not between 0 and 1000000000000"},
		{"floor in words", "floor: $low", "floor: low",
			`10:27: price.floor: "low" is not a price in minor units (4900 ` +
				`is 49.00), nor the $name of a parameter`},
		{"unknown parameter", "floor: $low", "floor: $lo",
			`10:27: price.floor: there is no parameter "lo"; did you mean ` +
				`"low"?`},
		{"parameter of another type", "floor: $low", "floor: $long",
			"10:27: price.floor: $long is of type duration, and " +
				"floor is of type money"},
		{"amount of another kind", "floor: $low", "floor: $low, amount: start",
			"10:41: price.amount: belongs to a price " +
				"of kind formula; this one's is cut"},
		{"steps of another kind", "floor: $low", "floor: $low, steps: []",
			"price.steps: belongs to a price of kind steps"},
		{"clock of another kind", "floor: $low", "floor: $low, every: 1m, by: 1",
			"price.by: belongs to a price of kind " +
				"clock"},
		{"no steps", "kind: cut, floor: $low", "kind: steps, floor: $low",
			"10:8: price: a price of kind steps says steps"},
		{"empty steps", "kind: cut, floor: $low", "kind: steps, floor: $low, steps: []",
			"price.steps: there is no step"},
		{"step", "kind: cut, floor: $low", "kind: steps, floor: $low, steps: [{sold: 0, price: 1}]",
			"price.steps[0].sold: 0 is not between 1 and 1000000000"},
		{"step without a price", "kind: cut, floor: $low", "kind: steps, floor: $low, steps: [{sold: 1}]",
			"price.steps[0].price: missing: what the next one costs, in minor units"},
		{"no clock", "kind: cut, floor: $low", "kind: clock, floor: $low",
			"10:8: price: a price of kind clock says every"},
		{"every", "kind: cut, floor: $low", "kind: clock, floor: $low, every: 5, by: 1",
			"price.every: 5 is not a duration"},
		{"by", "kind: cut, floor: $low", "kind: clock, floor: $low, every: 5s, by: 0",
			"price.by: 0 is not between 1 and"},
		{"no formula", "kind: cut, floor: $low", "kind: formula, floor: $low",
			"10:8: price: a price of kind formula says " +
				"amount"},
		{"formula", "kind: cut, floor: $low", "kind: formula, floor: $low, amount: 5",
			`price.amount: 5 is a number here; ` +
				`put it in quotes: "5"`},
		{"no cut", right[strings.Index(right, "cut:\n"):strings.Index(right, "who:")], "",
			"10:8: price: a price of kind " +
				"cut says under cut how friends cut it"},
		{"no friends", "  friends: $many\n", "", "12:3: cut.friends: missing: by about how many friends"},
		{"friends", "friends: $many", "friends: 1001", "12:12: cut.friends: 1001 is not between 1 and 1000"},
		{"spread", "spread: $wide", "spread: 91", "13:11: cut.spread: 91 is not between 0 and 90"},
		{"weight", `"new_friend ? more : 100"`, "true",
			"14:11: cut.weight: true is a truth value (true or false) here; " +
				`put it in quotes: "true"`},
		{"per_day", "per_day: 3", "per_day: 1.5", "15:12: cut.per_day: 1.5 is not a number of cuts"},
		{"window", "window: $long", "window: 1d", `16:11: cut.window: "1d" is not a duration with its unit`},
		{"at_floor", "at_floor: $late", "at_floor: sometimes", `17:13: cut.at_floor: "sometimes" is not true or false`},
		{"stock", "stock: purchase", "stock: later", `18:10: cut.stock: "later" is not start or purchase`},
		{"first_of_day", "first_of_day: true", "first_of_day: 1", "19:21: who.first_of_day: 1 is not true or false"},
		{"max_risk", "max_risk: watch", "max_risk: none",
			`19:37: who.max_risk: "none" is not watch or challenge, nor the ` +
				`$name of a parameter; for those on no list, say when: risk == 0`},
		{"when", `when: "risk < 2"`, `when: ""`, "19:50: who.when: is empty"},
		{"words", "words: {gone:", "words: {won:", `words.won: unknown key "won"`},
		{"words' placeholder", "en: Gone.", `en: "Gone {name}."`, "words.gone.en: {name} is no placeholder of gone"},
		{"words' parameter", "en: Gone.", "en: $gone", `words.gone.en: there is no parameter "gone"`},
		{"too long", "says: the floor", "says: " + strings.Repeat("x", 1025),
			"parameters.low.says: 1025 characters are " +
				"over 1024"},
		{"too long in all", right[strings.Index(right, "words:"):], "words: {" + longWords() + "}\n",
			"which are over 16384"},
		{"a list", right, "- id: p\n", `1:1: this is not a template, which has an "id" and a "price"`},
		{"nothing", right, "# nothing\n", `1:1: the file is empty; a template has an "id" and a "price"`},
		{"an alias", "$low}", "*low}", "anchors and aliases"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(right, c.old, c.new, 1)
			template, problems := play.Read([]byte(text), "play.yaml")
			if template != nil || !strings.Contains(problems.Error(), c.want) {
				t.Errorf("got %v\nwant %s", problems, c.want)
			}
		})
	}
}

// longWords are messages of the greatest length.
func longWords() string {
	var all []string
	for _, name := range []string{"granted", "paid", "expired", "cancelled", "voided", "shipped", "received",
		"completed",
		"left"} {
		all = append(all, name+": {en: "+strings.Repeat("x", 1000)+", zh: "+strings.Repeat("x", 1000)+"}")
	}
	return strings.Join(all, ", ")
}

func TestExpressionsThatAreWrong(t *testing.T) {
	const of = `
id: p
parameters:
  low: {type: money, default: 100}
  word: {type: text, default: hello}
price: {kind: formula, floor: $low, amount: %}
words: {gone: {en: $word}}
`
	for _, c := range []struct{ name, text, want string }{
		{"right", "max(low, start - sold * 10)", ""},
		{"unknown", "price - 1",
			`"price" is nothing that it may ask about; there are elapsed, first_today, floor, low, `},
		{"of another expression", "start - cuts", `"cuts" is nothing that it may ask about`},
		{"truth value", "sold > 3", "gives true or false, not a whole number"},
		{"fraction", "start * 0.8", "all numbers are whole: write start * 80 / 100"},
		{"text", "word", `"word" is a text, and expressions know only numbers and truth values`},
		{"mixed", "first_today ? start : 'a'", "does not go with (bool, int, string)"},
		{"unfinished", "start - ", "ends too early"},
		{"garbage", "start start", "does not fit there"},
		{"iterates", "[1, 2, 3].map(x, x * start)[0]", "is nothing that it may ask about"},
		{"iterates over texts", "'aaaa'.matches('(a+)+') ? 1 : 2", `"matches" is nothing that it may ask about`},
		{"a field", "start.amount", "type 'int' does not support field selection"},
		{"deep", strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200), "lies deeper than 50 levels"},
		{"long", strings.Repeat("1+", 400) + "1", "lies deeper than 50 levels"},
		{"huge", strings.Repeat("1+", 600) + "1", "1201 characters are over 1024"},
		{"costly", "start in [" + strings.Repeat("1,", 500) + "1] ? 1 : 2", "may take"},
		{"on two lines", "max(low,\n  sold.x)", "at character 7 of its line 2: type 'int' does not support field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(of, "%", quoted(c.text), 1)
			_, problems := play.Read([]byte(text), "")
			if c.want == "" && len(problems) == 0 {
				return
			}
			if c.want == "" || len(problems) == 0 || problems[0].Path != "price.amount" || problems[0].Line != 6 ||
				!strings.Contains(problems.Error(), c.want) {
				t.Errorf("got %v\nwant %s", problems, c.want)
			}
		})
	}
}

// quoted writes a text as YAML does.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}

// TestOneFormForOneMeaning: comments, order of flow and block, and quotes make no new
// version; the kept text reads as what it was kept of.
func TestOneFormForOneMeaning(t *testing.T) {
	kept := read(t, right).Text
	for _, text := range []string{kept, "# a comment\n" + right, strings.Replace(right, "id: p", `id: "p" # its id`, 1),
		strings.Replace(right, "{en: A play, zh: 玩法}", "\n  en: A play\n  zh: 玩法", 1)} {
		if again := read(t, text); again.Text != kept {
			t.Errorf("%s\nis kept as\n%s\nand not as\n%s", text, again.Text, kept)
		}
	}
	for _, id := range plays.IDs() {
		template := shipped(t, id)
		if again := read(t, template.Text); again.Text != template.Text || template.ID != id {
			t.Errorf("%s is not %s", again.Text, template.Text)
		}
		if len(template.Text) > engine.MaxPlayBytes/2 {
			t.Errorf("%s takes %d bytes", id, len(template.Text))
		}
		if len(template.Name) != 2 {
			t.Errorf("%s has a name in %d languages", id, len(template.Name))
		}
		for _, p := range template.Parameters {
			if p.Says == "" {
				t.Errorf("%s does not say what %s is", id, p.Name)
			}
		}
	}
}

// FuzzRead: no text makes Read panic; what it takes reads again as the same, and can be
// filled in or says why not.
func FuzzRead(f *testing.F) {
	f.Add([]byte(right))
	for _, id := range plays.IDs() {
		text, _ := plays.Shipped(id)
		f.Add([]byte(text))
	}
	f.Add([]byte("id: p\nprice: {kind: formula, amount: start}"))
	f.Add([]byte("id: p\nparameters: {a: {type: text}}\nprice: {kind: formula, amount: $a}\nwords: {gone: {en: $a}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		template, problems := play.Read(text, "")
		if (template == nil) != (len(problems) > 0) {
			t.Fatalf("a template and problems, or neither: %v", problems)
		}
		if template == nil {
			return
		}
		if again := read(t, template.Text); again.Text != template.Text {
			t.Fatalf("%q is not %q", again.Text, template.Text)
		}
		given := map[string]string{}
		for _, p := range template.Parameters {
			if p.Required {
				given[p.Name] = map[play.Type]string{play.Duration: "1m", play.Boolean: "true"}[p.Type]
				if given[p.Name] == "" {
					given[p.Name] = "10"
				}
			}
		}
		at := play.Listing{Price: 4900, Stock: 100}
		filled, faults := template.Fill(given, at)
		if (filled == nil) != (len(faults) > 0) {
			t.Fatalf("a play and faults, or neither: %v", faults)
		}
		if filled != nil && filled.Price.Floor > at.Price {
			t.Fatalf("the floor is %d", filled.Price.Floor)
		}
	})
}

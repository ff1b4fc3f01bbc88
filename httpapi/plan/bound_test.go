package plan

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

func listings(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "          - {sku: sku-%d, price: 100, stock: 10}\n", i)
	}
	return b.String()
}

func TestPlanTooLargeForTheLog(t *testing.T) {
	const start, daily = "start: now", "daily: {from: 2026-10-01, until: 2027-09-30, at: \"10:00\"}"
	plan := func(when string, n int) []byte {
		return []byte("sales:\n  - id: s\n    sessions:\n      - id: x\n        " + when + "\n        listings:\n" +
			listings(n))
	}
	for _, c := range []struct {
		name string
		text []byte
		want string
	}{
		{"many listings", plan(start, 10_000), ""},
		{"too many in a session", plan(start, 10_001), "10001 are over 10000"},
		{"a year of some", plan(daily, 49), ""},
		{"a year of many", plan(daily, 10_000), "which are over 458752; split it into several files, by sale or by " +
			"days"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			result, problems := Parse(c.text, Options{Now: noon()})
			runtime.ReadMemStats(&after)
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 200 {
				t.Errorf("takes %d MiB", mib)
			}
			if c.want == "" {
				if len(problems) > 0 || bytesOf(result.Plan) > engine.MaxPlanBytes {
					t.Error(problems)
				}
			} else if len(problems) != 1 || !strings.Contains(problems[0].Message, c.want) {
				t.Errorf("got %v, want %q", problems, c.want)
			}
		})
	}
}

func TestFileTooLong(t *testing.T) {
	text := append([]byte(contractPlan), bytes.Repeat([]byte("# more\n"), MaxFileBytes/7)...)
	if _, problems := Parse(text, Options{}); len(problems) != 1 || !strings.Contains(problems[0].Message,
		"are over 4194304") {
		t.Error(problems)
	}
}

func TestNotText(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"Latin-1":   {"products:\n  - name: caf\xe9\n", `2:14: this is not UTF-8; save the file as UTF-8 text`},
		"UTF-16":    {"\xff\xfep\x00r\x00", `1:1: this is not UTF-8; save the file as UTF-8 text`},
		"NUL":       {"products: 口\x00\n", `1:12: a control character; a plan is plain text`},
		"byte mark": {"\ufeffproducts: []\n", ``},
		"CR LF":     {"products: []\r\nsales: []\r\n", ``},
	} {
		if _, problems := Parse([]byte(c.text), Options{}); problems.Error() != c.want {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

// TestGarbage: files as long as may be, made to cost as much as can be, are
// answered in seconds and with a bounded number of problems.
func TestGarbage(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	fill := func(head, part string) []byte {
		return []byte(head + strings.Repeat(part, (MaxFileBytes-len(head))/len(part)))
	}
	keys := func() []byte {
		var b strings.Builder
		for i := 0; b.Len() < MaxFileBytes-16; i++ {
			fmt.Fprintf(&b, "k%d:\n", i)
		}
		return []byte(b.String())
	}
	for name, text := range map[string][]byte{
		"items":       fill("products: ", "\n- 1"),
		"fewer items": fill("products: ", "\n- 1 #"),
		"flow items":  append(fill("products: [1", ",1")[:MaxFileBytes-1], ']'),
		"brackets":    fill("", "["),
		"dashes":      fill("", "- "),
		"keys":        keys(),
		"one word":    fill("products: ", "a"),
		"numbers":     fill("products:", "\n- {id: 1, currency: 1}"),
		"quotes":      fill("", "\""),
		"comments":    fill("products: []\n", "#\n"),
		"anchors":     fill("products:", "\n- &a 1"),
		"questions":   fill("", "? "),
		"days": append(fill("sales: [{id: a, sessions: [    ",
			"                                        {id: a, daily: {from: 2026-10-01, until: 2027-09-30, at: "+
				"\"10:00\"}},"), "]}]"...),
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := Parse(text, Options{Now: noon()})
			if len(problems) > 1001 {
				t.Errorf("%d problems", len(problems))
			}
		})
	}
}

// TestNamesTurnNothing: a name that would turn the writing beside it, on the console or
// in a terminal, is refused, in catalogue, sale, messages and addresses alike; joined
// emoji are not.
func TestNamesTurnNothing(t *testing.T) {
	const at = "products:\n  - {id: a, name: %q, list_price: 1, currency: CNY, image: %q}\nsales:\n  - {id: s, name: " +
		"%q, messages: {missed: {en: %q}}}\n"
	for _, bad := range []string{"\u202e", "\u2066", "\u200f", "\u2028"} {
		for i := range 4 {
			names := []any{"Masks", "https://shop.example/a.jpg", "Day", "Sorry."}
			names[i] = names[i].(string) + bad + "x"
			text := fmt.Sprintf(strings.ReplaceAll(at, "%q", "\"%s\""), names...)
			if _, problems := Parse([]byte(text), Options{Now: time.Now()}); len(problems) != 1 ||
				!strings.Contains(problems.Error(), "direction of writing") && !strings.Contains(problems.Error(),
					"control character") {
				t.Errorf("%q in text %d: %v", bad, i, problems)
			}
		}
	}
	if _, problems := Parse(fmt.Appendf(nil, strings.ReplaceAll(at, "%q", "\"%s\""), "👩\u200d🚀",
		"https://shop.example/面.jpg", "צ'יק", "…"), Options{Now: time.Now()}); len(problems) != 0 {
		t.Error(problems)
	}
}

package messages

import (
	"slices"
	"strings"
	"testing"

	"doorbuster/engine"
)

func TestEveryMessageIsThere(t *testing.T) {
	seen := map[string]bool{}
	for m := range Messages {
		if !engine.ValidID(m.String()) || seen[m.String()] {
			t.Errorf("message %d is called %q", m, m)
		}
		seen[m.String()] = true
		if back, known := Named(m.String()); !known || back != m {
			t.Errorf("%s is not found by its name", m)
		}
		for in := range Languages {
			pieces, err := Parse(m, m.Shop(in))
			if err != nil {
				t.Errorf("%s in %s: %v", m, in.Tag(), err)
			}
			var filled []Blank
			for _, p := range pieces {
				if p.Then != None {
					filled = append(filled, p.Then)
				}
			}
			if slices.Sort(filled); !slices.Equal(filled, m.Blanks()) {
				t.Errorf("%s in %s fills in %v of %v", m, in.Tag(), filled, m.Blanks())
			}
		}
	}
	if _, known := Named("none such"); known {
		t.Error("a message that there is not")
	}
}

func TestParse(t *testing.T) {
	long := strings.Repeat("长", engine.MaxTextBytes/3)
	for _, c := range []struct {
		m    Message
		text string
		want string // the pieces, with | for where one ends, or the error
	}{
		{Missed, "Next time.", "Next time."},
		{Missed, long, long},
		{Granted, "Yours!", "Yours!"},
		{Granted, "{pay_within}", "|pay_within"},
		{Granted, "Pay in {pay_within}, yes, {pay_within}!", "Pay in |pay_within, yes, |pay_within!"},
		{LimitReached, "{count} of {scope}", "|count of |scope"},
		{Missed, "", "is empty; leave the language out to keep the shop's own words"},
		{Missed, " \u3000", "is empty; leave the language out to keep the shop's own words"},
		{Missed, long + "长", "1026 bytes are over 1024"},
		{Missed, "a\nb", "has a line break, a control character or one that turns the direction of writing; it is " +
			"one line of text"},
		{Missed, "a\u202eb", "has a line break, a control character or one that turns the direction of writing; it " +
			"is one line of text"},
		{Missed, "a\u0085b", "has a line break, a control character or one that turns the direction of writing; it " +
			"is one line of text"},
		{Missed, "a\xffb", "is not UTF-8"},
		{Missed, "Try {start}.", "{start} is no placeholder of missed; here there are none"},
		{Granted, "Pay in {payin}.", "{payin} is no placeholder of granted; here there is {pay_within}"},
		{Granted, "{}", "{} is no placeholder of granted; here there is {pay_within}"},
		{Granted, "{ pay_within }", "{ pay_within } is no placeholder of granted; here there is {pay_within}"},
		{LimitReached, "{" + strings.Repeat("x", 50) + "}", "{" + strings.Repeat("x", 40) +
			"…} is no placeholder of limit_reached; here there are {count} and {scope}"},
		{Granted, "Pay in {pay_within.", "has a { without its }; braces are for placeholders only, here there is " +
			"{pay_within}"},
		{Granted, "Pay {in {pay_within}", "has a { without its }; braces are for placeholders only, here there is " +
			"{pay_within}"},
		{Granted, "Pay in pay_within}.", "has a } without its {; braces are for placeholders only, here there is " +
			"{pay_within}"},
		{Granted, "{pay_within}}", "has a } without its {; braces are for placeholders only, here there is " +
			"{pay_within}"},
	} {
		pieces, err := Parse(c.m, c.text)
		var got strings.Builder
		for _, p := range pieces {
			got.WriteString(p.Text)
			if p.Then != None {
				got.WriteString("|" + p.Then.String())
			}
		}
		if err != nil {
			got.WriteString(err.Error())
		}
		if got.String() != c.want {
			t.Errorf("%s: %q gives %q, want %q", c.m, c.text, got.String(), c.want)
		}
	}
}

// FuzzParse: what is taken is put together again as it was.
func FuzzParse(f *testing.F) {
	for m := range Messages {
		f.Add(uint8(m), m.Shop(Chinese))
	}
	f.Add(uint8(0), "{pay_within")
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		m := Message(n % uint8(Messages))
		pieces, err := Parse(m, text)
		if (err == nil) != (len(pieces) > 0) {
			t.Fatal("pieces and an error, or neither")
		}
		var again strings.Builder
		for i, p := range pieces {
			again.WriteString(p.Text)
			if p.Then != None {
				again.WriteString("{" + p.Then.String() + "}")
			} else if i < len(pieces)-1 {
				t.Fatal("the end in the middle")
			}
		}
		if err == nil && again.String() != text {
			t.Fatalf("%q came back as %q", text, again.String())
		}
	})
}

func TestLanguageOf(t *testing.T) {
	for header, want := range map[string]Language{
		"": English, "en-GB,zh;q=0.9": English, "zh-CN,en": Chinese, "ZH": Chinese, " zh;q=1": Chinese, "zho": Chinese,
		"z": English, "fr": English,
		"fr, zh;q=0.9": Chinese, "en;q=0.1, zh;q=0.9": Chinese, "zh;q=0.3,en;q=0.8": English, "zh;q=0, fr": English,
		"zh-TW": Chinese, "zh-Hant-HK, en;q=0.9": Chinese,
		"en;q=0,*": Chinese, "*, en-US;q=0": Chinese, "zh;q=0,en;q=0": English, "zh;q=0,*": English,
		"fr, *;q=0.5":           English,
		"zh-Hans;q=0.9;level=1": Chinese, "zh;level=1;q=0.9, en;q=0.5": Chinese, "cmn-Hans": Chinese, "cmn": Chinese,
		"yue": Chinese, "yue-HK, en;q=0.9": Chinese,
		"zh-yue": Chinese, "zh-min-nan": Chinese, "wuu": Chinese, "zh_CN": Chinese,
		"en;q=0.9;level=1, zh;q=0.8": English, "x!y, zh": Chinese,
		"*": English, "de-DE,de;q=0.9,zh-CN;q=0.8,en;q=0.7": Chinese, "zh,,": Chinese, ";q=1": English,
		"zh;q=x":                          English,
		strings.Repeat("fr,", 100) + "zh": English, strings.Repeat("fr,", 50) + "zh": Chinese,
		strings.Repeat("x", 300): English,
	} {
		if got := LanguageOf(header); got != want {
			t.Errorf("%q: %s, want %s", header, got.Tag(), want.Tag())
		}
	}
	for l := range Languages {
		if back, known := LanguageNamed(l.Tag()); !known || back != l {
			t.Errorf("%s is not found by its tag", l.Tag())
		}
	}
	if _, known := LanguageNamed("fr"); known {
		t.Error("nobody speaks fr here")
	}
}

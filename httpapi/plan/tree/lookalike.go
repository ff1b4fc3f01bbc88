package tree

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

type lookalike struct{ name, instead string }

// lookalikes are characters that people and their editors write for YAML's own. In a
// text they are as good as any.
var lookalikes = map[rune]lookalike{
	'\u00a0': {"a no-break space", " "},
	'\u3000': {"a full-width space", " "},
	'：':      {"a full-width colon", ": "},
	'，':      {"a full-width comma", ", "},
	'“':      {"a curly quote", `"`},
	'”':      {"a curly quote", `"`},
	'‘':      {"a curly quote", "'"},
	'’':      {"a curly quote", "'"},
	'［':      {"a full-width bracket", "["},
	'］':      {"a full-width bracket", "]"},
	'｛':      {"a full-width brace", "{"},
	'｝':      {"a full-width brace", "}"},
	'、':      {"an ideographic comma", ","},
	'＃':      {"a full-width number sign", "#"},
	'－':      {"a full-width hyphen", "-"},
	'‐':      {"a hyphen of another kind", "-"},
	'‑':      {"a hyphen of another kind", "-"},
	'–':      {"a dash", "-"},
	'—':      {"a dash", "-"},
	'\u200b': {"invisible", ""},
	'\u2060': {"invisible", ""},
	'\ufeff': {"invisible", ""},
}

// likeOf gives what a character is a lookalike of; without a name it is none.
func likeOf(c rune) lookalike {
	like := lookalikes[c]
	if like.name == "" && c > ' ' && unicode.Is(unicode.Zs, c) {
		like = lookalike{"a space of another width", " "}
	}
	return like
}

func isLookalike(c rune) bool { return c >= utf8.RuneSelf && likeOf(c).name != "" }

// asMeant writes what the lookalikes in text stand for.
func asMeant(text []byte) []byte {
	var b bytes.Buffer
	for _, c := range string(text) {
		if isLookalike(c) {
			b.WriteString(likeOf(c).instead)
		} else {
			b.WriteRune(c)
		}
	}
	return b.Bytes()
}

// misread says what a lookalike is, and what to write.
func misread(c rune) string {
	like := likeOf(c)
	do := fmt.Sprintf("write %q", strings.TrimRight(like.instead, " "))
	switch like.instead {
	case "":
		do = "take it away"
	case " ":
		do = "write a plain space"
	case ": ":
		do = "write \":\" and a space"
	}
	return fmt.Sprintf("%q (U+%04X) is %s; %s", c, c, like.name, do)
}

// mostTries bounds how many lookalikes of a file that is not YAML are tried as the cause.
const mostTries = 10

// culprit finds the lookalike nearest before line, counted from 1, without which what
// is wrong there would not be; c is 0 if there is none.
func culprit(lines [][]byte, line int) (at, column int, c rune) {
	said := complaint(lines).Error()
	for at, tries := line, 0; at > 0 && tries < mostTries; at-- {
		text := lines[at-1]
		first := bytes.IndexFunc(text, isLookalike)
		if first < 0 {
			continue
		}
		indents := len(bytes.TrimLeft(text[:first], " ")) == 0
		helps := func(other []byte) bool {
			tries++
			changed := slices.Clone(lines)
			changed[at-1] = other
			now := complaint(changed).Error()
			// What indents may be wrong all the same, in another way.
			return now != said && (indents || complaint(changed[:line]).Error() != now || now == io.EOF.Error())
		}
		if !helps(asMeant(text)) {
			continue
		}
		for i, c := range string(text) { // the one alone, or else the first of several
			size := utf8.RuneLen(c)
			if isLookalike(c) && helps(slices.Concat(text[:i], asMeant(text[i:i+size]), text[i+size:])) {
				first = i
				break
			}
		}
		c, _ = utf8.DecodeRune(text[first:])
		return at, 1 + utf8.RuneCount(text[:first]), c
	}
	return 0, 0, 0
}

// unquoted says which lookalike a value or key without quotes has, if it has one, that
// may be what is wrong with it; "" if none.
func unquoted(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Style != 0 {
		return ""
	}
	at := strings.IndexFunc(n.Value, isLookalike)
	if at < 0 {
		return ""
	}
	c, _ := utf8.DecodeRuneInString(n.Value[at:])
	return fmt.Sprintf("; in column %d, %s", n.Column+utf8.RuneCountInString(n.Value[:at]), misread(c))
}

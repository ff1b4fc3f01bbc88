package plan

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// lookalikes are characters that people and their editors write for YAML's own. In a
// text they are as good as any.
var lookalikes = map[rune]struct{ name, instead string }{
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
}

func isLookalike(c rune) bool { return lookalikes[c].name != "" }

// asMeant writes what the lookalikes in text stand for.
func asMeant(text []byte) []byte {
	var b bytes.Buffer
	for _, c := range string(text) {
		if isLookalike(c) {
			b.WriteString(lookalikes[c].instead)
		} else {
			b.WriteRune(c)
		}
	}
	return b.Bytes()
}

// misread says what a lookalike is, and what to write.
func misread(c rune) string {
	like := lookalikes[c]
	instead := fmt.Sprintf("%q", strings.TrimRight(like.instead, " "))
	switch like.instead {
	case " ":
		instead = "a plain space"
	case ": ":
		instead = "\":\" and a space"
	}
	return fmt.Sprintf("%q (U+%04X) is %s; write %s", c, c, like.name, instead)
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
			if size := utf8.RuneLen(c); isLookalike(c) && helps(slices.Concat(text[:i], asMeant(text[i:i+size]), text[i+size:])) {
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

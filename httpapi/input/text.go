package input

import (
	"strings"
	"unicode"
)

// Steers reports whether a character is none to be read, but steers whoever shows it: a
// control character, one that ends a line or a paragraph, or one that turns the
// direction of what follows, on the page of another, too.
func Steers(c rune) bool {
	return unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || c == '\u2028' || c == '\u2029'
}

// OneLine says what is wrong with a text for people that is to be one line, "" if
// nothing.
func OneLine(text string) (wrong string) {
	if strings.ContainsFunc(text, Steers) {
		return "has a line break, a control character or one that turns the direction of writing; it is one line of " +
			"text"
	}
	return ""
}

package messages

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
)

// Blank is a placeholder in a message.
type Blank uint8

// The placeholders. None is the end of a text.
const (
	None Blank = iota
	PayWithin
	Position
	Count
	Scope
	Start
	DrawAt
	ResultURL
	Amount
)

var blanks = [...]string{PayWithin: "pay_within", Position: "position", Count: "count", Scope: "scope", Start: "start",
	DrawAt: "draw_at", ResultURL: "result_url", Amount: "amount"}

// String is the placeholder without its braces; "" for None.
func (b Blank) String() string { return blanks[b] }

// Piece is a part of a text, and the placeholder that follows it, or None.
type Piece struct {
	Text string
	Then Blank
}

// Parse takes a text for a message apart, in one piece at least. The error, a
// sentence without its full stop, says what is wrong with the text and what would
// be right: it is one line of at most engine.MaxTextBytes, and each brace is of a
// placeholder that the message has.
func Parse(m Message, text string) ([]Piece, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, fmt.Errorf("is empty; leave the language out to keep the shop's own words")
	case len(text) > engine.MaxTextBytes:
		return nil, fmt.Errorf("%d bytes are over %d", len(text), engine.MaxTextBytes)
	case !utf8.ValidString(text):
		return nil, fmt.Errorf("is not UTF-8")
	case input.OneLine(text) != "":
		return nil, errors.New(input.OneLine(text))
	}
	var pieces []Piece
	for text != "" {
		open := strings.IndexAny(text, "{}")
		if open < 0 {
			return append(pieces, Piece{text, None}), nil
		}
		if text[open] == '}' {
			return nil, fmt.Errorf("has a } without its {; braces are for placeholders only, here %s", m.allowed())
		}
		name, rest, closed := strings.Cut(text[open+1:], "}")
		if !closed || strings.Contains(name, "{") {
			return nil, fmt.Errorf("has a { without its }; braces are for placeholders only, here %s", m.allowed())
		}
		at := slices.IndexFunc(m.Blanks(), func(b Blank) bool { return b.String() == name })
		if at < 0 {
			return nil, fmt.Errorf("{%s} is no placeholder of %s; here %s", clip(name), m, m.allowed())
		}
		pieces = append(pieces, Piece{text[:open], m.Blanks()[at]})
		text = rest
	}
	return pieces, nil
}

// allowed says which placeholders a message may have.
func (m Message) allowed() string {
	names := make([]string, len(m.Blanks()))
	for i, b := range m.Blanks() {
		names[i] = "{" + b.String() + "}"
	}
	switch len(names) {
	case 0:
		return "there are none"
	case 1:
		return "there is " + names[0]
	}
	return "there are " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// clip shortens what somebody wrote, for a message.
func clip(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

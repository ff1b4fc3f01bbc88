package tree

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/messages"
)

// Integer reads a whole number, whose bounds the schema has checked.
func (r *Reader) Integer(n *Node, unless int64) int64 {
	if !n.Usable() {
		return unless
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil { // 1e3 and 1000.0 are integers to the schema
		r.Problem(n, "%s: write the number in plain decimal digits", Clip(n.Value))
		return unless
	}
	return v
}

// Truth reads true or false, which the schema has checked.
func Truth(n *Node, unless bool) bool {
	if !n.Usable() {
		return unless
	}
	return strings.EqualFold(n.Value, "true")
}

// Duration reads a duration in whole milliseconds from least to most.
func (r *Reader) Duration(n *Node, unless, least, most time.Duration) time.Duration {
	if !n.Usable() {
		return unless
	}
	d, ok := r.ParseDuration(n, n.Value, least, most)
	if !ok {
		return unless
	}
	return d
}

// ParseDuration is Duration of a text that stands in n; false if n has a problem now.
func (r *Reader) ParseDuration(n *Node, text string, least, most time.Duration) (time.Duration, bool) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		r.Problem(n, "%q is not a duration with its unit, such as \"1h\", \"15m\" or \"90s\"", Clip(text))
	case d%time.Millisecond != 0:
		r.Problem(n, "%s is finer than a millisecond", text)
	case d < least || d > most:
		r.Problem(n, "%s is not between %s and %s", text, Short(least), Short(most))
	default:
		return d, true
	}
	return 0, false
}

// Short gives a duration without the zeros that nobody writes: 744h.
func Short(d time.Duration) string {
	text := d.String()
	if whole, found := strings.CutSuffix(text, "m0s"); found {
		text = whole + "m"
	}
	if whole, found := strings.CutSuffix(text, "h0m"); found {
		text = whole + "h"
	}
	return text
}

// Name reads a text in one language (English) or in several. What has none is
// called by its id, so that nothing on a page is blank.
func (r *Reader) Name(n *Node, id string) engine.Text {
	switch {
	case n == nil:
		return engine.Text{{Lang: "en", Text: id}}
	case n.Kind == yaml.MappingNode:
		var t engine.Text
		for _, f := range n.Fields {
			t = append(t, engine.Words{Lang: f.Name, Text: r.Line(f.Value)})
		}
		slices.SortFunc(t, func(a, b engine.Words) int { return strings.Compare(a.Lang, b.Lang) })
		return t
	}
	return engine.Text{{Lang: "en", Text: r.Line(n)}}
}

// Line reads a text of one line and holds it against the bound in bytes: the
// schema counts characters.
func (r *Reader) Line(n *Node) string {
	text := n.Text()
	if len(text) > engine.MaxTextBytes {
		r.Problem(n, "%d bytes are over %d", len(text), engine.MaxTextBytes)
	} else if wrong := input.OneLine(text); wrong != "" {
		r.Problem(n, "%s", wrong)
	}
	return text
}

// Messages reads what a sale or a play tells in its own words, sorted by name.
func (r *Reader) Messages(n *Node) []engine.Message {
	if n == nil {
		return nil
	}
	var own []engine.Message
	for _, f := range n.Fields {
		m, known := messages.Named(f.Name)
		if !known { // the schema said so
			continue
		}
		told := engine.Message{Name: f.Name}
		for _, in := range f.Value.Fields {
			text := in.Value.Text()
			if _, spoken := messages.LanguageNamed(in.Name); !spoken || text == "" {
				continue
			}
			if _, err := messages.Parse(m, text); err != nil {
				r.Problem(in.Value, "%v", err)
			}
			told.Text = append(told.Text, engine.Words{Lang: in.Name, Text: text})
		}
		slices.SortFunc(told.Text, func(a, b engine.Words) int { return strings.Compare(a.Lang, b.Lang) })
		own = append(own, told)
	}
	slices.SortFunc(own, func(a, b engine.Message) int { return strings.Compare(a.Name, b.Name) })
	return own
}

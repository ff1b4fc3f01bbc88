package play

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/plan/tree"
)

// Type is what values a parameter has.
type Type uint8

// Types of parameters.
const (
	Money Type = iota // minor units
	Integer
	Percent
	Duration
	Boolean
	Text
)

var typeNames = [...]string{"money", "integer", "percent", "duration", "boolean", "text"}

func (t Type) String() string { return typeNames[t] }

// what says what a value of the type is.
func (t Type) what() string {
	return [...]string{"an amount in minor units (4900 is 49.00)", "a whole number", "a whole number of percent",
		"a duration with its unit, such as 24h or 90s", "true or false", "a text of one line"}[t]
}

// Bounds of parameters' values, whatever their own are.
const (
	maxInteger = 1_000_000_000_000
	maxPercent = 1000
)

// Parameter is what a listing fills in.
type Parameter struct {
	Name     string
	Type     Type
	Required bool   // there is no default
	Default  string // as it is written
	Says     string
	min, max *value
}

// Range says between what its values lie; "" if it does not say.
func (p *Parameter) Range() string {
	switch {
	case p.min != nil && p.max != nil:
		return p.min.text + " to " + p.max.text
	case p.min != nil:
		return "at least " + p.min.text
	case p.max != nil:
		return "at most " + p.max.text
	}
	return ""
}

// value is one of some type.
type value struct {
	of     Type
	text   string // in its usual form
	number int64  // of money, integers and percent; of a duration its milliseconds; 1 if it is true
}

var plainNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,18})$`)

// read takes a value as it is written.
func (t Type) read(text string) (v value, err error) {
	v = value{of: t, text: text}
	wrong := fmt.Errorf("%q is not %s", tree.Clip(text), t.what())
	switch t {
	case Money, Integer, Percent:
		if !plainNumber.MatchString(text) {
			return v, wrong
		}
		if v.number, err = strconv.ParseInt(text, 10, 64); err != nil {
			return v, wrong
		}
		least, most := int64(0), int64(engine.MaxPrice)
		switch t {
		case Integer:
			least, most = -maxInteger, maxInteger
		case Percent:
			most = maxPercent
		}
		if v.number < least || v.number > most {
			return v, fmt.Errorf("%d is not between %d and %d", v.number, least, most)
		}
	case Duration:
		d, err := time.ParseDuration(text)
		switch {
		case err != nil:
			return v, wrong
		case d < 0 || d > engine.MaxSessionLength:
			return v, fmt.Errorf("%s is not between 0s and %s", tree.Short(d), tree.Short(engine.MaxSessionLength))
		case d%time.Millisecond != 0:
			return v, fmt.Errorf("%s is finer than a millisecond", tree.Clip(text))
		}
		v.text, v.number = tree.Short(d), d.Milliseconds()
	case Boolean:
		switch text {
		case "true":
			v.number = 1
		case "false":
		default:
			return v, wrong
		}
	case Text:
		if len(text) > engine.MaxTextBytes {
			return v, fmt.Errorf("%d bytes are over %d", len(text), engine.MaxTextBytes)
		}
		if bad := input.OneLine(text); bad != "" {
			return v, fmt.Errorf("%s", bad)
		}
	}
	return v, nil
}

// read takes a value of the parameter.
func (p *Parameter) read(text string) (value, error) {
	v, err := p.Type.read(text)
	if err == nil && (p.min != nil && v.number < p.min.number || p.max != nil && v.number > p.max.number) {
		err = fmt.Errorf("%s is not %s", v.text, within(p))
	}
	return v, err
}

func within(p *Parameter) string {
	if p.min != nil && p.max != nil {
		return "between " + p.min.text + " and " + p.max.text
	}
	return p.Range()
}

// literal gives the value as an expression has it: durations are seconds there.
func (v *value) literal() string {
	switch {
	case v.of == Boolean || v.of == Text:
		return v.text
	case v.of == Duration:
		return strconv.FormatInt(v.number/1000, 10)
	case v.number < 0:
		return "(" + v.text + ")"
	}
	return v.text
}

// json gives the value as JSON has it.
func (v *value) json() any {
	switch v.of {
	case Duration, Text:
		return v.text
	case Boolean:
		return v.number == 1
	}
	return json.Number(v.text)
}

// node gives the value as YAML has it.
func (v *value) node() *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: v.text, Tag: "!!str", Style: yaml.DoubleQuotedStyle}
	switch v.of {
	case Money, Integer, Percent:
		n.Tag, n.Style = "!!int", 0
	case Boolean:
		n.Tag, n.Style = "!!bool", 0
	}
	return n
}

package tree

import (
	"bytes"
	_ "embed" // plan.schema.json
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
)

//go:embed plan.schema.json
var schemaText []byte

// Schema gives the JSON Schema of plan files (draft 2020-12), for editors. Its
// errorMessage keywords are what some of them, and Parse, say where a value does
// not fit.
func Schema() []byte { return bytes.Clone(schemaText) }

const schemaURL = "mem:///plan.schema.json"

// shape is the schema, compiled and as written.
type shape struct {
	compiled *jsonschema.Schema
	written  map[string]any
}

// shapes are those of each kind of file.
var shapes = sync.OnceValues(func() (of [len(kinds)]shape, err error) {
	for kind := range of {
		if of[kind], err = newShape(kinds[kind].schema); err != nil {
			return of, fmt.Errorf("plan schema: %w", err)
		}
	}
	return of, nil
})

// newShape compiles the schema from a place in it on.
func newShape(place string) (shape, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText))
	if err != nil {
		return shape{}, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return shape{}, err
	}
	compiled, err := compiler.Compile(schemaURL + place)
	if err != nil {
		return shape{}, err
	}
	return shape{compiled, document.(map[string]any)}, nil
}

// CheckShape reports where the file is not as the schema says, in words, and
// marks the values that are not.
func (r *Reader) CheckShape(root *Node) {
	all, err := shapes()
	if err != nil {
		r.ProblemAt("", 0, 0, "%v", err)
		return
	}
	var invalid *jsonschema.ValidationError
	if err := all[r.Kind].compiled.Validate(root.json()); !errors.As(err, &invalid) {
		return
	}
	c := shapeCheck{Reader: r, shape: all[r.Kind], root: root}
	c.explain(invalid)
}

type shapeCheck struct {
	*Reader
	shape
	root *Node
}

// explain goes down to the errors that say something.
func (c *shapeCheck) explain(e *jsonschema.ValidationError) {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not: // their parts say less than they do
	default:
		if len(e.Causes) > 0 {
			for _, cause := range e.Causes {
				c.explain(cause)
			}
			return
		}
	}
	n := c.root.at(e.InstanceLocation)
	if n == nil || n.unread || len(c.Problems) >= enoughProblems {
		return
	}
	rule := c.rule(e.SchemaURL)
	said, _ := rule["errorMessage"].(string)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			c.ProblemAt(join(n.Path, name), n.Line, n.Column, "missing: %s", c.describe(rule, name))
		}
	case *kind.AdditionalProperties:
		unknown := make(map[string]bool, len(k.Properties))
		for _, name := range k.Properties {
			unknown[name] = true
		}
		for _, f := range n.Fields {
			if unknown[f.Name] && len(c.Problems) < enoughProblems {
				c.ProblemAt(f.Value.Path, f.Key.Line, f.Key.Column, "%s%s", c.unknown(rule, f.Name), unquoted(f.Key))
			}
		}
	case *kind.AnyOf, *kind.Not, *kind.MinProperties:
		c.Problem(n, "%s", said)
	case *kind.Type:
		n.Wrong = true
		c.Problem(n, "%s", c.wrongType(n, k, rule, said))
	case *kind.Minimum, *kind.Maximum:
		n.Wrong = true
		c.Problem(n, "%s is not between %v and %v", Clip(n.Value), rule["minimum"], rule["maximum"])
	case *kind.Pattern, *kind.Enum:
		n.Wrong = true
		c.Problem(n, "%q %s", Clip(n.Value), said)
	case *kind.MinLength:
		n.Wrong = true
		c.Problem(n, "is empty")
	case *kind.MaxLength:
		n.Wrong = true
		c.Problem(n, "%d characters are over %d", k.Got, k.Want)
	case *kind.MaxItems:
		n.Wrong = true
		c.Problem(n, "%d are over %d", k.Got, k.Want)
	default: // no other keyword is in the schema
		n.Wrong = true
		c.Problem(n, "does not fit the plan schema at %s", e.SchemaURL)
	}
}

// at finds a value by the validator's location: keys and indexes.
func (n *Node) at(location []string) *Node {
	for _, step := range location {
		if n.Kind == yaml.SequenceNode {
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(n.Items) {
				return nil
			}
			n = n.Items[i]
		} else if n = n.Get(step); n == nil {
			return nil
		}
	}
	return n
}

// rule gives the part of the schema that an error's URL points to.
func (c *shapeCheck) rule(url string) map[string]any {
	_, pointer, _ := strings.Cut(url, "#")
	var here any = c.written
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		switch in := here.(type) {
		case map[string]any:
			if step != "" {
				here = in[step]
			}
		case []any:
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(in) {
				here = in[i]
			}
		}
	}
	found, _ := here.(map[string]any)
	return found
}

func (c *shapeCheck) describe(rule map[string]any, name string) string {
	properties, _ := rule["properties"].(map[string]any)
	property, _ := properties[name].(map[string]any)
	description, _ := property["description"].(string)
	return description
}

// unknown says what a key that is not in the rule may have been meant to be.
func (c *shapeCheck) unknown(rule map[string]any, name string) string {
	if said, patterned := rule["unknownMessage"].(string); patterned {
		return fmt.Sprintf("%q %s", Clip(name), said)
	}
	properties, _ := rule["properties"].(map[string]any)
	known := slices.Sorted(maps.Keys(properties))
	definitions, _ := c.written["$defs"].(map[string]any)
	for _, owner := range []string{"product", "sale", "session", "listing", "daily", "template",
		"cut", "parameter"} {
		definition, _ := definitions[owner].(map[string]any)
		if elsewhere, _ := definition["properties"].(map[string]any); elsewhere[name] != nil {
			return fmt.Sprintf("unknown key %q here; it belongs to a %s", name, owner)
		}
	}
	if near := Nearest(name, known); len(near) > 0 {
		return fmt.Sprintf("unknown key %q; did you mean %s?", Clip(name), strings.Join(near, " or "))
	}
	return fmt.Sprintf("unknown key %q; known here are %s", Clip(name), strings.Join(known, ", "))
}

// Nearest gives the known words, in quotes, that name most likely stands for: all
// that begin with it, else at most one.
func Nearest(name string, known []string) (near []string) {
	plain := strings.NewReplacer("-", "", "_", "", " ", "")
	simple := plain.Replace(strings.ToLower(Clip(name)))
	best, least := "", 1+len(simple)/3
	for _, word := range known {
		if len(simple) > 2 && strings.HasPrefix(plain.Replace(word), simple) {
			near = append(near, strconv.Quote(word))
		}
		if d := distance(simple, plain.Replace(word)); d <= least && (best == "" || d < least) {
			best, least = word, d
		}
	}
	if len(near) == 0 && best != "" {
		near = []string{strconv.Quote(best)}
	}
	return near
}

// distance counts the letters to add, drop, replace or swap to turn a into b.
func distance(a, b string) int {
	before, above := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}

// wrongType says what a value is and what it should be.
func (c *shapeCheck) wrongType(n *Node, k *kind.Type, rule map[string]any, said string) string {
	if n.Path == "" {
		name, is := c.kind()
		return "this is not a " + name + ", which " + is
	}
	if n.Kind == yaml.ScalarNode && k.Got != "null" && slices.Contains(k.Want, "string") && fits(n.Value, rule) {
		return fmt.Sprintf("%s is %s here; put it in quotes: %q", Clip(n.Value), typeName(k.Got), Clip(n.Value))
	}
	got := typeName(k.Got)
	if n.Kind == yaml.ScalarNode && k.Got != "null" {
		got = Clip(n.Value)
		if k.Got == "string" {
			got = strconv.Quote(got)
		}
	}
	if said != "" {
		return got + " " + said
	}
	want := make([]string, len(k.Want))
	for i, w := range k.Want {
		want[i] = typeName(w)
	}
	return got + " is not " + strings.Join(want, " or ")
}

// typeName says a JSON type in plain words.
func typeName(t string) string {
	switch t {
	case "null":
		return "an empty value"
	case "array":
		return "a list"
	case "object":
		return "a set of keys"
	case "string":
		return "a text"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "boolean":
		return "a truth value (true or false)"
	}
	return t
}

// fits reports whether a text would be right by the rule, had it been written as one.
func fits(text string, rule map[string]any) bool {
	if words, bound := rule["enum"].([]any); bound {
		return slices.Contains(words, any(text))
	}
	pattern, bound := rule["pattern"].(string)
	if !bound {
		return true
	}
	right, err := regexp.MatchString(pattern, text)
	return err == nil && right
}

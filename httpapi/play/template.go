package play

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"doorbuster/engine"
	"doorbuster/httpapi/plan/tree"
)

// Template is a play whose parameters have no values yet.
type Template struct {
	ID         string
	Name       engine.Text
	Parameters []Parameter // in the order of the file
	// Text is the template in one form whatever its file looked like, without comments:
	// only what means something makes a new version.
	Text string

	root        *tree.Node
	expressions map[*tree.Node][]place // where each names parameters
}

// Problems are what is wrong with a template's file.
type Problems = tree.Problems

// Read reads the file of a template: it gives either a template or problems, all of them at
// once. Nothing of the file is kept.
func Read(text []byte, file string) (*Template, Problems) {
	r := tree.Reader{Kind: tree.Template, File: file}
	root := r.Parse(text)
	if root == nil {
		return nil, r.Problems.InOrder()
	}
	r.CheckShape(root)
	t := Of(&r, root)
	if len(r.Problems) > 0 {
		return nil, r.Problems.InOrder()
	}
	return t, nil
}

// Of reads a template whose shape has been checked, and leaves with r what is wrong with it:
// it means nothing then.
func Of(r *tree.Reader, n *tree.Node) *Template {
	t := &Template{ID: n.Get("id").Text(), root: n, expressions: map[*tree.Node][]place{}}
	if n.Kind != yaml.MappingNode {
		return t
	}
	t.Name = r.Name(n.Get("name"), t.ID)
	if t.Text = canonical(n.Node); len(t.Text) > engine.MaxPlayBytes {
		r.Problem(n, "takes %d bytes, which are over %d", len(t.Text), engine.MaxPlayBytes)
	}
	if t.ID == engine.FlashPlay {
		r.Problem(n.Get("id"), "%q is what a listing without a play is; choose another id", t.ID)
	}
	b := builder{r, t, map[string]bool{}}
	if parameters := n.Get("parameters"); parameters != nil {
		for _, f := range parameters.Fields {
			b.parameter(f)
		}
	}
	for _, part := range []string{"price", "cut", "who", "words"} {
		b.references(n.Get(part), part)
	}
	b.Messages(n.Get("words"))
	b.kinds(n)
	for i := range t.Parameters {
		if p := &t.Parameters[i]; !b.used[p.Name] {
			r.Problem(n.Get("parameters").Get(p.Name), "nothing of the template uses it: write $%s where its value "+
				"belongs, or its name in an expression", p.Name)
		}
	}
	return t
}

// canonical gives a node's text in one form.
func canonical(n *yaml.Node) string {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(plain(n)); err != nil {
		return "" // of no node that was read
	}
	return b.String()
}

// plain gives a copy of a node without comments, and written in the usual style.
func plain(n *yaml.Node) *yaml.Node {
	p := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value}
	for _, below := range n.Content {
		p.Content = append(p.Content, plain(below))
	}
	return p
}

// builder reads one template.
type builder struct {
	*tree.Reader
	t    *Template
	used map[string]bool
}

func (b *builder) parameter(f tree.Field) {
	n := f.Value
	p := Parameter{Name: f.Name, Required: true, Says: b.Line(n.Get("says"))}
	at := slices.Index(typeNames[:], n.Get("type").Text())
	if at < 0 {
		return // the schema said so
	}
	p.Type = Type(at)
	p.min, p.max = b.bound(&p, n.Get("min")), b.bound(&p, n.Get("max"))
	if p.min != nil && p.max != nil && p.min.number > p.max.number {
		b.Problem(n.Get("min"), "no value is at least %s and at most %s", p.min.text, p.max.text)
		p.min, p.max = nil, nil
	}
	if unless := n.Get("default"); unless.Usable() {
		p.Required = false
		v, err := p.read(unless.Value)
		if err != nil {
			b.Problem(unless, "%v", err)
		}
		p.Default = v.text
	}
	for _, kind := range known {
		if slices.Contains(kind, p.Name) && !b.isFloor(p.Name) {
			b.Problem(n, "expressions ask about %s by this name already; call it something else", p.Name)
			break
		}
	}
	b.t.Parameters = append(b.t.Parameters, p)
}

// isFloor reports whether a parameter is the floor by another way: an expression that
// names it gets the same.
func (b *builder) isFloor(name string) bool {
	return name == "floor" && b.t.root.Get("price").Get("floor").Text() == "$floor"
}

func (b *builder) bound(p *Parameter, n *tree.Node) *value {
	if !n.Usable() {
		return nil
	}
	if p.Type == Boolean || p.Type == Text {
		b.Problem(n, "a %s has neither min nor max", p.Type)
		return nil
	}
	v, err := p.Type.read(n.Value)
	if err != nil {
		b.Problem(n, "%v", err)
		return nil
	}
	return &v
}

func (t *Template) parameter(name string) *Parameter {
	for i := range t.Parameters {
		if t.Parameters[i].Name == name {
			return &t.Parameters[i]
		}
	}
	return nil
}

// names gives the parameters' names.
func (t *Template) names() []string {
	names := make([]string, len(t.Parameters))
	for i := range names {
		names[i] = t.Parameters[i].Name
	}
	return names
}

var reference = regexp.MustCompile(`^\$[a-z][a-z0-9_]{0,31}$`)

// named gives the parameter whose value a node stands for; "" if it is no such node.
func named(n *tree.Node) string {
	if n.Usable() && reference.MatchString(n.Value) {
		return n.Value[1:]
	}
	return ""
}

// takes are the types of parameters that may stand for a key's value; any other is a text.
var takes = map[string][]Type{
	"floor": {Money}, "price": {Money}, "by": {Money},
	"sold": {Integer}, "friends": {Integer}, "per_day": {Integer}, "spread": {Percent, Integer},
	"every": {Duration}, "window": {Duration},
	"at_floor": {Boolean}, "first_of_day": {Boolean},
}

// formulas are the kinds of expressions, by their keys.
var formulas = map[string]engine.FormulaKind{
	"amount": engine.FormulaPrice, "when": engine.FormulaWho, "weight": engine.FormulaWeight,
}

// references checks what a part of the template asks of parameters.
func (b *builder) references(n *tree.Node, key string) {
	if n == nil {
		return
	}
	for _, f := range n.Fields {
		b.references(f.Value, f.Name)
	}
	for _, item := range n.Items {
		b.references(item, key)
	}
	if !n.Usable() {
		return
	}
	kind, expression := formulas[key]
	name := named(n)
	if name == "" {
		if expression {
			b.expression(n, kind)
		}
		return
	}
	p := b.t.parameter(name)
	if p == nil {
		b.unknown(n, name)
		return
	}
	b.used[name] = true
	types := takes[key]
	if types == nil {
		types = []Type{Text}
	}
	if !slices.Contains(types, p.Type) {
		b.Problem(n, "$%s is of type %s, and %s is of type %s", name, p.Type, key, types[0])
	}
}

func (b *builder) unknown(n *tree.Node, name string) {
	names := b.t.names()
	near := tree.Nearest(name, names)
	switch {
	case len(near) > 0:
		b.Problem(n, "there is no parameter %q; did you mean %s?", name, strings.Join(near, " or "))
	case len(names) > 0:
		b.Problem(n, "there is no parameter %q; there are %s", name, strings.Join(names, ", "))
	default:
		b.Problem(n, "there is no parameter %q; declare it under parameters", name)
	}
}

// expression compiles one that names parameters.
func (b *builder) expression(n *tree.Node, kind engine.FormulaKind) {
	c, err := check(kind, n.Value, b.t.Parameters)
	if err != nil {
		b.Problem(n, "%v", err)
		for i := range b.t.Parameters { // whatever is wrong, they are meant for something
			b.used[b.t.Parameters[i].Name] = true
		}
		return
	}
	at := c.places(kind)
	for _, p := range at {
		b.used[p.name] = true
	}
	b.t.expressions[n] = at
}

// kinds sees that the parts of a template go together.
func (b *builder) kinds(root *tree.Node) {
	price, cut := root.Get("price"), root.Get("cut")
	kind, usable := engine.ParsePriceKind(price.Get("kind").Text())
	if !usable {
		return // the schema said so
	}
	for _, part := range []struct {
		key string
		of  engine.PriceKind
	}{{"steps", engine.PriceSteps}, {"every", engine.PriceClock}, {"by", engine.PriceClock},
		{"amount", engine.PriceFormula}} {
		n := price.Get(part.key)
		switch {
		case n == nil && kind == part.of:
			b.Problem(price, "a price of kind %s says %s", kind, part.key)
		case n != nil && kind != part.of:
			b.Problem(n, "belongs to a price of kind %s; this one's is %s", part.of, kind)
		}
	}
	if steps := price.Get("steps"); steps != nil && steps.Kind == yaml.SequenceNode && len(steps.Items) == 0 {
		b.Problem(steps, "there is no step")
	}
	switch {
	case cut == nil && kind == engine.PriceCut:
		b.Problem(price, "a price of kind cut says under cut how friends cut it")
	case cut != nil && kind != engine.PriceCut:
		b.Problem(cut, "belongs to a price of kind cut; this one's is %s", kind)
	}
}

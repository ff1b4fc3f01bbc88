package play

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"doorbuster/engine"
	"doorbuster/httpapi/plan/tree"
)

// Listing is what a play is filled in for.
type Listing struct {
	Price  int64         // minor units
	Stock  int64         // units; 0 where it is not known
	Length time.Duration // of its session; 0 where it is not known
}

// Fault is why a play can't be filled in.
type Fault struct {
	Parameter string // whose value it is about; "" if it is about none, or about several
	Path      string // in the template, as price.floor; "" if it is about the parameter alone
	Message   string
}

// String gives the fault with its place in the template.
func (f Fault) String() string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

// Fill gives the play of a listing whose parameters have the given values, as they are
// written, or all that is wrong with it.
func (t *Template) Fill(given map[string]string, at Listing) (*engine.Play, []Fault) {
	f := filler{t: t, at: at, values: map[string]*value{}, from: map[string]string{}}
	if f.take(given); len(f.faults) > 0 {
		return nil, f.faults
	}
	p := f.play()
	if len(f.faults) == 0 {
		f.check(p)
	}
	if len(f.faults) > 0 {
		return nil, f.faults
	}
	return p, nil
}

// filler holds one Fill.
type filler struct {
	t        *Template
	at       Listing
	values   map[string]*value
	from     map[string]string // the parameters whose values stand at paths of the template
	literals map[string]string // the values, in expressions
	faults   []Fault
}

func (f *filler) fault(parameter, path, format string, args ...any) {
	f.faults = append(f.faults, Fault{parameter, path, fmt.Sprintf(format, args...)})
}

// take reads the values of the parameters.
func (f *filler) take(given map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if f.t.parameter(name) != nil {
			continue
		}
		names := f.t.names()
		said := "it has none"
		if near := tree.Nearest(name, names); len(near) > 0 {
			said = "did you mean " + strings.Join(near, " or ") + "?"
		} else if len(names) > 0 {
			said = "it has " + strings.Join(names, ", ")
		}
		f.fault(name, "", "%s has no parameter %q; %s", f.t.ID, tree.Clip(name), said)
	}
	for i := range f.t.Parameters {
		p := &f.t.Parameters[i]
		text, there := given[p.Name]
		switch {
		case !there && p.Required:
			said := p.Says
			if said == "" {
				said = p.Type.what()
			}
			f.fault("", "", "the parameter %s is missing: %s", p.Name, said)
			continue
		case !there:
			text = p.Default
		}
		v, err := p.read(text)
		if err != nil {
			f.fault(p.Name, "", "%v", err)
		}
		f.values[p.Name] = &v
	}
	f.literals = make(map[string]string, len(f.values))
	for name, v := range f.values {
		f.literals[name] = v.literal()
	}
}

// filled gives a part of the template with values in place of its parameters.
func (f *filler) filled(n *tree.Node, path string) *tree.Node {
	if n == nil {
		return nil
	}
	with := &tree.Node{Node: n.Node, Path: path}
	for _, field := range n.Fields {
		with.Fields = append(with.Fields, tree.Field{Name: field.Name, Key: field.Key,
			Value: f.filled(field.Value, path+"."+field.Name)})
	}
	for i, item := range n.Items {
		with.Items = append(with.Items, f.filled(item, fmt.Sprintf("%s[%d]", path, i)))
	}
	if name := named(n); name != "" {
		with.Node = f.values[name].node()
		f.from[path] = name
	} else if at := f.t.expressions[n]; len(at) > 0 {
		with.Node = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: filledIn(n.Value, at, f.literals),
			Style: yaml.DoubleQuotedStyle}
	}
	return with
}

// What holds unless a template says.
const (
	defaultSpread = 50 // far enough to be worth telling of, near enough to plan with
	defaultWindow = 24 * time.Hour
)

// play fills in the template's parts.
func (f *filler) play() *engine.Play {
	root := &tree.Node{Node: f.t.root.Node}
	r := tree.Reader{Kind: tree.Template}
	for _, field := range f.t.root.Fields {
		if field.Name == "parameters" {
			continue
		}
		root.Fields = append(root.Fields, tree.Field{Name: field.Name, Key: field.Key,
			Value: f.filled(field.Value, field.Name)})
	}
	r.CheckShape(root)
	price, cut, who := root.Get("price"), root.Get("cut"), root.Get("who")
	kind, _ := engine.ParsePriceKind(price.Get("kind").Text())
	p := &engine.Play{Name: f.t.ID, Parameters: f.parameters(), Words: r.Messages(root.Get("words"))}
	p.Price = engine.PriceRule{
		Kind:   kind,
		Floor:  r.Integer(price.Get("floor"), 0),
		Every:  r.Duration(price.Get("every"), 0, time.Second, engine.MaxSessionLength),
		By:     r.Integer(price.Get("by"), 0),
		Amount: price.Get("amount").Text(),
	}
	for _, step := range price.List("steps") {
		p.Price.Steps = append(p.Price.Steps, engine.PriceStep{Sold: r.Integer(step.Get("sold"), 0),
			Price: r.Integer(step.Get("price"), 0)})
	}
	if cut != nil {
		p.Cut = engine.CutRule{
			Friends:   uint32(r.Integer(cut.Get("friends"), 0)),
			Spread:    uint32(r.Integer(cut.Get("spread"), defaultSpread)),
			Weight:    cut.Get("weight").Text(),
			PerDay:    uint32(r.Integer(cut.Get("per_day"), 0)),
			Window:    r.Duration(cut.Get("window"), defaultWindow, time.Second, engine.MaxSessionLength),
			AtFloor:   tree.Truth(cut.Get("at_floor"), false),
			TakeStock: cut.Get("stock").Text() == "start",
		}
	}
	p.Who = engine.WhoRule{FirstOfDay: tree.Truth(who.Get("first_of_day"), false), When: who.Get("when").Text()}
	p.Who.MaxRisk, _ = engine.ParseLevel(who.Get("max_risk").Text())
	for _, problem := range r.Problems.InOrder() {
		f.fault(f.from[problem.Path], problem.Path, "%s", problem.Message)
	}
	return p
}

// parameters gives all values, by name, as JSON.
func (f *filler) parameters() string {
	all := make(map[string]any, len(f.values))
	for name, v := range f.values {
		all[name] = v.json()
	}
	text, err := json.Marshal(all)
	if err != nil {
		f.fault("", "", "%v", err)
	}
	if len(text) > engine.MaxTextBytes {
		f.fault("", "", "its parameters take %d bytes, which are over %d", len(text), engine.MaxTextBytes)
	}
	return string(text)
}

// check holds a play against its listing.
func (f *filler) check(p *engine.Play) {
	floor := p.Price.Floor
	if floor > f.at.Price {
		f.fault(f.from["price.floor"], "price.floor", "%d is over the listing's price, %d", floor, f.at.Price)
		return
	}
	switch p.Price.Kind {
	case engine.PriceSteps:
		f.steps(p)
	case engine.PriceClock:
		if most := f.at.Price - floor; p.Price.By > most {
			f.fault(f.from["price.by"], "price.by",
				"%d is more than there is between the listing's price, %d, and the "+
					"floor, %d", p.Price.By, f.at.Price, floor)
		}
	case engine.PriceCut:
		f.cut(p)
	}
	s := sampler{filler: f, play: p}
	s.price()
	s.who()
	s.weight()
}

func (f *filler) steps(p *engine.Play) {
	before := engine.PriceStep{Price: f.at.Price}
	for i, step := range p.Price.Steps {
		sold, price := fmt.Sprintf("price.steps[%d].sold", i), fmt.Sprintf("price.steps[%d].price", i)
		switch {
		case step.Sold <= before.Sold:
			f.fault(f.from[sold], sold, "%d is not over the %d before it", step.Sold, before.Sold)
		case f.at.Stock > 0 && step.Sold >= f.at.Stock:
			f.fault(f.from[sold], sold, "%d are never sold with one left: the stock is %d", step.Sold, f.at.Stock)
		}
		switch {
		case step.Price >= before.Price:
			f.fault(f.from[price], price, "%d is not under the %d before it", step.Price, before.Price)
		case step.Price < p.Price.Floor:
			f.fault(f.from[price], price, "%d is under the floor, %d", step.Price, p.Price.Floor)
		}
		before = step
	}
}

// meanWithin is how far, in percent, the mean number of friends may be from the plan.
const meanWithin = 5

func (f *filler) cut(p *engine.Play) {
	friends, total := int64(p.Cut.Friends), f.at.Price-p.Price.Floor
	at := f.from["cut.friends"]
	if total < engine.LeastCut*friends {
		f.fault(at, "cut.friends", "%d friends share what is between the listing's price, %d, and the floor, %d: "+
			"there must be %d minor units for each", friends, f.at.Price, p.Price.Floor, engine.LeastCut)
		return
	}
	if mean := meanFriends(&p.Cut, total); math.Abs(mean/float64(friends)-1)*100 > meanWithin {
		f.fault(at, "cut.friends", "the floor is reached by %.1f friends on average, over %d%% from the %d "+
			"planned: take a smaller spread, or another number of friends", mean, meanWithin, friends)
	}
}

package play

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"doorbuster/engine"
)

// shared keeps what Fill compiles: listings of one template differ in little.
var shared = sync.OnceValue(NewFormulas)

// maxSamples bounds how often an expression is evaluated to check it: tens of milliseconds.
const maxSamples = 20_000

// usualLength stands for the length of a session that is not known.
const usualLength = 24 * time.Hour

// sampler evaluates a play's expressions for many inputs.
type sampler struct {
	*filler
	play *engine.Play
}

// dimension is what a variable may be.
type dimension struct {
	name   string
	values []int64
	set    func(in *engine.FormulaInput, v int64)
}

// dimensions gives those of the variables that an expression asks about.
func (s *sampler) dimensions(p *program) []dimension {
	length, stock, friends := s.at.Length, s.at.Stock, int64(s.play.Cut.Friends)
	if length <= 0 {
		length = usualLength
	}
	if stock <= 0 {
		stock = engine.MaxStock
	}
	seconds := int64(length / time.Second)
	all := []dimension{
		{"sold", p.near(0, stock-1, stock/4, stock/2, stock-2),
			func(in *engine.FormulaInput, v int64) { in.Sold = v }},
		{"elapsed", p.near(0, seconds, 60, 600, 3600, seconds/4, seconds/2, seconds-1),
			func(in *engine.FormulaInput, v int64) { in.Elapsed = v }},
		{"cuts", p.near(0, engine.MaxBargainCuts-1, friends/2, friends-1, friends, 2*friends),
			func(in *engine.FormulaInput, v int64) { in.Cuts = v }},
		{"helps_today", p.near(0, engine.MaxBargainCuts, 2, int64(s.play.Cut.PerDay)-1),
			func(in *engine.FormulaInput, v int64) { in.HelpsToday = v }},
		{"quantity", p.near(1, 100), func(in *engine.FormulaInput, v int64) { in.Quantity = v }},
		{"risk", []int64{0, 1, 2, 3}, func(in *engine.FormulaInput, v int64) { in.Risk = v }},
		{"first_today", []int64{0, 1}, func(in *engine.FormulaInput, v int64) { in.FirstToday = v == 1 }},
		{"new_friend", []int64{0, 1}, func(in *engine.FormulaInput, v int64) { in.NewFriend = v == 1 }},
	}
	asked := slices.DeleteFunc(all, func(d dimension) bool { return !slices.Contains(p.asks, d.name) })
	for samples(asked) > maxSamples { // thin out where there are most
		widest := 0
		for i := range asked {
			if len(asked[i].values) > len(asked[widest].values) {
				widest = i
			}
		}
		values := asked[widest].values
		last := values[len(values)-1]
		kept := values[:0]
		for i := 0; i < len(values)-1; i += 2 {
			kept = append(kept, values[i])
		}
		asked[widest].values = append(kept, last)
	}
	return asked
}

func samples(of []dimension) int {
	n := 1
	for i := range of {
		n *= len(of[i].values)
	}
	return n
}

// near gives numbers from least to most, ascending: these two and their neighbours, more
// that are worth a try, and what lies about the numbers in the expression, where it may turn.
func (p *program) near(least, most int64, more ...int64) []int64 {
	values := append([]int64{least, least + 1, most}, more...)
	for _, n := range p.literals {
		values = append(values, n-1, n, n+1)
	}
	values = slices.DeleteFunc(values, func(v int64) bool { return v < least || v > most })
	slices.Sort(values)
	return slices.Compact(values)
}

// each calls do with an input for every combination of values, until it returns false.
func (s *sampler) each(of []dimension, do func(in *engine.FormulaInput) bool) {
	in := engine.FormulaInput{Start: s.at.Price, Floor: s.play.Price.Floor, Stock: s.at.Stock, Quantity: 1}
	if in.Stock <= 0 {
		in.Stock = engine.MaxStock
	}
	var walk func(i int) bool
	walk = func(i int) bool {
		if i == len(of) {
			return do(&in)
		}
		for _, v := range of[i].values {
			if of[i].set(&in, v); !walk(i + 1) {
				return false
			}
		}
		return true
	}
	walk(0)
}

// with says for what input something is so.
func with(p *program, in *engine.FormulaInput) string {
	var b strings.Builder
	for _, v := range variables {
		if slices.Contains(p.asks, v.name) {
			fmt.Fprintf(&b, ", %s = %v", v.name, v.of(in))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "with " + b.String()[2:] + ", "
}

// expression compiles one of the play's; nil if there is none, or if it is wrong.
func (s *sampler) expression(kind engine.FormulaKind, text, path string) *program {
	if text == "" {
		return nil
	}
	p := shared().compiled(kind, text)
	if p.err != nil {
		s.fault(s.from[path], path, "%v", p.err)
		return nil
	}
	return p
}

// price sees that a formula's price lies between floor and start, and never rises with
// units sold or time: no order is dearer than what was shown before it.
func (s *sampler) price() {
	const path = "price.amount"
	text := s.play.Price.Amount
	p := s.expression(engine.FormulaPrice, text, path)
	if p == nil {
		return
	}
	of := s.dimensions(p)
	falls := func(name string) {
		at := slices.IndexFunc(of, func(d dimension) bool { return d.name == name })
		if at < 0 {
			return
		}
		s.each(slices.Concat(of[:at], of[at+1:]), func(in *engine.FormulaInput) bool {
			before := s.at.Price
			for _, v := range of[at].values {
				of[at].set(in, v)
				price, _ := shared().Number(engine.FormulaPrice, text, in) // no error, as it was seen above
				if price > before {
					s.fault(s.from[path], path, "%sthe price is %d, over the %d before it: it may not rise with %s",
						with(p, in), price, before, name)
					return false
				}
				before = price
			}
			return true
		})
	}
	right := true
	s.each(of, func(in *engine.FormulaInput) bool {
		price, err := shared().Number(engine.FormulaPrice, text, in)
		switch {
		case err != nil:
			s.fault(s.from[path], path, "%s%v", with(p, in), err)
		case price < s.play.Price.Floor || price > s.at.Price:
			s.fault(s.from[path], path,
				"%sthe price is %d, which is not between the floor, %d, and the listing's price, %d",
				with(p, in), price, s.play.Price.Floor, s.at.Price)
		default:
			return true
		}
		right = false
		return false
	})
	if right {
		falls("sold")
		falls("elapsed")
	}
}

func (s *sampler) who() {
	const path = "who.when"
	p := s.expression(engine.FormulaWho, s.play.Who.When, path)
	if p == nil {
		return
	}
	somebody := false
	s.each(s.dimensions(p), func(in *engine.FormulaInput) bool {
		may, err := shared().Truth(s.play.Who.When, in)
		if err != nil {
			s.fault(s.from[path], path, "%s%v", with(p, in), err)
			somebody = true
			return false
		}
		somebody = somebody || may
		return true
	})
	if !somebody {
		s.fault(s.from[path], path, "is true of nobody")
	}
}

func (s *sampler) weight() {
	const path = "cut.weight"
	p := s.expression(engine.FormulaWeight, s.play.Cut.Weight, path)
	if p == nil {
		return
	}
	s.each(s.dimensions(p), func(in *engine.FormulaInput) bool {
		switch weight, err := shared().Number(engine.FormulaWeight, s.play.Cut.Weight, in); {
		case err != nil:
			s.fault(s.from[path], path, "%s%v", with(p, in), err)
		case weight < 1 || weight > engine.MaxWeight:
			s.fault(s.from[path], path, "%sthe weight is %d, which is not between 1 and %d", with(p, in), weight,
				engine.MaxWeight)
		default:
			return true
		}
		return false
	})
}

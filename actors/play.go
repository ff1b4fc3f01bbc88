package actors

import (
	"time"

	"doorbuster/engine"
)

// SetFormulas gives the group what evaluates plays' expressions. Call it before grabs come
// in; without it none can be evaluated, and who needs one is refused.
func (g *Group) SetFormulas(f engine.Formulas) { g.formulas = f }

// laterElsewhere is how much later a node that does not lead shows that a price has fallen:
// its clock may be ahead of the leader's, and nobody is to pay more than they were shown.
const laterElsewhere = 500 * time.Millisecond

// open is for how long a listing has been open, as this node may tell.
func (g *Group) open(f *facts) time.Duration {
	if f.opened == 0 {
		return 0
	}
	at := g.clock.read()
	if !g.leads.Load() {
		at = at.Add(-laterElsewhere)
	}
	return max(at.Sub(f.opened), 0)
}

// falls counts how often a price that moves with time has moved.
func (g *Group) falls(f *facts) uint64 {
	every := time.Second
	if f.play.Price.Kind == engine.PriceClock {
		every = f.play.Price.Every
	}
	return uint64(g.open(f) / every)
}

// price is what a unit costs now, as anybody is shown it. Nobody who grabs after a look pays
// more: their grab is applied at a later time.
func (g *Group) price(gate *gate, f *facts) int64 {
	if f.play.Price.Kind == engine.PriceFormula && g.formulas != nil {
		in := g.input(gate, f, 1)
		in.FirstToday = true
		if price, err := g.formulas.Number(engine.FormulaPrice, f.play.Price.Amount, &in); err == nil {
			return min(max(price, f.play.Price.Floor), in.Start)
		}
	}
	return f.play.PriceAt(f.rules.listing.Price, gate.sold.Load(), g.open(f))
}

// input is what expressions may ask about a listing.
func (g *Group) input(gate *gate, f *facts, quantity uint32) engine.FormulaInput {
	return engine.FormulaInput{Start: f.rules.listing.Price, Floor: f.play.Price.Floor, Stock: gate.stock.Load(),
		Sold: gate.sold.Load(), Elapsed: int64(g.open(f) / time.Second), Quantity: int64(quantity)}
}

// byPlay asks a play's expressions about a grab, on the node that leads: whether the
// shopper may buy, and what a unit costs them. What comes of it goes into the log.
func (g *Group) byPlay(gate *gate, s *slot) engine.Reason {
	f := gate.facts.Load()
	p := f.play
	if p == nil || p.Price.Kind != engine.PriceFormula && p.Who.When == "" {
		return engine.ReasonNone
	}
	if g.formulas == nil {
		return engine.ReasonPlay
	}
	in := g.input(gate, f, s.quantity)
	g.view.View(func(state *engine.State) {
		st := state.StandingOf(state.ShopperNo(string(s.shopper)), s.shopper, state.Listing(gate.handle), s.key)
		in.FirstToday, in.Risk = st.Today.IsZero(), int64(st.Risk)
	})
	if p.Who.When != "" {
		if may, err := g.formulas.Truth(p.Who.When, &in); err != nil || !may {
			return engine.ReasonPlay
		}
	}
	if p.Price.Kind == engine.PriceFormula {
		price, err := g.formulas.Number(engine.FormulaPrice, p.Price.Amount, &in)
		if err != nil {
			return engine.ReasonPlay
		}
		s.price, s.priced = price, true
	}
	return engine.ReasonNone
}

// Weigh gives the weight of a friend's cut, in percent, by a play's expression.
func (g *Group) Weigh(p *engine.Play, in *engine.FormulaInput) (uint32, error) {
	if p.Cut.Weight == "" {
		return 100, nil
	}
	if g.formulas == nil {
		return 0, &engine.Refusal{Reason: engine.ReasonPlay}
	}
	weight, err := g.formulas.Number(engine.FormulaWeight, p.Cut.Weight, in)
	if err != nil || weight < 1 || weight > engine.MaxWeight {
		return 0, &engine.Refusal{Reason: engine.ReasonPlay}
	}
	return uint32(weight), nil
}

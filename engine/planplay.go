package engine

import (
	"fmt"
	"slices"
	"time"
)

// templates checks a plan's templates of plays, and compares them with what is there.
func (d *planDiff) templates(p *Plan) {
	seen, there := map[string]bool{}, len(d.state.plays)
	for _, t := range p.Plays {
		path := "plays[" + t.ID + "]"
		d.valid(seen, path, t.ID, "the id is there twice")
		d.fits(path, t.Text, MaxPlayBytes)
		d.versions[t.ID] = 1
		if old := d.state.plays[t.ID]; old == nil {
			there++
			compare(d, path, "", "new")
		} else if d.versions[t.ID] = old.Version; old.Text != t.Text {
			d.versions[t.ID]++
			compare(d, path, fmt.Sprintf("version %d", old.Version), fmt.Sprintf("version %d", old.Version+1))
		}
	}
	if there > MaxPlays {
		d.problem("plays", "%d templates are over %d", there, MaxPlays)
	}
}

// version is a template's once the plan is applied; 0 of one that there is not.
func (d *planDiff) version(id string) uint32 {
	if v := d.versions[id]; v != 0 {
		return v
	}
	if t := d.state.plays[id]; t != nil {
		return t.Version
	}
	return 0
}

// named gives a play with the version that it will have.
func (d *planDiff) named(p *Play) *Play {
	if p == nil {
		return nil
	}
	named := *p
	named.Version = d.version(p.Name)
	return &named
}

// play checks the play that a listing will have.
func (d *planDiff) play(path string, l *ListingSpec, p *Play) {
	if p == nil {
		return
	}
	if d.version(p.Name) == 0 {
		d.problem(path+".kind", "no play %q, in the plan or before it", clip(p.Name))
	}
	d.fits(path, p.Parameters, MaxTextBytes)
	d.between(path+".price.floor", p.Price.Floor, 0, l.Price)
	for _, formula := range [...]string{p.Price.Amount, p.Cut.Weight, p.Who.When} {
		d.fits(path, formula, MaxFormulaBytes)
	}
	if p.Who.MaxRisk >= levelEnd {
		d.problem(path+".who.max_risk", "is not a level")
	}
	for i, m := range p.Words {
		if !ValidID(m.Name) || i > 0 && p.Words[i-1].Name >= m.Name {
			d.problem(path+".words."+m.Name, "is no name of a message, or there twice")
		}
		d.spoken(path+".words."+m.Name, m.Text)
	}
	switch p.Price.Kind {
	case PriceSteps:
		d.priceSteps(path+".price.steps", l, p)
	case PriceClock:
		d.lasts(path+".price.every", p.Price.Every, time.Second, MaxSessionLength)
		d.between(path+".price.by", p.Price.By, 1, l.Price)
	case PriceFormula:
		if p.Price.Amount == "" {
			d.problem(path+".price.amount", "there is no expression that gives the price")
		}
	case PriceCut:
		d.cutRule(path+".cut", l, p)
	}
	if p.Cuts() && l.Draw > 0 {
		d.problem(path, "a listing whose price friends cut has no draw: take out draw, or the play")
	}
}

// speaks counts a play by which shoppers are told something else than by the one before.
func (d *planDiff) speaks(old, p *Play) {
	if !slices.EqualFunc(old.words(), p.words(), sameMessage) {
		d.size.words++
	}
}

func (p *Play) words() []Message {
	if p == nil {
		return nil
	}
	return p.Words
}

func sameMessage(a, b Message) bool { return a.Name == b.Name && slices.Equal(a.Text, b.Text) }

func (d *planDiff) priceSteps(path string, l *ListingSpec, p *Play) {
	steps := p.Price.Steps
	if len(steps) == 0 || len(steps) > MaxPriceSteps {
		d.problem(path, "%d steps are not between 1 and %d", len(steps), MaxPriceSteps)
	}
	before := PriceStep{0, l.Price}
	for i, step := range steps {
		at := fmt.Sprintf("%s[%d]", path, i)
		if step.Sold <= before.Sold {
			d.problem(at+".sold", "%d is not over the %d before it", step.Sold, before.Sold)
		}
		if step.Price >= before.Price || step.Price < p.Price.Floor {
			d.problem(at+".price", "%d is not under the %d before it, and at least the floor %d", step.Price,
				before.Price, p.Price.Floor)
		}
		before = step
	}
}

func (d *planDiff) cutRule(path string, l *ListingSpec, p *Play) {
	r, total := &p.Cut, l.Price-p.Price.Floor
	d.between(path+".friends", int64(r.Friends), 1, MaxFriends)
	d.between(path+".spread", int64(r.Spread), 0, MaxSpread)
	d.atMost(path+".per_day", r.PerDay, MaxBargainCuts)
	d.lasts(path+".window", r.Window, time.Second, MaxSessionLength)
	if total < LeastCut*int64(r.Friends) {
		d.problem(path+".friends", "%d friends share a cut of %d: there must be %d minor units for each", r.Friends,
			total, LeastCut)
	}
}

// otherPlay compares a listing's play with the one it has.
func (d *planDiff) otherPlay(path string, x *Session, old *Listing, p *Play) {
	if x.keeps(old.Play, p) {
		return
	}
	if x.State >= Open {
		d.problem(path, "the session has opened; its play stays %s", old.Play)
	}
	compare(d, path, old.Play.String(), d.named(p).String())
}

// keeps reports whether a listing keeps its play where a plan says p: what is published
// keeps its version.
func (x *Session) keeps(old, p *Play) bool {
	return old.Same(p) && (x.State >= Published || old.equal(p))
}

// playOf gives the play that a listing has once a plan says p.
func (s *State) playOf(x *Session, old *Play, p *Play) *Play {
	switch {
	case p == nil:
		return nil
	case x.keeps(old, p):
		return old
	}
	kept := *p
	kept.Version = s.plays[p.Name].Version
	return &kept
}

// keepTemplates makes a plan's templates those that there are.
func (s *State) keepTemplates(p *Plan) {
	for _, t := range p.Plays {
		switch old := s.plays[t.ID]; {
		case old == nil:
			s.plays[t.ID] = &PlayVersion{PlayTemplate: t, Version: 1, Since: s.now}
		case old.Text != t.Text:
			s.plays[t.ID] = &PlayVersion{PlayTemplate: t, Version: old.Version + 1, Since: s.now}
		}
	}
}

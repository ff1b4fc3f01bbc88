package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// FlashPlay is the name of what a listing without a play is. No template has it.
const FlashPlay = "flash"

// Play says by which rules a listing sells beyond those that all listings have: a
// template's parts, with its parameters filled in. A listing without one is a flash sale
// at its price. A play that has been applied never changes in place.
type Play struct {
	Name       string // of the template
	Version    uint32 // of the template, from 1; Apply fills it in
	Parameters string // as JSON, in the order of their names: the same words mean the same play
	Price      PriceRule
	Cut        CutRule // of PriceCut
	Who        WhoRule
	Words      []Message // that shoppers are told in place of the sale's, sorted by name
}

// PriceKind says what a price follows.
type PriceKind uint8

// Kinds of prices.
const (
	PriceFixed   PriceKind = iota // the listing's
	PriceSteps                    // falls as units sell: each pays the step at which they were granted
	PriceClock                    // falls with time since the opening
	PriceFormula                  // an expression says it, evaluated by the leader
	PriceCut                      // friends cut it down
	priceKindEnd
)

var priceKinds = [...]string{"fixed", "steps", "clock", "formula", "cut"}

func (k *PriceKind) fields(c *coder) { oneOf(c, k, priceKindEnd, "an unknown kind of price") }

func (k PriceKind) String() string { return nameOf(priceKinds[:], int(k)) }

// ParsePriceKind reads the name of a kind of price.
func ParsePriceKind(name string) (PriceKind, bool) { return parse[PriceKind](priceKinds[:], name) }

// PriceRule is what a unit costs. No price is under Floor or over the listing's.
type PriceRule struct {
	Kind   PriceKind
	Floor  int64         // minor units
	Steps  []PriceStep   // PriceSteps: ascending by Sold, falling by Price
	Every  time.Duration // PriceClock: so long after the opening, and again, it falls
	By     int64         // PriceClock: by so much
	Amount string        // PriceFormula: gives minor units
}

// PriceStep is what a unit costs once so many have been sold.
type PriceStep struct {
	Sold  int64
	Price int64
}

// CutRule is how friends cut a price down from the listing's to the floor.
type CutRule struct {
	Friends   uint32        // by about how many the floor is reached
	Spread    uint32        // percent: a cut lies within the mean one plus or minus so much
	Weight    string        // an expression that gives a cut's weight in percent; "" = 100
	PerDay    uint32        // cuts that a friend may make a day in the session; 0 = any number
	Window    time.Duration // how long a bargain is open, at most until the session's end
	AtFloor   bool          // bought only once the floor is reached
	TakeStock bool          // a unit is set aside from the start on
}

// WhoRule is who may buy, beyond what the listing says.
type WhoRule struct {
	FirstOfDay bool   // nobody who has bought or holds anything of the sale since midnight there
	MaxRisk    Level  // nobody of a higher level; LevelNone = no such rule
	When       string // an expression that must be true of the shopper; "" = everybody
}

// Bounds of plays.
const (
	MaxPlays        = 1000     // templates
	MaxPlayBytes    = 16 << 10 // of a template's text
	MaxPriceSteps   = 100
	MaxFriends      = 1000       // planned
	MaxBargainCuts  = 4000       // of one bargain
	MaxBargains     = 5_000_000  // of a session
	MaxCuts         = 50_000_000 // of a session
	MaxSpread       = 90
	MaxWeight       = 1000
	MaxFormulaBytes = 1024
	LeastCut        = 10 // minor units for each planned friend: fewer can't be spread
)

// PlayTemplate is a play whose parameters have no values yet. The state keeps its text
// and numbers its versions; what it means is for those who fill it in.
type PlayTemplate struct {
	ID   string
	Text string // YAML, at most MaxPlayBytes
}

func (t *PlayTemplate) fields(c *coder) {
	c.string(&t.ID)
	c.text(&t.Text, MaxPlayBytes)
}

// PlayVersion is a template as the state has it.
type PlayVersion struct {
	PlayTemplate
	Version uint32 // from 1
	Since   Time
}

func (p *PlayVersion) fields(c *coder) { c.all(&p.PlayTemplate, &p.Version, &p.Since) }

// Same reports whether two plays are the same filled-in template, whatever its version.
func (p *Play) Same(q *Play) bool {
	if p == nil || q == nil {
		return p == q
	}
	return p.Name == q.Name && p.Parameters == q.Parameters
}

// equal reports whether two plays say the same rules.
func (p *Play) equal(q *Play) bool {
	if p == nil || q == nil {
		return p == q
	}
	a, b := *p, *q
	a.Version, b.Version = 0, 0
	return slices.Equal(written(&a), written(&b))
}

// String gives the play's name, version and parameters.
func (p *Play) String() string {
	if p == nil {
		return FlashPlay
	}
	return strings.TrimSpace(fmt.Sprintf("%s version %d %s", p.Name, p.Version, p.Parameters))
}

// Cuts reports whether friends cut the price.
func (p *Play) Cuts() bool { return p != nil && p.Price.Kind == PriceCut }

// Moves reports whether the price may change with time alone.
func (p *Play) Moves() bool {
	return p != nil && (p.Price.Kind == PriceClock || p.Price.Kind == PriceFormula)
}

// PriceAt is what a unit costs of a listing at a start price, when the most that were
// ever sold of it is sold, so long after the opening: never less than the floor, nor more
// than the start. It is the start where a formula says the price, or friends cut it.
func (p *Play) PriceAt(start, sold int64, open time.Duration) int64 {
	if p == nil {
		return start
	}
	price := start
	switch p.Price.Kind {
	case PriceSteps:
		for _, step := range p.Price.Steps {
			if sold >= step.Sold {
				price = step.Price
			}
		}
	case PriceClock:
		falls := int64(max(open, 0) / max(p.Price.Every, time.Millisecond))
		if most := (start - p.Price.Floor) / max(p.Price.By, 1); falls > most {
			return p.Price.Floor
		}
		price -= falls * p.Price.By
	}
	return min(max(price, p.Price.Floor), start)
}

// FormulaKind says what an expression of a play gives.
type FormulaKind uint8

// Kinds of expressions.
const (
	FormulaPrice  FormulaKind = iota // minor units, of PriceRule.Amount
	FormulaWho                       // a truth value, of WhoRule.When
	FormulaWeight                    // percent, of CutRule.Weight
)

// FormulaInput is what an expression may ask about, by these names in lower case with
// underscores.
type FormulaInput struct {
	Start, Floor int64 // minor units
	Stock, Sold  int64 // units: put up; the most ever sold
	Elapsed      int64 // seconds since the opening; of a cut, since its bargain's start
	Quantity     int64
	FirstToday   bool  // the shopper has bought nothing of the sale since midnight there
	Risk         int64 // the shopper's level by the list: 0 none, 1 watch, 2 challenge, 3 block
	NewFriend    bool  // of a cut: who makes it has never done anything here
	Cuts         int64 // of a cut: how many there were
	HelpsToday   int64 // of a cut: how many its friend has made today in the session
}

// Formulas evaluates plays' expressions, for leaders: what comes of it is in the log,
// and Apply evaluates nothing. Safe for concurrent use. An error says what is wrong with
// the expression for this input.
type Formulas interface {
	Number(kind FormulaKind, text string, in *FormulaInput) (int64, error)
	Truth(text string, in *FormulaInput) (bool, error)
}

// mayPlay decides whether a listing's play, or a bargain, allows a grab that all other
// rules allow.
func (s *State) mayPlay(c *Command, l *Listing, no ShopperNo) Reason {
	if !c.Bargain.IsZero() {
		return s.MayBuy(no, l, c.Bargain, c.Quantity)
	}
	p := l.Play
	if p.Price.Kind == PriceFormula && !(c.Priced && c.Price >= p.Price.Floor && c.Price <= l.Price) {
		return ReasonPlay
	}
	return ReasonNone
}

// unitPrice is what a unit costs that a grab asks for, of a listing with a play.
func (s *State) unitPrice(c *Command, l *Listing) int64 {
	switch {
	case !c.Bargain.IsZero():
		return s.Bargain(c.Bargain).Price
	case l.Play.Price.Kind == PriceFormula:
		return c.Price
	}
	return s.PriceNow(l)
}

// PriceNow is what a unit of a listing costs, where no expression says that and no friend
// has cut it.
func (s *State) PriceNow(l *Listing) int64 {
	x := s.sessions[l.Session-1]
	if x.OpenedAt == 0 {
		return l.Play.PriceAt(l.Price, l.Sold, 0)
	}
	return l.Play.PriceAt(l.Price, l.Sold, s.now.Sub(x.OpenedAt))
}

// playHold makes an order whose price depends on when it is granted cost that, or less if
// less was shown when it joined the waitlist, and counts what is sold.
func (s *State) playHold(l *Listing, o *Order) {
	if kind := l.Play.Price.Kind; kind == PriceSteps || kind == PriceClock {
		o.Amount = min(o.Amount, s.PriceNow(l)*int64(o.Quantity))
	}
	l.sell(o.Quantity)
}

// sell counts so many units more among the most that were ever sold.
func (l *Listing) sell(units uint32) {
	if l.Play != nil {
		l.Sold = max(l.Sold, l.Held+l.Paid+int64(units))
	}
}

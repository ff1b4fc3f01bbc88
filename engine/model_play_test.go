package engine

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// modelTemplate is a template of plays, and how often it has been changed.
type modelTemplate struct {
	text    string
	version uint32
}

type modelBargain struct {
	ref              BargainRef
	owner            string
	listing          *modelListing
	from, floor      int64
	started, expires Time
	ended            bool
	aside            bool // a unit is set aside for it
	cuts             []modelCut
}

type modelCut struct {
	friend string
	key    [8]byte
	at     Time
	amount int64
	weight uint32
	new    bool
}

// bargain gives a bargain of a session of which something may change.
func (m *model) bargain(ref BargainRef) *modelBargain {
	for _, b := range m.bargains {
		if b.ref == ref && b.listing.session.state != Settled {
			return b
		}
	}
	return nil
}

func (b *modelBargain) price() int64 {
	price := b.from
	for _, c := range b.cuts {
		price -= c.amount
	}
	return price
}

func (b *modelBargain) cutBy(friend string) (number int) {
	return slices.IndexFunc(b.cuts, func(c modelCut) bool { return c.friend == friend }) + 1
}

// bought reports whether a unit is had by a bargain, or waited for.
func (m *model) bought(b *modelBargain) bool {
	return slices.ContainsFunc(m.orders, func(o *modelOrder) bool {
		return o.bargain == b && (o.live() || o.state == Waiting)
	})
}

func (m *model) bargainState(b *modelBargain) BargainState {
	switch {
	case m.bought(b):
		return BargainBought
	case b.ended:
		return BargainEnded
	case b.listing.session.state != Open || b.expires <= m.now:
		return BargainExpired
	}
	return BargainOpen
}

// aside counts the units of a listing that are set aside for bargains.
func (m *model) asideOf(l *modelListing) (units int64) {
	for _, b := range m.bargains {
		if b.listing == l && b.aside {
			units++
		}
	}
	return units
}

// midnight is when the day began, by a clock that shows it at modelMidnight, or by UTC
// where no plan has told of that clock.
func (m *model) midnight() Time {
	const day = 24 * 3600 * 1000
	if !m.clocks {
		return m.now - m.now%day
	}
	return m.now - (m.now-modelMidnight+1000*day)%day
}

// helps counts the cuts that a friend has made in a session today.
func (m *model) helps(friend string, x *modelSession) (n uint32) {
	for _, b := range m.bargains {
		for _, c := range b.cuts {
			if b.listing.session == x && c.friend == friend && c.at >= m.midnight() {
				n++
			}
		}
	}
	return n
}

// today gives the newest order that a shopper has had since midnight and still has.
func (m *model) today(shopper string) (newest OrderRef) {
	for _, o := range m.orders {
		if o.shopper == shopper && o.live() && o.granted >= m.midnight() && !o.gone {
			newest = o.ref
		}
	}
	return newest
}

// priceNow is what a unit costs that nobody has cut the price of.
func (m *model) priceNow(l *modelListing) int64 {
	p, price := l.spec.Play, l.spec.Price
	if p == nil {
		return price
	}
	for _, step := range p.Price.Steps {
		if l.sold >= step.Sold {
			price = step.Price
		}
	}
	if p.Price.Kind == PriceClock && l.session.opened != 0 {
		at := l.session.opened
		for at = at.Add(p.Price.Every); at <= m.now && price > p.Price.Floor; at = at.Add(p.Price.Every) {
			price -= p.Price.By
		}
	}
	return min(max(price, p.Price.Floor), l.spec.Price)
}

// sell notes how much was sold of a listing at once.
func (m *model) sell(l *modelListing) {
	if c := m.counts(l); l.spec.Play != nil {
		l.sold = max(l.sold, c.Held+c.Paid)
	}
}

func (m *model) toldOf(kind EventKind, why Reason, b *modelBargain) Event {
	return Event{Kind: kind, Reason: why, Session: b.ref.Session, Listing: b.listing.handle, Bargain: b.ref.Ordinal,
		Shopper: m.shopper(b.owner), Amount: b.price(), Quantity: uint32(len(b.cuts))}
}

// expireBargain gives back what is set aside for a bargain that is over.
func (m *model) expireBargain(b *modelBargain) {
	m.giveBack(b)
	e := m.toldOf(BargainWasOver, ReasonExpired, b)
	e.Command = -1
	m.derived = append(m.derived, e)
}

// back is when what is set aside for a bargain comes back.
func (b *modelBargain) back() Time {
	if x := b.listing.session; x.state >= Ended {
		return min(b.expires, x.endedAt)
	}
	return b.expires
}

// firstAside gives the bargain of a session whose unit comes back first, or nil.
func (m *model) firstAside(x *modelSession) (first *modelBargain) {
	for _, b := range m.bargains {
		if b.aside && b.listing.session == x && (first == nil || b.back() < first.back()) {
			first = b
		}
	}
	return first
}

func (m *model) giveBack(b *modelBargain) {
	if b.aside {
		b.aside = false
		b.listing.released++
		m.cameBack(b.listing)
	}
}

func (m *model) startBargain(c *Command) Event {
	l, who := m.listing(c.Listing), string(c.Shopper)
	if l == nil || l.spec.Play == nil || l.spec.Play.Price.Kind != PriceCut {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	for _, b := range m.bargains {
		if b.owner == who && b.listing == l && m.bargain(b.ref) != nil {
			return m.toldOf(BargainConfirmed, ReasonNone, b)
		}
	}
	no := Event{Kind: CommandRefused, Session: l.session.handle, Listing: l.handle}
	if m.forbids(who, l, 1, &no); no.Reason != ReasonNone {
		return no
	}
	if counts := m.counts(l); counts.Available < 1 || len(m.line(l)) > 0 {
		if no.Reason = ReasonGone; counts.Held > 0 || len(m.line(l)) > 0 {
			no.Reason = ReasonSoldOut
		}
		return no
	}
	m.number(who)
	x, rule := l.session, &l.spec.Play.Cut
	x.bargains++
	b := &modelBargain{ref: BargainRef{x.handle, x.bargains}, owner: who, listing: l, from: l.spec.Price,
		floor: l.spec.Play.Price.Floor, started: m.now, expires: min(m.now.Add(rule.Window), x.End),
		aside: rule.TakeStock}
	m.bargains = append(m.bargains, b)
	return m.toldOf(BargainStarted, ReasonNone, b)
}

// mayNotCut says why a friend may not cut a bargain that they have not cut.
func (m *model) mayNotCut(friend string, b *modelBargain) Reason {
	x, rule := b.listing.session, &b.listing.spec.Play.Cut
	switch {
	case friend == b.owner:
		return ReasonOwnBargain
	case x.state >= Ended || m.now >= x.End:
		return ReasonEnded
	case x.paused:
		return ReasonPaused
	case m.bargainState(b) != BargainOpen:
		return ReasonBargainOver
	case b.price() == b.floor:
		return ReasonFloor
	case rule.PerDay > 0 && m.helps(friend, x) >= rule.PerDay:
		return ReasonHelpsToday
	case m.board.now.On(SwitchRiskLists) && m.level(RosterID{Kind: RosterRiskShopper}, friend) == LevelBlock:
		return ReasonRisk
	}
	return ReasonNone
}

func (m *model) cutBargain(c *Command) Event {
	b, friend := m.bargain(c.Bargain), string(c.Shopper)
	if b == nil {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	if number := b.cutBy(friend); number > 0 {
		if e := m.toldOfCut(BargainConfirmed, b, number); b.cuts[number-1].key == [8]byte(c.Key[:8]) {
			return e
		}
		e := m.toldOfCut(CommandRefused, b, number)
		e.Reason = ReasonHelped
		return e
	}
	if why := m.mayNotCut(friend, b); why != ReasonNone {
		return m.toldOf(CommandRefused, why, b)
	}
	if c.Weight < 1 || c.Weight > 1000 {
		return m.toldOf(CommandRefused, ReasonQuantity, b)
	}
	cut := modelCut{friend: friend, key: [8]byte(c.Key[:8]), at: m.now, weight: c.Weight, new: m.shopper(friend) == 0}
	// How much is the rule's own, which is tested by itself; what it is asked is the model's.
	number := uint32(len(b.cuts) + 1)
	cut.amount = b.listing.spec.Play.Cut.Cut(m.luck(b, number), b.from-b.floor, b.price()-b.floor, c.Weight)
	m.number(friend)
	b.cuts = append(b.cuts, cut)
	return m.toldOfCut(BargainWasCut, b, len(b.cuts))
}

func (m *model) toldOfCut(kind EventKind, b *modelBargain, number int) Event {
	e := m.toldOf(kind, ReasonNone, b)
	e.Shopper, e.Amount, e.Quantity = m.shopper(b.cuts[number-1].friend), b.cuts[number-1].amount, uint32(number)
	return e
}

func (m *model) endBargain(c *Command) Event {
	b := m.bargain(c.Bargain)
	switch {
	case b == nil:
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	case b.ended:
		return m.toldOf(BargainConfirmed, ReasonNone, b)
	case m.bargainState(b) != BargainOpen:
		return m.toldOf(CommandRefused, ReasonBargainOver, b)
	}
	m.giveBack(b)
	b.ended = true
	return m.toldOf(BargainWasOver, ReasonVoided, b)
}

// mayPlay says what a play has against a grab, and by which bargain it is.
func (m *model) mayPlay(c *Command, l *modelListing) (*modelBargain, Reason) {
	p := l.spec.Play
	if c.Bargain.Session == 0 {
		if p != nil && p.Price.Kind == PriceFormula &&
			(!c.Priced || c.Price < p.Price.Floor || c.Price > l.spec.Price) {
			return nil, ReasonPlay
		}
		return nil, ReasonNone
	}
	b := m.bargain(c.Bargain)
	switch {
	case b == nil || b.owner != string(c.Shopper) || b.listing != l:
		return nil, ReasonUnknown
	case c.Quantity != 1:
		return nil, ReasonQuantity
	case m.bargainState(b) == BargainBought:
		return nil, ReasonBought
	case m.bargainState(b) != BargainOpen:
		return nil, ReasonBargainOver
	case p.Cut.AtFloor && b.price() > b.floor:
		return nil, ReasonNotAtFloor
	}
	return b, ReasonNone
}

// amount is what a grab's units cost.
func (m *model) amount(c *Command, l *modelListing, b *modelBargain) int64 {
	units := int64(c.Quantity)
	switch {
	case b != nil:
		return b.price() * units
	case l.spec.Play != nil && l.spec.Play.Price.Kind == PriceFormula:
		return c.Price * units
	}
	return m.priceNow(l) * units
}

// samePlay reports whether two plays are of one template with the same parameters.
func samePlay(p, q *Play) bool {
	return p == q || p != nil && q != nil && p.Name == q.Name && p.Parameters == q.Parameters
}

// playKept gives the play that a listing keeps where a plan says p, and whether it does:
// what is published stays as it is, a draft where nothing about it changes.
func (x *modelSession) playKept(old, p *Play) (*Play, bool) {
	if !samePlay(old, p) {
		return nil, false
	}
	if old == nil || x.state != Draft {
		return old, true
	}
	same := *p
	same.Version = old.Version
	return old, reflect.DeepEqual(*old, same)
}

// suits reports whether a play can be a listing's, of those that the simulation knows.
func (l *ListingSpec) suits(p *Play) bool {
	if p.Price.Floor > l.Price {
		return false
	}
	switch p.Price.Kind {
	case PriceSteps:
		before := l.Price
		for _, step := range p.Price.Steps {
			if step.Price >= before {
				return false
			}
			before = step.Price
		}
	case PriceClock:
		return p.Price.By <= l.Price
	case PriceCut:
		return l.Price-p.Price.Floor >= 10*int64(p.Cut.Friends) && l.Draw == 0
	}
	return true
}

// mayPlanPlay reports whether a plan's listing may have its play, in a session that may be
// new.
func (m *model) mayPlanPlay(plan *Plan, x *modelSession, l *ListingSpec) bool {
	p := l.Play
	if x != nil {
		if old := m.listingIn(x, l.SKU); old != nil {
			if x.state >= Open && !samePlay(old.spec.Play, p) {
				return false
			}
			if kept, keeps := x.playKept(old.spec.Play, p); keeps {
				p = kept
			}
		}
	}
	if p == nil {
		return true
	}
	planned := slices.ContainsFunc(plan.Plays, func(t PlayTemplate) bool { return t.ID == p.Name })
	return (planned || m.templates[p.Name].version > 0) && l.suits(p)
}

func (m *model) planTemplates(p *Plan) {
	for _, t := range p.Plays {
		if old := m.templates[t.ID]; old.text != t.Text {
			m.templates[t.ID] = modelTemplate{t.Text, old.version + 1}
		}
	}
}

// planPlay gives the play that a listing has after a plan.
func (m *model) planPlay(x *modelSession, old, p *Play) *Play {
	if kept, keeps := x.playKept(old, p); keeps {
		return kept
	}
	if p == nil {
		return nil
	}
	versioned := *p
	versioned.Version = m.templates[p.Name].version
	return &versioned
}

// playsDiffer says how a state's plays and bargains are not what the model says.
func (m *model) playsDiffer(s *State) string {
	for id, t := range m.templates {
		if p := s.Play(id); p == nil || p.Text != t.text || p.Version != t.version {
			return fmt.Sprintf("template %s: %+v, the model says %+v", id, p, t)
		}
	}
	for i, l := range m.listings {
		got, want := s.Listings()[i], l.spec
		if !reflect.DeepEqual(got.Play, want.Play) {
			return fmt.Sprintf("the play of listing %d is %v, the model says %v", l.handle, got.Play, want.Play)
		}
		if p := s.PriceNow(got); p != m.priceNow(l) {
			return fmt.Sprintf("a unit of listing %d costs %d, the model says %d", l.handle, p, m.priceNow(l))
		}
	}
	for _, x := range m.sessions {
		want := int(x.bargains)
		if x.cleared {
			want = 0
		}
		if got := s.SessionOf(x.handle).Bargains(); got != want {
			return fmt.Sprintf("%d bargains of session %q, the model has %d", got, x.ID, want)
		}
	}
	for _, b := range m.bargains {
		if why := m.bargainDiffers(s, b); why != "" {
			return why
		}
	}
	return ""
}

func (m *model) bargainDiffers(s *State, b *modelBargain) string {
	got, x := s.Bargain(b.ref), b.listing.session
	if x.state == Settled {
		if got != nil {
			return fmt.Sprintf("bargain %+v is there after it has been settled", got)
		}
		return ""
	}
	if got == nil || s.ShopperID(got.Shopper) != b.owner || got.Listing != b.listing.handle ||
		got.Price != b.price() || got.from != b.from || got.floor != b.floor || got.Started != b.started ||
		got.Expires != b.expires || int(got.Cuts) != len(b.cuts) || got.Ended != b.ended ||
		got.taken != b.aside || s.BargainState(b.ref) != m.bargainState(b) {
		return fmt.Sprintf("bargain %+v, the model says %+v", got, *b)
	}
	if ref, found := s.FindBargain(s.BargainCode(b.ref)); !found || ref != b.ref ||
		s.BargainOf(got.Shopper, s.Listing(got.Listing)) != ref {
		return fmt.Sprintf("the code, or the owner, of bargain %v leads to %v", b.ref, ref)
	}
	number := len(b.cuts)
	said := ""
	s.CutsOf(b.ref, func(c *Cut) bool {
		want := b.cuts[number-1]
		if s.ShopperID(c.Friend) != want.friend || int(c.Number) != number || c.At != want.at ||
			c.Amount != want.amount || c.Weight != want.weight || c.New != want.new {
			said = fmt.Sprintf("cut %+v, the model says %+v", c, want)
		}
		if by, today := s.CutBy(c.Friend, b.ref, m.midnight()); by != c || today != m.helps(want.friend, x) {
			said = fmt.Sprintf("cut %+v by %s, %d today; the model says %d", by, want.friend, today,
				m.helps(want.friend, x))
		}
		number--
		return said == ""
	})
	if said == "" && number != 0 {
		said = fmt.Sprintf("%d cuts of bargain %v are missing", number, b.ref)
	}
	return said
}

// modelMidnight is when a day begins by the clocks of the simulation's sale.
const modelMidnight = clockStart + 6*Time(modelTick/time.Millisecond)

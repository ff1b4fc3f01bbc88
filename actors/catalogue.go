package actors

import (
	"sync/atomic"

	"doorbuster/engine"
)

// catalogue is how gates are found: immutable, replaced whole.
type catalogue struct {
	byName   map[string]*gate
	byHandle []*gate // by handle - 1
	sessions []shownSession
	messages messages
	moving   []*gate // whose price changes with time
}

func (c *catalogue) gate(h engine.ListingHandle) *gate {
	if h == 0 || int(h) > len(c.byHandle) {
		return nil
	}
	return c.byHandle[h-1]
}

// shownSession is a session with the gates of its listings, in their sequence.
type shownSession struct {
	view  engine.SessionView // without listings
	gates []*gate
}

// rebuilt makes a catalogue from s. Gates of listings that old knows stay.
func (g *Group) rebuilt(s *engine.State, old *catalogue) *catalogue {
	c := &catalogue{byName: make(map[string]*gate, len(s.Listings())), byHandle: make([]*gate, 0, len(s.Listings()))}
	for _, l := range s.Listings() {
		session := s.SessionOf(l.Session)
		gate := old.gate(l.Handle)
		if gate == nil {
			gate = g.newGate(l.Handle, session, l)
		}
		c.byHandle = append(c.byHandle, gate)
		if session.State == engine.Deleted {
			g.deleted(gate, session, l)
			continue
		}
		f := factsOf(s, session, l)
		f.own = g.playMessages(s, gate, l)
		if f.play.Moves() {
			c.moving = append(c.moving, gate)
		}
		if gate.changes(f, session.StateOf(l), l.DrawState) {
			gate.opens(s.LogIndex(), g.slots.now()) // noted before anybody is let in by it
		}
		gate.facts.Store(f)
		gate.update(s, session, l)
		c.byName[gate.name] = gate
	}
	for _, x := range s.Sessions() {
		if x.State == engine.Deleted {
			continue
		}
		shown := shownSession{view: sessionView(s, x), gates: make([]*gate, 0, len(x.Listings))}
		for _, h := range x.Listings {
			shown.gates = append(shown.gates, c.gate(h))
		}
		c.sessions = append(c.sessions, shown)
	}
	c.messages = g.messagesOf(s, old.messages)
	return c
}

// deleted closes the gate of a listing whose session was deleted: only its handle leads here.
func (g *Group) deleted(gate *gate, x *engine.Session, l *engine.Listing) {
	if gate.facts.Load() == nil {
		gate.facts.Store(&facts{session: x.ID, sku: l.SKU,
			view: engine.ListingView{Session: x.ID, SKU: l.SKU, Currency: l.Currency}})
	}
	gate.looks.Store(uint32(engine.ListingEnded))
	gate.available.Store(0)
	if !gate.retired.Load() {
		gate.forget()
		g.retireActor(gate)
	}
}

func (g *Group) newGate(h engine.ListingHandle, x *engine.Session, l *engine.Listing) *gate {
	gate := &gate{handle: h, session: x.Handle, name: x.ID + "/skus/" + l.SKU, blocked: &g.blocked,
		switches: &g.switches, refused: make([]atomic.Uint64, len(engine.Reasons()))}
	gate.retired.Store(x.State == engine.Settled)
	return gate
}

func factsOf(s *engine.State, x *engine.Session, l *engine.Listing) *facts {
	product := s.Product(l.SKU)
	var commitment, seed [32]byte
	if l.Draw > 0 || l.Play.Cuts() {
		commitment, seed, _ = s.SeedOf(l)
	}
	return &facts{
		rules:   rules{x.SessionSpec, l.ListingSpec, s.Sale(x.Sale).Timezone},
		session: x.ID, sku: l.SKU, mostAtOnce: s.MostAtOnce(l), multiple: x.AdmissionMultiple, start: x.Start,
		end: x.End,
		view: engine.ListingView{
			Session: x.ID, SKU: l.SKU, Name: product.Name, Image: product.Image, Price: l.Price,
			ListPrice: product.ListPrice, Currency: l.Currency, Stock: l.Shown, Start: x.Start, End: x.End,
			LimitPerShopper: l.LimitPerShopper, SortOrder: l.SortOrder, Place: product.Place,
			LimitPerMonth: l.LimitPerMonth, Reservation: l.Reservation, AllowList: l.AllowList != "",
			Waitlist: l.Waitlist, Ticket: l.Ticket || l.Challenge != engine.ChallengeNone, Challenge: l.Challenge,
			Draw: l.Draw, DrawAt: s.DrawAt(l), DrawState: l.DrawState, Commitment: commitment, Seed: seed,
			Play: l.Play, Delivery: l.Delivery,
		},
		waitlist: l.Waitlist, ticket: l.Ticket, challenge: l.Challenge, draws: l.Draw > 0, play: l.Play,
		opened: x.OpenedAt,
	}
}

func sessionView(s *engine.State, x *engine.Session) engine.SessionView {
	v := engine.SessionView{ID: x.ID, Sale: x.Sale, State: x.State, Paused: x.Paused, Start: x.Start, End: x.End,
		EndedAt: x.EndedAt, PayWithinMS: x.PayWithin.Milliseconds(), PayGraceMS: x.PayGrace.Milliseconds(),
		LimitPerShopper: x.LimitPerShopper, AdmissionMultiple: x.AdmissionMultiple, Profile: x.Profile,
		Archived: x.Archived, CouponsUpTo: x.CouponsUpTo, ReceiveWithin: x.ReceiveWithin,
		CompleteWithin: x.CompleteWithin}
	if sale := s.Sale(x.Sale); sale != nil {
		v.SaleName = sale.Name
	}
	return v
}

// look gives the listing as it is shown now.
func (g *Group) look(gate *gate) engine.ListingView {
	f := gate.facts.Load()
	v := f.view
	v.State = engine.ListingState(gate.looks.Load())
	left := max(0, gate.lowest.Load())
	if v.Stock < 0 || left < v.Stock {
		v.Stock = left
	}
	if f.play != nil {
		v.Price = g.price(gate, f)
	}
	return v
}

// ListingOf gives the session id, SKU and currency of a listing, or "".
func (g *Group) ListingOf(h engine.ListingHandle) (session, sku, currency string) {
	if gate := g.catalogue.Load().gate(h); gate != nil {
		f := gate.facts.Load()
		return f.session, f.sku, f.view.Currency
	}
	return "", "", ""
}

// Handle gives the handle of a listing, 0 if there is none.
func (g *Group) Handle(session, sku string) engine.ListingHandle {
	if gate := g.catalogue.Load().byName[session+"/skus/"+sku]; gate != nil {
		return gate.handle
	}
	return 0
}

// Figures is the version of what is on display; 0 while it changes.
func (g *Group) Figures() uint64 {
	at := g.figures.Load()
	if at%2 != 0 {
		return 0
	}
	for _, gate := range g.catalogue.Load().moving { // nothing is applied when a price falls with time
		at += g.falls(gate.facts.Load()) << 40
	}
	return at + 2
}

// Look gives a listing as it is on display now, drafts too. See AwaitShown.
func (g *Group) Look(session, sku string) (v engine.ListingView, known bool) {
	gate := g.catalogue.Load().byName[session+"/skus/"+sku]
	if gate == nil {
		return v, false
	}
	return g.look(gate), true
}

// Looks gives the sessions that are wanted, with their listings as Look gives them.
func (g *Group) Looks(want func(*engine.SessionView) bool) []engine.SessionView {
	c := g.catalogue.Load()
	views := make([]engine.SessionView, 0, len(c.sessions))
	for i := range c.sessions {
		x := &c.sessions[i]
		if !want(&x.view) {
			continue
		}
		v := x.view
		v.Listings = make([]engine.ListingView, len(x.gates))
		for j, gate := range x.gates {
			v.Listings[j] = g.look(gate)
		}
		views = append(views, v)
	}
	return views
}

// Now is state time as the leader stamps it.
func (g *Group) Now() engine.Time { return g.clock.read() }

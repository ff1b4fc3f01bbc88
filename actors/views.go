package actors

import (
	"strings"

	"doorbuster/engine"
)

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
		f := factsOf(s, session, l)
		if gate.changes(f, session.StateOf(l), l.DrawState) {
			gate.opens(s.LogIndex(), g.slots.now()) // noted before anybody is let in by it
		}
		gate.facts.Store(f)
		gate.update(s, session, l)
		c.byName[gate.name] = gate
		c.byHandle = append(c.byHandle, gate)
	}
	for _, x := range s.Sessions() {
		shown := shownSession{view: sessionView(s, x), gates: make([]*gate, 0, len(x.Listings))}
		for _, h := range x.Listings {
			shown.gates = append(shown.gates, c.gate(h))
		}
		c.sessions = append(c.sessions, shown)
	}
	c.messages = g.messagesOf(s, old.messages)
	return c
}

func (g *Group) newGate(h engine.ListingHandle, x *engine.Session, l *engine.Listing) *gate {
	gate := &gate{handle: h, session: x.Handle, name: x.ID + "/skus/" + l.SKU, blocked: &g.blocked, switches: &g.switches}
	gate.retired.Store(x.State == engine.Settled)
	return gate
}

func factsOf(s *engine.State, x *engine.Session, l *engine.Listing) *facts {
	product := s.Product(l.SKU)
	var commitment, seed [32]byte
	if l.Draw > 0 {
		commitment, seed, _ = s.SeedOf(l)
	}
	return &facts{
		rules:   rules{x.SessionSpec, l.ListingSpec, s.Sale(x.Sale).Timezone},
		session: x.ID, sku: l.SKU, mostAtOnce: s.MostAtOnce(l), multiple: x.AdmissionMultiple, start: x.Start, end: x.End,
		view: engine.ListingView{
			Session: x.ID, SKU: l.SKU, Name: product.Name, Image: product.Image, Price: l.Price, ListPrice: product.ListPrice,
			Currency: l.Currency, Stock: l.Shown, Start: x.Start, End: x.End, LimitPerShopper: l.LimitPerShopper,
			SortOrder: l.SortOrder, Place: product.Place,
			LimitPerMonth: l.LimitPerMonth, Reservation: l.Reservation, AllowList: l.AllowList != "", Waitlist: l.Waitlist,
			Ticket: l.Ticket || l.Challenge != engine.ChallengeNone, Challenge: l.Challenge,
			Draw: l.Draw, DrawAt: s.DrawAt(l), DrawState: l.DrawState, Commitment: commitment, Seed: seed,
		},
		waitlist: l.Waitlist, ticket: l.Ticket, challenge: l.Challenge, draws: l.Draw > 0,
	}
}

func sessionView(s *engine.State, x *engine.Session) engine.SessionView {
	v := engine.SessionView{ID: x.ID, Sale: x.Sale, State: x.State, Paused: x.Paused, Start: x.Start, End: x.End,
		PayWithinMS: x.PayWithin.Milliseconds(), PayGraceMS: x.PayGrace.Milliseconds(),
		LimitPerShopper: x.LimitPerShopper, AdmissionMultiple: x.AdmissionMultiple, Profile: x.Profile}
	if sale := s.Sale(x.Sale); sale != nil {
		v.SaleName = sale.Name
	}
	return v
}

// look gives the listing as it is shown now.
func (g *gate) look() engine.ListingView {
	v := g.facts.Load().view
	v.State = engine.ListingState(g.looks.Load())
	left := max(0, g.lowest.Load())
	if v.Stock < 0 || left < v.Stock {
		v.Stock = left
	}
	return v
}

// Listing gives a listing as it is shown to shoppers; drafts are not. Error:
// engine.ErrNotLeader where it can't be had that nobody has seen less of it.
func (g *Group) Listing(session, sku string) (*engine.ListingView, bool, error) {
	if err := g.awaitShown(); err != nil {
		return nil, false, err
	}
	gate := g.catalogue.Load().byName[session+"/skus/"+sku]
	if gate == nil || engine.ListingState(gate.looks.Load()) == engine.ListingDraft {
		return nil, false, nil
	}
	v := gate.look()
	return &v, true, nil
}

// ListingOf gives the session id, SKU and currency of a listing, or "".
func (g *Group) ListingOf(h engine.ListingHandle) (session, sku, currency string) {
	if gate := g.catalogue.Load().gate(h); gate != nil {
		f := gate.facts.Load()
		return f.session, f.sku, f.view.Currency
	}
	return "", "", ""
}

// Sessions gives the sessions open or to come, with their listings as shown, and
// the version of all that; no sessions if that is the one in known. Version 0 is
// none: something is being changed, and what is given may be half of it. Errors as
// of Listing.
func (g *Group) Sessions(known uint64) (sessions []engine.SessionView, version uint64, err error) {
	if err := g.awaitShown(); err != nil {
		return nil, 0, err
	}
	version = g.stableFigures()
	if version != 0 && version == known {
		return nil, version, nil
	}
	sessions = g.sessions(func(x *engine.SessionView) bool {
		return x.State == engine.Published || x.State == engine.Open
	})
	if g.stableFigures() != version {
		version = 0
	}
	return sessions, version, nil
}

// settledFigures gives the version of what is on display, 0 while it changes.
func (g *Group) stableFigures() uint64 {
	if at := g.figures.Load(); at%2 == 0 {
		return at + 2
	}
	return 0
}

// AllSessions gives every session. It is for operators: what they see may be old
// where no leader answers.
func (g *Group) AllSessions() []engine.SessionView {
	g.awaitKnown()
	all := g.sessions(func(*engine.SessionView) bool { return true })
	g.view.View(func(s *engine.State) {
		for i := range all {
			if x := s.Session(all[i].ID); x != nil {
				all[i].Findings = s.Findings(x)
			}
		}
	})
	return all
}

func (g *Group) sessions(want func(*engine.SessionView) bool) []engine.SessionView {
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
			v.Listings[j] = gate.look()
		}
		views = append(views, v)
	}
	return views
}

func (g *Group) session(id string) (v engine.SessionView) {
	for _, v = range g.sessions(func(x *engine.SessionView) bool { return x.ID == id }) {
	}
	return v
}

// Now is state time as the leader stamps it.
func (g *Group) Now() engine.Time { return g.clock.read() }

// OrderNo gives the number of an order that this node knows of, also of a settled
// session; "" of another.
func (g *Group) OrderNo(ref engine.OrderRef) (no string) {
	g.view.View(func(s *engine.State) { no = s.OrderNo(ref) })
	return no
}

// find gives the order with a number that s knows of, as it may be typed.
func find(s *engine.State, orderNo string) (engine.OrderRef, bool) {
	return s.FindOrder(strings.ToUpper(orderNo))
}

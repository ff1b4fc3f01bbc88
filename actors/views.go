package actors

import (
	"strings"

	"doorbuster/engine"
)

// rebuild makes the catalogue anew from s. Gates of known listings stay.
func (g *Group) rebuild(s *engine.State) {
	old := g.catalogue.Load()
	c := &catalogue{byName: make(map[string]*gate, len(s.Listings())), byHandle: make([]*gate, 0, len(s.Listings()))}
	for _, l := range s.Listings() {
		session := s.SessionOf(l.Session)
		gate := old.gate(l.Handle)
		if gate == nil {
			gate = g.newGate(l.Handle, session, l)
		}
		gate.opens(s.LogIndex(), g.slots.now()) // what it allows may have changed; noted first
		gate.facts.Store(factsOf(s, session, l))
		gate.update(session, l)
		c.byName[gate.name] = gate
		c.byHandle = append(c.byHandle, gate)
	}
	for _, x := range s.Sessions() {
		c.sessions = append(c.sessions, sessionView(s, x))
	}
	g.catalogue.Store(c)
}

func (g *Group) newGate(h engine.ListingHandle, x *engine.Session, l *engine.Listing) *gate {
	return &gate{handle: h, session: x.Handle, name: x.ID + "/skus/" + l.SKU, blocked: &g.blocked}
}

func factsOf(s *engine.State, x *engine.Session, l *engine.Listing) *facts {
	product := s.Product(l.SKU)
	return &facts{
		session: x.ID, sku: l.SKU, mostAtOnce: s.MostAtOnce(l), multiple: x.AdmissionMultiple, start: x.Start, end: x.End,
		view: engine.ListingView{
			Session: x.ID, SKU: l.SKU, Name: product.Name, Image: product.Image, Price: l.Price, ListPrice: product.ListPrice,
			Currency: l.Currency, Stock: l.Shown, Start: x.Start, End: x.End, LimitPerShopper: l.LimitPerShopper,
			SortOrder: l.SortOrder, Place: product.Place,
		},
	}
}

func sessionView(s *engine.State, x *engine.Session) engine.SessionView {
	v := engine.SessionView{ID: x.ID, Sale: x.Sale, State: x.State, Paused: x.Paused, Start: x.Start, End: x.End,
		PayWithinMS: x.PayWithin.Milliseconds(), PayGraceMS: x.PayGrace.Milliseconds(),
		LimitPerShopper: x.LimitPerShopper, AdmissionMultiple: x.AdmissionMultiple}
	if sale := s.Sale(x.Sale); sale != nil {
		v.SaleName = sale.Name
	}
	for _, h := range x.Listings {
		l := s.Listing(h)
		v.Listings = append(v.Listings, engine.ListingView{SKU: l.SKU, Session: x.ID})
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

// Listing gives a listing as it is shown to shoppers; drafts are not.
func (g *Group) Listing(session, sku string) (*engine.ListingView, bool) {
	g.awaitShown()
	gate := g.catalogue.Load().byName[session+"/skus/"+sku]
	if gate == nil && g.others != nil && g.current() == nil { // published just now, perhaps
		gate = g.catalogue.Load().byName[session+"/skus/"+sku]
	}
	if gate == nil || engine.ListingState(gate.looks.Load()) == engine.ListingDraft {
		return nil, false
	}
	v := gate.look()
	return &v, true
}

// ListingOf gives the session id, SKU and currency of a listing, or "".
func (g *Group) ListingOf(h engine.ListingHandle) (session, sku, currency string) {
	if gate := g.catalogue.Load().gate(h); gate != nil {
		f := gate.facts.Load()
		return f.session, f.sku, f.view.Currency
	}
	return "", "", ""
}

// Sessions gives the sessions open or to come, with their listings as shown.
func (g *Group) Sessions() []engine.SessionView {
	return g.sessions(func(x *engine.SessionView) bool {
		return x.State == engine.Published || x.State == engine.Open
	})
}

// AllSessions gives every session.
func (g *Group) AllSessions() []engine.SessionView {
	return g.sessions(func(*engine.SessionView) bool { return true })
}

func (g *Group) sessions(want func(*engine.SessionView) bool) []engine.SessionView {
	g.awaitShown()
	c := g.catalogue.Load()
	views := make([]engine.SessionView, 0, len(c.sessions))
	for i := range c.sessions {
		if !want(&c.sessions[i]) {
			continue
		}
		v := c.sessions[i]
		v.Listings = make([]engine.ListingView, len(v.Listings))
		for j, l := range c.sessions[i].Listings {
			v.Listings[j] = c.byName[l.Session+"/skus/"+l.SKU].look()
		}
		views = append(views, v)
	}
	return views
}

// Now is state time as the leader stamps it.
func (g *Group) Now() engine.Time { return g.clock.read() }

// OrderNo appends the number of the order at ref to dst.
func (g *Group) OrderNo(dst []byte, ref engine.OrderRef) []byte {
	return g.numberer.Load().Append(dst, ref)
}

// parse gives the order behind a number; "" or another's scribble is no order.
func (g *Group) parse(orderNo string) (engine.OrderRef, bool) {
	numberer := g.numberer.Load()
	if numberer == nil {
		return engine.OrderRef{}, false
	}
	return numberer.Parse(strings.ToUpper(orderNo))
}

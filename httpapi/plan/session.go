package plan

import (
	"slices"
	"time"

	"doorbuster/engine"
)

func (r *reader) sale(n *node, seen map[string]*node) engine.SalePlan {
	id := r.id(n, "id", "sale", seen)
	zone, name := r.zone(n.get("timezone"))
	sale := engine.SalePlan{Sale: engine.Sale{ID: id, Name: r.name(n.get("name"), id), Timezone: name}}
	sale.Messages = r.messages(n.get("messages"))
	for _, s := range n.list("sessions") {
		sale.Sessions = append(sale.Sessions, r.session(s, zone)...)
	}
	sale.Months = r.months(n, &sale, zone)
	return sale
}

// session reads one entry of a sale's sessions: a session, or one a day.
func (r *reader) session(n *node, zone *time.Location) []engine.SessionPlan {
	id := n.get("id").text()
	session := engine.SessionPlan{SessionSpec: engine.SessionSpec{
		PayWithin:         r.duration(n.get("pay_within"), 15*time.Minute, time.Second, engine.MaxPayWithin),
		PayGrace:          r.duration(n.get("pay_grace"), 2*time.Minute, 0, maxPayGrace),
		LimitPerShopper:   uint32(r.integer(n.get("limit_per_shopper"), 1)),
		AdmissionMultiple: uint32(r.integer(n.get("admission_multiple"), 20)),
		Publish:           truth(n.get("publish"), true),
		Profile:           n.get("profile").text(),
	}}
	usual := r.rules(n, engine.ListingSpec{SetAside: usualSetAside})
	skus := map[string]*node{}
	for i, l := range n.list("listings") {
		session.Listings = append(session.Listings, r.listing(l, i+1, usual, skus))
	}
	length := r.duration(n.get("duration"), time.Hour, time.Millisecond, engine.MaxSessionLength)
	openings := r.openings(n, zone, length)
	if n.get("daily") == nil && id != "" {
		r.unique(n.get("id"), id)
	}
	if id == "" || len(openings) == 0 {
		return nil
	}
	r.fitting(n, session.Listings, openings[0])
	// An id of some day is as long as of any other, and so is its start: all
	// take the same room in the log.
	one := session
	one.ID, one.StartSpec, one.Start, one.End = id+openings[0].suffix, openings[0].spec, openings[0].start,
		openings[0].end
	r.bytes += len(openings) * bytesOf(&engine.Plan{Sales: []engine.SalePlan{{Sessions: []engine.SessionPlan{one}}}})
	if r.bytes > engine.MaxPlanBytes {
		return nil
	}
	sessions := make([]engine.SessionPlan, 0, len(openings))
	for _, o := range openings {
		day := session
		day.ID, day.StartSpec, day.Start, day.End = id+o.suffix, o.spec, o.start, o.end
		day.Listings = slices.Clone(session.Listings)
		if o.suffix != "" {
			r.unique(n.get("id"), day.ID)
			r.result.written[day.ID] = id
		}
		sessions = append(sessions, day)
	}
	return sessions
}

// maxPayGrace is engine.ComparePlan's bound.
const maxPayGrace = 24 * time.Hour

// unique sees that a session's id is the only one in the shop.
func (r *reader) unique(at *node, id string) {
	first := r.sessions[id]
	switch {
	case first == nil:
		r.sessions[id] = at
		return
	case at.wrong: // one day of the same two tells enough
		return
	}
	at.wrong = true
	r.problem(at, "%q is a session of line %d already; session ids are unique across sales", id, first.Line)
}

// listing reads one; usual are the rules that the session sets for its listings.
func (r *reader) listing(n *node, position int, usual engine.ListingSpec, skus map[string]*node) engine.ListingSpec {
	l := r.rules(n, usual)
	l.SKU = r.id(n, "sku", "SKU", skus)
	l.Price = r.integer(n.get("price"), 0)
	l.Stock = r.integer(n.get("stock"), 0)
	l.Shown = r.integer(n.get("shown"), -1)
	l.LimitPerShopper = uint32(r.integer(n.get("limit_per_shopper"), 1))
	l.SortOrder = int32(r.integer(n.get("sort_order"), int64(position)))
	l.Ticket = l.Ticket || l.Challenge != engine.ChallengeNone
	if !l.Waitlist {
		l.SetAside = 0 // for nobody
	}
	return l
}

package plan

import (
	"slices"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/plan/tree"
)

func (r *reader) sale(n *tree.Node, seen map[string]*tree.Node) engine.SalePlan {
	id := r.id(n, "id", "sale", seen)
	zone, name := r.zone(n.Get("timezone"))
	sale := engine.SalePlan{Sale: engine.Sale{ID: id, Name: r.Name(n.Get("name"), id), Timezone: name}}
	sale.Messages = r.Messages(n.Get("messages"))
	for _, s := range n.List("sessions") {
		sale.Sessions = append(sale.Sessions, r.session(s, zone)...)
	}
	sale.Months, sale.Offsets = r.months(n, &sale, zone), r.offsets(&sale, zone)
	return sale
}

// What a session is that does not say.
const (
	usualPayWithin = 15 * time.Minute
	usualPayGrace  = 2 * time.Minute
	usualAdmission = 20
)

// session reads one entry of a sale's sessions: a session, or one a day.
func (r *reader) session(n *tree.Node, zone *time.Location) []engine.SessionPlan {
	id := n.Get("id").Text()
	session := engine.SessionPlan{SessionSpec: engine.SessionSpec{
		PayWithin:         r.Duration(n.Get("pay_within"), usualPayWithin, time.Second, engine.MaxPayWithin),
		PayGrace:          r.Duration(n.Get("pay_grace"), usualPayGrace, 0, maxPayGrace),
		LimitPerShopper:   uint32(r.Integer(n.Get("limit_per_shopper"), 1)),
		AdmissionMultiple: uint32(r.Integer(n.Get("admission_multiple"), usualAdmission)),
		Publish:           tree.Truth(n.Get("publish"), true),
		Profile:           n.Get("profile").Text(),
		CouponsUpTo:       r.Integer(n.Get("coupons_up_to"), 0),
		Forecast:          uint32(r.Integer(n.Get("forecast"), 0)),
	}}
	length := r.Duration(n.Get("duration"), time.Hour, time.Millisecond, engine.MaxSessionLength)
	openings := r.openings(n, zone, length)
	if len(openings) > 0 {
		length = openings[0].end.Sub(openings[0].start)
	}
	usual := r.rules(n, engine.ListingSpec{SetAside: usualSetAside})
	skus := map[string]*tree.Node{}
	for i, at := range n.List("listings") {
		l := r.listing(at, i+1, usual, skus)
		l.Play = r.play(at, &l, length)
		session.Listings = append(session.Listings, l)
	}
	r.delivery(n, &session)
	if n.Get("daily") == nil && id != "" {
		r.unique(n.Get("id"), id)
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
			r.unique(n.Get("id"), day.ID)
			r.result.written[day.ID] = id
		}
		sessions = append(sessions, day)
	}
	return sessions
}

// What is told of neither is received within two weeks, with a day to spare, and
// completed once there was a week to complain.
const (
	usualReceiveWithin  = 15 * 24 * time.Hour
	usualCompleteWithin = 7 * 24 * time.Hour
)

// delivery reads what a session that delivers says of it. Others have no use for it.
func (r *reader) delivery(n *tree.Node, s *engine.SessionPlan) {
	receive := r.Duration(n.Get("receive_within"), usualReceiveWithin, 0, engine.MaxReceiveWithin)
	complete := r.Duration(n.Get("complete_within"), usualCompleteWithin, 0, engine.MaxCompleteWithin)
	if delivers(s) {
		s.ReceiveWithin, s.CompleteWithin = receive, complete
		return
	}
	for _, key := range [...]string{"receive_within", "complete_within"} {
		if at := n.Get(key); at.Usable() {
			r.Problem(at, "is of no use: no listing of the session has a delivery; take it out, or say which")
		}
	}
}

// delivers reports whether what a session sells is delivered.
func delivers(s *engine.SessionPlan) bool {
	return slices.ContainsFunc(s.Listings, func(l engine.ListingSpec) bool { return l.Delivery != engine.DeliveryNone })
}

// maxPayGrace is engine.ComparePlan's bound.
const maxPayGrace = 24 * time.Hour

// unique sees that a session's id is the only one in the shop.
func (r *reader) unique(at *tree.Node, id string) {
	first := r.sessions[id]
	switch {
	case first == nil:
		r.sessions[id] = at
		return
	case at.Wrong: // one day of the same two tells enough
		return
	}
	at.Wrong = true
	r.Problem(at, "%q is a session of line %d already; session ids are unique across sales", id, first.Line)
}

// listing reads one; usual are the rules that the session sets for its listings.
func (r *reader) listing(n *tree.Node, position int, usual engine.ListingSpec,
	skus map[string]*tree.Node) engine.ListingSpec {
	l := r.rules(n, usual)
	l.SKU = r.id(n, "sku", "SKU", skus)
	l.Price = r.Integer(n.Get("price"), 0)
	l.Stock = r.Integer(n.Get("stock"), 0)
	l.Shown = r.Integer(n.Get("shown"), -1)
	l.LimitPerShopper = uint32(r.Integer(n.Get("limit_per_shopper"), 1))
	l.SortOrder = int32(r.Integer(n.Get("sort_order"), int64(position)))
	l.Ticket = l.Ticket || l.Challenge != engine.ChallengeNone
	if !l.Waitlist {
		l.SetAside = 0 // for nobody
	}
	return l
}

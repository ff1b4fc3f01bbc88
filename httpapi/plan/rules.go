package plan

import (
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/plan/tree"
)

// minDraw is the shortest draw: below it, who is near wins again.
const minDraw = time.Second

// usualSetAside is how long a unit that comes back is worth keeping from others: most
// holds that are not paid end with many of their kind.
const usualSetAside = 2 * time.Minute

// rules reads those of a listing's rules that its session may set for all of its
// listings, from either; unless has what goes where n says nothing.
func (r *reader) rules(n *tree.Node, unless engine.ListingSpec) engine.ListingSpec {
	l := engine.ListingSpec{
		LimitPerMonth: uint32(r.Integer(n.Get("limit_per_month"), int64(unless.LimitPerMonth))),
		Reservation:   tree.Truth(n.Get("reservation"), unless.Reservation),
		AllowList:     unless.AllowList,
		Waitlist:      tree.Truth(n.Get("waitlist"), unless.Waitlist),
		Ticket:        tree.Truth(n.Get("ticket"), unless.Ticket),
		Challenge:     unless.Challenge,
		Draw:          r.Duration(n.Get("draw"), unless.Draw, 0, engine.MaxDraw),
		SetAside:      r.Duration(n.Get("set_aside"), unless.SetAside, 0, engine.MaxSetAside),
		Delivery:      unless.Delivery,
	}
	if d, known := engine.ParseDelivery(n.Get("delivery").Text()); known {
		l.Delivery = d
	}
	if list := n.Get("allow_list"); list.Usable() {
		l.AllowList = list.Value
	}
	if c, known := engine.ParseChallenge(n.Get("challenge").Text()); known {
		l.Challenge = c
	}
	if at := n.Get("ticket"); at != nil && !l.Ticket && l.Challenge != engine.ChallengeNone {
		r.Problem(at, "false, but the challenge %s is solved for a ticket; take this out, or say challenge: none",
			l.Challenge)
	}
	if at := n.Get("draw"); at.Usable() && l.Draw > 0 && l.Draw < minDraw {
		r.Problem(at, "%s is not between %s and %s; 0s is no draw", at.Value, tree.Short(minDraw),
			tree.Short(engine.MaxDraw))
	}
	return l
}

// fitting sees that the rules of a session's listings go with its length, and says
// what nobody could live up to. of is n's listings as they were read.
func (r *reader) fitting(n *tree.Node, of []engine.ListingSpec, o opening) {
	length := o.end.Sub(o.start)
	long := map[*tree.Node]bool{} // said already
	reserved := false
	for i, l := range n.List("listings") {
		reserved = reserved || of[i].Reservation
		at := l.Get("draw")
		if at == nil {
			at = n.Get("draw")
		}
		if at.Usable() && length > 0 && of[i].Draw >= length && !long[at] {
			long[at] = true
			r.Problem(at, "%s is not shorter than the session, which is open for %s", at.Value, tree.Short(length))
		}
	}
	if reserved && n.Get("start").Text() == "now" {
		r.note("%s: opens at once, so that nobody has the time to reserve; import those who may buy", n.Path)
	}
}

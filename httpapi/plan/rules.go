package plan

import (
	"slices"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/messages"
)

// minDraw is the shortest draw: below it, who is near wins again.
const minDraw = time.Second

// usualSetAside is how long a unit that comes back is worth keeping from others: most
// holds that are not paid end with many of their kind.
const usualSetAside = 2 * time.Minute

// rules reads those of a listing's rules that its session may set for all of its
// listings, from either; unless has what goes where n says nothing.
func (r *reader) rules(n *node, unless engine.ListingSpec) engine.ListingSpec {
	l := engine.ListingSpec{
		LimitPerMonth: uint32(r.integer(n.get("limit_per_month"), int64(unless.LimitPerMonth))),
		Reservation:   truth(n.get("reservation"), unless.Reservation),
		AllowList:     unless.AllowList,
		Waitlist:      truth(n.get("waitlist"), unless.Waitlist),
		Ticket:        truth(n.get("ticket"), unless.Ticket),
		Challenge:     unless.Challenge,
		Draw:          r.duration(n.get("draw"), unless.Draw, 0, engine.MaxDraw),
		SetAside:      r.duration(n.get("set_aside"), unless.SetAside, 0, engine.MaxSetAside),
	}
	if list := n.get("allow_list"); list.usable() {
		l.AllowList = list.Value
	}
	if c, known := engine.ParseChallenge(n.get("challenge").text()); known {
		l.Challenge = c
	}
	if at := n.get("ticket"); at != nil && !l.Ticket && l.Challenge != engine.ChallengeNone {
		r.problem(at, "false, but the challenge %s is solved for a ticket; take this out, or say challenge: none",
			l.Challenge)
	}
	if at := n.get("draw"); at.usable() && l.Draw > 0 && l.Draw < minDraw {
		r.problem(at, "%s is not between %s and %s; 0s is no draw", at.Value, short(minDraw), short(engine.MaxDraw))
	}
	return l
}

// fitting sees that the rules of a session's listings go with its length, and says
// what nobody could live up to. of is n's listings as they were read.
func (r *reader) fitting(n *node, of []engine.ListingSpec, o opening) {
	length := o.end.Sub(o.start)
	long := map[*node]bool{} // said already
	reserved := false
	for i, l := range n.list("listings") {
		reserved = reserved || of[i].Reservation
		at := l.get("draw")
		if at == nil {
			at = n.get("draw")
		}
		if at.usable() && length > 0 && of[i].Draw >= length && !long[at] {
			long[at] = true
			r.problem(at, "%s is not shorter than the session, which is open for %s", at.Value, short(length))
		}
	}
	if reserved && n.get("start").text() == "now" {
		r.note("%s: opens at once, so that nobody has the time to reserve; import those who may buy", n.path)
	}
}

// messages reads what a sale tells in its own words, sorted by name.
func (r *reader) messages(n *node) []engine.Message {
	if n == nil {
		return nil
	}
	var own []engine.Message
	for _, f := range n.fields {
		m, known := messages.Named(f.name)
		if !known { // the schema said so
			continue
		}
		told := engine.Message{Name: f.name}
		for _, in := range f.value.fields {
			text := in.value.text()
			if _, spoken := messages.LanguageNamed(in.name); !spoken || text == "" {
				continue
			}
			if _, err := messages.Parse(m, text); err != nil {
				r.problem(in.value, "%v", err)
			}
			told.Text = append(told.Text, engine.Words{Lang: in.name, Text: text})
		}
		slices.SortFunc(told.Text, func(a, b engine.Words) int { return strings.Compare(a.Lang, b.Lang) })
		own = append(own, told)
	}
	slices.SortFunc(own, func(a, b engine.Message) int { return strings.Compare(a.Name, b.Name) })
	return own
}

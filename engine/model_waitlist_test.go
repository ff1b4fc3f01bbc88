package engine

import (
	"cmp"
	"slices"
)

// waitlist gives who waits for a listing, the first on the waitlist first.
func (m *model) line(l *modelListing) (line []*modelOrder) {
	for _, o := range m.orders {
		if o.listing == l && o.state == Waiting {
			line = append(line, o)
		}
	}
	slices.SortFunc(line, func(a, b *modelOrder) int { return cmp.Compare(a.place, b.place) })
	return line
}

func (m *model) position(o *modelOrder) uint32 {
	if o.state != Waiting {
		return 0
	}
	return uint32(slices.Index(m.line(o.listing), o) + 1)
}

// entrants gives who is in a listing's draw: those who were drawn by rank, then
// those who came late by arrival.
func (m *model) entrants(l *modelListing) (entrants []*modelOrder) {
	for _, o := range m.orders {
		if o.listing == l && o.state == Entered {
			entrants = append(entrants, o)
		}
	}
	slices.SortStableFunc(entrants, func(a, b *modelOrder) int {
		if a.late || b.late {
			return btoi(a.late) - btoi(b.late)
		}
		rankA, noA := m.rank(a)
		rankB, noB := m.rank(b)
		return cmp.Or(cmp.Compare(rankA, rankB), cmp.Compare(noA, noB))
	})
	return entrants
}

// drawing reports whether who comes now comes by the draw.
func (l *modelListing) drawing() bool { return l.spec.Draw > 0 && l.draw != DrawDone }

func (l *modelListing) drawAt() Time { return min(l.session.opened.Add(l.spec.Draw), l.session.End) }

func (m *model) closeDraws() {
	for _, l := range m.listings {
		if l.session.state == Open && l.drawing() && l.draw == DrawOpen && l.drawAt() <= m.now {
			l.draw = DrawClosed
			m.derived = append(m.derived, Event{Kind: DrawWasClosed, Command: -1, Session: l.session.handle,
				Listing: l.handle})
		}
	}
}

// left counts how often a shopper has left a listing's waitlist or draw.
func (m *model) left(shopper string, l *modelListing) (n int) {
	for _, o := range m.orders {
		if o.shopper == shopper && o.listing == l && o.state == Left {
			n++
		}
	}
	return n
}

// room reports whether so many units more may be waited for.
func (m *model) capacity(l *modelListing, quantity uint32) bool {
	c := m.counts(l)
	comes := c.Held                                  // each held unit may come back once now,
	for at, times := m.now, 1; times < 10; times++ { // and again after each time to pay that fits in the session
		if at = at.Add(l.session.PayWithin + l.session.PayGrace); at > l.session.End {
			break
		}
		comes += c.Held
	}
	if c.Waiting > 0 {
		comes += c.Available // set aside
	}
	return l.spec.Waitlist && m.board.now.On(SwitchWaitlist) && c.Waiting+int64(quantity) <= comes &&
		int64(quantity) <= c.Available+c.Held
}

func (m *model) join(o *modelOrder) *modelOrder {
	o.listing.places++
	o.state, o.place = Waiting, o.listing.places
	return o
}

// passOver ends a place or an entry without a grant.
func (m *model) passOver(o *modelOrder, to OrderState, why Reason) Event {
	o.state, o.why, o.changed, o.asideUntil = to, why, m.now, 0
	return m.told(PlacePassed, why, o)
}

// workWaitlists serves everybody on the waitlist and in draws whose turn it is.
func (m *model) workWaitlists() {
	order := slices.Clone(m.touched)
	for _, l := range m.listings {
		order = append(order, l.handle)
	}
	for _, h := range order {
		l := m.listing(h)
		if x := l.session; x.state < Ended && (x.state != Open || x.paused) {
			continue
		}
		for o := m.nextUp(l); o != nil; o = m.nextUp(l) {
			e := m.takeUp(o)
			e.Command = -1
			m.derived = append(m.derived, e)
		}
		if l.draw == DrawClosed {
			l.draw = DrawDone
			m.derived = append(m.derived, Event{Kind: DrawWasDone, Command: -1, Session: l.session.handle,
				Listing: l.handle})
		}
	}
}

func (m *model) nextUp(l *modelListing) *modelOrder {
	c, over := m.counts(l), l.session.state >= Ended
	entrants := m.entrants(l)
	if line := m.line(l); len(line) > 0 {
		head := line[0]
		asks := int64(head.quantity)
		if over || asks > c.Available+c.Held || asks <= c.Available { // nothing can come of it, or enough has
			return head
		}
		if c.Available == 0 || len(entrants) > 0 {
			head.asideUntil = 0
		} else {
			if head.asideUntil == 0 {
				head.asideUntil = min(m.now.Add(l.spec.SetAside), m.now+(l.session.End-m.now)/2)
			}
			if head.asideUntil <= m.now {
				return head
			}
		}
	}
	if len(entrants) > 0 && (over || l.draw == DrawClosed) {
		return entrants[0]
	}
	return nil
}

func (m *model) takeUp(o *modelOrder) Event {
	var no Event
	m.forbids(o.shopper, o.listing, o.quantity, &no)
	free := m.counts(o.listing).Available >= int64(o.quantity)
	switch {
	case no.Reason != ReasonNone:
		return m.passOver(o, Passed, no.Reason)
	case free:
		m.grant(o)
		return m.told(HoldPlaced, ReasonNone, o)
	case o.state == Waiting && int64(o.quantity) <= m.counts(o.listing).Available+m.counts(o.listing).Held:
		return m.passOver(o, Passed, ReasonTooFew)
	case o.state == Waiting:
		return m.passOver(o, Passed, ReasonGone)
	case o.waitlist && m.capacity(o.listing, o.quantity):
		return m.told(PlaceTaken, ReasonNone, m.join(o))
	}
	return m.passOver(o, Passed, ReasonDrawn)
}

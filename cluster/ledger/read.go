package ledger

import (
	"doorbuster/cluster/ledger/codec"
	"doorbuster/cluster/ledger/trail"
	"doorbuster/engine"
)

// ErrUnreadable is codec's: the ledger's answers may fail with it.
var ErrUnreadable = codec.ErrUnreadable

// View gives an order as readers see it.
func (l *Ledger) View(o *engine.OrderRecord) (v engine.OrderView) {
	l.source.View(func(s *engine.State) { v = s.ViewRecord(o) })
	return v
}

// Events gives up to most events from a position on, and the position to go on
// from, which is behind all that there is if there were fewer. Error:
// *engine.TrailGone.
func (l *Ledger) Events(from engine.TrailPosition, most int) ([]engine.TrailEvent, engine.TrailPosition, error) {
	events, next, err := l.trail.Events(from, most)
	return l.shown(events, false), next, err
}

// Last gives the position of the event behind which so many stand, it among them, of
// one session or ("") of all; of the first that is found if there are fewer. With 0,
// the one behind all that there is.
func (l *Ledger) Last(events int, session string) (engine.TrailPosition, error) {
	var keep func(*trail.Event) bool
	if session != "" {
		h := l.handleOf(session)
		keep = func(e *trail.Event) bool { return e.Session == h }
	}
	return l.trail.Last(events, keep)
}

// handleOf gives a session's handle; one that nobody has if there is no such session.
func (l *Ledger) handleOf(session string) (h engine.SessionHandle) {
	h = ^h
	l.source.View(func(s *engine.State) {
		if x := s.Session(session); x != nil {
			h = x.Handle
		}
	})
	return h
}

// Audit gives the part of the trail that a filter asks for, the oldest first, and
// where to go on; more is false at the end. A page may have fewer events than
// asked for, and more may follow: what there is to look at is bounded.
func (l *Ledger) Audit(f engine.TrailFilter) (shown []engine.TrailEvent,
	next engine.TrailPosition, more bool, err error) {
	wanted := trail.Filter{Operator: f.Operator, From: f.From, Limit: f.Limit, Besides: f.Besides}
	if f.Session != "" {
		wanted.Session = l.handleOf(f.Session)
	}
	if f.OrderNo != "" {
		known := false
		l.source.View(func(s *engine.State) { wanted.Order, wanted.Life, known = s.Numberer().Parse(f.OrderNo) })
		if !known {
			return nil, next, false, nil
		}
	}
	events, next, more, err := l.trail.Find(wanted)
	return l.shown(events, f.Brief), next, more, err
}

// shown gives events as readers see them: with names, and what their orders tell unless
// they are to be brief.
func (l *Ledger) shown(events []trail.Event, brief bool) []engine.TrailEvent {
	if len(events) == 0 {
		return nil
	}
	shown := make([]engine.TrailEvent, len(events))
	l.source.View(func(s *engine.State) {
		for i := range events {
			e := &events[i]
			t := e.TrailEvent
			if x := s.SessionOf(e.Session); x != nil {
				t.Session = x.ID
			}
			if e.Life != 0 {
				t.OrderNo = s.Numberer().Number(e.Order, e.Life).String()
			}
			if o := s.Order(e.Order); !brief && o != nil && s.Life(e.Order) == e.Life {
				complete(&t, e, s.ShopperID(o.Shopper), o.Transaction, o.Listing)
			}
			nameListing(s, &t, e.Listing)
			shown[i] = t
		}
	})
	for i := range events {
		e, t := &events[i], &shown[i]
		if brief || e.Order.IsZero() || t.Shopper != "" && t.SKU != "" {
			continue
		}
		// else it says what it knows
		if o, found, err := l.orders.Order(e.Order); err == nil && found && o.Life == e.Life {
			complete(t, e, o.Shopper, o.Transaction, o.Listing)
			l.source.View(func(s *engine.State) { nameListing(s, t, e.Listing) })
		}
	}
	return shown
}

// complete adds what an event leaves to its order to tell.
func complete(t *engine.TrailEvent, e *trail.Event, shopper string, transaction engine.Transaction,
	listing engine.ListingHandle) {
	if t.Shopper == "" {
		t.Shopper = shopper
	}
	if t.Transaction == (engine.Transaction{}) {
		t.Transaction = transaction
	}
	if e.Listing == 0 {
		e.Listing = listing
	}
}

func nameListing(s *engine.State, t *engine.TrailEvent, h engine.ListingHandle) {
	if l := s.Listing(h); l != nil {
		t.SKU, t.Currency = l.SKU, l.Currency
	}
}

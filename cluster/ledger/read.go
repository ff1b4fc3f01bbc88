package ledger

import (
	"context"
	"errors"
	"fmt"

	"doorbuster/cluster/ledger/settled"
	"doorbuster/cluster/ledger/trail"
	"doorbuster/engine"
)

// ErrUnreadable: it can't be said now. The node has not found out yet whose ledger it
// has, is ending, or lacks files that the answer needs.
var ErrUnreadable = errors.New("the ledger can't be read just now")

func unreadable(err error) error {
	if errors.Is(err, trail.ErrNotReady) || errors.Is(err, settled.ErrClosed) || errors.Is(err, settled.ErrIncomplete) {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return err
}

// Order gives an order of a settled session as its file has it, or false. Error of
// this and all that follow: ErrUnreadable, and what the disk says.
func (l *Ledger) Order(ref engine.OrderRef) (o engine.OrderRecord, found bool, err error) {
	o, found, err = l.orders.Order(ref)
	return o, found, unreadable(err)
}

// PaidBy gives the order of a settled session that a payment paid for, or false.
func (l *Ledger) PaidBy(paymentID string) (ref engine.OrderRef, found bool, err error) {
	ref, found, err = l.orders.PaidBy(paymentID)
	return ref, found, unreadable(err)
}

// OrdersOf walks a shopper's orders in settled sessions, the newest grant first, from
// behind the one given on (the zero value: from the first), until yield says stop.
func (l *Ledger) OrdersOf(shopper string, after engine.OrderRef, granted engine.Time, yield func(*engine.OrderRecord) bool) error {
	return unreadable(l.orders.OrdersOf(shopper, after, granted, yield))
}

// Scan walks a settled session's orders from an ordinal on, until yield says stop.
func (l *Ledger) Scan(from engine.OrderRef, yield func(*engine.OrderRecord) bool) error {
	return unreadable(l.orders.Scan(from, yield))
}

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
	return l.shown(events), next, unreadable(err)
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
	p, err := l.trail.Last(events, keep)
	return p, unreadable(err)
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

// AwaitEvents waits until there is something from a position on, or ctx ends, and
// gives up to which index the trail reaches.
func (l *Ledger) AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex {
	return l.trail.AwaitEvents(ctx, from)
}

// Audit gives the part of the trail that a filter asks for, the oldest first, and
// where to go on; more is false at the end. A page may have fewer events than
// asked for, and more may follow: what there is to look at is bounded.
func (l *Ledger) Audit(f engine.TrailFilter) (shown []engine.TrailEvent, next engine.TrailPosition, more bool, err error) {
	wanted := trail.Filter{Operator: f.Operator, From: f.From, Limit: f.Limit}
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
	return l.shown(events), next, more, unreadable(err)
}

// Horizon gives the first event since which the trail is kept, and when that was: of
// all events, or of operators' deeds alone. Where there is none yet, it is the end.
func (l *Ledger) Horizon(deeds bool) (engine.TrailPosition, engine.Time, error) {
	p, at, err := l.trail.Horizon(deeds)
	return p, at, unreadable(err)
}

// shown gives events as readers see them: with names, and what their orders tell.
func (l *Ledger) shown(events []trail.Event) []engine.TrailEvent {
	if len(events) == 0 {
		return nil
	}
	shown := make([]engine.TrailEvent, len(events))
	l.source.View(func(s *engine.State) {
		for i := range events {
			e := &events[i]
			t := engine.TrailEvent{TrailPosition: e.TrailPosition, Time: e.Time, Kind: e.Kind, Reason: e.Reason, State: e.State, Shopper: e.Shopper,
				Quantity: e.Quantity, Limit: e.Limit, Amount: e.Amount, PayBy: e.PayBy, Operator: e.Operator, Note: e.Note, Detail: e.Detail,
				Transaction: e.Transaction, Missing: e.Missing}
			if x := s.SessionOf(e.Session); x != nil {
				t.Session = x.ID
			}
			if e.Life != 0 {
				t.OrderNo = s.Numberer().Number(e.Order, e.Life).String()
			}
			if o := s.Order(e.Order); o != nil && s.Life(e.Order) == e.Life {
				complete(&t, e, s.ShopperID(o.Shopper), o.Transaction, o.Listing)
			}
			nameListing(s, &t, e.Listing)
			shown[i] = t
		}
	})
	for i := range events {
		e, t := &events[i], &shown[i]
		if e.Order.IsZero() || t.Shopper != "" && t.SKU != "" {
			continue
		}
		if o, found, err := l.orders.Order(e.Order); err == nil && found && o.Life == e.Life { // else it says what it knows
			complete(t, e, o.Shopper, o.Transaction, o.Listing)
			l.source.View(func(s *engine.State) { nameListing(s, t, e.Listing) })
		}
	}
	return shown
}

// complete adds what an event leaves to its order to tell.
func complete(t *engine.TrailEvent, e *trail.Event, shopper string, transaction engine.Transaction, listing engine.ListingHandle) {
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

// Page gives another node a page of the trail; see trail.Page.
func (l *Ledger) Page(after, upto engine.LogIndex, deeds bool) (trail.Page, error) {
	p, err := l.trail.Page(after, upto, deeds, 0)
	return p, unreadable(err)
}

// chunkBytes bounds a piece of a file for another node.
const chunkBytes = 1 << 20

// Chunk gives another node a piece of a settled session's file, and how many bytes the
// file has.
func (l *Ledger) Chunk(h engine.SessionHandle, offset int64) ([]byte, int64, error) {
	chunk, total, err := l.orders.ReadChunk(h, offset, chunkBytes)
	return chunk, total, unreadable(err)
}

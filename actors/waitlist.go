package actors

import (
	"cmp"
	"context"
	"strconv"

	"doorbuster/engine"
)

// Reserve registers a shopper for a listing before its start, or takes the
// registration back. changed is false where it was so already.
func (g *Group) Reserve(ctx context.Context, shopper, session, sku string, withdraw bool) (changed bool, err error) {
	gate, err := g.gateOf(ctx, session, sku)
	if err != nil {
		return false, err
	}
	takes := false
	g.view.View(func(s *engine.State) {
		takes = s.Listing(gate.handle).Reservation
		reserved := s.LevelOf(engine.RosterID{Kind: engine.RosterReserved, Listing: gate.handle}, []byte(shopper)) != engine.LevelNone
		changed = reserved == withdraw
	})
	if takes && !changed {
		return false, nil // nothing to write down
	}
	_, err = g.ask(ctx, engine.Command{Kind: engine.CmdReserve, Listing: gate.handle, Shopper: []byte(shopper), Withdraw: withdraw})
	return changed && err == nil, err
}

// gateOf gives the gate of a listing, after this node knows all that was told.
func (g *Group) gateOf(ctx context.Context, session, sku string) (*gate, error) {
	if err := g.awaitCaughtUp(ctx); err != nil {
		return nil, err
	}
	gate := g.catalogue.Load().byName[session+"/skus/"+sku]
	if gate == nil {
		return nil, refusal(engine.ReasonUnknown)
	}
	return gate, nil
}

// LeaveWaitlist gives up the place on the waitlist or in a draw that a shopper's key led to, or
// that has the number given instead.
func (g *Group) LeaveWaitlist(ctx context.Context, shopper, key []byte) (v engine.OrderView, err error) {
	if err := g.awaitCaughtUp(ctx); err != nil {
		return v, err
	}
	hash := g.hashed(key)
	var ref engine.OrderRef
	g.view.View(func(s *engine.State) { ref = g.ledTo(s, shopper, key, hash) })
	if ref.IsZero() {
		return v, refusal(engine.ReasonUnknown)
	}
	c := engine.Command{Kind: engine.CmdLeaveLine, Order: ref, Shopper: shopper}
	needed, err := g.needed(ref, &c)
	if err == nil && needed {
		_, err = g.ask(ctx, c)
	}
	if err != nil {
		return v, err
	}
	g.view.View(func(s *engine.State) { v, _ = s.View(ref) })
	return v, nil
}

// ledTo gives the order of a shopper's that a key led to, else the one that has the
// key for its number: who is on the waitlist is told of his place whatever key he asks with,
// and may have no other name for it. hash is the key's.
func (g *Group) ledTo(s *engine.State, shopper, key []byte, hash engine.Key) engine.OrderRef {
	no := s.ShopperNo(string(shopper))
	if ref := s.OrderByKey(no, hash); !ref.IsZero() {
		return ref
	}
	if ref, ok := find(s, string(key)); ok && no != 0 {
		if o := s.Order(ref); o != nil && o.Shopper == no {
			return ref
		}
	}
	return engine.OrderRef{}
}

// Own gives a shopper's newest orders and places on the waitlist or draws.
func (g *Group) Own(ctx context.Context, shopper string, most int) (orders []engine.OrderView, err error) {
	if err := g.awaitCaughtUp(ctx); err != nil {
		return nil, err
	}
	g.view.View(func(s *engine.State) {
		s.OrdersOf(s.ShopperNo(shopper), func(ref engine.OrderRef, _ *engine.Order) bool {
			if len(orders) < most {
				v, _ := s.View(ref)
				orders = append(orders, v)
			}
			return len(orders) < most
		})
	})
	return orders, nil
}

// Estimate tells in about how many seconds a listing's waitlist will have come to
// position, by the pace of releases since the session opened.
func (g *Group) Estimate(session, sku string, position uint32) (seconds int64, known bool) {
	g.view.View(func(s *engine.State) {
		l := s.ListingOf(session, sku)
		if l == nil || l.Released == 0 {
			return
		}
		open := s.Now() - s.SessionOf(l.Session).OpenedAt
		seconds, known = int64(open)*int64(position)/l.Released/1000, true
	})
	return seconds, known
}

// Draw gives a page of a listing's draw. Entries are told only once the draw has
// closed.
func (g *Group) Draw(session, sku, cursor string, most int) (v engine.DrawView, err error) {
	if err := g.current(); err != nil {
		return v, err
	}
	at := engine.OrderRef{Ordinal: 1}
	if cursor != "" {
		from, err := strconv.ParseUint(cursor, 10, 32)
		if err != nil || from == 0 {
			return v, refusal(engine.ReasonConflict)
		}
		at.Ordinal = uint32(from)
	}
	var l engine.ListingHandle
	orders := 0
	err = refusal(engine.ReasonUnknown)
	g.view.View(func(s *engine.State) {
		listing := s.ListingOf(session, sku)
		if listing == nil || listing.Draw == 0 || s.SessionOf(listing.Session).State == engine.Draft {
			return
		}
		l, at.Session, orders, err = listing.Handle, listing.Session, s.SessionOf(listing.Session).Orders(), nil
		v = engine.DrawView{Session: session, SKU: sku, State: listing.DrawState, DrawAt: s.DrawAt(listing), Stock: listing.Stock, Entrants: listing.Entrants}
		v.Commitment, v.Seed, v.Revealed = s.SeedOf(listing)
	})
	for v.Revealed && len(v.Entries) < most && int(at.Ordinal) <= orders {
		looked, err := g.walk(&at, func(s *engine.State, o *engine.OrderRecord) bool {
			if len(v.Entries) == most {
				return false
			}
			if o.Drawn && o.Listing == l {
				v.Entries = append(v.Entries, engine.DrawEntry{OrderNo: s.Numberer().Number(o.Ref, o.Life).String(), Late: o.Late, State: o.State, Why: o.Why,
					Quantity: o.Quantity})
			}
			return true
		})
		if err != nil || looked == 0 {
			return v, cmp.Or(err, engine.ErrNoRecords) // its orders are not there yet
		}
	}
	if v.Revealed && int(at.Ordinal) <= orders {
		v.Next = strconv.FormatUint(uint64(at.Ordinal), 10)
	}
	return v, err
}

// Waitlist gives a page of those who wait for a listing, the first on the waitlist first,
// and the cursor of the next page, "" at the end.
func (g *Group) Waitlist(session, sku, cursor string, most int) (waiting []engine.OrderView, next string, err error) {
	if err := g.current(); err != nil {
		return nil, "", err
	}
	behind := uint64(0)
	if cursor != "" {
		if behind, err = strconv.ParseUint(cursor, 10, 32); err != nil {
			return nil, "", refusal(engine.ReasonConflict)
		}
	}
	err = refusal(engine.ReasonUnknown)
	g.view.View(func(s *engine.State) {
		l := s.ListingOf(session, sku)
		if l == nil {
			return
		}
		err = nil
		refs, last := s.Waiters(l, uint32(behind), most)
		for _, ref := range refs {
			v, _ := s.View(ref)
			waiting = append(waiting, v)
		}
		if more, _ := s.Waiters(l, last, 1); last > 0 && len(more) > 0 {
			next = strconv.FormatUint(uint64(last), 10)
		}
	})
	return waiting, next, err
}

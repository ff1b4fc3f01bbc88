package backoffice

import (
	"context"
	"strconv"

	"doorbuster/engine"
)

// Reserve registers a shopper for a listing before its start, or takes the
// registration back. changed is false where it was so already.
func (bo *Office) Reserve(ctx context.Context, shopper, session, sku string, withdraw bool) (changed bool, err error) {
	h, err := bo.handle(ctx, session, sku)
	if err != nil {
		return false, err
	}
	takes := false
	bo.View(func(s *engine.State) {
		takes = s.Listing(h).Reservation
		level := s.Rosters().Level(engine.RosterID{Kind: engine.RosterReserved, Listing: h}, []byte(shopper))
		changed = (level != engine.LevelNone) == withdraw
	})
	if takes && !changed {
		return false, nil // nothing to write down
	}
	_, err = bo.Ask(ctx, engine.Command{Kind: engine.CmdReserve, Listing: h, Shopper: []byte(shopper),
		Withdraw: withdraw})
	return changed && err == nil, err
}

// LeaveWaitlist gives up the place on the waitlist or in a draw that a shopper's key led to, or
// that has the number given instead.
func (bo *Office) LeaveWaitlist(ctx context.Context, shopper, key []byte) (v engine.OrderView, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return v, err
	}
	var ref engine.OrderRef
	bo.View(func(s *engine.State) { ref = s.OrderOf(string(shopper), string(key)) })
	if ref.IsZero() {
		return v, refusal(engine.ReasonUnknown)
	}
	c := engine.Command{Kind: engine.CmdLeaveLine, Order: ref, Shopper: shopper}
	needed, err := bo.needed(ref, &c)
	if err == nil && needed {
		_, err = bo.Ask(ctx, c)
	}
	if err != nil {
		return v, err
	}
	bo.View(func(s *engine.State) { v, _ = s.View(ref) })
	return v, nil
}

// Own gives a shopper's newest orders and places on the waitlist or draws.
func (bo *Office) Own(ctx context.Context, shopper string, most int) (orders []engine.OrderView, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return nil, err
	}
	bo.View(func(s *engine.State) {
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
func (bo *Office) Estimate(session, sku string, position uint32) (seconds int64, known bool) {
	bo.View(func(s *engine.State) {
		l := s.ListingOf(session, sku)
		if l == nil || l.Released == 0 {
			return
		}
		open := s.Now() - s.SessionOf(l.Session).OpenedAt
		seconds, known = int64(open)*int64(position)/l.Released/1000, true
	})
	return seconds, known
}

// Waitlist gives a page of those who wait for a listing, the first on the waitlist first,
// and the cursor of the next page, "" at the end.
func (bo *Office) Waitlist(session, sku, cursor string, most int) (waiting []engine.OrderView, next string, err error) {
	if err := bo.Current(); err != nil {
		return nil, "", err
	}
	behind := uint64(0)
	if cursor != "" {
		if behind, err = strconv.ParseUint(cursor, 10, 32); err != nil {
			return nil, "", refusal(engine.ReasonConflict)
		}
	}
	err = refusal(engine.ReasonUnknown)
	bo.View(func(s *engine.State) {
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

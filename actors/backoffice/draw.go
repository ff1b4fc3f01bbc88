package backoffice

import (
	"cmp"
	"strconv"

	"doorbuster/engine"
)

// Draw gives a page of a listing's draw. Entries are told only once the draw has
// closed.
func (bo *Office) Draw(session, sku, cursor string, most int) (v engine.DrawView, err error) {
	if err := bo.Current(); err != nil {
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
	bo.View(func(s *engine.State) {
		listing := s.ListingOf(session, sku)
		if listing == nil || listing.Draw == 0 || s.SessionOf(listing.Session).State == engine.Draft {
			return
		}
		l, at.Session, orders, err = listing.Handle, listing.Session, s.SessionOf(listing.Session).Orders(), nil
		v = engine.DrawView{Session: session, SKU: sku, State: listing.DrawState, DrawAt: s.DrawAt(listing),
			Stock: listing.Stock, Entrants: listing.Entrants}
		v.Commitment, v.Seed, v.Revealed = s.SeedOf(listing)
	})
	for v.Revealed && len(v.Entries) < most && int(at.Ordinal) <= orders {
		looked, err := bo.walk(&at, func(s *engine.State, o *engine.OrderRecord) bool {
			if len(v.Entries) == most {
				return false
			}
			if o.Drawn && o.Listing == l {
				v.Entries = append(v.Entries, engine.DrawEntry{OrderNo: s.Numberer().Number(o.Ref, o.Life).String(),
					Late: o.Late, State: o.State, Why: o.Why, Quantity: o.Quantity})
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

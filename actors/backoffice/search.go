package backoffice

import (
	"fmt"
	"strconv"

	"doorbuster/engine"
)

// scanRows is how many orders an operator's search reads at once.
const scanRows = 4096

// mostScanned is about how many it reads in all; the next page goes on from there.
const mostScanned = 200_000

// FindOrders gives the orders that an operator looks for, the oldest first
// within each session.
func (bo *Office) FindOrders(f engine.OrderFilter) (orders []engine.OrderView, next string, err error) {
	if err := bo.Current(); err != nil {
		return nil, "", err
	}
	limit := f.Limit
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	keep := func(v *engine.OrderView) bool {
		return (f.Shopper == "" || v.Shopper == f.Shopper) && (f.Session == "" || v.Session == f.Session) &&
			(f.SKU == "" || v.SKU == f.SKU) &&
			(f.State == 0 && (v.State.Granted() || f.OrderNo != "") || v.State == f.State) &&
			(f.From == 0 || v.GrantedAt >= f.From) && (f.To == 0 || v.GrantedAt < f.To)
	}
	if f.OrderNo != "" {
		v, err := bo.AnyOrder(f.OrderNo)
		switch {
		case isUnknown(err):
			err = nil
		case err == nil && keep(&v):
			orders = append(orders, v)
		}
		return orders, "", err
	}
	var at engine.OrderRef
	if f.Cursor != "" {
		if at, err = parseCursor(f.Cursor); err != nil {
			return nil, "", err
		}
	}
	if f.Shopper != "" {
		orders, more, err := bo.ordersOf(f.Shopper, at, limit, keep)
		if more {
			next = formatCursor(orders[limit-1].Ref)
		}
		return orders, next, err
	}
	if at.IsZero() {
		at = engine.OrderRef{Session: 1, Ordinal: 1}
	}
	for looked := 0; len(orders) < limit && looked < mostScanned; looked++ {
		x := (*engine.Session)(nil)
		rows := 0
		bo.View(func(s *engine.State) {
			if f.Session != "" {
				if x = s.Session(f.Session); x != nil && at.Session < x.Handle {
					at = engine.OrderRef{Session: x.Handle, Ordinal: 1}
				}
			} else {
				x = s.SessionOf(at.Session)
			}
			if x != nil {
				rows = x.Orders()
			}
		})
		over := x != nil && (at.Session > x.Handle || int(at.Ordinal) > rows)
		switch {
		case x == nil, over && f.Session != "":
			return orders, "", nil
		case over:
			at = engine.OrderRef{Session: at.Session + 1, Ordinal: 1}
			continue
		}
		n, err := bo.walk(&at, func(s *engine.State, o *engine.OrderRecord) bool {
			if len(orders) == limit {
				return false
			}
			if v := s.ViewRecord(o); keep(&v) {
				v.Position = s.Position(o.Ref)
				orders = append(orders, v)
			}
			return true
		})
		if err != nil {
			return nil, "", err
		}
		if n == 0 && len(orders) < limit { // nothing is left of it
			at.Ordinal = uint32(rows) + 1
		}
		looked += n
	}
	return orders, formatCursor(at), nil
}

// walk gives some orders of one session, from at on, to yield until that takes none any
// more, from the state or from the ledger; at is moved behind what was taken. looked is
// how many there were, 0 at the end, and where the ledger has none of them.
func (bo *Office) walk(
	at *engine.OrderRef, yield func(s *engine.State, o *engine.OrderRecord) bool,
) (looked int, err error) {
	take := func(s *engine.State, o *engine.OrderRecord) bool {
		if looked == scanRows || !yield(s, o) {
			return false
		}
		looked++
		at.Ordinal = o.Ref.Ordinal + 1
		return true
	}
	left := false
	bo.View(func(s *engine.State) { // a little at a time: readers hold up what is applied
		if left = s.SessionOf(at.Session).Left(); left {
			return
		}
		for {
			if o, ok := s.Record(*at); !ok || !take(s, &o) {
				return
			}
		}
	})
	if !left {
		return looked, nil
	}
	err = bo.Records().Scan(*at, func(o *engine.OrderRecord) (more bool) {
		bo.View(func(s *engine.State) { more = take(s, o) })
		return more
	})
	return looked, err
}

func formatCursor(at engine.OrderRef) string {
	return strconv.FormatUint(uint64(at.Session), 10) + "." + strconv.FormatUint(uint64(at.Ordinal), 10)
}

func parseCursor(cursor string) (at engine.OrderRef, err error) {
	if n, err := fmt.Sscanf(cursor, "%d.%d", &at.Session, &at.Ordinal); n != 2 || err != nil ||
		formatCursor(at) != cursor || at.Session == 0 || at.Ordinal == 0 {
		return at, refusal(engine.ReasonConflict)
	}
	return at, nil
}

package backoffice

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"doorbuster/engine"
)

// scanRows is how many orders an operator's search reads at once.
const scanRows = 4096

// mostScanned is about how many it reads in all; the next page goes on from there.
const mostScanned = 200_000

// FindOrders gives the orders that an operator looks for, the oldest first within each
// session, or as f.Newest says; a shopper's own are the newest first anyway.
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
			(f.From == 0 || v.GrantedAt >= f.From) && (f.To == 0 || v.GrantedAt < f.To) &&
			(f.Transaction == engine.Transaction{} || v.Transaction == f.Transaction) &&
			(f.Phone == engine.Blind{} || v.HasReceiver && v.Receiver.Phone == f.Phone)
	}
	if f.Payment != "" {
		v, found, err := bo.paidBy(f.Payment)
		if found && (f.OrderNo == "" || v.OrderNo == f.OrderNo) && keep(&v) {
			orders = append(orders, v)
		}
		return orders, "", err
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
	if f.Newest {
		return bo.newest(f.Session, at, limit, keep)
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

// paidBy gives the order that a payment came for, or false.
func (bo *Office) paidBy(payment string) (v engine.OrderView, found bool, err error) {
	var ref engine.OrderRef
	bo.View(func(s *engine.State) {
		if ref = s.Money().PaymentOf(payment); ref.IsZero() {
			ref = s.Money().SealedPaymentOf(payment)
		}
		v, found = s.View(ref)
	})
	switch {
	case found:
		return v, true, nil
	case ref.IsZero():
		if ref, found, err = bo.Records().PaidBy(payment); err != nil || !found {
			return v, false, err
		}
	}
	v, err = bo.settledOrder(ref)
	if isUnknown(err) {
		return v, false, nil
	}
	return v, err == nil, err
}

// sessionsBack gives the sessions that have orders, that which starts last first.
func (bo *Office) sessionsBack(only string) (handles []engine.SessionHandle) {
	type one struct {
		start  engine.Time
		handle engine.SessionHandle
	}
	var all []one
	bo.View(func(s *engine.State) {
		if only != "" {
			if x := s.Session(only); x != nil {
				all = append(all, one{x.Start, x.Handle})
			}
			return
		}
		for _, x := range s.Sessions() {
			if x.Orders() > 0 {
				all = append(all, one{x.Start, x.Handle})
			}
		}
	})
	slices.SortFunc(all, func(a, b one) int {
		return cmp.Or(cmp.Compare(b.start, a.start), cmp.Compare(b.handle, a.handle))
	})
	for _, x := range all {
		handles = append(handles, x.handle)
	}
	return handles
}

// newest is FindOrders backwards, from at on.
func (bo *Office) newest(
	session string, at engine.OrderRef, limit int, keep func(*engine.OrderView) bool,
) (orders []engine.OrderView, next string, err error) {
	sessions := bo.sessionsBack(session)
	if !at.IsZero() {
		i := slices.Index(sessions, at.Session)
		if i < 0 {
			return nil, "", refusal(engine.ReasonConflict)
		}
		sessions = sessions[i:]
	}
	for looked := 0; len(sessions) > 0; {
		bo.View(func(s *engine.State) {
			if x := s.SessionOf(sessions[0]); at.Session != x.Handle || int(at.Ordinal) > x.Orders() {
				at = engine.OrderRef{Session: x.Handle, Ordinal: uint32(x.Orders())}
			}
		})
		for at.Ordinal > 0 {
			if len(orders) == limit || looked >= mostScanned {
				return orders, formatCursor(at), nil
			}
			n, err := bo.walkBack(&at, func(s *engine.State, o *engine.OrderRecord) bool {
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
			looked += n
		}
		sessions = sessions[1:]
	}
	return orders, "", nil
}

// backRows is how many orders of a settled session are read at once: they are read
// forwards, and told backwards.
const backRows = 512

// walkBack is walk towards a session's first order, behind which at.Ordinal is 0.
func (bo *Office) walkBack(
	at *engine.OrderRef, yield func(s *engine.State, o *engine.OrderRecord) bool,
) (looked int, err error) {
	left := false
	bo.View(func(s *engine.State) {
		if left = s.SessionOf(at.Session).Left(); left {
			return
		}
		for ; at.Ordinal > 0 && looked < scanRows; at.Ordinal-- {
			if o, ok := s.Record(*at); ok && !yield(s, &o) {
				return
			}
			looked++
		}
	})
	if !left {
		return looked, nil
	}
	first := at.Ordinal - min(at.Ordinal, backRows) + 1
	rows := make([]engine.OrderRecord, 0, backRows)
	err = bo.Records().Scan(engine.OrderRef{Session: at.Session, Ordinal: first}, func(o *engine.OrderRecord) bool {
		if o.Ref.Ordinal > at.Ordinal {
			return false
		}
		rows = append(rows, *o)
		return true
	})
	if err != nil {
		return 0, err
	}
	bo.View(func(s *engine.State) {
		for i := len(rows) - 1; i >= 0; i-- {
			at.Ordinal = rows[i].Ref.Ordinal
			if !yield(s, &rows[i]) {
				return
			}
			looked++
		}
		at.Ordinal = first - 1
	})
	return looked, nil
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

package ledger

import (
	"doorbuster/engine"
)

// batch is what one transaction takes in.
type batch struct {
	ledger  *Ledger
	entries []*engine.Effects
	orders  map[engine.OrderRef]*engine.OrderRecord // touched; nil: it has left the state
	queue   []engine.OrderRef                       // their sequence
	refunds map[engine.OrderRef][]engine.Refund     // of those that have left
	names   *names                                  // nil: nothing new
}

func newBatch(l *Ledger, entries []*engine.Effects) *batch {
	return &batch{ledger: l, entries: entries, orders: map[engine.OrderRef]*engine.OrderRecord{}, refunds: map[engine.OrderRef][]engine.Refund{}}
}

// gather copies from the state what the entries' events are about, a little at a
// time: readers hold up what is applied. What it gives may be newer than the
// entries; then later entries write it once more.
func (b *batch) gather() error {
	named := false
	for _, e := range b.entries {
		named = named || e.Catalogue
		for ev := range e.InOrder {
			if _, known := b.orders[ev.Order]; !known && !ev.Order.IsZero() {
				b.orders[ev.Order] = nil
				b.queue = append(b.queue, ev.Order)
			}
		}
	}
	l := b.ledger
	if named || *l.numberer.Load() == (engine.Numberer{}) {
		l.source.View(func(s *engine.State) {
			b.names = l.names.Load().learnNames(s)
			l.learnNumberer(s)
		})
	}
	for at := 0; at < len(b.queue); at += viewOrders {
		l.source.View(func(s *engine.State) {
			for _, ref := range b.queue[at:min(at+viewOrders, len(b.queue))] {
				if r, ok := s.Record(ref); ok {
					b.orders[ref] = &r
				} else {
					b.refunds[ref] = s.RefundsOf(ref)
				}
			}
		})
	}
	for ref := range b.refunds {
		if gone := l.feed.gone(ref.Session); gone != nil {
			if r, ok := gone.Record(ref.Ordinal); ok {
				r.Refunds = b.refunds[ref]
				b.orders[ref] = &r
			}
		}
	}
	return nil
}

// commit takes the batch into the file, with the head that it leads to. New names are
// known before readers can come upon rows that need them, and are forgotten again
// where nothing was written: the next batch brings them.
func (b *batch) commit(s *store, h *head) error {
	known := b.ledger.names.Load()
	err := s.update(func(w *writing) error {
		if err := b.write(w); err != nil {
			return err
		}
		return w.putHead(h)
	})
	if err != nil {
		b.ledger.names.Store(known)
	}
	return err
}

func (b *batch) write(w *writing) error {
	if b.names != nil {
		if err := w.putNames(b.ledger.names.Load(), b.names); err != nil {
			return err
		}
	}
	for _, ref := range b.queue {
		if err := b.writeOrder(w, ref); err != nil {
			return err
		}
	}
	for _, e := range b.entries {
		if err := b.writeEvents(w, e); err != nil {
			return err
		}
		for _, gone := range e.Leaving {
			if err := b.writeLeaving(w, e, gone); err != nil {
				return err
			}
		}
	}
	if b.names != nil {
		b.ledger.names.Store(b.names)
	}
	return nil
}

// writeOrder writes an order that the batch has touched. One that had left the
// state before is in the file, and can have got nothing but refunds.
func (b *batch) writeOrder(w *writing, ref engine.OrderRef) error {
	r := b.orders[ref]
	if r == nil {
		key := refKey(ref)
		body, err := w.get(bucketOrders, key)
		if err != nil || body == nil {
			return err
		}
		kept, err := orderOf(key, body)
		if err != nil {
			return err
		}
		kept.Refunds = b.refunds[ref]
		r = &kept
		b.orders[ref] = r
	}
	return w.putOrder(r)
}

func (b *batch) writeEvents(w *writing, e *engine.Effects) error {
	n := uint32(0)
	for ev, remark := range e.InOrder {
		row := event{at: engine.TrailPosition{Index: e.Index, N: n}, time: e.Time, kind: ev.Kind, reason: ev.Reason, state: ev.State,
			session: ev.Session, listing: ev.Listing, order: ev.Order, life: ev.Life, quantity: ev.Quantity, limit: ev.Limit, amount: ev.Amount, payBy: ev.PayBy}
		if r := b.orders[ev.Order]; r != nil {
			row.shopper, row.transaction = r.Shopper, r.Transaction
			if row.listing == 0 {
				row.listing = r.Listing
			}
		}
		if remark != nil {
			row.operator, row.note, row.detail = remark.Operator, remark.Note, remark.Detail
			if remark.Shopper != "" {
				row.shopper = remark.Shopper
			}
			if remark.Transaction != (engine.Transaction{}) {
				row.transaction = remark.Transaction
			}
		}
		if err := w.putEvent(&row); err != nil {
			return err
		}
		n++
	}
	return nil
}

// writeLeaving writes a session's orders as they left the state. Almost all are
// there as they are; this makes sure.
func (b *batch) writeLeaving(w *writing, e *engine.Effects, gone *engine.Leaving) error {
	x := settledRow(e, gone)
	var refunds map[engine.OrderRef][]engine.Refund
	for from := 1; from <= gone.Orders(); from += 16 * viewOrders {
		refunds = map[engine.OrderRef][]engine.Refund{}
		b.ledger.source.View(func(s *engine.State) {
			for ordinal := from; ordinal <= gone.Orders() && ordinal < from+16*viewOrders; ordinal++ {
				ref := engine.OrderRef{Session: gone.Session, Ordinal: uint32(ordinal)}
				if of := s.RefundsOf(ref); of != nil {
					refunds[ref] = of
				}
			}
		})
		for ordinal := from; ordinal <= gone.Orders() && ordinal < from+16*viewOrders; ordinal++ {
			r, _ := gone.Record(uint32(ordinal))
			r.Refunds = refunds[r.Ref]
			if err := w.putOrder(&r); err != nil {
				return err
			}
		}
	}
	_, err := w.put(bucketSettled, handleKey(sessionName, gone.Session), x.body())
	return err
}

func settledRow(e *engine.Effects, gone *engine.Leaving) Settled {
	x := Settled{Session: gone.Session, Index: e.Index, At: e.Time, Orders: uint32(gone.Orders())}
	for i := range gone.Listings {
		l := &gone.Listings[i]
		x.Listings = append(x.Listings, SettledListing{Listing: l.Handle, Price: l.Price, Stock: l.Stock, Available: l.Available, Paid: l.Paid, Released: l.Released, Buyers: l.Shoppers})
	}
	return x
}

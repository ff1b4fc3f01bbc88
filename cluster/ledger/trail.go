package ledger

import (
	"cmp"
	"context"
	"errors"
	"time"

	"doorbuster/engine"
)

// mostEvents is how many events one call gives, and mostLooked how many it looks
// at to find them.
const (
	mostEvents = 1000
	mostLooked = 100_000
)

// Events gives up to most events from a position on, and the position to go on
// from, which is behind all that there is if there were fewer. Error:
// *engine.TrailGone.
func (l *Ledger) Events(from engine.TrailPosition, most int) (events []engine.TrailEvent, next engine.TrailPosition, err error) {
	most = min(max(most, 1), mostEvents)
	next = from
	err = l.view(func(v *viewing) error {
		first, err := v.first()
		if err != nil {
			return err
		}
		if from.Before(first) {
			return &engine.TrailGone{First: first}
		}
		h, err := v.head()
		if err != nil {
			return err
		}
		if reached := (engine.TrailPosition{Index: h.index + 1}); from.Before(reached) {
			next = reached
		}
		return v.walk(bucketEvents, nil, positionKey(from), func(key, body []byte) (bool, error) {
			e, err := eventOf(key, body)
			if err != nil {
				return false, err
			}
			if len(events) == most {
				next = e.at
				return false, nil
			}
			events = append(events, l.shown(&e))
			if !e.at.Before(next) {
				next = e.at.Next()
			}
			return true, nil
		})
	})
	return events, next, err
}

// mostLookedBack is how many events Last looks at to find those of a session.
const mostLookedBack = 1_000_000

// Last gives the position of the event behind which so many stand, it among them, of
// one session or ("") of all; of the first that is found if there are fewer. With 0,
// the one behind all that there is.
func (l *Ledger) Last(events int, session string) (p engine.TrailPosition, err error) {
	err = l.view(func(v *viewing) error {
		c := v.bucket(bucketEvents).Cursor()
		key, value := c.Last()
		for looked := 0; len(key) == 12 && events > 0 && looked < mostLookedBack; key, value = c.Prev() {
			looked++
			if session != "" {
				body, err := unseal(bucketEvents, key, value)
				if err != nil {
					return err
				}
				e, err := eventOf(key, body)
				if err != nil {
					return err
				}
				if l.names.Load().sessions[e.session] != session {
					continue
				}
			}
			p = positionOf(key)
			events--
		}
		if p != (engine.TrailPosition{}) {
			return nil
		}
		h, err := v.head()
		p.Index = h.index + 1
		return err
	})
	return p, err
}

// first gives the position of the first event that is kept, or may be: everything
// before it has been dropped. Zero if nothing was.
func (v *viewing) first() (p engine.TrailPosition, err error) {
	body, err := v.get(bucketMeta, keyDropped)
	if err != nil || body == nil {
		return p, err
	}
	return positionFrom(body)
}

func positionBody(p engine.TrailPosition) []byte {
	w := writer{}
	w.uint(uint64(p.Index))
	w.uint(uint64(p.N))
	return w.buf
}

func positionFrom(body []byte) (p engine.TrailPosition, err error) {
	r := reader{buf: body}
	p.Index, p.N = engine.LogIndex(r.uint()), r.uint32()
	return p, r.done()
}

// AwaitEvents waits until there is something from a position on, or ctx ends, and
// gives up to which index the trail reaches.
func (l *Ledger) AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex {
	for {
		l.waiting.Lock()
		advanced := l.advanced
		l.waiting.Unlock()
		if at := l.Index(); at >= from.Index {
			return at
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return l.Index()
		case <-l.ctx.Done():
			return l.Index()
		}
	}
}

// Audit gives the part of the trail that a filter asks for, the oldest first, and
// where to go on; more is false at the end. A page may have fewer events than
// asked for, and more may follow: what there is to look at is bounded.
func (l *Ledger) Audit(f engine.TrailFilter) (events []engine.TrailEvent, next engine.TrailPosition, more bool, err error) {
	most := min(max(f.Limit, 1), mostEvents)
	looked, of := 0, engine.Life(0)
	add := func(e *event) (goOn bool) {
		if looked++; len(events) == most || looked > mostLooked {
			next, more = e.at, true
			return false
		}
		if of != 0 && e.life != of { // another order's, of this life
			return true
		}
		if f.Session == "" || l.names.Load().sessions[e.session] == f.Session {
			events = append(events, l.shown(e))
		}
		return true
	}
	var prefix []byte
	bucket := byte(bucketTrail)
	switch {
	case f.OrderNo != "":
		ref, life, ok := l.numberer.Load().Parse(f.OrderNo)
		if !ok {
			return nil, next, false, nil
		}
		prefix, of = refKey(ref), life
	case f.Operator != "":
		bucket, prefix = bucketOperators, operatorPrefix(f.Operator)
	}
	err = l.view(func(v *viewing) error {
		if prefix == nil {
			return v.walk(bucketEvents, nil, positionKey(f.From), func(key, body []byte) (bool, error) {
				e, err := eventOf(key, body)
				return err == nil && add(&e), err
			})
		}
		return v.walk(bucket, prefix, append(prefix[:len(prefix):len(prefix)], positionKey(f.From)...), func(key, _ []byte) (bool, error) {
			at := key[len(prefix):]
			body, err := v.get(bucketEvents, at)
			if err != nil || body == nil {
				return err == nil, err
			}
			e, err := eventOf(at, body)
			return err == nil && add(&e), err
		})
	})
	return events, next, more, err
}

// shown gives an event as readers see it.
func (l *Ledger) shown(e *event) engine.TrailEvent {
	n := l.names.Load()
	listing := n.listings[e.listing]
	t := engine.TrailEvent{TrailPosition: e.at, Time: e.time, Kind: e.kind, Reason: e.reason, State: e.state, Session: n.sessions[e.session], SKU: listing.id,
		Shopper: e.shopper, Quantity: e.quantity, Limit: e.limit, Amount: e.amount, Currency: listing.currency, PayBy: e.payBy,
		Operator: e.operator, Note: e.note, Detail: e.detail, Transaction: e.transaction, Missing: e.missing}
	if e.life != 0 {
		t.OrderNo = l.numberer.Load().Number(e.order, e.life).String()
	}
	return t
}

// Dropping old events.
const (
	trimEvery  = 10 * time.Second
	trimEvents = 20_000 // of a transaction
	eventBytes = 200    // about, with what leads to it
	// deedsShare is the part of what is kept, one in so many, that operators' deeds may
	// fill before the oldest of them go: no crowd pushes them out.
	deedsShare = 4
)

var (
	keyDropped = []byte("dropped")
	errNothing = errors.New("nothing to drop")
)

// Horizon gives the first event since which the trail is kept, and when that was: of
// all events, or of operators' deeds alone. Where there is none yet, it is the end.
func (l *Ledger) Horizon(deeds bool) (p engine.TrailPosition, at engine.Time, err error) {
	err = l.view(func(v *viewing) error {
		from := []byte(nil) // the oldest deeds may stand before where the rest begins
		if p, err = v.first(); err != nil {
			return err
		}
		if !deeds {
			from = positionKey(p)
		}
		at = engine.Time(l.at.Load())
		return v.walk(bucketEvents, nil, from, func(key, body []byte) (bool, error) {
			e, err := eventOf(key, body)
			p, at = e.at, e.time
			return false, err
		})
	})
	return p, at, err
}

// trim drops events that are too old, or too many, some at a time.
func (l *Ledger) trim() {
	if time.Since(l.trimmed) < cmp.Or(l.cfg.trimEvery, trimEvery) {
		return
	}
	l.trimmed = time.Now()
	s := l.open()
	if s == nil {
		return
	}
	until := engine.Time(l.at.Load()).Add(-l.cfg.KeepEvents)
	var first engine.TrailPosition
	err := s.update(func(w *writing) error {
		var err error
		if first, err = w.first(); err != nil {
			return err
		}
		rows, deeds := int64(w.tallies[bucketEvents].rows), int64(w.tallies[bucketOperators].rows)
		most := l.cfg.KeepEventBytes / eventBytes
		tooManyDeeds := deeds - most/deedsShare
		over := rows - deeds - (most - min(deeds, most/deedsShare))
		var old []event
		if err := w.walk(bucketEvents, nil, nil, func(key, body []byte) (bool, error) {
			e, err := eventOf(key, body)
			if err != nil {
				return false, err
			}
			deed := e.operator != ""
			drop := e.time < until || tooManyDeeds > 0 || !deed && over > 0
			if len(old) == trimEvents || !drop && !deed {
				return false, nil
			}
			if !drop {
				return true, nil
			}
			old = append(old, e)
			if deed {
				tooManyDeeds--
			} else {
				over--
			}
			if first.Before(e.at.Next()) {
				first = e.at.Next()
			}
			return true, nil
		}); err != nil {
			return err
		}
		if len(old) == 0 {
			return errNothing
		}
		for i := range old {
			if err := w.dropEvent(&old[i]); err != nil {
				return err
			}
		}
		return w.bucket(bucketMeta).Put(keyDropped, seal(bucketMeta, keyDropped, positionBody(first)))
	})
	switch {
	case err == nil:
		l.keptFrom.Store(uint64(first.Index))
		l.trimmed = time.Time{} // there may be more
	case err != errNothing:
		l.failed(err, nil)
	}
}

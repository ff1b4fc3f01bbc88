package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"doorbuster/engine"
)

// Bounds of making up for what did not come by the queue.
const (
	copyPatience = 60 * time.Second // for another node, before a hole is noted
	copyPause    = 100 * time.Millisecond
	missingAgain = 30 * time.Second
	resyncPause  = time.Second // after one that failed, or was overtaken
	resyncOrders = 4096        // of a transaction
)

// resync makes the ledger whole again, when entries did not come by the queue: the
// queue begins anew at some index; what the state knows at that index is copied
// from it, orders that have left it come from another node or an archive, and so
// do the events in between. What nobody has is noted as a hole in the trail.
func (l *Ledger) resync() {
	began := time.Now()
	err := l.resyncOnce()
	switch {
	case err == nil:
		l.logger.Info("the ledger has caught up", "took", time.Since(began), "log_index", l.head.index)
		return
	case errors.Is(err, errDamaged):
		l.renew(err)
	case l.ctx.Err() == nil:
		l.logger.Warn("the ledger could not catch up; it is tried again", "error", err)
	}
	l.feed.miss()
	l.sleep(resyncPause, false)
}

func (l *Ledger) resyncOnce() error {
	if l.open() == nil {
		if err := l.openFile(); err != nil {
			return err
		}
	}
	s := l.open()
	l.whole.Store(false)
	var base head
	var sessions int
	known := l.names.Load()
	var learned *names
	l.source.View(func(st *engine.State) {
		l.feed.reset() // nothing is applied while the state is read
		l.learnNumberer(st)
		learned = known.learnNames(st)
		base.index, base.time = st.LogIndex(), st.Now()
		sessions = len(st.Sessions())
	})
	base.group = l.group()
	if old := l.head; old.group != ([16]byte{}) && base.group != ([16]byte{}) && old.group != base.group {
		return errOtherGroup
	}
	lacking := l.head
	lacking.lacking, lacking.group = true, base.group
	if err := s.update(func(w *writing) error {
		if learned != nil {
			if err := w.putNames(known, learned); err != nil {
				return err
			}
		}
		return w.putHead(&lacking)
	}); err != nil {
		return err
	}
	if learned != nil {
		l.names.Store(learned)
	}
	l.head = lacking
	missing := 0
	for h := engine.SessionHandle(1); int(h) <= sessions; h++ {
		settled, err := l.copySession(s, h)
		if err != nil {
			return err
		}
		if !settled {
			continue
		}
		if err := l.fetchSession(s, h, copyPatience); err != nil {
			if errors.Is(err, errDamaged) || l.ctx.Err() != nil || errors.Is(err, engine.ErrNewerFormat) {
				return err
			}
			missing++
			l.logger.Error("ALARM: the orders of a settled session can't be had from anybody; they can't be found until then", "session", l.names.Load().sessions[h], "error", err)
		}
	}
	l.missing.Store(int64(missing))
	if err := l.renewRefunds(s); err != nil {
		return err
	}
	if err := l.fetchEvents(s, base); err != nil {
		return err
	}
	if err := s.update(func(w *writing) error { return w.putHead(&base) }); err != nil {
		return err
	}
	l.readNames()
	l.whole.Store(true)
	l.moved(&base)
	return nil
}

// open gives the database, nil if there is none now.
func (l *Ledger) open() *store {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.store
}

// copySession copies a session's orders from the state; settled if they have left it.
func (l *Ledger) copySession(s *store, h engine.SessionHandle) (settled bool, err error) {
	for from, last := uint32(1), uint32(1); from <= last; {
		var orders []engine.OrderRecord
		for len(orders) < resyncOrders && from <= last {
			l.source.View(func(st *engine.State) {
				x := st.SessionOf(h)
				settled, last = x.State == engine.Settled, uint32(x.Orders())
				for n := 0; !settled && n < viewOrders && from <= last; n++ {
					r, _ := st.Record(engine.OrderRef{Session: h, Ordinal: from})
					orders = append(orders, r)
					from++
				}
			})
			if settled {
				return true, nil
			}
		}
		if err := s.update(func(w *writing) error {
			for i := range orders {
				if err := w.putOrder(&orders[i]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return false, err
		}
		if l.ctx.Err() != nil {
			return false, l.ctx.Err()
		}
	}
	return false, nil
}

// fetchSession gets the orders of a settled session, if they are not here, whole.
func (l *Ledger) fetchSession(s *store, h engine.SessionHandle, patience time.Duration) error {
	have := false
	if err := s.view(func(v *viewing) error {
		body, err := v.get(bucketSettled, handleKey(sessionName, h))
		have = body != nil
		return err
	}); err != nil || have {
		return err
	}
	if l.feed.gone(h) != nil { // it left only now: the queue brings it
		return nil
	}
	var rows []CopyRow
	take := func(r CopyRow) error {
		if rows = append(rows, r); len(rows) < resyncOrders && r.Bucket == bucketOrders {
			return nil
		}
		err := s.update(func(w *writing) error {
			for i := range rows {
				if err := w.take(rows[i]); err != nil {
					return err
				}
			}
			return nil
		})
		rows = rows[:0]
		return err
	}
	session := l.names.Load().sessions[h]
	if l.others == nil {
		err := l.readArchive(session, take)
		if errors.Is(err, errDamaged) {
			return errors.New(err.Error()) // it is the archive that is, not the ledger
		}
		return err
	}
	r := CopyRequest{Session: h}
	for {
		p, err := l.ask(0, r, patience)
		if err != nil {
			return err
		}
		for _, row := range p.Rows {
			if row.Bucket == bucketOrders && len(row.Key) == 8 {
				r.After = refOf(row.Key).Ordinal
			}
			if err := take(row); err != nil {
				return err
			}
		}
		if !p.More {
			return nil
		}
		if len(p.Rows) == 0 {
			return errors.New("the other node's page is empty, and not the last")
		}
	}
}

// refetch asks again for the orders of settled sessions that nobody had.
func (l *Ledger) refetch() {
	s := l.open()
	if s == nil || time.Since(l.refetched) < missingAgain {
		return
	}
	l.refetched = time.Now()
	var settled []engine.SessionHandle
	l.source.View(func(st *engine.State) {
		for _, x := range st.Sessions() {
			if x.State == engine.Settled {
				settled = append(settled, x.Handle)
			}
		}
	})
	missing := int64(0)
	for _, h := range settled {
		err := l.fetchSession(s, h, time.Second)
		if errors.Is(err, errDamaged) {
			l.renew(err)
			return
		}
		if err != nil {
			missing++
		}
	}
	if l.missing.Swap(missing) > 0 && missing == 0 {
		l.logger.Info("the orders of all settled sessions are there again")
	}
}

// renewRefunds brings the refunds of settled orders up to date: the state keeps
// those, and what was copied may be older.
func (l *Ledger) renewRefunds(s *store) error {
	refunds := map[engine.OrderRef][]engine.Refund{}
	for from, last := 1, 1; from <= last; from += resyncOrders {
		l.source.View(func(st *engine.State) {
			last = st.Refunds()
			for no := from; no <= last && no < from+resyncOrders; no++ {
				ref := st.Refund(engine.RefundNo(no)).Order
				if st.SessionOf(ref.Session).State == engine.Settled {
					refunds[ref] = st.RefundsOf(ref)
				}
			}
		})
	}
	return s.update(func(w *writing) error {
		for ref, of := range refunds {
			key := refKey(ref)
			body, err := w.get(bucketOrders, key)
			if err != nil {
				return err
			}
			if body == nil {
				continue // of a session that could not be had
			}
			o, err := orderOf(key, body)
			if err != nil {
				return err
			}
			o.Refunds = of
			if err := w.putOrder(&o); err != nil {
				return err
			}
		}
		return nil
	})
}

// ask asks the other nodes until one answers, for a while.
func (l *Ledger) ask(least engine.LogIndex, r CopyRequest, patience time.Duration) (CopyPage, error) {
	ctx, cancel := context.WithTimeout(l.ctx, patience)
	defer cancel()
	for {
		p, err := l.others.Copy(ctx, least, r)
		if err == nil && p.Group != l.head.group && l.head.group != ([16]byte{}) {
			err = errors.New("the other node's ledger belongs to another group")
		}
		if err == nil {
			return p, nil
		}
		select {
		case <-time.After(copyPause):
		case <-ctx.Done():
			return p, err
		}
	}
}

// fetchEvents gets the events between those that are here and base, and notes what
// can't be had.
func (l *Ledger) fetchEvents(s *store, base head) error {
	var from engine.TrailPosition
	var last CopyRow // of those that are here
	if err := s.view(func(v *viewing) error {
		key, value := v.bucket(bucketEvents).Cursor().Last()
		if len(key) == 12 {
			from = positionOf(key).Next()
			last = CopyRow{bucketEvents, bytes.Clone(key), bytes.Clone(value)}
		}
		return nil
	}); err != nil {
		return err
	}
	asked := from
	if last.Key != nil {
		asked = positionOf(last.Key)
	}
	// Entries without events leave no trace: what counts as here is all up to the head.
	if reached := (engine.TrailPosition{Index: l.head.index + 1}); from.Before(reached) {
		from = reached
	}
	hole := engine.LogIndex(0)
	for l.others != nil {
		if from.Index > base.index {
			return nil
		}
		p, err := l.ask(base.index, CopyRequest{From: asked}, copyPatience)
		if err != nil {
			hole = from.Index
			break
		}
		if last.Key != nil {
			if err := sameTrail(last, &p); err != nil {
				return err
			}
			last.Key = nil
		}
		if p.First.Index > base.index { // it has dropped all that was asked for
			hole = from.Index
			break
		}
		if from.Before(p.First) {
			if err := l.noteHole(s, from.Index, p.First.Index-1, base.time); err != nil {
				return err
			}
		}
		past := false
		if err := s.update(func(w *writing) error {
			for _, row := range p.Rows {
				if row.Bucket != bucketEvents || len(row.Key) != 12 {
					return errors.New("another node gave something else than events")
				}
				at := positionOf(row.Key)
				if at.Before(from) {
					continue
				}
				if past = at.Index > base.index; past {
					return nil // the queue brings them
				}
				from = at.Next()
				if err := w.take(row); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if past || !p.More {
			return nil
		}
		if len(p.Rows) == 0 {
			return errors.New("the other node's page is empty, and not the last")
		}
		asked = from
	}
	if l.others == nil {
		hole = from.Index
	}
	if hole == 0 || hole > base.index {
		return nil
	}
	return l.noteHole(s, hole, base.index, base.time)
}

// sameTrail compares the last event that is here with what another node has there:
// a file that was written while another generation went on without it must not be
// gone on with. What the other node has no longer tells nothing.
func sameTrail(last CopyRow, p *CopyPage) error {
	at := positionOf(last.Key)
	if at.Before(p.First) {
		return nil
	}
	body, err := unseal(bucketEvents, last.Key, last.Value)
	if err != nil {
		return err
	}
	ours, err := eventOf(last.Key, body)
	if err != nil || ours.missing != 0 {
		return err
	}
	if len(p.Rows) > 0 {
		theirs := &p.Rows[0]
		if bytes.Equal(theirs.Key, last.Key) && bytes.Equal(theirs.Value, last.Value) {
			return nil
		}
		if body, err := unseal(bucketEvents, theirs.Key, theirs.Value); err == nil {
			if e, err := eventOf(theirs.Key, body); err == nil && e.missing != 0 && e.missing <= at.Index {
				return nil // it lacks what we have
			}
		}
	}
	return fmt.Errorf("%w: another node has something else at %s: it is of a generation that others went on without", errDamaged, at)
}

// noteHole notes that the events from from to to are lost. It stands behind all
// that to may have.
func (l *Ledger) noteHole(s *store, from, to engine.LogIndex, at engine.Time) error {
	l.gaps.Add(1)
	l.logger.Error("ALARM: events are lost to this node's trail", "from", from, "to", to)
	e := event{at: engine.TrailPosition{Index: to, N: ^uint32(0)}, time: at, missing: from}
	return s.update(func(w *writing) error { return w.putEvent(&e) })
}

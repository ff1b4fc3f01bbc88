package trail

import (
	"time"

	"doorbuster/engine"
	"doorbuster/wal"
)

// Bounds of one commit, and of waits.
const (
	commitEvents  = 1 << 16
	busyEvents    = 2048                   // in a commit: then the next gathers longer
	busyFactor    = 10                     // so many times
	idleCommit    = 5 * time.Second        // for an index with which nothing happened
	pauseAfter    = 500 * time.Millisecond // a failed write
	closePatience = 2 * time.Second
)

// write is the goroutine that writes.
func (t *Trail) write() {
	idle := time.NewTicker(idleCommit)
	defer idle.Stop()
	w := writing{Trail: t}
	for due := false; t.ctx.Err() == nil; {
		if w.renew(); t.roll.Swap(false) {
			w.seal()
		}
		items, events := t.queue.take(commitEvents, due || t.awaited())
		if len(items) == 0 {
			select {
			case <-t.queue.wake:
			case <-t.poke:
			case <-idle.C:
				due = true
			case <-t.ctx.Done():
			}
			continue
		}
		due = false
		w.commit(items)
		t.queue.done(events + len(items))
		pause := t.cfg.CommitEvery
		if events >= busyEvents {
			pause *= busyFactor
		}
		t.pause(pause)
	}
	for began := time.Now(); time.Since(began) < closePatience; {
		items, events := t.queue.take(commitEvents, true)
		if len(items) == 0 || !w.commit(items) {
			return
		}
		t.queue.done(events + len(items))
	}
}

// awaited reports whether somebody waits for what is not on disk.
func (t *Trail) awaited() bool { return t.wanted.Load() > t.index.Load() }

// pause lets events gather, unless somebody waits or the queue fills.
func (t *Trail) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for !t.awaited() {
		select {
		case <-t.poke:
		case <-t.queue.urgent:
			return
		case <-timer.C:
			return
		case <-t.ctx.Done():
			return
		}
	}
}

// writing is what the goroutine that writes has to itself.
type writing struct {
	*Trail
	generation int
	recs       []wal.Record
	data       []byte
	batch      []byte
}

// renew lets go of a trail that was disowned.
func (w *writing) renew() {
	w.mu.Lock()
	generation := w.Trail.generation
	w.mu.Unlock()
	if w.generation != generation && w.tail != nil {
		w.tail.file.Close() // the file is another's, whatever it says
		w.tail = nil
	}
	w.generation = generation
	w.quarantineFiles()
}

// persist tries until it succeeds. It gives up, and reports false, when the trail is
// closed or disowned.
func (w *writing) persist(do func() error) bool {
	for {
		err := do()
		if err == nil {
			if w.trouble.Swap(nil) != nil {
				w.cfg.Logger.Info("the trail can be written again")
			}
			return true
		}
		text := err.Error()
		if w.trouble.Swap(&text) == nil {
			w.cfg.Logger.Error("ALARM: the trail can't be written; it is tried again", "error", err)
		}
		w.queue.done(0) // who waits for room sees the trouble
		select {
		case <-time.After(pauseAfter):
		case <-w.ctx.Done():
			return false
		}
		w.mu.Lock()
		disowned := w.generation != w.Trail.generation
		w.mu.Unlock()
		if disowned {
			return false
		}
	}
}

// commit makes items durable: in one batch, but for where coverage breaks off.
func (w *writing) commit(items []item) bool {
	for len(items) > 0 {
		after := items[0].after
		if w.tail == nil || w.tail.last.index != after.index {
			if !w.begin(after) {
				return false
			}
		}
		n := 0
		for last := after.index; n < len(items) && items[n].effects != nil && items[n].after.index == last; n++ {
			last = items[n].effects.Index
		}
		if n > 0 && !w.append(items[:n]) {
			return false
		}
		items = items[max(n, 1):]
	}
	return true
}

// begin begins the segment that covers what comes after an entry.
func (w *writing) begin(after entry) bool {
	if !w.seal() {
		return false
	}
	w.mu.Lock()
	if after.index == w.last.index {
		after = w.last
	}
	h := header{group: w.group, after: after.index, time: after.time}
	w.mu.Unlock()
	b := newBuilding(w.cfg.FS, w.cfg.Dir, h)
	b.last = after
	if !w.persist(func() error {
		err := b.create()
		if err == nil {
			err = b.install()
		}
		if err != nil {
			b.abandon()
		}
		return err
	}) {
		return false
	}
	w.tail = b
	return w.publish(b.live(), nil)
}

// append appends the entries of items, which follow one another, as one batch.
func (w *writing) append(items []item) bool {
	b := w.tail
	w.recs, w.data = w.recs[:0], w.data[:0]
	offset := b.end
	for i := range items {
		e := items[i].effects
		if items[i].quiet() && i < len(items)-1 {
			continue
		}
		n := entryOfEffects(e)
		b.began(n.index, offset)
		from := len(w.data)
		w.data = n.meta(w.data)
		meta := len(w.data)
		w.data = w.events(e, offset)
		w.recs = append(w.recs, wal.Record{Index: uint64(n.index), Term: uint64(n.epoch), Meta: w.data[from:meta:meta], Data: w.data[meta:]})
		offset += w.recs[len(w.recs)-1].FrameBytes()
		b.last = n
	}
	w.batch = wal.AppendBatch(w.batch[:0], w.recs)
	if !w.persist(func() error {
		if err := b.write(w.batch); err != nil {
			return err
		}
		return b.file.Sync()
	}) {
		return false
	}
	b.wrote(w.batch)
	if !w.publish(b.live(), nil) {
		return false
	}
	if b.end >= w.cfg.SegmentBytes || b.last.time.Sub(b.time) > w.cfg.Keep/8 && b.time != 0 {
		return w.seal()
	}
	return true
}

// events appends an entry's events to data.
func (w *writing) events(effects *engine.Effects, offset int64) []byte {
	data := w.data
	e := Event{TrailPosition: engine.TrailPosition{Index: effects.Index}, Time: effects.Time}
	for ev, remark := range effects.InOrder {
		e.Kind, e.Reason, e.State, e.Session, e.Listing, e.Order, e.Life = ev.Kind, ev.Reason, ev.State, ev.Session, ev.Listing, ev.Order, ev.Life
		e.Quantity, e.Limit, e.Amount, e.PayBy, e.Transaction = ev.Quantity, ev.Limit, ev.Amount, ev.PayBy, ev.Transaction
		e.Shopper, e.Operator, e.Note, e.Detail = "", "", "", ""
		if remark != nil {
			e.Shopper, e.Operator, e.Note, e.Detail = remark.Shopper, remark.Operator, remark.Note, remark.Detail
			if remark.Transaction != (engine.Transaction{}) {
				e.Transaction = remark.Transaction
			}
		}
		data = appendEvent(data, &e, 0)
		w.tail.note(&e, offset)
	}
	return data
}

// seal seals the segment that is written to, if there is one; one that covers nothing is
// removed.
func (w *writing) seal() bool {
	b := w.tail
	if b == nil {
		return true
	}
	var s *segment
	if b.last.index == b.after {
		if !w.publish(nil, nil) || !w.persist(func() error { return w.cfg.FS.Remove(b.path()) }) {
			return false
		}
	} else if !w.persist(func() (err error) {
		if s, err = b.seal(); err == nil {
			err = b.file.Sync()
		}
		return err
	}) {
		return false
	}
	w.tail = nil
	if err := b.file.Close(); err != nil {
		w.cfg.Logger.Warn("a sealed segment of the trail could not be closed", "error", err)
	}
	signal(w.work)
	return w.publish(nil, s)
}

// publish shows readers what is durable: the segment that is written to, and one that
// was sealed. It reports false if the trail was disowned meanwhile.
func (w *writing) publish(live, sealed *segment) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.generation != w.Trail.generation {
		return false
	}
	w.live = live
	if sealed != nil {
		w.segs = append(w.segs[:len(w.segs):len(w.segs)], sealed)
	}
	if live != nil {
		w.last = live.last
		w.index.Store(uint64(live.last.index))
	}
	w.tell()
	return true
}

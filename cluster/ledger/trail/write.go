package trail

import (
	"cmp"
	"slices"
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
	for idle := false; t.ctx.Err() == nil; {
		size, err := t.commit(idle)
		idle = false
		switch {
		case err != nil:
			text := err.Error()
			if t.trouble.Swap(&text) == nil {
				t.cfg.Logger.Error("ALARM: the trail can't be written; it is tried again", "error", err)
			}
			t.queue.done(0, 0) // who waits for room sees the trouble
			t.pause(pauseAfter, func() bool { return false })
		case size == 0:
			idle = !t.pause(idleCommit, func() bool { return t.queue.due(t.awaited()) })
		default:
			pause := t.cfg.CommitEvery
			if size >= busyEvents {
				pause *= busyFactor
			}
			t.pause(pause, func() bool { return t.awaited() || t.queue.fuller(t.cfg.QueueEvents/4) != nil })
		}
		if err == nil && t.trouble.Swap(nil) != nil {
			t.cfg.Logger.Info("the trail can be written again")
		}
	}
	for began := time.Now(); time.Since(began) < closePatience; {
		if size, err := t.commit(true); size == 0 || err != nil {
			return
		}
	}
}

// awaited reports whether somebody waits for what is not on disk.
func (t *Trail) awaited() bool { return engine.LogIndex(t.wanted.Load()) > t.Index() }

// pause lets events gather, and reports whether that ended before its time: by until,
// which is asked when there is something new, or by Close.
func (t *Trail) pause(d time.Duration, until func() bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for !until() {
		select {
		case <-t.queue.wake:
		case <-timer.C:
			return false
		case <-t.ctx.Done():
			return true
		}
	}
	return true
}

// commit makes durable what waits, as one batch, up to where coverage breaks off, and
// gives how much that was. After an error it is tried again.
func (t *Trail) commit(idle bool) (size int, err error) {
	t.disk.Lock()
	defer t.disk.Unlock()
	if !t.queue.due(idle || t.awaited()) {
		return 0, nil
	}
	items, size := t.queue.first(commitEvents)
	if err := t.roll(func(b *building) bool {
		e := items[0].effects
		began := cmp.Or(b.time, b.began) // nothing is before a trail's first segment
		return b.end >= t.cfg.SegmentBytes || b.owner != t.cfg.owner() || items[0].seen.index > b.upto ||
			e != nil && began != 0 && e.Time.Sub(began) > t.cfg.Keep/8
	}); err != nil {
		return 0, err
	}
	if err := t.begin(items[0].seen); err != nil {
		return 0, err
	}
	for _, kind := range [...]int{deeds, events} { // a deed is never among events without being among deeds
		if err := t.append(kind, items); err != nil {
			return 0, err
		}
	}
	t.queue.done(len(items), size)
	return size, nil
}

// roll seals last segments that are over.
func (t *Trail) roll(over func(*building) bool) error {
	for _, kind := range [...]int{deeds, events} {
		if b := t.tails[kind]; b != nil && over(b) {
			if err := t.seal(kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin begins the last segments that are not there, behind what there is, or an entry
// where coverage breaks off.
func (t *Trail) begin(seen entry) error {
	for kind, b := range t.tails {
		if b != nil {
			continue
		}
		all := t.now()
		from := entry{index: all[kind].upto}
		if last := all[events].last; last.index == from.index {
			from = last
		}
		if seen.index > from.index {
			from = seen
		}
		b = newBuilding(&t.cfg, header{kind: kind, group: t.group, owner: t.cfg.owner(),
			after: from.index, time: from.time})
		b.last = from
		err := b.create()
		if err == nil {
			err = b.install()
		}
		if err != nil {
			return err
		}
		t.tails[kind] = b
		t.publish(kind, b.live())
	}
	return nil
}

// append appends what the entries of items are of a kind, as one batch.
func (t *Trail) append(kind int, items []item) error {
	b := t.tails[kind]
	recs, data, upto := t.recs[:0], t.data[:0], b.upto
	for i := range items {
		e := items[i].effects
		if e == nil || e.Index <= b.upto { // deeds may be on disk already
			continue
		}
		upto, b.began = e.Index, cmp.Or(b.began, e.Time)
		if kind == events && items[i].size() == 1 && i < len(items)-1 || kind == deeds && !hasDeeds(e) {
			continue
		}
		n, from := entryOfEffects(e), len(data)
		data = n.meta(data)
		meta := len(data)
		data = appendEvents(data, e, kind)
		recs = append(recs, wal.Record{Index: uint64(n.index), Term: uint64(n.epoch), Meta: data[from:meta:meta],
			Data: data[meta:]})
	}
	if t.recs, t.data = recs, data; upto == b.upto {
		return nil
	}
	t.frames = t.frames[:0]
	if len(recs) > 0 {
		t.frames = wal.AppendBatch(t.frames, recs)
	}
	err := b.add(t.frames, upto, true)
	if err == nil {
		t.publish(kind, b.live())
	}
	return err
}

func hasDeeds(e *engine.Effects) bool {
	return slices.ContainsFunc(e.AuditNotes, func(r engine.AuditNote) bool { return r.Operator != "" })
}

// seal seals the segment of a kind that is written to, if there is one; one that covers
// nothing is removed.
func (t *Trail) seal(kind int) (err error) {
	b := t.tails[kind]
	if b == nil {
		return nil
	}
	var s *segment
	if b.upto == b.after {
		err = t.cfg.FS.Remove(b.path())
	} else {
		s, err = b.seal()
	}
	if err != nil {
		return err
	}
	t.tails[kind] = nil
	t.publish(kind, s)
	signal(t.work)
	if err := b.file.Close(); err != nil {
		t.cfg.Logger.Warn("a sealed segment of the trail could not be closed", "error", err)
	}
	return nil
}

// publish shows readers the last segment of a kind as it is on disk now, nil if it is
// there no more.
func (t *Trail) publish(kind int, s *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := &t.views[kind]
	segs := slices.Clone(v.segs)
	if n := len(segs); n > 0 && !segs[n-1].sealed {
		segs = segs[:n-1]
	}
	if s != nil {
		segs, v.upto, v.last = append(segs, s), max(s.upto, v.upto), s.last
	}
	v.segs = segs
	t.tell()
}

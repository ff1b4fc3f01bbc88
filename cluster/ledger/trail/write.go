package trail

import (
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
			idle = !t.pause(idleCommit, func() bool { return t.queue.due(t.awaited()) || t.roll.Load() })
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
	if b := t.tail; b != nil && (t.roll.Load() || b.end >= t.cfg.SegmentBytes ||
		b.time != 0 && b.last.time.Sub(b.time) > t.cfg.Keep/8) {
		if err := t.seal(); err != nil {
			return 0, err
		}
	}
	if !t.queue.due(idle || t.awaited()) {
		return 0, nil
	}
	items, size := t.queue.first(commitEvents)
	if after := items[0].after; t.tail == nil || after != nil && after.index != t.tail.upto {
		if err := t.begin(after); err != nil {
			return 0, err
		}
	}
	if err := t.append(items); err != nil {
		return 0, err
	}
	t.queue.done(len(items), size)
	return size, nil
}

// begin begins the segment that covers what comes after an entry; nil: after what is
// there.
func (t *Trail) begin(after *entry) error {
	if err := t.seal(); err != nil {
		return err
	}
	v := t.now()
	if after == nil || after.index == v.last.index && v.last.index == v.upto {
		after = &entry{index: v.upto}
		if v.last.index == v.upto {
			after = &v.last
		}
	}
	b := newBuilding(&t.cfg, header{group: t.group, after: after.index, time: after.time})
	b.last = *after
	err := b.create()
	if err == nil {
		err = b.install()
	}
	if err == nil {
		t.tail = b
		t.publish(b.live())
	}
	return err
}

// append appends the entries of items as one batch.
func (t *Trail) append(items []item) error {
	recs, data := t.recs[:0], t.data[:0]
	for i := range items {
		e := items[i].effects
		if e == nil || items[i].size() == 1 && i < len(items)-1 {
			continue
		}
		n, from := entryOfEffects(e), len(data)
		data = n.meta(data)
		meta := len(data)
		data = appendEvents(data, e)
		recs = append(recs, wal.Record{Index: uint64(n.index), Term: uint64(n.epoch), Meta: data[from:meta:meta],
			Data: data[meta:]})
	}
	if t.recs, t.data = recs, data; len(recs) == 0 {
		return nil
	}
	t.frames = wal.AppendBatch(t.frames[:0], recs)
	err := t.tail.add(t.frames, engine.LogIndex(recs[len(recs)-1].Index), true)
	if err == nil {
		t.publish(t.tail.live())
	}
	return err
}

// seal seals the segment that is written to, if there is one; one that covers nothing is
// removed.
func (t *Trail) seal() (err error) {
	b := t.tail
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
	t.tail = nil
	t.roll.Store(false)
	t.publish(s)
	signal(t.work)
	if err := b.file.Close(); err != nil {
		t.cfg.Logger.Warn("a sealed segment of the trail could not be closed", "error", err)
	}
	return nil
}

// publish shows readers the last segment as it is on disk now, nil if it is there no
// more.
func (t *Trail) publish(s *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	segs := slices.Clone(t.segs)
	if n := len(segs); n > 0 && !segs[n-1].sealed {
		segs = segs[:n-1]
	}
	if s != nil {
		segs, t.upto, t.last = append(segs, s), s.upto, s.last
	}
	t.segs = segs
	t.tell()
}
